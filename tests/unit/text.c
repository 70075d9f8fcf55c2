/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static void cleaning_keeps_valid_text_and_its_length(void **state)
{
	(void)state;
	static const struct {
		const char *dirty, *clean;
	} known[] = {
	    {"b\xc3\xbc"
	     "cher \xe2\x82\xac \xf0\x9f\x94\x91",
	     "b\xc3\xbc"
	     "cher \xe2\x82\xac \xf0\x9f\x94\x91"},
	    {"a\tb\x7f", "a?b?"},
	    {"\xc2\x85", "??"},           /* U+0085, a line end */
	    {"\xc0\xaf", "??"},           /* overlong */
	    {"\xe0\x80\xaf", "???"},      /* overlong */
	    {"\xed\xa0\x80", "???"},      /* a surrogate */
	    {"\xf4\x90\x80\x80", "????"}, /* above U+10FFFF */
	    {"\xf5\x80\x80\x80", "????"},
	    {"\xe2\x82", "??"}, /* cut */
	    {"\x80x", "?x"},
	    {"", ""},
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		char text[64];
		snprintf(text, sizeof(text), "%s", known[i].dirty);
		text_clean(text);
		assert_string_equal(text, known[i].clean);
	}
}

/* Shortened by one byte after the other, as snprintf() cuts for ever smaller buffers. */
static void no_half_character_is_left_of_a_cut_text(void **state)
{
	static const char *const character[] = {"x", "\xc3\xbc", "\xe2\x82\xac",
						"\xf0\x9f\x94\x91"};

	(void)state;
	for (size_t c = 0; c < sizeof(character) / sizeof(*character); c++) {
		const size_t size = strlen(character[c]);

		for (size_t room = 1; room <= 1 + 3 * size; room++) {
			char text[16];

			snprintf(text, room, "%s%s%s", character[c], character[c],
				 character[c]);
			text_trim(text);
			assert_int_equal(strlen(text), (room - 1) / size * size);
			text_clean(text);
			assert_null(strchr(text, '?'));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(cleaning_keeps_valid_text_and_its_length),
	    cmocka_unit_test(no_half_character_is_left_of_a_cut_text),
	};

	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
