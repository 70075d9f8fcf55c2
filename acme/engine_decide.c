/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "acme/engine_internal.h"
#include "acme/url.h"
#include "store/due.h"
#include "store/event.h"
#include "store/waiting.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DAY_S (24 * 3600)
/* An order that runs is looked at again after this, whatever became of it. */
#define ORDER_LOOK_S DAY_S
/* What stands in the way of an order may be gone by then. */
#define BLOCKED_LOOK_S 3600
/* A moment that has come and changed nothing is not looked at in a loop. */
#define AGAIN_S              60
#define RENEW_SHORT_S        (10 * DAY_S)
#define RENEW_AFTER_ISSUED_S 60

void engine_time_text(int64_t at_s, char *out)
{
	time_t at = (time_t)at_s;
	struct tm tm;

	if (!gmtime_r(&at, &tm) || strftime(out, 24, "%Y-%m-%d %H:%M UTC", &tm) == 0)
		snprintf(out, 24, "an unknown time");
}

int64_t engine_renew_at_s(uint32_t before_days, const struct generation *g)
{
	int64_t lifetime = g->info.not_after_s - g->info.not_before_s;
	int64_t before = (int64_t)before_days * DAY_S;
	int64_t at, settled, left;

	if (lifetime < RENEW_SHORT_S)
		before = lifetime / 2;
	else if (before > lifetime / 3)
		before = lifetime / 3;
	at = g->info.not_after_s - before;
	/* A certificate that comes late in its life (a clock that is ahead) would be due
	 * as soon as it is there, and its successor too. */
	left = (g->info.not_after_s - g->installed_s) / 3;
	if (left < RENEW_AFTER_ISSUED_S)
		left = RENEW_AFTER_ISSUED_S;
	settled = g->installed_s + left;
	return at > settled ? at : settled;
}

bool engine_orders(const struct engine *e)
{
	return e->link && e->cfg->directory && e->cfg->directory[0] &&
	       strcmp(e->cfg->directory, "none") != 0;
}

bool engine_orderable(const struct engine *e, const struct name *name, const char **why)
{
	bool public_ca =
	    e->cfg->directory && url_host_below(e->cfg->directory, "letsencrypt.org");

	switch (name->kind) {
	case NAME_FALLBACK:
		*why = "fallback/ stands for every name and for none: no CA can certify "
		       "it, install a certificate with cp";
		return false;
	case NAME_LOCAL:
		*why = "a name of a single label can't be certified by a public CA: "
		       "install a certificate with cp";
		return false;
	case NAME_WILDCARD:
		*why = "a wildcard is certified only over dns-01, which is not "
		       "configured: install a certificate with cp";
		return false;
	case NAME_IP:
		if (!public_ca)
			return true;
		*why = "Let's Encrypt certifies IP addresses only in its shortlived "
		       "profile, which is not asked for: install a certificate with cp, "
		       "or name another CA as [acme] directory";
		return false;
	case NAME_DNS:
		return !public_ca || name_public(name, why);
	}
	*why = "a name of an unknown kind";
	return false;
}

int engine_names_in(const struct engine *e, struct txn *txn, const struct domain *d,
		    char *names, size_t capacity, struct error *err)
{
	struct name alias[DOMAIN_ALIASES_MAX];
	size_t count = 0, used;
	const char *why;
	int rc = domain_aliases(txn, d->number, alias, &count, err);

	if (rc)
		return rc;
	used = (size_t)snprintf(names, capacity, "%s", d->name.text);
	for (size_t i = 0; i < count; i++) {
		/* One name that no CA certifies would fail the others with it. */
		if (!engine_orderable(e, &alias[i], &why))
			continue;
		if (used + 1 + strlen(alias[i].text) >= capacity)
			return error_set(err, EMSGSIZE,
					 "the aliases of %s are too long for one "
					 "certificate (%zu characters at most): remove "
					 "some",
					 d->name.text, capacity - 1);
		used +=
		    (size_t)snprintf(names + used, capacity - used, " %s", alias[i].text);
	}
	return 0;
}

