/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/change.h"

#include "acme/engine.h"
#include "fs/alias.h"
#include "fs/tree.h"
#include "store/changed.h"
#include "store/event.h"
#include "store/generation.h"
#include "store/waiting.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

bool change_domain_dir(fuse_ino_t ino, uint32_t *number)
{
	struct node n;
	if (!node_of(ino, &n) || n.kind != NODE_DIR)
		return false;
	*number = n.number;
	return true;
}

void change_refuse(fuse_req_t req, int code, const char *name, const char *why)
{
	struct error err;
	int r = error_set(&err, code, "%s: %s", name, why);
	(void)r;
	fs_refuse(req, &err);
}

/* The kernel bounds names at NAME_MAX (255), which item->name holds. */
struct item *change_item(fuse_req_t req, const char *name, work_do *run)
{
	struct item *item = work_item(fs_of(req), req, run);
	if (item) {
		snprintf(item->name, sizeof(item->name), "%s", name);
		item->uid = fuse_req_ctx(req)->uid;
		item->gid = fuse_req_ctx(req)->gid;
	}
	return item;
}

void change_reply_entry(struct item *item)
{
	struct fs *fs = item->fs;
	struct fuse_entry_param entry;
	struct txn *txn;
	struct error err;
	uint64_t id;
	if (db_read_begin(fs->db, &txn, &err) < 0) {
		fs_refuse(item->req, &err);
		return;
	}
	int r = tree_find(fs, txn, NODE_ROOT, item->name, 0, &id, &err);
	if (r == 0)
		r = tree_entry(fs, txn, id, &entry, &err);
	db_read_end(txn);
	if (r < 0)
		fs_refuse(item->req, &err);
	else
		fuse_reply_entry(item->req, &entry);
}

static int do_mkdir(struct item *item, struct txn *txn, struct error *err)
{
	struct name name;
	struct domain d;
	bool back, changed;
	int64_t until_s, now_s = clock_now_s(item->fs->clk);
	int r = name_parse(item->name, &name, err);
	if (r == 0)
		r = domain_install(txn, &name, item->uid ? item->uid : OWNER_KEEP,
				   item->gid ? item->gid : OWNER_KEEP, now_s, &d, &back,
				   err);
	if (r == 0)
		r = generation_fallback(txn, d.number, now_s,
					policy_keep(&d.policy, item->fs->cfg), SERVE_NOW,
					&changed, &until_s, err);
	if (r == 0)
		r = item_event(item, txn, EVENT_INSTALLED, &d, err, "%s was installed%s",
			       name.text,
			       back ? " again, with the certificates it had" : "");
	if (r == 0)
		r = work_touch_in(item->fs, txn, &d, now_s, err);
	if (r == 0)
		r = changed_mark(txn, d.number, 0, &item->serial_changed, err);
	if (r == 0) {
		item->changed = d.number;
		item->served_changed = changed;
	}
	return r;
}

/* A name of a domain is one that somebody meant for the root. */
static bool is_meant_for_the_root(const char *name)
{
	struct name parsed;
	struct error ignored;
	return strchr(name, '.') && name_parse(name, &parsed, &ignored) == 0;
}

static int make_folder(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		       struct fuse_entry_param *entry, struct error *err)
{
	struct fs *fs = fs_of(req);
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct scratch_info info = {.dir = parent,
				    .kind = SCRATCH_FOLDER,
				    .uid = ctx->uid,
				    .gid = ctx->gid,
				    .mode = (uint32_t)(mode & ~ctx->umask)};
	struct txn *txn;
	uint64_t id;
	int r = db_read_begin(fs->db, &txn, err);
	if (r < 0)
		return r;
	/* A name that the kernel doesn't know to be there: this thread has unlinked it. */
	if (tree_find(fs, txn, parent, name, 0, &id, err) == 0)
		r = error_set(err, EEXIST, "%s exists", name);
	else
		r = scratch_create(fs->scratch, name, ctx->uid, clock_now_s(fs->clk),
				   &info, err);
	if (r == 0)
		r = tree_entry(fs, txn, scratch_node(&info), entry, err);
	db_read_end(txn);
	return r;
}

static void mkdir_scratch(fuse_req_t req, fuse_ino_t parent, const char *name,
			  mode_t mode)
{
	struct fuse_entry_param entry;
	struct error err;
	uint32_t number;
	if (!change_domain_dir(parent, &number))
		change_refuse(req, EPERM, name, "no folder is made in this one");
	else if (is_meant_for_the_root(name))
		change_refuse(req, EPERM, name,
			      "app domains stand beside each other: this directory has "
			      "only folders for temporary files in it");
	else if (make_folder(req, parent, name, mode, &entry, &err) < 0)
		fs_refuse(req, &err);
	else
		fuse_reply_entry(req, &entry);
}

void change_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	if (parent != NODE_ROOT) {
		mkdir_scratch(req, parent, name, mode);
		return;
	}
	/* Names are public, and keys have modes of their own: `mode` doesn't count. */
	struct item *item = change_item(req, name, do_mkdir);
	if (!item)
		return;
	item->reply = change_reply_entry;
	work_submit(item);
}

