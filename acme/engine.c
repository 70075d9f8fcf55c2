/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "acme/engine_internal.h"
#include "store/codec.h"
#include "store/due.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SLEEP_MAX_S     3600
#define PAUSE_MS        10000
#define BATCHES_AT_ONCE 4
#define WALK_AT_ONCE    1000 /* domains that the plan's walk makes due in a transaction */
#define PUT_OFF_S       3600
#define CLOCK_BACK_S    300   /* set back by less than this, nothing is planned anew */
#define CLOCK_NOTE_S    86400 /* how stale the stored clock gets */
#define PLAN_KEY        "engine-plan"
#define PLAN_VERSION    2 /* another one: all is planned anew */
#define PLAN_DIRECTORY  1100
#define PLAN_ACCOUNT    1600

/* What all due times were computed with. When it changes (another CA, another renewal
 * time, a clock that was set back) each domain is made due once, by a walk that goes on
 * after a crash where it was. Where the account's settings changed, what the CA refused
 * before is tried once more by the same walk. */
struct plan {
	char directory[PLAN_DIRECTORY];
	char account[PLAN_ACCOUNT];
	uint32_t before_days;
	bool forgive;
	int64_t clock_s;
	bool walking;
	uint32_t after;
};

static int64_t monotonic_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool engine_store_failed(const struct error *err)
{
	switch (err->code) {
	case ENOSPC:
	case EDQUOT:
	case ENOMEM:
	case EIO:
	case EROFS:
	case EAGAIN:
		return true;
	default:
		return false;
	}
}

void engine_pause(struct engine *e, const struct error *err)
{
	if (!engine_paused(e))
		log_error(e->lg, NULL, "nothing is ordered or renewed for the moment: %s",
			  err->text);
	e->pause_until_ms = monotonic_ms() + PAUSE_MS;
}

bool engine_paused(const struct engine *e)
{
	return e->pause_until_ms > monotonic_ms();
}

static void plan_now(const struct engine *e, struct plan *p)
{
	char contact[sizeof(((struct wire_job *)0)->contact)];

	memset(p, 0, sizeof(*p));
	snprintf(p->directory, sizeof(p->directory), "%s",
		 engine_orders(e) ? e->cfg->directory : "none");
	engine_account_contact(e->cfg, contact, sizeof(contact));
	snprintf(p->account, sizeof(p->account), "%s %d %s%s", contact,
		 e->cfg->agree_terms, e->cfg->eab_kid ? e->cfg->eab_kid : "",
		 e->eab_error[0] ? " (its key can't be read)" : "");
	p->before_days = e->cfg->before_days;
}

static int plan_get(struct txn *txn, struct plan *p, bool *known, struct error *err)
{
	struct db_value value;
	struct dec d;
	int rc = db_get(txn, DB_META, PLAN_KEY, strlen(PLAN_KEY), &value, err);

	memset(p, 0, sizeof(*p));
	*known = false;
	if (rc == -ENOENT) {
		error_clear(err);
		return 0;
	}
	if (rc)
		return rc;
	dec_init(&d, value.data, value.size);
	if (dec_u8(&d) != PLAN_VERSION)
		return 0;
	dec_text(&d, p->directory, sizeof(p->directory));
	dec_text(&d, p->account, sizeof(p->account));
	p->forgive = dec_u8(&d) != 0;
	p->before_days = dec_u32(&d);
	p->clock_s = dec_i64(&d);
	p->walking = dec_u8(&d) != 0;
	p->after = dec_u32(&d);
	*known = dec_done(&d);
	return 0;
}

static int plan_put(struct txn *txn, const struct plan *p, struct error *err)
{
	unsigned char value[PLAN_DIRECTORY + PLAN_ACCOUNT + 64];
	struct enc e;

	enc_init(&e, value, sizeof(value));
	enc_u8(&e, PLAN_VERSION);
	enc_text(&e, p->directory);
	enc_text(&e, p->account);
	enc_u8(&e, p->forgive);
	enc_u32(&e, p->before_days);
	enc_i64(&e, p->clock_s);
	enc_u8(&e, p->walking);
	enc_u32(&e, p->after);
	return db_put(txn, DB_META, PLAN_KEY, strlen(PLAN_KEY), value, e.size, err);
}

