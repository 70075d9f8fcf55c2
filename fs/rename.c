/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/rename.h"

#include "fs/alias.h"
#include "fs/change.h"
#include "fs/install.h"
#include "fs/policy_file.h"
#include "fs/publish.h"
#include "fs/tree.h"
#include "store/generation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* A name in a domain's directory, or in a scratch folder of it. */
struct end {
	uint64_t dir;
	struct node node; /* of dir */
	const char *name;
};

static bool end_of(fuse_ino_t dir, const char *name, struct end *end)
{
	end->dir = dir;
	end->name = name;
	return node_of(dir, &end->node) &&
	       (end->node.kind == NODE_DIR || end->node.kind == NODE_SCRATCH_DIR);
}

static bool is_served(const struct end *end)
{
	return tree_is_writable(&end->node, end->name);
}

/* A scratch file of such a name would never be found. */
static bool is_certfs(const struct end *end)
{
	return end->node.kind == NODE_DIR &&
	       (strcmp(end->name, page_name[PAGE_STATUS]) == 0 ||
		strcmp(end->name, page_name[PAGE_STATUS_JSON]) == 0 ||
		strcmp(end->name, ".history") == 0);
}

static int read_file(struct fs *fs, struct txn *txn, const struct end *from,
		     struct stat *st, struct secret **content, struct error *err)
{
	struct node n;
	uint64_t id;
	int r = tree_find(fs, txn, from->dir, from->name, 0, &id, err);
	if (r == 0)
		r = tree_attr(fs, txn, id, st, err);
	if (r < 0)
		return r;
	node_of(id, &n);
	return n.kind == NODE_POLICY
		   ? tree_page(fs, txn, &n, content, err)
		   : generation_read(txn, n.number, n.gen, (enum file_kind)n.index,
				     content, err);
}

/* A name that no process can say: what it becomes stays as it is until the copy is whole. */
#define UNFINISHED ""

/* It counts for who moves it, and is for nobody but the owner of what was served. */
static int copy_to_scratch(struct fs *fs, uint32_t payer, const struct end *from,
			   const struct end *to, struct scratch_info *info,
			   struct error *err)
{
	int64_t now_s = clock_now_s(fs->clk);
	struct secret *content = NULL;
	struct txn *txn;
	struct stat st;
	int r = db_read_begin(fs->db, &txn, err);
	if (r < 0)
		return r;
	r = read_file(fs, txn, from, &st, &content, err);
	db_read_end(txn);
	if (r < 0)
		return r;
	*info = (struct scratch_info){.dir = to->dir,
				      .kind = SCRATCH_FILE,
				      .uid = st.st_uid,
				      .gid = st.st_gid,
				      .mode = st.st_mode & 07777};
	scratch_expire(fs->scratch, now_s);
	r = scratch_create(fs->scratch, UNFINISHED, payer, now_s, info, err);
	if (r < 0)
		goto out;
	info->mtime_s = st.st_mtime;
	info->times_set = info->mode_set = info->uid_set = info->gid_set = true;
	r = scratch_write(fs->scratch, info->serial, secret_data(content),
			  secret_size(content), 0, now_s);
	if (r == 0 && !scratch_set(fs->scratch, info))
		r = -EIO;
	if (r == 0)
		r = scratch_rename(fs->scratch, to->dir, UNFINISHED, to->dir, to->name,
				   now_s);
	if (r < 0) {
		r = error_set(err, -r, "%s can't be kept as %s: %s", from->name, to->name,
			      strerror(-r));
		scratch_remove_serial(fs->scratch, info->serial);
	}
out:
	secret_free(content);
	return r;
}

static int drop_copy(struct item *item, struct txn *txn, struct error *err)
{
	(void)txn;
	(void)err;
	scratch_remove_serial(item->fs->scratch, item->serial);
	return 0;
}

/* Has the kernel been made to look it up anew, for this rename? */
static bool is_looked_up(struct fs *fs, pid_t tid, uint32_t number, enum file_kind kind)
{
	int64_t now_ms = fs_now_ms();
	if (fs->replaying || gone_has(&fs->moving, tid, number, kind, now_ms)) {
		gone_forget(&fs->moving, tid, number, kind);
		return true;
	}
	gone_note(&fs->moving, GONE_ANYBODY, number, kind, now_ms);
	gone_note(&fs->moving, tid, number, kind, now_ms);
	return false;
}

