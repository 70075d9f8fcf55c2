/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* situation: how a domain stands, read once for every page that tells of it.
 *
 * The state is the first of these that holds:
 *   expired    the certificate that is served is over
 *   failing    orders fail
 *   attention  somebody should do something: a file waits for its other half or was
 *              refused within the last day, nothing but the self-signed fallback can be
 *              served, the chain has a gap, a custom certificate is about to end
 *   ordering   the fallback is served until the order in flight is through: nothing to do
 *   ok         nothing to do
 *
 * All texts are cleaned (text_clean): what a certificate or a CA says may be any bytes. */
#ifndef CERTFS_FS_SITUATION_H
#define CERTFS_FS_SITUATION_H

#include "fs/status.h"
#include "store/generation.h"
#include "store/order.h"

#include <jansson.h>
#include <stdbool.h>

enum situation_state {
	SITUATION_OK,
	SITUATION_ORDERING,
	SITUATION_ATTENTION,
	SITUATION_FAILING,
	SITUATION_EXPIRED,
	SITUATION_STATES
};
extern const char *const situation_name[SITUATION_STATES];

struct situation {
	struct domain domain;
	bool serves; /* false only in a store that was damaged: `served` is all 0 */
	struct generation served;
	bool ordering;
	enum order_state order_state;
	int64_t order_s; /* when the order began */
	char order_url[URL_MAX];
	bool waits[FILE_KINDS];
	int64_t waits_until_s;
	/* "privkey.pem was written and waits for its certificate…", or "" */
	char uncovered[400]; /* "": the certificate that is served covers all aliases */
	char waiting[400];

	enum situation_state state;
	char attention[600]; /* what to do; "" for ok and ordering */
	bool repeats;        /* `attention` says no more than error, refused or waiting */
	char next[200];      /* what happens next */
	int64_t next_s;      /* 0: at no planned moment */
	int64_t renew_s;     /* 0: nothing is renewed */
};

/* `d` is an installed directory. */
int situation_read(const struct status_context *ctx, struct txn *txn,
		   const struct domain *d, struct situation *s, struct error *err);

/* Calls `seen` with each directory's, in the order of their numbers; aliases are passed
 * over. Ends at the first that cannot be read. */
typedef void situation_seen(void *arg, const struct status_context *ctx,
			    const struct situation *s);
int situation_each(const struct status_context *ctx, struct txn *txn,
		   situation_seen *seen, void *arg, struct error *err);

/* The members that every JSON form of it has: domain, serves, state, attention, next,
 * error, refused. NULL: no memory. */
json_t *situation_json(const struct situation *s);
/* RFC 3339, or null for 0. */
json_t *situation_time_json(int64_t at_s);

#endif
