/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

static void setting_returns_the_negated_code(void **state)
{
	(void)state;
	struct error err = {0};
	assert_int_equal(error_set(&err, EBADMSG, "no %s in %d bytes", "block", 12),
			 -EBADMSG);
	assert_int_equal(err.code, EBADMSG);
	assert_string_equal(err.text, "no block in 12 bytes");
}

static void a_note_is_set_where_nothing_is_returned(void **state)
{
	(void)state;
	struct error err = {0};
	error_note(&err, EPROTO, "%s\n", "no nonce");
	assert_int_equal(err.code, EPROTO);
	assert_string_equal(err.text, "no nonce?");
}

static void context_goes_in_front_and_keeps_the_cause(void **state)
{
	(void)state;
	struct error err = {0};
	int r = error_set(&err, ENOENT, "no such row");
	assert_int_equal(r, -ENOENT);
	assert_int_equal(error_context(&err, "domain %s", "app.example.com"), -ENOENT);
	assert_string_equal(err.text, "domain app.example.com: no such row");
	assert_int_equal(err.code, ENOENT);
}

static void long_text_is_cut_at_a_characters_border(void **state)
{
	(void)state;
	/* Shifted byte by byte, so that the cut meets each place inside a character. */
	static const char *const character[] = {"x", "\xc3\xbc", "\xe2\x82\xac",
						"\xf0\x9f\x94\x91"};
	for (size_t c = 0; c < sizeof(character) / sizeof(*character); c++)
		for (size_t shift = 0; shift < 4; shift++) {
			char text[2048] = {0};
			size_t size = strlen(character[c]);
			memset(text, 'a', shift);
			for (size_t at = shift; at + size < sizeof(text); at += size)
				memcpy(text + at, character[c], size);
			struct error err = {0};
			int r = error_set(&err, EINVAL, "%s", text);
			size_t length = strlen(err.text);
			assert_int_equal(r, -EINVAL);
			assert_in_range(length, ERROR_TEXT_MAX - 4, ERROR_TEXT_MAX - 1);
			assert_int_equal((length - shift) % size, 0);
			assert_memory_equal(err.text, text, length);
		}
}

static void long_context_is_cut_at_a_characters_border(void **state)
{
	(void)state;
	char text[401] = {0};
	for (size_t i = 0; i < 200; i++)
		memcpy(text + 2 * i, "\xc3\xbc", 2);
	struct error err = {0};
	int r = error_set(&err, EINVAL, "%s", text);
	assert_int_equal(r, -EINVAL);
	assert_int_equal(error_context(&err, "a%s", text), -EINVAL);
	/* "a", 400 bytes, ": ", then whole characters of two bytes: an odd length. */
	assert_int_equal(strlen(err.text) % 2, 1);
	assert_int_equal(strlen(err.text), ERROR_TEXT_MAX - 1);
}

static void text_from_outside_forges_no_line(void **state)
{
	(void)state;
	struct error err = {0};
	int r = error_set(&err, EINVAL, "'%s' is no name", "a\nb\xff\x1b[0m");
	assert_int_equal(r, -EINVAL);
	assert_string_equal(err.text, "'a?b??[0m' is no name");
}

static void clearing_leaves_nothing(void **state)
{
	(void)state;
	struct error err = {0};
	int r = error_set(&err, EINVAL, "x");
	assert_int_equal(r, -EINVAL);
	error_clear(&err);
	assert_int_equal(err.code, 0);
	assert_string_equal(err.text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(setting_returns_the_negated_code),
	    cmocka_unit_test(a_note_is_set_where_nothing_is_returned),
	    cmocka_unit_test(context_goes_in_front_and_keeps_the_cause),
	    cmocka_unit_test(long_text_is_cut_at_a_characters_border),
	    cmocka_unit_test(long_context_is_cut_at_a_characters_border),
	    cmocka_unit_test(text_from_outside_forges_no_line),
	    cmocka_unit_test(clearing_leaves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
