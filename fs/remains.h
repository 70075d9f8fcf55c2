/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* remains: a killed worker that can't be reaped, since a thread of it waits in the kernel.
 *
 * A notification waits for a directory's lock where no signal reaches it (fs/fuse/dir.c,
 * fuse_reverse_inval_entry), and whoever holds the lock may himself wait for an answer: of
 * the worker that was killed. Only the next worker can give it, so that one is started as
 * soon as nothing is left of the old one but its first thread, which is dead, and the thread
 * of notifications, which waits. That one ends before it comes back from the kernel. All
 * others must be gone: one inside read(2) of /dev/fuse would write into the slot that the
 * next worker uses.
 *
 * What the rest still holds are its descriptors. The lock of the store's folder is taken
 * over from a process whose first thread is dead (db_folder.h); LMDB's write lock is free,
 * since its owner is gone; a read that it was in keeps old pages from being used again until
 * the store would have to grow, when the dead are asked for.
 *
 * No event tells how far a process' end has come, only that it has begun (lifeline.h) and
 * that it is over (its pidfd). In between /proc is looked at after 1, 2, 4 … ms. */
#ifndef CERTFS_FS_REMAINS_H
#define CERTFS_FS_REMAINS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define REMAINS_THREAD "certfs: notify"     /* its name, as /proc has it */
#define REMAINS_NS     UINT64_C(1000000000) /* what an end may take */

enum remains {
	REMAINS_ALIVE, /* the first thread isn't dead, or the process is over */
	REMAINS_SOME, /* the first thread is dead, others than the one named above live */
	REMAINS_NOTIFIES /* … and nothing but that one lives, and waits */
};

/* What is left of `pid`. Unless it is alive *how is how it ended, as waitid(2) would say
 * it; SIGKILL where /proc doesn't say it (without CAP_SYS_PTRACE). */
enum remains remains_of(pid_t pid, siginfo_t *how);

struct remains_look {
	uint64_t begun_ns; /* since when its end is known of; 0: it is not */
	uint64_t next_ns;  /* when to look; 0: not at all */
};
void remains_begin(struct remains_look *look, uint64_t now_ns);
/* Sets when to look again. True: it is to be left as it is. */
bool remains_look(struct remains_look *look, pid_t pid, uint64_t now_ns);

/* Those that were left. pidfd -1: no one. */
#define UNREAPED_MAX 8
struct unreaped {
	pid_t pid;
	int pidfd;
};
/* False: there are as many already; `pidfd` stays the caller's. */
bool remains_keep(struct unreaped all[UNREAPED_MAX], pid_t pid, int pidfd);
/* Its pidfd told that it is over. */
void remains_reap(struct unreaped *one);

#endif
