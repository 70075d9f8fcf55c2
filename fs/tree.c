/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/tree.h"

#include "fs/further.h"
#include "fs/publish.h"
#include "store/generation.h"
#include "store/order.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#define COMBINED_SUFFIX ".pem"

bool tree_is_page(const struct node *node)
{
	return node->kind == NODE_STATUS || node->kind == NODE_STATUS_JSON ||
	       node->kind == NODE_POLICY || node->kind == NODE_CONTROL;
}

bool tree_page_kind(const struct node *node, enum page_kind *kind)
{
	*kind = node->kind == NODE_POLICY   ? PAGE_POLICY
		: node->kind == NODE_STATUS ? PAGE_STATUS
					    : PAGE_STATUS_JSON;
	return node->kind == NODE_POLICY || node->kind == NODE_STATUS ||
	       node->kind == NODE_STATUS_JSON;
}

bool tree_is_policy(const char *name)
{
	return strcmp(name, page_name[PAGE_POLICY]) == 0;
}

enum file_kind tree_gone_kind(const char *name)
{
	enum file_kind kind = file_kind_of(name);
	if (kind != FILE_KINDS || tree_is_policy(name))
		return kind;
	bool status = strcmp(name, page_name[PAGE_STATUS]) == 0 ||
		      strcmp(name, page_name[PAGE_STATUS_JSON]) == 0;
	return (enum file_kind)(status ? GONE_STATUS : GONE_NOTHING);
}

bool tree_is_writable(const struct node *dir, const char *name)
{
	return dir->kind == NODE_DIR && dir->number != 0 &&
	       (file_kind_of(name) != FILE_KINDS || tree_is_policy(name));
}

bool tree_is_long_page(const struct node *node)
{
	return node->kind == NODE_CONTROL && node->index != CONTROL_CONFIG;
}

static int render(struct fs *fs, struct txn *txn, const struct node *node,
		  const struct db_usage *usage, struct secret **page, struct error *err)
{
	char *text = NULL;
	size_t size = 0;
	int r;
	struct slots *readonly[FURTHER_MAX];
	for (size_t i = 0; i < further_count(fs->further); i++)
		readonly[i] = further_slots(fs->further, i);
	struct status_context ctx = {.cfg = fs->cfg,
				     .readonly = readonly,
				     .readonly_count = further_count(fs->further),
				     .defaults = fs->defaults,
				     .mountpoint = fs->mountpoint,
				     .now_s = clock_now_s(fs->clk),
				     .slots = fs->slots,
				     .usage = *usage};
	if (node->kind == NODE_STATUS)
		r = status_page(&ctx, txn, node->number, &text, &size, err);
	else if (node->kind == NODE_STATUS_JSON)
		r = status_json(&ctx, txn, node->number, &text, &size, err);
	else if (node->kind == NODE_POLICY)
		r = status_policy(&ctx, txn, node->number, &text, &size, err);
	else
		r = status_control(&ctx, txn, (enum status_control)node->index, &text,
				   &size, err);
	if (r == 0 && !(*page = secret_copy(text, size)))
		r = error_set(err, ENOMEM, "no memory for a page");
	free(text);
	return r;
}

int tree_page(struct fs *fs, struct txn *txn, const struct node *node,
	      struct secret **page, struct error *err)
{
	const struct db_usage none = {0};
	return render(fs, txn, node, &none, page, err);
}

int tree_long_page(struct fs *fs, const struct node *node, struct secret **page,
		   struct error *err)
{
	struct db_usage usage;
	struct txn *txn;
	db_usage(fs->db, &usage); /* may not be asked for within a transaction */
	int r = db_walk_begin(fs->db, &txn, err);
	if (r < 0)
		return r;
	r = render(fs, txn, node, &usage, page, err);
	db_read_end(txn);
	if (r == 0)
		atomic_store(&fs->long_page_size[node->index], secret_size(*page));
	return r;
}

