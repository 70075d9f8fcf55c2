/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* announce: the process that works in the mount, for the fs worker, which must not.
 *
 * Holds: root (rename(2) in the mount must pass the modes of its folders; the hook reloads
 * services), its end of the link to the fs worker, the mountpoint's path. Must never hold:
 * the store, keys, /dev/fuse, the slots, network sockets. Between two jobs it has neither a
 * working directory nor a descriptor in the mount, which it would keep busy. */
#ifndef CERTFS_FS_ANNOUNCE_H
#define CERTFS_FS_ANNOUNCE_H

#include "store/config.h"
#include "store/error.h"
#include "store/log.h"

struct announce_options {
	const struct config *cfg;
	const struct log *lg;
	const char *mountpoint;
	int link_fd, ready_fd;
};

/* Called with SIGTERM blocked; until SIGTERM, or until nobody is at the other end. */
int announce_run(const struct announce_options *options, struct error *err);

#endif
