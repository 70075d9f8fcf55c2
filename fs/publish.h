/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* publish: how another generation comes to be served, and who is told.
 *
 * Notifications to the kernel (notify.h) drop what it has cached, but raise no inotify event:
 * only a rename(2) in the mount does, and the fs worker can't make one. So the announce
 * process renames, for each served name, the placeholder `.next.NAME` onto NAME: the key
 * first, the certificate last. What it is told in messages changes nothing by itself: the fs
 * worker knows its requests by the pid that the supervisor wrote into the slots.
 *
 *  - `.next.NAME` is found by announce alone, while a publish of that domain is under way,
 *    and stands in no listing. It is an alias inode of the new generation's file (node.h):
 *    rename(2) of two names of one inode does nothing at all, and NAME may have been looked
 *    up already. Its entry is good for no time, so that the name that it becomes is looked up
 *    again and found as the plain inode, which is what anybody watches.
 *  - A staged generation (generation.h) is served from the first RENAME on, in one
 *    transaction; the other renames follow. One that was written with cp is served when its
 *    close returns; its names are announced likewise. That includes the one that was written:
 *    whoever watches that file itself holds the old inode, and must be told to look again.
 *    (One that was renamed into place has raised all its events itself.)
 *  - Announce's look-up of a rename's target is answered with the old generation's inode, so
 *    that the kernel puts the new one in its place: whoever watches the directory gets
 *    IN_MOVED_TO, whoever watches the file IN_ATTRIB and IN_DELETE_SELF, as from `mv new
 *    cert.pem` on any other filesystem. Entries of a domain under publication are good for no
 *    time, for kernels that don't ask again for the target of a rename.
 *  - The on-change hook is told of a change once the read-only mounts serve it too
 *    (further.h): what it reloads may read there.
 *  - Whoever watches a file itself may hold the inode of any generation that was served since
 *    the last announcement. Announce makes a round of renames for each of them that somebody
 *    may hold (owed.h), the oldest first, of the files that may be held; in the last round it
 *    renames all of them.
 *  - What announce has not done within 2 s is done without it, and entries are invalidated:
 *    nobody's certificate waits for it. The renames are made up for once it is there again.
 *  - What must survive stands in the store (owed.h): a new worker, or a new announce, is told
 *    all that is still owed, the on-change hook's runs included. So a name may be announced
 *    twice around a crash, and never not at all.
 *
 * All calls come from the store thread, but those marked "device thread". */
#ifndef CERTFS_FS_PUBLISH_H
#define CERTFS_FS_PUBLISH_H

#include "fs/work.h"

struct publish;

int publish_open(struct fs *fs, int link_fd, struct error *err);
void publish_close(struct publish *p);

/* After the commit: something is owed to `number`'s watchers (owed.h). */
void publish_note(struct publish *p, uint32_t number);

/* For the store thread's poll. */
short publish_events(const struct publish *p);
int publish_next_ms(const struct publish *p); /* -1: there is nothing to wait for */
/* Does all that can be done without waiting; `revents` of the link. */
void publish_run(struct publish *p, short revents);

/* Device thread. Whether this look-up is announce's, for a name under publication; `*r` is then
 * 0 and *id the node, or -ENOENT. */
bool publish_finds(struct fs *fs, pid_t pid, const struct node *dir, struct txn *txn,
		   const char *name, uint64_t *id, int *r, struct error *err);
/* Device thread. Takes the time from an entry that a publish is about to replace. */
void publish_shorten(struct fs *fs, const struct node *dir,
		     struct fuse_entry_param *entry);
/* Device thread. False: this RENAME is not announce's. */
bool publish_rename(fuse_req_t req, uint32_t number, const char *name,
		    const char *new_name);

#endif
