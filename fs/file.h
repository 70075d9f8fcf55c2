/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* file: OPEN, READ, WRITE, FLUSH, RELEASE, CREATE, in the device thread.
 *
 * Reading a served file costs one OPEN (keep_cache, noflush): its content is immutable, so
 * the kernel's page cache is never wrong. Opening a generation that is not the one served is
 * answered ESTALE, and the kernel walks the path anew (pairs.h).
 *
 * Writing collects in a handle with direct I/O, so that no reader's page cache ever sees a
 * half-written file, and takes effect at FLUSH. FLUSH is not the last close: a shell sends
 * an empty one before its first WRITE, and a forked child's exit sends one in the middle. So
 * it counts only on a handle that was written since the last one, and an incomplete PEM is
 * "not yet" unless it is the opener itself that closes. What a signal has ended closes all that
 * it has open, and never said that it was through: its FLUSH counts for nothing.
 *
 * What a dead worker's handle or scratch file held is lost: the next operation on it gets
 * EIO, FLUSH at the latest. */
#ifndef CERTFS_FS_FILE_H
#define CERTFS_FS_FILE_H

#include "fs/fs.h"

void file_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void file_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	       struct fuse_file_info *fi);
void file_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		 struct fuse_file_info *fi);
void file_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
		struct fuse_file_info *fi);
void file_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void file_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void file_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);

/* An OPEN, for the first time or once more after it was held (held.h). False: it must be held;
 * never without `hold`. */
bool file_try_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, bool hold);

/* What pairs.h (`since_ms` as there) says to the opener of `n`; a pair whose generation is gone
 * begins anew. */
uint32_t file_openers_generation(fuse_req_t req, struct txn *txn, const struct node *n,
				 uint32_t served, int64_t since_ms);

/* For pages.h. Answers with the part that was asked for of `all` bytes. */
void file_reply_part(fuse_req_t req, const void *data, size_t all, size_t size,
		     off_t off);
/* Opens a handle of this user on a page, which becomes its own. As handle_open(). */
int file_open_rendered(struct fs *fs, uint32_t uid, struct secret *page,
		       struct fuse_file_info *fi, struct error *err);

#endif
