/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* waiting: a certificate or key that was written and waits for its other half.
 *
 * `cp fullchain.pem DIR/; cp privkey.pem DIR/` arrive as two files. The first is kept
 * here, in the store (what close() acknowledged is on disk), per domain and file; the
 * other half completes the install. Served to nobody; read back by its writer and root only.
 * Dropped when the install succeeds, and after a day, by the engine. */
#ifndef CERTFS_STORE_WAITING_H
#define CERTFS_STORE_WAITING_H

#include "store/domain.h"
#include "store/secret.h"

#define WAITING_S (24 * 3600)

/* What a writer gave its file with utimens, chown and chmod: in force with the pair, since until
 * then it would be that of what is served. */
struct waiting_marks {
	int64_t mtime_s;         /* 0: nothing */
	uint32_t uid, gid, mode; /* OWNER_KEEP: nothing */
};

struct waiting {
	struct secret *file[FILE_KINDS]; /* bytes as written; NULL: none */
	int64_t since_s[FILE_KINDS];
	uint32_t writer[FILE_KINDS]; /* uid; OWNER_KEEP: of before it was noted */
	struct waiting_marks marks[FILE_KINDS];
};

/* No row: all NULL, returns 0. waiting_clear() frees. Rows older than WAITING_S count as
 * absent. */
int waiting_get(struct txn *txn, uint32_t number, int64_t now_s, struct waiting *w,
		struct error *err);
void waiting_clear(struct waiting *w);
/* Stores the bytes that were written by the user `writer`, sealed, in place of those that waited
 * before. */
int waiting_put(struct txn *txn, uint32_t number, enum file_kind kind,
		const struct secret *content, uint32_t writer,
		const struct waiting_marks *marks, int64_t now_s, struct error *err);
/* utimens once it was closed (rsync --inplace, unzip). -ENOENT: none waits. */
int waiting_touch(struct txn *txn, uint32_t number, enum file_kind kind, int64_t mtime_s,
		  int64_t now_s, struct error *err);
/* chmod, likewise (install -m). */
int waiting_chmod(struct txn *txn, uint32_t number, enum file_kind kind, uint32_t mode,
		  int64_t now_s, struct error *err);
/* One of them, if it is there; all. */
int waiting_drop_file(struct txn *txn, uint32_t number, enum file_kind kind,
		      struct error *err);
int waiting_drop(struct txn *txn, uint32_t number, struct error *err);
/* Drops what has waited for longer than WAITING_S: bit i of *dropped is enum file_kind i.
 * *next_s is when the next one will have (INT64_MAX: nothing waits). */
int waiting_over(struct txn *txn, uint32_t number, int64_t now_s, unsigned *dropped,
		 int64_t *next_s, struct error *err);

#endif
