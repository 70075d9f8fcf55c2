/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "tests/unit/temp_store.h"

#include "store/codec.h"
#include "store/domain.h"
#include "store/generation.h"

#include <errno.h>

#define NOW 1700000000

static uint32_t install(struct txn *txn, const char *text, struct error *err)
{
	const struct name name = name_of(text);
	struct domain d;
	bool back;

	assert_ok(domain_install(txn, &name, 1000, 1001, NOW, &d, &back, err), err);
	assert_false(back);
	return d.number;
}

static uint32_t alias(struct txn *txn, const char *text, uint32_t target,
		      struct error *err)
{
	const struct name name = name_of(text);
	struct domain d;

	assert_ok(domain_alias(txn, &name, target, NOW, &d, err), err);
	assert_int_equal(d.target, target);
	return d.number;
}

static int fallback_first(struct txn *txn, void *arg, struct error *err)
{
	(void)arg;
	assert_int_equal(install(txn, "fallback", err), DOMAIN_FALLBACK);
	assert_int_equal(install(txn, "a.example.com", err), 2);
	assert_int_equal(install(txn, "b.example.com", err), 3);
	assert_fails(EPERM, domain_retire(txn, DOMAIN_FALLBACK, NOW, err), err);
	return 0;
}

static void fallback_is_number_one_and_stays(void **state)
{
	in_update(*state, fallback_first, NULL);
}

static int names_before_fallback(struct txn *txn, void *arg, struct error *err)
{
	(void)arg;
	assert_int_equal(install(txn, "a.example.com", err), 2);
	assert_int_equal(install(txn, "fallback", err), DOMAIN_FALLBACK);
	return 0;
}

static void fallback_is_number_one_whenever_it_comes(void **state)
{
	in_update(*state, names_before_fallback, NULL);
}

static int change_all(struct txn *txn, void *arg, struct error *err)
{
	struct domain d;

	(void)arg;
	install(txn, "a.example.com", err);
	assert_ok(domain_find(txn, "a.example.com", &d, err), err);
	assert_int_equal(d.dir.uid, 1000);
	assert_int_equal(d.dir.gid, 1001);
	assert_int_equal(d.dir.mode, OWNER_KEEP);
	assert_int_equal(d.created_s, NOW);
	d.dir.mode = 0710;
	d.file[FILE_PRIVKEY] = (struct owner){33, 34, 0640};
	d.times_gen = 4;
	d.mtime_s[FILE_CERT] = 99;
	d.failures = 3;
	d.failed_s = 5;
	d.next_try_s = 6;
	strcpy(d.last_error, "no answer");
	d.last_error_s = 7;
	strcpy(d.refused, "not a key");
	d.refused_s = 8;
	d.reminders = 9;
	d.page[PAGE_POLICY] = (struct owner){35, 36, 0600};
	d.policy.set = 1u << POLICY_KEEP;
	d.policy.keep = 3;
	return domain_put(txn, &d, err);
}

static void a_row_is_read_as_it_was_written(void **state)
{
	struct temp_store *t = *state;
	struct domain d;
	struct txn *txn;

	in_update(t, change_all, NULL);
	txn = read_begin(t);
	assert_ok(domain_find(txn, "a.example.com", &d, &t->err), &t->err);
	assert_string_equal(d.name.text, "a.example.com");
	assert_int_equal(d.name.kind, NAME_DNS);
	assert_true(d.installed);
	assert_int_equal(d.dir.mode, 0710);
	assert_int_equal(d.file[FILE_PRIVKEY].uid, 33);
	assert_int_equal(d.file[FILE_PRIVKEY].gid, 34);
	assert_int_equal(d.file[FILE_PRIVKEY].mode, 0640);
	assert_int_equal(d.file[FILE_CERT].uid, OWNER_KEEP);
	assert_int_equal(d.times_gen, 4);
	assert_int_equal(d.mtime_s[FILE_CERT], 99);
	assert_int_equal(d.failures, 3);
	assert_int_equal(d.failed_s, 5);
	assert_int_equal(d.next_try_s, 6);
	assert_string_equal(d.last_error, "no answer");
	assert_int_equal(d.last_error_s, 7);
	assert_string_equal(d.refused, "not a key");
	assert_int_equal(d.refused_s, 8);
	assert_int_equal(d.reminders, 9);
	assert_int_equal(d.page[PAGE_POLICY].gid, 36);
	assert_int_equal(d.page[PAGE_STATUS].mode, OWNER_KEEP);
	assert_true(policy_has(&d.policy, POLICY_KEEP));
	assert_int_equal(d.policy.keep, 3);
	db_read_end(txn);
}

