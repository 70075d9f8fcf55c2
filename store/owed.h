/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* owed: domains whose watchers, and the on-change hook, must still be told of a change.
 *
 * A row is written in the transaction that stages a generation or serves another one. It
 * names each generation that was served since the last announcement, for somebody may watch
 * the files of any of them, and says whether the hook must run. What was told is taken out
 * of it, and the row goes when nothing is left: the next worker, or the next announce
 * process, goes on from what stands here. The generations that it names are not pruned.
 *
 * Of each generation but the last a bit a file says whose watchers there may be: all of them
 * at first, until the kernel says which inodes it still has (notify.c). One that has none
 * left is taken out with the next mark, so that a loop of changes makes no long row. With the
 * last one all names are announced, for the watchers of the directory.
 *
 * A row names OWED_MAX at most, more than have watchers of their own unless somebody began
 * to watch between each two of that many changes. Beyond it the second oldest gives way: the
 * oldest is what everybody holds who was told last time, and the newest are what whoever
 * looks again in the midst of changes has just found. */
#ifndef CERTFS_STORE_OWED_H
#define CERTFS_STORE_OWED_H

#include "store/db.h"
#include "store/domain.h"

#define OWED_MAX   32
#define OWED_FILES ((1u << FILE_KINDS) - 1)

struct owed_before {
	uint32_t gen;
	uint64_t serial; /* of its mark */
	uint8_t held;    /* bit i: file kind i of it may be watched */
};

struct owed {
	uint32_t number;
	uint64_t serial; /* of the last mark */
	bool hook;       /* must run */
	uint8_t names; /* to be announced with the last one; bit i is enum file_kind i */
	size_t count;
	struct owed_before before[OWED_MAX]; /* oldest first */
};

/* Marks that `before` was served until now. `serial` is drawn from a counter, so that a mark
 * set anew is not cleared with an older one. */
int owed_mark(struct txn *txn, uint32_t number, uint32_t before, uint64_t *serial,
	      struct error *err);
/* The change that was marked last has itself told the watchers of these files. */
int owed_leave_out(struct txn *txn, uint32_t number, unsigned files, struct error *err);
/* Of what was marked so the kernel has these files' inodes, and no others. */
int owed_held(struct txn *txn, uint32_t number, uint32_t gen, uint64_t serial,
	      unsigned files, struct error *err);
/* The watchers of what was marked so were told. */
int owed_told(struct txn *txn, uint32_t number, uint32_t gen, uint64_t serial,
	      struct error *err);
/* The hook ran, when the last mark's serial is still the same. */
int owed_hooked(struct txn *txn, uint32_t number, uint64_t serial, struct error *err);
/* Takes the row out, when the last mark's serial is still the same: nobody can be told. */
int owed_drop(struct txn *txn, uint32_t number, uint64_t serial, struct error *err);
/* -ENOENT: nothing is owed (err is not set then, and `count` is 0). */
int owed_get(struct txn *txn, uint32_t number, struct owed *o, struct error *err);
/* The first row with a number >= `from`. -ENOENT at the end (err is not set then). */
int owed_next(struct txn *txn, uint32_t from, struct owed *o, struct error *err);

#endif
