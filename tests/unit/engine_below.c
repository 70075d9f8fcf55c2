/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "engine_world.h"

#define MANY 300 /* more than one commit changes */

/* cp of a certificate of one's own, and what the filesystem says of it. */
static int put_in(struct txn *txn, void *arg, struct error *err)
{
	struct act *a = arg;
	struct domain d;
	int rc = custom_in(txn, a, err);

	if (rc == 0)
		rc = domain_get(txn, a->number, &d, err);
	return rc ? rc : engine_touch_served_in(a->w->e, txn, &d, now(a->w), err);
}

static void serves(struct world *w, const char *name, enum source source)
{
	struct seen s = look(w, name);

	assert_int_equal(s.g.source, source);
	assert_int_equal(s.c.staged, 0);
}

static void nothing_is_ordered(struct world *w)
{
	free(w->cfg.directory);
	w->cfg.directory = strdup("none");
}

static void names_below_serve_the_wildcard_with_its_commit(void **arg)
{
	struct world *w = *arg;
	struct act a = {.name = "wildcard_.example.com"};

	nothing_is_ordered(w);
	make(w, a.name);
	make(w, "a.example.com");
	make(w, "b.example.com");
	make(w, "a.b.example.com");
	make(w, "example.com");
	turn(w);
	act(w, put_in, &a);
	serves(w, "a.example.com", SOURCE_WILDCARD);
	serves(w, "b.example.com", SOURCE_WILDCARD);
	serves(w, "a.b.example.com", SOURCE_SELF_SIGNED);
	serves(w, "example.com", SOURCE_SELF_SIGNED);
	w->changed = w->staged = 0;
	engine_tell(w->e);
	assert_int_equal(w->changed, 2);
	assert_int_equal(w->staged, 2);
	engine_tell(w->e);
	assert_int_equal(w->changed, 2);
}

static void name_with_its_own_certificate_keeps_it(void **arg)
{
	struct world *w = *arg;
	struct act own = {.name = "a.example.com"}, a = {.name = "fallback"};

	nothing_is_ordered(w);
	assert_int_equal(make(w, a.name), DOMAIN_FALLBACK);
	make(w, own.name);
	make(w, "b.example.com");
	act(w, custom_in, &own);
	turn(w);
	act(w, put_in, &a);
	serves(w, own.name, SOURCE_CUSTOM);
	assert_string_equal(look(w, "b.example.com").g.origin, "fallback");
	w->staged = 0;
	engine_tell(w->e);
	assert_int_equal(w->staged, 1);
	turn(w);
	serves(w, own.name, SOURCE_CUSTOM);
}

static unsigned int served_by(struct world *w, enum source source)
{
	unsigned int count = 0;

	for (int i = 0; i < MANY; i++) {
		char name[32];

		snprintf(name, sizeof(name), "a%d.example.com", i);
		count += look(w, name).g.source == source;
	}
	return count;
}

/* A worker that dies between the two leaves nobody out. */
static void more_names_than_a_commit_bears_follow(void **arg)
{
	struct world *w = *arg;
	struct act a = {.name = "wildcard_.example.com"};

	nothing_is_ordered(w);
	make(w, a.name);
	for (int i = 0; i < MANY; i++) {
		char name[32];

		snprintf(name, sizeof(name), "a%d.example.com", i);
		make(w, name);
	}
	turn(w);
	act(w, put_in, &a);
	assert_in_range(served_by(w, SOURCE_WILDCARD), 100, MANY - 1);
	engine_restart(w);
	turn(w);
	assert_int_equal(served_by(w, SOURCE_WILDCARD), MANY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(names_below_serve_the_wildcard_with_its_commit),
	    TEST(name_with_its_own_certificate_keeps_it),
	    TEST(more_names_than_a_commit_bears_follow),
	};

	return cmocka_run_group_tests_name("engine_below", tests, NULL, NULL);
}
