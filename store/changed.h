/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* changed: domains of which the kernel's caches must be told.
 *
 * A row is written in the transaction that changes what is served and taken out once the
 * notifications were sent, so that a worker's death between the two leaves no stale cache:
 * the next worker sends them. Number 0 is the mount's own listing. */
#ifndef CERTFS_STORE_CHANGED_H
#define CERTFS_STORE_CHANGED_H

#include "store/db.h"

/* Marks; `serial` is drawn from a counter, so that a mark set anew is not cleared by an older
 * notification. `before` is the generation that was served until now, 0 when that did not
 * change; of several changes the first one's is kept: it is what caches may still hold. */
int changed_mark(struct txn *txn, uint32_t number, uint32_t before, uint64_t *serial,
		 struct error *err);
/* What was served before the changes that caches were not told of, 0: the same as now; and
 * the serial of the last of them. */
int changed_before(struct txn *txn, uint32_t number, uint32_t *before, uint64_t *serial,
		   struct error *err);
/* Clears when the serial is still the same. */
int changed_clear(struct txn *txn, uint32_t number, uint64_t serial, struct error *err);
/* The first row with a number >= `from`. -ENOENT at the end. */
int changed_next(struct txn *txn, uint32_t from, uint32_t *number, uint64_t *serial,
		 struct error *err);

#endif
