/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/file.h"

#include "acme/engine.h"
#include "fs/held.h"
#include "fs/install.h"
#include "fs/killed.h"
#include "fs/pages.h"
#include "fs/policy_file.h"
#include "fs/tree.h"
#include "fs/work.h"
#include "store/generation.h"
#include "store/order.h"
#include "store/waiting.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

static bool wants_write(const struct fuse_file_info *fi)
{
	return (fi->flags & O_ACCMODE) != O_RDONLY;
}

/* A reader of a certificate in its renewal time starts the renewal; it is not delayed. */
static void note_read(struct fs *fs, struct txn *txn, const struct node *n)
{
	int64_t now_s = clock_now_s(fs->clk);
	struct generation g;
	struct domain d;
	struct error err;
	/* Whatever the policy says, it is not renewed before that: most reads end here. */
	if (n->index != FILE_PRIVKEY &&
	    generation_get(txn, n->number, n->gen, &g, &err) == 0 &&
	    g.source == SOURCE_MANAGED &&
	    engine_renew_at_s(CONFIG_BEFORE_MAX, &g) <= now_s &&
	    domain_get(txn, n->number, &d, &err) == 0 &&
	    engine_renew_at_s(policy_before_days(&d.policy, fs->cfg), &g) <= now_s)
		work_read(fs, n->number);
}

uint32_t file_openers_generation(fuse_req_t req, struct txn *txn, const struct node *n,
				 uint32_t served, int64_t since_ms)
{
	struct fs *fs = fs_of(req);
	const struct pairs_open o = {
	    .tid = fuse_req_ctx(req)->pid,
	    .unique = fs->unique,
	    .number = n->number,
	    .kind = (enum file_kind)n->index,
	    .asked = n->gen,
	    .served = served,
	    .now_ms = fs_now_ms(),
	    .hold = fs->hold,
	    .by_path = fs->read_only,
	    .since_ms = since_ms,
	    .group_of = pairs_thread_group,
	};
	struct generation g;
	struct error err;
	uint32_t gen = pairs_open(fs->pairs, &o);
	if (gen != PAIRS_HELD && gen != served && gen != n->gen &&
	    generation_get(txn, n->number, gen, &g, &err) < 0)
		gen = pairs_open_anew(fs->pairs, &o);
	return gen;
}

static int open_served(fuse_req_t req, struct txn *txn, const struct node *n,
		       struct fuse_file_info *fi, struct error *err)
{
	struct fs *fs = fs_of(req);
	struct current c;
	int r = current_get(txn, n->number, &c, err);
	if (r < 0)
		return r;
	uint32_t gen = file_openers_generation(req, txn, n, c.served, 0);
	if (gen == PAIRS_HELD)
		return error_set(err, EAGAIN, "others of its group are not through");
	if (gen != n->gen)
		return error_set(err, ESTALE, "the opener reads generation %u", gen);
	note_read(fs, txn, n);
	fi->keep_cache = 1;
	fi->noflush = 1;
	return 0;
}

static int do_keep_custom(struct item *item, struct txn *txn, struct error *err)
{
	struct domain d;
	int r = domain_get(txn, item->number, &d, err);
	if (r < 0)
		return r;
	d.remove_custom_s = 0;
	return domain_put(txn, &d, err);
}

/* A file that was unlinked is written again: a replacement, and no removal. */
static void keep_custom(struct fs *fs, uint32_t number)
{
	struct domain d;
	struct error err;
	struct txn *txn;
	if (db_read_begin(fs->db, &txn, &err) < 0)
		return;
	int r = domain_get(txn, number, &d, &err);
	db_read_end(txn);
	if (r < 0 || !d.remove_custom_s)
		return;
	struct item *item = work_item(fs, NULL, do_keep_custom);
	if (!item)
		return;
	item->number = number;
	work_submit(item);
}

