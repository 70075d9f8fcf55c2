/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/change.h"

#include "acme/engine.h"
#include "fs/further.h"
#include "fs/install.h"
#include "fs/permission.h"
#include "fs/policy_file.h"
#include "fs/publish.h"
#include "fs/tree.h"
#include "store/changed.h"
#include "store/event.h"
#include "store/generation.h"
#include "store/waiting.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static bool domain_dir(fuse_ino_t ino, uint32_t *number)
{
	struct node n;
	if (!node_of(ino, &n) || n.kind != NODE_DIR)
		return false;
	*number = n.number;
	return true;
}

static void refuse(fuse_req_t req, int code, const char *name, const char *why)
{
	struct error err;
	int r = error_set(&err, code, "%s: %s", name, why);
	(void)r;
	fs_refuse(req, &err);
}

/* The kernel bounds names at NAME_MAX (255), which item->name holds. */
static struct item *named_item(fuse_req_t req, const char *name, work_do *run)
{
	struct item *item = work_item(fs_of(req), req, run);
	if (item) {
		snprintf(item->name, sizeof(item->name), "%s", name);
		item->uid = fuse_req_ctx(req)->uid;
		item->gid = fuse_req_ctx(req)->gid;
	}
	return item;
}

static void reply_entry(struct item *item)
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

void change_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	(void)mode; /* names are public; keys have modes of their own */
	if (parent != NODE_ROOT) {
		refuse(req, EPERM, name,
		       "an app domain's directory has no directories in it");
		return;
	}
	struct item *item = named_item(req, name, do_mkdir);
	if (!item)
		return;
	item->reply = reply_entry;
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
		refuse(req, EPERM, name, "this directory belongs to certfs");
		return;
	}
	struct item *item = named_item(req, name, do_rmdir);
	if (!item)
		return;
	item->failed = do_stay;
	work_submit(item);
}

static int do_unalias(struct item *item, struct txn *txn, struct error *err)
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

/* Taken away some seconds later: an unlink and a create of the name are one replacement,
 * and when the new file is refused the old pair stands. The engine does it (removal is
 * due). */
static int do_remove_custom(struct item *item, struct txn *txn, struct error *err)
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
	return r == 0 && node_of(id, &n) && n.kind != NODE_SCRATCH &&
	       copied_has(&fs->copied, fuse_req_ctx(req)->pid, number, n.kind + n.index,
			  fs_now_ms());
}

void change_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	uint32_t number;
	if (!domain_dir(parent, &number)) {
		refuse(req, EPERM, name, "this file belongs to certfs");
		return;
	}
	if (number != 0 && scratch_remove(fs->scratch, number, name)) {
		fuse_reply_err(req, 0);
		return;
	}
	if (number != 0 && is_move(req, parent, number, name)) {
		refuse(req, EPERM, name,
		       "served files can't be moved away: cp copies them, and rm takes a "
		       "custom certificate away");
		return;
	}
	if (number != 0 && tree_is_policy(name))
		gone_note(&fs->gone, fuse_req_ctx(req)->pid, number, FILE_KINDS,
			  fs_now_ms());
	if (number != 0 && file_kind_of(name) == FILE_KINDS) {
		fuse_reply_err(req, 0); /* status, policy: they are always there */
		return;
	}
	if (number != 0)
		gone_note(&fs->gone, fuse_req_ctx(req)->pid, number, file_kind_of(name),
			  fs_now_ms());
	struct item *item = named_item(req, name, number ? do_remove_custom : do_unalias);
	if (!item)
		return;
	item->number = number;
	item->kind = file_kind_of(name);
	work_submit(item);
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

void change_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		    const char *name)
{
	struct fs *fs = fs_of(req);
	struct domain d;
	struct txn *txn;
	struct error err;
	char plain[NAME_MAX_TEXT];
	if (parent != NODE_ROOT) {
		refuse(req, EPERM, name,
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
		refuse(req, ENOENT, name,
		       "an alias points to an app domain's directory beside it (ln -s "
		       "app.example.com "
		       "www.example.com)");
		return;
	}
	struct item *item = named_item(req, name, do_symlink);
	if (!item)
		return;
	item->target = d.number;
	item->reply = reply_entry;
	work_submit(item);
}

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
			refuse(req, EPERM, from, "served files can't be moved: cp them");
			return;
		}
	} else if (kind == FILE_KINDS && file_is_certfs(to)) {
		refuse(req, EPERM, to, "this file is written by certfs");
		return;
	} else if (kind == FILE_KINDS && !tree_is_policy(to)) {
		int r = scratch_rename(fs->scratch, number, from, to);
		fuse_reply_err(req, -r);
		return;
	}
	bool policy = tree_is_policy(to);
	struct item *item = named_item(req, to, policy ? policy_file_run : install_run);
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

