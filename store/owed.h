/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* owed: domains whose watchers, and the on-change hook, must still be told of a change.
 *
 * A row is written in the transaction that stages a generation or serves another one, and
 * taken out once the generation is served, its names were announced and the hook was run: the
 * next worker, or the next announce process, goes on from what stands here. */
#ifndef CERTFS_STORE_OWED_H
#define CERTFS_STORE_OWED_H

#include "store/db.h"

struct owed {
	uint32_t number;
	uint32_t before; /* the generation that was served before the change */
	uint64_t serial;
};

/* Marks; `serial` is drawn from a counter, so that a mark set anew is not cleared with an
 * older one. */
int owed_mark(struct txn *txn, uint32_t number, uint32_t before, uint64_t *serial,
	      struct error *err);
/* Clears when the serial is still the same. */
int owed_clear(struct txn *txn, uint32_t number, uint64_t serial, struct error *err);
/* -ENOENT: nothing is owed (err is not set then). */
int owed_get(struct txn *txn, uint32_t number, struct owed *o, struct error *err);
/* The first row with a number >= `from`. -ENOENT at the end (err is not set then). */
int owed_next(struct txn *txn, uint32_t from, struct owed *o, struct error *err);

#endif
