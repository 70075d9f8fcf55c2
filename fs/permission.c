/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/permission.h"

#include "fs/tree.h"

#include <errno.h>

#define OTHERS       0007u
#define OTHERS_WRITE 0002u

bool permission_settable(const struct node *n, int set)
{
	const int times = FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME |
			  FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW;
	enum page_kind page;
	if (set & FUSE_SET_ATTR_SIZE)
		return false;
	if (tree_page_kind(n, &page)) /* status is always as new as its reader */
		return page == PAGE_POLICY || !(set & times);
	return n->kind == NODE_FILE || (n->kind == NODE_DIR && n->number != 0);
}

int permission_check(const struct node *n, uint32_t mode, bool wrote,
		     const struct domain *d, struct error *err)
{
	bool key = n->kind == NODE_FILE && file_is_secret((enum file_kind)n->index);
	if (wrote)
		return 0;
	if (key && mode & OTHERS)
		return error_set(err, EPERM,
				 "%s of %s holds a key, which is never for everybody: "
				 "mode %04o is refused, give it to a group instead",
				 file_name[n->index], d->name.text, mode & 07777);
	if (mode & OTHERS_WRITE && n->kind == NODE_DIR)
		return error_set(err, EPERM,
				 "everybody could replace the key of %s: mode %04o of "
				 "its directory is refused, give it an owner or a group "
				 "instead",
				 d->name.text, mode & 07777);
	if (mode & OTHERS_WRITE)
		return error_set(err, EPERM,
				 "everybody could write a file of %s: mode %04o is "
				 "refused, give it an owner or a group instead",
				 d->name.text, mode & 07777);
	return 0;
}
