/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "tests/unit/temp_store.h"

#include "store/chain.h"
#include "store/changed.h"
#include "store/generation.h"
#include "store/owed.h"

#include <errno.h>
#include <fcntl.h>

#define NOW  ((int64_t)1700000000)
#define DAY  ((int64_t)24 * 3600)
#define KEEP 10

static uint32_t install(struct txn *txn, const char *text, struct error *err)
{
	const struct name name = name_of(text);
	struct domain d;
	bool back;

	assert_ok(domain_install(txn, &name, 0, 0, NOW, &d, &back, err), err);
	return d.number;
}

/* A pair that is valid from an hour before `from_s` for `days`. */
static void make_pair(struct pair *p, const char *text, int64_t from_s, int days)
{
	const struct name name = name_of(text);
	struct secret *key = NULL;
	struct error err;

	assert_ok(x509_key_new(KEY_P256, &key, &err), &err);
	assert_ok(x509_self_sign(key, &name, NULL, 0, from_s, days, p, &err), &err);
	secret_free(key);
}

/* The same with one certificate in its chain. */
static void make_chained_pair(struct pair *p, const char *text, const struct pair *issuer)
{
	make_pair(p, text, NOW, 90);
	p->chain[0].der = malloc(issuer->leaf.size);
	assert_non_null(p->chain[0].der);
	memcpy(p->chain[0].der, issuer->leaf.der, issuer->leaf.size);
	p->chain[0].size = issuer->leaf.size;
	p->chain_size = 1;
}

static uint32_t add(struct txn *txn, uint32_t number, const char *text,
		    enum source source, int64_t from_s, int days, uint32_t keep,
		    struct error *err)
{
	struct pair p = {0};
	uint32_t gen = 0;

	make_pair(&p, text, from_s, days);
	assert_ok(
	    generation_add(txn, number, &p, source, NULL, "test", NOW, keep, &gen, err),
	    err);
	pair_clear(&p);
	return gen;
}

static uint32_t chosen(struct txn *txn, uint32_t number, int64_t now_s, int64_t *until_s,
		       struct error *err)
{
	struct current c;
	bool changed;

	assert_ok(current_choose(txn, number, now_s, SERVE_NOW, &changed, until_s, err),
		  err);
	assert_ok(current_get(txn, number, &c, err), err);
	return c.served;
}

static void assert_content(struct txn *txn, uint32_t number, uint32_t gen,
			   enum file_kind kind, const char *begins, size_t certs,
			   struct error *err)
{
	struct secret *content = NULL;
	struct generation g;
	struct pem pem = {0};

	assert_ok(generation_get(txn, number, gen, &g, err), err);
	assert_ok(generation_read(txn, number, gen, kind, &content, err), err);
	assert_int_equal(secret_size(content), g.size[kind]);
	assert_memory_equal(secret_data(content), begins, strlen(begins));
	assert_ok(pem_parse(secret_data(content), secret_size(content), &pem, err), err);
	assert_int_equal(pem.certs, certs);
	assert_int_equal(pem.key != NULL, file_is_secret(kind));
	pem_clear(&pem);
	secret_free(content);
}

#define CERT_BEGINS "-----BEGIN CERTIFICATE-----\n"
#define KEY_BEGINS  "-----BEGIN PRIVATE KEY-----\n"

static int derive(struct txn *txn, void *arg, struct error *err)
{
	uint32_t number = install(txn, "a.example.com", err), gen = 0;
	struct pair issuer = {0}, p = {0}, back;
	struct generation g;

	(void)arg;
	make_pair(&issuer, "ca.example.com", NOW, 900);
	make_chained_pair(&p, "a.example.com", &issuer);
	strcpy(p.warning, "a warning");
	assert_ok(generation_add(txn, number, &p, SOURCE_MANAGED, NULL,
				 "https://ca.example/dir", NOW, KEEP, &gen, err),
		  err);
	assert_int_equal(gen, 1);
	assert_ok(generation_get(txn, number, gen, &g, err), err);
	assert_int_equal(g.source, SOURCE_MANAGED);
	assert_int_equal(g.installed_s, NOW);
	assert_int_equal(g.info.not_before_s, NOW - 3600);
	assert_string_equal(g.info.names, "a.example.com");
	assert_string_equal(g.warning, "a warning");
	assert_string_equal(g.origin, "https://ca.example/dir");
	assert_false(g.chain_empty);
	assert_content(txn, number, gen, FILE_CERT, CERT_BEGINS, 1, err);
	assert_content(txn, number, gen, FILE_CHAIN, CERT_BEGINS, 1, err);
	assert_content(txn, number, gen, FILE_FULLCHAIN, CERT_BEGINS, 2, err);
	assert_content(txn, number, gen, FILE_PRIVKEY, KEY_BEGINS, 0, err);
	assert_content(txn, number, gen, FILE_COMBINED, KEY_BEGINS, 2, err);
	assert_ok(generation_pair(txn, number, gen, &back, err), err);
	assert_int_equal(back.leaf.size, p.leaf.size);
	assert_memory_equal(back.leaf.der, p.leaf.der, p.leaf.size);
	assert_int_equal(back.chain_size, 1);
	assert_memory_equal(back.chain[0].der, issuer.leaf.der, issuer.leaf.size);
	assert_int_equal(secret_size(back.key), secret_size(p.key));
	assert_memory_equal(secret_data(back.key), secret_data(p.key),
			    secret_size(p.key));
	assert_string_equal(back.warning, "a warning");
	pair_clear(&back);
	pair_clear(&p);
	pair_clear(&issuer);
	assert_fails(ENOENT, generation_get(txn, number, 2, &g, err), err);
	return 0;
}

