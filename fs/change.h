/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* change: MKDIR, RMDIR and UNLINK, and what all that change names share.
 *
 * What is asked for in the device thread is done in the store thread, in one transaction, and
 * answered after its commit: a handler here looks at what it was given, makes an item
 * (work.h) and submits it. What concerns scratch files alone (scratch.h) is done on the spot.
 * SYMLINK: alias.h. RENAME: rename.h. SETATTR: attributes.h. */
#ifndef CERTFS_FS_CHANGE_H
#define CERTFS_FS_CHANGE_H

#include "fs/work.h"

void change_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void change_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void change_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);

/* A served file's name is taken away (item->number, kind, name): in the store thread. */
work_do change_remove_custom;

/* Answers with a code, and logs what was refused and why. */
void change_refuse(fuse_req_t req, int code, const char *name, const char *why);
/* An item that carries `name` and who asks. NULL: the request was answered. */
struct item *change_item(fuse_req_t req, const char *name, work_do *run);
/* A reply: the entry of item->name in the root. */
void change_reply_entry(struct item *item);
/* The number of the domain (0: the root) whose directory it is; false: it is none. */
bool change_domain_dir(fuse_ino_t ino, uint32_t *number);

#endif
