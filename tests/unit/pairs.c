/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/pairs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#define NUMBER 7u

/* A mount with readers: what the kernel and the handlers do around the table. */
struct world {
	void *memory;
	struct pairs *pairs;
	uint64_t unique;
	uint32_t served;
	int64_t now_ms;
	unsigned again; /* ESTALE answers */
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	w->memory = calloc(1, pairs_size());
	w->pairs = pairs_in(w->memory);
	w->served = 1;
	w->now_ms = 1000000;
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

/* Threads 100 to 199 are of one group, and so on. */
static pid_t by_hundreds(pid_t tid)
{
	return tid / 100 * 100;
}

static struct pairs_open request(struct world *w, pid_t tid, enum file_kind kind,
				 uint32_t asked)
{
	return (struct pairs_open){.tid = tid,
				   .unique = ++w->unique,
				   .number = NUMBER,
				   .kind = kind,
				   .asked = asked,
				   .served = w->served,
				   .now_ms = w->now_ms,
				   .now_us = w->now_ms * 1000,
				   .group_of = by_hundreds};
}

/* open(2) by a thread whose path leads to the served generation at first: the generation
 * that it gets. */
static uint32_t get(struct world *w, pid_t tid, enum file_kind kind)
{
	struct pairs_open o = request(w, tid, kind, w->served);
	uint32_t gen = pairs_open(w->pairs, &o);
	if (gen == o.asked)
		return gen;
	w->again++;
	o = request(w, tid, kind,
		    pairs_lookup(w->pairs, tid, NUMBER, w->served, w->now_ms));
	assert_int_equal(pairs_open(w->pairs, &o), o.asked);
	assert_int_equal(o.asked, gen);
	return gen;
}

static void pair_survives_a_rotation_between_its_opens(void **state)
{
	struct world *w = *state;
	static const enum file_kind kinds[][2] = {{FILE_CERT, FILE_PRIVKEY},
						  {FILE_PRIVKEY, FILE_CERT},
						  {FILE_FULLCHAIN, FILE_PRIVKEY},
						  {FILE_PRIVKEY, FILE_FULLCHAIN}};
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < 4; i++) {
			uint32_t first = get(w, 100, kinds[i][0]);
			assert_int_equal(first, w->served);
			w->served++;
			assert_int_equal(get(w, 100, kinds[i][1]), first);
		}
	assert_int_equal(w->again, 12);
}

static void threads_of_a_process_have_pairs_of_their_own(void **state)
{
	struct world *w = *state;
	uint32_t gen[8];
	for (int round = 0; round < 100; round++) {
		for (int i = 0; i < 8; i++) {
			gen[i] = get(w, 100 + i, i % 2 ? FILE_CERT : FILE_PRIVKEY);
			w->served++;
		}
		for (int i = 0; i < 8; i++)
			assert_int_equal(
			    get(w, 100 + i, i % 2 ? FILE_PRIVKEY : FILE_FULLCHAIN),
			    gen[i]);
	}
}

static void reader_of_one_half_gets_the_current_one(void **state)
{
	struct world *w = *state;
	for (int i = 0; i < 100; i++) {
		w->served++;
		assert_int_equal(get(w, 100, FILE_CERT), w->served);
		assert_int_equal(get(w, 101, FILE_FULLCHAIN), w->served);
		assert_int_equal(get(w, 200, FILE_PRIVKEY), w->served);
		assert_int_equal(get(w, 300, FILE_COMBINED), w->served);
	}
	assert_int_equal(w->again, 0);
}

static void begun_pair_ends_after_its_time(void **state)
{
	struct world *w = *state;
	get(w, 100, FILE_CERT);
	w->served++;
	w->now_ms += PAIRS_MS;
	assert_int_equal(get(w, 100, FILE_PRIVKEY), w->served);
}

static void chain_belongs_to_the_pair_and_completes_none(void **state)
{
	struct world *w = *state;
	uint32_t first = get(w, 100, FILE_CERT);
	w->served++;
	assert_int_equal(get(w, 100, FILE_CHAIN), first);
	assert_int_equal(get(w, 100, FILE_PRIVKEY), first);
	first = get(w, 200, FILE_CERT);
	w->served++;
	assert_int_equal(get(w, 200, FILE_PRIVKEY), first);
	assert_int_equal(get(w, 200, FILE_CHAIN), first);
	first = get(w, 300, FILE_CHAIN);
	w->served++;
	assert_int_equal(get(w, 300, FILE_CERT), first);
	assert_int_equal(get(w, 300, FILE_PRIVKEY), first);
}