/* As the version before policies wrote it. */
static int old_row(struct txn *txn, void *arg, struct error *err)
{
	unsigned char key[ENC_NUMBER_KEY], row[1024];
	const uint32_t keep = OWNER_KEEP;
	struct enc e;

	(void)arg;
	enc_init(&e, row, sizeof(row));
	enc_u8(&e, 1);
	enc_u8(&e, 1);
	enc_u8(&e, NAME_DNS);
	enc_text(&e, "a.example.com");
	enc_u32(&e, 0);
	enc_i64(&e, NOW);
	enc_i64(&e, NOW + 1);
	for (int i = 0; i < 3; i++)
		enc_u32(&e, i ? keep : 1000);
	enc_u32(&e, 0);
	enc_u8(&e, FILE_KINDS);
	for (int i = 0; i < FILE_KINDS; i++) {
		for (int k = 0; k < 3; k++)
			enc_u32(&e, keep);
		enc_i64(&e, 0);
	}
	enc_u32(&e, 2);
	enc_i64(&e, 3);
	enc_i64(&e, 4);
	enc_text(&e, "no answer");
	enc_i64(&e, 5);
	enc_text(&e, "");
	enc_i64(&e, 0);
	enc_u32(&e, 0);
	enc_i64(&e, 6);
	enc_number_key(key, 2);
	return db_put(txn, DB_DOMAINS, key, sizeof(key), row, e.size, err);
}

static int as_old(struct txn *txn, void *arg, struct error *err)
{
	unsigned char key[ENC_NUMBER_KEY];
	struct db_value v;

	(void)arg;
	enc_number_key(key, 2);
	assert_ok(db_get(txn, DB_DOMAINS, key, sizeof(key), &v, err), err);
	assert_int_equal(*(const unsigned char *)v.data, 1);
	return 0;
}

static int put_back(struct txn *txn, void *arg, struct error *err)
{
	assert_ok(domain_get(txn, 2, arg, err), err);
	return domain_put(txn, arg, err);
}

static void row_of_an_earlier_version_is_read_and_stays_one(void **state)
{
	struct domain d;

	in_update(*state, old_row, NULL);
	memset(&d, 0xaa, sizeof(d));
	in_update(*state, put_back, &d);
	assert_string_equal(d.name.text, "a.example.com");
	assert_int_equal(d.dir.uid, 1000);
	assert_int_equal(d.failures, 2);
	assert_int_equal(d.remove_custom_s, 6);
	assert_int_equal(d.policy.set, 0);
	assert_int_equal(d.policy.written_s, 0);
	for (int i = 0; i < PAGE_KINDS; i++)
		assert_int_equal(d.page[i].mode, OWNER_KEEP);
	in_update(*state, as_old, NULL);
}

static int missing(struct txn *txn, void *arg, struct error *err)
{
	char too_long[400];
	struct domain d = {.number = 77};

	(void)arg;
	memset(too_long, 'a', sizeof(too_long) - 1);
	too_long[sizeof(too_long) - 1] = '\0';
	assert_fails(ENOENT, domain_get(txn, 77, &d, err), err);
	assert_fails(ENOENT, domain_put(txn, &d, err), err);
	assert_fails(ENOENT, domain_find(txn, "nobody.example.com", &d, err), err);
	assert_fails(ENOENT, domain_find(txn, too_long, &d, err), err);
	assert_fails(ENOENT, domain_find(txn, "", &d, err), err);
	assert_fails(ENOENT, domain_retire(txn, 77, NOW, err), err);
	return 0;
}

static void what_was_never_made_is_not_there(void **state)
{
	in_update(*state, missing, NULL);
}