int tree_token(struct txn *txn, uint64_t id, char *answer, size_t room, struct error *err)
{
	char token[TOKEN_MAX] = "";
	while (token_next(txn, token, token, err) == 0)
		if (node_token(token) == id)
			return token_get(txn, token, answer, room, err);
	return error_set(err, ENOENT, "the challenge is over");
}

static void set_mode(struct stat *st, mode_t type, uint32_t mode, int64_t when_s)
{
	st->st_mode = type | mode;
	st->st_nlink = type == S_IFDIR ? 2 : 1;
	st->st_mtime = st->st_ctime = st->st_atime = (time_t)when_s;
	st->st_blksize = 4096;
}

static void set_size(struct stat *st, uint64_t size)
{
	st->st_size = (off_t)size;
	st->st_blocks = (blkcnt_t)((size + 511) / 512);
}

static void set_owner(struct stat *st, const struct owner *o, uid_t uid, gid_t gid)
{
	st->st_uid = o->uid == OWNER_KEEP ? uid : o->uid;
	st->st_gid = o->gid == OWNER_KEEP ? gid : o->gid;
	if (o->mode != OWNER_KEEP)
		st->st_mode = (st->st_mode & S_IFMT) | o->mode;
}

static int file_attr(struct fs *fs, struct txn *txn, const struct node *n,
		     struct stat *st, struct error *err)
{
	struct domain d;
	struct generation g;
	enum file_kind kind = (enum file_kind)n->index;
	bool history = n->kind == NODE_HISTORY_FILE;
	int r = domain_get(txn, n->number, &d, err);
	if (r == 0)
		r = generation_get(txn, n->number, n->gen, &g, err);
	if (r < 0)
		return r;
	set_mode(st, S_IFREG, file_is_secret(kind) ? 0640 : 0644, g.installed_s);
	set_owner(st, &d.file[kind], 0, file_is_secret(kind) ? fs->key_gid : 0);
	if (d.times_gen == n->gen && d.mtime_s[kind])
		st->st_mtime = (time_t)d.mtime_s[kind];
	if (history)
		st->st_mode &= ~(mode_t)0222;
	st->st_mode = (st->st_mode & S_IFMT) | file_mode(kind, st->st_mode & 07777);
	set_size(st, g.size[kind]);
	return 0;
}

static int page_attr(struct fs *fs, struct txn *txn, const struct node *n,
		     struct stat *st, struct error *err)
{
	struct secret *page = NULL;
	enum page_kind kind;
	struct domain d;
	int r = 0;
	set_mode(st, S_IFREG, 0444, clock_now_s(fs->clk));
	if (tree_is_long_page(n)) {
		set_size(st, atomic_load(&fs->long_page_size[n->index]));
		return 0;
	}
	if (tree_page_kind(n, &kind)) {
		r = domain_get(txn, n->number, &d, err);
		/* An editor that finds a newer time than it has read asks before it
		 * writes. */
		if (r == 0 && kind == PAGE_POLICY)
			set_mode(st, S_IFREG, 0644,
				 d.policy.written_s ? d.policy.written_s : d.created_s);
		if (r == 0)
			set_owner(st, &d.page[kind], 0, 0);
	}
	if (r == 0)
		r = tree_page(fs, txn, n, &page, err);
	if (r < 0)
		return r;
	set_size(st, secret_size(page));
	secret_free(page);
	return 0;
}

bool tree_is_scratch(const struct node *n)
{
	return n->kind == NODE_SCRATCH || n->kind == NODE_SCRATCH_DIR ||
	       n->kind == NODE_SCRATCH_LINK;
}

static int scratch_attr(struct fs *fs, struct txn *txn, uint64_t id, const struct node *n,
			struct stat *st, struct error *err)
{
	static const mode_t type[] = {[SCRATCH_FILE] = S_IFREG,
				      [SCRATCH_FOLDER] = S_IFDIR,
				      [SCRATCH_LINK] = S_IFLNK};
	struct scratch_info info;
	struct domain target;
	int r = 0;
	if (!scratch_info(fs->scratch, n->gen, &info) || scratch_node(&info) != id)
		return error_set(err, ENOENT, "the scratch file is gone");
	/* For their owner only, whatever the mode that goes along with a rename. */
	set_mode(st, type[info.kind], info.kind == SCRATCH_LINK ? 0777 : info.mode & 0700,
		 info.mtime_s);
	st->st_uid = info.uid;
	st->st_gid = info.gid;
	if (info.kind == SCRATCH_LINK)
		r = domain_get(txn, info.target, &target, err);
	set_size(st, info.kind == SCRATCH_LINK && r == 0 ? strlen(target.name.text)
							 : info.size);
	return r;
}

