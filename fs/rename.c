/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/rename.h"

#include "fs/change.h"
#include "fs/install.h"
#include "fs/policy_file.h"
#include "fs/publish.h"
#include "fs/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static void reply_renamed(struct item *item)
{
	scratch_remove_serial(item->fs->scratch, item->serial);
	fuse_reply_err(item->req, 0);
}

/* A scratch file of such a name would never be found. */
static bool file_is_certfs(const char *name)
{
	return strcmp(name, page_name[PAGE_STATUS]) == 0 ||
	       strcmp(name, page_name[PAGE_STATUS_JSON]) == 0 ||
	       strcmp(name, ".history") == 0;
}

static void rename_scratch(fuse_req_t req, uint32_t number, const char *from,
			   const char *to)
{
	struct fs *fs = fs_of(req);
	struct scratch_info info = {0};
	enum file_kind kind = file_kind_of(to);
	if (!scratch_find(fs->scratch, number, from, &info)) {
		/* Of a dead worker, or this is the repeat of one that was done. */
		if (!fs->replaying) {
			change_refuse(req, EPERM, from,
				      "served files can't be moved: cp them");
			return;
		}
	} else if (kind == FILE_KINDS && file_is_certfs(to)) {
		change_refuse(req, EPERM, to, "this file is written by certfs");
		return;
	} else if (kind == FILE_KINDS && !tree_is_policy(to)) {
		int r = scratch_rename(fs->scratch, number, from, to);
		fuse_reply_err(req, -r);
		return;
	}
	bool policy = tree_is_policy(to);
	struct item *item = change_item(req, to, policy ? policy_file_run : install_run);
	if (!item)
		return;
	item->failed = install_refused;
	item->reply = reply_renamed;
	item->notify_first = false;
	item->number = number;
	item->kind = kind == FILE_KINDS ? FILE_CERT : kind;
	item->serial = info.serial;
	item->told_of = 1u << item->kind; /* by this rename itself */
	gone_note(&fs->wrote, fuse_req_ctx(req)->pid, number, item->kind, fs_now_ms());
	item->content = scratch_content(fs->scratch, info.serial);
	item->lost = !item->content;
	item->mode = info.mode_set ? info.mode : OWNER_KEEP;
	item->owner_uid = info.uid_set ? info.uid : OWNER_KEEP;
	item->owner_gid = info.gid_set ? info.gid : OWNER_KEEP;
	item->mtime_s = info.times_set ? info.mtime_s : 0;
	work_submit(item);
}

void rename_request(fuse_req_t req, fuse_ino_t parent, const char *name,
		    fuse_ino_t new_parent, const char *new_name, unsigned flags)
{
	uint32_t number;
	if (flags & ~(unsigned)RENAME_NOREPLACE) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	if (!change_domain_dir(parent, &number) || number == 0 || new_parent != parent) {
		change_refuse(
		    req, EPERM, name,
		    "directories and served files keep their names: mkdir makes a new "
		    "one, and "
		    "its certificate is ordered or copied with cp");
		return;
	}
	if (!publish_rename(req, number, name, new_name))
		rename_scratch(req, number, name, new_name);
}
