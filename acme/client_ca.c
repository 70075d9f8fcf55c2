/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "acme/client_internal.h"
#include "acme/jws.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DIRECTORY_MS   (24 * 3600 * 1000LL)
#define BAD_NONCES_MAX 20

struct call {
	struct call *next;
	struct job *job;
	uint32_t request; /* the sign request that is awaited, 0: none */
	uint64_t http;    /* the HTTP request in flight, 0: none */
	unsigned bad_nonces;
	bool by_key; /* newAccount: the key itself, there is no kid yet */
	char *url, *payload, *input;
	const char *accept;
	call_done *done;
	size_t index;
};

struct ca *ca_get(struct client *client, const char *directory)
{
	struct ca *ca = client->cas;

	while (ca && strcmp(ca->directory, directory) != 0)
		ca = ca->next;
	if (ca)
		return ca;
	ca = calloc(1, sizeof(*ca));
	if (!ca)
		return NULL;
	ca->client = client;
	strcpy(ca->directory, directory);
	ca->next = client->cas;
	client->cas = ca;
	return ca;
}

void ca_free(struct client *client, struct ca *ca)
{
	if (ca->http)
		http_cancel(client->http, ca->http);
	free(ca);
}

void ca_distrust(struct ca *ca)
{
	if (ca->state == CA_KNOWN)
		ca->state = CA_EMPTY;
}

void ca_forget_account(struct ca *ca, const char *kid)
{
	if (strcmp(ca->kid, kid) == 0)
		ca->kid[0] = '\0';
}

static void nonce_put(struct ca *ca, const char *nonce)
{
	if (*nonce == '\0' || strlen(nonce) >= NONCE_SIZE)
		return;
	if (ca->nonces == NONCES_MAX)
		memmove(ca->nonce[0], ca->nonce[1], (size_t)--ca->nonces * NONCE_SIZE);
	strcpy(ca->nonce[ca->nonces++], nonce);
}

/* Directory. */

static struct job *waits_for(const struct ca *ca, bool account)
{
	struct job *job = ca->client->jobs;

	while (job &&
	       (job->ca != ca || !(account ? job->waits_account : job->waits_directory)))
		job = job->next;
	return job;
}

static void account_begin(struct job *job);

/* All that wait for the directory go on, or end with `f`. */
static void directory_release(struct ca *ca, const struct wire_failure *f)
{
	struct job *job;

	while ((job = waits_for(ca, false))) {
		job->waits_directory = false;
		if (f)
			job_fail(job, f);
		else
			account_begin(job);
	}
}

static void directory_seen(void *ctx, const struct http_response *response)
{
	struct ca *ca = ctx;
	struct answer_directory d;
	struct wire_failure f;
	struct error err;

	ca->http = 0;
	ca->state = CA_EMPTY;
	if (response->status != 200) {
		problem_from_response(response, "reading the CA's directory", false, &f);
		/* Nothing was refused: orders that are stored go on once it is back. */
		f.verdict = WIRE_RETRY;
		directory_release(ca, &f);
		return;
	}
	if (answer_directory(response, &d, &err) < 0) {
		problem_set(
		    &f, WIRE_RETRY,
		    "reading the CA's directory: %.250s; is %.60s an ACME directory "
		    "(directory in [acme])?",
		    err.text, ca->directory);
		f.http_status = response->status;
		directory_release(ca, &f);
		return;
	}
	strcpy(ca->new_nonce, d.new_nonce);
	strcpy(ca->new_account, d.new_account);
	strcpy(ca->new_order, d.new_order);
	ca->terms[0] = '\0';
	strncat(ca->terms, d.terms, sizeof(ca->terms) - 1);
	ca->external_account_required = d.external_account_required;
	json_decref(d.root);
	ca->state = CA_KNOWN;
	ca->fetched_ms = client_now_ms();
	directory_release(ca, NULL);
}