struct planning {
	struct engine *e;
	int64_t now_s;
	bool walk;      /* whatever the stored plan says … */
	uint32_t after; /* … but not those up to this one */
	bool walking;
};

/* Brings the stored plan up to date with what is in force now. */
static int plan_check_in(struct txn *txn, void *arg, struct error *err)
{
	struct planning *g = arg;
	struct plan old, new;
	bool known;
	int rc = plan_get(txn, &old, &known, err);

	if (rc)
		return rc;
	plan_now(g->e, &new);
	new.clock_s = g->now_s;
	new.forgive = known && (strcmp(old.account, new.account) != 0 ||
				(old.walking && old.forgive));
	bool same = known && strcmp(old.directory, new.directory) == 0 &&
		    strcmp(old.account, new.account) == 0 &&
		    old.before_days == new.before_days &&
		    g->now_s >= old.clock_s - CLOCK_BACK_S;
	new.walking = !same || g->walk || old.walking;
	if (same && old.walking && !g->walk)
		new.after = old.after;
	else if (same && !old.walking && g->walk)
		new.after = g->after;
	g->walking = new.walking;
	return plan_put(txn, &new, err);
}

static int plan_check(struct engine *e, int64_t now_s, bool walk, struct error *err)
{
	struct planning g = {.e = e, .now_s = now_s, .walk = walk};
	int rc = db_update(e->db, plan_check_in, &g, err);

	if (rc)
		return rc;
	e->planning = g.walking;
	e->planned_s = e->seen_s = now_s;
	if (e->failing)
		log_notice(e->lg, NULL, "the store takes writes again");
	e->failing = false;
	return 0;
}

int engine_touch_below_in(struct engine *e, struct txn *txn, const struct domain *d,
			  int64_t now_s, struct error *err)
{
	struct planning g = {.e = e, .now_s = now_s, .walk = true};
	bool all;
	int rc;

	if (d->name.kind != NAME_WILDCARD && d->name.kind != NAME_FALLBACK)
		return 0;
	rc = engine_below_in(e, txn, d, now_s, &g.after, &all, err);
	if (rc || all)
		return rc;
	/* Should the transaction fail, the walk finds that there is none. */
	e->planning = true;
	return plan_check_in(txn, &g, err);
}

int engine_touch_served_in(struct engine *e, struct txn *txn, const struct domain *d,
			   int64_t now_s, struct error *err)
{
	int rc = engine_touch_in(txn, d->number, now_s, err);

	return rc ? rc : engine_touch_below_in(e, txn, d, now_s, err);
}

static int plan_walk_in(struct txn *txn, void *arg, struct error *err)
{
	struct planning *g = arg;
	struct domain d;
	struct plan p;
	bool known;
	int rc = plan_get(txn, &p, &known, err);

	for (int i = 0; rc == 0 && p.walking && i < WALK_AT_ONCE; i++) {
		rc = domain_next(txn, p.after, &d, err);
		if (rc == -ENOENT) {
			p.walking = false;
			rc = 0;
			break;
		}
		if (rc)
			break;
		p.after = d.number;
		if (d.target != 0)
			continue;
		if (p.forgive && d.next_try_s > g->now_s) {
			d.next_try_s = 0;
			rc = domain_put(txn, &d, err);
		}
		if (rc == 0)
			rc = due_sooner(txn, d.number, g->now_s, err);
	}
	g->walking = p.walking;
	return rc ? rc : plan_put(txn, &p, err);
}

static void plan_walk(struct engine *e, int64_t now_s)
{
	struct planning g = {.e = e, .now_s = now_s};
	struct error err = {.code = 0};

	if (db_update(e->db, plan_walk_in, &g, &err))
		engine_pause(e, &err);
	else
		e->planning = g.walking;
}

