/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/slots.h"

#include <errno.h>
#include <linux/fuse.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
	struct slots *slots;
	int fd;
};

static int setup(void **state)
{
	static struct world w;
	struct error err;
	*state = &w;
	return slots_create(&w.slots, &w.fd, &err);
}

static int teardown(void **state)
{
	struct world *w = *state;
	slots_unmap(w->slots);
	close(w->fd);
	return 0;
}

/* As read(2) leaves it. */
static void fill(struct slot_ref slot, uint64_t unique, uint32_t len)
{
	struct fuse_in_header head = {
	    .len = len, .opcode = FUSE_OPEN, .unique = unique, .nodeid = 77};
	memset(slot.data, 'x', len);
	memcpy(slot.data, &head, sizeof(head));
}

static void age(struct slot_ref slot, uint64_t seconds)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	uint64_t now = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	atomic_store(slot.begun_ns, now - seconds * 1000000000u);
}

static void a_new_mapping_is_idle(void **state)
{
	struct world *w = *state;
	uint32_t opcode;
	uint64_t node;
	size_t size;
	assert_false(slot_busy(slots_big(w->slots)));
	for (size_t i = 0; i < SLOTS_SMALL; i++)
		assert_false(slot_busy(slots_small(w->slots, i)));
	assert_int_equal(slots_oldest_ns(w->slots, &opcode, &node), 0);
	slots_init(w->slots, &size);
	assert_int_equal(size, 0);
	assert_int_not_equal(slots_connection(w->slots), 0);
}

static void another_process_sees_the_same(void **state)
{
	struct world *w = *state;
	struct slots *other;
	struct error err;
	size_t size;
	fill(slots_big(w->slots), 5, 200);
	slots_set_init(w->slots, "init", 4);
	atomic_fetch_add(slots_starts(w->slots, SLOTS_NET), 3);
	assert_int_equal(slots_map(&other, w->fd, &err), 0);
	assert_true(slot_busy(slots_big(other)));
	assert_int_equal(slot_unique(slots_big(other)), 5);
	assert_int_equal(slots_last_unique(other), 5);
	assert_memory_equal(slots_init(other, &size), "init", 4);
	assert_int_equal(size, 4);
	assert_int_equal(atomic_load(slots_starts(other, SLOTS_NET)), 3);
	assert_int_equal(slots_connection(other), slots_connection(w->slots));
	slots_unmap(other);
}

static void the_last_reload_is_told(void **state)
{
	struct world *w = *state;
	struct slots *worker;
	struct error err;
	struct slots_reload told = {
	    .begun = 3, .ended = 2, .supervisor = 77, .code = EINVAL};
	struct slots_reload got;
	slots_reload(w->slots, &got);
	assert_int_equal(got.begun, 0);
	assert_int_equal(slots_map(&worker, w->fd, &err), 0);
	strcpy(told.error, "certfs.conf:3: unknown key");
	slots_set_reload(w->slots, &told);
	slots_reload(worker, &got);
	assert_memory_equal(&got, &told, sizeof(got));
	told = (struct slots_reload){.begun = 3, .ended = 3, .supervisor = 77};
	slots_set_reload(w->slots, &told);
	slots_reload(worker, &got);
	assert_memory_equal(&got, &told, sizeof(got));
	slots_unmap(worker);
}

static void a_mapping_of_another_size_is_refused(void **state)
{
	(void)state;
	struct slots *other;
	struct error err;
	int fd = memfd_create("other", MFD_CLOEXEC);
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_int_equal(slots_map(&other, fd, &err), -EPROTO);
	close(fd);
}

static void a_mapping_of_another_version_is_refused(void **state)
{
	struct world *w = *state;
	struct slots *other;
	struct error err;
	char text[32];
	const uint32_t version = SLOTS_VERSION + 1;
	assert_int_equal(pwrite(w->fd, &version, sizeof(version), 4), sizeof(version));
	assert_int_equal(slots_map(&other, w->fd, &err), -EPROTO);
	snprintf(text, sizeof(text), "version %u", version);
	assert_non_null(strstr(err.text, text));
}

static void no_worker_can_shrink_the_mapping(void **state)
{
	struct world *w = *state;
	assert_int_equal(ftruncate(w->fd, 0), -1);
	assert_int_equal(errno, EPERM);
}

