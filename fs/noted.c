/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/noted.h"

#include "store/changed.h"
#include "store/owed.h"

#include <string.h>

void noted_init(struct noted *n)
{
	pthread_mutex_init(&n->lock, NULL);
}

void noted_clear(struct noted *n)
{
	pthread_mutex_destroy(&n->lock);
}

bool noted_told(struct noted *n, const struct noted_mark *mark, int64_t now_ms)
{
	pthread_mutex_lock(&n->lock);
	bool first = n->waits.told_count == 0;
	if (first)
		n->told_ms = now_ms;
	if (n->waits.told_count < NOTED_TOLD)
		n->waits.told[n->waits.told_count++] = *mark;
	pthread_mutex_unlock(&n->lock);
	return first;
}

bool noted_read(struct noted *n, uint32_t number)
{
	bool before = false;
	pthread_mutex_lock(&n->lock);
	for (size_t i = 0; i < n->read_count; i++)
		before |= n->reads[i] == number;
	if (!before && n->read_count < NOTED_READS)
		n->reads[n->read_count++] = number;
	pthread_mutex_unlock(&n->lock);
	return !before;
}

void noted_held(struct noted *n, const struct noted_held *held)
{
	pthread_mutex_lock(&n->lock);
	/* Without room it is announced to nobody. */
	if (n->waits.held_count < NOTED_HELD)
		n->waits.held[n->waits.held_count++] = *held;
	pthread_mutex_unlock(&n->lock);
}

void noted_take(struct noted *n, struct noted_batch *batch)
{
	pthread_mutex_lock(&n->lock);
	batch->told_count = n->waits.told_count;
	memcpy(batch->told, n->waits.told, batch->told_count * sizeof(*batch->told));
	n->waits.told_count = 0;
	batch->held_count = n->waits.held_count;
	memcpy(batch->held, n->waits.held, batch->held_count * sizeof(*batch->held));
	n->waits.held_count = 0;
	pthread_mutex_unlock(&n->lock);
}

int noted_put(const struct noted_batch *batch, struct txn *txn, struct error *err)
{
	int r = 0;
	for (size_t i = 0; i < batch->told_count && r == 0; i++)
		r = changed_clear(txn, batch->told[i].number, batch->told[i].serial, err);
	for (size_t i = 0; i < batch->held_count && r == 0; i++) {
		const struct noted_held *h = &batch->held[i];
		r = owed_held(txn, h->number, h->gen, h->serial, h->files, err);
	}
	return r;
}

int noted_wait_ms(struct noted *n, int64_t now_ms)
{
	pthread_mutex_lock(&n->lock);
	bool any = n->waits.told_count > 0;
	int64_t left_ms = n->told_ms + NOTED_MS - now_ms;
	pthread_mutex_unlock(&n->lock);
	return !any ? -1 : left_ms > 0 ? (int)left_ms : 0;
}

size_t noted_take_reads(struct noted *n, uint32_t *reads)
{
	pthread_mutex_lock(&n->lock);
	size_t count = n->read_count;
	memcpy(reads, n->reads, count * sizeof(*reads));
	n->read_count = 0;
	pthread_mutex_unlock(&n->lock);
	return count;
}
