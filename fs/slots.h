/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* slots: FUSE requests in work, in memory that outlives the worker.
 *
 * The supervisor makes the mapping (a memfd) and each fs worker maps it. The worker's
 * device thread reads(2) a request from /dev/fuse straight into the big slot and handles
 * it there; a request that must wait for the disk is first copied into a small slot and
 * waits there for the store thread. The big slot is busy while the `len` of the
 * fuse_in_header at its start isn't 0: the kernel's copy sets it with the request itself
 * (a flag set after read(2) returns would come too late). A small one is busy while its
 * begun_ns isn't 0, which slot_copy() sets last (the data of a slot that nobody ever used
 * is thus never touched, and takes no memory). Both are cleared once the request is
 * answered. A new
 * worker answers what it finds busy before it reads on; a request found in two slots is
 * answered twice, which the kernel ignores (fs/fuse/dev.c: ENOENT).
 *
 * Blame: a request whose worker died while it was in work has `deaths` counted by
 * the supervisor. One that has seen SLOT_DEATHS is answered EIO by the next worker and
 * logged. A crash (a signal, a bad exit, a hang) always counts; SIGKILL from outside,
 * which may be an administrator's or the OOM killer's, counts for a request that was in
 * work for a second or more, so that a storm of kills blames nobody by chance.
 *
 * Also here: the kernel's FUSE_INIT, which every new worker is fed, who reads what
 * (pairs.h), and what survives workers: counters, and how the last reload went. */
#ifndef CERTFS_FS_SLOTS_H
#define CERTFS_FS_SLOTS_H

#include "store/error.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLOTS_VERSION   4
#define SLOT_MAX_WRITE  (128 * 1024)
#define SLOT_BIG_SIZE   (SLOT_MAX_WRITE + 4096)
#define SLOT_SMALL_SIZE 8192
#define SLOTS_SMALL     1024
#define SLOT_INIT_SIZE  8192
#define SLOT_DEATHS     3
#define SLOTS_OPCODES   64
#define SLOTS_PAIRS     (2 * 1024 * 1024)

struct slots; /* the mapping */

/* Supervisor: a new mapping in a memfd. */
int slots_create(struct slots **s, int *fd, struct error *err);
/* A worker, or a supervisor that has just exec(2)ed itself: the mapping behind `fd`.
 * EPROTO when it is of another version or size. */
int slots_map(struct slots **s, int fd, struct error *err);
void slots_unmap(struct slots *s);

/* The connection's id: drawn at slots_create(), so that answers of an earlier mount are
 * not taken for ours. */
uint64_t slots_connection(const struct slots *s);

/* FUSE_INIT as the kernel sent it. 0 bytes: not there yet. */
void slots_set_init(struct slots *s, const void *data, size_t size);
const void *slots_init(const struct slots *s, size_t *size);

/* The big slot, and small ones 0 … SLOTS_SMALL-1. */
struct slot_ref {
	unsigned char *data; /* in this process' mapping */
	size_t size;
	/* CLOCK_MONOTONIC when this worker took it up; 0: free */
	_Atomic uint64_t *begun_ns;
	_Atomic uint32_t *deaths; /* workers that died with it in work */
};
struct slot_ref slots_big(struct slots *s);
struct slot_ref slots_small(struct slots *s, size_t index);

bool slot_busy(struct slot_ref slot);
/* The unique of the request in a busy slot. */
uint64_t slot_unique(struct slot_ref slot);
/* Copies the request of `from` so that at every instant one of the two is busy and
 * whole, and carries `deaths` along; `from` stays busy. -EMSGSIZE when it doesn't fit. */
int slot_copy(struct slot_ref to, struct slot_ref from);
void slot_clear(struct slot_ref slot); /* answered */
void slot_begin(struct slot_ref slot); /* stamps begun_ns */

/* Supervisor: the age of the oldest busy slot in ns (0: none is busy), and what to write
 * into the log about it (opcode, node id). */
uint64_t slots_oldest_ns(struct slots *s, uint32_t *opcode, uint64_t *node);
/* The unique of the last request that the kernel gave: while requests wait and it stands
 * still, nobody reads. */
uint64_t slots_last_unique(struct slots *s);
/* Supervisor, when a worker died: counts deaths as said above. */
void slots_blame(struct slots *s, bool killed_from_outside);

/* SLOTS_PAIRS bytes for pairs.h, all 0 at first. */
void *slots_pairs(struct slots *s);

/* Reloads, numbered from 1. The supervisor tells, .certfs/status.json shows. */
struct slots_reload {
	uint64_t begun, ended;      /* the number of the last that did; 0: none */
	int64_t at_s;               /* when it ended */
	int32_t code;               /* a positive errno, 0: it did what it should */
	int32_t supervisor;         /* its pid */
	char error[ERROR_TEXT_MAX]; /* why it did not */
};
void slots_set_reload(struct slots *s, const struct slots_reload *reload);
void slots_reload(const struct slots *s, struct slots_reload *reload);

/* Requests seen by opcode, and workers started, for metrics. */
_Atomic uint64_t *slots_requests(struct slots *s, uint32_t opcode);
enum slots_worker { SLOTS_FS, SLOTS_NET, SLOTS_ANNOUNCE, SLOTS_WORKERS };
_Atomic uint64_t *slots_starts(struct slots *s, enum slots_worker worker);

/* Written by the supervisor: the pid of the announce process, 0: there is none. The fs
 * worker knows its requests by it (publish.h), whatever anybody says in a message. */
_Atomic int32_t *slots_announce_pid(struct slots *s);
/* Written by the fs worker: since when announce owes it an answer (CLOCK_MONOTONIC), 0: it
 * owes none. The supervisor ends one that owes it for longer than the hang limit. */
_Atomic uint64_t *slots_announce_owes_ns(struct slots *s);

#endif