int engine_names_parse(const char *text, struct engine_names *names, struct error *err)
{
	char copy[sizeof(((struct order *)0)->names)];
	char *rest = NULL;
	int rc;

	names->count = 0;
	snprintf(copy, sizeof(copy), "%s", text);
	for (char *word = strtok_r(copy, " ", &rest); word;
	     word = strtok_r(NULL, " ", &rest)) {
		if (names->count == sizeof(names->name) / sizeof(names->name[0]))
			return error_set(err, E2BIG, "an order with more than %zu names",
					 names->count);
		rc = name_parse(word, &names->name[names->count], err);
		if (rc)
			return rc;
		names->count++;
	}
	if (names->count == 0)
		return error_set(err, EINVAL, "an order without a name");
	return 0;
}

/* What a domain has to choose from, as far as orders are concerned. */
struct choice {
	bool custom; /* somebody's own is in force */
	bool has_managed;
	struct generation managed;
	int64_t look_at_s; /* something changes by itself then */
};

static void sooner(int64_t *at_s, int64_t other_s, int64_t now_s)
{
	if (other_s > now_s && other_s < *at_s)
		*at_s = other_s;
}

static int choice_in(struct txn *txn, uint32_t number, struct choice *choice,
		     struct error *err)
{
	struct current c;
	int rc = current_get(txn, number, &c, err);

	if (rc)
		return rc;
	choice->custom =
	    c.newest[SOURCE_CUSTOM] != 0 && current_chosen(&c) == c.newest[SOURCE_CUSTOM];
	choice->has_managed = c.newest[SOURCE_MANAGED] != 0;
	if (!choice->has_managed)
		return 0;
	return generation_get(txn, number, c.newest[SOURCE_MANAGED], &choice->managed,
			      err);
}

int engine_custom_in(struct txn *txn, uint32_t number, bool *custom, struct error *err)
{
	struct choice choice;
	int rc;

	choice.custom = false;
	rc = choice_in(txn, number, &choice, err);
	*custom = choice.custom;
	return rc;
}

/* The managed certificate is for all that an order would ask for. */
static int covers_in(struct txn *txn, const struct generation *g, const char *names,
		     int64_t now_s, bool *covers, struct error *err)
{
	struct pem_cert certs[PEM_CERTS_MAX];
	struct engine_names wanted;
	struct pair pair = {.key = NULL};
	struct error why = {.code = 0};
	int rc = engine_names_parse(names, &wanted, err);

	*covers = true;
	if (rc || wanted.count == 1)
		return rc;
	rc = generation_pair(txn, g->number, g->gen, &pair, err);
	if (rc)
		return rc;
	certs[0] = pair.leaf;
	*covers = x509_check_certs(certs, 1, &wanted.name[0], &wanted.name[1],
				   wanted.count - 1, now_s, &why) == 0;
	pair_clear(&pair);
	return 0;
}

int engine_begin_in(struct engine *e, struct txn *txn, const struct domain *d,
		    const char *names, int64_t now_s, struct error *err)
{
	struct order o = {
	    .number = d->number,
	    .state = ORDER_NEW,
	    .started_s = now_s,
	};
	int rc;

	if (strlen(e->cfg->directory) >= sizeof(o.directory))
		return error_set(err, EINVAL, "[acme] directory is too long");
	memcpy(o.directory, e->cfg->directory, strlen(e->cfg->directory) + 1);
	snprintf(o.names, sizeof(o.names), "%s", names);
	rc = x509_key_new(policy_key_type(&d->policy, e->cfg), &o.key, err);
	if (rc == 0)
		rc = order_put(txn, &o, err);
	if (rc == 0)
		rc = event_add(txn, EVENT_ORDERED, d->number, now_s, err,
			       "a certificate for %s is ordered from %.200s", names,
			       o.directory);
	order_clear(&o);
	return rc;
}

/* The stored order, when it still asks for what is wanted, is gone on with. */
static int order_keep_in(struct engine *e, struct txn *txn, uint32_t number,
			 const char *names, bool *have, struct decision *out,
			 struct error *err)
{
	struct order o = {.key = NULL};
	int rc = order_get(txn, number, &o, err);

