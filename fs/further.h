/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* further: the read-only mounts of the store, each a connection of its own in the fs worker.
 *
 * They are for servers that load certificates per handshake, and for containers. OPEN and
 * FLUSH are answered ENOSYS once, after which the kernel asks nothing at all as long as
 * nothing changes (ENOSYS holds for a whole connection: only a mount that takes no writes
 * can have it). So there is no OPEN to notice a reader by: a rotation takes its three steps
 * (rotation.h), and a certificate in its renewal time is handed out with a short timeout,
 * so that its readers are noticed at their LOOKUPs.
 *
 * What is shown is what doesn't change: the served files, `.history`, `.combined` and
 * `.well-known`. Pages (status, policy, `.certfs`) are rendered at their OPEN, which doesn't
 * exist here: they are on the read-write mount alone.
 *
 * Each connection has a device thread, slots and tables of its own; what a dead worker left
 * is answered by the next one. */
#ifndef CERTFS_FS_FURTHER_H
#define CERTFS_FS_FURTHER_H

#include "fs/fs.h"

#define FURTHER_MAX 16

/* One connection: descriptors that the supervisor passed. */
struct further_fds {
	int fuse_fd, slots_fd;
};

/* Opens a session for each of `count`; `fs` is the read-write mount's context, whole. */
int further_open(struct fs *fs, const struct further_fds *fds, size_t count,
		 struct error *err);
/* Starts their threads, once confinement is in force. */
int further_start(struct further *f, struct error *err);
/* Ends the threads, which SIGTERM has told to end (work_stop_fd). */
void further_finish(struct further *f);
void further_close(struct further *f);

/* The notify thread: `number` was changed; `before` is what it served. Until it is told, the mark
 * in the store (changed.h) says that it is to be armed. */
void further_tell(struct further *f, uint32_t number, uint32_t before);

/* The moment (fs_now_ms()) from which all of them name what `number` serves, as far as is known
 * now; 0: they do. The store thread. */
int64_t further_switch_ms(struct further *f, struct txn *txn, uint32_t number);

/* Requests seen on all of them, for metrics. */
size_t further_count(const struct further *f);
struct slots *further_slots(const struct further *f, size_t at);

#endif