static void files_are_derived_and_their_sizes_are_exact(void **state)
{
	in_update(*state, derive, NULL);
}

static int no_chain(struct txn *txn, void *arg, struct error *err)
{
	uint32_t number = install(txn, "a.example.com", err);
	struct secret *content = NULL, *cert = NULL;
	struct generation g;
	uint32_t gen =
	    add(txn, number, "a.example.com", SOURCE_CUSTOM, NOW, 90, KEEP, err);

	(void)arg;
	assert_ok(generation_get(txn, number, gen, &g, err), err);
	assert_true(g.chain_empty);
	assert_int_equal(g.size[FILE_CHAIN], g.size[FILE_CERT]);
	assert_int_equal(g.size[FILE_CERT], g.size[FILE_FULLCHAIN]);
	assert_ok(generation_read(txn, number, gen, FILE_CERT, &cert, err), err);
	assert_ok(generation_read(txn, number, gen, FILE_CHAIN, &content, err), err);
	assert_int_equal(secret_size(content), g.size[FILE_CHAIN]);
	assert_memory_equal(secret_data(content), secret_data(cert),
			    secret_size(content));
	secret_free(content);
	secret_free(cert);
	return 0;
}

static void leaf_stands_in_for_a_chain_of_nothing(void **state)
{
	in_update(*state, no_chain, NULL);
}

static int write_some(struct txn *txn, void *arg, struct error *err)
{
	uint32_t number = install(txn, "a.example.com", err), gen = 0;
	static const char cert[] = "my own\r\nspelling of it", key[] = "and of the key";
	struct secret *c = secret_copy(cert, sizeof(cert)),
		      *k = secret_copy(key, sizeof(key));
	struct written written = {.file = {[FILE_FULLCHAIN] = c, [FILE_PRIVKEY] = k}};
	struct secret *content = NULL;
	struct generation g;
	struct pair p = {0};

	(void)arg;
	make_pair(&p, "a.example.com", NOW, 90);
	assert_ok(generation_add(txn, number, &p, SOURCE_CUSTOM, &written, "cp by uid 0",
				 NOW, KEEP, &gen, err),
		  err);
	pair_clear(&p);
	secret_free(c);
	secret_free(k);
	assert_ok(generation_get(txn, number, gen, &g, err), err);
	assert_int_equal(g.size[FILE_FULLCHAIN], sizeof(cert));
	assert_int_equal(g.size[FILE_PRIVKEY], sizeof(key));
	assert_ok(generation_read(txn, number, gen, FILE_FULLCHAIN, &content, err), err);
	assert_memory_equal(secret_data(content), cert, sizeof(cert));
	secret_free(content);
	assert_ok(generation_read(txn, number, gen, FILE_PRIVKEY, &content, err), err);
	assert_memory_equal(secret_data(content), key, sizeof(key));
	secret_free(content);
	assert_content(txn, number, gen, FILE_CERT, CERT_BEGINS, 1, err);
	assert_content(txn, number, gen, FILE_COMBINED, KEY_BEGINS, 1, err);
	return 0;
}

static void what_was_written_is_read_back_byte_for_byte(void **state)
{
	in_update(*state, write_some, NULL);
}

static void prune_to_one(struct txn *txn, uint32_t number, struct error *err)
{
	int64_t again_s;
	const int64_t now_s = NOW + GENERATION_SPARE_S;

	assert_ok(generation_prune(txn, number, now_s, 1, &again_s, err), err);
}