/* Whatever was decided at a later hour than it is now may be wrong: what is valid, which
 * failures are over, when the next look is due. */
static void clock_check(struct engine *e, int64_t now_s)
{
	struct error err = {.code = 0};
	bool back = now_s < e->seen_s - CLOCK_BACK_S;

	if (now_s > e->seen_s)
		e->seen_s = now_s;
	/* After a failure this is the write that shows whether the store takes any:
	 * before that, nothing is asked of a CA whose answer could not be kept. */
	if (!back && !e->failing && now_s < e->planned_s + CLOCK_NOTE_S)
		return;
	if (back)
		log_notice(e->lg, NULL,
			   "the clock was set back: all renewals are planned anew");
	if (plan_check(e, now_s, back, &err))
		engine_pause(e, &err);
}

int engine_new(struct engine **out, const struct engine_options *options,
	       struct error *err)
{
	struct engine *e = calloc(1, sizeof(*e));
	struct error eab = {.code = 0};
	int rc;

	if (!e)
		return error_set(err, ENOMEM, "no memory for the renewal engine");
	e->db = options->db;
	e->cfg = options->cfg;
	e->clk = options->clk;
	e->lg = options->lg;
	e->hooks = options->hooks;
	e->out = calloc(1, sizeof(*e->out));
	e->job = calloc(e->cfg->orders_at_once, sizeof(*e->job));
	if (!e->out || (!e->job && e->cfg->orders_at_once > 0)) {
		rc = error_set(err, ENOMEM, "no memory for the renewal engine");
		goto fail;
	}
	if (options->link_fd >= 0) {
		rc = wire_link_new(&e->link, options->link_fd, err);
		if (rc)
			goto fail;
	}
	/* No reason to serve nothing: what needs it waits, and its status says why. */
	if (engine_orders(e) && engine_eab_read(e, &eab)) {
		snprintf(e->eab_error, sizeof(e->eab_error), "%.290s", eab.text);
		rc = engine_account_load(e, err);
		if (rc)
			goto fail;
		log_error(e->lg, NULL, "no account can be made: %s", eab.text);
	}
	/* The plan is looked at by the first engine_run(): that writes, and a store whose
	 * write lock is held must not keep the worker from serving reads. */
	if (e->link)
		engine_hello(e);
	*out = e;
	return 0;
fail:
	engine_free(e);
	return rc;
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	wire_link_free(e->link);
	account_clear(&e->account);
	secret_free(e->eab_key);
	free(e->job);
	free(e->out);
	free(e);
}

short engine_events(const struct engine *e)
{
	return e->link && !e->closed ? wire_link_events(e->link) : 0;
}

/* The head of the queue; INT64_MAX when it is empty. */
static int queue_head(const struct engine *e, int64_t *at_s, struct error *err)
{
	struct txn *txn = NULL;
	uint32_t number;
	int rc = db_read_begin(e->db, &txn, err);

	*at_s = INT64_MAX;
	if (rc)
		return rc;
	rc = due_first(txn, at_s, &number, err);
	db_read_end(txn);
	return rc == -ENOENT ? 0 : rc;
}

int engine_next_ms(const struct engine *e)
{
	struct error err = {.code = 0};
	int64_t at_s = INT64_MAX, now_s = clock_now_s(e->clk);
	int64_t pause_ms = e->pause_until_ms - monotonic_ms();

	if (pause_ms > 0)
		return (int)(pause_ms < PAUSE_MS ? pause_ms : PAUSE_MS);
	if (e->planning || engine_hungry(e))
		return 0;
	if (queue_head(e, &at_s, &err))
		return PAUSE_MS;
	if (at_s <= now_s)
		return 0;
	if (at_s > now_s + SLEEP_MAX_S)
		return SLEEP_MAX_S * 1000;
	return (int)(at_s - now_s) * 1000;
}

