/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* held: OPENs that wait for other OPENs of their own thread group (pairs.h).
 *
 * Each waits in its small slot, so that it outlives the worker, and is tried again after
 * every request, at the latest after PAIRS_HOLD_MS. The table is bounded: without room
 * nothing is held. Only the device thread uses it. */
#ifndef CERTFS_FS_HELD_H
#define CERTFS_FS_HELD_H

#include "fs/work.h"

#define HELD_MAX 256

struct held *held_new(void); /* NULL: no memory */
/* Those that still wait are left to the next worker. */
void held_free(struct held *held);

bool held_has_room(const struct held *held);
/* There is room. */
void held_add(struct fs *fs, fuse_req_t req, fuse_ino_t ino,
	      const struct fuse_file_info *fi);
void held_retry(struct fs *fs);
/* How long to sleep at most, in ms; -1: nothing is held. */
int held_wait_ms(const struct held *held);

#endif
