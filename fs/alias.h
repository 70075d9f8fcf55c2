/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* alias: symlinks beside the directories, each one more name in the certificate of the directory
 * that it points to.
 *
 * `ln -sfn NEW-TARGET ALIAS` makes a symlink of a name of its own (`CuAbCdEf`) and renames it
 * over the alias. Such a symlink is a scratch file (scratch.h); its rename points the alias to
 * the other directory, or makes it, in one transaction: no moment is without an alias. The
 * certificate of the other directory is ordered anew with the name in it; from the one that had
 * it, the name goes with the next renewal. */
#ifndef CERTFS_FS_ALIAS_H
#define CERTFS_FS_ALIAS_H

#include "fs/work.h"

/* SYMLINK. */
void alias_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		   const char *name);
/* RENAME in the root. */
void alias_rename(fuse_req_t req, const char *name, const char *new_name);
/* UNLINK of item->name, in the store thread. */
work_do alias_remove;

#endif
