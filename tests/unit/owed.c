/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "tests/unit/temp_store.h"

#include "store/owed.h"

#include <errno.h>

static struct owed row(struct txn *txn, uint32_t number, struct error *err)
{
	struct owed o;

	assert_ok(owed_get(txn, number, &o, err), err);
	assert_int_equal(o.number, number);
	return o;
}

static void assert_gone(struct txn *txn, uint32_t number, struct error *err)
{
	struct owed o;

	assert_int_equal(owed_get(txn, number, &o, err), -ENOENT);
	assert_int_equal(o.count, 0);
	assert_int_equal(err->code, 0);
}

static int tell_old(struct txn *txn, void *arg, struct error *err)
{
	uint64_t first, second;
	struct owed o;

	(void)arg;
	assert_ok(owed_mark(txn, 5, 1, &first, err), err);
	assert_ok(owed_mark(txn, 5, 2, &second, err), err);
	assert_true(second > first);
	assert_ok(owed_hooked(txn, 5, first, err), err);
	assert_ok(owed_drop(txn, 5, first, err), err);
	assert_ok(owed_told(txn, 5, 1, first, err), err);
	o = row(txn, 5, err);
	assert_true(o.hook);
	assert_int_equal(o.serial, second);
	assert_int_equal(o.count, 1);
	assert_int_equal(o.before[0].gen, 2);
	assert_ok(owed_hooked(txn, 5, second, err), err);
	assert_false(row(txn, 5, err).hook);
	assert_ok(owed_told(txn, 5, 2, second, err), err);
	assert_gone(txn, 5, err);
	assert_ok(owed_told(txn, 5, 2, second, err), err);
	return owed_hooked(txn, 5, second, err);
}

static void change_that_came_meanwhile_stays_owed(void **state)
{
	in_update(*state, tell_old, NULL);
}

static int come_back(struct txn *txn, void *arg, struct error *err)
{
	uint64_t first, second, third;
	struct owed o;

	(void)arg;
	assert_ok(owed_mark(txn, 5, 1, &first, err), err);
	assert_ok(owed_mark(txn, 5, 2, &second, err), err);
	assert_ok(owed_mark(txn, 5, 1, &third, err), err);
	assert_ok(owed_told(txn, 5, 1, first, err), err);
	assert_ok(owed_held(txn, 5, 1, first, 0, err), err);
	o = row(txn, 5, err);
	assert_int_equal(o.count, 2);
	assert_int_equal(o.before[0].gen, 2);
	assert_int_equal(o.before[1].gen, 1);
	assert_int_equal(o.before[1].held, OWED_FILES);
	assert_ok(owed_drop(txn, 5, third, err), err);
	assert_gone(txn, 5, err);
	return 0;
}

static void generation_that_came_back_is_owed_anew(void **state)
{
	in_update(*state, come_back, NULL);
}

static int hold(struct txn *txn, void *arg, struct error *err)
{
	uint64_t serial[4];
	struct owed o;

	(void)arg;
	for (uint32_t i = 1; i < 4; i++)
		assert_ok(owed_mark(txn, 5, i, &serial[i], err), err);
	assert_ok(owed_held(txn, 5, 1, serial[1], 1u << FILE_CERT, err), err);
	assert_ok(owed_held(txn, 5, 2, serial[2], 0, err), err);
	assert_ok(owed_held(txn, 5, 3, serial[3], 0, err), err);
	o = row(txn, 5, err);
	assert_int_equal(o.count, 2); /* with the last one the names are announced */
	assert_int_equal(o.before[0].gen, 1);
	assert_int_equal(o.before[0].held, 1u << FILE_CERT);
	assert_int_equal(o.before[1].gen, 3);
	assert_int_equal(o.before[1].held, 0);
	assert_int_equal(o.names, OWED_FILES);
	assert_ok(owed_mark(txn, 5, 4, &serial[0], err), err);
	o = row(txn, 5, err);
	assert_int_equal(o.count, 2);
	assert_int_equal(o.before[0].gen, 1);
	assert_int_equal(o.before[1].gen, 4);
	return 0;
}