static void domains_do_not_meet(void **state)
{
	struct world *w = *state;
	struct pairs_open other;
	uint32_t first = get(w, 100, FILE_CERT);
	w->served++;
	other = request(w, 100, FILE_PRIVKEY, w->served);
	other.number = NUMBER + 1;
	assert_int_equal(pairs_open(w->pairs, &other), w->served);
	assert_int_equal(get(w, 100, FILE_PRIVKEY), first);
}

/* The kernel tries again only once. */
static void nobody_is_sent_back_twice(void **state)
{
	struct world *w = *state;
	struct pairs_open o;
	get(w, 100, FILE_CERT);
	w->served++;
	o = request(w, 100, FILE_PRIVKEY, w->served);
	assert_int_not_equal(pairs_open(w->pairs, &o), o.asked);
	o = request(w, 100, FILE_PRIVKEY, 99);
	assert_int_equal(pairs_open(w->pairs, &o), 99);
}

static void rotation_after_the_promise_does_not_break_the_pair(void **state)
{
	struct world *w = *state;
	struct pairs_open o = request(w, 100, FILE_CERT, 1);
	w->served = o.served = 2;
	assert_int_equal(pairs_open(w->pairs, &o), 2); /* asked for 1: sent back */
	w->served = 3;
	assert_int_equal(pairs_lookup(w->pairs, 100, NUMBER, w->served, w->now_ms), 2);
	assert_int_equal(pairs_lookup(w->pairs, 101, NUMBER, w->served, w->now_ms), 3);
	o = request(w, 100, FILE_CERT, 2);
	assert_int_equal(pairs_open(w->pairs, &o), 2);
	assert_int_equal(get(w, 100, FILE_PRIVKEY), 2);
}

static void what_is_gone_begins_anew(void **state)
{
	struct world *w = *state;
	struct pairs_open o;
	get(w, 100, FILE_CERT);
	w->served++;
	o = request(w, 100, FILE_PRIVKEY, w->served);
	assert_int_equal(pairs_open(w->pairs, &o), 1);
	assert_int_equal(pairs_open_anew(w->pairs, &o), w->served);
	assert_int_equal(get(w, 100, FILE_CERT), w->served);
}

static void worker_that_was_replaced_goes_on_with_pairs(void **state)
{
	struct world *w = *state;
	struct pairs_open o;
	uint32_t first = get(w, 100, FILE_CERT);
	w->served++;
	w->pairs = pairs_in(w->memory);
	o = request(w, 100, FILE_PRIVKEY, w->served);
	assert_int_equal(pairs_open(w->pairs, &o), first);
	/* A request that the dead worker answered is answered in the same way. */
	w->pairs = pairs_in(w->memory);
	assert_int_equal(pairs_open(w->pairs, &o), first);
	o = request(w, 100, FILE_PRIVKEY, first);
	assert_int_equal(pairs_open(w->pairs, &o), first);
	w->pairs = pairs_in(w->memory);
	assert_int_equal(pairs_open(w->pairs, &o), first);
	assert_int_equal(get(w, 100, FILE_CERT), w->served);
}

static void time_without_a_worker_does_not_end_a_begun_pair(void **state)
{
	struct world *w = *state;
	assert_int_equal(get(w, 101, FILE_CERT), 1); /* long over at the worker's death */
	w->now_ms += PAIRS_MS;
	assert_int_equal(get(w, 201, FILE_CERT), 1);
	w->now_ms += 3 * PAIRS_MS;
	w->served = 2;
	pairs_resume(w->pairs, w->now_ms);
	assert_int_equal(get(w, 201, FILE_PRIVKEY), 1);
	assert_int_equal(get(w, 101, FILE_PRIVKEY), 2);
}

static void table_of_another_version_is_begun_anew(void **state)
{
	struct world *w = *state;
	get(w, 100, FILE_CERT);
	w->served++;
	*(uint32_t *)w->memory += 1;
	w->pairs = pairs_in(w->memory);
	assert_int_equal(get(w, 100, FILE_PRIVKEY), w->served);
}

/* Thread 100 reads certificates and hands them on to 101, which reads the keys. */
static void move(struct world *w)
{
	for (int i = 0; i < 2; i++) {
		get(w, 100, FILE_CERT);
		get(w, 101, FILE_PRIVKEY);
	}
}

