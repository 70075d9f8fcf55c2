/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "tests/unit/temp_store.h"

#include "store/answered.h"

#include <errno.h>

static int answer(struct txn *txn, void *arg, struct error *err)
{
	int32_t result = 1;

	(void)arg;
	assert_fails(ENOENT, answered_get(txn, 1, 10, &result, err), err);
	assert_ok(answered_put(txn, 1, 10, 0, err), err);
	assert_ok(answered_put(txn, 1, 12, -EEXIST, err), err);
	assert_ok(answered_put(txn, 2, 10, -ENOSPC, err), err);
	return 0;
}

static void replay_gets_the_result_of_its_request(void **state)
{
	struct temp_store *t = *state;
	struct txn *txn;
	int32_t result;

	in_update(t, answer, NULL);
	txn = read_begin(t);
	assert_ok(answered_get(txn, 1, 10, &result, &t->err), &t->err);
	assert_int_equal(result, 0);
	assert_ok(answered_get(txn, 1, 12, &result, &t->err), &t->err);
	assert_int_equal(result, -EEXIST);
	assert_ok(answered_get(txn, 2, 10, &result, &t->err), &t->err);
	assert_int_equal(result, -ENOSPC);
	assert_fails(ENOENT, answered_get(txn, 2, 12, &result, &t->err), &t->err);
	db_read_end(txn);
}

static int drop(struct txn *txn, void *arg, struct error *err)
{
	const uint64_t keep[] = {77, 12};
	int32_t result;

	assert_ok(answer(txn, arg, err), err);
	assert_ok(answered_drop(txn, keep, 2, err), err);
	assert_int_equal(db_entries(txn, DB_ANSWERED), 1);
	assert_ok(answered_get(txn, 1, 12, &result, err), err);
	assert_ok(answered_drop(txn, NULL, 0, err), err);
	assert_int_equal(db_entries(txn, DB_ANSWERED), 0);
	return answered_drop(txn, NULL, 0, err);
}

static void drop_keeps_those_in_flight(void **state)
{
	in_update(*state, drop, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    store_test(replay_gets_the_result_of_its_request),
	    store_test(drop_keeps_those_in_flight),
	};

	return cmocka_run_group_tests_name("answered", tests, NULL, NULL);
}
