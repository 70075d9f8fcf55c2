/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/generation.h"

#include "store/changed.h"
#include "store/codec.h"
#include "store/owed.h"

#include <errno.h>
#include <string.h>

#define RECORD           1
#define NUMBER_KEY       4
#define DAY_S            (24 * 3600)
#define SELF_SIGNED_DAYS 3650
#define RENEW_BEFORE_S   (30 * (int64_t)DAY_S)

static const char origin_own[] = "certfs";
static const char origin_fallback[] = "fallback";

static void number_key(unsigned char *key, uint32_t number)
{
	struct enc e;

	enc_init(&e, key, NUMBER_KEY);
	enc_be32(&e, number);
}

int current_get(struct txn *txn, uint32_t number, struct current *c, struct error *err)
{
	unsigned char key[NUMBER_KEY];
	struct db_value v;
	struct dec d;
	int rc;

	memset(c, 0, sizeof(*c));
	number_key(key, number);
	rc = db_get(txn, DB_CURRENT, key, sizeof(key), &v, err);
	if (rc == -ENOENT) {
		error_clear(err);
		return 0;
	}
	if (rc)
		return rc;
	dec_init(&d, v.data, v.size);
	if (dec_u8(&d) != RECORD)
		d.bad = true;
	c->served = dec_u32(&d);
	c->staged = dec_u32(&d);
	for (int i = SOURCE_SELF_SIGNED; i <= SOURCE_CUSTOM; i++)
		c->newest[i] = dec_u32(&d);
	c->unheeded = dec_u8(&d) != 0;
	if (!dec_done(&d))
		return error_set(err, EIO,
				 "what domain %u serves is damaged in the store",
				 (unsigned int)number);
	return 0;
}

int current_put(struct txn *txn, uint32_t number, const struct current *c,
		struct error *err)
{
	unsigned char key[NUMBER_KEY], record[64];
	struct enc e;

	number_key(key, number);
	enc_init(&e, record, sizeof(record));
	enc_u8(&e, RECORD);
	enc_u32(&e, c->served);
	enc_u32(&e, c->staged);
	for (int i = SOURCE_SELF_SIGNED; i <= SOURCE_CUSTOM; i++)
		enc_u32(&e, c->newest[i]);
	enc_u8(&e, c->unheeded);
	return db_put(txn, DB_CURRENT, key, sizeof(key), record, e.size, err);
}

int current_drop_custom(struct txn *txn, uint32_t number, struct error *err)
{
	struct current c;
	int rc = current_get(txn, number, &c, err);

	if (rc)
		return rc;
	if (!c.newest[SOURCE_CUSTOM])
		return error_set(err, ENOENT, "no custom certificate is installed here");
	c.newest[SOURCE_CUSTOM] = 0;
	return current_put(txn, number, &c, err);
}

/* A clock that is behind the moment at which the generation was installed is wrong (it lost
 * its battery, and nobody has set it yet): what was good then is no worse now. */
static int64_t moment(const struct generation *g, int64_t now_s)
{
	return now_s > g->installed_s ? now_s : g->installed_s;
}

/* RFC 5280 §4.1.2.5: both ends are within the period. */
static bool is_valid(const struct generation *g, int64_t now_s)
{
	int64_t at_s = moment(g, now_s);

	return g->info.not_before_s <= at_s && at_s <= g->info.not_after_s;
}

static bool is_over(const struct generation *g, int64_t now_s)
{
	return now_s > g->info.not_after_s;
}

/* The newest generation of each source; `gen` 0 where there is none. */
static int newest_get(struct txn *txn, uint32_t number, const struct current *c,
		      struct generation *g, struct error *err)
{
	int rc = 0;

	for (int i = SOURCE_SELF_SIGNED; i <= SOURCE_CUSTOM && rc == 0; i++) {
		g[i].gen = 0;
		if (c->newest[i])
			rc = generation_get(txn, number, c->newest[i], &g[i], err);
	}
	return rc;
}

/* By the order of precedence; *until_s as current_choose() promises. 0: nothing at all.
 */
static uint32_t choose(const struct generation *g, bool unheeded, int64_t now_s,
		       int64_t *until_s)
{
	*until_s = INT64_MAX;
	for (int i = SOURCE_CUSTOM; i >= SOURCE_SELF_SIGNED; i--) {
		if (i == SOURCE_SELF_SIGNED && g[SOURCE_MANAGED].gen && !unheeded &&
		    is_over(&g[SOURCE_MANAGED], now_s))
			return g[SOURCE_MANAGED].gen;
		if (!g[i].gen)
			continue;
		if (is_valid(&g[i], now_s)) {
			if (g[i].info.not_after_s + 1 < *until_s)
				*until_s = g[i].info.not_after_s + 1;
			return g[i].gen;
		}
		/* Comes into its own later and takes precedence then. */
		if (!is_over(&g[i], now_s) && g[i].info.not_before_s < *until_s)
			*until_s = g[i].info.not_before_s;
	}
	/* Nothing is valid: a file that a server can load is better than none. */
	for (int i = SOURCE_SELF_SIGNED; i <= SOURCE_CUSTOM; i++) {
		if (g[i].gen)
			return g[i].gen;
	}
	return 0;
}