void ca_begin(struct job *job)
{
	struct client *client = job->client;
	struct ca *ca = job->ca;
	struct wire_failure f;
	struct error err;

	if (ca->state == CA_KNOWN && client_now_ms() - ca->fetched_ms < DIRECTORY_MS) {
		account_begin(job);
		return;
	}
	job->waits_directory = true;
	if (ca->state == CA_ASKING)
		return;
	ca->http = http_start(client->http, HTTP_GET, ca->directory, NULL,
			      "application/json", directory_seen, ca, &err);
	if (ca->http) {
		ca->state = CA_ASKING;
		return;
	}
	problem_set(&f, err.code == EINVAL ? WIRE_INPUT : WIRE_RETRY,
		    "reading the CA's directory: %.250s; mend directory in [acme]",
		    err.text);
	directory_release(ca, &f);
}

/* Signed requests. */

static void call_free(struct call *call)
{
	if (call->http)
		http_cancel(call->job->client->http, call->http);
	free(call->url);
	free(call->payload);
	free(call->input);
	free(call);
}

void calls_cancel(struct job *job)
{
	struct call *call;

	while ((call = job->calls)) {
		job->calls = call->next;
		call_free(call);
	}
}

static void call_finish(struct call *call, const struct http_response *response)
{
	struct call **p = &call->job->calls;

	while (*p != call)
		p = &(*p)->next;
	*p = call->next;
	/* The job may end in there: the call is no longer one of its own. */
	call->done(call->job, response, call->index);
	call_free(call);
}

static json_t *protected_header(const struct call *call, const char *nonce)
{
	const struct wire_job *w = &call->job->work;

	if (call->by_key)
		return json_pack("{s:s,s:o,s:s,s:s}", "alg", "ES256", "jwk",
				 json_loads(w->jwk, 0, NULL), "nonce", nonce, "url",
				 call->url);
	return json_pack("{s:s,s:s,s:s,s:s}", "alg", "ES256", "kid", w->kid, "nonce",
			 nonce, "url", call->url);
}

static bool call_sign(struct call *call, const char *nonce)
{
	struct client *client = call->job->client;
	json_t *header = protected_header(call, nonce);
	char *text = header ? json_dumps(header, JSON_COMPACT) : NULL;
	struct wire_message *m;
	struct error err;
	int r = -ENOMEM;

	free(call->input);
	call->input = NULL;
	if (text)
		r = jws_input(text, call->payload, &call->input, &err);
	free(text);
	json_decref(header);
	if (r < 0)
		return false;
	call->request = ++client->last_request;
	m = job_message(call->job, WIRE_SIGN);
	m->sign.request = call->request;
	m->sign.kind = WIRE_SIGN_ACCOUNT;
	m->bytes = (const unsigned char *)call->input;
	m->size = strlen(call->input);
	client_send(client);
	return true;
}

static bool call_go(struct call *call);

static void nonce_seen(void *ctx, const struct http_response *response)
{
	struct http_response none = {
	    .content_type = "", .location = "", .nonce = "", .body = ""};
	struct call *call = ctx;

	call->http = 0;
	nonce_put(call->job->ca, response->nonce);
	if ((response->status == 200 || response->status == 204) && *response->nonce) {
		call->job->no_memory |= !call_go(call);
		return;
	}
	if (response->status >= 200 && response->status < 300) {
		error_note(
		    &none.error, EPROTO,
		    "the CA gave no nonce when asked for one; is that an ACME server?");
		response = &none;
	}
	call_finish(call, response);
}

static bool call_go(struct call *call)
{
	struct client *client = call->job->client;
	struct ca *ca = call->job->ca;
	struct error err;

	if (ca->nonces > 0)
		return call_sign(call, ca->nonce[--ca->nonces]);
	call->http = http_start(client->http, HTTP_HEAD, ca->new_nonce, NULL, NULL,
				nonce_seen, call, &err);
	return call->http != 0;
}

static void call_answered(void *ctx, const struct http_response *response)
{
	struct call *call = ctx;

	call->http = 0;
	nonce_put(call->job->ca, response->nonce);
	if (problem_is(response, "badNonce") && call->bad_nonces < BAD_NONCES_MAX) {
		call->bad_nonces++;
		call->job->no_memory |= !call_go(call);
		return;
	}
	call_finish(call, response);
}

