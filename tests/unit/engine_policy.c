/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* What is set for one name alone holds for it, and for no other. */
#include "engine_world.h"

#include "store/owed.h"

#include <errno.h>

#define NAME  "app.example.com"
#define OTHER "other.example.com"

static int policy_in(struct txn *txn, void *arg, struct error *err)
{
	const struct act *a = arg;
	struct domain d;
	int rc = domain_find(txn, a->name, &d, err);

	if (rc == 0)
		rc = policy_parse(a->other, strlen(a->other), &d.policy, err);
	if (rc == 0)
		rc = domain_put(txn, &d, err);
	return rc ? rc : engine_touch_in(txn, d.number, now(a->w), err);
}

static void set(struct world *w, const char *text)
{
	struct act a = {.name = NAME, .other = text};

	assert_int_equal(act(w, policy_in, &a), 0);
	turn(w);
}

static void both_are_issued(struct world *w)
{
	make(w, NAME);
	make(w, OTHER);
	turn(w);
	done_for_days(w, need_job(w, NAME), 90);
	done_for_days(w, need_job(w, OTHER), 90);
	turn(w);
}

static void changed_before_moves_the_renewal(void **arg)
{
	struct world *w = *arg;
	struct seen s, other;

	both_are_issued(w);
	set(w, "before = 10\n");
	s = look(w, NAME);
	other = look(w, OTHER);
	assert_int_equal(s.due_s, s.g.info.not_after_s - 10 * DAY);
	assert_int_equal(other.due_s, other.g.info.not_after_s - 30 * DAY);
	set(w, "");
	assert_int_equal(look(w, NAME).due_s, s.g.info.not_after_s - 30 * DAY);
}

static void next_key_is_of_the_type_that_is_set(void **arg)
{
	struct act a = {.name = NAME};
	struct world *w = *arg;

	both_are_issued(w);
	set(w, "key-type = p384\n");
	/* What is served stays until it is renewed. */
	assert_string_equal(look(w, NAME).g.info.key_type,
			    look(w, OTHER).g.info.key_type);
	assert_int_equal(act(w, renew_in, &a), 0);
	turn(w);
	done_for_days(w, need_job(w, NAME), 90);
	turn(w);
	a.name = OTHER;
	assert_int_equal(act(w, renew_in, &a), 0);
	turn(w);
	done_for_days(w, need_job(w, OTHER), 90);
	turn(w);
	assert_non_null(strstr(look(w, NAME).g.info.key_type, "384"));
	assert_null(strstr(look(w, OTHER).g.info.key_type, "384"));
}

static void name_that_is_not_managed_is_neither_ordered_nor_renewed(void **arg)
{
	struct act a = {.name = NAME};
	struct world *w = *arg;
	struct told *t;

	make(w, NAME);
	turn(w);
	t = need_job(w, NAME);
	set(w, "managed = no\n");
	assert_true(t->dropped);
	assert_false(look(w, NAME).ordered);
	assert_int_equal(act(w, renew_in, &a), -EPERM);
	assert_string_equal(look(w, NAME).d.last_error, "");
	set(w, "managed = yes\n");
	done_for_days(w, need_job(w, NAME), 90);
	turn(w);
	assert_int_equal(look(w, NAME).g.source, SOURCE_MANAGED);
	set(w, "managed = no\n");
	clock_turn(w, 70 * DAY);
	turn(w);
	assert_false(look(w, NAME).ordered);
	assert_int_equal(look(w, NAME).g.source, SOURCE_MANAGED);
}

static size_t generations(struct world *w, const char *name)
{
	uint32_t number = look(w, name).d.number, gens[64];
	struct txn *txn = NULL;
	struct error err;
	size_t count;

	ok(db_read_begin(w->db, &txn, &err), &err);
	ok(generation_list(txn, number, gens, 64, &count, &err), &err);
	db_read_end(txn);
	return count;
}

/* Nobody announces here, and what was not announced stays. */
static int announced_in(struct txn *txn, void *arg, struct error *err)
{
	const uint32_t *number = arg;
	struct owed o;
	int rc = owed_get(txn, *number, &o, err);

	return rc ? rc : owed_drop(txn, *number, o.serial, err);
}

static void fewer_generations_are_kept_as_soon_as_it_is_set(void **arg)
{
	struct act a = {.name = NAME};
	struct world *w = *arg;
	struct error err;

	make(w, NAME);
	for (int i = 0; i < 5; i++) {
		turn(w);
		done_for_days(w, need_job(w, NAME), 90);
		turn(w);
		assert_int_equal(act(w, renew_in, &a), 0);
	}
	assert_true(generations(w, NAME) >= 6);
	uint32_t number = look(w, NAME).d.number;
	ok(db_update(w->db, announced_in, &number, &err), &err);
	clock_turn(w, DAY);
	set(w, "keep = 2\n");
	/* The fallback is one that stays. */
	assert_true(generations(w, NAME) <= 3);
}

static void preferred_chain_goes_along_with_the_job(void **arg)
{
	struct world *w = *arg;

	make(w, NAME);
	make(w, OTHER);
	set(w, "preferred-chain = Top\n");
	assert_string_equal(need_job(w, NAME)->preferred_chain, "Top");
	assert_string_equal(need_job(w, OTHER)->preferred_chain, "");
}

#define promise(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    promise(changed_before_moves_the_renewal),
	    promise(next_key_is_of_the_type_that_is_set),
	    promise(name_that_is_not_managed_is_neither_ordered_nor_renewed),
	    promise(fewer_generations_are_kept_as_soon_as_it_is_set),
	    promise(preferred_chain_goes_along_with_the_job),
	};

	return cmocka_run_group_tests_name("engine_policy", tests, NULL, NULL);
}
