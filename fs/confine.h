/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* confine: what a worker may still do once it has what it needs.
 *
 * confine_user() gives up root: groups, gid, uid, all capabilities, the bounding set;
 * PR_SET_NO_NEW_PRIVS, undumpable (so that a process of the same user can't read its
 * memory), SIGKILL when the supervisor dies. confine_rest() then takes away files
 * (Landlock, as far as the kernel has it) and system calls (libseccomp: a list of what is
 * allowed; the rest fails with EPERM, and execve, ptrace, mount, kexec, bpf and their
 * like kill the process). A kernel without Landlock is a warning, no error. */
#ifndef CERTFS_FS_CONFINE_H
#define CERTFS_FS_CONFINE_H

#include "store/error.h"
#include "store/log.h"

#include <sys/types.h>

struct confine_ids {
	uid_t uid;
	gid_t gid;
};

/* `user`'s ids. ENOENT with the command that makes the user. */
int confine_lookup(const char *user, struct confine_ids *ids, struct error *err);
/* No group is kept: modes and owners of served files are checked by the kernel, the fs
 * worker itself needs no part in them. */
int confine_user(const struct confine_ids *ids, struct error *err);

enum confine_role { CONFINE_FS, CONFINE_NET };
/* CONFINE_FS: files only below `store_fd` (a folder), /proc to read, no sockets but those
 * it has.
 * CONFINE_NET: reads what name resolution and TLS need (files of /etc, shared libraries,
 * the system's roots, /run/systemd/resolve, and `roots_file`), TCP and UDP outwards, no
 * bind. To be called by the first thread before it starts others: Landlock holds for the
 * calling thread and those that it starts. */
int confine_rest(enum confine_role role, int store_fd, const char *roots_file,
		 const struct log *lg, struct error *err);

#endif