static void call_begin(struct job *job, const char *url, const char *payload,
		       const char *accept, bool by_key, call_done *done, size_t index)
{
	struct call *call = calloc(1, sizeof(*call));

	if (!call) {
		job->no_memory = true;
		return;
	}
	call->job = job;
	call->by_key = by_key;
	call->url = strdup(url);
	call->payload = strdup(payload);
	call->accept = accept;
	call->done = done;
	call->index = index;
	call->next = job->calls;
	job->calls = call;
	if (!call->url || !call->payload || !call_go(call))
		job->no_memory = true;
}

void call_start(struct job *job, const char *url, const char *payload, const char *accept,
		call_done *done, size_t index)
{
	call_begin(job, url, payload, accept, false, done, index);
}

static void call_post(struct call *call, const unsigned char *bytes, size_t size)
{
	char *json = NULL;
	struct error err;

	call->request = 0;
	if (jws_serialize(call->input, bytes, size, &json, &err) == 0)
		call->http = http_start(call->job->client->http, HTTP_POST, call->url,
					json, call->accept, call_answered, call, &err);
	if (!call->http)
		call->job->no_memory = true;
	free(json);
}

/* Account. */

static json_t *contact_list(const char *contact)
{
	json_t *list = json_array();
	char one[1024];
	size_t n;

	for (; *contact; contact += n + (contact[n] == ',')) {
		n = strcspn(contact, ",");
		memcpy(one, contact, n);
		one[n] = '\0';
		if (n)
			json_array_append_new(list, json_string(one));
	}
	return list;
}

static void account_failed(struct job *job, const struct wire_failure *f)
{
	struct ca *ca = job->ca;
	struct job *other;

	/* What the CA refuses for one it refuses for all: asking again for each of them
	 * would use up its limit of new accounts. */
	while ((other = waits_for(ca, true))) {
		other->waits_account = false;
		job_fail(other, f);
	}
	job_fail(job, f);
}

/* Those that wait go on, up to one that has to make an account itself. */
static void account_release(struct ca *ca)
{
	struct job *job;

	while (!ca->maker && (job = waits_for(ca, true))) {
		job->waits_account = false;
		account_begin(job);
	}
}

static void account_stored(struct job *job)
{
	struct ca *ca = job->ca;

	strcpy(ca->kid, job->work.kid);
	strcpy(ca->jwk, job->work.jwk);
	ca->maker = NULL;
	order_begin(job);
	account_release(ca);
}

/* A wrong external account has no error type of its own. */
static void binding_doubt(struct wire_failure *f)
{
	const struct wire_failure told = *f;

	problem_set(f, told.verdict, "%.330s; check eab-kid and eab-key-file in [acme]",
		    told.text);
	f->retry_after_s = told.retry_after_s;
	f->http_status = told.http_status;
	memcpy(f->type, told.type, sizeof(f->type));
}

static void account_seen(struct job *job, const struct http_response *response,
			 size_t index)
{
	const char *what = "making the account at the CA";
	enum answer_status status = ANSWER_VALID;
	struct wire_failure f;
	struct error err;
	int r;

	(void)index;
	if (response->status != 200 && response->status != 201) {
		problem_from_response(response, what, false, &f);
		if (job->work.eab_kid[0] && f.verdict == WIRE_INPUT)
			binding_doubt(&f);
		account_failed(job, &f);
		return;
	}
	r = answer_account(response, &status, &err);
	if (r == 0 && (strlen(response->location) >= URL_MAX ||
		       !http_url_allowed(response->location)))
		r = error_set(&err, EPROTO,
			      "the answer names no https address of the account");
	if (r < 0) {
		problem_set(&f, WIRE_RETRY, "%s: %.300s", what, err.text);
		f.http_status = response->status;
		ca_distrust(job->ca);
		account_failed(job, &f);
		return;
	}
	if (status != ANSWER_VALID) {
		problem_set(
		    &f, WIRE_INPUT,
		    "the CA says that this account is %s; ask the CA, or begin with "
		    "another account",
		    answer_status_name(status));
		account_failed(job, &f);
		return;
	}
	strcpy(job->work.kid, response->location);
	job->stored = account_stored;
	strcpy(job_message(job, WIRE_ACCOUNT)->kid, job->work.kid);
	client_send(job->client);
}

