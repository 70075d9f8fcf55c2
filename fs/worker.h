/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* worker: the fs worker's process.
 *
 * Holds: the connection (/dev/fuse), the slots, the store, all keys, its end of the
 * links to the net worker and to announce.
 * User: `fs-user`, which owns the store. Must never hold: the network, root. Threads:
 * device (device.h, one a mount), store (work.h), notify (notify.h), pages (pages.h), one
 * that does nothing (lifeline.h), and no others. It never makes a system call on its own
 * mount: a thread inside its own mount keeps a killed worker from being reaped, and the
 * supervisor waiting. */
#ifndef CERTFS_FS_WORKER_H
#define CERTFS_FS_WORKER_H

#include "fs/further.h"
#include "store/config.h"
#include "store/error.h"
#include "store/log.h"

#include <sys/types.h>

struct worker_options {
	const struct config *cfg;
	const char *mountpoint; /* for what is shown; NULL: /etc/certs */
	const struct log *lg;
	int fuse_fd, slots_fd, link_fd, publish_fd, ready_fd, lifeline_fd;
	const struct further_fds *further; /* the read-only mounts */
	size_t further_count;
	gid_t key_gid; /* cfg->key_group's id, looked up before root was given up */
	/* Called once everything was opened: takes away the rest (confine_rest). */
	int (*confine)(void *ctx, struct error *err);
	void *confine_ctx;
};

/* Called in the store's folder (".") as `fs-user`, with SIGTERM blocked. Serves until SIGTERM
 * (finishes what it holds) or until the connection ends (ENODEV: unmounted). 0 or -errno. */
int worker_run(const struct worker_options *options, struct error *err);

#endif
