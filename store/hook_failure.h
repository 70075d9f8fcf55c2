/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* hook_failure: what went wrong when the on-change hook ran last, until it runs well. */
#ifndef CERTFS_STORE_HOOK_FAILURE_H
#define CERTFS_STORE_HOOK_FAILURE_H

#include "store/db.h"

#include <stdint.h>

struct hook_failure {
	int64_t at_s;
	char text[400]; /* one sentence */
};

int hook_failure_put(struct txn *txn, const struct hook_failure *f, struct error *err);
/* -ENOENT: it ran well, or never (err is not set then). */
int hook_failure_get(struct txn *txn, struct hook_failure *f, struct error *err);
int hook_failure_clear(struct txn *txn, struct error *err);

#endif