/* `cat leaf > fullchain.pem; cat chain >> fullchain.pem` before there is a key: what waits is
 * what it was written to. Others go on from what they have read, and so does who did not write
 * it: he could read it through what he opens. */
static int appended_to(struct fs *fs, struct txn *txn, const struct node *n, uint32_t uid,
		       struct secret **content, struct error *err)
{
	struct waiting w;
	int r = waiting_get(txn, n->number, clock_now_s(fs->clk), &w, err);
	if (r < 0)
		return r;
	if (uid == 0 || uid == w.writer[n->index]) {
		*content = w.file[n->index];
		w.file[n->index] = NULL;
	}
	waiting_clear(&w);
	return 0;
}

/* Without O_TRUNC a writer goes on from what is there (`>>`, an editor that truncates
 * later). */
static int open_for_write(fuse_req_t req, struct txn *txn, const struct node *n,
			  struct fuse_file_info *fi, struct error *err)
{
	struct fs *fs = fs_of(req);
	struct secret *content = NULL;
	int r = 0;
	enum file_kind kind =
	    n->kind == NODE_POLICY ? FILE_KINDS : (enum file_kind)n->index;
	if (!(fi->flags & O_TRUNC) && kind == FILE_KINDS)
		r = tree_page(fs, txn, n, &content, err);
	else if (!(fi->flags & O_TRUNC) && fi->flags & O_APPEND)
		r = appended_to(fs, txn, n, fuse_req_ctx(req)->uid, &content, err);
	if (r == 0 && !content && !(fi->flags & O_TRUNC))
		r = generation_read(txn, n->number, n->gen, kind, &content, err);
	if (r < 0)
		return r;
	struct handle *h;
	r = handle_open(fs->handles, fuse_req_ctx(req)->uid, content, &h, err);
	if (r < 0)
		return r;
	gone_forget(&fs->gone, fuse_req_ctx(req)->pid, n->number, kind);
	h->writing = true;
	h->emptied = fi->flags & O_TRUNC;
	h->number = n->number;
	h->kind = kind;
	h->opener = fuse_req_ctx(req)->pid;
	fi->fh = h->fh;
	fi->direct_io = 1;
	return 0;
}

void file_reply_part(fuse_req_t req, const void *data, size_t all, size_t size, off_t off)
{
	size_t at = off < 0 || (size_t)off > all ? all : (size_t)off;
	size_t left = all - at;
	fuse_reply_buf(req, (const char *)data + at, size < left ? size : left);
}

int file_open_rendered(struct fs *fs, uint32_t uid, struct secret *page,
		       struct fuse_file_info *fi, struct error *err)
{
	struct handle *h;
	int r = handle_open(fs->handles, uid, page, &h, err);
	if (r < 0)
		return r;
	fi->fh = h->fh;
	fi->direct_io = 1;
	fi->noflush = 1;
	return 0;
}

static int open_page(fuse_req_t req, struct txn *txn, const struct node *n,
		     struct fuse_file_info *fi, struct error *err)
{
	struct fs *fs = fs_of(req);
	struct secret *page = NULL;
	int r = tree_page(fs, txn, n, &page, err);
	return r < 0 ? r : file_open_rendered(fs, fuse_req_ctx(req)->uid, page, fi, err);
}

static int open_node(fuse_req_t req, struct txn *txn, const struct node *n,
		     struct fuse_file_info *fi, struct error *err)
{
	bool write = wants_write(fi);
	if (n->kind == NODE_SCRATCH) {
		fi->direct_io = 1;
		fi->fh = handle_mark(fs_of(req)->handles);
		if (write && (fi->flags & O_TRUNC) &&
		    scratch_resize(fs_of(req)->scratch, n->gen, 0,
				   clock_now_s(fs_of(req)->clk)) < 0)
			return error_set(err, EIO, "the scratch file is gone");
		return 0;
	}
	if (write && n->kind != NODE_FILE && n->kind != NODE_POLICY)
		return error_set(err, EACCES, "this file is read-only");
	if (!write && n->number != 0)
		copied_note(&fs_of(req)->copied, fuse_req_ctx(req)->pid, n->number,
			    n->kind + n->index, fs_now_ms());
	if (write)
		return open_for_write(req, txn, n, fi, err);
	if (n->kind == NODE_FILE)
		return open_served(req, txn, n, fi, err);
	if (tree_is_page(n))
		return open_page(req, txn, n, fi, err);
	if (n->kind == NODE_TOKEN)
		fi->direct_io = 1;
	else
		fi->keep_cache = 1;
	fi->noflush = 1;
	return 0;
}

