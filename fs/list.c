/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/tree.h"

#include "store/generation.h"
#include "store/order.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One READDIR or READDIRPLUS: entries are put into a buffer until it is full, and the
 * cookie of each is where the next call goes on. The first two are of "." and "..", the
 * others' places are counted from there. In the root a place is a domain's number, so
 * that a listing neither repeats nor loses what did not change while it was read. */
struct listing {
	fuse_req_t req;
	struct fs *fs;
	struct txn *txn;
	char *buffer;
	size_t size, used;
	bool plus;
	int rc; /* why the listing ends before its end: 0 or -errno, and `err` says it */
	struct error err;
};

/* Is there one more? A failure is noted: a store that can't be read must not look like an
 * empty directory. */
static bool more(struct listing *l, int rc)
{
	if (rc < 0 && rc != -ENOENT)
		l->rc = rc;
	return rc == 0;
}

#define DOTS 2

static bool add(struct listing *l, const char *name, uint64_t id, off_t next)
{
	struct fuse_entry_param entry;
	struct error err;
	size_t need, room = l->size - l->used;
	/* What vanished between its listing and now is left out. */
	if (tree_entry(l->fs, l->txn, id, &entry, &err) < 0)
		return true;
	if (l->plus)
		need = fuse_add_direntry_plus(l->req, l->buffer + l->used, room, name,
					      &entry, DOTS + next);
	else
		need = fuse_add_direntry(l->req, l->buffer + l->used, room, name,
					 &entry.attr, DOTS + next);
	if (need > room)
		return false;
	l->used += need;
	return true;
}

static void list_root(struct listing *l, off_t off)
{
	struct domain d;
	uint32_t after = (uint32_t)off;
	while (more(l, domain_next(l->txn, after, &d, &l->err))) {
		uint64_t id = node_id(d.number, 0, d.target ? NODE_ALIAS : NODE_DIR);
		if (!add(l, d.name.text, id, (off_t)d.number))
			return;
		after = d.number;
	}
}

/* The scratch files of a directory, whose places follow `before` others. */
static void list_scratch(struct listing *l, uint64_t dir, off_t before, off_t off)
{
	struct scratch_info info;
	char name[NAME_MAX_TEXT];
	scratch_expire(l->fs->scratch, clock_now_s(l->fs->clk));
	for (; scratch_list(l->fs->scratch, dir, (size_t)(off - before), name,
			    sizeof(name), &info);
	     off++)
		if (scratch_visible(&info, fuse_req_ctx(l->req)->uid) &&
		    !add(l, name, scratch_node(&info), off + 1))
			return;
}

static void list_domain(struct listing *l, uint32_t number, off_t off)
{
	static const struct {
		const char *name;
		enum node_kind kind;
	} pages[] = {{"policy", NODE_POLICY},
		     {"status", NODE_STATUS},
		     {"status.json", NODE_STATUS_JSON}};
	const off_t page_count = sizeof(pages) / sizeof(*pages);
	struct current c;
	if (!more(l, current_get(l->txn, number, &c, &l->err)))
		return;
	for (; off < FILE_KINDS; off++)
		if (!add(l, file_name[off],
			 node_file(number, c.served, (enum file_kind)off), off + 1))
			return;
	if (l->fs->read_only)
		return;
	for (; off < FILE_KINDS + page_count; off++) {
		size_t i = (size_t)(off - FILE_KINDS);
		if (!add(l, pages[i].name, node_id(number, 0, pages[i].kind), off + 1))
			return;
	}
	list_scratch(l, node_dir(number), FILE_KINDS + page_count, off);
}

static void list_combined(struct listing *l, off_t off)
{
	struct domain d;
	struct current c;
	char name[NAME_MAX_TEXT + 8];
	uint32_t after = (uint32_t)off;
	while (more(l, domain_next(l->txn, after, &d, &l->err))) {
		after = d.number;
		/* One that can't be read must not hide the others. */
		if (d.target || current_get(l->txn, d.number, &c, &l->err) < 0)
			continue;
		snprintf(name, sizeof(name), "%s.pem", d.name.text);
		if (!add(l, name, node_file(d.number, c.served, FILE_COMBINED),
			 (off_t)after))
			return;
	}
}

#define HISTORY_LISTED 1000