static bool held(struct world *w, pid_t tid, enum file_kind kind)
{
	struct pairs_open o = request(w, tid, kind, w->served);
	o.hold = true;
	return pairs_open(w->pairs, &o) == PAIRS_HELD;
}

static void readers_that_move_keep_their_pairs(void **state)
{
	struct world *w = *state;
	move(w);
	for (int i = 0; i < 100; i++) {
		uint32_t first = get(w, 100, FILE_CERT);
		assert_int_equal(get(w, 101, FILE_FULLCHAIN), first);
		w->served++;
		/* Nobody begins a pair of the next one while these are on their way. */
		assert_true(held(w, 102, FILE_CERT));
		assert_int_equal(get(w, 103, FILE_CHAIN), first);
		assert_int_equal(get(w, 101, FILE_PRIVKEY), first);
		assert_true(held(w, 102, FILE_CERT));
		assert_int_equal(get(w, 102, FILE_PRIVKEY), first);
		assert_false(held(w, 102, FILE_CERT));
		assert_int_equal(get(w, 104, FILE_PRIVKEY), w->served);
	}
}

/* A pair that was begun and not counted would be mixed at each rotation from then on. */
static void pairs_begun_before_the_readers_were_seen_to_move_are_waited_for(void **state)
{
	struct world *w = *state;
	uint32_t first = get(w, 105, FILE_CERT);
	move(w);
	w->served++;
	assert_true(held(w, 102, FILE_CERT));
	assert_int_equal(get(w, 106, FILE_PRIVKEY), first);
	assert_false(held(w, 102, FILE_CERT));
	assert_int_equal(get(w, 103, FILE_PRIVKEY), w->served);
}

static void half_that_never_comes_holds_nobody_for_long(void **state)
{
	struct world *w = *state;
	move(w);
	get(w, 100, FILE_CERT);
	w->served++;
	assert_true(held(w, 101, FILE_CERT));
	assert_int_equal(get(w, 101, FILE_CERT), w->served); /* its time is over */
	assert_int_equal(get(w, 100, FILE_PRIVKEY), w->served);
	get(w, 100, FILE_CERT);
	w->served++;
	w->now_ms += PAIRS_MS;
	assert_false(held(w, 101, FILE_CERT));
}

static void readers_that_stay_are_never_held(void **state)
{
	struct world *w = *state;
	for (int i = 0; i < 100; i++) {
		uint32_t first = get(w, 100, FILE_CERT);
		uint32_t other = get(w, 101, FILE_PRIVKEY);
		w->served++;
		assert_false(held(w, 102, FILE_CERT)); /* a monitor */
		assert_int_equal(get(w, 100, FILE_PRIVKEY), first);
		assert_int_equal(get(w, 101, FILE_CERT), other);
	}
}

static void groups_do_not_meet(void **state)
{
	struct world *w = *state;
	move(w);
	get(w, 100, FILE_CERT);
	w->served++;
	assert_int_equal(get(w, 200, FILE_PRIVKEY), w->served);
	assert_int_equal(get(w, 300, FILE_CERT), w->served);
}

static void tables_are_bounded(void **state)
{
	struct world *w = *state;
	for (pid_t tid = 1; tid < 100000; tid++) {
		uint32_t gen = get(w, tid, FILE_CERT);
		w->served++;
		w->now_ms++;
		assert_int_equal(get(w, tid, FILE_PRIVKEY), gen);
	}
}

static void thread_that_cannot_be_seen_opens_what_it_found(void **state)
{
	struct world *w = *state;
	struct pairs_open o = request(w, 0, FILE_CERT, 1);
	o.served = 2;
	assert_int_equal(pairs_open(w->pairs, &o), 1);
	assert_int_equal(pairs_lookup(w->pairs, 0, NUMBER, 2, w->now_ms), 2);
}

static void thread_group_is_read_from_proc(void **state)
{
	(void)state;
	assert_int_equal(pairs_thread_group((pid_t)syscall(SYS_gettid)), getpid());
	assert_int_equal(pairs_thread_group(0x7fffffff), 0x7fffffff);
}