bool file_try_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, bool hold)
{
	struct fs *fs = fs_of(req);
	struct txn *txn;
	struct error err;
	struct node n;
	if (!node_of(ino, &n)) {
		fuse_reply_err(req, ESTALE);
		return true;
	}
	if (db_read_begin(fs->db, &txn, &err) < 0) {
		fs_refuse(req, &err);
		return true;
	}
	fi->fh = 0;
	fs->hold = hold;
	int r = open_node(req, txn, &n, fi, &err);
	db_read_end(txn);
	if (r == -EAGAIN)
		return false;
	if (r < 0)
		fuse_reply_err(req, err.code);
	else if (fuse_reply_open(req, fi) < 0 && fi->fh)
		handle_close(fs->handles, fi->fh); /* the opener was interrupted */
	return true;
}

void file_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct node n;
	if (node_of(ino, &n) && tree_is_long_page(&n)) {
		if (wants_write(fi))
			fuse_reply_err(req, EACCES);
		else
			pages_open(req, ino, fi);
		return;
	}
	if (!file_try_open(req, ino, fi, held_has_room(fs->held)))
		held_add(fs, req, ino, fi);
}

/* It was open for writing, or a scratch file, under a dead worker. */
static bool is_lost(struct fs *fs, const struct fuse_file_info *fi)
{
	return fi->fh && !handle_is_ours(fs->handles, fi->fh);
}

static int content_of(struct fs *fs, struct txn *txn, uint64_t ino, const struct node *n,
		      struct secret **content, struct error *err)
{
	char answer[2 * TOKEN_MAX];
	if (n->kind == NODE_FILE || n->kind == NODE_HISTORY_FILE)
		return generation_read(txn, n->number, n->gen, (enum file_kind)n->index,
				       content, err);
	if (n->kind == NODE_TOKEN) {
		int r = tree_token(txn, ino, answer, sizeof(answer), err);
		if (r < 0)
			return r;
		*content = secret_copy(answer, strlen(answer));
	} else if (n->kind == NODE_SCRATCH) {
		*content = scratch_content(fs->scratch, n->gen);
		if (!*content)
			return error_set(err, EIO, "the scratch file is gone");
	} else if (tree_is_page(n)) {
		return tree_page(fs, txn, n, content,
				 err); /* opened under a dead worker */
	} else {
		return error_set(err, EISDIR, "a directory is listed, not read");
	}
	return *content ? 0 : error_set(err, ENOMEM, "no memory for a file");
}

void file_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	       struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct handle *h = fi->fh ? handle_find(fs->handles, fi->fh) : NULL;
	struct secret *content = NULL;
	struct txn *txn;
	struct error err;
	struct node n;
	if (h) {
		file_reply_part(
		    req, h->content ? secret_data(h->content) : (const unsigned char *)"",
		    h->content ? secret_size(h->content) : 0, size, off);
		return;
	}
	if (!node_of(ino, &n)) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	if (n.kind == NODE_SCRATCH && is_lost(fs, fi)) {
		fuse_reply_err(req, EIO);
		return;
	}
	if (tree_is_long_page(&n)) {
		pages_read(req, ino, size, off);
		return;
	}
	if (db_read_begin(fs->db, &txn, &err) < 0) {
		fs_refuse(req, &err);
		return;
	}
	int r = content_of(fs, txn, ino, &n, &content, &err);
	db_read_end(txn);
	if (r < 0)
		fs_refuse(req, &err);
	else
		file_reply_part(req, secret_data(content), secret_size(content), size,
				off);
	secret_free(content);
}

