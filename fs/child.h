/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* child: what a worker finds when it starts.
 *
 * The supervisor fork(2)s and exec(2)s the binary on disk (so that a reload takes the new
 * one) with CERTFS_CHILD=fs, net, announce or probe in the environment and these descriptors.
 * CERTFS_MOUNTPOINT is where the mount is (for what is shown), CERTFS_LISTEN the number of
 * listening sockets, CERTFS_READONLY that of read-only mounts,
 * CERTFS_SUPERVISOR the supervisor's pid. Nothing else is inherited. SIGTERM is blocked,
 * SIGPIPE ignored. argv[0] is "certfs: fs", "certfs: net" or "certfs: announce", which
 * is what ps shows.
 *
 * The probe says whether this binary could take everything over: it reads the
 * configuration, looks up the users, maps the slots and understands the handover. It adds
 * 1 to its eventfd and ends with status 0, or writes the reason why not. */
#ifndef CERTFS_FS_CHILD_H
#define CERTFS_FS_CHILD_H

#include "store/config.h"
#include "store/error.h"
#include "store/log.h"

enum {
	CHILD_FD_FUSE = 3,     /* fs: the connection */
	CHILD_FD_HANDOVER = 3, /* probe: what a supervisor would be handed (handover.h) */
	CHILD_FD_SLOTS = 4,    /* fs, probe: the slots' memfd */
	CHILD_FD_LINK = 5,     /* fs, net: the link between them */
	CHILD_FD_READY = 6,    /* all: an eventfd; the worker adds 1 once it serves */
	CHILD_FD_REASON =
	    7, /* all: a pipe; a worker that can't serve says why (spawn.h) */
	CHILD_FD_PUBLISH = 8,   /* fs, announce: the link between them */
	CHILD_FD_CONFIG = 9,    /* all: the configuration in force (config_text.h) */
	CHILD_FD_LIFELINE = 10, /* fs: its end of the lifeline (lifeline.h) */
	CHILD_FD_LISTEN = 11,   /* net: the first of the listening sockets */
	CHILD_FD_READONLY = 11  /* fs: connection and slots of each read-only mount */
};

/* main()'s way in: when CERTFS_CHILD is set, runs that worker and returns true with its
 * exit status. */
bool child_main(int *exit_status);

#endif