static int share_chains(struct txn *txn, void *arg, struct error *err)
{
	uint32_t a = install(txn, "a.example.com", err),
		 b = install(txn, "b.example.com", err);
	struct pair issuer = {0}, p = {0};
	uint32_t gen;

	(void)arg;
	make_pair(&issuer, "ca.example.com", NOW, 900);
	for (int i = 0; i < 3; i++) {
		make_chained_pair(&p, "a.example.com", &issuer);
		assert_ok(generation_add(txn, i == 1 ? b : a, &p, SOURCE_MANAGED, NULL,
					 "", NOW, 1, &gen, err),
			  err);
		pair_clear(&p);
	}
	pair_clear(&issuer);
	prune_to_one(txn, a, err);
	assert_int_equal(db_entries(txn, DB_GENERATIONS), 2);
	assert_int_equal(db_entries(txn, DB_CHAINS), 1);
	add(txn, a, "a.example.com", SOURCE_MANAGED, NOW, 90, 1, err);
	prune_to_one(txn, a, err);
	assert_int_equal(db_entries(txn, DB_CHAINS), 1);
	assert_content(txn, b, 1, FILE_CHAIN, CERT_BEGINS, 1, err);
	add(txn, b, "b.example.com", SOURCE_MANAGED, NOW, 90, 1, err);
	prune_to_one(txn, b, err);
	assert_int_equal(db_entries(txn, DB_CHAINS), 0);
	return 0;
}

static void chain_is_stored_once_and_goes_with_its_last_generation(void **state)
{
	in_update(*state, share_chains, NULL);
}

static int prune_around(struct txn *txn, void *arg, struct error *err)
{
	uint32_t number = install(txn, "a.example.com", err), gens[16];
	struct current c;
	const int64_t spare_s = NOW + GENERATION_SPARE_S;
	int64_t again_s;
	size_t count;

	(void)arg;
	/* 1: the newest of its source; 2: served; 3: staged; 4 to 9 */
	add(txn, number, "a.example.com", SOURCE_SELF_SIGNED, NOW, 90, 3, err);
	add(txn, number, "a.example.com", SOURCE_MANAGED, NOW, 90, 3, err);
	assert_ok(current_get(txn, number, &c, err), err);
	c.served = 2;
	assert_ok(current_put(txn, number, &c, err), err);
	add(txn, number, "a.example.com", SOURCE_MANAGED, NOW, 90, 3, err);
	assert_ok(current_get(txn, number, &c, err), err);
	c.staged = 3;
	assert_ok(current_put(txn, number, &c, err), err);
	for (int i = 0; i < 6; i++)
		add(txn, number, "a.example.com", SOURCE_MANAGED, NOW, 90, 3, err);
	/* Somebody may have read half of any of them. */
	assert_ok(generation_prune(txn, number, spare_s - 1, 3, &again_s, err), err);
	assert_int_equal(again_s, spare_s);
	assert_ok(generation_list(txn, number, gens, 16, &count, err), err);
	assert_int_equal(count, 9);
	assert_ok(generation_prune(txn, number, again_s, 3, &again_s, err), err);
	assert_true(again_s == INT64_MAX);
	assert_ok(generation_list(txn, number, gens, 16, &count, err), err);
	assert_int_equal(count, 6);
	for (size_t i = 0; i < 6; i++) {
		static const uint32_t kept[] = {9, 8, 7, 3, 2, 1};

		assert_int_equal(gens[i], kept[i]);
	}
	assert_ok(generation_list(txn, number, gens, 2, &count, err), err);
	assert_int_equal(count, 2);
	assert_int_equal(gens[0], 9);
	assert_int_equal(gens[1], 8);
	return 0;
}

static void prune_never_removes_a_named_generation(void **state)
{
	in_update(*state, prune_around, NULL);
}