static int dir_attr(struct txn *txn, const struct node *n, struct stat *st,
		    struct error *err)
{
	struct domain d;
	struct generation g;
	struct current c;
	int64_t changed_s;
	int r;
	if (n->number == 0) {
		r = domain_listed_s(txn, &changed_s, err);
		set_mode(st, S_IFDIR, 0755, changed_s);
		return r;
	}
	r = domain_get(txn, n->number, &d, err);
	if (r == 0 && !d.installed)
		r = error_set(err, ENOENT, "%s is not installed", d.name.text);
	if (r == 0 && n->kind == NODE_HISTORY_DIR)
		r = generation_get(txn, n->number, n->gen, &g, err);
	if (r < 0)
		return r;
	if (n->kind == NODE_ALIAS) {
		struct domain target;
		set_mode(st, S_IFLNK, 0777, d.created_s);
		r = domain_get(txn, d.target, &target, err);
		set_size(st, r == 0 ? strlen(target.name.text) : 0);
		return r;
	}
	changed_s = d.changed_s;
	if (n->kind != NODE_HISTORY_DIR && current_get(txn, n->number, &c, err) == 0 &&
	    generation_get(txn, n->number, c.served, &g, err) == 0 &&
	    g.installed_s > changed_s)
		changed_s = g.installed_s; /* as after `mv new cert.pem` in it */
	set_mode(st, S_IFDIR, n->kind == NODE_DIR ? 0755 : 0555, changed_s);
	set_owner(st, &d.dir, 0, 0);
	if (n->kind != NODE_DIR)
		st->st_mode &= ~(mode_t)0222;
	return 0;
}

int tree_attr(struct fs *fs, struct txn *txn, uint64_t id, struct stat *st,
	      struct error *err)
{
	struct node n;
	char answer[2 * TOKEN_MAX];
	int r;
	memset(st, 0, sizeof(*st));
	if (!node_of(id, &n))
		return error_set(err, ESTALE, "node %llx was never given out",
				 (unsigned long long)id);
	if (n.kind == NODE_FILE || n.kind == NODE_HISTORY_FILE) {
		r = file_attr(fs, txn, &n, st, err);
	} else if (tree_is_page(&n)) {
		r = page_attr(fs, txn, &n, st, err);
	} else if (tree_is_scratch(&n)) {
		r = scratch_attr(fs, txn, id, &n, st, err);
	} else if (n.kind == NODE_TOKEN) {
		r = tree_token(txn, id, answer, sizeof(answer), err);
		set_mode(st, S_IFREG, 0444, clock_now_s(fs->clk));
		set_size(st, r == 0 ? strlen(answer) : 0);
	} else if (n.kind == NODE_DIR || n.kind == NODE_ALIAS || n.kind == NODE_HISTORY ||
		   n.kind == NODE_HISTORY_DIR) {
		r = dir_attr(txn, &n, st, err);
	} else {
		/* .combined holds keys: its files say who may read them, its listing is
		 * for all */
		int64_t changed_s;
		r = domain_listed_s(txn, &changed_s, err);
		set_mode(st, S_IFDIR, 0555, changed_s);
	}
	st->st_ino = node_ino(id);
	return r;
}

static int not_found(struct error *err, const char *name)
{
	return error_set(err, ENOENT, "there is no %s", name);
}

static int served_file(struct txn *txn, uint32_t number, enum file_kind kind,
		       uint32_t gen, uint64_t *id, struct error *err)
{
	struct current c;
	int r = gen ? 0 : current_get(txn, number, &c, err);
	if (r == 0)
		*id = node_file(number, gen ? gen : c.served, kind);
	return r;
}

