/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* noted: what other threads have for the store thread that nobody waits for.
 *
 * The notify thread says which marks the kernel's caches were told of, and which old files the
 * kernel still holds: both go to disk along with the next commit, since neither is worth one of
 * its own. Marks that stay would pass for a change that nobody was told of, so they wait
 * NOTED_MS at the most. The device thread says which certificates in their renewal time were
 * read. Any thread may note; the store thread takes. What there is no room for is left out: it
 * is told, or read, once more. */
#ifndef CERTFS_FS_NOTED_H
#define CERTFS_FS_NOTED_H

#include "store/db.h"

#include <pthread.h>
#include <stdbool.h>

#define NOTED_TOLD  4096
#define NOTED_HELD  1024
#define NOTED_READS 1024
#define NOTED_MS    250

struct noted_mark {
	uint32_t number;
	uint64_t serial;
};

struct noted_held {
	uint32_t number, gen;
	uint64_t serial;
	unsigned files;
};

/* For one commit. */
struct noted_batch {
	struct noted_mark told[NOTED_TOLD];
	size_t told_count;
	struct noted_held held[NOTED_HELD];
	size_t held_count;
};

struct noted {
	pthread_mutex_t lock;
	struct noted_batch waits;
	int64_t told_ms; /* since when the first mark waits */
	uint32_t reads[NOTED_READS];
	size_t read_count;
};

void noted_init(struct noted *n);
void noted_clear(struct noted *n);

/* True: the store thread must be woken, who may sleep for long. */
bool noted_told(struct noted *n, const struct noted_mark *mark, int64_t now_ms);
bool noted_read(struct noted *n, uint32_t number);
void noted_held(struct noted *n, const struct noted_held *held);

/* All that waits but the reads, into `batch`. */
void noted_take(struct noted *n, struct noted_batch *batch);
/* Puts it into the store: changed_clear(), owed_held(). */
int noted_put(const struct noted_batch *batch, struct txn *txn, struct error *err);
/* How long the marks may wait still; -1: there are none. */
int noted_wait_ms(struct noted *n, int64_t now_ms);
/* The domains that were read, into NOTED_READS places: how many. */
size_t noted_take_reads(struct noted *n, uint32_t *reads);

#endif