/* `binding` (may be NULL) is taken over. */
static void account_ask(struct job *job, json_t *binding)
{
	json_t *payload = json_object(), *contact = contact_list(job->work.contact);
	char *text;

	if (job->work.agree_terms)
		json_object_set_new(payload, "termsOfServiceAgreed", json_true());
	if (json_array_size(contact) > 0)
		json_object_set(payload, "contact", contact);
	if (binding)
		json_object_set(payload, "externalAccountBinding", binding);
	text = json_dumps(payload, JSON_COMPACT);
	if (text)
		call_begin(job, job->ca->new_account, text, NULL, true, account_seen, 0);
	else
		job->no_memory = true;
	free(text);
	json_decref(contact);
	json_decref(binding);
	json_decref(payload);
}

/* RFC 8555 §7.3.4: the CA's own key for this customer vouches for the account's key. */
static void binding_ask(struct job *job)
{
	json_t *header = json_pack("{s:s,s:s,s:s}", "alg", "HS256", "kid",
				   job->work.eab_kid, "url", job->ca->new_account);
	char *text = header ? json_dumps(header, JSON_COMPACT) : NULL;
	struct wire_message *m;
	struct error err;

	if (!text || jws_input(text, job->work.jwk, &job->eab_input, &err) < 0) {
		job->no_memory = true;
	} else {
		job->eab_request = ++job->client->last_request;
		m = job_message(job, WIRE_SIGN);
		m->sign.request = job->eab_request;
		m->sign.kind = WIRE_SIGN_EAB;
		m->bytes = (const unsigned char *)job->eab_input;
		m->size = strlen(job->eab_input);
		client_send(job->client);
	}
	free(text);
	json_decref(header);
}

static void binding_signed(struct job *job, const unsigned char *bytes, size_t size)
{
	json_t *binding = NULL;
	char *json = NULL;
	struct error err;

	job->eab_request = 0;
	if (jws_serialize(job->eab_input, bytes, size, &json, &err) == 0)
		binding = json_loads(json, 0, NULL);
	free(json);
	if (binding)
		account_ask(job, binding);
	else
		job->no_memory = true;
}

/* Why no account can be made; false when it can. */
static bool account_hindered(const struct job *job, struct wire_failure *f)
{
	if (job->ca->terms[0] && !job->work.agree_terms) {
		problem_set(
		    f, WIRE_INPUT,
		    "the CA wants its terms of service agreed to; read %.200s and set "
		    "agree-terms = yes in [acme]",
		    job->ca->terms);
		return true;
	}
	if (job->ca->external_account_required && job->work.eab_kid[0] == '\0') {
		problem_set(
		    f, WIRE_INPUT,
		    "the CA makes accounts for its customers only; set eab-kid and "
		    "eab-key-file in [acme] as it gave them to you");
		return true;
	}
	return false;
}

static void account_begin(struct job *job)
{
	struct ca *ca = job->ca;
	struct wire_failure f;

	if (job->work.kid[0] == '\0' && ca->kid[0] && strcmp(ca->jwk, job->work.jwk) == 0)
		strcpy(job->work.kid, ca->kid);
	if (job->work.kid[0]) {
		order_begin(job);
		return;
	}
	if (account_hindered(job, &f)) {
		job_fail(job, &f);
		return;
	}
	if (ca->maker) {
		job->waits_account = true;
		return;
	}
	ca->maker = job;
	if (job->work.eab_kid[0])
		binding_ask(job);
	else
		account_ask(job, NULL);
}

void ca_leave(struct job *job)
{
	if (job->ca->maker != job)
		return;
	job->ca->maker = NULL;
	account_release(job->ca);
}

void call_signature(struct job *job, uint32_t request, const unsigned char *bytes,
		    size_t size)
{
	struct call *call = job->calls;

	if (request == 0)
		return;
	if (request == job->eab_request) {
		binding_signed(job, bytes, size);
		return;
	}
	while (call && call->request != request)
		call = call->next;
	if (call)
		call_post(call, bytes, size);
}