/* Writes a choice that differs from the last one. */
static int take(struct txn *txn, uint32_t number, struct current *c, uint32_t chosen,
		enum serve how, struct error *err)
{
	uint64_t serial;
	uint32_t before = c->served;
	bool staged = how == SERVE_STAGED && before != 0 && chosen != before;
	int rc;

	c->staged = staged ? chosen : 0;
	if (!staged)
		c->served = chosen;
	rc = current_put(txn, number, c, err);
	if (rc == 0 && c->served != before)
		rc = changed_mark(txn, number, before, &serial, err);
	if (rc == 0 && before != 0)
		rc = owed_mark(txn, number, before, &serial, err);
	return rc;
}

int current_choose(struct txn *txn, uint32_t number, int64_t now_s, enum serve how,
		   bool *changed, int64_t *until_s, struct error *err)
{
	struct generation newest[SOURCE_CUSTOM + 1];
	struct current c;
	uint32_t chosen;
	int rc = current_get(txn, number, &c, err);

	*changed = false;
	if (rc == 0)
		rc = newest_get(txn, number, &c, newest, err);
	if (rc)
		return rc;
	chosen = choose(newest, c.unheeded, now_s, until_s);
	if (!chosen)
		return error_set(err, EINVAL, "domain %u has no certificate at all",
				 (unsigned int)number);
	/* One that is staged already is served now where nobody waits for it. */
	if (chosen == current_chosen(&c) && (how == SERVE_STAGED || !c.staged))
		return 0;
	*changed = true;
	return take(txn, number, &c, chosen, how, err);
}

int current_switch(struct txn *txn, uint32_t number, uint64_t *serial, struct error *err)
{
	struct current c;
	uint32_t before;
	int rc = current_get(txn, number, &c, err);

	*serial = 0;
	if (rc || !c.staged)
		return rc;
	before = c.served;
	c.served = c.staged;
	c.staged = 0;
	rc = current_put(txn, number, &c, err);
	return rc ? rc : changed_mark(txn, number, before, serial, err);
}

/* The generation that was chosen for `number` last; its `gen` is 0 when it is not to be
 * had.
 */
static int chosen_get(struct txn *txn, uint32_t number, struct generation *g,
		      struct error *err)
{
	struct current c;
	int rc = current_get(txn, number, &c, err);
	uint32_t gen = current_chosen(&c);

	g->gen = 0;
	return rc || !gen ? rc : generation_get(txn, number, gen, g, err);
}

/* The wildcard directory above `name` whose certificate counts as a fallback: installed,
 * and what it serves is valid and nobody's fallback. `g->gen` is 0 where there is none.
 */
static int wildcard_find(struct txn *txn, const struct name *name, int64_t now_s,
			 struct domain *above, struct generation *g, struct error *err)
{
	struct name wildcard;
	int rc;

	g->gen = 0;
	if (!name_wildcard_above(name, &wildcard))
		return 0;
	rc = domain_find(txn, wildcard.text, above, err);
	if (rc == -ENOENT) {
		error_clear(err);
		return 0;
	}
	if (rc || !above->installed || above->target)
		return rc;
	rc = chosen_get(txn, above->number, g, err);
	if (rc == 0 && g->gen &&
	    ((g->source != SOURCE_CUSTOM && g->source != SOURCE_MANAGED) ||
	     !is_valid(g, now_s)))
		g->gen = 0;
	return rc;
}

/* A generation of `number` with the pair of `from`, unless it is there already. */
static int pair_copy(struct txn *txn, uint32_t number, const struct generation *from,
		     enum source source, const char *origin, int64_t now_s, uint32_t keep,
		     struct error *err)
{
	struct generation have;
	struct current c;
	struct pair pair;
	uint32_t gen;
	int rc = current_get(txn, number, &c, err);

	if (rc)
		return rc;
	if (c.newest[source]) {
		rc = generation_get(txn, number, c.newest[source], &have, err);
		if (rc || (strcmp(have.origin, origin) == 0 &&
			   memcmp(have.info.sha256, from->info.sha256,
				  sizeof(have.info.sha256)) == 0))
			return rc;
	}
	rc = generation_pair(txn, from->number, from->gen, &pair, err);
	if (rc)
		return rc;
	rc = generation_add(txn, number, &pair, source, NULL, origin, now_s, keep, &gen,
			    err);
	pair_clear(&pair);
	return rc;
}

