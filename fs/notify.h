/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* notify: tells the kernel's caches what changed, from a thread of its own that holds no lock
 * a handler needs (from inside a handler of the same directory it would deadlock). After a
 * change of one domain only that domain's names are invalidated. Then the kernel is asked which
 * inodes of the generations before it still has: those are somebody's who watches them, or has
 * them open, and the others need no announcement (owed.h). */
#ifndef CERTFS_FS_NOTIFY_H
#define CERTFS_FS_NOTIFY_H

#include "fs/work.h"

int notify_start(struct fs *fs, struct error *err);
/* `item` (may be NULL) is handed back with work_told() once it is done. */
void notify_domain(struct notify *nt, uint32_t number, uint64_t serial,
		   struct item *item);
void notify_finish(struct notify *nt);

#endif