void engine_carry_out(struct engine *e, const struct decision *d)
{
	if (d->error.code) {
		log_error(e->lg, d->name.text[0] ? d->name.text : NULL,
			  "what is due can't be done, next try in an hour: %s number=%u",
			  d->error.text, (unsigned int)d->number);
		return;
	}
	if (d->dropped)
		log_warning(e->lg, d->name.text, "%s", d->why);
	if (d->drop)
		engine_drop(e, d->number);
	if (d->staged && e->hooks.staged)
		e->hooks.staged(e->hooks.ctx, d->number);
	if (d->state && e->hooks.changed)
		e->hooks.changed(e->hooks.ctx, d->number);
	if (d->start && engine_orders(e))
		engine_wait(e, d->number, false);
}

struct deciding {
	struct engine *e;
	int64_t now_s;
	struct decision *out;
};

static int decide_one(struct txn *txn, void *arg, struct error *err)
{
	struct deciding *g = arg;

	return engine_decide_in(g->e, txn, g->out->number, g->now_s, g->out, err);
}

/* Up to ENGINE_BATCH domains share a commit; what fails for one of them is put off. */
static int decide_in(struct txn *txn, void *arg, struct error *err)
{
	struct deciding *g = arg;
	struct engine *e = g->e;
	int64_t at_s;
	int rc;

	for (e->decisions = 0; e->decisions < ENGINE_BATCH; e->decisions++) {
		struct error why = {.code = 0};

		g->out = &e->decision[e->decisions];
		rc = due_first(txn, &at_s, &g->out->number, err);
		if (rc == -ENOENT || (rc == 0 && at_s > g->now_s))
			return 0;
		if (rc)
			return rc;
		rc = db_nested(txn, decide_one, g, &why);
		if (rc == 0)
			continue;
		if (engine_store_failed(&why)) {
			*err = why;
			return rc;
		}
		g->out->error = why;
		rc = due_set(txn, g->out->number, g->now_s + PUT_OFF_S, err);
		if (rc)
			return rc;
	}
	return 0;
}

static void decide(struct engine *e, int64_t now_s)
{
	for (int i = 0; i < BATCHES_AT_ONCE; i++) {
		struct deciding g = {.e = e, .now_s = now_s};
		struct error err = {.code = 0};
		int64_t at_s;

		/* A transaction for nothing would be a commit for nothing. */
		if (queue_head(e, &at_s, &err) == 0 && at_s > now_s)
			return;
		if (err.code || db_update(e->db, decide_in, &g, &err)) {
			engine_pause(e, &err);
			return;
		}
		for (size_t n = 0; n < e->decisions; n++)
			engine_carry_out(e, &e->decision[n]);
		engine_tell(e);
	}
}

void engine_run(struct engine *e, short revents)
{
	struct error err = {.code = 0};
	int64_t now_s = clock_now_s(e->clk);

	if (e->link && !e->closed && (revents & (POLLIN | POLLHUP | POLLERR)))
		engine_hear(e);
	if (!engine_paused(e)) {
		clock_check(e, now_s);
		if (e->planning)
			plan_walk(e, now_s);
	}
	if (!engine_paused(e))
		decide(e, now_s);
	engine_fill(e);
	if (e->link && !e->closed && wire_link_flush(e->link, &err))
		log_warning(e->lg, NULL, "%s", err.text);
}

int engine_touch_in(struct txn *txn, uint32_t number, int64_t now_s, struct error *err)
{
	return due_set(txn, number, now_s, err);
}

static int renew_allowed_in(struct engine *e, struct txn *txn, const struct domain *d,
			    struct error *err)
{
	const char *why;
	bool custom;
	int rc;