static int come_back(struct txn *txn, void *arg, struct error *err)
{
	const struct name name = name_of("a.example.com");
	int64_t until_s;
	struct generation g;
	struct current c;
	struct domain d;
	bool back, changed;
	uint32_t number;

	(void)arg;
	install(txn, "fallback", err);
	assert_ok(change_all(txn, NULL, err), err);
	assert_ok(domain_find(txn, name.text, &d, err), err);
	number = d.number;
	assert_fails(EEXIST, domain_install(txn, &name, 0, 0, NOW, &d, &back, err), err);
	assert_ok(
	    generation_fallback(txn, number, NOW, 10, SERVE_NOW, &changed, &until_s, err),
	    err);
	assert_ok(domain_retire(txn, number, NOW + 1, err), err);
	assert_fails(ENOENT, domain_retire(txn, number, NOW + 1, err), err);
	assert_ok(domain_find(txn, name.text, &d, err), err);
	assert_false(d.installed);

	assert_ok(domain_install(txn, &name, 5, 6, NOW + 2, &d, &back, err), err);
	assert_true(back);
	assert_true(d.installed);
	assert_int_equal(d.number, number);
	assert_int_equal(d.created_s, NOW);
	assert_int_equal(d.failures, 3);
	assert_int_equal(d.next_try_s, 6);
	/* The last holder's permissions are not those of the next one. */
	assert_int_equal(d.dir.uid, 5);
	assert_int_equal(d.dir.mode, OWNER_KEEP);
	assert_int_equal(d.file[FILE_PRIVKEY].uid, OWNER_KEEP);
	assert_int_equal(d.page[PAGE_POLICY].uid, OWNER_KEEP);
	assert_int_equal(d.policy.set, 0);
	assert_ok(current_get(txn, number, &c, err), err);
	assert_int_not_equal(c.served, 0);
	return generation_get(txn, number, c.served, &g, err);
}

static void retired_name_comes_back_with_its_generations(void **state)
{
	in_update(*state, come_back, NULL);
}

static int alias_rules(struct txn *txn, void *arg, struct error *err)
{
	const struct name www = name_of("www.example.com"),
			  two = name_of("two.example.com");
	struct name names[DOMAIN_ALIASES_MAX];
	uint32_t a, b, w;
	struct domain d;
	bool back;
	size_t count;

	(void)arg;
	a = install(txn, "a.example.com", err);
	b = install(txn, "b.example.com", err);
	w = alias(txn, www.text, a, err);
	assert_fails(EEXIST, domain_alias(txn, &www, b, NOW, &d, err), err);
	assert_fails(EEXIST, domain_install(txn, &www, 0, 0, NOW, &d, &back, err), err);
	assert_fails(ELOOP, domain_alias(txn, &two, w, NOW, &d, err), err);
	assert_fails(ENOENT, domain_alias(txn, &two, 99, NOW, &d, err), err);
	assert_fails(ENOENT, domain_find(txn, two.text, &d, err), err);
	assert_fails(EBUSY, domain_retire(txn, a, NOW, err), err);
	assert_non_null(strstr(err->text, "www.example.com"));
	assert_fails(ENOTDIR, domain_retire(txn, w, NOW, err), err);
	assert_fails(EISDIR, domain_unalias(txn, a, NOW, err), err);
	assert_ok(domain_aliases(txn, a, names, &count, err), err);
	assert_int_equal(count, 1);
	assert_string_equal(names[0].text, www.text);
	assert_ok(domain_aliases(txn, b, names, &count, err), err);
	assert_int_equal(count, 0);

	assert_ok(domain_unalias(txn, w, NOW, err), err);
	assert_fails(ENOENT, domain_unalias(txn, w, NOW, err), err);
	assert_ok(domain_aliases(txn, a, names, &count, err), err);
	assert_int_equal(count, 0);
	assert_ok(domain_retire(txn, a, NOW, err), err);
	assert_fails(ENOENT, domain_alias(txn, &www, a, NOW, &d, err), err);
	assert_int_equal(alias(txn, www.text, b, err), w);
	assert_ok(domain_unalias(txn, w, NOW, err), err);
	assert_int_equal(install(txn, www.text, err), w);
	return 0;
}

static void alias_points_to_an_installed_directory_and_holds_it(void **state)
{
	in_update(*state, alias_rules, NULL);
}

static int many_aliases(struct txn *txn, void *arg, struct error *err)
{
	struct name names[DOMAIN_ALIASES_MAX], last = name_of("last.example.com");
	uint32_t a = install(txn, "a.example.com", err);
	struct domain d;
	char text[64];
	size_t count;

	(void)arg;
	for (int i = 0; i < DOMAIN_ALIASES_MAX; i++) {
		snprintf(text, sizeof(text), "n%d.example.com", i);
		alias(txn, text, a, err);
	}
	assert_fails(EMLINK, domain_alias(txn, &last, a, NOW, &d, err), err);
	assert_ok(domain_aliases(txn, a, names, &count, err), err);
	assert_int_equal(count, DOMAIN_ALIASES_MAX);
	assert_string_equal(names[98].text, "n98.example.com");
	return 0;
}

