/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* rename: RENAME in a domain's directory; that of aliases is alias.h's.
 *
 * A scratch file that is renamed over a served name, from beside it or out of a scratch folder, is
 * installed as if it had been written there; over another name it is only called otherwise.
 *
 * A served file that is moved to another name of its directory (the backup of `sed -i.bak`, of
 * perl and emacs) is copied to a scratch file of that name, for the owner of the served file
 * alone, and its own name taken away as by rm: unless it is written anew within seconds, the
 * custom certificate goes. Elsewhere served files can't be moved, and directories keep their
 * names.
 *
 * The kernel takes the renamed entry to its new name along with the time for which it holds it:
 * a day, for a served name. So the first RENAME of a served file is answered ESTALE, upon which
 * the kernel looks the path up anew and renames once more (fs/namei.c, do_renameat2,
 * LOOKUP_REVAL); that look-up is answered with an entry that is good for no time, and what the
 * new name stands for is asked as soon as somebody uses it. */
#ifndef CERTFS_FS_RENAME_H
#define CERTFS_FS_RENAME_H

#include "fs/work.h"

void rename_request(fuse_req_t req, fuse_ino_t parent, const char *name,
		    fuse_ino_t new_parent, const char *new_name, unsigned flags);

#endif
