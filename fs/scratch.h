/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* scratch: files, folders and symlinks beside the served ones, in memory, for their owner only.
 *
 * rsync's `.cert.pem.AbCdEf`, sed's `sedXXXXXX`, an editor's backup: a writer makes a
 * file of another name and renames it over a served one. Such files live here: at most
 * SCRATCH_FILE_MAX bytes each and SCRATCH_TOTAL_MAX in all, gone after an hour unused. They
 * die with the worker.
 *
 * rsync's `.~tmp~` is a folder of such files in a domain's directory: one deep, and gone with
 * what is in it when nothing was done there for an hour. `ln -sfn`'s `CuXXXXXX` is a symlink in
 * the root, which is renamed over an alias.
 *
 * A directory is said by its node id (node.h): the root, a domain's, a scratch folder.
 *
 * One user's flood can't turn against another: each has a share, of bytes, of files, and of
 * files in one directory, root a larger one that users together can't touch. A file counts
 * for who made it, whoever owns it later. Folders and symlinks count as files.
 *
 * Used by the device thread and, to end a rename, by the store thread: a lock guards the
 * table, held for memory operations only. What is returned are copies: a file may be gone by
 * the next call. */
#ifndef CERTFS_FS_SCRATCH_H
#define CERTFS_FS_SCRATCH_H

#include "store/error.h"
#include "store/secret.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SCRATCH_FILE_MAX  (1024u * 1024u)
#define SCRATCH_DIR_MAX   64u /* files of one user in a directory */
#define SCRATCH_USER_MAX  (2u * 1024u * 1024u)
#define SCRATCH_ROOT_MAX  (4u * 1024u * 1024u)
#define SCRATCH_TOTAL_MAX (16u * 1024u * 1024u)
/* How many there are at once. */
#define SCRATCH_USER_FILES 128u
#define SCRATCH_ROOT_FILES 256u
#define SCRATCH_FILES      1024u
#define SCRATCH_IDLE_S     3600

enum scratch_kind { SCRATCH_FILE, SCRATCH_FOLDER, SCRATCH_LINK };

struct scratch_info {
	uint64_t dir; /* where it is */
	uint32_t serial;
	enum scratch_kind kind;
	uint32_t target; /* of a symlink: a domain's number */
	uint32_t uid, gid, mode;
	int64_t mtime_s;
	size_t size;
	bool times_set; /* utimens was called: the time goes along with a rename */
	bool mode_set, uid_set, gid_set; /* so do these */
};

struct scratch;
int scratch_new(struct scratch **s, struct error *err);
void scratch_free(struct scratch *s);

/* Makes what `info` says: dir, kind, target, uid, gid and mode, which are the caller's; the rest
 * is filled in. `payer`: whom it counts for. EDQUOT (the share of its user), ENOSPC (that of all
 * users but root), ENAMETOOLONG, EEXIST, ENOENT (its folder is gone), with a reason. The serial
 * is the file's for as long as it lives. */
int scratch_create(struct scratch *s, const char *name, uint32_t payer, int64_t now_s,
		   struct scratch_info *info, struct error *err);
/* Its node id. */
uint64_t scratch_node(const struct scratch_info *info);
/* False: there is none. */
bool scratch_find(struct scratch *s, uint64_t dir, const char *name,
		  struct scratch_info *info);
/* The same by its serial. */
bool scratch_info(struct scratch *s, uint32_t serial, struct scratch_info *info);
/* Changes uid, gid, mode, mtime_s and the flags to those of `info`. */
bool scratch_set(struct scratch *s, const struct scratch_info *info);
/* -ENOENT, -EFBIG, -EDQUOT, -ENOSPC as above, -ENOMEM. */
int scratch_write(struct scratch *s, uint32_t serial, const void *data, size_t size,
		  uint64_t offset, int64_t now_s);
int scratch_resize(struct scratch *s, uint32_t serial, uint64_t size, int64_t now_s);
/* A copy of its content, the caller's to free; NULL: gone or no memory. */
struct secret *scratch_content(struct scratch *s, uint32_t serial);
/* -ENOENT; -EISDIR: it is a folder. */
int scratch_unlink(struct scratch *s, uint64_t dir, const char *name);
/* -ENOENT, -ENOTDIR, -ENOTEMPTY. */
int scratch_rmdir(struct scratch *s, uint64_t dir, const char *name);
void scratch_remove_serial(struct scratch *s, uint32_t serial);
/* Of one domain; takes the new name from whatever has it, as rename(2) does: -ENOENT,
 * -ENAMETOOLONG, -EISDIR, -ENOTDIR, -ENOTEMPTY; -EPERM: a folder in a folder. */
int scratch_rename(struct scratch *s, uint64_t dir, const char *name, uint64_t new_dir,
		   const char *new_name, int64_t now_s);
/* May this user know that it is there? Its owner and root may. */
bool scratch_visible(const struct scratch_info *info, uint32_t uid);
/* The i-th of a directory, for listings. */
bool scratch_list(struct scratch *s, uint64_t dir, size_t index, char *name, size_t room,
		  struct scratch_info *info);
/* Drops all that a domain has, and what was unused for an hour. */
void scratch_drop(struct scratch *s, uint32_t number);
void scratch_expire(struct scratch *s, int64_t now_s);
/* When to do so next, for poll(2); -1: there is nothing. */
int scratch_wait_ms(const struct scratch *s, int64_t now_s);

#endif
