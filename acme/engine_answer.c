/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "acme/engine_internal.h"
#include "store/event.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DAY_S           (24 * 3600)
#define RETRY_AFTER_MAX (30 * (int64_t)DAY_S)

/* What became of an order that failed. */
struct failed {
	struct engine *e;
	uint32_t number;
	int64_t now_s;
	const struct wire_failure *failure;
	uint32_t jitter; /* drawn once: a transaction can run twice */
	bool counted;
	uint32_t failures;
	int64_t next_try_s;
	char text[400];
	struct decision decision;
};

static void failure_text(const struct wire_failure *f, char *out, size_t capacity)
{
	if (f->text[0])
		snprintf(out, capacity, "%s", f->text);
	else if (f->type[0])
		snprintf(out, capacity, "the CA refuses: %s", f->type);
	else if (f->http_status)
		snprintf(out, capacity, "the CA answers with HTTP status %u",
			 (unsigned int)f->http_status);
	else
		snprintf(out, capacity, "the CA does not answer");
}

static int64_t backoff_s(const struct failed *f, uint32_t failures)
{
	static const int64_t step[] = {60, 600, 6000, DAY_S};
	size_t n = failures > 4 ? 4 : failures;
	int64_t wait;

	switch (f->failure->verdict) {
	case WIRE_INPUT:
		n = 4;
		break;
	case WIRE_NO_ACCOUNT:
		/* At once, since the next order makes the account; not in a loop. */
		if (failures == 1)
			return 0;
		break;
	case WIRE_RETRY:
	case WIRE_NEW_ORDER:
		break;
	}
	wait = step[n - 1];
	return wait * (900 + f->jitter % 201) / 1000;
}

static int account_forget_in(struct engine *e, struct txn *txn, struct error *err)
{
	struct account a = {.key = NULL};
	int rc = account_get(txn, e->cfg->directory, &a, err);

	if (rc == -ENOENT) {
		error_clear(err);
		return 0;
	}
	if (rc)
		return rc;
	a.kid[0] = '\0';
	rc = account_put(txn, &a, err);
	account_clear(&a);
	return rc;
}

static int failed_count_in(struct failed *f, struct txn *txn, struct domain *d,
			   struct error *err)
{
	int64_t wait, after = f->failure->retry_after_s;

	if (after > RETRY_AFTER_MAX)
		after = RETRY_AFTER_MAX;
	if (d->failures == 0)
		d->failed_s = f->now_s;
	if (d->failures < UINT32_MAX)
		d->failures++;
	wait = backoff_s(f, d->failures);
	d->next_try_s = f->now_s + (wait > after ? wait : after);
	snprintf(d->last_error, sizeof(d->last_error), "%s", f->text);
	d->last_error_s = f->now_s;
	f->failures = d->failures;
	f->next_try_s = d->next_try_s;
	f->counted = true;
	return event_add(txn, EVENT_FAILED, d->number, f->now_s, err,
			 "the order for %s failed: %s", d->name.text, f->text);
}

static int failed_in(struct txn *txn, void *arg, struct error *err)
{
	struct failed *f = arg;
	struct order o = {.key = NULL};
	struct domain d;
	int rc = domain_get(txn, f->number, &d, err);

	f->counted = false;
	if (rc == 0)
		rc = order_get(txn, f->number, &o, err);
	order_clear(&o);
	if (rc == -ENOENT) {
		error_clear(err);
		return engine_decide_in(f->e, txn, f->number, f->now_s, &f->decision,
					err);
	}
	if (rc == 0 && d.installed)
		rc = failed_count_in(f, txn, &d, err);
	if (rc == 0 && f->counted)
		rc = domain_put(txn, &d, err);
	if (rc == 0 && f->failure->verdict != WIRE_RETRY)
		rc = order_del(txn, f->number, err);
	if (rc == 0 && f->failure->verdict == WIRE_NO_ACCOUNT)
		rc = account_forget_in(f->e, txn, err);
	if (rc)
		return rc;
	return engine_decide_in(f->e, txn, f->number, f->now_s, &f->decision, err);
}

/* The store could not take what a job said: the job is given up and its order, which is
 * stored as far as it got, goes on later. */
static void job_put_off(struct engine *e, uint32_t number, const struct error *err)
{
	engine_drop(e, number);
	engine_pause(e, err);
	engine_walk(e);
}

/* Ends the job, whose net side is over already or is told with `tell`. */
static void order_failed(struct engine *e, uint32_t number,
			 const struct wire_failure *failure, bool tell)
{
	struct error err = {.code = 0};
	struct failed f = {
	    .e = e,
	    .number = number,
	    .now_s = clock_now_s(e->clk),
	    .failure = failure,
	};
	char next[24];

	if (tell)
		engine_drop(e, number);
	engine_random(&f.jitter, sizeof(f.jitter));
	failure_text(failure, f.text, sizeof(f.text));
	if (db_update(e->db, failed_in, &f, &err)) {
		job_put_off(e, number, &err);
		return;
	}
	engine_forget(e, number);
	if (failure->verdict == WIRE_NO_ACCOUNT)
		e->account.kid[0] = '\0';
	if (f.counted) {
		engine_time_text(f.next_try_s, next);
		log_warning(e->lg, f.decision.name.text,
			    "the order for %s failed: %s; the next try is at %s "
			    "failures=%u",
			    f.decision.name.text, f.text, next, (unsigned int)f.failures);
	}
	f.decision.state |= f.counted;
	engine_carry_out(e, &f.decision);
}

