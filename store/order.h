/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* order: the ACME order of each domain that is in flight, as far as it got.
 *
 * Every step is stored before it is acted on, so that an order goes on where it was after
 * any crash: the row (with its key) before newOrder is asked, the order's URL before a
 * challenge is answered, and so on. One order a domain. Tokens are http-01 challenges: a
 * row is there as long as its order, and is what the mount and the listener answer. */
#ifndef CERTFS_STORE_ORDER_H
#define CERTFS_STORE_ORDER_H

#include "store/account.h"
#include "store/name.h"
#include "store/secret.h"

#include <stdint.h>

enum order_state {
	/* the key is there, the CA was not asked yet, or its answer was lost */
	ORDER_NEW = 1,
	ORDER_PENDING,    /* order_url and finalize_url are known */
	ORDER_READY,      /* authorizations are valid */
	ORDER_PROCESSING, /* finalize was sent */
	ORDER_VALID,      /* certificate_url is known */
};
const char *order_state_name(enum order_state state);

struct order {
	uint32_t number;
	enum order_state state;
	int64_t started_s;
	char directory[URL_MAX];
	char names[4096]; /* identifiers, space separated, the domain's own first */
	char order_url[URL_MAX], finalize_url[URL_MAX], certificate_url[URL_MAX];
	struct secret *key; /* of the certificate to come, PKCS#8 DER */
};

/* ENOENT when none is in flight. order_clear() frees the key; nothing is to be cleared
 * after a failure. */
int order_get(struct txn *txn, uint32_t number, struct order *o, struct error *err);
/* Makes the row of o->number or replaces it; `o` stays the caller's. */
int order_put(struct txn *txn, const struct order *o, struct error *err);
void order_clear(struct order *o);
/* The order and its tokens. */
int order_del(struct txn *txn, uint32_t number, struct error *err);
/* The first order of a domain with a number > `after`. -ENOENT at the end (err is not
 * set then). order_clear() frees the key. */
int order_next(struct txn *txn, uint32_t after, struct order *o, struct error *err);

#define TOKEN_MAX 256
/* RFC 8555 §8.3: token (base64url, checked) -> "token.thumbprint". EBADMSG for a token
 * that is not base64url of at least 22 characters. */
int token_put(struct txn *txn, uint32_t number, const char *token,
	      const char *authorization, struct error *err);
/* ENOENT: no order has this token. */
int token_get(struct txn *txn, const char *token, char *authorization, size_t capacity,
	      struct error *err);
/* The first token after `after` in byte order ("" for the first). `token` has TOKEN_MAX
 * bytes and may be `after` itself. -ENOENT at the end. */
int token_next(struct txn *txn, const char *after, char *token, struct error *err);

#endif
