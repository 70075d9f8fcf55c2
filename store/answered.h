/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* answered: results of FUSE requests that changed something, by connection and unique.
 *
 * A request whose worker died between its commit and its answer is replayed by the next
 * worker. So that the repeat of a MKDIR is not EEXIST and that of a close is no loss, the
 * result is stored in the transaction that did the work, and a replay answers from here.
 * The rows of a connection are dropped once its replays are over. */
#ifndef CERTFS_STORE_ANSWERED_H
#define CERTFS_STORE_ANSWERED_H

#include "store/db.h"

/* `result` is 0 or -errno. */
int answered_put(struct txn *txn, uint64_t connection, uint64_t unique, int32_t result,
		 struct error *err);
/* ENOENT: was not answered. */
int answered_get(struct txn *txn, uint64_t connection, uint64_t unique, int32_t *result,
		 struct error *err);
/* All rows but those with a unique in `keep` (of `count`). */
int answered_drop(struct txn *txn, const uint64_t *keep, size_t count, struct error *err);

#endif