static int over_time(struct txn *txn, void *arg, struct error *err)
{
	uint32_t number = install(txn, "a.example.com", err);
	uint32_t own, wildcard, managed, custom;
	int64_t until_s, end_s;
	bool changed;
	struct current c;

	(void)arg;
	assert_fails(EINVAL,
		     current_choose(txn, number, NOW, SERVE_NOW, &changed, &until_s, err),
		     err);
	own = add(txn, number, "a.example.com", SOURCE_SELF_SIGNED, NOW, 900, KEEP, err);
	assert_int_equal(chosen(txn, number, NOW, &until_s, err), own);
	custom = add(txn, number, "a.example.com", SOURCE_CUSTOM, NOW, 10, KEEP, err);
	managed = add(txn, number, "a.example.com", SOURCE_MANAGED, NOW, 30, KEEP, err);
	wildcard = add(txn, number, "a.example.com", SOURCE_WILDCARD, NOW, 20, KEEP, err);
	assert_int_equal(chosen(txn, number, NOW, &until_s, err), custom);

	/* custom until its end, then managed (the wildcard's end passes unseen) */
	end_s = until_s;
	assert_int_equal(chosen(txn, number, end_s - 1, &until_s, err), custom);
	assert_int_equal(chosen(txn, number, end_s, &until_s, err), managed);
	end_s = until_s;
	assert_int_equal(chosen(txn, number, end_s - 1, &until_s, err), managed);
	/* expired, and its reminders are heeded */
	assert_int_equal(chosen(txn, number, end_s, &until_s, err), managed);
	assert_true(until_s == INT64_MAX);
	assert_ok(current_get(txn, number, &c, err), err);
	c.unheeded = true;
	assert_ok(current_put(txn, number, &c, err), err);
	assert_int_equal(chosen(txn, number, end_s, &until_s, err), own);
	/* a clock that was set back */
	assert_int_equal(chosen(txn, number, NOW + 15 * DAY, &until_s, err), managed);
	assert_ok(current_get(txn, number, &c, err), err);
	c.newest[SOURCE_MANAGED] = 0;
	assert_ok(current_put(txn, number, &c, err), err);
	assert_int_equal(chosen(txn, number, NOW + 15 * DAY, &until_s, err), wildcard);
	assert_int_equal(chosen(txn, number, NOW + 25 * DAY, &until_s, err), own);
	/* nothing is valid any more: something is served all the same */
	assert_int_equal(chosen(txn, number, NOW + 1000 * DAY, &until_s, err), own);
	return 0;
}

static void choice_over_time_goes_by_source_and_validity(void **state)
{
	in_update(*state, over_time, NULL);
}

static int not_yet(struct txn *txn, void *arg, struct error *err)
{
	uint32_t number = install(txn, "a.example.com", err), own, custom;
	int64_t until_s;

	(void)arg;
	own = add(txn, number, "a.example.com", SOURCE_SELF_SIGNED, NOW, 900, KEEP, err);
	custom =
	    add(txn, number, "a.example.com", SOURCE_CUSTOM, NOW + DAY, 10, KEEP, err);
	assert_int_equal(chosen(txn, number, NOW, &until_s, err), own);
	assert_int_equal(until_s, NOW + DAY - 3600);
	assert_int_equal(chosen(txn, number, until_s, &until_s, err), custom);
	return 0;
}

static void choice_changes_when_a_better_one_becomes_valid(void **state)
{
	in_update(*state, not_yet, NULL);
}

static int heeded_again(struct txn *txn, void *arg, struct error *err)
{
	uint32_t number = install(txn, "a.example.com", err);
	struct current c;

	(void)arg;
	add(txn, number, "a.example.com", SOURCE_MANAGED, NOW - 40 * DAY, 30, KEEP, err);
	assert_ok(current_get(txn, number, &c, err), err);
	c.unheeded = true;
	assert_ok(current_put(txn, number, &c, err), err);
	add(txn, number, "a.example.com", SOURCE_SELF_SIGNED, NOW, 90, KEEP, err);
	assert_ok(current_get(txn, number, &c, err), err);
	assert_true(c.unheeded);
	add(txn, number, "a.example.com", SOURCE_MANAGED, NOW, 30, KEEP, err);
	assert_ok(current_get(txn, number, &c, err), err);
	assert_false(c.unheeded);
	return 0;
}

static void a_new_managed_certificate_begins_its_reminders_anew(void **state)
{
	in_update(*state, heeded_again, NULL);
}

static int marks(struct txn *txn, void *arg, struct error *err)
{
	uint32_t number = install(txn, "a.example.com", err), marked;
	int64_t until_s;
	uint64_t serial;
	bool changed;

	(void)arg;
	add(txn, number, "a.example.com", SOURCE_CUSTOM, NOW, 10, KEEP, err);
	assert_int_equal(changed_next(txn, 0, &marked, &serial, err), -ENOENT);
	assert_ok(current_choose(txn, number, NOW, SERVE_NOW, &changed, &until_s, err),
		  err);
	assert_true(changed);
	assert_ok(changed_next(txn, 0, &marked, &serial, err), err);
	assert_int_equal(marked, number);
	assert_ok(changed_clear(txn, number, serial, err), err);
	assert_ok(current_choose(txn, number, NOW, SERVE_NOW, &changed, &until_s, err),
		  err);
	assert_false(changed);
	assert_int_equal(changed_next(txn, 0, &marked, &serial, err), -ENOENT);
	return 0;
}

