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

static int do_symlink(struct item *item, struct txn *txn, struct error *err)
{
	struct name name;
	struct domain target, d;
	bool changed = false;
	int64_t until_s, now_s = clock_now_s(item->fs->clk);
	int r = domain_get(txn, item->target, &target, err);
	if (r == 0)
		r = name_parse(item->name, &name, err);
	if (r == 0)
		r = domain_alias(txn, &name, item->target, now_s, &d, err);
	if (r == 0)
		r = generation_fallback(txn, item->target, now_s,
					policy_keep(&target.policy, item->fs->cfg),
					SERVE_NOW, &changed, &until_s, err);
	if (r == 0)
		r = item_event(item, txn, EVENT_INSTALLED, &target, err,
			       "%s is an alias of %s", name.text, target.name.text);
	if (r == 0)
		r = engine_touch_in(txn, item->target, now_s, err);
	if (r == 0)
		r = changed_mark(txn, item->target, 0, &item->serial_changed, err);
	item->changed = item->target;
	item->served_changed = changed;
	return r;
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
	struct item *item = change_item(req, name, do_symlink);
	if (!item)
		return;
	item->target = d.number;
	item->reply = change_reply_entry;
	work_submit(item);
}