/* What was unused for too long is not found any more. */
static int find_scratch(struct fs *fs, uint64_t dir, const char *name, uint64_t *id,
			struct error *err)
{
	struct scratch_info info;
	scratch_expire(fs->scratch, clock_now_s(fs->clk));
	if (!scratch_find(fs->scratch, dir, name, &info))
		return not_found(err, name);
	*id = scratch_node(&info);
	return 0;
}

static int find_in_domain(struct fs *fs, struct txn *txn, uint32_t number,
			  const char *name, uint32_t gen, uint64_t *id, struct error *err)
{
	enum file_kind kind = file_kind_of(name);
	if (kind != FILE_KINDS)
		return served_file(txn, number, kind, gen, id, err);
	if (strcmp(name, "status") == 0)
		*id = node_id(number, 0, NODE_STATUS);
	else if (strcmp(name, "status.json") == 0)
		*id = node_id(number, 0, NODE_STATUS_JSON);
	else if (tree_is_policy(name))
		*id = node_id(number, 0, NODE_POLICY);
	else if (strcmp(name, ".history") == 0)
		*id = node_id(number, 0, NODE_HISTORY);
	else
		return find_scratch(fs, node_dir(number), name, id, err);
	return 0;
}

static int find_in_root(struct fs *fs, struct txn *txn, const char *name, uint64_t *id,
			struct error *err)
{
	struct domain d;
	if (strcmp(name, ".certfs") == 0)
		*id = node_id(0, 0, NODE_CONTROL_DIR);
	else if (strcmp(name, ".combined") == 0)
		*id = node_id(0, 0, NODE_COMBINED_DIR);
	else if (strcmp(name, ".well-known") == 0)
		*id = node_id(0, 0, NODE_WELL_KNOWN);
	else if (domain_find(txn, name, &d, err) == 0 && d.installed)
		*id = node_id(d.number, 0, d.target ? NODE_ALIAS : NODE_DIR);
	else
		return find_scratch(fs, NODE_ROOT, name, id, err);
	return 0;
}

static int find_combined(struct txn *txn, const char *name, uint64_t *id,
			 struct error *err)
{
	char domain[NAME_MAX_TEXT];
	struct domain d;
	size_t length = strlen(name), suffix = strlen(COMBINED_SUFFIX);
	if (length <= suffix || length - suffix >= sizeof(domain) ||
	    strcmp(name + length - suffix, COMBINED_SUFFIX) != 0)
		return not_found(err, name);
	memcpy(domain, name, length - suffix);
	domain[length - suffix] = '\0';
	if (domain_find(txn, domain, &d, err) < 0 || !d.installed || d.target)
		return not_found(err, name);
	return served_file(txn, d.number, FILE_COMBINED, 0, id, err);
}

static int find_history(struct txn *txn, const struct node *parent, const char *name,
			uint64_t *id, struct error *err)
{
	struct generation g;
	char *end;
	if (parent->kind == NODE_HISTORY_DIR) {
		enum file_kind kind = file_kind_of(name);
		if (kind == FILE_KINDS)
			return not_found(err, name);
		*id = node_id(parent->number, parent->gen,
			      NODE_HISTORY_FILE + (unsigned)kind);
		return 0;
	}
	unsigned long gen = strtoul(name, &end, 10);
	if (name[0] < '1' || name[0] > '9' || *end || gen > GENERATION_MAX ||
	    generation_get(txn, parent->number, (uint32_t)gen, &g, err) < 0)
		return not_found(err, name);
	*id = node_id(parent->number, (uint32_t)gen, NODE_HISTORY_DIR);
	return 0;
}

static int find_control(const char *name, uint64_t *id, struct error *err)
{
	for (unsigned i = 0; i < CONTROL_FILES; i++)
		if (strcmp(name, control_name[i]) == 0) {
			*id = node_id(0, 0, NODE_CONTROL + i);
			return 0;
		}
	return not_found(err, name);
}