static void only_another_choice_marks_the_domain(void **state)
{
	in_update(*state, marks, NULL);
}

static struct current choose_staged(struct txn *txn, uint32_t number, bool changes,
				    struct error *err)
{
	struct current c;
	int64_t until_s;
	bool changed;

	assert_ok(current_choose(txn, number, NOW, SERVE_STAGED, &changed, &until_s, err),
		  err);
	assert_int_equal(changed, changes);
	assert_ok(current_get(txn, number, &c, err), err);
	return c;
}

static int stage(struct txn *txn, void *arg, struct error *err)
{
	uint32_t number = install(txn, "a.example.com", err), own, managed;
	uint64_t serial;
	struct current c;
	struct owed o;

	(void)arg;
	own = add(txn, number, "a.example.com", SOURCE_SELF_SIGNED, NOW, 90, KEEP, err);
	c = choose_staged(txn, number, true, err);
	assert_int_equal(c.served, own); /* nobody waits for a first one */
	assert_int_equal(c.staged, 0);
	assert_int_equal(owed_get(txn, number, &o, err), -ENOENT);
	managed = add(txn, number, "a.example.com", SOURCE_MANAGED, NOW, 90, KEEP, err);
	c = choose_staged(txn, number, true, err);
	assert_int_equal(c.served, own);
	assert_int_equal(c.staged, managed);
	assert_int_equal(current_chosen(&c), managed);
	assert_ok(owed_get(txn, number, &o, err), err);
	assert_int_equal(o.count, 1);
	assert_int_equal(o.before[0].gen, own);
	choose_staged(txn, number, false, err);
	assert_ok(current_switch(txn, number, &serial, err), err);
	assert_true(serial > 0);
	assert_ok(current_get(txn, number, &c, err), err);
	assert_int_equal(c.served, managed);
	assert_int_equal(c.staged, 0);
	assert_ok(owed_get(txn, number, &o, err), err);
	assert_ok(current_switch(txn, number, &serial, err), err);
	assert_int_equal(serial, 0);
	return 0;
}

static void staged_generation_is_served_once_it_is_switched(void **state)
{
	in_update(*state, stage, NULL);
}

static int overtake(struct txn *txn, void *arg, struct error *err)
{
	uint32_t number = install(txn, "a.example.com", err), own, custom;
	int64_t until_s;
	struct current c;

	(void)arg;
	own = add(txn, number, "a.example.com", SOURCE_SELF_SIGNED, NOW, 90, KEEP, err);
	assert_int_equal(chosen(txn, number, NOW, &until_s, err), own);
	add(txn, number, "a.example.com", SOURCE_MANAGED, NOW, 90, KEEP, err);
	choose_staged(txn, number, true, err);
	custom = add(txn, number, "a.example.com", SOURCE_CUSTOM, NOW, 90, KEEP, err);
	assert_int_equal(chosen(txn, number, NOW, &until_s, err), custom);
	assert_ok(current_get(txn, number, &c, err), err);
	assert_int_equal(c.staged, 0);
	/* what is staged goes when the choice falls back to what is served */
	assert_ok(current_drop_custom(txn, number, err), err);
	choose_staged(txn, number, true, err);
	c.newest[SOURCE_CUSTOM] = custom;
	c.staged = 2;
	assert_ok(current_put(txn, number, &c, err), err);
	c = choose_staged(txn, number, true, err);
	assert_int_equal(c.served, custom);
	assert_int_equal(c.staged, 0);
	return 0;
}

static void newer_choice_takes_the_place_of_what_is_staged(void **state)
{
	in_update(*state, overtake, NULL);
}

static int stage_and_prune(struct txn *txn, void *arg, struct error *err)
{
	uint32_t number = install(txn, "a.example.com", err), managed;
	struct generation g;
	int64_t until_s;

	(void)arg;
	add(txn, number, "a.example.com", SOURCE_SELF_SIGNED, NOW, 90, KEEP, err);
	chosen(txn, number, NOW, &until_s, err);
	managed = add(txn, number, "a.example.com", SOURCE_MANAGED, NOW, 90, 1, err);
	choose_staged(txn, number, true, err);
	add(txn, number, "a.example.com", SOURCE_MANAGED, NOW, 90, 1, err);
	return generation_get(txn, number, managed, &g, err);
}

