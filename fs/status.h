/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* status: pages that say what is served, from where, until when, what happens next, and
 * what went wrong: `DIR/status`, `DIR/status.json`, and the files of `.certfs`. For a person first.
 *
 * Rendered from one read transaction. The caller frees the text with free(). Lines of
 * `status` are "key: value"; times are UTC with how far they are away ("2026-03-01 14:05
 * UTC, in 29 days"). */
#ifndef CERTFS_FS_STATUS_H
#define CERTFS_FS_STATUS_H

#include "fs/slots.h"
#include "store/config.h"
#include "store/db.h"

#include <stddef.h>
#include <stdint.h>

struct status_context {
	const struct config *cfg;
	int64_t now_s;
	struct slots *slots; /* for metrics; may be NULL */
};

int status_page(const struct status_context *ctx, struct txn *txn, uint32_t number,
		char **text, size_t *size, struct error *err);
/* {"domain":…,"serves":{"source","generation","not_before","not_after","issuer","serial",
 * "sha256","names","key_type","warning"},"state":"ok|attention|failing|expired",
 * "attention":"what to do" or null,"renew_at","next":{"what","at"},"order":{"state","url"} or
 * null,"error":{"text","at","failures","since"} or null,"refused":{"text","at"} or null,
 * "waiting":[…file names…],"aliases":[…],"events":[{"at","kind","text"}, newest last, 10]}.
 * Times are RFC 3339 in UTC. */
int status_json(const struct status_context *ctx, struct txn *txn, uint32_t number,
		char **text, size_t *size, struct error *err);

/* .certfs/status.json: {"version","now","domains":N,"by_state":{…},"by_source":{…},
 * "orders_in_flight","listed":[the objects above, shortened: domain, serves, state,
 * attention, next, error, refused; what needs attention first; at most STATUS_LISTED],
 * "left_out":N}; .certfs/metrics (Prometheus text); .certfs/events ("TIME KIND DOMAIN
 * SENTENCE" lines, newest last, 1,000); .certfs/config (each key as in force with its
 * value; secrets' files by name only). */
#define STATUS_LISTED 10000
enum status_control { CONTROL_STATUS_JSON, CONTROL_METRICS, CONTROL_EVENTS, CONTROL_CONFIG, CONTROL_FILES };
extern const char *const control_name[CONTROL_FILES]; /* "status.json", … */
int status_control(const struct status_context *ctx, struct txn *txn,
		   enum status_control which, char **text, size_t *size, struct error *err);

/* DIR/policy when nobody has written one: each setting in force and where it comes from. */
int status_policy(const struct status_context *ctx, struct txn *txn, uint32_t number,
		  char **text, size_t *size, struct error *err);

#endif
