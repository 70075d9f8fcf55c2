/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* pages: the thread that renders what takes long.
 *
 * Three files of `.certfs` tell of all domains or all events: with a million domains that
 * is seconds of reading. The device thread must not spend them (readers would wait), nor
 * the store thread (writers would, and a page that shows what ails the store must not wait
 * for the store's lock). So they have a thread of their own, which only reads: a request
 * waits for it in its small slot, as others wait for the store thread. */
#ifndef CERTFS_FS_PAGES_H
#define CERTFS_FS_PAGES_H

#include "fs/work.h"

int pages_start(struct fs *fs, struct error *err);
/* Ends the thread once its queue is empty. */
void pages_finish(struct pages *pages);

/* Device thread: answers OPEN and, of a handle that died with its worker, READ of a page
 * that takes long (tree_is_long_page). */
void pages_open(fuse_req_t req, fuse_ino_t ino, const struct fuse_file_info *fi);
void pages_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off);

#endif