static void generation_that_nobody_holds_is_owed_no_more(void **state)
{
	in_update(*state, hold, NULL);
}

static int overflow(struct txn *txn, void *arg, struct error *err)
{
	uint64_t serial;
	struct owed o;

	(void)arg;
	for (uint32_t i = 1; i <= OWED_MAX + 2; i++)
		assert_ok(owed_mark(txn, 5, i, &serial, err), err);
	o = row(txn, 5, err);
	assert_int_equal(o.count, OWED_MAX);
	assert_int_equal(o.before[0].gen, 1);
	assert_int_equal(o.before[1].gen, 4);
	assert_int_equal(o.before[OWED_MAX - 1].gen, OWED_MAX + 2);
	return 0;
}

static void oldest_and_newest_are_kept_of_too_many(void **state)
{
	in_update(*state, overflow, NULL);
}

static int leave_out(struct txn *txn, void *arg, struct error *err)
{
	uint64_t serial;
	struct owed o;

	(void)arg;
	assert_ok(owed_leave_out(txn, 5, 1u << FILE_CERT, err), err);
	assert_gone(txn, 5, err);
	assert_ok(owed_mark(txn, 5, 1, &serial, err), err);
	assert_ok(owed_mark(txn, 5, 2, &serial, err), err);
	assert_ok(owed_leave_out(txn, 5, 1u << FILE_CERT, err), err);
	o = row(txn, 5, err);
	assert_int_equal(o.names, OWED_FILES & ~(1u << FILE_CERT));
	assert_int_equal(o.before[0].held, OWED_FILES);
	assert_int_equal(o.before[1].held, o.names);
	assert_ok(owed_mark(txn, 5, 3, &serial, err), err);
	assert_int_equal(row(txn, 5, err).names, OWED_FILES);
	return 0;
}

static void names_that_told_by_themselves_are_left_out_of_that_change_alone(void **state)
{
	in_update(*state, leave_out, NULL);
}

static int read_old(struct txn *txn, void *arg, struct error *err)
{
	static const unsigned char key[] = {0, 0, 0, 5},
				   record[] = {1, 9, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0};
	struct owed o;

	(void)arg;
	assert_ok(db_put(txn, DB_OWED, key, sizeof(key), record, sizeof(record), err),
		  err);
	o = row(txn, 5, err);
	assert_true(o.hook);
	assert_int_equal(o.serial, 9);
	assert_int_equal(o.names, OWED_FILES);
	assert_int_equal(o.count, 1);
	assert_int_equal(o.before[0].gen, 3);
	assert_int_equal(o.before[0].held, OWED_FILES);
	return 0;
}

static void row_of_an_older_version_is_read(void **state)
{
	in_update(*state, read_old, NULL);
}

static int read_damaged(struct txn *txn, void *arg, struct error *err)
{
	static const unsigned char key[] = {0, 0, 0, 5},
				   record[] = {2, 9, 0, 0, 0, 0, 0, 0, 0, 1, 31, 255};
	struct owed o;

	(void)arg;
	assert_ok(db_put(txn, DB_OWED, key, sizeof(key), record, sizeof(record), err),
		  err);
	assert_int_equal(owed_get(txn, 5, &o, err), -EIO);
	error_clear(err);
	assert_int_equal(owed_held(txn, 5, 1, 1, 0, err), -EIO);
	error_clear(err);
	return 0;
}

static void damaged_row_is_refused(void **state)
{
	in_update(*state, read_damaged, NULL);
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
	assert_ok(owed_drop(txn, UINT32_MAX, o.serial, err), err);
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
	    store_test(generation_that_came_back_is_owed_anew),
	    store_test(generation_that_nobody_holds_is_owed_no_more),
	    store_test(oldest_and_newest_are_kept_of_too_many),
	    store_test(names_that_told_by_themselves_are_left_out_of_that_change_alone),
	    store_test(row_of_an_older_version_is_read),
	    store_test(damaged_row_is_refused),
	    store_test(everything_owed_is_found_in_order_of_numbers),
	};

	return cmocka_run_group_tests_name("owed", tests, NULL, NULL);
}
