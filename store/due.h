/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* due: what must happen when, as an ordered queue on disk.
 *
 * The engine looks at its head and sleeps until then; it never scans. One row a domain: the
 * earliest thing that is due for it (the engine finds out what, from the domain's state).
 * DB_DUE_AT finds the row again. */
#ifndef CERTFS_STORE_DUE_H
#define CERTFS_STORE_DUE_H

#include "store/db.h"

#include <stdint.h>

/* Moves `number` to `at_s`; INT64_MAX takes it out. */
int due_set(struct txn *txn, uint32_t number, int64_t at_s, struct error *err);
/* The same, but never later than it stands already. */
int due_sooner(struct txn *txn, uint32_t number, int64_t at_s, struct error *err);
/* When `number` is due; INT64_MAX: not in the queue. */
int due_get(struct txn *txn, uint32_t number, int64_t *at_s, struct error *err);
/* The head of the queue. -ENOENT when it is empty (err is not set then). */
int due_first(struct txn *txn, int64_t *at_s, uint32_t *number, struct error *err);

#endif
