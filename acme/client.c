/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "acme/client_internal.h"
#include "acme/jws.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define JOB_MS        (10 * 60 * 1000)
#define POLL_FIRST_MS 250
#define POLL_LAST_MS  (10 * 1000)

int64_t client_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int client_new(struct client **client, struct http *http,
	       const struct client_hooks *hooks, const struct log *lg, struct error *err)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c)
		return error_set(err, ENOMEM, "no memory for the ACME client");
	c->http = http;
	c->hooks = *hooks;
	c->lg = lg;
	*client = c;
	return 0;
}

struct wire_message *job_message(struct job *job, enum wire_type type)
{
	struct wire_message *m = &job->client->out;

	memset(m, 0, offsetof(struct wire_message, storage));
	m->type = type;
	m->job = job->number;
	return m;
}

void client_send(struct client *client)
{
	client->hooks.send(client->hooks.ctx, &client->out);
}

static struct job *find_job(const struct client *client, uint32_t number)
{
	struct job *job = client->jobs;

	while (job && job->number != number)
		job = job->next;
	return job;
}

static void job_free(struct job *job)
{
	struct client *client = job->client;
	struct job **p = &client->jobs;

	while (*p && *p != job)
		p = &(*p)->next;
	if (*p)
		*p = job->next;
	calls_cancel(job);
	client->hooks.token_del(client->hooks.ctx, job->number);
	order_clear_state(job);
	ca_leave(job);
	free(job->eab_input);
	free(job->csr);
	free(job);
}

void job_fail(struct job *job, const struct wire_failure *f)
{
	struct wire_message *m = job_message(job, WIRE_FAILED);

	log_debug(job->client->lg, NULL, "job %u ends with status %u: %s", job->number,
		  f->http_status, f->text);
	if (f->verdict == WIRE_NO_ACCOUNT)
		ca_forget_account(job->ca, job->work.kid);
	m->failure = *f;
	client_send(job->client);
	job_free(job);
}

void job_fail_memory(struct job *job)
{
	struct wire_failure f;

	problem_set(&f, WIRE_RETRY, "the net worker has no memory for the order");
	job_fail(job, &f);
}

bool job_lost(const struct http_response *response)
{
	return (response->status == 404 || response->status == 410) &&
	       !problem_is(response, "accountDoesNotExist");
}

void job_fail_lost(struct job *job, const struct http_response *response,
		   const char *text)
{
	struct wire_failure f;

	problem_set(&f, WIRE_NEW_ORDER, "%s", text);
	f.http_status = response->status;
	job_fail(job, &f);
}

void job_fail_nonsense(struct job *job, const char *what,
		       const struct http_response *response, const struct error *why)
{
	struct wire_failure f;

	problem_set(&f, WIRE_RETRY,
		    "%s: %.250s; is that an ACME server (directory in [acme])?", what,
		    why->text);
	f.http_status = response->status;
	f.retry_after_s = response->retry_after_s;
	ca_distrust(job->ca);
	job_fail(job, &f);
}

void job_fail_response(struct job *job, const char *what,
		       const struct http_response *response)
{
	struct wire_failure f;

	problem_from_response(response, what, job->work.order_url[0] != '\0', &f);
	/* Also a redirect or a path that isn't there: the CA may have moved. */
	if (response->status < 400 || response->status >= 500 ||
	    response->status == 404 || response->status == 405)
		ca_distrust(job->ca);
	job_fail(job, &f);
}

void job_done(struct job *job, const char *chain, size_t size)
{
	struct wire_message *m = job_message(job, WIRE_DONE);

	m->bytes = (const unsigned char *)chain;
	m->size = size;
	client_send(job->client);
	job_free(job);
}

bool job_poll_at(struct job *job, const char *what, const struct http_response *response,
		 int64_t *delay_ms, int64_t *poll_ms)
{
	const int64_t now_ms = client_now_ms();
	struct wire_failure f;
	int64_t wait_ms;

	*delay_ms = *delay_ms ? *delay_ms * 3 / 2 : POLL_FIRST_MS;
	if (*delay_ms > POLL_LAST_MS)
		*delay_ms = POLL_LAST_MS;
	wait_ms = response->retry_after_s ? response->retry_after_s * 1000 : *delay_ms;
	if (now_ms + wait_ms <= job->deadline_ms) {
		*poll_ms = now_ms + wait_ms;
		return true;
	}
	problem_set(&f, WIRE_RETRY, "%s: the CA wants more time; it is asked again later",
		    what);
	f.http_status = response->status;
	f.retry_after_s = response->retry_after_s;
	job_fail(job, &f);
	return false;
}

