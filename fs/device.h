/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* device: the thread that reads requests from /dev/fuse.
 *
 * It answers at once all that needs no disk, never blocks on anything but the device, and
 * hands the rest to the store thread. Each request is read straight into the big slot
 * (slots.h), so that the next worker finds it when this one dies. */
#ifndef CERTFS_FS_DEVICE_H
#define CERTFS_FS_DEVICE_H

#include "fs/fs.h"

/* The libfuse session on a connection that somebody else mounted: fed the kernel's FUSE_INIT
 * from the slots. */
int device_open(struct fs *fs, struct error *err);
/* Answers what a dead worker left. */
void device_replay(struct fs *fs);
/* Until SIGTERM (0) or the end of the connection (-ENODEV). */
int device_run(struct fs *fs, struct error *err);

#endif