static int owe_and_prune(struct txn *txn, void *arg, struct error *err)
{
	uint32_t number = install(txn, "a.example.com", err), gens[8];
	const int64_t later_s = NOW + GENERATION_SPARE_S;
	uint64_t second, third;
	int64_t again_s;
	size_t count;

	(void)arg;
	for (int i = 0; i < 5; i++)
		add(txn, number, "a.example.com", SOURCE_MANAGED, NOW, 90, KEEP, err);
	assert_ok(owed_mark(txn, number, 2, &second, err), err);
	assert_ok(owed_mark(txn, number, 3, &third, err), err);
	assert_ok(generation_prune(txn, number, later_s, 1, &again_s, err), err);
	assert_int_equal(again_s, later_s + GENERATION_SPARE_S);
	assert_ok(generation_list(txn, number, gens, 8, &count, err), err);
	assert_int_equal(count, 3);
	assert_int_equal(gens[1], 3);
	assert_int_equal(gens[2], 2);
	assert_ok(owed_told(txn, number, 2, second, err), err);
	assert_ok(owed_told(txn, number, 3, third, err), err);
	assert_ok(generation_prune(txn, number, later_s, 1, &again_s, err), err);
	assert_true(again_s == INT64_MAX);
	assert_ok(generation_list(txn, number, gens, 8, &count, err), err);
	assert_int_equal(count, 1);
	return 0;
}

static void generation_is_kept_until_its_watchers_were_told(void **state)
{
	in_update(*state, owe_and_prune, NULL);
}

static void what_is_staged_is_never_pruned(void **state)
{
	in_update(*state, stage_and_prune, NULL);
}

static int drop_custom(struct txn *txn, void *arg, struct error *err)
{
	uint32_t number = install(txn, "a.example.com", err), own;
	struct generation g;
	int64_t until_s;

	(void)arg;
	own = add(txn, number, "a.example.com", SOURCE_SELF_SIGNED, NOW, 90, KEEP, err);
	assert_fails(ENOENT, current_drop_custom(txn, number, err), err);
	add(txn, number, "a.example.com", SOURCE_CUSTOM, NOW, 10, KEEP, err);
	assert_int_equal(chosen(txn, number, NOW, &until_s, err), 2);
	assert_ok(current_drop_custom(txn, number, err), err);
	assert_int_equal(chosen(txn, number, NOW, &until_s, err), own);
	return generation_get(txn, number, 2, &g, err);
}

static void custom_that_is_taken_away_stays_in_the_history(void **state)
{
	in_update(*state, drop_custom, NULL);
}

static void fall_back(struct txn *txn, uint32_t number, int64_t now_s,
		      struct generation *g, int64_t *until_s, struct error *err)
{
	struct current c;
	bool changed;

	assert_ok(generation_fallback(txn, number, now_s, KEEP, SERVE_NOW, &changed,
				      until_s, err),
		  err);
	assert_ok(current_get(txn, number, &c, err), err);
	assert_ok(generation_get(txn, number, c.served, g, err), err);
}

static int own_fallback(struct txn *txn, void *arg, struct error *err)
{
	const struct name www = name_of("www.example.com");
	uint32_t number = install(txn, "a.example.com", err);
	int64_t until_s, end_s;
	struct generation g;
	struct domain d;

	(void)arg;
	fall_back(txn, number, NOW, &g, &until_s, err);
	assert_int_equal(g.gen, 1);
	assert_int_equal(g.source, SOURCE_SELF_SIGNED);
	assert_string_equal(g.info.names, "a.example.com");
	end_s = g.info.not_after_s;
	assert_int_equal(until_s, end_s - 30 * DAY);
	fall_back(txn, number, until_s - 1, &g, &until_s, err);
	assert_int_equal(g.gen, 1);

	assert_ok(domain_alias(txn, &www, number, NOW, &d, err), err);
	fall_back(txn, number, NOW, &g, &until_s, err);
	assert_int_equal(g.gen, 2);
	assert_string_equal(g.info.names, "a.example.com www.example.com");
	assert_ok(domain_unalias(txn, d.number, NOW, err), err);
	fall_back(txn, number, NOW, &g, &until_s, err);
	assert_int_equal(g.gen, 3);
	assert_string_equal(g.info.names, "a.example.com");
	fall_back(txn, number, until_s, &g, &until_s, err);
	assert_int_equal(g.gen, 4);
	assert_true(g.info.not_after_s > end_s);
	return 0;
}

static void self_signed_is_made_again_before_its_end_and_for_other_aliases(void **state)
{
	in_update(*state, own_fallback, NULL);
}

