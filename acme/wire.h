/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* wire: what the fs worker and the net worker say to each other.
 *
 * One message a packet of a Unix SOCK_SEQPACKET pair that the supervisor made and both
 * inherit; the pair outlives either worker. Fixed widths, a version, size limits; one
 * encoder and one decoder. The decoder trusts nobody. No message holds a private key: a
 * CSR goes out, a signature is asked for.
 *
 * Who died: a net worker begins with WIRE_READY; the fs worker then sends WIRE_HELLO with
 * a random epoch and, once the net worker has echoed it (WIRE_HELLO_ACK), what the CA may
 * still ask for (WIRE_ANSWERS) and all jobs. A new net worker lets http-01 requests wait
 * until it has all WIRE_ANSWERS: a 404 in between would be a failed validation and the
 * order's end. A new fs worker sends WIRE_HELLO by itself. The net worker drops its jobs at
 * a WIRE_HELLO; the fs worker ignores what it reads until the echo of its own epoch, so
 * what was said to or by a dead worker is not mistaken. All other messages name a job.
 *
 * A job is one order of one domain. The net worker reports each step (WIRE_ACCOUNT,
 * WIRE_STATE, WIRE_TOKENS) and goes on only after WIRE_STORED: every step is on disk
 * before it is acted on. It ends with WIRE_DONE or WIRE_FAILED. */
#ifndef CERTFS_ACME_WIRE_H
#define CERTFS_ACME_WIRE_H

#include "store/error.h"
#include "store/order.h"
#include "store/policy.h"

#include <stddef.h>
#include <stdint.h>

#define WIRE_VERSION     2
#define WIRE_MESSAGE_MAX (160 * 1024)
#define WIRE_CHAIN_MAX   (96 * 1024)
#define WIRE_SIGN_MAX    (64 * 1024)
#define WIRE_TOKENS_MAX  100

enum wire_type {
	/* fs -> net */
	WIRE_HELLO = 1, /* epoch */
	WIRE_ANSWERS, /* tokens of stored orders; fewer than WIRE_TOKENS_MAX: the last */
	WIRE_JOB,     /* job: an order to begin or to go on with */
	WIRE_DROP,    /* the job is no longer wanted */
	WIRE_STORED,  /* the last step of this job is on disk */
	/* sign.request, bytes: the raw signature (ES256: r||s, HS256: MAC) */
	WIRE_SIGNATURE,
	/* net -> fs */
	WIRE_READY,     /* a net worker has started */
	WIRE_HELLO_ACK, /* epoch */
	WIRE_SIGN,    /* sign: request number, kind, JWS signing input (RFC 7515 §5.1) */
	WIRE_ACCOUNT, /* account.kid */
	WIRE_STATE,   /* state: how far the order is, its URLs */
	WIRE_TOKENS,  /* tokens: http-01 challenges about to be answered */
	WIRE_DONE,    /* bytes: the PEM chain, leaf first */
	WIRE_FAILED,  /* failure */
};

enum wire_sign { WIRE_SIGN_ACCOUNT = 1, WIRE_SIGN_EAB };

/* What became of an order, and what the engine is to make of it. */
enum wire_verdict {
	/* go on with the stored order after a back-off (network, 5xx, 429) */
	WIRE_RETRY = 1,
	/* the order is dead (invalid, gone): begin anew after a back-off */
	WIRE_NEW_ORDER,
	/* accountDoesNotExist: forget the kid, then as WIRE_NEW_ORDER, at once */
	WIRE_NO_ACCOUNT,
	WIRE_INPUT, /* the CA refuses what it was given: once a day */
};

struct wire_job {
	char directory[URL_MAX];
	char kid[URL_MAX]; /* "" : newAccount first */
	/* the account's public key, RFC 7517 JSON, canonical for RFC 7638 */
	char jwk[512];
	char contact[1024]; /* "mailto:a@b,mailto:c@d" or "" */
	char eab_kid[256];  /* "" : none */
	char names[4096];   /* space separated identifiers */
	char preferred_chain[POLICY_CHAIN_MAX];
	enum order_state state; /* where to go on */
	char order_url[URL_MAX], finalize_url[URL_MAX], certificate_url[URL_MAX];
	const unsigned char *csr; /* DER */
	size_t csr_size;
	uint8_t agree_terms;
};

struct wire_failure {
	enum wire_verdict verdict;
	int64_t retry_after_s; /* the CA's Retry-After from now, 0: none */
	uint32_t http_status;  /* 0: no answer came */
	char type[128];        /* "urn:ietf:params:acme:error:…" or "" */
	char text[400];        /* cause and remedy, one sentence for a person */
};

struct wire_token {
	char token[TOKEN_MAX];
	char authorization[2 * TOKEN_MAX];
};

struct wire_message {
	enum wire_type type;
	/* 0 in READY, HELLO, HELLO_ACK, ANSWERS; never the same for two orders */
	uint32_t job;
	uint64_t epoch;
	struct wire_job work;
	struct {
		uint32_t request;
		enum wire_sign kind;
	} sign;
	struct {
		enum order_state state;
		char order_url[URL_MAX], finalize_url[URL_MAX], certificate_url[URL_MAX];
	} step;
	char kid[URL_MAX];
	struct wire_failure failure;
	struct wire_token *token; /* decoded: points into `storage` */
	size_t tokens;
	const unsigned char *bytes; /* decoded: points into the packet */
	size_t size;
	struct wire_token storage[WIRE_TOKENS_MAX];
};

/* Writes `m` to `out` (WIRE_MESSAGE_MAX bytes) and its length to *size. EMSGSIZE. */
int wire_encode(const struct wire_message *m, unsigned char *out, size_t *size,
		struct error *err);
/* EPROTO with what is wrong. `m` points into `in` and into itself: don't copy it. */
int wire_decode(const unsigned char *in, size_t size, struct wire_message *m,
		struct error *err);

/* One end of the link: packets that the peer is too slow for wait in a queue (bounded at
 * WIRE_QUEUE_MAX; beyond it EAGAIN), so that neither side ever blocks. `fd` is made
 * non-blocking and stays the caller's. */
#define WIRE_QUEUE_MAX 4096
struct wire_link;
int wire_link_new(struct wire_link **link, int fd, struct error *err);
void wire_link_free(struct wire_link *link);
/* Events to poll for: POLLIN, and POLLOUT while something waits. */
short wire_link_events(const struct wire_link *link);
int wire_link_send(struct wire_link *link, const struct wire_message *m,
		   struct error *err);
/* Sends what waits. */
int wire_link_flush(struct wire_link *link, struct error *err);
/* 0 with a message (valid until the next call), -EAGAIN when there is none, -EPIPE when the
 * peer's end is closed for good, -EPROTO for a packet that doesn't decode (skipped). */
int wire_link_receive(struct wire_link *link, struct wire_message **m, struct error *err);
/* Forgets what waits to be sent (after a HELLO). */
void wire_link_forget(struct wire_link *link);

#endif
