/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "acme/client_internal.h"
#include "acme/jws.h"
#include "acme/url.h"
#include "store/pem.h"
#include "store/x509.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void chain_forget(struct job *job)
{
	free(job->chain);
	job->chain = NULL;
	for (size_t i = 0; i < job->alternates; i++)
		free(job->alternate[i]);
	job->alternates = 0;
}

void order_clear_state(struct job *job)
{
	free(job->authz);
	job->authz = NULL;
	job->authzs = 0;
	chain_forget(job);
}

static void fail_gone(struct job *job, const struct http_response *response,
		      const char *text)
{
	struct wire_failure f;

	problem_set(&f, WIRE_NEW_ORDER, "%s", text);
	f.http_status = response->status;
	job_fail(job, &f);
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

static void authz_ask_all(struct job *job);
static void finalize(struct job *job);
static void download(struct job *job);

static void wait_on(struct job *job)
{
	(void)job; /* order_poll() goes on */
}

static bool authz_take(struct job *job, const struct answer_order *o)
{
	job->authz = calloc(o->authorizations, sizeof(*job->authz));
	if (!job->authz)
		return false;
	job->authzs = o->authorizations;
	for (size_t i = 0; i < job->authzs; i++)
		strcpy(job->authz[i].url, o->authorization[i]);
	return true;
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
	report(job, ORDER_PENDING, o->finalize, "", authz_ask_all);
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
		report(job, ORDER_VALID, o.finalize, o.certificate, download);
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

static bool is_gone(const struct http_response *response)
{
	return response->status == 404 || response->status == 410;
}

static void order_read(struct job *job, const struct http_response *response,
		       size_t index)
{
	(void)index;
	if (response->status == 200)
		order_seen(job, "reading the order", response, false);
	else if (is_gone(response) && !problem_is(response, "accountDoesNotExist"))
		fail_gone(job, response,
			  "the CA no longer knows the order; a new one is placed");
	else
		job_fail_response(job, "reading the order", response);
}

void order_begin(struct job *job)
{
	struct wire_job *w = &job->work;

	if (w->state == ORDER_VALID && w->certificate_url[0])
		download(job);
	else if (w->state != ORDER_NEW && w->order_url[0])
		call_start(job, w->order_url, "", NULL, order_read, 0);
	else
		order_place(job);
}

/* Authorizations. */

static void authz_all_valid(struct job *job)
{
	job->authorized = true;
	job->delay_ms = 0;
	report(job, ORDER_READY, job->work.finalize_url, "", finalize);
}

static void challenge_seen(struct job *job, const struct http_response *response,
			   size_t index)
{
	struct authz *a = &job->authz[index];
	const bool unwanted =
	    response->status >= 400 && response->status < 500 && response->status != 429;
	char what[320];

	snprintf(what, sizeof(what), "answering the challenge for %s", a->name);
	if (response->status == 200 || response->status == 202) {
		job_poll_at(job, what, response, &a->delay_ms, &a->poll_ms);
		return;
	}
	if (!unwanted || problem_is(response, "accountDoesNotExist")) {
		job_fail_response(job, what, response);
		return;
	}
	/* Another order may have made the authorization valid meanwhile. */
	a->refused = true;
	problem_from_response(response, what, true, &a->failure);
	job_poll_at(job, what, response, &a->delay_ms, &a->poll_ms);
}

static void tokens_stored(struct job *job)
{
	struct client *client = job->client;
	struct wire_token token;

	for (size_t i = 0; i < job->authzs; i++) {
		struct authz *a = &job->authz[i];

		if (a->state != AUTHZ_PENDING)
			continue;
		a->state = AUTHZ_POLLED;
		strcpy(token.token, a->token);
		snprintf(token.authorization, sizeof(token.authorization), "%s.%s",
			 a->token, job->thumbprint);
		client->hooks.token_add(client->hooks.ctx, job->number, &token);
		if (a->answered)
			a->poll_ms = client_now_ms();
		else
			call_start(job, a->challenge_url, "{}", NULL, challenge_seen, i);
	}
}

static void tokens_report(struct job *job)
{
	struct wire_message *m = job_message(job, WIRE_TOKENS);

	m->token = m->storage;
	for (size_t i = 0; i < job->authzs; i++) {
		const struct authz *a = &job->authz[i];

		if (a->state != AUTHZ_PENDING)
			continue;
		strcpy(m->storage[m->tokens].token, a->token);
		snprintf(m->storage[m->tokens].authorization,
			 sizeof(m->storage[m->tokens].authorization), "%s.%s", a->token,
			 job->thumbprint);
		m->tokens++;
	}
	job->stored = tokens_stored;
	client_send(job->client);
}

/* One more authorization is known: is it the last one? */
static void authz_next(struct job *job)
{
	size_t count[AUTHZ_VALID + 1] = {0};

	for (size_t i = 0; i < job->authzs; i++)
		count[job->authz[i].state]++;
	if (count[AUTHZ_ASKED])
		return;
	if (count[AUTHZ_PENDING])
		tokens_report(job);
	else if (!count[AUTHZ_POLLED])
		authz_all_valid(job);
}

static void authz_pending(struct job *job, struct authz *a,
			  const struct answer_authorization *answer,
			  const struct http_response *response)
{
	char what[320];

	if (a->state == AUTHZ_ASKED) {
		strcpy(a->challenge_url, answer->url);
		strcpy(a->token, answer->token);
		a->answered = answer->challenge != ANSWER_PENDING;
		a->state = AUTHZ_PENDING;
		authz_next(job);
		return;
	}
	if (a->refused) {
		job_fail(job, &a->failure);
		return;
	}
	snprintf(what, sizeof(what), "waiting for the CA to look at %s", a->name);
	job_poll_at(job, what, response, &a->delay_ms, &a->poll_ms);
}

static void authz_dead(struct job *job, const struct authz *a,
		       const struct answer_authorization *answer)
{
	struct wire_failure f;

	if (answer->status == ANSWER_INVALID)
		problem_from_challenge(answer->error, a->name, a->token, &f);
	else
		problem_set(&f, WIRE_NEW_ORDER,
			    "the CA says that the authorization for %s is %s", a->name,
			    answer_status_name(answer->status));
	job_fail(job, &f);
}

static void authz_answer(struct job *job, struct authz *a,
			 const struct answer_authorization *answer,
			 const struct http_response *response)
{
	switch (answer->status) {
	case ANSWER_VALID:
		a->state = AUTHZ_VALID;
		authz_next(job);
		break;
	case ANSWER_PENDING:
	case ANSWER_PROCESSING:
	case ANSWER_READY:
		authz_pending(job, a, answer, response);
		break;
	case ANSWER_INVALID:
	case ANSWER_DEACTIVATED:
	case ANSWER_EXPIRED:
	case ANSWER_REVOKED:
		authz_dead(job, a, answer);
		break;
	}
}

static void authz_seen(struct job *job, const struct http_response *response,
		       size_t index)
{
	const char *what = "reading an authorization";
	struct authz *a = &job->authz[index];
	struct answer_authorization answer;
	struct error err;

	if (response->status != 200) {
		job_fail_response(job, what, response);
		return;
	}
	if (answer_authorization(response, job->work.names, &answer, &err) < 0) {
		job_fail_nonsense(job, what, response, &err);
		return;
	}
	a->name[0] = '\0';
	strncat(a->name, answer.name, sizeof(a->name) - 1);
	authz_answer(job, a, &answer, response);
	json_decref(answer.root);
}

static void authz_ask_all(struct job *job)
{
	for (size_t i = 0; i < job->authzs; i++)
		call_start(job, job->authz[i].url, "", NULL, authz_seen, i);
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

/* The certificate. */

/* Is it a chain, and does its topmost certificate come from `preferred` ("": any)? */
static int chain_check(const struct http_response *response, const char *preferred,
		       bool *matches, struct error *err)
{
	struct cert_info info;
	struct pem pem;
	int r;

	if (response->error.code || response->size > WIRE_CHAIN_MAX)
		return error_set(err, EPROTO,
				 "the certificate's chain is longer than %d bytes",
				 WIRE_CHAIN_MAX);
	if (strcmp(response->content_type, "application/pem-certificate-chain") != 0)
		return error_set(err, EPROTO,
				 "the answer is of type '%.60s', not "
				 "application/pem-certificate-chain",
				 response->content_type);
	r = pem_parse(response->body, response->size, &pem, err);
	if (r < 0)
		return r;
	if (pem.certs == 0)
		r = error_set(err, EPROTO, "the answer holds no certificate");
	else if (pem.key)
		r = error_set(err, EPROTO, "the answer holds a private key");
	else if (*preferred)
		r = x509_info(&pem.cert[pem.certs - 1], &info, err);
	*matches = r == 0 && (*preferred == '\0' || strcmp(info.issuer, preferred) == 0);
	pem_clear(&pem);
	return r;
}

static void alternate_ask(struct job *job, size_t index);

static void alternate_seen(struct job *job, const struct http_response *response,
			   size_t index)
{
	bool matches = false;
	struct error err;
	int r;

	if (response->status == 200)
		r = chain_check(response, job->work.preferred_chain, &matches, &err);
	else
		r = error_set(&err, EPROTO, "status %u", response->status);
	if (r < 0)
		log_warning(job->client->lg, NULL,
			    "an alternate chain could not be fetched, the others are "
			    "looked at: %s",
			    err.text);
	if (r == 0 && matches)
		job_done(job, response->body, response->size);
	else
		alternate_ask(job, index + 1);
}

static void alternate_ask(struct job *job, size_t index)
{
	if (index < job->alternates) {
		call_start(job, job->alternate[index], "",
			   "application/pem-certificate-chain", alternate_seen, index);
		return;
	}
	log_notice(job->client->lg, NULL,
		   "the CA offers no chain from \"%s\" (preferred-chain in [acme]): its "
		   "own choice "
		   "is taken",
		   job->work.preferred_chain);
	job_done(job, job->chain, job->chain_size);
}

/* Keeps the default chain and looks at the others. */
static void alternates_begin(struct job *job, const struct http_response *response)
{
	job->chain = malloc(response->size + 1);
	if (!job->chain) {
		job_fail_memory(job);
		return;
	}
	memcpy(job->chain, response->body, response->size + 1);
	job->chain_size = response->size;
	for (size_t i = 0; response->link_alternate[i]; i++) {
		const char *url = response->link_alternate[i];

		if (strlen(url) < URL_MAX &&
		    url_same_origin(url, job->work.certificate_url)) {
			job->alternate[job->alternates] = strdup(url);
			if (job->alternate[job->alternates])
				job->alternates++;
		}
	}
	alternate_ask(job, 0);
}

static void chain_seen(struct job *job, const struct http_response *response,
		       size_t index)
{
	const char *what = "fetching the certificate";
	struct wire_failure f;
	bool matches = false;
	struct error err;

	(void)index;
	if (is_gone(response) && !problem_is(response, "accountDoesNotExist")) {
		fail_gone(job, response,
			  "the CA no longer has the certificate; a new order is placed");
		return;
	}
	if (response->status != 200) {
		job_fail_response(job, what, response);
		return;
	}
	if (chain_check(response, job->work.preferred_chain, &matches, &err) < 0) {
		/* It would be the same the next time. */
		problem_set(&f, WIRE_NEW_ORDER, "%s: %.300s", what, err.text);
		f.http_status = response->status;
		ca_distrust(job->ca);
		job_fail(job, &f);
		return;
	}
	if (matches)
		job_done(job, response->body, response->size);
	else
		alternates_begin(job, response);
}

static void download(struct job *job)
{
	call_start(job, job->work.certificate_url, "",
		   "application/pem-certificate-chain", chain_seen, 0);
}

/* Time. */

int64_t order_next_ms(const struct job *job)
{
	int64_t next_ms = job->stored ? 0 : job->poll_ms;

	if (job->stored)
		return 0;
	for (size_t i = 0; i < job->authzs; i++) {
		const int64_t poll_ms = job->authz[i].poll_ms;

		if (poll_ms && (next_ms == 0 || poll_ms < next_ms))
			next_ms = poll_ms;
	}
	return next_ms;
}

bool order_poll(struct job *job, int64_t now_ms)
{
	bool did = false;

	if (job->stored)
		return false;
	for (size_t i = 0; i < job->authzs; i++) {
		struct authz *a = &job->authz[i];

		if (a->poll_ms == 0 || a->poll_ms > now_ms)
			continue;
		a->poll_ms = 0;
		call_start(job, a->url, "", NULL, authz_seen, i);
		did = true;
	}
	if (job->poll_ms && job->poll_ms <= now_ms) {
		job->poll_ms = 0;
		call_start(job, job->work.order_url, "", NULL, order_read, 0);
		did = true;
	}
	return did;
}
