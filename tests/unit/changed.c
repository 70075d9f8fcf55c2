/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "tests/unit/temp_store.h"

#include "store/changed.h"

#include <errno.h>

static int clear_old(struct txn *txn, void *arg, struct error *err)
{
	uint64_t first, second, serial;
	uint32_t number;

	(void)arg;
	assert_ok(changed_mark(txn, 5, 0, &first, err), err);
	assert_ok(changed_mark(txn, 5, 0, &second, err), err);
	assert_true(second > first);
	assert_ok(changed_clear(txn, 5, first, err), err);
	assert_ok(changed_next(txn, 0, &number, &serial, err), err);
	assert_int_equal(number, 5);
	assert_int_equal(serial, second);
	assert_ok(changed_clear(txn, 5, second, err), err);
	assert_int_equal(changed_next(txn, 0, &number, &serial, err), -ENOENT);
	return changed_clear(txn, 5, second, err);
}

static void older_notification_clears_no_newer_mark(void **state)
{
	in_update(*state, clear_old, NULL);
}

static int mark_before(struct txn *txn, void *arg, struct error *err)
{
	uint64_t serial, last;
	uint32_t before;

	(void)arg;
	assert_ok(changed_before(txn, 5, &before, &last, err), err);
	assert_int_equal(before, 0);
	assert_ok(changed_mark(txn, 5, 0, &serial, err), err);
	assert_ok(changed_mark(txn, 5, 17, &serial, err), err);
	assert_ok(changed_mark(txn, 5, 18, &serial, err), err);
	assert_ok(changed_mark(txn, 5, 0, &serial, err), err);
	assert_ok(changed_before(txn, 5, &before, &last, err), err);
	assert_int_equal(before, 17);
	assert_int_equal(last, serial);
	assert_ok(changed_clear(txn, 5, serial, err), err);
	assert_ok(changed_before(txn, 5, &before, &last, err), err);
	assert_int_equal(before, 0);
	return 0;
}

static void what_caches_may_hold_is_known_until_they_are_told(void **state)
{
	in_update(*state, mark_before, NULL);
}

static int walk(struct txn *txn, void *arg, struct error *err)
{
	static const uint32_t numbers[] = {0, 3, 300, UINT32_MAX};
	uint32_t number, from = 0;
	uint64_t serial;

	(void)arg;
	for (size_t i = 4; i-- > 0;)
		assert_ok(changed_mark(txn, numbers[i], 0, &serial, err), err);
	for (size_t i = 0; i < 4; i++) {
		assert_ok(changed_next(txn, from, &number, &serial, err), err);
		assert_int_equal(number, numbers[i]);
		from = number + 1;
	}
	assert_int_equal(changed_next(txn, 301, &number, &serial, err), 0);
	assert_ok(changed_clear(txn, UINT32_MAX, serial, err), err);
	assert_int_equal(changed_next(txn, 301, &number, &serial, err), -ENOENT);
	return 0;
}

static void rows_come_by_number_the_listing_first(void **state)
{
	in_update(*state, walk, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    store_test(older_notification_clears_no_newer_mark),
	    store_test(what_caches_may_hold_is_known_until_they_are_told),
	    store_test(rows_come_by_number_the_listing_first),
	};

	return cmocka_run_group_tests_name("changed", tests, NULL, NULL);
}