	*have = rc == 0;
	if (rc == -ENOENT) {
		error_clear(err);
		return 0;
	}
	if (rc)
		return rc;
	if (strcmp(o.directory, e->cfg->directory) != 0 || strcmp(o.names, names) != 0) {
		*have = false;
		out->drop = true;
		rc = order_del(txn, number, err);
	}
	order_clear(&o);
	return rc;
}

/* Failures that lie in the future happened before the clock was set back: the wait that
 * is left of them counts from now. */
static bool backoff_rebase(struct domain *d, int64_t now_s)
{
	if (d->failures == 0 || d->last_error_s <= now_s)
		return false;
	if (d->next_try_s > d->last_error_s)
		d->next_try_s = now_s + (d->next_try_s - d->last_error_s);
	d->last_error_s = now_s;
	if (d->failed_s > now_s)
		d->failed_s = now_s;
	return true;
}

/* Decides about an order; *look_at_s is moved to when that is to be done again. */
static int order_in(struct engine *e, struct txn *txn, struct domain *d, int64_t now_s,
		    struct choice *choice, struct decision *out, struct error *err)
{
	char names[sizeof(((struct order *)0)->names)];
	int64_t renew_at_s = now_s;
	bool have, covers;
	int rc;

	if (backoff_rebase(d, now_s)) {
		rc = domain_put(txn, d, err);
		if (rc)
			return rc;
	}
	rc = engine_names_in(e, txn, d, names, sizeof(names), err);
	if (rc == 0)
		rc = order_keep_in(e, txn, d->number, names, &have, out, err);
	if (rc)
		return rc;
	if (d->next_try_s > now_s) {
		sooner(&choice->look_at_s, d->next_try_s, now_s);
		return 0;
	}
	if (!have) {
		if (choice->has_managed) {
			rc = covers_in(txn, &choice->managed, names, now_s, &covers, err);
			if (rc)
				return rc;
			if (covers)
				renew_at_s = engine_renew_at_s(
				    policy_before_days(&d->policy, e->cfg),
				    &choice->managed);
		}
		if (renew_at_s > now_s) {
			sooner(&choice->look_at_s, renew_at_s, now_s);
			return 0;
		}
		rc = engine_begin_in(e, txn, d, names, now_s, err);
		if (rc)
			return rc;
		out->state = true;
	}
	out->start = true;
	sooner(&choice->look_at_s, now_s + ORDER_LOOK_S, now_s);
	return 0;
}

/* Nothing is ordered for the domain, and `why` (NULL: nothing is wrong) is what its
 * status says then. */
static int no_order_in(struct txn *txn, struct domain *d, const char *why, int64_t now_s,
		       struct decision *out, struct error *err)
{
	int rc = order_del(txn, d->number, err);

	out->drop = true;
	/* The text of a failure stays: it is history that only a success ends. */
	if (rc || d->failures > 0 || strcmp(d->last_error, why ? why : "") == 0)
		return rc;
	snprintf(d->last_error, sizeof(d->last_error), "%s", why ? why : "");
	d->last_error_s = why ? now_s : 0;
	out->state = true;
	return domain_put(txn, d, err);
}

/* The reason to order nothing, where the domain's status should give it. */
static bool order_blocked(const struct engine *e, const struct domain *d,
			  const struct choice *choice, const char **why)
{
	*why = NULL;
	if (choice->custom || !engine_orders(e) || !policy_managed(&d->policy))
		return true;
	if (!engine_orderable(e, &d->name, why)) {
		/* Those kinds are never ordered, which is no fault of the moment. */
		if (d->name.kind != NAME_IP && d->name.kind != NAME_DNS)
			*why = NULL;
		return true;
	}
	if (engine_eab_missing(e)) {
		*why = e->eab_error;
		return true;
	}
	return false;
}

/* rm of a custom certificate, once its few seconds are over. A clock that was set back
 * must not keep it for long. */
static int removal_in(struct txn *txn, struct domain *d, int64_t now_s, struct error *err)
{
	int rc;

	if (d->remove_custom_s == 0 || (now_s < d->remove_custom_s &&
					d->remove_custom_s <= now_s + ENGINE_REMOVAL_S))
		return 0;
	d->remove_custom_s = 0;
	rc = domain_put(txn, d, err);
	if (rc == 0)
		rc = current_drop_custom(txn, d->number, err);
	if (rc == -ENOENT) {
		error_clear(err);
		return 0;
	}
	if (rc == 0)
		rc = event_add(txn, EVENT_REMOVED, d->number, now_s, err,
			       "the custom certificate was taken away");
	return rc;
}