static void move_away(fuse_req_t req, const struct end *from, const struct end *to)
{
	struct fs *fs = fs_of(req);
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	const uint32_t number = from->node.number;
	enum file_kind kind = file_kind_of(from->name);
	struct scratch_info info;
	struct error err;
	if (is_served(to) || is_certfs(to)) {
		change_refuse(req, EPERM, from->name,
			      "served files can't be moved: cp them");
		return;
	}
	if (!is_looked_up(fs, ctx->pid, number, kind)) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	if (copy_to_scratch(fs, ctx->uid, from, to, &info, &err) < 0) {
		fs_refuse(req, &err);
		return;
	}
	gone_note(&fs->gone, ctx->pid, number, kind, fs_now_ms());
	if (kind == FILE_KINDS) { /* policy is always there, as after an unlink */
		fuse_reply_err(req, 0);
		return;
	}
	struct item *item = change_item(req, from->name, change_remove_custom);
	if (!item)
		return;
	item->failed = drop_copy;
	item->number = number;
	item->kind = kind;
	item->serial = info.serial;
	work_submit(item);
}

static void reply_renamed(struct item *item)
{
	scratch_remove_serial(item->fs->scratch, item->serial);
	fuse_reply_err(item->req, 0);
}

/* The old pair stands: what was unlinked a moment ago was to be replaced, too. */
static int refused(struct item *item, struct txn *txn, struct error *err)
{
	struct domain d;
	int r = domain_get(txn, item->number, &d, err);
	if (r == 0 && d.remove_custom_s) {
		d.remove_custom_s = 0;
		r = domain_put(txn, &d, err);
	}
	return r == 0 || r == -ENOENT ? install_refused(item, txn, err) : r;
}

/* `info` NULL: its file died with a worker. The install may have been done before. */
static void install_scratch(fuse_req_t req, const struct end *to,
			    const struct scratch_info *info)
{
	static const struct scratch_info none = {0};
	struct fs *fs = fs_of(req);
	const uint32_t number = to->node.number;
	enum file_kind kind = file_kind_of(to->name);
	bool policy = tree_is_policy(to->name);
	struct item *item =
	    change_item(req, to->name, policy ? policy_file_run : install_run);
	if (!item)
		return;
	if (!info)
		info = &none;
	item->failed = refused;
	item->reply = reply_renamed;
	item->notify_first = false;
	item->number = number;
	item->kind = kind;
	item->serial = info->serial;
	item->told_of = policy ? 0 : 1u << kind; /* by this rename itself */
	gone_note(&fs->wrote, fuse_req_ctx(req)->pid, number, kind, fs_now_ms());
	item->content = scratch_content(fs->scratch, info->serial);
	item->lost = !item->content;
	item->mode = info->mode_set ? info->mode : OWNER_KEEP;
	item->owner_uid = info->uid_set ? info->uid : OWNER_KEEP;
	item->owner_gid = info->gid_set ? info->gid : OWNER_KEEP;
	item->mtime_s = info->times_set ? info->mtime_s : 0;
	work_submit(item);
}

static void rename_scratch(fuse_req_t req, const struct end *from, const struct end *to)
{
	struct fs *fs = fs_of(req);
	struct scratch_info info;
	bool found = scratch_find(fs->scratch, from->dir, from->name, &info);
	if (!found && !fs->replaying)
		change_refuse(req, EPERM, from->name, "this file is written by certfs");
	else if (!found)
		install_scratch(req, to, NULL);
	else if (is_certfs(to))
		change_refuse(req, EPERM, to->name, "this file is written by certfs");
	else if (is_served(to) && info.kind != SCRATCH_FILE)
		change_refuse(req, EPERM, to->name, "a folder is no certificate");
	else if (is_served(to))
		install_scratch(req, to, &info);
	else
		fuse_reply_err(req,
			       -scratch_rename(fs->scratch, from->dir, from->name,
					       to->dir, to->name, clock_now_s(fs->clk)));
}

/* A scratch file of another user, which the kernel, that found no such name, would replace. */
static bool is_hidden(fuse_req_t req, const struct end *to)
{
	struct scratch_info info;
	return scratch_find(fs_of(req)->scratch, to->dir, to->name, &info) &&
	       !scratch_visible(&info, fuse_req_ctx(req)->uid);
}

void rename_request(fuse_req_t req, fuse_ino_t parent, const char *name,
		    fuse_ino_t new_parent, const char *new_name, unsigned flags)
{
	struct end from, to;
	if (flags & ~(unsigned)RENAME_NOREPLACE) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	if (parent == NODE_ROOT && new_parent == NODE_ROOT) {
		alias_rename(req, name, new_name);
		return;
	}
	if (!end_of(parent, name, &from) || !end_of(new_parent, new_name, &to) ||
	    from.node.number == 0 || from.node.number != to.node.number) {
		change_refuse(
		    req, EPERM, name,
		    "directories and served files keep their names: mkdir makes a new "
		    "one, and "
		    "its certificate is ordered or copied with cp");
		return;
	}
	if (parent == new_parent && publish_rename(req, from.node.number, name, new_name))
		return;
	if (is_hidden(req, &to))
		change_refuse(req, EACCES, new_name, "it is another user's");
	else if (is_served(&from))
		move_away(req, &from, &to);
	else
		rename_scratch(req, &from, &to);
}
