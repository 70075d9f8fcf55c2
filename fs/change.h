/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* change: MKDIR, RMDIR, UNLINK, SYMLINK, RENAME, SETATTR: asked for in the device thread,
 * done in the store thread. */
#ifndef CERTFS_FS_CHANGE_H
#define CERTFS_FS_CHANGE_H

#include "fs/work.h"

void change_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void change_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void change_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void change_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		    const char *name);
void change_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		   fuse_ino_t new_parent, const char *new_name, unsigned flags);
void change_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int set,
		    struct fuse_file_info *fi);

#endif