/* A half of a pair whose other half never came. */
static int waiting_in(struct txn *txn, struct domain *d, int64_t now_s, int64_t *next_s,
		      struct decision *out, struct error *err)
{
	unsigned dropped;
	size_t used = 0;
	int rc = waiting_over(txn, d->number, now_s, &dropped, next_s, err);

	if (rc || !dropped)
		return rc;
	d->refused[0] = '\0';
	for (unsigned i = 0; i < FILE_KINDS; i++)
		if (dropped & 1u << i)
			used +=
			    (size_t)snprintf(d->refused + used, sizeof(d->refused) - used,
					     "%s%s", used ? " and " : "", file_name[i]);
	snprintf(
	    d->refused + used, sizeof(d->refused) - used,
	    " waited a day for the other half of the pair, which never came, and was "
	    "dropped: write both, the certificate and its key");
	d->refused_s = now_s;
	out->state = out->dropped = true;
	rc = domain_put(txn, d, err);
	if (rc == 0)
		rc = event_add(txn, EVENT_REFUSED, d->number, now_s, err, "%s",
			       d->refused);
	memcpy(out->why, d->refused, sizeof(out->why));
	return rc;
}

static int directory_in(struct engine *e, struct txn *txn, struct domain *d,
			int64_t now_s, struct decision *out, struct error *err)
{
	struct choice choice = {.custom = false};
	uint32_t keep = policy_keep(&d->policy, e->cfg);
	int64_t until_s = INT64_MAX, prune_s, waits_s;
	bool changed = false;
	const char *why;
	int rc;

	choice.look_at_s = INT64_MAX;
	rc = removal_in(txn, d, now_s, err);
	if (rc == 0)
		rc = waiting_in(txn, d, now_s, &waits_s, out, err);
	if (rc)
		return rc;
	rc = generation_fallback(txn, d->number, now_s, keep, SERVE_STAGED, &changed,
				 &until_s, err);
	out->staged = changed;
	if (rc == 0 && changed)
		rc = engine_touch_below_in(e, txn, d, now_s, err);
	if (rc == 0)
		rc = choice_in(txn, d->number, &choice, err);
	if (rc == 0)
		rc = generation_prune(txn, d->number, now_s, keep, &prune_s, err);
	if (rc)
		return rc;
	if (waits_s != INT64_MAX)
		sooner(&choice.look_at_s, waits_s, now_s);
	if (prune_s != INT64_MAX)
		sooner(&choice.look_at_s, prune_s, now_s);
	if (d->remove_custom_s)
		sooner(&choice.look_at_s, d->remove_custom_s, now_s);
	if (until_s != INT64_MAX)
		sooner(&choice.look_at_s, until_s > now_s ? until_s : now_s + AGAIN_S,
		       now_s);
	if (order_blocked(e, d, &choice, &why)) {
		rc = no_order_in(txn, d, why, now_s, out, err);
		if (why && why == e->eab_error)
			sooner(&choice.look_at_s, now_s + BLOCKED_LOOK_S, now_s);
	} else {
		rc = order_in(e, txn, d, now_s, &choice, out, err);
	}
	if (rc)
		return rc;
	return due_set(txn, d->number, choice.look_at_s, err);
}

int engine_decide_in(struct engine *e, struct txn *txn, uint32_t number, int64_t now_s,
		     struct decision *out, struct error *err)
{
	struct domain d;
	int rc;

	memset(out, 0, sizeof(*out));
	out->number = number;
	rc = domain_get(txn, number, &d, err);
	if (rc == -ENOENT) {
		error_clear(err);
		return due_set(txn, number, INT64_MAX, err);
	}
	if (rc)
		return rc;
	out->name = d.name;
	if (d.installed && d.target == 0)
		return directory_in(e, txn, &d, now_s, out, err);
	if (d.target == 0) {
		out->drop = true;
		rc = order_del(txn, number, err);
		if (rc)
			return rc;
	}
	return due_set(txn, number, INT64_MAX, err);
}