static int wildcard_fallback(struct txn *txn, void *arg, struct error *err)
{
	static const char wild[] = "wildcard_.example.com";
	uint32_t number = install(txn, "a.example.com", err), above;
	struct generation g, of_above;
	int64_t until_s;
	bool changed;

	(void)arg;
	above = install(txn, wild, err);
	assert_ok(generation_fallback(txn, above, NOW, KEEP, SERVE_NOW, &changed,
				      &until_s, err),
		  err);
	fall_back(txn, number, NOW, &g, &until_s, err);
	assert_int_equal(g.source, SOURCE_SELF_SIGNED); /* its own is a fallback too */

	add(txn, above, wild, SOURCE_CUSTOM, NOW, 90, KEEP, err);
	fall_back(txn, above, NOW, &of_above, &until_s, err);
	assert_int_equal(of_above.source, SOURCE_CUSTOM);
	fall_back(txn, number, NOW, &g, &until_s, err);
	assert_int_equal(g.source, SOURCE_WILDCARD);
	assert_string_equal(g.origin, wild);
	assert_string_equal(g.info.names, "*.example.com");
	assert_memory_equal(g.info.sha256, of_above.info.sha256, sizeof(g.info.sha256));
	assert_content(txn, number, g.gen, FILE_COMBINED, KEY_BEGINS, 1, err);
	fall_back(txn, number, NOW, &of_above, &until_s, err);
	assert_int_equal(of_above.gen, g.gen);

	add(txn, above, wild, SOURCE_CUSTOM, NOW + 1, 90, KEEP, err);
	fall_back(txn, above, NOW + 1, &of_above, &until_s, err);
	fall_back(txn, number, NOW + 1, &g, &until_s, err);
	assert_memory_equal(g.info.sha256, of_above.info.sha256, sizeof(g.info.sha256));

	assert_ok(domain_retire(txn, above, NOW, err), err);
	fall_back(txn, number, NOW + 1, &g, &until_s, err);
	assert_int_equal(g.source, SOURCE_SELF_SIGNED);
	return 0;
}

static void wildcard_counts_while_it_is_installed_and_no_fallback_itself(void **state)
{
	in_update(*state, wildcard_fallback, NULL);
}

static int custom_fallback(struct txn *txn, void *arg, struct error *err)
{
	uint32_t fallback = install(txn, "fallback", err);
	uint32_t number = install(txn, "a.example.com", err);
	struct generation g, first;
	int64_t until_s;

	(void)arg;
	fall_back(txn, fallback, NOW, &g, &until_s, err);
	assert_int_equal(g.source, SOURCE_SELF_SIGNED);
	fall_back(txn, number, NOW, &g, &until_s, err);
	assert_string_equal(g.info.names, "a.example.com");

	add(txn, fallback, "fallback", SOURCE_CUSTOM, NOW, 90, KEEP, err);
	fall_back(txn, fallback, NOW, &first, &until_s, err);
	assert_int_equal(first.source, SOURCE_CUSTOM);
	fall_back(txn, number, NOW, &g, &until_s, err);
	assert_int_equal(g.source, SOURCE_SELF_SIGNED);
	assert_string_equal(g.origin, "fallback");
	assert_memory_equal(g.info.sha256, first.info.sha256, sizeof(g.info.sha256));
	fall_back(txn, number, NOW, &first, &until_s, err);
	assert_int_equal(first.gen, g.gen);

	assert_ok(current_drop_custom(txn, fallback, err), err);
	fall_back(txn, fallback, NOW, &first, &until_s, err);
	fall_back(txn, number, NOW, &g, &until_s, err);
	assert_string_equal(g.info.names, "a.example.com");
	return 0;
}

static void pair_in_fallback_stands_in_for_every_directory(void **state)
{
	in_update(*state, custom_fallback, NULL);
}

struct sealing {
	uint32_t number, gen;
};

static int add_sealed(struct txn *txn, void *arg, struct error *err)
{
	struct secret *key = secret_copy("the key as written", 18);
	struct written written = {.file = {[FILE_PRIVKEY] = key}};
	struct sealing *s = arg;
	struct pair p = {0};

	s->number = install(txn, "a.example.com", err);
	make_pair(&p, "a.example.com", NOW, 90);
	assert_ok(generation_add(txn, s->number, &p, SOURCE_CUSTOM, &written, "", NOW,
				 KEEP, &s->gen, err),
		  err);
	pair_clear(&p);
	secret_free(key);
	return 0;
}

