/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "acme/client_internal.h"
#include "acme/jws.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void order_clear_state(struct job *job)
{
	authz_clear(job);
	chain_forget(job);
}

/* Has the order's row on disk say `state`, then takes `step`; at once where it does. */
static void report(struct job *job, enum order_state state, const char *finalize,
		   const char *certificate, job_step *step)
{
	struct wire_job *w = &job->work;
	struct wire_message *m;
	const bool same = w->state == state && strcmp(w->finalize_url, finalize) == 0 &&
			  strcmp(w->certificate_url, certificate) == 0;

	if (same) {
		step(job);
		return;
	}
	w->state = state;
	if (finalize != w->finalize_url)
		strcpy(w->finalize_url, finalize);
	if (certificate != w->certificate_url)
		strcpy(w->certificate_url, certificate);
	job->stored = step;
	m = job_message(job, WIRE_STATE);
	m->step.state = state;
	strcpy(m->step.order_url, w->order_url);
	strcpy(m->step.finalize_url, w->finalize_url);
	strcpy(m->step.certificate_url, w->certificate_url);
	client_send(job->client);
}

static void finalize(struct job *job);

static void wait_on(struct job *job)
{
	(void)job; /* order_poll() goes on */
}

static void order_pending(struct job *job, const struct http_response *response,
			  const struct answer_order *o)
{
	/* All is valid and the order has not noticed yet. */
	if (job->authorized) {
		job_poll_at(job, "waiting for the order", response, &job->delay_ms,
			    &job->poll_ms);
		return;
	}
	if (job->authz || !authz_take(job, o)) {
		job_fail_memory(job);
		return;
	}
	report(job, ORDER_PENDING, o->finalize, "", authz_begin);
}

static void order_dead(struct job *job, const struct answer_order *o)
{
	struct wire_failure f;

	if (o->status == ANSWER_INVALID) {
		problem_from_order(o->error, "the CA has ended the order", &f);
		job_fail(job, &f);
		return;
	}
	problem_set(&f, WIRE_NEW_ORDER, "the CA says that the order is %s",
		    answer_status_name(o->status));
	job_fail(job, &f);
}

/* What an answer to newOrder, to finalize or to a poll says. */
static void order_seen(struct job *job, const char *what,
		       const struct http_response *response, bool finalized)
{
	struct answer_order o;
	struct error err;

	if (answer_order(response, job->work.names, &o, &err) < 0) {
		job_fail_nonsense(job, what, response, &err);
		return;
	}
	switch (o.status) {
	case ANSWER_PENDING:
		order_pending(job, response, &o);
		break;
	case ANSWER_READY:
		if (!finalized)
			report(job, ORDER_READY, o.finalize, "", finalize);
		else
			job_poll_at(job, what, response, &job->delay_ms, &job->poll_ms);
		break;
	case ANSWER_PROCESSING:
		if (job_poll_at(job, "waiting for the certificate", response,
				&job->delay_ms, &job->poll_ms))
			report(job, ORDER_PROCESSING, o.finalize, "", wait_on);
		break;
	case ANSWER_VALID:
		report(job, ORDER_VALID, o.finalize, o.certificate, chain_fetch);
		break;
	case ANSWER_INVALID:
	case ANSWER_DEACTIVATED:
	case ANSWER_EXPIRED:
	case ANSWER_REVOKED:
		order_dead(job, &o);
		break;
	}
	json_decref(o.root);
}

/* Placing an order, and reading one that was placed before. */

static void order_placed(struct job *job, const struct http_response *response,
			 size_t index)
{
	const char *what = "placing the order";
	struct error err;

	(void)index;
	if (response->status != 201 && response->status != 200) {
		job_fail_response(job, what, response);
		return;
	}
	if (strlen(response->location) >= URL_MAX ||
	    !http_url_allowed(response->location)) {
		error_note(&err, EPROTO,
			   "the answer names no https address of the order");
		job_fail_nonsense(job, what, response, &err);
		return;
	}
	strcpy(job->work.order_url, response->location);
	order_seen(job, what, response, false);
}

static json_t *identifiers(const char *names)
{
	json_t *list = json_array();
	char name[256];

	while ((names = answer_next_name(names, name)))
		json_array_append_new(list, json_pack("{s:s,s:s}", "type",
						      answer_is_ip(name) ? "ip" : "dns",
						      "value", name));
	return list;
}

static void order_place(struct job *job)
{
	json_t *payload = json_pack("{s:o}", "identifiers", identifiers(job->work.names));
	char *text = payload ? json_dumps(payload, JSON_COMPACT) : NULL;

	job->work.state = ORDER_NEW;
	job->work.order_url[0] = job->work.finalize_url[0] =
	    job->work.certificate_url[0] = '\0';
	if (text)
		call_start(job, job->ca->new_order, text, NULL, order_placed, 0);
	else
		job->no_memory = true;
	free(text);
	json_decref(payload);
}

static void order_read(struct job *job, const struct http_response *response,
		       size_t index)
{
	(void)index;
	if (response->status == 200)
		order_seen(job, "reading the order", response, false);
	else if (job_lost(response))
		job_fail_lost(job, response,
			      "the CA no longer knows the order; a new one is placed");
	else
		job_fail_response(job, "reading the order", response);
}

void order_begin(struct job *job)
{
	struct wire_job *w = &job->work;

	if (w->state == ORDER_VALID && w->certificate_url[0])
		chain_fetch(job);
	else if (w->state != ORDER_NEW && w->order_url[0])
		call_start(job, w->order_url, "", NULL, order_read, 0);
	else
		order_place(job);
}

void order_authorized(struct job *job)
{
	job->authorized = true;
	job->delay_ms = 0;
	report(job, ORDER_READY, job->work.finalize_url, "", finalize);
}

/* Finalizing. */

static void finalized(struct job *job, const struct http_response *response, size_t index)
{
	const char *what = "asking for the certificate";

	(void)index;
	if (response->status == 200 || response->status == 201)
		order_seen(job, what, response, true);
	else if (problem_is(response, "orderNotReady"))
		job_poll_at(job, what, response, &job->delay_ms, &job->poll_ms);
	else
		job_fail_response(job, what, response);
}

static void finalize(struct job *job)
{
	char *csr = jws_base64url(job->csr, job->work.csr_size);
	json_t *payload = csr ? json_pack("{s:s}", "csr", csr) : NULL;
	char *text = payload ? json_dumps(payload, JSON_COMPACT) : NULL;

	if (text)
		call_start(job, job->work.finalize_url, text, NULL, finalized, 0);
	else
		job->no_memory = true;
	free(text);
	json_decref(payload);
	free(csr);
}

/* Time. */

int64_t order_next_ms(const struct job *job)
{
	const int64_t authz_ms = authz_next_ms(job);

	if (job->stored)
		return 0;
	return job->poll_ms && (authz_ms == 0 || job->poll_ms < authz_ms) ? job->poll_ms
									  : authz_ms;
}

bool order_poll(struct job *job, int64_t now_ms)
{
	bool did;

	if (job->stored)
		return false;
	did = authz_poll(job, now_ms);
	if (job->poll_ms && job->poll_ms <= now_ms) {
		job->poll_ms = 0;
		call_start(job, job->work.order_url, "", NULL, order_read, 0);
		did = true;
	}
	return did;
}
