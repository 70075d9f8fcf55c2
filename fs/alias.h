/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* alias: symlinks beside the directories, each one more name in the certificate of the directory
 * that it points to. */
#ifndef CERTFS_FS_ALIAS_H
#define CERTFS_FS_ALIAS_H

#include "fs/work.h"

/* SYMLINK. */
void alias_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		   const char *name);
/* UNLINK of item->name, in the store thread. */
work_do alias_remove;

#endif
