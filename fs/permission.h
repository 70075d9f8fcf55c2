/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* permission: which owners and modes can be set.
 *
 * Those of app domains' directories and of the files in them are kept in the store; who may
 * set them is the kernel's to say (default_permissions). A mode that would give everybody a
 * key, or the right to replace one, is refused with EPERM. Only where it comes along with a
 * file that is being written (cp -p, install, mv of a file that everybody may read) are the
 * bits for everybody left out, so that writing works as anywhere. There are no ACLs: setfacl
 * gets the kernel's EOPNOTSUPP. */
#ifndef CERTFS_FS_PERMISSION_H
#define CERTFS_FS_PERMISSION_H

#include "fs/node.h"

/* Can the attributes FUSE_SET_ATTR_* of `set` be set for it? */
bool permission_settable(const struct node *n, int set);
/* EPERM with a reason. `wrote`: the one who asks has just written the file. */
int permission_check(const struct node *n, uint32_t mode, bool wrote,
		     const struct domain *d, struct error *err);

#endif
