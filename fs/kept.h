/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* kept: what systemd keeps for the next supervisor (its descriptor store, sd_notify(3)).
 *
 * /dev/fuse ("fuse"), the slots ("slots") and a handover ("handover") of the mount, and
 * "ro-fuse-ID" and "ro-slots-ID" of each read-only one, and the configuration that all was
 * last seen to serve with ("config", config_text.h). With them in systemd's hands the
 * mount stands while no supervisor lives, and requests wait. The listening sockets too
 * ("listen"): processes of the dead supervisor may not be quite dead yet, and nobody else
 * could bind them. Without systemd, or without FileDescriptorStoreMax= in the unit, all of
 * this does nothing. */
#ifndef CERTFS_FS_KEPT_H
#define CERTFS_FS_KEPT_H

#include "fs/handover.h"

#include <stdbool.h>

#define KEPT_FDS 3 /* what the unit's FileDescriptorStoreMax= must allow at least */

/* Of a read-only mount; slots_connection() tells which. */
struct kept_readonly {
	uint64_t connection;
	int fuse_fd, slots_fd;
};

struct kept {
	int fuse_fd, slots_fd, handover_fd; /* -1: was not there */
	struct kept_readonly readonly[HANDOVER_READONLY];
	size_t readonlys;
};

/* Hands copies over. False: there is no service manager. */
bool kept_put(const struct kept *kept, struct error *err);
/* What an earlier supervisor put there; the descriptors are the caller's from now on.
 * False: nothing. */
bool kept_take(struct kept *kept);
void kept_put_listener(int fd);
/* In place of the one that is there. */
void kept_put_config(int fd);
/* The caller's from now on; -1: there is none. */
int kept_take_config(void);
/* Has systemd close its copies of a read-only mount's. */
void kept_drop_readonly(uint64_t connection);
/* Has systemd close its copies: of all, or of the sockets alone. */
void kept_drop(void);
void kept_drop_listeners(void);

/* Whether systemd ends this service only to start it again, and keeps the descriptors
 * meanwhile. False also when it can't be asked. */
bool kept_for_restart(void);

#endif