void engine_order_broken(struct engine *e, uint32_t number, const char *what,
			 const struct error *why)
{
	struct wire_failure failure = {.verdict = WIRE_NEW_ORDER};

	snprintf(failure.text, sizeof(failure.text), "%s: %.300s", what, why->text);
	order_failed(e, number, &failure, true);
}

/* A step could not be stored: the store's fault or that of what it says. */
static void step_failed(struct engine *e, uint32_t number, const struct error *err)
{
	if (err->code == ENOENT)
		engine_drop(e, number);
	else if (engine_store_failed(err))
		job_put_off(e, number, err);
	else
		engine_order_broken(e, number, "the CA's answer can't be used", err);
}

/* A step of a job that is to be on disk before the net worker goes on. */
struct step {
	struct engine *e;
	uint32_t number;
	const struct wire_message *m;
};

static int account_step_in(struct txn *txn, void *arg, struct error *err)
{
	const struct step *s = arg;
	struct account a = {.key = NULL};
	int rc = account_get(txn, s->e->cfg->directory, &a, err);

	if (rc)
		return rc;
	snprintf(a.kid, sizeof(a.kid), "%s", s->m->kid);
	engine_account_contact(s->e->cfg, a.contact, sizeof(a.contact));
	rc = account_put(txn, &a, err);
	account_clear(&a);
	return rc;
}

static int state_step_in(struct txn *txn, void *arg, struct error *err)
{
	const struct step *s = arg;
	struct order o = {.key = NULL};
	int rc = order_get(txn, s->number, &o, err);

	if (rc)
		return rc;
	o.state = s->m->step.state;
	memcpy(o.order_url, s->m->step.order_url, sizeof(o.order_url));
	memcpy(o.finalize_url, s->m->step.finalize_url, sizeof(o.finalize_url));
	memcpy(o.certificate_url, s->m->step.certificate_url, sizeof(o.certificate_url));
	rc = order_put(txn, &o, err);
	order_clear(&o);
	return rc;
}

static int tokens_step_in(struct txn *txn, void *arg, struct error *err)
{
	const struct step *s = arg;
	struct order o = {.key = NULL};
	int rc = order_get(txn, s->number, &o, err);

	order_clear(&o);
	for (size_t i = 0; rc == 0 && i < s->m->tokens; i++)
		rc = token_put(txn, s->number, s->m->token[i].token,
			       s->m->token[i].authorization, err);
	return rc;
}

static void step(struct engine *e, const struct engine_job *job,
		 const struct wire_message *m, db_change *change)
{
	struct step s = {.e = e, .number = job->number, .m = m};
	struct error err = {.code = 0};

	if (db_update(e->db, change, &s, &err)) {
		step_failed(e, job->number, &err);
		return;
	}
	if (m->type == WIRE_ACCOUNT)
		snprintf(e->account.kid, sizeof(e->account.kid), "%s", m->kid);
	engine_message(e, WIRE_STORED, m->job);
	engine_send(e);
}

static void sign(struct engine *e, const struct engine_job *job,
		 const struct wire_message *m)
{
	struct error err = {.code = 0};
	unsigned char signature[64];
	size_t size = 0;

	if (engine_sign(e, m->sign.kind, m->bytes, m->size, signature, &size, &err)) {
		log_warning(e->lg, NULL, "the net worker was refused a signature: %s",
			    err.text);
		if (engine_store_failed(&err))
			job_put_off(e, job->number, &err);
		else
			engine_order_broken(e, job->number,
					    "a request to the CA was not signed", &err);
		return;
	}
	engine_message(e, WIRE_SIGNATURE, m->job);
	e->out->sign.request = m->sign.request;
	e->out->sign.kind = m->sign.kind;
	e->out->bytes = signature;
	e->out->size = size;
	engine_send(e);
}

/* A chain that came. */
struct issued {
	struct engine *e;
	uint32_t number;
	int64_t now_s;
	const struct pair *pair;
	const char *directory, *names;
	struct decision decision;
};