int tree_find(struct fs *fs, struct txn *txn, uint64_t parent, const char *name,
	      uint32_t gen, uint64_t *id, struct error *err)
{
	struct node n;
	char answer[2 * TOKEN_MAX];
	if (!node_of(parent, &n))
		return error_set(err, ESTALE, "node %llx was never given out",
				 (unsigned long long)parent);
	if (n.kind == NODE_DIR)
		return n.number == 0
			   ? find_in_root(fs, txn, name, id, err)
			   : find_in_domain(fs, txn, n.number, name, gen, id, err);
	if (n.kind == NODE_SCRATCH_DIR)
		return find_scratch(fs, parent, name, id, err);
	if (n.kind == NODE_COMBINED_DIR)
		return find_combined(txn, name, id, err);
	if (n.kind == NODE_HISTORY || n.kind == NODE_HISTORY_DIR)
		return find_history(txn, &n, name, id, err);
	if (n.kind == NODE_CONTROL_DIR)
		return find_control(name, id, err);
	if (n.kind == NODE_WELL_KNOWN && strcmp(name, "acme-challenge") == 0) {
		*id = node_id(0, 0, NODE_CHALLENGES);
		return 0;
	}
	if (n.kind == NODE_CHALLENGES && strlen(name) < TOKEN_MAX &&
	    token_get(txn, name, answer, sizeof(answer), err) == 0) {
		*id = node_token(name);
		return 0;
	}
	return not_found(err, name);
}

/* Pages last long enough for `ls -l`, which asks for each name that it has just listed;
 * whoever opens one is not misled by an old size, since reading goes around it
 * (direct_io).
 *
 * The root lasts as well: each walk of a path asks who may search it, and the kernel
 * itself forgets a folder's attributes when it makes or removes a name there. */
double tree_attr_timeout(uint64_t id)
{
	struct node n;
	if (!node_of(id, &n))
		return 0;
	if (n.kind == NODE_FILE || n.kind == NODE_HISTORY_FILE || n.kind == NODE_ALIAS ||
	    n.kind == NODE_DIR)
		return FS_TIMEOUT;
	if (n.kind == NODE_TOKEN || tree_is_scratch(&n))
		return 0;
	return tree_is_page(&n) ? FS_PAGE_TIMEOUT : FS_FOLDER_TIMEOUT;
}

int tree_entry(struct fs *fs, struct txn *txn, uint64_t id,
	       struct fuse_entry_param *entry, struct error *err)
{
	struct node n;
	memset(entry, 0, sizeof(*entry));
	entry->ino = id;
	entry->attr_timeout = tree_attr_timeout(id);
	entry->entry_timeout = FS_TIMEOUT;
	if (!node_of(id, &n) || n.kind == NODE_TOKEN || tree_is_scratch(&n))
		entry->entry_timeout = 0;
	else if (n.kind == NODE_HISTORY_DIR) /* nobody is told when one is pruned */
		entry->entry_timeout = FS_FOLDER_TIMEOUT;
	return tree_attr(fs, txn, id, &entry->attr, err);
}

/* The generation that a reader must be led to (pairs.h); 0: the one that is served. */
static uint32_t promised(fuse_req_t req, struct txn *txn, fuse_ino_t parent,
			 const char *name)
{
	struct fs *fs = fs_of(req);
	struct node n;
	struct current c;
	struct error err;
	if (!node_of(parent, &n) || n.kind != NODE_DIR || n.number == 0 ||
	    file_kind_of(name) == FILE_KINDS || current_get(txn, n.number, &c, &err) < 0)
		return 0;
	uint32_t gen = pairs_lookup(fs->pairs, fuse_req_ctx(req)->pid, n.number, c.served,
				    fs_now_ms());
	return gen == c.served ? 0 : gen;
}

bool tree_hides(fuse_req_t req, const struct node *n)
{
	struct scratch_info info;
	return tree_is_scratch(n) && scratch_info(fs_of(req)->scratch, n->gen, &info) &&
	       !scratch_visible(&info, fuse_req_ctx(req)->uid);
}

