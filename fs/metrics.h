/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* metrics: `.certfs/metrics`, in the text format of Prometheus.
 *
 * Series of single domains stop at METRICS_DOMAINS: a million would kill the server that
 * collects them. Counts and the earliest end are of all domains. */
#ifndef CERTFS_FS_METRICS_H
#define CERTFS_FS_METRICS_H

#include "fs/status.h"

#include <stdio.h>

#define METRICS_DOMAINS 10000

/* All families, from one walk over the domains. ENOMEM, or why the store can't be read;
 * what was written by then is no whole page. */
int metrics_write(FILE *out, const struct status_context *ctx, struct txn *txn,
		  struct error *err);

#endif
