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

#define USER 1000

/* Root's, which has places enough. */
static struct handle *opened(struct handles *hs, struct secret *content)
{
	struct handle *h = NULL;
	struct error err = {0};

	return handle_open(hs, 0, content, &h, &err) == 0 ? h : NULL;
}

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
	struct handle *h = opened(hs, NULL);
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
	struct handle *h = opened(hs, NULL);
	const uint64_t first = h->fh;

	handle_close(hs, first);
	for (int i = 0; i < HANDLES_MAX + 1; i++) {
		h = opened(hs, NULL);
		assert_int_not_equal(h->fh, first);
		handle_close(hs, h->fh);
	}
	assert_null(handle_find(hs, first));
}

static void a_handle_of_a_dead_worker_is_not_found(void **state)
{
	struct handles *dead = handles_new();
	struct handle *h = opened(dead, NULL);
	const uint64_t fh = h->fh;

	/* The first of this one, as that was: only the worker tells them apart. */
	assert_non_null(opened(*state, NULL));
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
		h = opened(hs, NULL);
		assert_non_null(h);
	}
	/* The content is the table's all the same. */
	assert_null(opened(hs, secret_copy("page", 4)));
	handle_close(hs, h->fh);
	assert_non_null(opened(hs, NULL));
}

static void one_users_flood_leaves_places_for_others(void **state)
{
	struct handles *hs = *state;
	struct handle *h = NULL;
	struct error err = {0};
	int r;

	for (unsigned i = 0; i < HANDLES_USERS_MAX; i++) {
		if (i > 0 && i % HANDLES_USER_MAX == 0) {
			r = handle_open(hs, USER + i / HANDLES_USER_MAX - 1,
					secret_copy("page", 4), &h, &err);
			assert_int_equal(r, -EDQUOT);
		}
		r = handle_open(hs, USER + i / HANDLES_USER_MAX, NULL, &h, &err);
		assert_int_equal(r, 0);
	}
	assert_int_equal(handle_open(hs, USER + 99, NULL, &h, &err), -ENFILE);
	for (unsigned i = HANDLES_USERS_MAX; i < HANDLES_MAX; i++)
		assert_non_null(opened(hs, NULL));
	assert_null(opened(hs, NULL));
}

static void one_user_has_so_many_bytes(void **state)
{
	const unsigned each = HANDLES_USER_BYTES / PEM_FILE_MAX;
	struct handles *hs = *state;
	struct handle *h = NULL, *other = NULL;
	struct error err = {0};

	for (unsigned i = 0; i < each; i++) {
		assert_int_equal(handle_open(hs, USER, NULL, &h, &err), 0);
		assert_int_equal(handle_resize(h, PEM_FILE_MAX), 0);
	}
	assert_int_equal(handle_open(hs, USER, NULL, &other, &err), 0);
	assert_int_equal(handle_write(other, "x", 1, 0), -EDQUOT);
	assert_null(other->content);
	assert_int_equal(handle_open(hs, USER, secret_copy("page", 4), &other, &err),
			 -EDQUOT);
	assert_int_equal(handle_open(hs, USER + 1, NULL, &other, &err), 0);
	assert_int_equal(handle_resize(other, PEM_FILE_MAX), 0);
	/* What is cut off or closed makes room. */
	assert_int_equal(handle_resize(h, 3), 0);
	assert_in_range(secret_capacity(h->content), 3, 4096);
	handle_close(hs, h->fh);
	assert_int_equal(handle_open(hs, USER, NULL, &h, &err), 0);
	assert_int_equal(handle_resize(h, PEM_FILE_MAX), 0);
}

static void a_mark_is_this_workers_and_no_handles(void **state)
{
	struct handles *hs = *state, *dead = handles_new();
	struct handle *h = opened(hs, NULL);

	assert_true(handle_is_ours(hs, handle_mark(hs)));
	assert_true(handle_is_ours(hs, h->fh));
	assert_null(handle_find(hs, handle_mark(hs)));
	assert_false(handle_is_ours(hs, handle_mark(dead)));
	handles_free(dead);
}

static void a_page_is_kept_as_it_was_rendered(void **state)
{
	struct handle *h = opened(*state, secret_copy("page", 4));

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
	struct handle *page = opened(hs, NULL), *h = opened(hs, NULL);

	page->number = h->number = 3;
	page->kind = h->kind = FILE_PRIVKEY;
	page->opener = h->opener = 77;
	assert_null(handle_of(hs, 3, FILE_PRIVKEY, 77));
	h->writing = true;
	assert_ptr_equal(handle_of(hs, 3, FILE_PRIVKEY, 77), h);
	assert_null(handle_of(hs, 4, FILE_PRIVKEY, 77));
	assert_null(handle_of(hs, 3, FILE_CERT, 77));
	assert_null(handle_of(hs, 3, FILE_PRIVKEY, 78));
	page->writing = true;
	assert_ptr_equal(handle_of(hs, 3, FILE_PRIVKEY, 77), h); /* the last one */
	handle_close(hs, h->fh);
	assert_ptr_equal(handle_of(hs, 3, FILE_PRIVKEY, 77), page);
	handle_close(hs, page->fh);
	assert_null(handle_of(hs, 3, FILE_PRIVKEY, 77));
}

static void writes_collect_in_any_order(void **state)
{
	struct handle *h = opened(*state, NULL);

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
	struct handle *h = opened(*state, NULL);

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
	struct handle *h = opened(*state, NULL);

	assert_int_equal(handle_write(h, "secret", 6, 0), 0);
	assert_int_equal(handle_resize(h, 1), 0);
	assert_int_equal(handle_resize(h, 6), 0);
	assert_memory_equal(secret_data(h->content), "s\0\0\0\0\0", 6);
}

static void a_file_beyond_its_limit_is_refused_and_stays(void **state)
{
	struct handle *h = opened(*state, NULL);
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
	    TEST(one_users_flood_leaves_places_for_others),
	    TEST(one_user_has_so_many_bytes),
	    TEST(a_mark_is_this_workers_and_no_handles),
	    TEST(a_page_is_kept_as_it_was_rendered),
	    TEST(the_write_handle_of_a_file_and_process_is_found),
	    TEST(writes_collect_in_any_order),
	    TEST(what_did_not_change_is_not_dirty),
	    TEST(what_was_cut_off_does_not_come_back),
	    TEST(a_file_beyond_its_limit_is_refused_and_stays),
	};

	return cmocka_run_group_tests_name("handle", tests, NULL, NULL);
}
