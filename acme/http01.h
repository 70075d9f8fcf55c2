/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* http01: the listener that answers /.well-known/acme-challenge/TOKEN (RFC 8555 §8.3), over
 * libmicrohttpd, on sockets that the supervisor bound. Runs inside the net worker's own
 * loop, no thread. Anything else is 404 with a line that says what listens here; only GET
 * and HEAD; connections, header size and time per connection are bounded. */
#ifndef CERTFS_ACME_HTTP01_H
#define CERTFS_ACME_HTTP01_H

#include "acme/wire.h"
#include "store/log.h"

#include <poll.h>

#define HTTP01_SOCKETS_MAX 16

struct http01;

/* `fds` are listening sockets; they stay the caller's. 0 of them is fine. */
int http01_new(struct http01 **l, const int *fds, size_t count, const struct log *lg,
	       struct error *err);
void http01_free(struct http01 *l);
void http01_add(struct http01 *l, uint32_t job, const struct wire_token *token);
void http01_del(struct http01 *l, uint32_t job);
/* The jobs are gone and others go on with their orders: a CA that was told already must still
 * find its answers. What is answered now is answered for `seconds` more, whatever
 * http01_del() says. */
void http01_keep(struct http01 *l, int64_t seconds);
/* For poll: fills `fds` (HTTP01_SOCKETS_MAX places), returns how many; the longest wait in
 * ms, -1: none. */
unsigned http01_fds(struct http01 *l, struct pollfd *fds);
int http01_timeout_ms(struct http01 *l);
void http01_run(struct http01 *l);

#endif
