/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* http: requests to a CA over one libcurl multi handle, and the one place that knows curl
 * (http.c, http_answer.c).
 *
 * HTTPS only (plain http to a loopback address is let through, for nothing but tests of a
 * CA of one's own), TLS 1.2 and up, certificate checked against the system's or the
 * configured roots, no redirects followed, HTTP/2 where offered, connections kept,
 * answers bounded (HTTP_BODY_MAX), a time limit for each request, a User-Agent that names
 * certfs. Requests run side by side; each ends in its callback, from http_run(). */
#ifndef CERTFS_ACME_HTTP_H
#define CERTFS_ACME_HTTP_H

#include "store/error.h"
#include "store/log.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_BODY_MAX  (256 * 1024)
#define HTTP_EXTRA_MAX 32 /* descriptors that http_run() waits for besides its own */

struct http;

struct http_response {
	uint32_t status;    /* 0: no answer; `error` says why */
	struct error error; /* set when status is 0, or the body was cut at its limit */
	const char *body;   /* 0-terminated */
	size_t size;
	/* "" when there was none; without parameters, lower case */
	const char *content_type;
	const char *location; /* resolved; "" when there was none */
	const char *nonce;    /* Replay-Nonce, checked: base64url; else "" */
	/* targets of Link: rel="alternate" (RFC 8288), resolved, NULL at the end */
	const char *link_alternate[8];
	/* from now, both forms of RFC 9110 §10.2.3; 0: none; at most 30 days */
	int64_t retry_after_s;
};

typedef void http_done(void *ctx, const struct http_response *response);

/* `roots_file` may be NULL. `now` for Retry-After dates is the system's clock. */
int http_new(struct http **http, const char *roots_file, uint32_t timeout_s,
	     const struct log *lg, struct error *err);
void http_free(struct http *http); /* pending requests end without a callback */

/* HEAD or GET (`post` NULL), or POST of `post` as application/jose+json; `accept` may be
 * NULL. Returns a handle for http_cancel(), 0 when it could not be started (err says
 * why). */
enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST };
uint64_t http_start(struct http *http, enum http_method method, const char *url,
		    const char *post, const char *accept, http_done *done, void *ctx,
		    struct error *err);
void http_cancel(struct http *http, uint64_t handle);

/* Would http_start() take this URL: https, or http to a loopback address, and well
 * formed? */
bool http_url_allowed(const char *url);

/* Waits for curl's sockets and `extra` (filled in as by poll), at most `timeout_ms` (-1:
 * as long as curl likes), then runs what is ready; callbacks are made here. */
int http_run(struct http *http, struct pollfd *extra, unsigned extra_count,
	     int timeout_ms, struct error *err);

#endif
