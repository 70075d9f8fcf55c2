/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* fs: what the parts of the fs worker share.
 *
 * One context a connection, made by worker.c and passed to all: that of the read-write mount,
 * and a copy of it, with slots, session and pairs of its own, for each read-only mount
 * (further.h). The device thread owns handles, pairs and the session's reading side; the store thread owns all writes to the store and the engine;
 * the threads of notifications and of pages own nothing. Replies may come from any of them (libfuse allows that). */
#ifndef CERTFS_FS_FS_H
#define CERTFS_FS_FS_H

#include "fs/compat.h"
#include "fs/copied.h"
#include "fs/gone.h"
#include "fs/handle.h"
#include "fs/node.h"
#include "fs/pairs.h"
#include "fs/scratch.h"
#include "fs/slots.h"
#include "fs/status.h"
#include "store/clock.h"
#include "store/config.h"
#include "store/db.h"

struct work;    /* work.h */
struct notify;  /* notify.h */
struct publish; /* publish.h */
struct pages;   /* pages.h */
struct held;    /* held.h */
struct further; /* further.h */

struct fs {
	const struct config *cfg;
	struct config *defaults; /* an empty file's, to tell what was set */
	const char *mountpoint;  /* for what is shown */
	const struct log *lg;
	struct clock *clk;
	struct db *db;
	struct slots *slots;
	struct fuse_session *session;
	int fuse_fd;
	gid_t key_gid;
	struct scratch *scratch;
	struct handles *handles;
	struct pairs *pairs;
	struct gone gone;
	struct gone moving; /* served names about to be moved away (rename.h) */
	struct copied copied;
	struct gone
	    wrote; /* who has just written a file: install(1) sets its mode then */
	_Atomic size_t long_page_size[CONTROL_FILES]; /* as last rendered */
	struct work *work;
	struct notify *notify;
	struct publish *publish;
	struct pages *pages;
	struct slot_ref request; /* the request in the device thread's hands */
	size_t request_small;    /* its small slot, SLOTS_SMALL: it is in the big one */
	uint64_t unique;         /* of the request in hand, also of one that was held */
	bool hold;               /* an OPEN may be held */
	bool replaying;          /* it was taken over from a dead worker */
	struct held *held;       /* held.h */
	struct further *further; /* the read-only mounts */
	int drained_fd;          /* set once the last notification was sent */
	bool read_only;          /* this is one of them */
	const struct fuse_lowlevel_ops *operations;
};

/* Entries and attributes: a change invalidates what it touched. */
#define FS_TIMEOUT 86400.0
/* Attributes of folders in which names come and go by themselves. */
#define FS_FOLDER_TIMEOUT 1.0
/* Attributes of pages, whose size follows what they tell. */
#define FS_PAGE_TIMEOUT 1.0

static inline struct fs *fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* An even clock. */
int64_t fs_now_us(void);
int64_t fs_now_ms(void);

/* Logs `err` and answers the request with its code. */
void fs_refuse(fuse_req_t req, const struct error *err);

#endif
