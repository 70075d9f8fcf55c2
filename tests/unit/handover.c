/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static void fill(struct handover *h)
{
	handover_init(h);
	strcpy(h->mountpoint, "/etc/certs");
	strcpy(h->binary, "/usr/bin/certfs");
	h->device = 77;
	h->folder_mode = 0711;
	h->children = 2;
	strcpy(h->child[0].name, "fs");
	strcpy(h->child[1].name, "net");
	h->child[1].pid = 4711;
}

/* As a supervisor of another make would leave it. */
static int written(const void *data, size_t size)
{
	int fd = memfd_create("handover", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), size);
	return fd;
}

static int read_back(const struct handover *h, size_t size, struct handover *back,
		     struct error *err)
{
	int fd = written(h, size);
	int rc = handover_read(fd, back, err);
	close(fd);
	return rc;
}

static void what_is_written_is_read(void **state)
{
	(void)state;
	struct handover h, back;
	struct error err;
	int fd = -1;
	fill(&h);
	assert_int_equal(handover_write(&h, &fd, &err), 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(handover_read(fd, &back, &err), 0);
	assert_memory_equal(&back, &h, sizeof(h));
	close(fd);
}

static void nobody_can_change_what_is_written(void **state)
{
	(void)state;
	struct handover h;
	struct error err;
	int fd = -1;
	fill(&h);
	assert_int_equal(handover_write(&h, &fd, &err), 0);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 0), -1);
	close(fd);
}

static void of_another_version_only_the_mount_is_known(void **state)
{
	(void)state;
	struct handover h, back;
	char named[32];
	struct error err;
	fill(&h);
	h.version = HANDOVER_VERSION + 1;
	snprintf(named, sizeof(named), "version %u", h.version);
	assert_int_equal(read_back(&h, sizeof(h), &back, &err), -EPROTO);
	assert_non_null(strstr(err.text, named));
	assert_string_equal(back.mountpoint, "/etc/certs");
	assert_int_equal(back.folder_mode, 0711);
	/* A shorter one too. */
	assert_int_equal(read_back(&h, offsetof(struct handover, readonlys), &back, &err),
			 -EPROTO);
	assert_int_equal(back.device, 77);
}

static void what_is_damaged_is_refused(void **state)
{
	(void)state;
	struct handover h, back;
	struct error err;
	fill(&h);
	assert_int_equal(read_back(&h, sizeof(h) - 1, &back, &err), -EBADMSG);
	assert_string_equal(back.mountpoint, "");
	assert_int_equal(read_back(&h, 3, &back, &err), -EBADMSG);
	h.magic++;
	assert_int_equal(read_back(&h, sizeof(h), &back, &err), -EBADMSG);
	fill(&h);
	h.children = HANDOVER_CHILDREN + 1;
	assert_int_equal(read_back(&h, sizeof(h), &back, &err), -EBADMSG);
	fill(&h);
	h.listeners = CONFIG_LIST_MAX + 1;
	assert_int_equal(read_back(&h, sizeof(h), &back, &err), -EBADMSG);
	fill(&h);
	memset(h.child[1].name, 'x', sizeof(h.child[1].name));
	assert_int_equal(read_back(&h, sizeof(h), &back, &err), -EBADMSG);
	fill(&h);
	memset(h.mountpoint, 'x', sizeof(h.mountpoint));
	assert_int_equal(read_back(&h, sizeof(h), &back, &err), -EBADMSG);
	assert_int_equal(handover_read(-1, &back, &err), -EBADF);
	assert_string_equal(back.mountpoint, "");
}

static void descriptors_pass_exec_only_when_they_shall(void **state)
{
	(void)state;
	struct handover h;
	int fd = written("x", 1);
	handover_init(&h);
	h.children = 1;
	h.child[0].pidfd = h.child[0].ready_fd = h.child[0].reason[0] = -1;
	h.child[0].reason[1] = fd;
	handover_pass(&h, true);
	assert_false(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	handover_pass(&h, false);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_written_is_read),
	    cmocka_unit_test(nobody_can_change_what_is_written),
	    cmocka_unit_test(of_another_version_only_the_mount_is_known),
	    cmocka_unit_test(what_is_damaged_is_refused),
	    cmocka_unit_test(descriptors_pass_exec_only_when_they_shall),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
