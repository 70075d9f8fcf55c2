/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/alias.h"

#include "acme/engine.h"
#include "fs/change.h"
#include "fs/tree.h"
#include "store/changed.h"
#include "store/generation.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int alias_remove(struct item *item, struct txn *txn, struct error *err)
{
	struct domain d;
	int64_t now_s = clock_now_s(item->fs->clk);
	int r = domain_find(txn, item->name, &d, err);
	if (r == 0 && !d.target)
		r = error_set(err, EISDIR, "%s is a directory: rmdir removes it",
			      item->name);
	if (r == 0)
		r = domain_unalias(txn, d.number, now_s, err);
	if (r == 0)
		r = engine_touch_in(txn, d.target, now_s, err);
	if (r == 0)
		r = changed_mark(txn, d.number, 0, &item->serial_changed, err);
	item->changed = d.number;
	if (r == 0)
		item_line(item, &d, "%s is an alias no more", d.name.text);
	return r;
}

/* `instead`: what is told of the directory that it pointed to; "": none. */
static int point(struct item *item, struct txn *txn, const struct name *name,
		 const char *instead, struct error *err)
{
	struct domain target, d;
	bool changed = false;
	int64_t until_s, now_s = clock_now_s(item->fs->clk);
	int r = domain_get(txn, item->target, &target, err);
	if (r == 0)
		r = domain_alias(txn, name, item->target, now_s, &d, err);
	if (r == 0)
		r = generation_fallback(txn, item->target, now_s,
					policy_keep(&target.policy, item->fs->cfg),
					SERVE_NOW, &changed, &until_s, err);
	if (r == 0)
		r = item_event(item, txn, EVENT_INSTALLED, &target, err,
			       "%s is an alias of %s%s", name->text, target.name.text,
			       instead);
	if (r == 0)
		r = engine_touch_in(txn, item->target, now_s, err);
	if (r == 0)
		r = changed_mark(txn, item->target, 0, &item->serial_changed, err);
	item->changed = item->target;
	item->served_changed = changed;
	return r;
}

static int do_symlink(struct item *item, struct txn *txn, struct error *err)
{
	struct name name;
	int r = name_parse(item->name, &name, err);
	return r ? r : point(item, txn, &name, "", err);
}

/* Takes the alias `d` from the directory that it points to. */
static int take_away(struct item *item, struct txn *txn, const struct domain *d,
		     char *instead, size_t room, struct error *err)
{
	struct domain before;
	int64_t now_s = clock_now_s(item->fs->clk);
	int r = domain_get(txn, d->target, &before, err);
	if (r == 0)
		r = domain_unalias(txn, d->number, now_s, err);
	if (r == 0)
		r = engine_touch_in(txn, d->target, now_s, err);
	if (r == 0)
		r = changed_mark(txn, d->number, 0, &item->serial_too, err);
	if (r == 0)
		r = event_add(txn, EVENT_INSTALLED, d->target, now_s, err,
			      "%s is no alias of %s any more", d->name.text,
			      before.name.text);
	if (r == 0)
		snprintf(instead, room, ", and of %s no more", before.name.text);
	item->changed_too = d->number;
	return r;
}

static int do_rename(struct item *item, struct txn *txn, struct error *err)
{
	char instead[NAME_MAX_TEXT + 32] = "";
	struct name name;
	struct domain d;
	if (item->lost)
		return error_set(err, EIO,
				 "%s: the symlink died with the process that held it: ln "
				 "-sfn makes it again",
				 item->name);
	int r = name_parse(item->name, &name, err);
	if (r < 0)
		return r;
	r = domain_find(txn, name.text, &d, err);
	bool there = r == 0 && d.installed;
	if (r < 0 && r != -ENOENT)
		return r;
	if (there && !d.target)
		return error_set(err, EISDIR,
				 "%s is a directory: an alias has a name of its own",
				 name.text);
	if (there && d.target == item->target)
		return 0;
	error_clear(err);
	if (there)
		r = take_away(item, txn, &d, instead, sizeof(instead), err);
	return there && r < 0 ? r : point(item, txn, &name, instead, err);
}

static void reply_renamed(struct item *item)
{
	scratch_remove_serial(item->fs->scratch, item->serial);
	fuse_reply_err(item->req, 0);
}

void alias_rename(fuse_req_t req, const char *name, const char *new_name)
{
	struct fs *fs = fs_of(req);
	struct scratch_info info = {0};
	bool found = scratch_find(fs->scratch, NODE_ROOT, name, &info);
	if (!found && !fs->replaying) {
		change_refuse(
		    req, EPERM, name,
		    "directories and served files keep their names: mkdir makes a new "
		    "one, and ln -sfn points an alias elsewhere");
		return;
	}
	struct item *item = change_item(req, new_name, do_rename);
	if (!item)
		return;
	item->target = info.target;
	item->serial = info.serial;
	item->lost = !found;
	item->reply = reply_renamed;
	work_submit(item);
}

/* What is no alias' name can be a name until its rename, unless somebody meant it for one: of
 * those that ln and others make up, none has a dot in it but at its beginning. */
static bool is_temporary(const char *name)
{
	struct name parsed;
	struct error ignored;
	return name_parse(name, &parsed, &ignored) < 0 &&
	       (name[0] == '.' || !strchr(name, '.'));
}

static void link_scratch(fuse_req_t req, const char *name, const struct domain *target)
{
	struct fs *fs = fs_of(req);
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct fuse_entry_param entry;
	struct scratch_info info = {.dir = NODE_ROOT,
				    .kind = SCRATCH_LINK,
				    .target = target->number,
				    .uid = ctx->uid,
				    .gid = ctx->gid};
	struct txn *txn;
	struct error err;
	int64_t now_s = clock_now_s(fs->clk);
	scratch_expire(fs->scratch, now_s);
	int r = scratch_create(fs->scratch, name, ctx->uid, now_s, &info, &err);
	if (r == 0)
		r = db_read_begin(fs->db, &txn, &err);
	if (r < 0) {
		fs_refuse(req, &err);
		return;
	}
	r = tree_entry(fs, txn, scratch_node(&info), &entry, &err);
	db_read_end(txn);
	if (r < 0) {
		fs_refuse(req, &err);
		return;
	}
	log_info(
	    fs->lg, target->name.text,
	    "the symlink %s is its owner's alone, and no alias until it is renamed to "
	    "one",
	    name);
	fuse_reply_entry(req, &entry);
}

void alias_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		   const char *name)
{
	struct fs *fs = fs_of(req);
	struct domain d;
	struct txn *txn;
	struct error err;
	char plain[NAME_MAX_TEXT];
	if (parent != NODE_ROOT) {
		change_refuse(req, EPERM, name,
			      "aliases stand beside the directories of app domains");
		return;
	}
	int length = snprintf(plain, sizeof(plain), "%s", target);
	if (length > 0 && length < (int)sizeof(plain) && plain[length - 1] == '/')
		plain[length - 1] = '\0';
	if (db_read_begin(fs->db, &txn, &err) < 0) {
		fs_refuse(req, &err);
		return;
	}
	int r = domain_find(txn, plain, &d, &err);
	db_read_end(txn);
	if (r < 0 || !d.installed) {
		change_refuse(
		    req, ENOENT, name,
		    "an alias points to an app domain's directory beside it (ln -s "
		    "app.example.com "
		    "www.example.com)");
		return;
	}
	if (is_temporary(name)) {
		link_scratch(req, name, &d);
		return;
	}
	struct item *item = change_item(req, name, do_symlink);
	if (!item)
		return;
	item->target = d.number;
	item->reply = change_reply_entry;
	work_submit(item);
}
