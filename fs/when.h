/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* when: moments as people and programs read them, always UTC.
 *
 * Each function writes into `out` of WHEN_ROOM bytes and returns it, so that it can stand
 * among the arguments of a printf. */
#ifndef CERTFS_FS_WHEN_H
#define CERTFS_FS_WHEN_H

#include <stdbool.h>
#include <stdint.h>

#define WHEN_ROOM 64

/* "2026-03-01 14:05 UTC" */
const char *when_utc(int64_t at_s, char *out);
/* "in 29 days", "3 hours ago", "now" */
const char *when_away(int64_t at_s, int64_t now_s, char *out);
/* "2026-03-01 14:05 UTC (in 29 days)" */
const char *when_both(int64_t at_s, int64_t now_s, char *out);
/* "2026-03-01T14:05:00Z" (RFC 3339) */
const char *when_rfc3339(int64_t at_s, char *out);
/* Reads what when_rfc3339() wrote. */
bool when_parse(const char *text, int64_t *at_s);

#endif