static void list_history(struct listing *l, const struct node *n, off_t off)
{
	uint32_t gens[HISTORY_LISTED];
	size_t count;
	char name[16];
	if (n->kind == NODE_HISTORY_DIR) {
		for (; off < FILE_KINDS; off++)
			if (!add(l, file_name[off],
				 node_id(n->number, n->gen,
					 NODE_HISTORY_FILE + (unsigned)off),
				 off + 1))
				return;
		return;
	}
	if (!more(l, generation_list(l->txn, n->number, gens, HISTORY_LISTED, &count,
				     &l->err)))
		return;
	for (; (size_t)off < count; off++) {
		snprintf(name, sizeof(name), "%u", gens[off]);
		if (!add(l, name, node_id(n->number, gens[off], NODE_HISTORY_DIR),
			 off + 1))
			return;
	}
}

static void list_tokens(struct listing *l, off_t off)
{
	char token[TOKEN_MAX] = "";
	for (off_t at = 0; more(l, token_next(l->txn, token, token, &l->err)); at++)
		if (at >= off && !add(l, token, node_token(token), at + 1))
			return;
}

static void list(struct listing *l, const struct node *n, off_t off)
{
	if (n->kind == NODE_DIR && n->number == 0)
		list_root(l, off);
	else if (n->kind == NODE_DIR)
		list_domain(l, n->number, off);
	else if (n->kind == NODE_SCRATCH_DIR)
		list_scratch(l, node_id(n->number, n->gen, NODE_SCRATCH_DIR), 0, off);
	else if (n->kind == NODE_COMBINED_DIR)
		list_combined(l, off);
	else if (n->kind == NODE_HISTORY || n->kind == NODE_HISTORY_DIR)
		list_history(l, n, off);
	else if (n->kind == NODE_CHALLENGES)
		list_tokens(l, off);
	else if (n->kind == NODE_WELL_KNOWN && off == 0)
		add(l, "acme-challenge", node_id(0, 0, NODE_CHALLENGES), 1);
	else if (n->kind == NODE_CONTROL_DIR)
		for (; off < (off_t)CONTROL_FILES; off++)
			if (!add(l, control_name[off],
				 node_id(0, 0, NODE_CONTROL + (unsigned)off), off + 1))
				return;
}

static void list_all(struct listing *l, fuse_ino_t ino, const struct node *n, off_t off)
{
	if (off < 1 && !add(l, ".", ino, 1 - DOTS))
		return;
	/* Its number is all that is shown of it. */
	if (off < 2 && !add(l, "..", NODE_ROOT, 2 - DOTS))
		return;
	list(l, n, off < DOTS ? 0 : off - DOTS);
}

static void answer(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus)
{
	struct fs *fs = fs_of(req);
	struct listing l = {.req = req, .fs = fs, .size = size, .plus = plus};
	struct error err;
	struct node n;
	if (!node_of(ino, &n)) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	l.buffer = calloc(1, size);
	if (!l.buffer) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	if (db_read_begin(fs->db, &l.txn, &err) < 0) {
		fs_refuse(req, &err);
	} else {
		list_all(&l, ino, &n, off);
		db_read_end(l.txn);
		/* What was found first is listed, and the failure met by the next call. */
		if (l.rc < 0 && l.used == 0)
			fs_refuse(req, &l.err);
		else
			fuse_reply_buf(req, l.buffer, l.used);
	}
	free(l.buffer);
}

void tree_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		  struct fuse_file_info *fi)
{
	(void)fi;
	answer(req, ino, size, off, false);
}

void tree_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		      struct fuse_file_info *fi)
{
	(void)fi;
	answer(req, ino, size, off, true);
}

/* The kernel keeps the listing of a domain's directory: what makes it another one either
 * goes through the kernel or is told (notify.h). Scratch files alone go by themselves. */
void tree_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct scratch_info info;
	char name[NAME_MAX_TEXT];
	struct node n;
	if (node_of(ino, &n) && n.kind == NODE_DIR && n.number != 0 &&
	    !scratch_list(fs_of(req)->scratch, ino, 0, name, sizeof(name), &info)) {
		fi->cache_readdir = 1;
		fi->keep_cache = 1;
	}
	fuse_reply_open(req, fi);
}
