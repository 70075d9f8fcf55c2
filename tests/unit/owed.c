/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "tests/unit/temp_store.h"

#include "store/owed.h"

#include <errno.h>

static int clear_old(struct txn *txn, void *arg, struct error *err)
{
	uint64_t first, second;
	struct owed o;

	(void)arg;
	assert_ok(owed_mark(txn, 5, 1, &first, err), err);
	assert_ok(owed_mark(txn, 5, 2, &second, err), err);
	assert_true(second > first);
	assert_ok(owed_clear(txn, 5, first, err), err);
	assert_ok(owed_get(txn, 5, &o, err), err);
	assert_int_equal(o.number, 5);
	assert_int_equal(o.before, 2);
	assert_int_equal(o.serial, second);
	assert_ok(owed_clear(txn, 5, second, err), err);
	assert_int_equal(owed_get(txn, 5, &o, err), -ENOENT);
	return owed_clear(txn, 5, second, err);
}

static void change_that_came_meanwhile_stays_owed(void **state)
{
	in_update(*state, clear_old, NULL);
}

static int walk(struct txn *txn, void *arg, struct error *err)
{
	static const uint32_t numbers[] = {1, 3, 300, UINT32_MAX};
	uint32_t from = 0;
	uint64_t serial;
	struct owed o;

	(void)arg;
	for (size_t i = 4; i-- > 0;)
		assert_ok(owed_mark(txn, numbers[i], 7, &serial, err), err);
	for (size_t i = 0; i < 4; i++) {
		assert_ok(owed_next(txn, from, &o, err), err);
		assert_int_equal(o.number, numbers[i]);
		from = o.number + 1;
	}
	assert_ok(owed_clear(txn, UINT32_MAX, o.serial, err), err);
	assert_int_equal(owed_next(txn, 301, &o, err), -ENOENT);
	return 0;
}

static void everything_owed_is_found_in_order_of_numbers(void **state)
{
	in_update(*state, walk, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    store_test(change_that_came_meanwhile_stays_owed),
	    store_test(everything_owed_is_found_in_order_of_numbers),
	};

	return cmocka_run_group_tests_name("owed", tests, NULL, NULL);
}
