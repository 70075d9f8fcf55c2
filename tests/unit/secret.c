/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

static void new_secret_is_empty_and_holds_its_capacity(void **state)
{
	(void)state;
	struct secret *s = secret_new(8);
	assert_non_null(s);
	assert_int_equal(secret_size(s), 0);
	assert_int_equal(secret_capacity(s), 8);
	secret_free(s);
}

static void append_that_does_not_fit_appends_nothing(void **state)
{
	(void)state;
	struct secret *s = secret_new(8);
	assert_int_equal(secret_append(s, "12345", 5), 0);
	assert_int_equal(secret_append(s, "6789", 4), -ENOSPC);
	assert_int_equal(secret_size(s), 5);
	assert_int_equal(secret_append(s, "678", 3), 0);
	assert_memory_equal(secret_data(s), "12345678", 8);
	assert_int_equal(secret_append(s, NULL, 0), 0);
	assert_int_equal(secret_append(s, "9", 1), -ENOSPC);
	secret_free(s);
}

static void secret_is_never_moved(void **state)
{
	(void)state;
	struct secret *s = secret_new(64);
	const unsigned char *at = secret_data(s);
	for (int i = 0; i < 64; i++)
		assert_int_equal(secret_append(s, "x", 1), 0);
	assert_ptr_equal(secret_data(s), at);
	assert_ptr_equal(secret_room(s), at);
	secret_free(s);
}

static void what_shrinking_uncovers_is_zero(void **state)
{
	(void)state;
	static const unsigned char zero[6];
	struct secret *s = secret_copy("key bytes", 9);
	secret_resize(s, 3);
	assert_int_equal(secret_size(s), 3);
	assert_memory_equal(secret_data(s) + 3, zero, 6);
	secret_resize(s, 9);
	assert_memory_equal(secret_data(s), "key\0\0\0\0\0\0", 9);
	secret_resize(s, 10);
	assert_int_equal(secret_size(s), 9);
	secret_free(s);
}

static void filled_room_is_kept(void **state)
{
	(void)state;
	struct secret *s = secret_new(4);
	memcpy(secret_room(s), "abcd", 4);
	secret_fill(s, 4);
	assert_int_equal(secret_size(s), 4);
	assert_memory_equal(secret_data(s), "abcd", 4);
	secret_free(s);
}

static void growing_keeps_what_is_in_it_and_begins_with_nothing(void **state)
{
	(void)state;
	struct secret *s = NULL;
	assert_int_equal(secret_grow(&s, 0), 0);
	assert_non_null(s);
	assert_int_equal(secret_append(s, "key bytes", 9), 0);
	const size_t room = secret_capacity(s);
	const struct secret *before = s;
	assert_int_equal(secret_grow(&s, room), 0);
	assert_ptr_equal(s, before);
	assert_int_equal(secret_grow(&s, room + 1), 0);
	assert_true(secret_capacity(s) > room);
	assert_int_equal(secret_size(s), 9);
	assert_memory_equal(secret_data(s), "key bytes", 9);
	secret_free(s);
}

static void what_cannot_grow_stays_as_it_was(void **state)
{
	(void)state;
	struct secret *s = secret_copy("key bytes", 9), *before = s;
	assert_int_equal(secret_grow(&s, SIZE_MAX), -ENOMEM);
	assert_ptr_equal(s, before);
	assert_memory_equal(secret_data(s), "key bytes", 9);
	secret_free(s);
}

static void impossible_size_has_no_secret(void **state)
{
	(void)state;
	assert_null(secret_new(SIZE_MAX));
	assert_null(secret_new(SIZE_MAX - 8));
	secret_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(new_secret_is_empty_and_holds_its_capacity),
	    cmocka_unit_test(append_that_does_not_fit_appends_nothing),
	    cmocka_unit_test(secret_is_never_moved),
	    cmocka_unit_test(what_shrinking_uncovers_is_zero),
	    cmocka_unit_test(filled_room_is_kept),
	    cmocka_unit_test(growing_keeps_what_is_in_it_and_begins_with_nothing),
	    cmocka_unit_test(what_cannot_grow_stays_as_it_was),
	    cmocka_unit_test(impossible_size_has_no_secret),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