static int issued_in(struct txn *txn, void *arg, struct error *err)
{
	struct issued *i = arg;
	const struct written nothing = {.file = {NULL}};
	struct generation g;
	struct current c;
	struct domain d;
	char origin[sizeof(g.origin)], until[24];
	uint32_t gen;
	int rc;

	snprintf(origin, sizeof(origin), "%.*s", (int)sizeof(origin) - 1, i->directory);
	rc = domain_get(txn, i->number, &d, err);
	if (rc == 0)
		rc = generation_add(txn, i->number, i->pair, SOURCE_MANAGED, &nothing,
				    origin, i->now_s, policy_keep(&d.policy, i->e->cfg),
				    &gen, err);
	if (rc == 0)
		rc = order_del(txn, i->number, err);
	if (rc == 0)
		rc = current_get(txn, i->number, &c, err);
	if (rc == 0 && c.unheeded) {
		c.unheeded = false;
		rc = current_put(txn, i->number, &c, err);
	}
	if (rc)
		return rc;
	d.failures = 0;
	d.failed_s = d.next_try_s = d.last_error_s = 0;
	d.last_error[0] = '\0';
	d.reminders = 0;
	rc = domain_put(txn, &d, err);
	if (rc == 0)
		rc = generation_get(txn, i->number, gen, &g, err);
	if (rc)
		return rc;
	engine_time_text(g.info.not_after_s, until);
	rc = event_add(txn, EVENT_ISSUED, i->number, i->now_s, err,
		       "%s issued a certificate for %.300s, valid until %s",
		       g.info.issuer[0] ? g.info.issuer : "the CA", i->names, until);
	if (rc)
		return rc;
	return engine_decide_in(i->e, txn, i->number, i->now_s, &i->decision, err);
}

/* The pair of a chain and the order's key, for all names that were asked for. */
static int issued_pair(struct engine *e, const struct wire_message *m,
		       const struct order *o, int64_t now_s, struct pair *pair,
		       struct error *err)
{
	struct engine_names names;
	struct pem pem = {.certs = 0};
	int rc = engine_names_parse(o->names, &names, err);

	if (rc == 0)
		rc = pem_parse(m->bytes, m->size, &pem, err);
	if (rc)
		return rc;
	rc = x509_pair(pem.cert, pem.certs, o->key, &names.name[0], &names.name[1],
		       names.count - 1, now_s, pair, err);
	pem_clear(&pem);
	if (rc == 0 && pair->warning[0])
		log_warning(e->lg, names.name[0].text,
			    "the certificate that came for %s: %s", names.name[0].text,
			    pair->warning);
	return rc;
}

static int order_load(struct engine *e, uint32_t number, struct order *o,
		      struct error *err)
{
	struct txn *txn = NULL;
	int rc = db_read_begin(e->db, &txn, err);

	if (rc)
		return rc;
	rc = order_get(txn, number, o, err);
	db_read_end(txn);
	return rc;
}

static void issued(struct engine *e, uint32_t number, const struct wire_message *m)
{
	struct error err = {.code = 0};
	struct order o = {.key = NULL};
	struct pair pair = {.key = NULL};
	struct issued i = {
	    .e = e,
	    .number = number,
	    .now_s = clock_now_s(e->clk),
	    .pair = &pair,
	    .directory = o.directory,
	    .names = o.names,
	};

	if (order_load(e, number, &o, &err)) {
		step_failed(e, number, &err);
		goto out;
	}
	if (issued_pair(e, m, &o, i.now_s, &pair, &err)) {
		engine_order_broken(
		    e, number, "the certificate that the CA issued is refused", &err);
		goto out;
	}
	if (db_update(e->db, issued_in, &i, &err)) {
		step_failed(e, number, &err);
		goto out;
	}
	engine_forget(e, number);
	i.decision.state = true;
	engine_carry_out(e, &i.decision);
out:
	pair_clear(&pair);
	order_clear(&o);
}

static const struct engine_job *job_by_id(struct engine *e, uint32_t id)
{
	for (uint32_t i = 0; i < e->jobs; i++)
		if (e->job[i].id == id)
			return &e->job[i];
	return NULL;
}

void engine_job_message(struct engine *e, const struct wire_message *m)
{
	const struct engine_job *job = job_by_id(e, m->job);

	if (!job) {
		log_debug(e->lg, NULL,
			  "a message of a job that was dropped is ignored job=%u",
			  (unsigned int)m->job);
		return;
	}
	switch (m->type) {
	case WIRE_SIGN:
		sign(e, job, m);
		break;
	case WIRE_ACCOUNT:
		step(e, job, m, account_step_in);
		break;
	case WIRE_STATE:
		step(e, job, m, state_step_in);
		break;
	case WIRE_TOKENS:
		step(e, job, m, tokens_step_in);
		break;
	case WIRE_DONE:
		issued(e, job->number, m);
		break;
	case WIRE_FAILED:
		order_failed(e, job->number, &m->failure, false);
		break;
	case WIRE_HELLO:
	case WIRE_ANSWERS:
	case WIRE_JOB:
	case WIRE_DROP:
	case WIRE_STORED:
	case WIRE_SIGNATURE:
	case WIRE_READY:
	case WIRE_HELLO_ACK:
		log_warning(e->lg, NULL, "the net worker sent a message of type %d",
			    (int)m->type);
		break;
	}
}
