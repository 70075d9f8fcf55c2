/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void splits(const char *text, const char *const *expected, size_t count)
{
	char **words = NULL;
	struct error err;

	assert_int_equal(words_split(text, &words, &err), 0);
	for (size_t i = 0; i < count; i++)
		assert_string_equal(words[i], expected[i]);
	assert_null(words[count]);
	free(words);
}

static void blanks_part_words(void **state)
{
	static const char *const words[] = {"/bin/a", "b", "c"};

	(void)state;
	splits("/bin/a b c", words, 3);
	splits("  /bin/a\t b   c ", words, 3);
	splits("/bin/a", words, 1);
}

static void quotes_keep_a_word_together(void **state)
{
	static const char *const words[] = {"/bin/a", "b c",  "",
					    "d e",    "\"\\", "\\n'$x'"};

	(void)state;
	splits("/bin/a \"b c\" \"\" d\" \"e \"\\\"\\\\\" \\n'$x'", words, 6);
}

static void every_character_can_be_a_word(void **state)
{
	char text[400], **words = NULL;
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = i % 2 ? ' ' : 'x';
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(words_split(text, &words, &err), 0);
	for (size_t i = 0; i < sizeof(text) / 2; i++)
		assert_string_equal(words[i], "x");
	assert_null(words[sizeof(text) / 2]);
	free(words);
}

static void refuses(const char *text, const char *reason)
{
	char **words = NULL;
	struct error err;

	assert_int_equal(words_command(text, &words, &err), -EINVAL);
	assert_null(words);
	assert_non_null(strstr(err.text, reason));
}

static void what_is_no_command_is_refused_with_its_reason(void **state)
{
	(void)state;
	refuses("", "no program");
	refuses("  ", "no program");
	refuses("/bin/a \"b", "isn't closed");
	refuses("/bin/a \n b", "control character");
	refuses("systemctl reload nginx", "absolute path");
	refuses("\"\" /bin/a", "absolute path");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(blanks_part_words),
	    cmocka_unit_test(quotes_keep_a_word_together),
	    cmocka_unit_test(every_character_can_be_a_word),
	    cmocka_unit_test(what_is_no_command_is_refused_with_its_reason),
	};

	return cmocka_run_group_tests_name("words", tests, NULL, NULL);
}
