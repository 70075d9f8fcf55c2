/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/rotation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define NUMBER 7u
#define STEP   ROTATION_STEP_MS

struct world {
	void *memory;
	struct rotations *rs;
	int64_t now_ms;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	w->memory = calloc(1, rotations_size());
	w->rs = rotations_in(w->memory);
	w->now_ms = 5000;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	free(w->memory);
	free(w);
	return 0;
}

static void stands_at(struct world *w, int64_t after_ms, enum rotation_step step)
{
	uint32_t before = 0;
	int64_t since_ms;
	assert_int_equal(
	    rotation_of(w->rs, NUMBER, w->now_ms + after_ms, &before, &since_ms), step);
	if (step != ROTATION_NONE)
		assert_in_range(since_ms, 1, w->now_ms + after_ms);
	if (step == ROTATION_ARMED)
		assert_int_equal(before, 3);
}

static void rotation_has_three_steps(void **state)
{
	struct world *w = *state;
	stands_at(w, 0, ROTATION_NONE);
	rotation_begin(w->rs, NUMBER, 3, w->now_ms);
	stands_at(w, 0, ROTATION_ARMED);
	stands_at(w, STEP - 1, ROTATION_ARMED);
	stands_at(w, STEP, ROTATION_SWITCHED);
	stands_at(w, 2 * STEP - 1, ROTATION_SWITCHED);
	stands_at(w, 2 * STEP, ROTATION_NONE);
}

static void moment_of_the_switch_is_known_until_then(void **state)
{
	struct world *w = *state;
	assert_int_equal(rotation_switch_ms(w->rs, NUMBER, w->now_ms), 0);
	rotation_begin(w->rs, NUMBER, 3, w->now_ms);
	assert_int_equal(rotation_switch_ms(w->rs, NUMBER, w->now_ms), w->now_ms + STEP);
	rotation_begin(w->rs, NUMBER, 4, w->now_ms + STEP - 1);
	assert_int_equal(rotation_switch_ms(w->rs, NUMBER, w->now_ms + STEP - 1),
			 w->now_ms + STEP);
	assert_int_equal(rotation_switch_ms(w->rs, NUMBER, w->now_ms + STEP), 0);
}

static void generation_that_comes_while_armed_waits_for_no_switch_of_its_own(void **state)
{
	struct world *w = *state;
	rotation_begin(w->rs, NUMBER, 3, w->now_ms);
	rotation_begin(w->rs, NUMBER, 4, w->now_ms + STEP / 2);
	stands_at(w, STEP - 1, ROTATION_ARMED);
	stands_at(w, STEP, ROTATION_SWITCHED);
	stands_at(w, 2 * STEP, ROTATION_NONE);
}

static void generation_that_comes_after_the_switch_is_named_at_once(void **state)
{
	struct world *w = *state;
	rotation_begin(w->rs, NUMBER, 3, w->now_ms);
	rotation_begin(w->rs, NUMBER, 4, w->now_ms + STEP + STEP / 2);
	stands_at(w, STEP + STEP / 2, ROTATION_SWITCHED);
	stands_at(w, 2 * STEP, ROTATION_SWITCHED);
	stands_at(w, 2 * STEP + STEP / 2, ROTATION_NONE);
}

static void first_generation_has_nothing_to_wait_for(void **state)
{
	struct world *w = *state;
	rotation_begin(w->rs, NUMBER, 0, w->now_ms);
	stands_at(w, 0, ROTATION_NONE);
}

static void worker_that_was_replaced_goes_on(void **state)
{
	struct world *w = *state;
	rotation_begin(w->rs, NUMBER, 3, w->now_ms);
	w->rs = rotations_in(w->memory);
	stands_at(w, 0, ROTATION_ARMED);
	*(uint32_t *)w->memory += 1;
	w->rs = rotations_in(w->memory);
	stands_at(w, 0, ROTATION_NONE);
}

static void table_is_bounded_and_full_places_are_used_again(void **state)
{
	struct world *w = *state;
	uint32_t before, armed = 0;
	int64_t since_ms;
	for (uint32_t number = 1; number <= 100000; number++)
		rotation_begin(w->rs, number, 1, w->now_ms);
	for (uint32_t number = 1; number <= 100000; number++)
		armed += rotation_of(w->rs, number, w->now_ms, &before, &since_ms) ==
			 ROTATION_ARMED;
	assert_in_range(armed, 3500, 4096);
	w->now_ms += 2 * STEP;
	rotation_begin(w->rs, NUMBER, 3, w->now_ms);
	stands_at(w, 0, ROTATION_ARMED);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(rotation_has_three_steps),
	    T(moment_of_the_switch_is_known_until_then),
	    T(generation_that_comes_while_armed_waits_for_no_switch_of_its_own),
	    T(generation_that_comes_after_the_switch_is_named_at_once),
	    T(first_generation_has_nothing_to_wait_for),
	    T(worker_that_was_replaced_goes_on),
	    T(table_is_bounded_and_full_places_are_used_again),
	};
	return cmocka_run_group_tests_name("rotation", tests, NULL, NULL);
}
