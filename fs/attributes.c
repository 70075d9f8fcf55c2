/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/attributes.h"

#include "acme/engine.h"
#include "fs/change.h"
#include "fs/further.h"
#include "fs/permission.h"
#include "fs/tree.h"
#include "store/changed.h"
#include "store/generation.h"
#include "store/waiting.h"

#include <errno.h>
#include <string.h>
#include <time.h>

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

static int set_dir(struct item *item, struct txn *txn, struct domain *d,
		   struct error *err)
{
	apply_owner(&d->dir, item, item->mode & 07775);
	item->changed = d->number;
	int r = changed_mark(txn, d->number, 0, &item->serial_changed, err);
	return r ? r : domain_put(txn, d, err);
}

static void set_owner(struct item *item, struct domain *d, const struct node *n)
{
	struct owner *o = &d->file[n->index];
	apply_owner(o, item, file_mode((enum file_kind)n->index, item->mode));
	if (item->set & FUSE_SET_ATTR_MODE && o->mode != (item->mode & 07777))
		item_line(
		    item, d,
		    "%s holds a key, which is never for everybody: its mode is %04o "
		    "instead of %04o",
		    file_name[n->index], o->mode, item->mode & 07777);
}

/* `rm` and then `touch`: nobody is about to write it anew. */
static int remove_now(struct item *item, struct txn *txn, struct domain *d,
		      const struct node *n, struct error *err)
{
	d->remove_custom_s = clock_now_s(item->fs->clk);
	item_line(item, d, "%s was touched after the rm: the custom certificate goes now",
		  file_name[n->index]);
	return engine_touch_in(txn, d->number, d->remove_custom_s, err);
}

/* Of what waits, too; of that alone, if who asks has just written it (install -m). */
static int set_mode(struct item *item, struct txn *txn, struct domain *d,
		    const struct node *n, struct error *err)
{
	const int set = item->set;
	int r = -ENOENT;
	if (set & FUSE_SET_ATTR_MODE)
		r = waiting_chmod(txn, d->number, (enum file_kind)n->index,
				  item->mode & 07777, clock_now_s(item->fs->clk), err);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0 && item->wrote)
		item->set &= ~FUSE_SET_ATTR_MODE;
	set_owner(item, d, n);
	item->set = set;
	return 0;
}

static int set_file(struct item *item, struct txn *txn, struct domain *d,
		    const struct node *n, struct error *err)
{
	const int now = FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW;
	struct current c;
	int r = current_get(txn, n->number, &c, err);
	if (r == 0)
		r = set_mode(item, txn, d, n, err);
	if (r < 0)
		return r;
	bool touch = (item->set & now) == now;
	bool managed = !c.newest[SOURCE_CUSTOM], renews = false;
	if (touch && !managed && d->remove_custom_s)
		r = remove_now(item, txn, d, n, err);
	else if (touch && managed && n->index != FILE_PRIVKEY &&
		 n->index != FILE_COMBINED) {
		renews = true; /* and writes the row itself */
		r = work_renew_in(item->fs, txn, n->number, err);
	} else if (item->set & FUSE_SET_ATTR_MTIME)
		r = set_mtime(item, txn, d, n, c.served, err);
	if (r == 0 && !renews)
		r = domain_put(txn, d, err);
	/* The kernel knows it of the mount at which it was set. */
	if (r == 0 && further_count(item->fs->further) > 0)
		r = changed_mark(txn, d->number, 0, &item->serial_changed, err);
	item->changed = d->number;
	return r;
}

static int do_setattr(struct item *item, struct txn *txn, struct error *err)
{
	struct domain d;
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
	return n.kind == NODE_DIR ? set_dir(item, txn, &d, err)
				  : set_file(item, txn, &d, &n, err);
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

void attributes_set(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int set,
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
	if (tree_is_scratch(&n) && !lost) {
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
		change_refuse(req, EPERM, "attributes",
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
	item->wrote = file && gone_has(&fs->wrote, fuse_req_ctx(req)->pid, n.number, kind,
				       fs_now_ms());
	item->reply = reply_attr;
	work_submit(item);
}
