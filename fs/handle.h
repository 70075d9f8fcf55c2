/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* handle: files that are open for writing, and pages that are open for reading.
 *
 * A write to a served name collects in its handle's memory and takes effect at FLUSH. A
 * page (status, …) is rendered once, at OPEN, so that its reads fit together. Handles die
 * with the worker: their numbers carry the worker's incarnation, so that a handle of a
 * dead worker is known as such (EIO).
 *
 * A handle belongs to the device thread from the answer to its OPEN on; the table itself
 * is behind a lock that is held for memory operations only, since pages that take long
 * are opened by the thread that renders them. What handle_open(), handle_find() and
 * handle_of() return lives until handle_close(), which only the device thread calls. */
#ifndef CERTFS_FS_HANDLE_H
#define CERTFS_FS_HANDLE_H

#include "store/domain.h"
#include "store/error.h"
#include "store/secret.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct handle {
	uint64_t fh;
	uint32_t number;        /* the domain */
	enum file_kind kind;    /* of a write handle; FILE_KINDS: policy */
	bool writing;           /* else a page */
	bool dirty;             /* written since the last FLUSH that took effect */
	bool emptied;           /* opened with O_TRUNC, nothing was written yet */
	bool too_large;         /* more was to be written than PEM_FILE_MAX */
	pid_t opener;           /* the thread that opened it */
	uint32_t uid;           /* its user */
	struct handles *table;  /* it stands in */
	size_t bytes;           /* that are counted for its user */
	struct secret *content; /* NULL: nothing was written yet */
	/* by chmod, chown, utimens before the FLUSH; OWNER_KEEP and 0: not set */
	uint32_t mode, owner_uid, owner_gid;
	int64_t mtime_s;
};

struct handles;
struct handles *handles_new(void); /* NULL: no memory */
void handles_free(struct handles *hs);
/* So many are open at once, with so many bytes. One user's flood can't turn against another:
 * each has a share, and users together leave root places of its own. */
#define HANDLES_MAX        4096
#define HANDLES_USER_MAX   256
#define HANDLES_USERS_MAX  3072
#define HANDLES_USER_BYTES (16u * 1024u * 1024u)
#define HANDLES_ROOT_BYTES (64u * 1024u * 1024u)
/* EDQUOT: the share of `uid` is used up; ENFILE: all places are; ENOMEM. `content` (may be
 * NULL: empty) becomes the handle's, and is freed when there is none. */
int handle_open(struct handles *hs, uint32_t uid, struct secret *content,
		struct handle **handle, struct error *err);
/* A number for what is open and has no handle (a scratch file): no handle's, and of this
 * worker. */
uint64_t handle_mark(const struct handles *hs);
/* Was the number, of a handle or a mark, given out by this worker? */
bool handle_is_ours(const struct handles *hs, uint64_t fh);
/* NULL: a handle of another worker. */
struct handle *handle_find(struct handles *hs, uint64_t fh);
/* The write handle of this file that the thread opened last, for a SETATTR that names no handle:
 * an open(2) that truncates sends one right after its OPEN. */
struct handle *handle_of(struct handles *hs, uint32_t number, enum file_kind kind,
			 pid_t pid);
/* A handle that is not there is fine: a RELEASE can come twice. */
void handle_close(struct handles *hs, uint64_t fh);
/* -EFBIG above PEM_FILE_MAX, -EDQUOT, -ENOMEM: nothing has changed. What lies between the old end
 * and `offset` is zeros. Only what changes the content makes it dirty. */
int handle_write(struct handle *h, const void *data, size_t size, uint64_t offset);
int handle_resize(struct handle *h, uint64_t size);

#endif
