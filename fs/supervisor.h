/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* supervisor: the root process that mounts, and starts the workers again when they die.
 *
 * Holds: /dev/fuse, the slots, the listening sockets, root. Parses nothing of what comes
 * from outside, allocates nothing while it serves, and waits in one poll(2) on a
 * signalfd, the workers' pidfds, their ready eventfds, the fs worker's lifeline and one
 * timer. A table says what each event does in each state of a worker (s6-supervise). It
 * never closes /dev/fuse and never uses the mount itself: readers of a mount whose worker
 * is dead wait for the next one.
 *
 * Workers that die at once are started again at growing intervals, at most 5 s and below
 * the hang limit. SIGTERM or SIGINT: announce ends, which works in the mount, the fs
 * worker is drained, the mount taken away, all ended. SIGHUP: reload.h. A worker that
 * gives a reason before it ever served ends it all, and the reason is supervisor_run()'s;
 * but where another configuration was in force before, that is gone on with.
 * Announce is the exception in all of that: nobody waits for it, and nothing ends because
 * of it.
 *
 * When the supervisor itself is killed its workers end with it. Under systemd the mount
 * stands all the same, with all requests waiting, and the next supervisor goes on with it
 * (kept.h); so it does over `systemctl restart`. Elsewhere the mount is dead then
 * (ENOTCONN) until the next `certfs mount` cleans it up. */
#ifndef CERTFS_FS_SUPERVISOR_H
#define CERTFS_FS_SUPERVISOR_H

#include "store/config.h"
#include "store/error.h"
#include "store/log.h"

struct handover;

struct supervisor_options {
	const struct config *cfg;
	int config_fd; /* its text (config_text.h), the supervisor's from now on */
	/* What was in force before, where that is another one: gone on with when `cfg` turns
	 * out not to do. NULL and -1: there is none. */
	const struct config *before;
	int before_fd;
	/* Why `cfg` is not what stands on disk; NULL: it is. */
	const struct error *refused;
	const struct log *lg;
	const char *mountpoint; /* absolute */
	const char *binary;     /* absolute path of certfs on disk */
	char *const *argv;      /* our own, for exec(2) */
	int ready_fd;           /* written once ("1") when the mount answers; -1: none */
	/* After exec(2): where to go on. NULL: from the start. */
	const struct handover *handover;
};

/* Mounts, serves until SIGTERM, unmounts. 0 or -errno with a reason: not root, mountpoint
 * is no empty folder (a dead mount there is cleaned up first), store locked, address in
 * use, users missing, /dev/fuse missing. On any failure nothing is left behind: what it
 * changed (the folder's mode) is as it was. */
int supervisor_run(const struct supervisor_options *options, struct error *err);

#endif
