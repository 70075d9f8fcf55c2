/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* device: the thread that reads requests from /dev/fuse, one a connection.
 *
 * It answers at once all that needs no disk, never blocks on anything but the device, and
 * hands the rest to the store thread. Each request is read straight into the big slot
 * (slots.h), so that the next worker finds it when this one dies. */
#ifndef CERTFS_FS_DEVICE_H
#define CERTFS_FS_DEVICE_H

#include "fs/fs.h"

/* Those of the read-write mount, for fs.operations. */
extern const struct fuse_lowlevel_ops device_operations;
/* Handlers that every connection has. */
void device_init(void *userdata, struct fuse_conn_info *conn);
void device_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup);
void device_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);

/* The libfuse session on a connection that somebody else mounted: fed the kernel's FUSE_INIT
 * from the slots. */
int device_open(struct fs *fs, struct error *err);
/* Answers what a dead worker left. */
void device_replay(struct fs *fs);
/* Until SIGTERM (0) or the end of the connection (-ENODEV). */
int device_run(struct fs *fs, struct error *err);
/* The same until the eventfd `done_fd` is set, whatever work_stopping() says. */
int device_run_until(struct fs *fs, int done_fd, struct error *err);

#endif