static void a_certificate_has_room_for_so_many_aliases(void **state)
{
	in_update(*state, many_aliases, NULL);
}

static int digests(struct txn *txn, void *arg, struct error *err)
{
	unsigned char before[DOMAIN_DIGEST], with[DOMAIN_DIGEST], after[DOMAIN_DIGEST];
	uint32_t a = install(txn, "a.example.com", err), w;

	(void)arg;
	assert_ok(domain_digest(txn, a, before, err), err);
	w = alias(txn, "www.example.com", a, err);
	assert_ok(domain_digest(txn, a, with, err), err);
	assert_memory_not_equal(before, with, sizeof(with));
	assert_ok(domain_unalias(txn, w, NOW, err), err);
	assert_ok(domain_digest(txn, a, after, err), err);
	assert_memory_equal(before, after, sizeof(after));
	return 0;
}

static void digest_tells_whether_the_aliases_changed(void **state)
{
	in_update(*state, digests, NULL);
}

static int install_ten(struct txn *txn, void *arg, struct error *err)
{
	char text[64];

	(void)arg;
	for (int i = 0; i < 10; i++) {
		snprintf(text, sizeof(text), "n%d.example.com", i);
		install(txn, text, err);
	}
	return 0;
}

static int disturb(struct txn *txn, void *arg, struct error *err)
{
	const struct name again = name_of("n0.example.com");
	static const char *const fresh[] = {"x0.example.com", "x1.example.com"};
	int *round = arg;
	struct domain d;
	bool back;

	if (*round == 2) { /* behind the reader, and ahead of it */
		assert_ok(domain_find(txn, "n0.example.com", &d, err), err);
		assert_ok(domain_retire(txn, d.number, NOW, err), err);
		assert_ok(domain_find(txn, "n8.example.com", &d, err), err);
		assert_ok(domain_retire(txn, d.number, NOW, err), err);
		install(txn, fresh[0], err);
	}
	if (*round == 4) {
		assert_ok(domain_install(txn, &again, 0, 0, NOW, &d, &back, err), err);
		alias(txn, fresh[1], d.number, err);
	}
	return 0;
}

static void listing_neither_repeats_nor_loses_what_stays(void **state)
{
	struct temp_store *t = *state;
	int seen[10] = {0}, rc, round = 0;
	uint32_t after = 0;
	struct domain d;

	in_update(t, install_ten, NULL);
	for (;;) {
		struct txn *txn = read_begin(t);

		rc = domain_next(txn, after, &d, &t->err);
		db_read_end(txn);
		if (rc)
			break;
		assert_true(d.number > after);
		assert_true(d.installed);
		if (d.name.text[0] == 'n')
			seen[d.name.text[1] - '0']++;
		after = d.number;
		round++;
		in_update(t, disturb, &round);
	}
	assert_int_equal(rc, -ENOENT);
	for (int i = 0; i < 10; i++)
		assert_int_equal(seen[i], i != 8);
}

static void file_kinds_are_found_by_their_names(void **state)
{
	(void)state;
	for (int i = 0; i < FILE_KINDS; i++)
		assert_int_equal(file_kind_of(file_name[i]), i);
	assert_int_equal(file_kind_of("status"), FILE_KINDS);
	assert_true(file_is_secret(FILE_PRIVKEY) && file_is_secret(FILE_COMBINED));
	assert_false(file_is_secret(FILE_CERT) || file_is_secret(FILE_CHAIN) ||
		     file_is_secret(FILE_FULLCHAIN));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    store_test(fallback_is_number_one_and_stays),
	    store_test(fallback_is_number_one_whenever_it_comes),
	    store_test(a_row_is_read_as_it_was_written),
	    store_test(row_of_an_earlier_version_is_read_and_stays_one),
	    store_test(what_was_never_made_is_not_there),
	    store_test(retired_name_comes_back_with_its_generations),
	    store_test(alias_points_to_an_installed_directory_and_holds_it),
	    store_test(a_certificate_has_room_for_so_many_aliases),
	    store_test(digest_tells_whether_the_aliases_changed),
	    store_test(listing_neither_repeats_nor_loses_what_stays),
	    cmocka_unit_test(file_kinds_are_found_by_their_names),
	};

	return cmocka_run_group_tests_name("domain", tests, NULL, NULL);
}
