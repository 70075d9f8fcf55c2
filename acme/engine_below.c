/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "acme/engine_internal.h"
#include "store/due.h"
#include "store/event.h"

#include <errno.h>
#include <string.h>

#define LOOKED_MAX 1000

static bool is_below(const struct domain *d, const struct domain *other)
{
	struct name wildcard;

	if (other->target || other->number == d->number)
		return false;
	if (d->name.kind == NAME_FALLBACK)
		return true;
	return name_wildcard_above(&other->name, &wildcard) &&
	       strcmp(wildcard.text, d->name.text) == 0;
}

/* Has it something better than a fallback? */
static int is_better_in(struct txn *txn, uint32_t number, bool *better, struct error *err)
{
	struct generation g;
	struct current c;
	int rc = current_get(txn, number, &c, err);

	*better = false;
	if (rc == 0 && current_chosen(&c))
		rc = generation_get(txn, number, current_chosen(&c), &g, err);
	else
		return rc;
	*better = rc == 0 && (g.source == SOURCE_MANAGED || g.source == SOURCE_CUSTOM);
	return rc;
}

static int note_served_in(struct engine *e, struct txn *txn, const struct domain *other,
			  int64_t now_s, struct error *err)
{
	struct generation g;
	struct current c;
	char text[600];
	int rc = current_get(txn, other->number, &c, err);

	if (rc == 0)
		rc = generation_get(txn, other->number, c.served, &g, err);
	if (rc)
		return rc;
	generation_describe(&g, other->name.text, text, sizeof(text));
	e->below[e->belows++] = (struct below){.number = other->number, .gen = c.served};
	return event_add(txn, EVENT_SERVES, other->number, now_s, err, "%s", text);
}

static int serve_in(struct engine *e, struct txn *txn, const struct domain *other,
		    int64_t now_s, struct error *err)
{
	bool better, changed = false;
	int64_t until_s;
	int rc = is_better_in(txn, other->number, &better, err);

	if (rc == 0 && !better)
		rc = generation_fallback(txn, other->number, now_s,
					 policy_keep(&other->policy, e->cfg), SERVE_NOW,
					 &changed, &until_s, err);
	return rc == 0 && changed ? note_served_in(e, txn, other, now_s, err) : rc;
}

int engine_below_in(struct engine *e, struct txn *txn, const struct domain *d,
		    int64_t now_s, uint32_t *after, bool *all, struct error *err)
{
	struct domain other;
	int rc;

	*after = 0;
	*all = false;
	for (int i = 0; i < LOOKED_MAX && e->belows < ENGINE_BELOW_MAX; i++) {
		rc = domain_next(txn, *after, &other, err);
		*all = rc == -ENOENT;
		if (rc)
			return *all ? 0 : rc;
		*after = other.number;
		if (!is_below(d, &other))
			continue;
		rc = serve_in(e, txn, &other, now_s, err);
		/* What fails for one of them is its own trouble, told when it is due. */
		if (rc && engine_store_failed(err))
			return rc;
		rc = due_sooner(txn, other.number, now_s, err);
		if (rc)
			return rc;
	}
	return 0;
}

static void tell_one(struct engine *e, struct txn *txn, const struct below *b)
{
	struct domain d;
	struct current c;
	struct generation g;
	struct error ignored;
	char text[600];

	if (domain_get(txn, b->number, &d, &ignored) ||
	    current_get(txn, b->number, &c, &ignored) || c.served != b->gen ||
	    generation_get(txn, b->number, c.served, &g, &ignored))
		return;
	generation_describe(&g, d.name.text, text, sizeof(text));
	log_notice(e->lg, d.name.text, "%s gen=%u", text, (unsigned int)g.gen);
}

void engine_tell(struct engine *e)
{
	struct txn *txn = NULL;
	struct error err;
	size_t count = e->belows;

	e->belows = 0;
	for (size_t i = 0; i < count; i++) {
		if (e->hooks.changed)
			e->hooks.changed(e->hooks.ctx, e->below[i].number);
		if (e->hooks.staged)
			e->hooks.staged(e->hooks.ctx, e->below[i].number);
	}
	if (count == 0 || db_read_begin(e->db, &txn, &err))
		return;
	for (size_t i = 0; i < count; i++)
		tell_one(e, txn, &e->below[i]);
	db_read_end(txn);
}
