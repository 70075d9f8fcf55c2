/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* work: the store thread, and the queue of requests that wait for it.
 *
 * All that writes to the store happens in this one thread, as LMDB wants it: requests that
 * change something, and the engine. Requests that come together share a commit; each runs in
 * a nested transaction, so that one that fails undoes only itself. A request is answered
 * after the commit; its slot is cleared after the answer. What a request came to is
 * noted in the same transaction (answered.h), so that a replay does nothing twice. */
#ifndef CERTFS_FS_WORK_H
#define CERTFS_FS_WORK_H

#include "fs/fs.h"
#include "store/event.h"

struct item;

/* Runs in the store thread, in a nested transaction; may run more than once. */
typedef int work_do(struct item *item, struct txn *txn, struct error *err);
/* Runs after the commit, in the store thread: answers item->req when it succeeded. */
typedef void work_reply(struct item *item);

struct item {
	struct item *next;
	struct fs *fs;
	fuse_req_t req; /* NULL: nobody waits */
	size_t small;   /* its slot; SLOTS_SMALL: none */
	uint64_t unique;
	bool replayed;
	bool lost; /* its content died with a worker: EIO is not the store's */
	work_do *run;
	work_do *failed;   /* after a failure, in a transaction of its own; may be NULL */
	work_reply *reply; /* NULL: fuse_reply_err(0) */
	bool notify_first; /* the answer waits until the kernel's caches were told */
	int result;
	struct error error;
	/* arguments */
	uint32_t number, target, serial;
	enum file_kind kind;
	uint64_t node;
	char name[NAME_MAX_TEXT];
	struct secret *content;
	uint32_t uid, gid, mode;
	uint32_t owner_uid,
	    owner_gid; /* that the writer gave to its file; OWNER_KEEP: none */
	int set;       /* FUSE_SET_ATTR_* */
	int64_t mtime_s;
	bool wrote;  /* whoever sets attributes has just written the file */
	size_t size; /* of a READ that pages.h answers; of what was to be written */
	off_t off;
	/* results */
	uint64_t serial_changed; /* of changed_mark(); 0: nothing to tell */
	uint32_t changed;        /* the domain of it */
	uint64_t serial_too;     /* a second one's, of another domain */
	uint32_t changed_too;
	bool served_changed;     /* watchers are to be told (publish.h) */
	unsigned told_of;        /* … but of these names, bit i is enum file_kind i */
	uint64_t publish_serial; /* of a RENAME by announce */
	char line[300];          /* what happened, for the log; "": nothing to tell */
	char domain[NAME_MAX_TEXT]; /* to whom, or to whom it was refused */
};

/* What the item does to `d`: told in the log once it is on disk, by item_event() also kept in
 * the store. */
void item_line(struct item *item, const struct domain *d, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int item_event(struct item *item, struct txn *txn, enum event_kind kind,
	       const struct domain *d, struct error *err, const char *format, ...)
    __attribute__((format(printf, 6, 7)));

/* Opens the engine and what publishes (publish.h); work_begin() begins the thread, once
 * confinement is in force. */
int work_open(struct fs *fs, int link_fd, int publish_fd, int signal_fd,
	      struct error *err);
int work_begin(struct fs *fs, struct error *err);
/* Wakes when SIGTERM came: the device thread polls it. */
int work_stop_fd(const struct work *work);
bool work_stopping(const struct work *work);
/* Has the device threads end as SIGTERM does. */
void work_stop(struct work *work);
/* Ends the thread once its queue is empty. */
void work_finish(struct work *work);
void work_close(struct work *work);
/* In an item's transaction: engine_touch_served_in(), engine_renew_in(). */
int work_touch_in(struct fs *fs, struct txn *txn, const struct domain *d, int64_t now_s,
		  struct error *err);
int work_renew_in(struct fs *fs, struct txn *txn, uint32_t number, struct error *err);

/* Device thread: a new item for the request in its hands (copied into a small slot first), or
 * one that nobody waits for (`req` NULL). NULL: no memory, and the request was answered. */
struct item *work_item(struct fs *fs, fuse_req_t req, work_do *run);
void work_submit(struct item *item);
/* All that a dead worker left has been submitted: what it came to is forgotten from now on,
 * as each is answered. */
void work_replayed(struct work *work);
/* Was the request in this small slot handed to the store thread? */
bool work_holds(struct work *work, size_t small);
/* A certificate in its renewal time was read. */
void work_read(struct fs *fs, uint32_t number);

/* From the notify thread: of this generation, marked so in the table of what is owed, the
 * kernel has these files' inodes and no others; noted with the next commit (owed_held). */
void work_held(struct fs *fs, uint32_t number, uint32_t gen, uint64_t serial,
	       unsigned files);
/* From the notify thread: the caches were told of this mark (changed.h), which is cleared with
 * the next commit; and, for an item whose answer waited for it, its answer. */
void work_told(struct fs *fs, uint32_t number, uint64_t serial);
void work_answer(struct item *item);

#endif