static int create_scratch(fuse_req_t req, uint64_t dir, const char *name, mode_t mode,
			  uint64_t *id, struct error *err)
{
	struct fs *fs = fs_of(req);
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct scratch_info info = {.dir = dir,
				    .kind = SCRATCH_FILE,
				    .uid = ctx->uid,
				    .gid = ctx->gid,
				    .mode = (uint32_t)(mode & ~ctx->umask)};
	int64_t now_s = clock_now_s(fs->clk);
	scratch_expire(fs->scratch, now_s);
	int r = scratch_create(fs->scratch, name, ctx->uid, now_s, &info, err);
	if (r == 0)
		*id = scratch_node(&info);
	return r;
}

static int create(fuse_req_t req, struct txn *txn, fuse_ino_t parent, const char *name,
		  mode_t mode, struct fuse_file_info *fi, uint64_t *id, struct error *err)
{
	struct fs *fs = fs_of(req);
	struct node dir, n;
	if (!node_of(parent, &dir) || dir.number == 0 ||
	    (dir.kind != NODE_DIR && dir.kind != NODE_SCRATCH_DIR))
		return error_set(err, EPERM,
				 "'%s': files live in the directory of an app domain, "
				 "which mkdir makes",
				 name);
	if (tree_find(fs, txn, parent, name, 0, id, err) < 0) {
		fi->direct_io = 1;
		fi->fh = handle_mark(fs->handles);
		return create_scratch(req, parent, name, mode, id, err);
	}
	if (!node_of(*id, &n))
		return error_set(err, ESTALE, "node is unknown");
	/* The kernel, which found no such name, has asked nobody's permission. */
	if (tree_hides(req, &n))
		return error_set(err, EACCES, "'%s' is another user's", name);
	fi->flags |= O_TRUNC;
	return open_node(req, txn, &n, fi, err);
}

void file_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		 struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct fuse_entry_param entry;
	struct txn *txn;
	struct error err;
	uint64_t id = 0;
	if (db_read_begin(fs->db, &txn, &err) < 0) {
		fs_refuse(req, &err);
		return;
	}
	fi->fh = 0;
	int r = create(req, txn, parent, name, mode, fi, &id, &err);
	if (r == 0)
		r = tree_entry(fs, txn, id, &entry, &err);
	db_read_end(txn);
	if (r < 0)
		fs_refuse(req, &err);
	else if (fuse_reply_create(req, &entry, fi) < 0 && fi->fh)
		handle_close(fs->handles, fi->fh);
}

void file_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
		struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct node n;
	int r;
	if (node_of(ino, &n) && n.kind == NODE_SCRATCH) {
		r = is_lost(fs, fi) ? -EIO
				    : scratch_write(fs->scratch, n.gen, data, size,
						    (uint64_t)off, clock_now_s(fs->clk));
		if (r == -ENOENT)
			r = -EIO;
	} else {
		struct handle *h = handle_find(fs->handles, fi->fh);
		/* What is only opened (touch) replaces nothing. */
		if (h && h->writing && h->kind != FILE_KINDS && !h->dirty && size > 0)
			keep_custom(fs, h->number);
		if (h && (fi->flags & O_APPEND) && h->content && !fs->replaying)
			off = (off_t)secret_size(h->content);
		r = h && h->writing ? handle_write(h, data, size, (uint64_t)off) : -EIO;
	}
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_write(req, size);
}

