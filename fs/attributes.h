/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* attributes: SETATTR.
 *
 * Owners, modes and times are a domain's row in the store; those of what is being written go
 * along with its install, and those of a scratch file with its rename. Both times set to now, by
 * touch(1), renew a managed certificate. What can be set is told by permission.h. */
#ifndef CERTFS_FS_ATTRIBUTES_H
#define CERTFS_FS_ATTRIBUTES_H

#include "fs/work.h"

void attributes_set(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int set,
		    struct fuse_file_info *fi);

#endif
