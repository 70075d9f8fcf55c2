/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* mount: the mount itself, without a server behind it.
 *
 * mount_open() makes the folder beneath 0555 (so that nothing falls into it while nothing
 * is mounted there), mounts, and reads the kernel's FUSE_INIT into the slots. From then
 * on the mount stands for as long as `fuse_fd` is open in some process, whether anybody
 * answers or not. mount_close() takes it away and puts the folder's mode back.
 *
 * A certfs mount whose processes are all gone answers ENOTCONN to everyone; mount_open()
 * unmounts it first. */
#ifndef CERTFS_FS_MOUNT_H
#define CERTFS_FS_MOUNT_H

#include "fs/slots.h"
#include "store/error.h"
#include "store/log.h"

#include <stdbool.h>
#include <sys/types.h>

struct mount {
	const struct log *lg;
	const char *point;
	int fuse_fd;    /* O_NONBLOCK; -1 before and after */
	int folder_fd;  /* the folder beneath; -1 when the mount was taken over */
	mode_t mode;    /* that it had */
	dev_t device;   /* st_dev of the mount */
	bool read_only; /* to be set between mount_check() and mount_open() */
	bool mode_changed;
	bool mounted;
};

/* Whether something can be mounted there; changes nothing but takes a dead mount away.
 * `point` is absolute and free of symlinks, and stays with the caller. ENOENT, ENOTDIR,
 * ENOTEMPTY: the folder; EBUSY: a living certfs is mounted there. */
int mount_check(struct mount *m, const char *point, const struct log *lg,
		struct error *err);
/* After mount_check(). */
int mount_open(struct mount *m, struct slots *slots, struct error *err);

/* Instead of the two: the mount that another supervisor made. `m` holds what that one
 * knew (point, fuse_fd, device, mode, mode_changed). ENOTCONN: the connection is over;
 * ENOENT: it isn't what is mounted at `point`. */
int mount_adopt(const struct mount *m, struct error *err);
/* Whether it is what is mounted at its place, dead or alive. Asks nobody. */
bool mount_is_at(const struct mount *m);

/* Whether the connection is over (`revents` of fuse_fd: POLLERR). ECONNABORTED when the
 * mount is still there, dead; 0 when someone unmounted it. */
int mount_ended(struct mount *m, struct error *err);

/* Callable at any time, twice too. Files that are still open go on failing with ENOTCONN.
 */
void mount_close(struct mount *m);
/* Forgets the mount, which stands as long as somebody else holds the connection. */
void mount_leave(struct mount *m);

#endif
