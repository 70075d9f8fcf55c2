/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "acme/engine_internal.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define MESSAGES_AT_ONCE 256
#define STARTS_AT_ONCE   64
/* Messages of stored tokens: half of what may wait on the link. */
#define ANSWERS_MAX (WIRE_QUEUE_MAX / 2)

void engine_random(void *out, size_t size)
{
	unsigned char *at = out;

	while (size > 0) {
		ssize_t n = getrandom(at, size, 0);

		if (n < 0)
			continue; /* EINTR: nothing else is possible for so few bytes */
		at += n;
		size -= (size_t)n;
	}
}

struct wire_message *engine_message(struct engine *e, enum wire_type type, uint32_t job)
{
	memset(e->out, 0, offsetof(struct wire_message, storage));
	e->out->type = type;
	e->out->job = job;
	return e->out;
}

static void link_close(struct engine *e, const struct error *why)
{
	log_error(e->lg, NULL, "no certificate can be ordered any more: %s", why->text);
	e->closed = true;
	e->acknowledged = false;
	e->jobs = 0;
}

void engine_hello(struct engine *e)
{
	struct error err = {.code = 0};
	uint64_t epoch;

	do
		engine_random(&epoch, sizeof(epoch));
	while (epoch == e->epoch);
	e->epoch = epoch;
	e->acknowledged = false;
	e->jobs = 0;
	wire_link_forget(e->link);
	engine_message(e, WIRE_HELLO, 0)->epoch = epoch;
	if (wire_link_send(e->link, e->out, &err))
		link_close(e, &err);
}

void engine_send(struct engine *e)
{
	struct error err = {.code = 0};

	if (e->closed || wire_link_send(e->link, e->out, &err) == 0)
		return;
	log_warning(e->lg, NULL,
		    "the net worker can't be told what to do, its orders begin anew: %s",
		    err.text);
	engine_hello(e);
}

const struct engine_job *engine_job_of(const struct engine *e, uint32_t number)
{
	for (uint32_t i = 0; i < e->jobs; i++)
		if (e->job[i].number == number)
			return &e->job[i];
	return NULL;
}

void engine_forget(struct engine *e, uint32_t number)
{
	for (uint32_t i = 0; i < e->jobs; i++) {
		if (e->job[i].number != number)
			continue;
		e->job[i] = e->job[--e->jobs];
		return;
	}
}

void engine_drop(struct engine *e, uint32_t number)
{
	const struct engine_job *job = engine_job_of(e, number);
	uint32_t id;

	if (!job)
		return;
	id = job->id;
	engine_forget(e, number);
	engine_message(e, WIRE_DROP, id);
	engine_send(e);
}

void engine_walk(struct engine *e)
{
	if (e->walking)
		e->walk_again = true;
	else
		e->walk_after = 0;
	e->walking = true;
}

void engine_wait(struct engine *e, uint32_t number, bool first)
{
	if (engine_job_of(e, number))
		return;
	if (e->waiting_count == ENGINE_WAITING) {
		engine_walk(e); /* its order is stored: the walk comes to it */
		return;
	}
	if (first) {
		e->waiting_first =
		    (e->waiting_first + ENGINE_WAITING - 1) % ENGINE_WAITING;
		e->waiting[e->waiting_first] = number;
	} else {
		e->waiting[(e->waiting_first + e->waiting_count) % ENGINE_WAITING] =
		    number;
	}
	e->waiting_count++;
}

/* The next stored order that may wait. False: there is none. */
static bool waiting_next(struct engine *e, uint32_t *number)
{
	struct error err = {.code = 0};
	struct order o = {.key = NULL};
	struct txn *txn = NULL;
	int rc;

	if (e->waiting_count > 0) {
		*number = e->waiting[e->waiting_first];
		e->waiting_first = (e->waiting_first + 1) % ENGINE_WAITING;
		e->waiting_count--;
		return true;
	}
	if (!e->walking)
		return false;
	rc = db_read_begin(e->db, &txn, &err);
	if (rc == 0) {
		rc = order_next(txn, e->walk_after, &o, &err);
		db_read_end(txn);
	}
	if (rc == 0) {
		*number = e->walk_after = o.number;
		order_clear(&o);
		return true;
	}
	if (rc != -ENOENT) {
		/* Those behind one that can't be read come by the queue, a day late. */
		if (engine_store_failed(&err))
			engine_pause(e, &err);
		else
			e->walking = e->walk_again = false;
		log_error(e->lg, NULL, "a stored order can't be read: %s", err.text);
		return false;
	}
	e->walking = e->walk_again;
	e->walk_again = false;
	e->walk_after = 0;
	return e->walking && waiting_next(e, number);
}

static void work_fill(struct engine *e, const struct order *o,
		      const struct policy *policy, struct wire_job *w)
{
	const struct config *cfg = e->cfg;
	const char *chain = policy_preferred_chain(policy, cfg);

	snprintf(w->directory, sizeof(w->directory), "%s", o->directory);
	snprintf(w->kid, sizeof(w->kid), "%s", e->account.kid);
	snprintf(w->jwk, sizeof(w->jwk), "%s", e->jwk);
	engine_account_contact(cfg, w->contact, sizeof(w->contact));
	if (e->eab_key && cfg->eab_kid)
		snprintf(w->eab_kid, sizeof(w->eab_kid), "%s", cfg->eab_kid);
	snprintf(w->names, sizeof(w->names), "%s", o->names);
	if (chain)
		snprintf(w->preferred_chain, sizeof(w->preferred_chain), "%s", chain);
	w->state = o->state;
	snprintf(w->order_url, sizeof(w->order_url), "%s", o->order_url);
	snprintf(w->finalize_url, sizeof(w->finalize_url), "%s", o->finalize_url);
	snprintf(w->certificate_url, sizeof(w->certificate_url), "%s",
		 o->certificate_url);
	w->agree_terms = cfg->agree_terms;
}

