/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/gone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define NOW_MS 1000000
#define TID    77
#define NUMBER 5

static int setup(void **state)
{
	static struct gone g;

	memset(&g, 0, sizeof(g));
	*state = &g;
	return 0;
}

static void a_name_is_gone_for_the_thread_that_unlinked_it(void **state)
{
	struct gone *g = *state;

	assert_false(gone_has(g, TID, NUMBER, FILE_CERT, NOW_MS));
	gone_note(g, TID, NUMBER, FILE_CERT, NOW_MS);
	assert_true(gone_has(g, TID, NUMBER, FILE_CERT, NOW_MS));
}

static void it_is_there_for_everybody_else(void **state)
{
	struct gone *g = *state;

	gone_note(g, TID, NUMBER, FILE_CERT, NOW_MS);
	assert_false(gone_has(g, TID + 1, NUMBER, FILE_CERT, NOW_MS));
	assert_false(gone_has(g, TID, NUMBER + 1, FILE_CERT, NOW_MS));
	assert_false(gone_has(g, TID, NUMBER, FILE_PRIVKEY, NOW_MS));
}

static void it_comes_back_when_nobody_creates_it(void **state)
{
	struct gone *g = *state;

	gone_note(g, TID, NUMBER, FILE_CERT, NOW_MS);
	assert_true(gone_has(g, TID, NUMBER, FILE_CERT, NOW_MS + GONE_S * 1000 - 1));
	assert_false(gone_has(g, TID, NUMBER, FILE_CERT, NOW_MS + GONE_S * 1000));
}

static void creating_it_ends_it_and_leaves_the_others(void **state)
{
	struct gone *g = *state;

	gone_note(g, TID, NUMBER, FILE_CERT, NOW_MS);
	gone_note(g, TID, NUMBER, FILE_CERT, NOW_MS + 1); /* unlinked twice */
	gone_note(g, TID, NUMBER, FILE_PRIVKEY, NOW_MS);
	gone_forget(g, TID, NUMBER, FILE_CERT);
	assert_false(gone_has(g, TID, NUMBER, FILE_CERT, NOW_MS));
	assert_true(gone_has(g, TID, NUMBER, FILE_PRIVKEY, NOW_MS));
}

static void a_flood_of_unlinks_forgets_the_oldest(void **state)
{
	struct gone *g = *state;

	for (pid_t tid = 1; tid <= GONE_PLACES + 1; tid++)
		gone_note(g, tid, NUMBER, FILE_CERT, NOW_MS);
	assert_false(gone_has(g, 1, NUMBER, FILE_CERT, NOW_MS));
	for (pid_t tid = 2; tid <= GONE_PLACES + 1; tid++)
		assert_true(gone_has(g, tid, NUMBER, FILE_CERT, NOW_MS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(a_name_is_gone_for_the_thread_that_unlinked_it, setup),
	    cmocka_unit_test_setup(it_is_there_for_everybody_else, setup),
	    cmocka_unit_test_setup(it_comes_back_when_nobody_creates_it, setup),
	    cmocka_unit_test_setup(creating_it_ends_it_and_leaves_the_others, setup),
	    cmocka_unit_test_setup(a_flood_of_unlinks_forgets_the_oldest, setup),
	};

	return cmocka_run_group_tests_name("gone", tests, NULL, NULL);
}
