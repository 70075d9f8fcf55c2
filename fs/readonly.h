/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* readonly: the read-only mounts, as the supervisor and `certfs mount -o ro` see them.
 *
 * `certfs mount -o ro` mounts by itself, so that it may do so in a mount namespace of its
 * own and that no path makes the supervisor wait. Then it hands the mount over: a memfd
 * (struct readonly_offer) names the descriptors, its number comes along with SIGUSR1,
 * and the supervisor takes copies of them all out of that process (pidfd_getfd(2)). Only
 * root may send it a signal or be looked into. The fs worker is renewed, which readers of
 * the other mounts don't notice, and the new one serves all (further.h).
 *
 * From then on the mount is the daemon's: it stands while the worker is replaced or the
 * supervisor execs another binary, and goes with the daemon, or when somebody unmounts
 * it. */
#ifndef CERTFS_FS_READONLY_H
#define CERTFS_FS_READONLY_H

#include "fs/handover.h"
#include "fs/mount.h"
#include "fs/slots.h"

#include <signal.h>
#include <sys/signalfd.h>

#define READONLY_MAX HANDOVER_READONLY

struct readonly {
	char point[PATH_MAX];
	struct mount mount; /* fuse_fd -1: this place is free */
	struct slots *slots;
	int slots_fd;
	uint64_t stalled_ns; /* since when requests wait and none is read */
	uint64_t last_unique;
};

/* What `certfs mount -o ro` has for the supervisor; numbers of its own descriptors. */
struct readonly_offer {
	uint32_t magic, version;
	struct handover_readonly mount;
	int32_t reply_fd; /* a pipe for a struct error: code 0, or why not */
};

/* `certfs mount -o ro`: mounts at `point` (absolute, without symlinks) and hands the mount to
 * the supervisor behind `pidfd`, which is `pid`. */
int readonly_mount(const char *point, int pidfd, const struct log *lg, struct error *err);

/* The supervisor. SIGUSR1: takes the mount into a free place of `all`; true: the fs worker
 * must be renewed. The sender is told how it went. */
bool readonly_take(struct readonly all[READONLY_MAX], const struct signalfd_siginfo *from,
		   const struct log *lg);
/* Its connection has ended: the place is free again. Asks nobody. */
void readonly_ended(struct readonly *r);
/* Unmounts, or (`leave`) forgets it for the next supervisor. */
void readonly_close(struct readonly *r, bool leave);

void readonly_init(struct readonly all[READONLY_MAX]);
void readonly_describe(const struct readonly all[READONLY_MAX], struct handover *h);
/* After exec(2). */
void readonly_resume(struct readonly all[READONLY_MAX], const struct handover *h,
		     const struct log *lg);
/* From the descriptors that systemd kept. False: it can't be gone on with; both are closed. */
bool readonly_adopt(struct readonly *r, const struct handover_readonly *h, int fuse_fd,
		    int slots_fd, const struct log *lg);

#endif
