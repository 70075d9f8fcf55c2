/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* tree: names to nodes, and what stat says of them. Reads the store only; any thread may
 * ask, with a read transaction of its own. */
#ifndef CERTFS_FS_TREE_H
#define CERTFS_FS_TREE_H

#include "fs/fs.h"

/* stat of a node. ENOENT: it is gone; ESTALE: it never was one of ours. */
int tree_attr(struct fs *fs, struct txn *txn, uint64_t id, struct stat *st,
	      struct error *err);

/* Is it a scratch file, folder or symlink, and another user's? */
bool tree_is_scratch(const struct node *n);
bool tree_hides(fuse_req_t req, const struct node *n);
/* Is it a served file or policy? Others of a domain's directory are certfs' own, or scratch. */
bool tree_is_writable(const struct node *dir, const char *name);
/* Is it one of a directory's own, and which? */
bool tree_page_kind(const struct node *node, enum page_kind *kind);
bool tree_is_policy(const char *name);
/* What an unlink of the name is noted as (gone.h): FILE_KINDS for policy, GONE_STATUS for status
 * and status.json; GONE_NOTHING for others that are no served file. */
enum { GONE_STATUS = FILE_KINDS + 1, GONE_NOTHING };
enum file_kind tree_gone_kind(const char *name);
/* Does a node's content come from a page that is rendered when it is opened? */
bool tree_is_page(const struct node *node);
/* One whose rendering walks over all domains or events: for the thread of pages (pages.h), so
 * that no reader waits for it. Its st_size is that of the last one that was opened, 0 before. */
bool tree_is_long_page(const struct node *node);
/* Renders such a page, a long one in a transaction of its own; the caller frees. */
int tree_page(struct fs *fs, struct txn *txn, const struct node *node,
	      struct secret **page, struct error *err);
int tree_long_page(struct fs *fs, const struct node *node, struct secret **page,
		   struct error *err);
/* The answer of the token behind a node, with a newline. ENOENT. */
int tree_token(struct txn *txn, uint64_t id, char *answer, size_t room,
	       struct error *err);

/* The node that `name` stands for in directory `parent`; `gen` is the generation for served
 * files of that domain (0: the one that is served). ENOENT. */
int tree_find(struct fs *fs, struct txn *txn, uint64_t parent, const char *name,
	      uint32_t gen, uint64_t *id, struct error *err);
/* A whole answer for LOOKUP, MKDIR, …, with the timeouts that hold for its kind. */
int tree_entry(struct fs *fs, struct txn *txn, uint64_t id,
	       struct fuse_entry_param *entry, struct error *err);
double tree_attr_timeout(uint64_t id);

/* FUSE handlers of the device thread. */
void tree_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void tree_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void tree_readlink(fuse_req_t req, fuse_ino_t ino);
void tree_statfs(fuse_req_t req, fuse_ino_t ino);
void tree_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void tree_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		  struct fuse_file_info *fi);
void tree_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		      struct fuse_file_info *fi);

#endif