void change_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		   fuse_ino_t new_parent, const char *new_name, unsigned flags)
{
	uint32_t number;
	if (flags & ~(unsigned)RENAME_NOREPLACE) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	if (!domain_dir(parent, &number) || number == 0 || new_parent != parent) {
		refuse(req, EPERM, name,
		       "directories and served files keep their names: mkdir makes a new "
		       "one, and "
		       "its certificate is ordered or copied with cp");
		return;
	}
	if (!publish_rename(req, number, name, new_name))
		rename_scratch(req, number, name, new_name);
}

static void apply_owner(struct owner *o, const struct item *item, uint32_t mode)
{
	if (item->set & FUSE_SET_ATTR_MODE)
		o->mode = mode;
	if (item->set & FUSE_SET_ATTR_UID)
		o->uid = item->uid;
	if (item->set & FUSE_SET_ATTR_GID)
		o->gid = item->gid;
}

static int set_page(struct item *item, struct txn *txn, struct domain *d,
		    enum page_kind kind, struct error *err)
{
	apply_owner(&d->page[kind], item, page_mode(item->mode));
	if (kind == PAGE_POLICY && item->set & FUSE_SET_ATTR_MTIME)
		d->policy.written_s = item->mtime_s;
	return domain_put(txn, d, err);
}

/* Of what waits, when it was written by this name last. */
static int set_mtime(const struct item *item, struct txn *txn, struct domain *d,
		     const struct node *n, uint32_t served, struct error *err)
{
	int r = waiting_touch(txn, d->number, (enum file_kind)n->index, item->mtime_s,
			      clock_now_s(item->fs->clk), err);
	if (r != -ENOENT)
		return r;
	if (d->times_gen != served)
		memset(d->mtime_s, 0, sizeof(d->mtime_s));
	d->times_gen = served;
	d->mtime_s[n->index] = item->mtime_s;
	return 0;
}

static int do_setattr(struct item *item, struct txn *txn, struct error *err)
{
	struct domain d;
	struct current c;
	struct node n;
	enum page_kind page;
	if (!node_of(item->node, &n))
		return error_set(err, ESTALE, "node is unknown");
	int r = domain_get(txn, n.number, &d, err);
	if (r == 0)
		memcpy(item->domain, d.name.text, sizeof(item->domain));
	if (r == 0 && item->set & FUSE_SET_ATTR_MODE)
		r = permission_check(&n, item->mode, item->wrote, &d, err);
	if (r < 0)
		return r;
	if (tree_page_kind(&n, &page))
		return set_page(item, txn, &d, page, err);
	if (n.kind == NODE_DIR) {
		apply_owner(&d.dir, item, item->mode & 07777);
		item->changed = d.number;
		r = changed_mark(txn, d.number, 0, &item->serial_changed, err);
		return r ? r : domain_put(txn, &d, err);
	}
	r = current_get(txn, n.number, &c, err);
	if (r < 0)
		return r;
	apply_owner(&d.file[n.index], item,
		    file_mode((enum file_kind)n.index, item->mode));
	if (item->set & FUSE_SET_ATTR_MODE &&
	    d.file[n.index].mode != (item->mode & 07777))
		item_line(
		    item, &d,
		    "%s holds a key, which is never for everybody: its mode is %04o "
		    "instead of %04o",
		    file_name[n.index], d.file[n.index].mode, item->mode & 07777);
	int now = FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW;
	bool touch = (item->set & now) == now;
	bool managed = !c.newest[SOURCE_CUSTOM];
	if (touch && !managed && d.remove_custom_s) {
		/* `rm` and then `touch`: nobody is about to write it anew. */
		d.remove_custom_s = clock_now_s(item->fs->clk);
		touch = false;
		item_line(item, &d,
			  "%s was touched after the rm: the custom certificate goes now",
			  file_name[n.index]);
		r = engine_touch_in(txn, d.number, d.remove_custom_s, err);
	} else if (touch && managed && n.index != FILE_PRIVKEY &&
		   n.index != FILE_COMBINED)
		r = work_renew_in(item->fs, txn, n.number, err);
	else if (item->set & FUSE_SET_ATTR_MTIME)
		r = set_mtime(item, txn, &d, &n, c.served, err);
	/* engine_renew_in() wrote the row itself */
	if (r == 0 && (!touch || !managed))
		r = domain_put(txn, &d, err);
	/* The kernel knows it of the mount at which it was set. */
	if (r == 0 && further_count(item->fs->further) > 0)
		r = changed_mark(txn, d.number, 0, &item->serial_changed, err);
	item->changed = d.number;
	return r;
}

static void reply_attr(struct item *item)
{
	struct fs *fs = item->fs;
	struct txn *txn;
	struct stat st;
	struct error err;
	if (db_read_begin(fs->db, &txn, &err) < 0) {
		fs_refuse(item->req, &err);
		return;
	}
	int r = tree_attr(fs, txn, item->node, &st, &err);
	db_read_end(txn);
	if (r < 0)
		fuse_reply_err(item->req, err.code);
	else
		fuse_reply_attr(item->req, &st, tree_attr_timeout(item->node));
}