static int swap_rows(struct txn *txn, void *arg, struct error *err)
{
	const unsigned char from[] = {0, 0, 0, 2, 0, 0, 0, 1},
			    to[] = {0, 0, 0, 2, 0, 0, 0, 9};
	struct db_value v;
	void *copy;
	int rc;

	(void)arg;
	assert_ok(db_get(txn, DB_GENERATIONS, from, sizeof(from), &v, err), err);
	copy = malloc(v.size);
	memcpy(copy, v.data, v.size);
	rc = db_put(txn, DB_GENERATIONS, to, sizeof(to), copy, v.size, err);
	free(copy);
	return rc;
}

static bool file_holds(const char *dir, const char *needle)
{
	char path[96], *data;
	off_t size;
	int fd;
	bool found;

	snprintf(path, sizeof(path), "%s/data.mdb", dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	size = lseek(fd, 0, SEEK_END);
	data = malloc((size_t)size);
	assert_int_equal(pread(fd, data, (size_t)size, 0), size);
	close(fd);
	found = memmem(data, (size_t)size, needle, strlen(needle)) != NULL;
	free(data);
	return found;
}

static void sealed_key_is_not_on_disk_and_opens_in_its_place_only(void **state)
{
	static const char hex[] =
	    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
	struct db_options options = {0};
	struct temp_store *t = *state;
	struct secret *content = NULL;
	struct generation g;
	struct sealing s;
	char path[96];
	struct txn *txn;
	FILE *f;

	snprintf(path, sizeof(path), "%s/master", t->dir);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(hex, f);
	fclose(f);
	temp_store_close(t);
	assert_ok(seal_open(&options.seal, path, &t->err), &t->err);
	unlink(path);
	temp_store_open(t, &options);
	in_update(t, add_sealed, &s);
	assert_int_equal(s.number, 2);
	assert_int_equal(s.gen, 1);
	in_update(t, swap_rows, NULL);

	txn = read_begin(t);
	assert_ok(generation_read(txn, 2, 1, FILE_PRIVKEY, &content, &t->err), &t->err);
	assert_memory_equal(secret_data(content), "the key as written", 18);
	secret_free(content);
	assert_content(txn, 2, 1, FILE_COMBINED, KEY_BEGINS, 1, &t->err);
	content = NULL;
	assert_fails(EBADMSG, generation_read(txn, 2, 9, FILE_PRIVKEY, &content, &t->err),
		     &t->err);
	assert_fails(EBADMSG,
		     generation_read(txn, 2, 9, FILE_COMBINED, &content, &t->err),
		     &t->err);
	db_read_end(txn);
	temp_store_close(t);
	assert_false(file_holds(t->dir, "the key as written"));
	seal_close(options.seal);

	/* Without the master key all but the keys is there, sizes included. */
	options.seal = NULL;
	temp_store_open(t, &options);
	txn = read_begin(t);
	assert_ok(generation_get(txn, 2, 1, &g, &t->err), &t->err);
	assert_int_equal(g.size[FILE_PRIVKEY], 18);
	assert_content(txn, 2, 1, FILE_FULLCHAIN, CERT_BEGINS, 1, &t->err);
	assert_fails(EACCES, generation_read(txn, 2, 1, FILE_PRIVKEY, &content, &t->err),
		     &t->err);
	assert_null(content);
	db_read_end(txn);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    store_test(files_are_derived_and_their_sizes_are_exact),
	    store_test(leaf_stands_in_for_a_chain_of_nothing),
	    store_test(what_was_written_is_read_back_byte_for_byte),
	    store_test(chain_is_stored_once_and_goes_with_its_last_generation),
	    store_test(prune_never_removes_a_named_generation),
	    store_test(choice_over_time_goes_by_source_and_validity),
	    store_test(choice_changes_when_a_better_one_becomes_valid),
	    store_test(a_new_managed_certificate_begins_its_reminders_anew),
	    store_test(only_another_choice_marks_the_domain),
	    store_test(staged_generation_is_served_once_it_is_switched),
	    store_test(newer_choice_takes_the_place_of_what_is_staged),
	    store_test(generation_is_kept_until_its_watchers_were_told),
	    store_test(what_is_staged_is_never_pruned),
	    store_test(custom_that_is_taken_away_stays_in_the_history),
	    store_test(self_signed_is_made_again_before_its_end_and_for_other_aliases),
	    store_test(wildcard_counts_while_it_is_installed_and_no_fallback_itself),
	    store_test(pair_in_fallback_stands_in_for_every_directory),
	    store_test(sealed_key_is_not_on_disk_and_opens_in_its_place_only),
	};

	return cmocka_run_group_tests_name("generation", tests, NULL, NULL);
}
