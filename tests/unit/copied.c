/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/copied.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define NOW_MS 1000000
#define TID    77
#define NUMBER 5
#define WHAT   3

static int setup(void **state)
{
	static struct copied c;

	memset(&c, 0, sizeof(c));
	*state = &c;
	return 0;
}

static void who_has_opened_a_file_is_known_for_a_while(void **state)
{
	struct copied *c = *state;

	assert_false(copied_has(c, TID, NUMBER, WHAT, NOW_MS));
	copied_note(c, TID, NUMBER, WHAT, NOW_MS);
	assert_true(copied_has(c, TID, NUMBER, WHAT, NOW_MS));
	assert_true(copied_has(c, TID, NUMBER, WHAT, NOW_MS + COPIED_S * 1000 - 1));
	assert_false(copied_has(c, TID, NUMBER, WHAT, NOW_MS + COPIED_S * 1000));
}

static void all_files_of_a_directory_are_known_together(void **state)
{
	struct copied *c = *state;

	for (pid_t tid = 1; tid < 2000; tid++) {
		for (unsigned what = 0; what < 100; what++)
			copied_note(c, tid, NUMBER, what, NOW_MS);
		for (unsigned what = 0; what < 100; what++)
			assert_true(copied_has(c, tid, NUMBER, what, NOW_MS));
	}
}

static void neither_others_nor_other_files_are_meant(void **state)
{
	struct copied *c = *state;

	copied_note(c, TID, NUMBER, WHAT, NOW_MS);
	assert_false(copied_has(c, TID + 1, NUMBER, WHAT, NOW_MS));
	assert_false(copied_has(c, TID, NUMBER + 1, WHAT, NOW_MS));
	assert_false(copied_has(c, TID, NUMBER, WHAT + 1, NOW_MS));
}

static void thread_that_can_not_be_seen_has_opened_nothing(void **state)
{
	struct copied *c = *state;

	copied_note(c, 0, NUMBER, WHAT, NOW_MS);
	assert_false(copied_has(c, 0, NUMBER, WHAT, NOW_MS));
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(who_has_opened_a_file_is_known_for_a_while),
	    TEST(all_files_of_a_directory_are_known_together),
	    TEST(neither_others_nor_other_files_are_meant),
	    TEST(thread_that_can_not_be_seen_has_opened_nothing),
	};

	return cmocka_run_group_tests_name("copied", tests, NULL, NULL);
}
