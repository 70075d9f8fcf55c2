/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "tests/unit/temp_store.h"

#include "store/due.h"

#include <errno.h>

static int order_by_time(struct txn *txn, void *arg, struct error *err)
{
	uint32_t number;
	int64_t at_s;

	(void)arg;
	assert_int_equal(due_first(txn, &at_s, &number, err), -ENOENT);
	assert_ok(due_set(txn, 7, 300, err), err);
	assert_ok(due_set(txn, 8, 100, err), err);
	assert_ok(due_set(txn, 9, -5, err), err);
	assert_ok(due_set(txn, 6, 100, err), err);
	for (int i = 0; i < 4; i++) {
		static const int64_t at[] = {-5, 100, 100, 300};
		static const uint32_t who[] = {9, 6, 8, 7};

		assert_ok(due_first(txn, &at_s, &number, err), err);
		assert_int_equal(at_s, at[i]);
		assert_int_equal(number, who[i]);
		assert_ok(due_set(txn, number, INT64_MAX, err), err);
	}
	assert_int_equal(due_first(txn, &at_s, &number, err), -ENOENT);
	return 0;
}

static void head_is_the_earliest(void **state)
{
	in_update(*state, order_by_time, NULL);
}

static int move(struct txn *txn, void *arg, struct error *err)
{
	int64_t at_s;

	(void)arg;
	assert_ok(due_get(txn, 7, &at_s, err), err);
	assert_int_equal(at_s, INT64_MAX);
	assert_ok(due_set(txn, 7, 300, err), err);
	assert_ok(due_set(txn, 7, 500, err), err);
	assert_ok(due_get(txn, 7, &at_s, err), err);
	assert_int_equal(at_s, 500);
	assert_int_equal(db_entries(txn, DB_DUE), 1);
	assert_int_equal(db_entries(txn, DB_DUE_AT), 1);
	return 0;
}

static void moving_a_domain_leaves_one_row(void **state)
{
	in_update(*state, move, NULL);
}

static int sooner(struct txn *txn, void *arg, struct error *err)
{
	int64_t at_s;

	(void)arg;
	assert_ok(due_sooner(txn, 7, 300, err), err);
	assert_ok(due_sooner(txn, 7, 500, err), err);
	assert_ok(due_get(txn, 7, &at_s, err), err);
	assert_int_equal(at_s, 300);
	assert_ok(due_sooner(txn, 7, 100, err), err);
	assert_ok(due_get(txn, 7, &at_s, err), err);
	assert_int_equal(at_s, 100);
	return 0;
}

static void sooner_never_puts_off(void **state)
{
	in_update(*state, sooner, NULL);
}

static int take_out(struct txn *txn, void *arg, struct error *err)
{
	(void)arg;
	assert_ok(due_set(txn, 7, INT64_MAX, err), err);
	assert_ok(due_set(txn, 7, 300, err), err);
	assert_ok(due_set(txn, 7, INT64_MAX, err), err);
	assert_int_equal(db_entries(txn, DB_DUE), 0);
	assert_int_equal(db_entries(txn, DB_DUE_AT), 0);
	return 0;
}

static void what_is_taken_out_leaves_nothing(void **state)
{
	in_update(*state, take_out, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    store_test(head_is_the_earliest),
	    store_test(moving_a_domain_leaves_one_row),
	    store_test(sooner_never_puts_off),
	    store_test(what_is_taken_out_leaves_nothing),
	};

	return cmocka_run_group_tests_name("due", tests, NULL, NULL);
}