/* A walk on a mount without OPEN, at whose end is a GETATTR; the generation it ends at. */
static uint32_t stat_path(struct world *w, pid_t tid, enum file_kind kind)
{
	struct pairs_open o = request(w, tid, kind, 0);
	o.by_path = true;
	for (int attempt = 0; attempt < 2; attempt++) {
		uint32_t gen = 0;
		/* Others turn the kernel's entry in between, and it asks again. */
		for (int walk = 0; walk < 3; walk++) {
			o.unique = ++w->unique;
			gen = pairs_foresee(w->pairs, &o);
			pairs_name(w->pairs, &o, gen);
		}
		o.unique = ++w->unique;
		o.asked = gen;
		assert_true(pairs_arrives(w->pairs, &o));
		uint32_t got = pairs_open(w->pairs, &o);
		if (got == gen)
			return gen;
		w->again++;
		o.served = w->served;
	}
	fail();
	return 0;
}

static uint32_t walk(struct world *w, pid_t tid, enum file_kind kind)
{
	uint32_t gen = stat_path(w, tid, kind);
	struct pairs_open o = request(w, tid, kind, gen);
	o.by_path = true;
	assert_false(pairs_arrives(w->pairs, &o));
	pairs_read(w->pairs, &o);
	return gen;
}

static void walks_of_a_pair_find_one_generation(void **state)
{
	struct world *w = *state;
	uint32_t gen[2];
	static const enum file_kind kinds[][2] = {{FILE_CERT, FILE_PRIVKEY},
						  {FILE_PRIVKEY, FILE_CERT},
						  {FILE_FULLCHAIN, FILE_PRIVKEY},
						  {FILE_PRIVKEY, FILE_FULLCHAIN}};
	for (int i = 0; i < 100; i++) {
		const enum file_kind *a = kinds[i % 4], *b = kinds[(i + 1) % 4];
		gen[0] = walk(w, 100, a[0]);
		assert_int_equal(gen[0], w->served);
		w->served++;
		gen[1] = walk(w, 101, b[0]);
		assert_int_equal(gen[1], w->served);
		assert_int_equal(walk(w, 100, a[1]), gen[0]);
		assert_int_equal(walk(w, 101, b[1]), gen[1]);
	}
	assert_int_equal(w->again, 0);
}

static void walk_that_a_rotation_overtakes_is_sent_back(void **state)
{
	struct world *w = *state;
	struct pairs_open o = request(w, 100, FILE_CERT, 0);
	o.by_path = true;
	o.asked = pairs_foresee(w->pairs, &o);
	pairs_name(w->pairs, &o, o.asked);
	o.served = ++w->served;
	o.unique = ++w->unique;
	assert_true(pairs_arrives(w->pairs, &o));
	assert_int_equal(pairs_open(w->pairs, &o), w->served);
	/* Its second walk, under a worker that knows the answer that was lost. */
	assert_true(pairs_arrives(w->pairs, &o));
	assert_int_equal(pairs_open(w->pairs, &o), w->served);
	o.unique = ++w->unique;
	assert_int_equal(pairs_foresee(w->pairs, &o), w->served);
	assert_int_equal(walk(w, 100, FILE_CERT), w->served);
	w->served++;
	assert_int_equal(walk(w, 100, FILE_PRIVKEY), w->served - 1);
}

static void walks_to_one_half_follow_what_is_served(void **state)
{
	struct world *w = *state;
	for (int i = 0; i < 10; i++) {
		assert_int_equal(walk(w, 100, FILE_CERT), w->served);
		w->served++;
	}
}

static void file_that_was_looked_at_is_opened_in_the_same_pair(void **state)
{
	struct world *w = *state;
	for (int i = 0; i < 10; i++) {
		uint32_t gen = stat_path(w, 100, FILE_CERT);
		w->served++;
		assert_int_equal(walk(w, 100, FILE_CERT), gen);
		assert_int_equal(stat_path(w, 100, FILE_PRIVKEY), gen);
		w->served++;
		assert_int_equal(walk(w, 100, FILE_PRIVKEY), gen);
	}
}

static void who_only_looks_is_behind_for_a_while_at_most(void **state)
{
	struct world *w = *state;
	uint32_t gen = stat_path(w, 100, FILE_CERT);
	w->served++;
	assert_int_equal(stat_path(w, 100, FILE_CERT), gen);
	w->now_ms += PAIRS_MS;
	assert_int_equal(stat_path(w, 100, FILE_CERT), w->served);
}