void tree_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	struct fuse_entry_param entry;
	struct error err;
	struct txn *txn;
	uint64_t id;
	int r = db_read_begin(fs->db, &txn, &err);
	if (r < 0) {
		fs_refuse(req, &err);
		return;
	}
	struct node dir = {.kind = NODE_KINDS}, found;
	uint32_t gen = promised(req, txn, parent, name);
	bool writable = node_of(parent, &dir) && tree_is_writable(&dir, name);
	if (dir.kind == NODE_DIR && dir.number &&
	    gone_has(&fs->gone, fuse_req_ctx(req)->pid, dir.number, tree_gone_kind(name),
		     fs_now_ms()))
		r = not_found(&err, name);
	else if (!publish_finds(fs, fuse_req_ctx(req)->pid, &dir, txn, name, &id, &r,
				&err))
		r = tree_find(fs, txn, parent, name, gen, &id, &err);
	if (r == 0 && node_of(id, &found) && tree_hides(req, &found))
		r = not_found(&err, name);
	if (r == 0)
		r = tree_entry(fs, txn, id, &entry, &err);
	/* For this reader alone: nobody's stat may go on showing it. And what is about to be
	 * moved away (rename.h): the kernel would take it along to the new name. */
	if (gen || (writable && gone_has(&fs->moving, GONE_ANYBODY, dir.number,
					 file_kind_of(name), fs_now_ms())))
		entry.entry_timeout = 0;
	db_read_end(txn);
	if (r == 0)
		publish_shorten(fs, &dir, &entry);
	if (r < 0)
		fuse_reply_err(req, err.code);
	else
		fuse_reply_entry(req, &entry);
}

void tree_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct stat st;
	struct error err;
	struct txn *txn;
	int r = db_read_begin(fs->db, &txn, &err);
	if (r < 0) {
		fs_refuse(req, &err);
		return;
	}
	r = tree_attr(fs, txn, ino, &st, &err);
	db_read_end(txn);
	struct handle *h = fi ? handle_find(fs->handles, fi->fh) : NULL;
	if (r == 0 && h && h->writing) /* a writer sees what it wrote */
		st.st_size = h->content ? (off_t)secret_size(h->content) : 0;
	if (r < 0)
		fuse_reply_err(req, err.code);
	else
		fuse_reply_attr(req, &st, h && h->writing ? 0 : tree_attr_timeout(ino));
}

static int pointed_to(struct fs *fs, struct txn *txn, fuse_ino_t ino,
		      struct domain *target, struct error *err)
{
	struct scratch_info info;
	struct domain d;
	struct node n;
	if (node_of(ino, &n) && n.kind == NODE_SCRATCH_LINK)
		return scratch_info(fs->scratch, n.gen, &info) &&
			       scratch_node(&info) == ino
			   ? domain_get(txn, info.target, target, err)
			   : error_set(err, ENOENT, "the scratch symlink is gone");
	if (!node_of(ino, &n) || n.kind != NODE_ALIAS)
		return error_set(err, EINVAL, "not an alias");
	int r = domain_get(txn, n.number, &d, err);
	return r ? r : domain_get(txn, d.target, target, err);
}

void tree_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = fs_of(req);
	struct domain target;
	struct error err;
	struct txn *txn;
	int r = db_read_begin(fs->db, &txn, &err);
	if (r < 0) {
		fs_refuse(req, &err);
		return;
	}
	r = pointed_to(fs, txn, ino, &target, &err);
	db_read_end(txn);
	if (r < 0)
		fuse_reply_err(req, err.code);
	else
		fuse_reply_readlink(req, target.name.text);
}

void tree_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = fs_of(req);
	struct db_usage usage;
	struct statvfs st = {.f_bsize = 4096, .f_frsize = 4096, .f_namemax = 255};
	(void)ino;
	db_usage(fs->db, &usage);
	st.f_blocks = (usage.used + usage.free) / 4096;
	st.f_bfree = st.f_bavail = usage.free / 4096;
	fuse_reply_statfs(req, &st);
}
