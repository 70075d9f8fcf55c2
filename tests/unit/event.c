/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "tests/unit/temp_store.h"

#include "store/event.h"

#include <errno.h>

static int add_three(struct txn *txn, void *arg, struct error *err)
{
	(void)arg;
	assert_int_equal(event_newest(txn), 0);
	assert_ok(
	    event_add(txn, EVENT_INSTALLED, 2, 100, err, "%s is served", "a.example"),
	    err);
	assert_ok(event_add(txn, EVENT_FAILED, 2, 200, err, "no answer"), err);
	assert_ok(event_add(txn, EVENT_OTHER, 0, 300, err, "started"), err);
	assert_int_equal(event_newest(txn), 3);
	return 0;
}

static void events_are_read_in_the_order_they_happened(void **state)
{
	struct temp_store *t = *state;
	struct event e;
	struct txn *txn;

	in_update(t, add_three, NULL);
	txn = read_begin(t);
	assert_ok(event_next(txn, 0, &e, &t->err), &t->err);
	assert_int_equal(e.sequence, 1);
	assert_int_equal(e.at_s, 100);
	assert_int_equal(e.kind, EVENT_INSTALLED);
	assert_int_equal(e.number, 2);
	assert_string_equal(e.text, "a.example is served");
	assert_ok(event_next(txn, 1, &e, &t->err), &t->err);
	assert_string_equal(event_kind_name(e.kind), "failed");
	assert_ok(event_next(txn, 2, &e, &t->err), &t->err);
	assert_int_equal(event_next(txn, 3, &e, &t->err), -ENOENT);
	assert_int_equal(event_next(txn, UINT64_MAX, &e, &t->err), -ENOENT);
	db_read_end(txn);
}

static int add_many(struct txn *txn, void *arg, struct error *err)
{
	for (int *left = arg, i = 0; i < *left; i++)
		assert_ok(event_add(txn, EVENT_OTHER, 0, i, err, "event %d", i), err);
	return 0;
}

static void the_oldest_give_way(void **state)
{
	struct temp_store *t = *state;
	int count = EVENTS_KEPT + 5;
	struct event e;
	struct txn *txn;

	in_update(t, add_many, &count);
	txn = read_begin(t);
	assert_int_equal(db_entries(txn, DB_EVENTS), EVENTS_KEPT);
	assert_ok(event_next(txn, 0, &e, &t->err), &t->err);
	assert_int_equal(e.sequence, 6);
	assert_int_equal(event_newest(txn), EVENTS_KEPT + 5);
	db_read_end(txn);
}

static int add_long(struct txn *txn, void *arg, struct error *err)
{
	(void)arg;
	char text[700];

	memset(text, 'x', sizeof(text));
	memcpy(text + 598, "\xc3\xa4", 3);
	return event_add(txn, EVENT_OTHER, 0, 1, err, "%s tail", text);
}

static void long_text_is_cut_at_a_character(void **state)
{
	struct temp_store *t = *state;
	struct event e;
	struct txn *txn;

	in_update(t, add_long, NULL);
	txn = read_begin(t);
	assert_ok(event_next(txn, 0, &e, &t->err), &t->err);
	assert_int_equal(strlen(e.text), 598);
	assert_int_equal(e.text[597], 'x');
	db_read_end(txn);
}

static int add_of_two(struct txn *txn, void *arg, struct error *err)
{
	(void)arg;
	for (uint32_t i = 0; i < EVENTS_KEPT + 7; i++)
		assert_ok(event_add(txn, EVENT_OTHER, i == 3 ? 9 : i % 2 + 7, i, err,
				    "event %u", i),
			  err);
	return 0;
}

static void the_newest_of_a_domain_are_read_oldest_first(void **state)
{
	struct temp_store *t = *state;
	struct event e[4];
	struct txn *txn;
	size_t count;

	in_update(t, add_of_two, NULL);
	txn = read_begin(t);
	for (uint32_t number = 7; number <= 8; number++) {
		assert_ok(event_of(txn, number, e, 4, &count, &t->err), &t->err);
		assert_int_equal(count, 4);
		for (size_t i = 0; i < count; i++) {
			assert_int_equal(e[i].number, number);
			if (i > 0)
				assert_int_equal(e[i].sequence, e[i - 1].sequence + 2);
		}
		assert_true(e[3].sequence + 2 > event_newest(txn));
	}
	/* The only one of 9 has given way, and its entry with it. */
	assert_ok(event_of(txn, 9, e, 4, &count, &t->err), &t->err);
	assert_int_equal(count, 0);
	assert_ok(event_of(txn, 1, e, 4, &count, &t->err), &t->err);
	assert_int_equal(count, 0);
	assert_int_equal(db_entries(txn, DB_EVENTS_OF), EVENTS_KEPT);
	db_read_end(txn);
}

static int add_two_and_lose_one(struct txn *txn, void *arg, struct error *err)
{
	/* The key of sequence 1, as store/event.c writes it. */
	static const unsigned char first[8] = {[7] = 1};

	(void)arg;
	for (int i = 0; i < 2; i++)
		assert_ok(event_add(txn, EVENT_OTHER, 7, 1, err, "event %d", i), err);
	assert_ok(db_del(txn, DB_EVENTS, first, sizeof(first), err), err);
	return 0;
}

static void an_event_that_is_lost_is_told_and_not_invented(void **state)
{
	struct temp_store *t = *state;
	struct event e[4];
	struct txn *txn;
	size_t count;

	in_update(t, add_two_and_lose_one, NULL);
	txn = read_begin(t);
	assert_fails(EIO, event_of(txn, 7, e, 4, &count, &t->err), &t->err);
	assert_int_equal(count, 1);
	assert_string_equal(e[0].text, "event 1");
	db_read_end(txn);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    store_test(events_are_read_in_the_order_they_happened),
	    store_test(the_oldest_give_way),
	    store_test(the_newest_of_a_domain_are_read_oldest_first),
	    store_test(long_text_is_cut_at_a_character),
	    store_test(an_event_that_is_lost_is_told_and_not_invented),
	};

	return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