static void submit_install(struct fs *fs, fuse_req_t req, struct handle *h)
{
	struct item *item = work_item(fs, req, install_run);
	if (!item)
		return;
	item->failed = install_refused;
	item->number = h->number;
	item->kind = h->kind;
	item->uid = h->uid;
	item->mode = h->mode;
	item->owner_uid = h->owner_uid;
	item->owner_gid = h->owner_gid;
	item->mtime_s = h->mtime_s;
	item->notify_first = true;
	item->size = h->too_large ? PEM_FILE_MAX + 1 : 0;
	item->content = secret_copy(secret_data(h->content), secret_size(h->content));
	if (!item->content) {
		item->run = NULL;
		item->result = -ENOMEM;
		work_answer(item);
		return;
	}
	h->dirty = false;
	gone_note(&fs->wrote, fuse_req_ctx(req)->pid, h->number, h->kind, fs_now_ms());
	work_submit(item);
}

static bool blank(const struct secret *content)
{
	const unsigned char *p = content ? secret_data(content) : NULL;
	for (size_t i = 0; p && i < secret_size(content); i++)
		if (!strchr(" \t\r\n", p[i]) || !p[i])
			return false;
	return true;
}

static void submit_unfinished(struct fs *fs, const struct handle *h)
{
	struct item *item = work_item(fs, NULL, install_unfinished);
	if (!item)
		return;
	item->number = h->number;
	item->kind = h->kind;
	item->size = blank(h->content) ? 0 : secret_size(h->content);
	work_submit(item);
}

static void refuse_lost(fuse_req_t req)
{
	struct error err;
	int r = error_set(&err, EIO,
			  "a file was being written while the fs worker was replaced: it "
			  "must be written again");
	(void)r;
	fs_refuse(req, &err);
}

void file_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct node n;
	bool scratch = node_of(ino, &n) && n.kind == NODE_SCRATCH;
	struct handle *h = handle_find(fs->handles, fi->fh);
	if (scratch && is_lost(fs, fi)) {
		refuse_lost(req);
		return;
	}
	if (scratch) {
		fuse_reply_err(req, 0);
		return;
	}
	if (!h) {
		/* Of a dead worker. What it had in its memory is lost, unless its install
		 * was already on disk, which the store thread knows. */
		struct item *item =
		    fs->replaying ? work_item(fs, req, install_run) : NULL;
		if (item) {
			item->lost = true;
			work_submit(item);
		} else if (!fs->replaying) {
			refuse_lost(req);
		}
		return;
	}
	if (h->writing && (h->dirty || h->emptied) &&
	    killed_by_signal(fuse_req_ctx(req)->pid)) {
		h->emptied = false;     /* of policy that would count */
		fuse_reply_err(req, 0); /* nobody hears it; RELEASE tells of the half */
		return;
	}
	if (h->writing && h->kind == FILE_KINDS) {
		policy_file_flush(req, h);
		return;
	}
	if (!h->writing || !h->dirty || !h->content || blank(h->content)) {
		fuse_reply_err(req, 0);
		return;
	}
	enum pem_state state =
	    pem_state(secret_data(h->content), secret_size(h->content));
	if (state == PEM_INCOMPLETE && !h->too_large &&
	    fuse_req_ctx(req)->pid != h->opener)
		fuse_reply_err(req, 0); /* not yet */
	else
		submit_install(fs, req, h);
}

void file_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct handle *h = fi->fh ? handle_find(fs->handles, fi->fh) : NULL;
	(void)ino;
	bool half = h && h->writing && h->dirty && h->content;
	bool policy = h && h->writing && h->kind == FILE_KINDS;
	if (policy ? half && !blank(h->content) : half || (h && h->writing && h->emptied))
		submit_unfinished(fs, h);
	else if (policy)
		policy_file_release(fs, h);
	handle_close(fs->handles, fi->fh);
	fuse_reply_err(req, 0);
}

void file_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	/* What counts is on disk when close answers; before it there is nothing to sync.
	 */
	(void)ino;
	(void)datasync;
	fuse_reply_err(req, is_lost(fs_of(req), fi) ? EIO : 0);
}
