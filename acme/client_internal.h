/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* client_internal: what the parts of the ACME client share: client.c (jobs, messages,
 * time), client_ca.c (directory, nonces, account, signed requests: RFC 8555 §6, §7.1 to
 * §7.3), client_order.c (the order's steps: §7.1.6, §7.4), client_authz.c (its
 * authorizations and challenges: §7.5, §8.3), client_chain.c (the certificate: §7.4.2). For
 * them alone.
 *
 * job_fail() and job_done() free the job: a function that may end its job is the last
 * thing that its caller does with it. */
#ifndef CERTFS_ACME_CLIENT_INTERNAL_H
#define CERTFS_ACME_CLIENT_INTERNAL_H

#include "acme/answer.h"
#include "acme/client.h"
#include "acme/problem.h"

#define NONCES_MAX 32
#define NONCE_SIZE 513

enum ca_state { CA_EMPTY, CA_ASKING, CA_KNOWN };

/* A CA, by its directory's URL. Lives as long as the client. */
struct ca {
	struct ca *next;
	char directory[URL_MAX];
	enum ca_state state;
	int64_t fetched_ms;
	uint64_t http;
	struct client *client;
	char new_nonce[URL_MAX], new_account[URL_MAX], new_order[URL_MAX], terms[URL_MAX];
	bool external_account_required;
	char nonce[NONCES_MAX][NONCE_SIZE]; /* the newest last */
	unsigned nonces;
	/* The account that this client made, once it is stored, and for which key. */
	char kid[URL_MAX], jwk[512];
	struct job *maker; /* the job that makes the account; the others wait for it */
};

enum authz_state { AUTHZ_ASKED, AUTHZ_PENDING, AUTHZ_POLLED, AUTHZ_VALID };

struct authz {
	enum authz_state state;
	char url[URL_MAX], challenge_url[URL_MAX];
	char name[256], token[TOKEN_MAX];
	bool answered; /* the CA was told already (before a crash) */
	bool refused;  /* it did not want to be told: `failure` says why */
	struct wire_failure failure;
	int64_t poll_ms;  /* when to ask again, 0: an answer is awaited */
	int64_t delay_ms; /* between the last two polls */
};

struct job;
typedef void job_step(struct job *job);

/* One signed request: nonce, signature, POST, and again when the nonce was bad. */
struct call;
typedef void call_done(struct job *job, const struct http_response *response,
		       size_t index);

struct job {
	struct job *next;
	struct client *client;
	struct ca *ca;
	uint32_t number;
	struct wire_job work; /* kid, state and URLs as far as they are known */
	unsigned char *csr;
	char thumbprint[44];
	int64_t deadline_ms;
	job_step *stored; /* what WIRE_STORED lets go on */
	bool waits_directory, waits_account;
	bool no_memory; /* a request could not be started: ends at the next run */
	struct call *calls;
	uint32_t eab_request; /* the sign request of the account binding, 0: none */
	char *eab_input;
	struct authz *authz;
	size_t authzs;
	bool authorized;           /* all authorizations are valid */
	int64_t poll_ms, delay_ms; /* of the order */
	char *chain;               /* the default one, while an alternate is looked for */
	size_t chain_size;
	char *alternate[8];
	size_t alternates;
};

struct client {
	struct http *http;
	struct client_hooks hooks;
	const struct log *lg;
	struct ca *cas;
	struct job *jobs;
	uint32_t last_request;
	struct wire_message out;
};

/* client.c */
int64_t client_now_ms(void);
/* Ends the job: WIRE_FAILED with `f`. */
void job_fail(struct job *job, const struct wire_failure *f);
/* Ends the job with an answer that cannot be used: WIRE_RETRY, and the directory is
 * fetched anew before the next one. */
void job_fail_nonsense(struct job *job, const char *what,
		       const struct http_response *response, const struct error *why);
/* Ends the job with a refusal. */
void job_fail_response(struct job *job, const char *what,
		       const struct http_response *response);
void job_fail_memory(struct job *job);
/* Is what was asked for gone (404, 410), and it is not the account that is? */
bool job_lost(const struct http_response *response);
/* Ends the job then: `text` says that a new order is placed. */
void job_fail_lost(struct job *job, const struct http_response *response,
		   const char *text);
void job_done(struct job *job, const char *chain, size_t size);
/* A message of this job with nothing in it yet; sent with client_send(). */
struct wire_message *job_message(struct job *job, enum wire_type type);
void client_send(struct client *client);
/* When to ask again after an answer: its Retry-After, or a delay that grows. False (the
 * job is over) when that is past the job's time. */
bool job_poll_at(struct job *job, const char *what, const struct http_response *response,
		 int64_t *delay_ms, int64_t *poll_ms);

/* client_ca.c */
struct ca *ca_get(struct client *client, const char *directory);
void ca_free(struct client *client, struct ca *ca);
/* Sees to directory and account; then order_begin(). */
void ca_begin(struct job *job);
/* The CA failed: its directory is asked for again before the next job. */
void ca_distrust(struct ca *ca);
void ca_forget_account(struct ca *ca, const char *kid);
/* The job ends: whoever waits for the account that it was making goes on. */
void ca_leave(struct job *job);
/* Asks `url` with `payload` ("": POST-as-GET); `done` gets the answer, whatever it is. */
void call_start(struct job *job, const char *url, const char *payload, const char *accept,
		call_done *done, size_t index);
void call_signature(struct job *job, uint32_t request, const unsigned char *bytes,
		    size_t size);
void calls_cancel(struct job *job);

/* client_order.c: directory and account are known. */
void order_begin(struct job *job);
/* Asks what is due by `now_ms`; true when it did something (the job may be over). */
bool order_poll(struct job *job, int64_t now_ms);
/* The next time that order_poll() has something to do, 0: none. */
int64_t order_next_ms(const struct job *job);
/* All authorizations are valid: asks for the certificate. */
void order_authorized(struct job *job);
void order_clear_state(struct job *job);

/* client_authz.c: all authorizations of an order are read, then all tokens are stored and
 * served, then the CA is told of all challenges, and what is not valid yet is polled. */
/* Remembers where they are; false: no memory. */
bool authz_take(struct job *job, const struct answer_order *o);
void authz_begin(struct job *job); /* then order_authorized(), or the job fails */
/* As order_poll() and order_next_ms(). */
bool authz_poll(struct job *job, int64_t now_ms);
int64_t authz_next_ms(const struct job *job);
void authz_clear(struct job *job);

/* client_chain.c: the order is valid. Fetches the chain, or the alternate one that ends where
 * preferred-chain says; then job_done(). */
void chain_fetch(struct job *job);
void chain_forget(struct job *job);

#endif
