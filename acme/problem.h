/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* problem: a CA's refusal (RFC 7807 problem document, RFC 8555 §6.7) as what the engine
 * and a person make of it: a verdict, the cause in the CA's words, the remedy in ours.
 *
 * The text is one sentence, "WHAT: CAUSE; REMEDY", valid UTF-8 without control
 * characters; where it is too long, the cause is cut and the remedy stays. */
#ifndef CERTFS_ACME_PROBLEM_H
#define CERTFS_ACME_PROBLEM_H

#include "acme/http.h"
#include "acme/wire.h"

#include <jansson.h>

/* An answer that is no success. `what` was tried ("placing the order"); `begun`: an order
 * exists already, so that what is wrong with it ends it (WIRE_NEW_ORDER) where the same
 * words would otherwise mean WIRE_INPUT. Also for an answer that never came (status 0), a
 * redirect, a body that is no problem document. */
void problem_from_response(const struct http_response *response, const char *what,
			   bool begun, struct wire_failure *f);

/* The same for the error member of an order (`what`: "the order for app.example.com").
 * NULL or not an object: there is no reason. Always WIRE_NEW_ORDER or WIRE_INPUT. */
void problem_from_order(const json_t *error, const char *what, struct wire_failure *f);

/* The error of a failed http-01 challenge for `name` with `token`. WIRE_NEW_ORDER. */
void problem_from_challenge(const json_t *error, const char *name, const char *token,
			    struct wire_failure *f);

/* A failure in words of our own. */
void problem_set(struct wire_failure *f, enum wire_verdict verdict, const char *format,
		 ...) __attribute__((format(printf, 3, 4)));

/* Is this answer the problem `type` ("badNonce", without the namespace)? */
bool problem_is(const struct http_response *response, const char *type);

#endif