/* A wildcard that was taken away, or has fallen back itself, is a fallback no more. */
static int wildcard_drop(struct txn *txn, uint32_t number, struct error *err)
{
	struct current c;
	int rc = current_get(txn, number, &c, err);

	if (rc || !c.newest[SOURCE_WILDCARD])
		return rc;
	c.newest[SOURCE_WILDCARD] = 0;
	return current_put(txn, number, &c, err);
}

static int wildcard_take(struct txn *txn, const struct domain *d, int64_t now_s,
			 uint32_t keep, struct error *err)
{
	struct generation g;
	struct domain above;
	int rc = wildcard_find(txn, &d->name, now_s, &above, &g, err);

	if (rc)
		return rc;
	if (!g.gen)
		return wildcard_drop(txn, d->number, err);
	return pair_copy(txn, d->number, &g, SOURCE_WILDCARD, above.name.text, now_s,
			 keep, err);
}

/* Does the newest self-signed pair still stand: made for these names, good for a while?
 */
static int own_stands(struct txn *txn, uint32_t number, int64_t now_s, bool *stands,
		      struct error *err)
{
	unsigned char names[DOMAIN_DIGEST];
	struct generation g;
	struct current c;
	int rc = current_get(txn, number, &c, err);

	*stands = false;
	if (rc || !c.newest[SOURCE_SELF_SIGNED])
		return rc;
	rc = generation_get(txn, number, c.newest[SOURCE_SELF_SIGNED], &g, err);
	if (rc == 0)
		rc = domain_digest(txn, number, names, err);
	*stands = rc == 0 && strcmp(g.origin, origin_own) == 0 && is_valid(&g, now_s) &&
		  g.info.not_after_s - now_s > RENEW_BEFORE_S &&
		  memcmp(names, g.names, sizeof(names)) == 0;
	return rc;
}

static int own_make(struct txn *txn, const struct domain *d, int64_t now_s, uint32_t keep,
		    struct error *err)
{
	struct name aliases[DOMAIN_ALIASES_MAX];
	struct secret *key = NULL;
	struct pair pair = {0};
	uint32_t gen;
	size_t count;
	int rc = domain_aliases(txn, d->number, aliases, &count, err);

	if (rc == 0)
		rc = x509_key_new(KEY_P256, &key, err);
	if (rc == 0)
		rc = x509_self_sign(key, &d->name, aliases, count, now_s,
				    SELF_SIGNED_DAYS, &pair, err);
	if (rc == 0)
		rc = generation_add(txn, d->number, &pair, SOURCE_SELF_SIGNED, NULL,
				    origin_own, now_s, keep, &gen, err);
	pair_clear(&pair);
	secret_free(key);
	return rc;
}

/* The pair that somebody put into `fallback/`, else one of our own. It is kept ready also
 * while something better is served: an expiry must find it there. */
static int last_resort_take(struct txn *txn, const struct domain *d, int64_t now_s,
			    uint32_t keep, struct error *err)
{
	struct generation g = {0};
	bool stands;
	int rc = 0;

	if (d->number != DOMAIN_FALLBACK)
		rc = chosen_get(txn, DOMAIN_FALLBACK, &g, err);
	if (rc)
		return rc;
	if (g.gen && g.source == SOURCE_CUSTOM && is_valid(&g, now_s))
		return pair_copy(txn, d->number, &g, SOURCE_SELF_SIGNED, origin_fallback,
				 now_s, keep, err);
	rc = own_stands(txn, d->number, now_s, &stands, err);
	return rc || stands ? rc : own_make(txn, d, now_s, keep, err);
}

int generation_fallback(struct txn *txn, uint32_t number, int64_t now_s, uint32_t keep,
			enum serve how, bool *changed, int64_t *until_s,
			struct error *err)
{
	struct generation g;
	struct domain d;
	int64_t renew_s;
	int rc;

	*changed = false;
	rc = domain_get(txn, number, &d, err);
	if (rc == 0)
		rc = wildcard_take(txn, &d, now_s, keep, err);
	if (rc == 0)
		rc = last_resort_take(txn, &d, now_s, keep, err);
	if (rc == 0)
		rc = current_choose(txn, number, now_s, how, changed, until_s, err);
	if (rc == 0)
		rc = chosen_get(txn, number, &g, err);
	if (rc || g.source != SOURCE_SELF_SIGNED || strcmp(g.origin, origin_own) != 0)
		return rc;
	/* Made anew before it ends, not when it has ended. */
	renew_s = g.info.not_after_s - RENEW_BEFORE_S;
	if (renew_s < *until_s)
		*until_s = renew_s;
	return 0;
}
