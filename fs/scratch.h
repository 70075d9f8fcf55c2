/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* scratch: files beside the served ones, in memory, for their owner only.
 *
 * rsync's `.cert.pem.AbCdEf`, sed's `sedXXXXXX`, an editor's backup: a writer makes a
 * file of another name and renames it over a served one. Such files live here: at most
 * SCRATCH_FILE_MAX bytes each and SCRATCH_TOTAL_MAX in all, gone after an hour unused. They
 * die with the worker.
 *
 * One user's flood can't turn against another: each has a share, of bytes, of files, and of
 * files in one directory, root a larger one that users together can't touch. A file counts
 * for who made it, whoever owns it later.
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

struct scratch_info {
	uint32_t number; /* the domain */
	uint32_t serial;
	uint32_t uid, gid, mode;
	int64_t mtime_s;
	size_t size;
	bool times_set; /* utimens was called: the time goes along with a rename */
	bool mode_set, uid_set, gid_set; /* so do these */
};

struct scratch;
int scratch_new(struct scratch **s, struct error *err);
void scratch_free(struct scratch *s);

/* EDQUOT (the share of its user), ENOSPC (that of all users but root), ENAMETOOLONG with a
 * reason; EEXIST. The serial is the file's for as
 * long as it lives. */
int scratch_create(struct scratch *s, uint32_t number, const char *name, uint32_t uid,
		   uint32_t gid, uint32_t mode, int64_t now_s, struct scratch_info *info,
		   struct error *err);
/* False: there is none. */
bool scratch_find(struct scratch *s, uint32_t number, const char *name,
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
/* False: there was none. */
bool scratch_remove(struct scratch *s, uint32_t number, const char *name);
void scratch_remove_serial(struct scratch *s, uint32_t serial);
/* Within a directory; takes the name `to` from whoever has it. -ENOENT, -ENAMETOOLONG. */
int scratch_rename(struct scratch *s, uint32_t number, const char *from, const char *to);
/* May this user know that it is there? Its owner and root may. */
bool scratch_visible(const struct scratch_info *info, uint32_t uid);
/* The i-th scratch file of a directory, for listings. */
bool scratch_list(struct scratch *s, uint32_t number, size_t index, char *name,
		  size_t room, struct scratch_info *info);
/* Drops a directory's files, and what was unused for an hour. */
void scratch_drop(struct scratch *s, uint32_t number);
void scratch_expire(struct scratch *s, int64_t now_s);

#endif