static bool job_fill(struct job *job, const struct wire_message *m, struct error *err)
{
	job->number = m->job;
	job->work = m->work;
	job->deadline_ms = client_now_ms() + JOB_MS;
	job->csr = malloc(m->work.csr_size + 1);
	if (!job->csr)
		return false;
	if (m->work.csr_size)
		memcpy(job->csr, m->work.csr, m->work.csr_size);
	job->work.csr = job->csr;
	job->ca = ca_get(job->client, m->work.directory);
	return job->ca && jws_thumbprint(m->work.jwk, job->thumbprint, err) == 0;
}

static void send_failure(struct client *client, uint32_t number,
			 enum wire_verdict verdict, const char *text)
{
	struct job none = {.client = client, .number = number};

	problem_set(&job_message(&none, WIRE_FAILED)->failure, verdict, "%s", text);
	client_send(client);
}

static void job_start(struct client *client, const struct wire_message *m)
{
	struct job *job = find_job(client, m->job);
	struct error err;

	if (job)
		job_free(job);
	if (m->work.names[strspn(m->work.names, " ")] == '\0') {
		send_failure(client, m->job, WIRE_INPUT,
			     "an order without a name was asked for");
		return;
	}
	job = calloc(1, sizeof(*job));
	if (job) {
		job->client = client;
		if (!job_fill(job, m, &err)) {
			free(job->csr);
			free(job);
			job = NULL;
		}
	}
	if (!job) {
		send_failure(client, m->job, WIRE_RETRY,
			     "the net worker has no memory for the order");
		return;
	}
	job->next = client->jobs;
	client->jobs = job;
	ca_begin(job);
}

static void job_stored(struct job *job)
{
	job_step *step = job->stored;

	job->stored = NULL;
	if (step)
		step(job);
}

static void drop_all(struct client *client)
{
	/* None of them may take over from another that goes. */
	for (struct job *job = client->jobs; job; job = job->next)
		job->waits_account = false;
	while (client->jobs)
		job_free(client->jobs);
}

void client_free(struct client *client)
{
	struct ca *ca;

	if (!client)
		return;
	drop_all(client);
	while ((ca = client->cas)) {
		client->cas = ca->next;
		ca_free(client, ca);
	}
	free(client);
}

void client_message(struct client *client, const struct wire_message *m)
{
	struct job *job = find_job(client, m->job);

	switch (m->type) {
	case WIRE_HELLO:
		drop_all(client);
		break;
	case WIRE_JOB:
		job_start(client, m);
		break;
	case WIRE_DROP:
		if (job)
			job_free(job);
		break;
	case WIRE_STORED:
		if (job)
			job_stored(job);
		break;
	case WIRE_SIGNATURE:
		if (job)
			call_signature(job, m->sign.request, m->bytes, m->size);
		break;
	case WIRE_READY:
	case WIRE_HELLO_ACK:
	case WIRE_ANSWERS:
	case WIRE_SIGN:
	case WIRE_ACCOUNT:
	case WIRE_STATE:
	case WIRE_TOKENS:
	case WIRE_DONE:
	case WIRE_FAILED:
		log_warning(
		    client->lg, NULL,
		    "the fs worker sent a message of type %d, which is none of its own",
		    (int)m->type);
		break;
	}
}

int client_next_ms(const struct client *client)
{
	int64_t next_ms = INT64_MAX, poll_ms, wait_ms;

	for (const struct job *job = client->jobs; job; job = job->next) {
		poll_ms = order_next_ms(job);
		if (poll_ms && poll_ms < next_ms)
			next_ms = poll_ms;
		if (job->deadline_ms < next_ms)
			next_ms = job->deadline_ms;
		if (job->no_memory)
			next_ms = 0;
	}
	if (next_ms == INT64_MAX)
		return -1;
	wait_ms = next_ms - client_now_ms();
	return wait_ms < 0 ? 0 : wait_ms > INT_MAX ? INT_MAX : (int)wait_ms;
}

static bool run_one(struct job *job, int64_t now_ms)
{
	struct wire_failure f;

	if (job->no_memory) {
		job_fail_memory(job);
		return true;
	}
	if (job->deadline_ms > now_ms)
		return order_poll(job, now_ms);
	problem_set(
	    &f, WIRE_RETRY,
	    "the order was not done within 10 minutes (it is %s); it goes on later",
	    order_state_name(job->work.state));
	job_fail(job, &f);
	return true;
}

void client_run(struct client *client)
{
	const int64_t now_ms = client_now_ms();
	struct job *job = client->jobs;

	/* One step may end any job: begin again after each. */
	while (job)
		job = run_one(job, now_ms) ? client->jobs : job->next;
}