	if (d->target != 0 || !d->installed)
		return error_set(err, ENOENT, "%s is no installed directory",
				 d->name.text);
	if (!engine_orders(e))
		return error_set(err, EPERM,
				 "no CA is configured ([acme] directory): nothing is "
				 "ordered for %s",
				 d->name.text);
	if (!policy_managed(&d->policy))
		return error_set(err, EPERM,
				 "%s can't be renewed: its policy says managed = no",
				 d->name.text);
	if (!engine_orderable(e, &d->name, &why))
		return error_set(err, EPERM, "%s can't be renewed: %s", d->name.text,
				 why);
	if (engine_eab_missing(e))
		return error_set(err, EPERM, "%s can't be renewed: %s", d->name.text,
				 e->eab_error);
	rc = engine_custom_in(txn, d->number, &custom, err);
	if (rc == 0 && custom)
		rc = error_set(err, EPERM,
			       "a custom certificate is in force for %s: remove it first "
			       "(rm cert.pem)",
			       d->name.text);
	return rc;
}

int engine_renew_in(struct engine *e, struct txn *txn, uint32_t number, struct error *err)
{
	char names[sizeof(((struct order *)0)->names)];
	struct order o = {.key = NULL};
	int64_t now_s = clock_now_s(e->clk);
	struct domain d;
	int rc = domain_get(txn, number, &d, err);

	if (rc == 0)
		rc = renew_allowed_in(e, txn, &d, err);
	if (rc)
		return rc;
	d.next_try_s = 0;
	rc = domain_put(txn, &d, err);
	if (rc)
		return rc;
	/* A stored order is what makes the engine order before its time. */
	rc = order_get(txn, number, &o, err);
	order_clear(&o);
	if (rc == -ENOENT) {
		error_clear(err);
		rc = engine_names_in(e, txn, &d, names, sizeof(names), err);
		if (rc == 0)
			rc = engine_begin_in(e, txn, &d, names, now_s, err);
	}
	return rc ? rc : due_set(txn, number, now_s, err);
}

/* Whether a read of `number` is a reason to look at it now. */
static int read_matters(struct engine *e, struct txn *txn, uint32_t number, int64_t now_s,
			bool *ordered, bool *due, struct error *err)
{
	struct order o = {.key = NULL};
	struct generation g;
	struct current c;
	struct domain d;
	const char *why;
	int64_t at_s;
	int rc = domain_get(txn, number, &d, err);

	*ordered = *due = false;
	if (rc || !d.installed || d.target != 0 || d.next_try_s > now_s ||
	    !policy_managed(&d.policy) || !engine_orderable(e, &d.name, &why))
		return rc;
	rc = current_get(txn, number, &c, err);
	if (rc || c.newest[SOURCE_MANAGED] == 0 || c.served != c.newest[SOURCE_MANAGED])
		return rc;
	rc = generation_get(txn, number, c.served, &g, err);
	if (rc || engine_renew_at_s(policy_before_days(&d.policy, e->cfg), &g) > now_s)
		return rc;
	rc = due_get(txn, number, &at_s, err);
	if (rc || at_s <= now_s)
		return rc;
	rc = order_get(txn, number, &o, err);
	order_clear(&o);
	*ordered = rc == 0;
	*due = rc == -ENOENT;
	return rc == -ENOENT ? 0 : rc;
}

struct reading {
	uint32_t number;
	int64_t now_s;
};

static int read_in(struct txn *txn, void *arg, struct error *err)
{
	const struct reading *r = arg;

	return due_sooner(txn, r->number, r->now_s, err);
}

void engine_read(struct engine *e, uint32_t number)
{
	struct reading r = {.number = number, .now_s = clock_now_s(e->clk)};
	struct error err = {.code = 0};
	struct txn *txn = NULL;
	bool ordered, due;
	int rc;

	if (!engine_orders(e) || engine_eab_missing(e) || engine_paused(e) ||
	    engine_job_of(e, number))
		return;
	if (db_read_begin(e->db, &txn, &err))
		return;
	rc = read_matters(e, txn, number, r.now_s, &ordered, &due, &err);
	db_read_end(txn);
	if (rc)
		return;
	/* The one that waits longest may be read by nobody. */
	if (ordered)
		engine_wait(e, number, true);
	else if (due && db_update(e->db, read_in, &r, &err))
		engine_pause(e, &err);
}

uint32_t engine_in_flight(const struct engine *e)
{
	return e->jobs;
}