static void a_copy_is_busy_and_whole_and_its_origin_stays(void **state)
{
	struct world *w = *state;
	struct slot_ref big = slots_big(w->slots), small = slots_small(w->slots, 9);
	fill(big, 42, 4000);
	slot_begin(big);
	atomic_store(big.deaths, 2);
	assert_int_equal(slot_copy(small, big), 0);
	assert_true(slot_busy(small));
	assert_true(slot_busy(big));
	assert_memory_equal(small.data, big.data, 4000);
	assert_int_equal(slot_unique(small), 42);
	assert_int_equal(atomic_load(small.deaths), 2);
	assert_int_equal(atomic_load(small.begun_ns), atomic_load(big.begun_ns));
	slot_clear(big);
	assert_false(slot_busy(big));
	assert_true(slot_busy(small));
	assert_false(slot_busy(slots_small(w->slots, 8)));
	slot_clear(small);
	assert_false(slot_busy(small));
	assert_int_equal(atomic_load(small.deaths), 0);
}

static void what_does_not_fit_is_not_copied(void **state)
{
	struct world *w = *state;
	struct slot_ref big = slots_big(w->slots), small = slots_small(w->slots, 0);
	fill(big, 1, SLOT_SMALL_SIZE + 1);
	assert_int_equal(slot_copy(small, big), -EMSGSIZE);
	assert_false(slot_busy(small));
	fill(big, 1, SLOT_SMALL_SIZE);
	assert_int_equal(slot_copy(small, big), 0);
}

static void the_oldest_request_is_named(void **state)
{
	struct world *w = *state;
	uint32_t opcode = 0;
	uint64_t node = 0;
	fill(slots_big(w->slots), 1, 100);
	slot_begin(slots_big(w->slots));
	fill(slots_small(w->slots, 3), 2, 100);
	age(slots_small(w->slots, 3), 30);
	uint64_t oldest = slots_oldest_ns(w->slots, &opcode, &node);
	assert_true(oldest >= 30000000000u);
	assert_int_equal(opcode, FUSE_OPEN);
	assert_int_equal(node, 77);
}

static void a_crash_blames_what_was_in_work(void **state)
{
	struct world *w = *state;
	struct slot_ref big = slots_big(w->slots), small = slots_small(w->slots, 0);
	fill(big, 1, 100);
	slot_begin(big);
	atomic_store(small.deaths, 2); /* left over, nothing in work */
	slots_blame(w->slots, false);
	assert_int_equal(atomic_load(big.deaths), 1);
	assert_true(slot_busy(big));
	assert_int_equal(atomic_load(small.deaths), 0);
}

static void kill_from_outside_blames_only_what_is_old(void **state)
{
	struct world *w = *state;
	struct slot_ref young = slots_small(w->slots, 1), old = slots_small(w->slots, 2);
	fill(young, 1, 100);
	age(young, 0);
	fill(old, 2, 100);
	age(old, 2);
	slots_blame(w->slots, true);
	assert_int_equal(atomic_load(young.deaths), 0);
	assert_int_equal(atomic_load(old.deaths), 1);
	assert_true(slot_busy(young));
	assert_true(slot_busy(old));
}

static void a_request_that_nobody_took_up_again_is_not_blamed_twice(void **state)
{
	struct world *w = *state;
	struct slot_ref small = slots_small(w->slots, 1);
	uint32_t opcode;
	uint64_t node;
	fill(small, 1, 100);
	slot_begin(small);
	slots_blame(w->slots, false);
	slots_blame(w->slots, false);
	assert_int_equal(atomic_load(small.deaths), 1);
	assert_int_equal(slots_oldest_ns(w->slots, &opcode, &node), 0);
	slot_begin(small);
	slots_blame(w->slots, false);
	assert_int_equal(atomic_load(small.deaths), 2);
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
	    WITH(a_new_mapping_is_idle),
	    WITH(another_process_sees_the_same),
	    WITH(the_last_reload_is_told),
	    WITH(a_mapping_of_another_size_is_refused),
	    WITH(a_mapping_of_another_version_is_refused),
	    WITH(no_worker_can_shrink_the_mapping),
	    WITH(a_copy_is_busy_and_whole_and_its_origin_stays),
	    WITH(what_does_not_fit_is_not_copied),
	    WITH(the_oldest_request_is_named),
	    WITH(a_crash_blames_what_was_in_work),
	    WITH(kill_from_outside_blames_only_what_is_old),
	    WITH(a_request_that_nobody_took_up_again_is_not_blamed_twice),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
