/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/generation_internal.h"

#include "store/codec.h"
#include "store/owed.h"

#include <errno.h>

/* The generation of a row of `number`; -ENOENT: the row is another domain's. */
static int gen_of(const struct db_value *key, uint32_t number, uint32_t *gen)
{
	struct dec d;

	dec_init(&d, key->data, key->size);
	if (dec_be32(&d) != number)
		return -ENOENT;
	*gen = dec_be32(&d);
	return dec_done(&d) ? 0 : -EIO;
}

static int seek_newest(struct db_cursor *cursor, uint32_t number, uint32_t *gen)
{
	unsigned char above[GENERATION_KEY];
	struct db_value key, value;
	int rc;

	generation_key(above, number, UINT32_MAX);
	rc = db_seek_before(cursor, above, sizeof(above), &key, &value);
	return rc ? rc : gen_of(&key, number, gen);
}

static int walk_end(struct db_cursor *cursor, uint32_t number, int rc, struct error *err)
{
	db_cursor_close(cursor);
	if (rc == 0 || rc == -ENOENT)
		return 0;
	return error_set(err, -rc, "cannot read the generations of domain %u",
			 (unsigned int)number);
}

int generation_list(struct txn *txn, uint32_t number, uint32_t *out, size_t room,
		    size_t *count, struct error *err)
{
	struct db_cursor *cursor = NULL;
	struct db_value key, value;
	uint32_t gen;
	int rc = db_cursor_open(txn, DB_GENERATIONS, &cursor, err);

	*count = 0;
	if (rc)
		return rc;
	rc = seek_newest(cursor, number, &gen);
	while (rc == 0 && *count < room) {
		out[(*count)++] = gen;
		rc = db_prev(cursor, &key, &value);
		if (rc == 0)
			rc = gen_of(&key, number, &gen);
	}
	return walk_end(cursor, number, rc, err);
}

int generation_newest(struct txn *txn, uint32_t number, uint32_t *gen, struct error *err)
{
	struct db_cursor *cursor = NULL;
	int rc = db_cursor_open(txn, DB_GENERATIONS, &cursor, err);

	*gen = 0;
	if (rc)
		return rc;
	return walk_end(cursor, number, seek_newest(cursor, number, gen), err);
}

static bool current_names(const struct current *c, uint32_t gen)
{
	bool named = gen == c->served || gen == c->staged;

	for (int i = SOURCE_SELF_SIGNED; i <= SOURCE_CUSTOM; i++)
		named = named || gen == c->newest[i];
	return named;
}

/* Its watchers were not told yet, and announcing names it. */
static bool owed_names(const struct owed *o, uint32_t gen)
{
	bool named = false;

	for (size_t i = 0; i < o->count; i++)
		named = named || gen == o->before[i].gen;
	return named;
}

/* The first generation of `number` above `after`; 0: there is none. */
static int gen_above(struct txn *txn, uint32_t number, uint32_t after, uint32_t *gen,
		     struct error *err)
{
	struct db_cursor *cursor = NULL;
	struct db_value key, value;
	unsigned char from[GENERATION_KEY];
	int rc = db_cursor_open(txn, DB_GENERATIONS, &cursor, err);

	*gen = 0;
	if (rc)
		return rc;
	generation_key(from, number, after + 1);
	rc = db_seek(cursor, from, sizeof(from), &key, &value);
	if (rc == 0)
		rc = gen_of(&key, number, gen);
	return walk_end(cursor, number, rc, err);
}

/* When `gen` may go: what was installed after it must have been there for a while, since
 * who has read half of it may still come for the other half. */
static int goes_at(struct txn *txn, uint32_t number, uint32_t gen, int64_t *at_s,
		   struct error *err)
{
	struct generation next;
	uint32_t above = 0;
	int rc = gen_above(txn, number, gen, &above, err);

	if (rc == 0)
		rc = generation_get(txn, number, above, &next, err);
	if (rc == 0)
		*at_s = next.installed_s + GENERATION_SPARE_S;
	return rc;
}

int generation_prune(struct txn *txn, uint32_t number, int64_t now_s, uint32_t keep,
		     int64_t *again_s, struct error *err)
{
	uint32_t newest, gen = 0;
	struct current c;
	struct owed o;
	int64_t at_s = 0;
	int rc = generation_newest(txn, number, &newest, err);

	*again_s = INT64_MAX;
	if (rc == 0)
		rc = current_get(txn, number, &c, err);
	if (rc == 0)
		rc = owed_get(txn, number, &o, err);
	if (rc == -ENOENT)
		rc = 0;
	while (rc == 0 && newest > keep) {
		rc = gen_above(txn, number, gen, &gen, err);
		if (rc || gen == 0 || gen > newest - keep)
			break;
		if (current_names(&c, gen))
			continue;
		if (owed_names(&o, gen)) {
			*again_s = now_s + GENERATION_SPARE_S;
			continue;
		}
		rc = goes_at(txn, number, gen, &at_s, err);
		/* A clock that was set back must not keep them all. */
		if (rc == 0 && at_s > now_s && at_s <= now_s + GENERATION_SPARE_S) {
			*again_s = at_s;
			break;
		}
		if (rc == 0)
			rc = generation_del(txn, number, gen, err);
	}
	return rc;
}
