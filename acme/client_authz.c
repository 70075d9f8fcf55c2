/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "acme/client_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool authz_take(struct job *job, const struct answer_order *o)
{
	job->authz = calloc(o->authorizations, sizeof(*job->authz));
	if (!job->authz)
		return false;
	job->authzs = o->authorizations;
	for (size_t i = 0; i < job->authzs; i++)
		strcpy(job->authz[i].url, o->authorization[i]);
	return true;
}

void authz_clear(struct job *job)
{
	free(job->authz);
	job->authz = NULL;
	job->authzs = 0;
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
		order_authorized(job);
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

void authz_begin(struct job *job)
{
	for (size_t i = 0; i < job->authzs; i++)
		call_start(job, job->authz[i].url, "", NULL, authz_seen, i);
}

int64_t authz_next_ms(const struct job *job)
{
	int64_t next_ms = 0;

	for (size_t i = 0; i < job->authzs; i++) {
		const int64_t poll_ms = job->authz[i].poll_ms;

		if (poll_ms && (next_ms == 0 || poll_ms < next_ms))
			next_ms = poll_ms;
	}
	return next_ms;
}

bool authz_poll(struct job *job, int64_t now_ms)
{
	bool did = false;

	for (size_t i = 0; i < job->authzs; i++) {
		struct authz *a = &job->authz[i];

		if (a->poll_ms == 0 || a->poll_ms > now_ms)
			continue;
		a->poll_ms = 0;
		call_start(job, a->url, "", NULL, authz_seen, i);
		did = true;
	}
	return did;
}