static int do_rmdir(struct item *item, struct txn *txn, struct error *err)
{
	struct domain d;
	int64_t now_s = clock_now_s(item->fs->clk);
	int r = domain_find(txn, item->name, &d, err);
	/* `rm -r DIR` unlinked the files first: the certificate is kept all the same. */
	if (r == 0 && d.remove_custom_s) {
		d.remove_custom_s = 0;
		r = domain_put(txn, &d, err);
	}
	if (r == 0)
		r = domain_retire(txn, d.number, now_s, err);
	if (r == 0)
		r = waiting_drop(txn, d.number, err);
	if (r == 0)
		r = item_event(item, txn, EVENT_RETIRED, &d, err,
			       "%s was removed; its certificates are kept", d.name.text);
	if (r == 0)
		r = work_touch_in(item->fs, txn, &d, now_s, err);
	if (r == 0)
		r = changed_mark(txn, d.number, 0, &item->serial_changed, err);
	if (r == 0) {
		item->changed = d.number;
		scratch_drop(item->fs->scratch, d.number);
	}
	return r;
}

/* `rm -r DIR` unlinked the files first: where the directory stays, so does what is in it. */
static int do_stay(struct item *item, struct txn *txn, struct error *err)
{
	struct error why = item->error, none;
	struct domain d;
	if (domain_find(txn, item->name, &d, &none) < 0 || !d.remove_custom_s)
		return 0;
	d.remove_custom_s = 0;
	error_note(&item->error, why.code, "%.400s; its custom certificate stays, too",
		   why.text);
	return domain_put(txn, &d, err);
}

void change_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	if (parent != NODE_ROOT) {
		int r = scratch_rmdir(fs_of(req)->scratch, parent, name);
		if (r == -ENOENT && !fs_of(req)->replaying)
			change_refuse(req, EPERM, name,
				      "this directory belongs to certfs");
		else
			fuse_reply_err(req, r == -ENOENT ? 0 : -r);
		return;
	}
	struct item *item = change_item(req, name, do_rmdir);
	if (!item)
		return;
	item->failed = do_stay;
	work_submit(item);
}

/* Taken away some seconds later: an unlink and a create of the name are one replacement,
 * and when the new file is refused the old pair stands. The engine does it (removal is
 * due). */
int change_remove_custom(struct item *item, struct txn *txn, struct error *err)
{
	struct current c;
	struct domain d;
	int64_t now_s = clock_now_s(item->fs->clk);
	struct waiting w;
	int r = waiting_get(txn, item->number, now_s, &w, err);
	bool waits = r == 0 && w.file[item->kind];
	if (r == 0)
		waiting_clear(&w);
	if (r == 0)
		r = waiting_drop_file(txn, item->number, item->kind, err);
	if (r == 0 && waits)
		r = domain_get(txn, item->number, &d, err);
	if (r == 0 && waits)
		item_line(item, &d, "%s waits no more: it was unlinked", item->name);
	if (r == 0)
		r = current_get(txn, item->number, &c, err);
	if (r < 0 || c.newest[SOURCE_CUSTOM] == 0)
		return r; /* nothing to take away: `rm -r DIR` means rmdir */
	r = domain_get(txn, item->number, &d, err);
	if (r == 0) {
		d.remove_custom_s = now_s + ENGINE_REMOVAL_S;
		r = domain_put(txn, &d, err);
	}
	if (r == 0)
		item_line(
		    item, &d,
		    "%s was unlinked: the custom certificate is taken away in %d s, "
		    "unless it is written anew",
		    item->name, ENGINE_REMOVAL_S);
	if (r == 0)
		r = engine_touch_in(txn, item->number, now_s, err);
	return r;
}

/* Is this the end of an mv(1) to another filesystem? */
static bool is_move(fuse_req_t req, fuse_ino_t parent, uint32_t number, const char *name)
{
	struct fs *fs = fs_of(req);
	struct txn *txn;
	struct error err;
	struct node n;
	uint64_t id;
	if (db_read_begin(fs->db, &txn, &err) < 0)
		return false;
	int r = tree_find(fs, txn, parent, name, 1, &id, &err);
	db_read_end(txn);
	return r == 0 && node_of(id, &n) && !tree_is_scratch(&n) &&
	       copied_has(&fs->copied, fuse_req_ctx(req)->pid, number, n.kind + n.index,
			  fs_now_ms());
}

static bool is_folder(fuse_ino_t ino)
{
	struct node n;
	return node_of(ino, &n) && n.kind == NODE_SCRATCH_DIR;
}

void change_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	uint32_t number;
	int r = scratch_unlink(fs->scratch, parent, name);
	if (r != -ENOENT || is_folder(parent)) {
		/* A dead worker's is gone, as it was meant to be. */
		fuse_reply_err(req, r == -ENOENT && fs->replaying ? 0 : -r);
		return;
	}
	if (!change_domain_dir(parent, &number)) {
		change_refuse(req, EPERM, name, "this file belongs to certfs");
		return;
	}
	if (number != 0 && is_move(req, parent, number, name)) {
		change_refuse(
		    req, EPERM, name,
		    "served files can't be moved away: cp copies them, and rm takes a "
		    "custom certificate away");
		return;
	}
	/* tar(1) creates what it has unlinked until that is done, or refused. */
	if (number != 0 && file_kind_of(name) == FILE_KINDS)
		gone_note(&fs->gone, fuse_req_ctx(req)->pid, number, tree_gone_kind(name),
			  fs_now_ms());
	if (number != 0 && file_kind_of(name) == FILE_KINDS) {
		fuse_reply_err(req, 0); /* status, policy: they are always there */
		return;
	}
	if (number != 0)
		gone_note(&fs->gone, fuse_req_ctx(req)->pid, number, file_kind_of(name),
			  fs_now_ms());
	struct item *item =
	    change_item(req, name, number ? change_remove_custom : alias_remove);
	if (!item)
		return;
	item->number = number;
	item->kind = file_kind_of(name);
	work_submit(item);
}