static int64_t wanted_mtime(struct fs *fs, const struct stat *attr, int set)
{
	return set & FUSE_SET_ATTR_MTIME_NOW ? clock_now_s(fs->clk)
					     : (int64_t)attr->st_mtime;
}

static void set_scratch(fuse_req_t req, fuse_ino_t ino, uint32_t serial,
			const struct stat *attr, int set)
{
	struct fs *fs = fs_of(req);
	struct scratch_info info;
	int r = 0;
	if (set & FUSE_SET_ATTR_SIZE)
		r = scratch_resize(fs->scratch, serial, (uint64_t)attr->st_size,
				   clock_now_s(fs->clk));
	if (!scratch_info(fs->scratch, serial, &info))
		r = -EIO;
	if (set & FUSE_SET_ATTR_MODE) {
		info.mode = attr->st_mode & 0777;
		info.mode_set = true;
	}
	if (set & FUSE_SET_ATTR_UID)
		info.uid = attr->st_uid;
	if (set & FUSE_SET_ATTR_GID)
		info.gid = attr->st_gid;
	info.uid_set |= !!(set & FUSE_SET_ATTR_UID);
	info.gid_set |= !!(set & FUSE_SET_ATTR_GID);
	if (set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW)) {
		info.mtime_s = wanted_mtime(fs, attr, set);
		info.times_set =
		    set & FUSE_SET_ATTR_MTIME && !(set & FUSE_SET_ATTR_MTIME_NOW);
	}
	if (r < 0 || !scratch_set(fs->scratch, &info))
		fuse_reply_err(req, r < 0 ? -r : EIO);
	else
		tree_getattr(req, ino, NULL);
}

/* The second half of open(O_TRUNC), by the thread that opened: it names no handle (fs/fuse/dir.c,
 * fuse_do_setattr), and truncate(2) looks the same. */
static bool is_open_truncation(const struct stat *attr, int set,
			       const struct fuse_file_info *fi)
{
	return !fi && set & FUSE_SET_ATTR_SIZE && attr->st_size == 0;
}

/* cp -p sets times, owner and mode before its close: they go along with the install, and
 * with what is refused they change nothing. */
static void set_handle(fuse_req_t req, fuse_ino_t ino, struct handle *h,
		       const struct stat *attr, int set, struct fuse_file_info *fi)
{
	int r = 0;
	if (set & FUSE_SET_ATTR_SIZE)
		r = handle_resize(h, (uint64_t)attr->st_size);
	if (r == 0 && is_open_truncation(attr, set, fi)) {
		h->emptied = true;
		h->dirty = false; /* nothing was written yet */
	}
	if (set & FUSE_SET_ATTR_MODE)
		h->mode = attr->st_mode & 07777;
	if (set & FUSE_SET_ATTR_UID)
		h->owner_uid = attr->st_uid;
	if (set & FUSE_SET_ATTR_GID)
		h->owner_gid = attr->st_gid;
	if (set & FUSE_SET_ATTR_MTIME && !(set & FUSE_SET_ATTR_MTIME_NOW))
		h->mtime_s = attr->st_mtime;
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		tree_getattr(req, ino, fi);
}

void change_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int set,
		    struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct handle *h = fi ? handle_find(fs->handles, fi->fh) : NULL;
	struct node n;
	if (!node_of(ino, &n)) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	/* futimens(2) and fchmod(2) come without a handle (fs/fuse/dir.c: only a truncate
	 * names it): they are meant for what this process is writing. */
	bool policy = n.kind == NODE_POLICY, file = policy || n.kind == NODE_FILE;
	enum file_kind kind = policy ? FILE_KINDS : (enum file_kind)n.index;
	if (!h && file)
		h = handle_of(fs->handles, n.number, kind, fuse_req_ctx(req)->pid);
	bool lost = fi && fi->fh && !handle_is_ours(fs->handles, fi->fh);
	if (n.kind == NODE_SCRATCH && !lost) {
		set_scratch(req, ino, n.gen, attr, set);
		return;
	}
	if (h && h->writing && (h->dirty || !h->content || set & FUSE_SET_ATTR_SIZE)) {
		set_handle(req, ino, h, attr, set, fi);
		return;
	}
	if (lost || (!h && file && is_open_truncation(attr, set, fi))) {
		fuse_reply_err(req, EIO); /* its handle died with a worker */
		return;
	}
	if (!permission_settable(&n, set)) {
		refuse(req, EPERM, "attributes",
		       "only those of app domains' directories and their "
		       "files can be set, and no file's size");
		return;
	}
	struct item *item = work_item(fs, req, do_setattr);
	if (!item)
		return;
	item->node = ino;
	item->set = set;
	item->mode = attr->st_mode;
	item->uid = attr->st_uid;
	item->gid = attr->st_gid;
	item->mtime_s = wanted_mtime(fs, attr, set);
	item->wrote =
	    gone_has(&fs->wrote, fuse_req_ctx(req)->pid, n.number, kind, fs_now_ms());
	item->reply = reply_attr;
	work_submit(item);
}
