/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* client: the ACME client (RFC 8555) of the net worker: one state machine an order.
 *
 * Owns the cached directory, nonces and account URL of each CA. Has no key: each JWS is
 * signed by asking (client_hooks.send with WIRE_SIGN). Every step is reported and waits
 * for WIRE_STORED before it is acted on. All authorizations of an order are fetched and
 * their challenges answered at once; orders run side by side. badNonce is retried with the
 * nonce of the answer (at most 20 times in a row); Retry-After is honoured at every step;
 * polling starts at 250 ms and grows to 10 s without one; an order is given back with
 * WIRE_RETRY when it took longer than 10 minutes.
 *
 * What a CA says is checked before it is believed: types of JSON members, URLs (https, at
 * most URL_MAX - 1), that the order names the identifiers that were asked for, that an
 * authorization is for one of them, tokens (base64url, RFC 8555 §8.3). The fewest
 * requests: 7 an order, 4 when it comes back ready. */
#ifndef CERTFS_ACME_CLIENT_H
#define CERTFS_ACME_CLIENT_H

#include "acme/http.h"
#include "acme/wire.h"

struct client;

struct client_hooks {
	void *ctx;
	/* To the fs worker. */
	void (*send)(void *ctx, const struct wire_message *m);
	/* http-01 challenges that the listener must (no longer) answer. */
	void (*token_add)(void *ctx, uint32_t job, const struct wire_token *token);
	void (*token_del)(void *ctx, uint32_t job);
};

int client_new(struct client **client, struct http *http,
	       const struct client_hooks *hooks, const struct log *lg, struct error *err);
void client_free(struct client *client);

/* WIRE_JOB, WIRE_DROP, WIRE_STORED, WIRE_SIGNATURE, WIRE_HELLO (drops all jobs). */
void client_message(struct client *client, const struct wire_message *m);
/* Milliseconds until the next poll is due, -1: none. */
int client_next_ms(const struct client *client);
/* Does what is due. */
void client_run(struct client *client);

#endif
