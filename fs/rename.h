/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* rename: RENAME.
 *
 * A scratch file that is renamed over a served name is installed, as if it had been written
 * there; over another name it is only called otherwise. Directories and served files keep their
 * names. */
#ifndef CERTFS_FS_RENAME_H
#define CERTFS_FS_RENAME_H

#include "fs/work.h"

void rename_request(fuse_req_t req, fuse_ino_t parent, const char *name,
		    fuse_ino_t new_parent, const char *new_name, unsigned flags);

#endif