static int job_send(struct engine *e, const struct order *o, const struct policy *policy,
		    struct error *err)
{
	struct engine_names names;
	struct wire_message *m;
	unsigned char *csr = NULL;
	size_t csr_size = 0;
	int rc = engine_names_parse(o->names, &names, err);

	if (rc == 0)
		rc = x509_csr(o->key, names.name, names.count, &csr, &csr_size, err);
	if (rc)
		return rc;
	if (++e->last_id == 0)
		e->last_id = 1;
	e->job[e->jobs++] = (struct engine_job){.id = e->last_id, .number = o->number};
	m = engine_message(e, WIRE_JOB, e->last_id);
	work_fill(e, o, policy, &m->work);
	m->work.csr = csr;
	m->work.csr_size = csr_size;
	engine_send(e);
	free(csr);
	log_info(e->lg, names.name[0].text, "the order for %s goes to %s state=%s",
		 o->names, o->directory, order_state_name(o->state));
	return 0;
}

/* What keeps a stored order from running is found out anew at each start of it. */
static int startable(struct engine *e, uint32_t number, struct order *o,
		     struct policy *policy, bool *start, struct error *err)
{
	struct txn *txn = NULL;
	struct domain d;
	int rc;

	*start = false;
	rc = db_read_begin(e->db, &txn, err);
	if (rc)
		return rc;
	rc = domain_get(txn, number, &d, err);
	if (rc == 0)
		rc = order_get(txn, number, o, err);
	db_read_end(txn);
	if (rc == -ENOENT) {
		error_clear(err);
		return 0;
	}
	if (rc)
		return rc;
	*policy = d.policy;
	*start = d.installed && !engine_eab_missing(e) &&
		 d.next_try_s <= clock_now_s(e->clk) &&
		 strcmp(o->directory, e->cfg->directory) == 0;
	return 0;
}

static void job_start(struct engine *e, uint32_t number)
{
	struct error err = {.code = 0};
	struct order o = {.key = NULL};
	struct policy policy;
	bool start;
	int rc;

	if (engine_job_of(e, number))
		return;
	rc = engine_account_load(e, &err);
	if (rc) {
		engine_wait(e, number, true);
		engine_pause(e, &err);
		return;
	}
	rc = startable(e, number, &o, &policy, &start, &err);
	if (rc == 0 && start)
		rc = job_send(e, &o, &policy, &err);
	order_clear(&o);
	if (rc == 0)
		return;
	if (engine_store_failed(&err)) {
		engine_wait(e, number, true);
		engine_pause(e, &err);
	} else {
		engine_order_broken(e, number, "the stored order can't be used", &err);
	}
}

bool engine_hungry(const struct engine *e)
{
	return engine_orders(e) && e->acknowledged && e->jobs < e->cfg->orders_at_once &&
	       (e->waiting_count > 0 || e->walking);
}

void engine_fill(struct engine *e)
{
	uint32_t number;

	for (int i = 0; i < STARTS_AT_ONCE && engine_hungry(e) && !engine_paused(e); i++)
		if (waiting_next(e, &number))
			job_start(e, number);
}

/* The next full message of stored tokens, or the last one. */
static int answers_read(struct txn *txn, char *after, struct wire_message *m,
			struct error *err)
{
	struct wire_token *t;
	int rc;

	for (m->tokens = 0; m->tokens < WIRE_TOKENS_MAX; m->tokens++) {
		t = &m->storage[m->tokens];
		rc = token_next(txn, after, t->token, err);
		if (rc)
			return rc;
		snprintf(after, TOKEN_MAX, "%s", t->token);
		rc = token_get(txn, t->token, t->authorization, sizeof(t->authorization),
			       err);
		if (rc)
			return rc;
	}
	return 0;
}

/* The CA may ask a new net worker for what it was told of by the one before. */
static void answers_send(struct engine *e)
{
	char after[TOKEN_MAX] = "";
	struct error err = {.code = 0};
	struct txn *txn = NULL;
	int rc = db_read_begin(e->db, &txn, &err);

	for (int i = 0; i < ANSWERS_MAX && e->acknowledged; i++) {
		struct wire_message *m = engine_message(e, WIRE_ANSWERS, 0);

		m->token = m->storage;
		if (rc == 0 && i < ANSWERS_MAX - 1)
			rc = answers_read(txn, after, m, &err);
		engine_send(e);
		if (m->tokens < WIRE_TOKENS_MAX)
			break;
	}
	if (txn)
		db_read_end(txn);
	if (rc && rc != -ENOENT)
		log_error(e->lg, NULL, "not all challenges can be answered: %s",
			  err.text);
}

static void acknowledged(struct engine *e)
{
	e->acknowledged = true;
	e->jobs = 0;
	e->waiting_count = 0;
	e->walking = true;
	e->walk_again = false;
	e->walk_after = 0;
	answers_send(e);
}

void engine_hear(struct engine *e)
{
	struct wire_message *m;

	for (int i = 0; i < MESSAGES_AT_ONCE && !e->closed; i++) {
		struct error err = {.code = 0};
		int rc = wire_link_receive(e->link, &m, &err);

		if (rc == -EAGAIN)
			return;
		if (rc == -EPROTO) {
			log_warning(e->lg, NULL, "%s", err.text);
			continue;
		}
		if (rc) {
			link_close(e, &err);
			return;
		}
		if (m->type == WIRE_READY)
			engine_hello(e);
		else if (m->type == WIRE_HELLO_ACK && m->epoch == e->epoch)
			acknowledged(e);
		else if (e->acknowledged)
			engine_job_message(e, m);
	}
}
