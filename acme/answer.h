/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* answer: what a CA's JSON objects say, checked before it is believed (RFC 8555 §7.1).
 *
 * Each function takes a successful answer whole: body bounded, content type
 * application/json, an object, each member of its type, each URL one that http_start()
 * takes and shorter than URL_MAX. EPROTO says which member is wrong. What is returned
 * points into `root`, which the caller gives back with json_decref(). */
#ifndef CERTFS_ACME_ANSWER_H
#define CERTFS_ACME_ANSWER_H

#include "acme/http.h"
#include "acme/wire.h"

#include <jansson.h>

enum answer_status {
	ANSWER_PENDING,
	ANSWER_READY,
	ANSWER_PROCESSING,
	ANSWER_VALID,
	ANSWER_INVALID,
	ANSWER_DEACTIVATED,
	ANSWER_EXPIRED,
	ANSWER_REVOKED,
};
const char *answer_status_name(enum answer_status status);

struct answer_directory {
	json_t *root;
	const char *new_nonce, *new_account, *new_order;
	const char *terms; /* "" when the CA has none */
	bool external_account_required;
};
int answer_directory(const struct http_response *response, struct answer_directory *d,
		     struct error *err);

/* The status member of an account. */
int answer_account(const struct http_response *response, enum answer_status *status,
		   struct error *err);

struct answer_order {
	json_t *root;
	enum answer_status status;
	const char *finalize;
	const char *certificate; /* "" until the status is valid */
	const char *authorization[WIRE_TOKENS_MAX];
	size_t authorizations;
	const json_t *error; /* NULL when there is none */
};
/* `names`: the identifiers that were asked for, space separated; the order must be for
 * these and no others. */
int answer_order(const struct http_response *response, const char *names,
		 struct answer_order *o, struct error *err);

struct answer_authorization {
	json_t *root;
	enum answer_status status;
	const char *name; /* one of `names` */
	/* Its http-01 challenge; `url` and `token` are "" unless it is pending. */
	const char *url, *token;
	enum answer_status challenge;
	const json_t *error; /* of the challenge, NULL when there is none */
};
int answer_authorization(const struct http_response *response, const char *names,
			 struct answer_authorization *a, struct error *err);

/* Is `name` an IP address (RFC 8738)? */
bool answer_is_ip(const char *name);

/* The next of space separated names, copied to `out` of 256 bytes; NULL at the end. */
const char *answer_next_name(const char *names, char *out);

#endif
