/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/handle.h"
#include "store/pem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state)
{
	*state = handles_new();
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	handles_free(*state);
	return 0;
}

static void an_open_handle_is_found_until_it_is_closed(void **state)
{
	struct handles *hs = *state;
	struct handle *h = handle_open(hs, NULL);
	uint64_t fh;

	assert_non_null(h);
	fh = h->fh;
	assert_int_not_equal(fh, 0);
	assert_ptr_equal(handle_find(hs, fh), h);
	handle_close(hs, fh);
	assert_null(handle_find(hs, fh));
	handle_close(hs, fh); /* a RELEASE that comes twice */
}

static void a_number_is_not_given_out_again(void **state)
{
	struct handles *hs = *state;
	struct handle *h = handle_open(hs, NULL);
	const uint64_t first = h->fh;

	handle_close(hs, first);
	for (int i = 0; i < HANDLES_MAX + 1; i++) {
		h = handle_open(hs, NULL);
		assert_int_not_equal(h->fh, first);
		handle_close(hs, h->fh);
	}
	assert_null(handle_find(hs, first));
}

static void a_handle_of_a_dead_worker_is_not_found(void **state)
{
	struct handles *dead = handles_new();
	struct handle *h = handle_open(dead, NULL);
	const uint64_t fh = h->fh;

	/* The first of this one, as that was: only the worker tells them apart. */
	assert_non_null(handle_open(*state, NULL));
	assert_null(handle_find(*state, fh));
	handle_close(*state, fh);
	assert_ptr_equal(handle_find(dead, fh), h);
	handles_free(dead);
}

static void no_more_are_open_than_there_are_places(void **state)
{
	struct handles *hs = *state;
	struct handle *h = NULL;

	for (int i = 0; i < HANDLES_MAX; i++) {
		h = handle_open(hs, NULL);
		assert_non_null(h);
	}
	/* The content is the table's all the same. */
	assert_null(handle_open(hs, secret_copy("page", 4)));
	handle_close(hs, h->fh);
	assert_non_null(handle_open(hs, NULL));
}

static void a_page_is_kept_as_it_was_rendered(void **state)
{
	struct handle *h = handle_open(*state, secret_copy("page", 4));

	assert_int_equal(secret_size(h->content), 4);
	assert_memory_equal(secret_data(h->content), "page", 4);
	assert_false(h->dirty);
	assert_int_equal(h->mode, OWNER_KEEP);
	assert_int_equal(h->owner_uid, OWNER_KEEP);
	assert_int_equal(h->owner_gid, OWNER_KEEP);
}

static void the_write_handle_of_a_file_and_process_is_found(void **state)
{
	struct handles *hs = *state;
	struct handle *page = handle_open(hs, NULL), *h = handle_open(hs, NULL);

	page->number = h->number = 3;
	page->kind = h->kind = FILE_PRIVKEY;
	page->opener = h->opener = 77;
	assert_null(handle_of(hs, 3, FILE_PRIVKEY, 77));
	h->writing = true;
	assert_ptr_equal(handle_of(hs, 3, FILE_PRIVKEY, 77), h);
	assert_null(handle_of(hs, 4, FILE_PRIVKEY, 77));
	assert_null(handle_of(hs, 3, FILE_CERT, 77));
	assert_null(handle_of(hs, 3, FILE_PRIVKEY, 78));
	handle_close(hs, h->fh);
	assert_null(handle_of(hs, 3, FILE_PRIVKEY, 77));
}

static void writes_collect_in_any_order(void **state)
{
	struct handle *h = handle_open(*state, NULL);

	assert_int_equal(handle_write(h, "def", 3, 3), 0);
	assert_true(h->dirty);
	assert_int_equal(secret_size(h->content), 6);
	assert_memory_equal(secret_data(h->content), "\0\0\0def", 6);
	assert_int_equal(handle_write(h, "abc", 3, 0), 0);
	assert_int_equal(secret_size(h->content), 6);
	assert_memory_equal(secret_data(h->content), "abcdef", 6);
}

static void what_did_not_change_is_not_dirty(void **state)
{
	struct handle *h = handle_open(*state, NULL);

	assert_int_equal(handle_resize(h, 0), 0);
	assert_int_equal(handle_write(h, "", 0, 0), 0);
	assert_false(h->dirty);
	assert_int_equal(handle_write(h, "abc", 3, 0), 0);
	h->dirty = false;
	assert_int_equal(handle_resize(h, 3), 0);
	assert_false(h->dirty);
	assert_int_equal(handle_resize(h, 0), 0);
	assert_true(h->dirty);
}

static void what_was_cut_off_does_not_come_back(void **state)
{
	struct handle *h = handle_open(*state, NULL);

	assert_int_equal(handle_write(h, "secret", 6, 0), 0);
	assert_int_equal(handle_resize(h, 1), 0);
	assert_int_equal(handle_resize(h, 6), 0);
	assert_memory_equal(secret_data(h->content), "s\0\0\0\0\0", 6);
}

static void a_file_beyond_its_limit_is_refused_and_stays(void **state)
{
	struct handle *h = handle_open(*state, NULL);
	char *whole = calloc(1, PEM_FILE_MAX);

	assert_non_null(whole);
	assert_int_equal(handle_write(h, whole, PEM_FILE_MAX, 0), 0);
	assert_false(h->too_large);
	assert_int_equal(handle_write(h, "x", 1, PEM_FILE_MAX), -EFBIG);
	assert_int_equal(handle_write(h, "x", 1, UINT64_MAX), -EFBIG);
	assert_int_equal(handle_write(h, whole, PEM_FILE_MAX, 1), -EFBIG);
	assert_int_equal(handle_resize(h, PEM_FILE_MAX + 1), -EFBIG);
	assert_int_equal(handle_resize(h, UINT64_MAX), -EFBIG);
	assert_int_equal(secret_size(h->content), PEM_FILE_MAX);
	assert_true(h->too_large); /* what is there is not what was to be written */
	assert_int_equal(handle_resize(h, 0), 0);
	assert_false(h->too_large);
	free(whole);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(an_open_handle_is_found_until_it_is_closed),
	    TEST(a_number_is_not_given_out_again),
	    TEST(a_handle_of_a_dead_worker_is_not_found),
	    TEST(no_more_are_open_than_there_are_places),
	    TEST(a_page_is_kept_as_it_was_rendered),
	    TEST(the_write_handle_of_a_file_and_process_is_found),
	    TEST(writes_collect_in_any_order),
	    TEST(what_did_not_change_is_not_dirty),
	    TEST(what_was_cut_off_does_not_come_back),
	    TEST(a_file_beyond_its_limit_is_refused_and_stays),
	};

	return cmocka_run_group_tests_name("handle", tests, NULL, NULL);
}
