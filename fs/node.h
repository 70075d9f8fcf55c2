/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* node: FUSE node ids, which mean the same in every worker.
 *
 * An id is put together from a domain's number, a generation and a kind, so that no table
 * of ids has to be kept, a lost FORGET is harmless, and each generation's files are
 * inodes of their own: two generations never share a page cache.
 *
 *     63        32 31            8 7       6     0
 *     number       generation      alias   kind
 *
 * The root is number 0, kind NODE_DIR: FUSE_ROOT_ID. The alias bit marks a second name of
 * the same file (publish.h); st_ino leaves it out. A token's 56 bits above the kind are a
 * hash of it; a scratch file's, folder's or symlink's generation is its serial number. */
#ifndef CERTFS_FS_NODE_H
#define CERTFS_FS_NODE_H

#include "store/domain.h"

#include <stdbool.h>
#include <stdint.h>

enum node_kind {
	NODE_DIR = 1, /* the root, or a domain's directory */
	NODE_ALIAS,   /* a symlink in the root */
	NODE_FILE,    /* + enum file_kind: a served file */
	NODE_STATUS = NODE_FILE + FILE_KINDS,
	NODE_STATUS_JSON,
	NODE_POLICY,
	NODE_HISTORY,      /* DIR/.history */
	NODE_HISTORY_DIR,  /* DIR/.history/GEN */
	NODE_HISTORY_FILE, /* + enum file_kind */
	/* .certfs */
	NODE_CONTROL_DIR = NODE_HISTORY_FILE + FILE_KINDS,
	NODE_CONTROL, /* + enum status_control (at most 8) */
	/* .combined; its files are combined.pem's nodes */
	NODE_COMBINED_DIR = NODE_CONTROL + 8,
	NODE_WELL_KNOWN, /* .well-known */
	NODE_CHALLENGES, /* .well-known/acme-challenge */
	NODE_TOKEN,
	NODE_SCRATCH,
	NODE_SCRATCH_DIR,  /* a scratch folder in a domain's directory */
	NODE_SCRATCH_LINK, /* a scratch symlink in the root */
	NODE_KINDS
};

#define NODE_ALIAS_BIT 0x80u

struct node {
	uint32_t number;
	uint32_t gen;
	enum node_kind kind; /* the base: NODE_FILE, NODE_HISTORY_FILE, NODE_CONTROL */
	/* what is added to the base: an enum file_kind, a status_control */
	unsigned index;
	bool alias;
};

/* `kind` with what is added to it (enum node_kind). */
uint64_t node_id(uint32_t number, uint32_t gen, unsigned kind);
/* False for an id that this program never gave out. */
bool node_of(uint64_t id, struct node *node);
/* st_ino: both names of a file have one inode. */
static inline uint64_t node_ino(uint64_t id)
{
	return id & ~(uint64_t)NODE_ALIAS_BIT;
}

#define NODE_ROOT 1ULL
/* Of a domain's directory, a served file, a file of .well-known/acme-challenge. */
uint64_t node_dir(uint32_t number);
uint64_t node_file(uint32_t number, uint32_t gen, enum file_kind kind);
uint64_t node_token(const char *token);

#endif
