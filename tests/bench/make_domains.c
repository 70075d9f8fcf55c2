/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* make_domains STORE COUNT: adds the directories d0000000.example.com and on to a store
 * that certfs has made (and isn't running on), as mkdir(2) and the engine after it leave
 * them: a row, a self-signed pair of their own, an event, the moment at which that pair
 * is made anew, and nothing left to tell the kernel. What is not as there: they share a
 * handful of keys, and 5,000 share a commit. */
#include "store/changed.h"
#include "store/db.h"
#include "store/domain.h"
#include "store/due.h"
#include "store/event.h"
#include "store/generation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BATCH            5000
#define PAIRS            8
#define SELF_SIGNED_DAYS 3650
#define RENEW_BEFORE_S   (30 * 24 * 3600)
#define KEEP             10
#define ROOM             ((size_t)5 << 10) /* that a domain takes in the map, about */

struct filling {
	struct pair pair[PAIRS];
	unsigned long from, to;
	int64_t now_s;
};

static int pairs_make(struct filling *f, struct error *err)
{
	struct secret *key = NULL;
	struct name name;
	int rc = name_parse("wildcard_.example.com", &name, err);

	for (int i = 0; i < PAIRS && rc == 0; i++) {
		rc = x509_key_new(KEY_P256, &key, err);
		if (rc == 0)
			rc = x509_self_sign(key, &name, NULL, 0, f->now_s,
					    SELF_SIGNED_DAYS, &f->pair[i], err);
		secret_free(key);
		key = NULL;
	}
	return rc;
}

static int add_pair(struct txn *txn, const struct filling *f, uint32_t number,
		    int64_t *until_s, struct error *err)
{
	bool changed;
	uint32_t gen;
	int rc = generation_add(txn, number, &f->pair[number % PAIRS], SOURCE_SELF_SIGNED,
				NULL, "certfs", f->now_s, KEEP, &gen, err);

	return rc ? rc
		  : current_choose(txn, number, f->now_s, SERVE_NOW, &changed, until_s,
				   err);
}

static int told(struct txn *txn, uint32_t number, struct error *err)
{
	uint32_t found;
	uint64_t serial;
	int rc = changed_next(txn, number, &found, &serial, err);

	if (rc == -ENOENT || (rc == 0 && found != number))
		return 0;
	return rc ? rc : changed_clear(txn, number, serial, err);
}

static int add_domain(struct txn *txn, const struct filling *f, unsigned long i,
		      struct error *err)
{
	char text[NAME_MAX_TEXT];
	struct domain d;
	struct name name;
	int64_t until_s;
	bool back;
	int rc;

	snprintf(text, sizeof(text), "d%07lu.example.com", i);
	rc = name_parse(text, &name, err);
	if (rc == 0)
		rc = domain_install(txn, &name, OWNER_KEEP, OWNER_KEEP, f->now_s, &d,
				    &back, err);
	if (rc == 0)
		rc = add_pair(txn, f, d.number, &until_s, err);
	if (rc == 0)
		rc = event_add(txn, EVENT_INSTALLED, d.number, f->now_s, err,
			       "%s was installed", text);
	if (rc == 0)
		rc = due_set(txn, d.number, until_s - RENEW_BEFORE_S, err);
	return rc ? rc : told(txn, d.number, err);
}

static int add_batch(struct txn *txn, void *arg, struct error *err)
{
	const struct filling *f = arg;
	int rc = 0;

	for (unsigned long i = f->from; i < f->to && rc == 0; i++)
		rc = add_domain(txn, f, i, err);
	return rc;
}

static int fill(const char *store, unsigned long count, struct error *err)
{
	struct filling f = {.now_s = time(NULL)};
	struct db_options options = {.map_size = count * ROOM + (64 << 20)};
	struct db *db = NULL;
	int rc = db_open(&db, store, &options, err);

	if (rc == 0)
		rc = pairs_make(&f, err);
	while (f.to < count && rc == 0) {
		f.from = f.to;
		f.to = f.from + BATCH < count ? f.from + BATCH : count;
		rc = db_update(db, add_batch, &f, err);
	}
	for (int i = 0; i < PAIRS; i++)
		pair_clear(&f.pair[i]);
	db_close(db);
	return rc;
}

int main(int argc, char **argv)
{
	struct error err = {.code = 0};

	if (argc != 3) {
		fprintf(stderr, "usage: make_domains STORE COUNT\n");
		return 64;
	}
	if (fill(argv[1], strtoul(argv[2], NULL, 10), &err)) {
		fprintf(stderr, "make_domains: %s\n", err.text);
		return 1;
	}
	return 0;
}
