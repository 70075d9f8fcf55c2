/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* status: pages that say what is served, from where, until when, what happens next, and
 * what went wrong: `DIR/status`, `DIR/status.json`, and the files of `.certfs`. For a
 * person first.
 *
 * Rendered from one read transaction. The caller frees the text with free(). `status`
 * begins with a sentence, its other lines are "key: value"; times are UTC with how far
 * they are away ("2026-03-01 14:05 UTC (in 29 days)"). Texts from outside are cleaned
 * first, so that no certificate's subject and no CA's words can break a page, JSON or a
 * metric.
 *
 * `status`, `status.json` and `policy` of a domain are a handful of look-ups. Those of
 * `.certfs` but config walk over all domains or events: they are for a thread that may
 * take its time. */
#ifndef CERTFS_FS_STATUS_H
#define CERTFS_FS_STATUS_H

#include "fs/slots.h"
#include "store/config.h"
#include "store/db.h"

#include <stddef.h>
#include <stdint.h>

struct status_context {
	const struct config *cfg;
	const struct config *defaults; /* for policy: an empty file's; may be NULL */
	const char *mountpoint;        /* for metrics; NULL: /etc/certs */
	int64_t now_s;
	struct slots *slots;           /* for metrics; may be NULL */
	struct slots *const *readonly; /* the same of the read-only mounts */
	size_t readonly_count;
	/* For metrics: db_usage() before the transaction began, since it may not be
	 * called inside of one; all 0: left out. */
	struct db_usage usage;
};

/* DIR/status. All of these: ENOENT, EIO, ENOMEM; after a failure nothing is to be freed. */
int status_page(const struct status_context *ctx, struct txn *txn, uint32_t number,
		char **text, size_t *size, struct error *err);
/* DIR/status.json. Times are RFC 3339 in UTC.
 *   domain      its name
 *   serves      {source, generation, not_before, not_after, issuer, serial, sha256, names,
 *               key_type, warning, …}
 *   state       ok, ordering, attention, failing or expired (situation.h)
 *   attention   what to do, or null
 *   now, renew_at
 *   next        {what, at}
 *   order       {state, since, url} or null
 *   error       {text, at, failures, since} or null
 *   refused     {text, at} or null
 *   waiting     [file names]
 *   aliases     [names]
 *   events      [{at, kind, text}], the newest 10, newest last */
int status_json(const struct status_context *ctx, struct txn *txn, uint32_t number,
		char **text, size_t *size, struct error *err);

/* .certfs/status.json: {version, now, supervisor: {pid, reload: {begun, count (that
 *                      ended), at, code, error}} (slots.h; null without slots), domains,
 *                      by_state, by_source, orders_in_flight, listed, left_out}; `listed` are the objects above, shortened
 *                      (domain, serves, state, attention, next, error, refused), what is
 *                      in the worst state first, at most STATUS_LISTED
 * .certfs/metrics      Prometheus text (metrics.h)
 * .certfs/events       "TIME KIND DOMAIN SENTENCE" lines, the newest 1,000, newest last
 * .certfs/config       each key as in force with its value; secrets' files by name only */
#define STATUS_LISTED 10000
enum status_control {
	CONTROL_STATUS_JSON,
	CONTROL_METRICS,
	CONTROL_EVENTS,
	CONTROL_CONFIG,
	CONTROL_FILES
};
extern const char *const control_name[CONTROL_FILES]; /* "status.json", … */
int status_control(const struct status_context *ctx, struct txn *txn,
		   enum status_control which, char **text, size_t *size,
		   struct error *err);

/* DIR/policy: each setting in force, and its source (settings.h). */
int status_policy(const struct status_context *ctx, struct txn *txn, uint32_t number,
		  char **text, size_t *size, struct error *err);

#endif