static void pairs_that_were_begun_unseen_make_nobody_a_mover(void **state)
{
	struct world *w = *state;
	static const enum file_kind order[] = {FILE_CERT,    FILE_PRIVKEY, FILE_CERT,
					       FILE_PRIVKEY, FILE_PRIVKEY, FILE_CERT,
					       FILE_PRIVKEY, FILE_CERT};
	for (int rotation = 0; rotation < 2; rotation++) {
		/* 100 had opened a certificate before, 101 a key. */
		for (int i = 1; i < 24; i++) {
			walk(w, 100, order[i % 8]);
			walk(w, 101, order[(i + 4) % 8]);
		}
		w->now_ms += 10 * PAIRS_MS;
	}
	for (int i = 0; i < 24; i += 2) {
		uint32_t gen = w->served;
		assert_int_equal(walk(w, 100, order[i % 8]), gen);
		assert_int_equal(walk(w, 101, order[(i + 4) % 8]), gen);
		w->served++;
		assert_int_equal(walk(w, 100, order[(i + 1) % 8]), gen);
		assert_int_equal(walk(w, 101, order[(i + 5) % 8]), gen);
	}
}

static void pairs_are_told_apart_by_the_pauses_between_them(void **state)
{
	struct world *w = *state;
	/* Of the first one, the key was opened unseen. */
	walk(w, 100, FILE_CERT);
	for (int i = 0; i < 100; i++) {
		w->now_ms += 20;
		walk(w, 100, FILE_PRIVKEY);
		/* It was delayed now and then. */
		w->now_ms += i % 16 == 3 ? 50 : 2;
		walk(w, 100, FILE_CERT);
	}
	for (int i = 0; i < 100; i++) {
		w->now_ms += 20;
		uint32_t gen = walk(w, 100, FILE_PRIVKEY);
		assert_int_equal(gen, w->served);
		w->served++;
		w->now_ms += i % 16 == 3 ? 50 : 2;
		assert_int_equal(walk(w, 100, FILE_CERT), gen);
	}
}

static void pauses_within_pairs_do_not_part_them(void **state)
{
	struct world *w = *state;
	for (int i = 0; i < 100; i++) {
		uint32_t gen = walk(w, 100, FILE_CERT);
		assert_int_equal(gen, w->served);
		w->served++;
		w->now_ms += i % 3 == 0 ? 30 : 1;
		assert_int_equal(walk(w, 100, FILE_PRIVKEY), gen);
		w->now_ms += i % 3 == 1 ? 30 : 1;
	}
}

static void walk_to_the_chain_belongs_to_the_pair(void **state)
{
	struct world *w = *state;
	uint32_t first = walk(w, 100, FILE_CERT);
	walk(w, 100, FILE_PRIVKEY);
	w->served++;
	assert_int_equal(walk(w, 100, FILE_CHAIN), first);
	assert_int_equal(walk(w, 100, FILE_CERT), w->served);
	assert_int_equal(walk(w, 100, FILE_COMBINED), w->served);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(pair_survives_a_rotation_between_its_opens),
	    T(threads_of_a_process_have_pairs_of_their_own),
	    T(reader_of_one_half_gets_the_current_one),
	    T(begun_pair_ends_after_its_time),
	    T(chain_belongs_to_the_pair_and_completes_none),
	    T(domains_do_not_meet),
	    T(nobody_is_sent_back_twice),
	    T(rotation_after_the_promise_does_not_break_the_pair),
	    T(what_is_gone_begins_anew),
	    T(worker_that_was_replaced_goes_on_with_pairs),
	    T(time_without_a_worker_does_not_end_a_begun_pair),
	    T(table_of_another_version_is_begun_anew),
	    T(readers_that_move_keep_their_pairs),
	    T(pairs_begun_before_the_readers_were_seen_to_move_are_waited_for),
	    T(half_that_never_comes_holds_nobody_for_long),
	    T(readers_that_stay_are_never_held),
	    T(groups_do_not_meet),
	    T(tables_are_bounded),
	    T(thread_that_cannot_be_seen_opens_what_it_found),
	    T(thread_group_is_read_from_proc),
	    T(walks_of_a_pair_find_one_generation),
	    T(walk_that_a_rotation_overtakes_is_sent_back),
	    T(walks_to_one_half_follow_what_is_served),
	    T(file_that_was_looked_at_is_opened_in_the_same_pair),
	    T(who_only_looks_is_behind_for_a_while_at_most),
	    T(pairs_that_were_begun_unseen_make_nobody_a_mover),
	    T(pairs_are_told_apart_by_the_pauses_between_them),
	    T(pauses_within_pairs_do_not_part_them),
	    T(walk_to_the_chain_belongs_to_the_pair),
	};
	return cmocka_run_group_tests_name("pairs", tests, NULL, NULL);
}
