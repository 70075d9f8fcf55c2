/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/pairs.h"

#include <stdlib.h>

#define PLACES 4096u
#define WAYS   4u

struct promise {
	pid_t tid;
	uint32_t number, gen;
	int64_t until_ms;
};

struct pairs {
	struct promise place[PLACES][WAYS];
};

struct pairs *pairs_new(void)
{
	return calloc(1, sizeof(struct pairs));
}

void pairs_free(struct pairs *p)
{
	free(p);
}

static struct promise *row_of(struct pairs *p, pid_t tid)
{
	return p->place[((uint32_t)tid * 2654435761u) % PLACES];
}

static struct promise *find(struct pairs *p, pid_t tid, uint32_t number, int64_t now_ms)
{
	struct promise *row = row_of(p, tid);
	for (unsigned i = 0; i < WAYS; i++)
		if (row[i].tid == tid && row[i].number == number &&
		    row[i].until_ms > now_ms)
			return &row[i];
	return NULL;
}

uint32_t pairs_lookup(struct pairs *p, pid_t tid, uint32_t number, uint32_t served,
		      int64_t now_ms)
{
	struct promise *promise = tid ? find(p, tid, number, now_ms) : NULL;
	return promise ? promise->gen : served;
}

/* The row's oldest promise makes place: it is the least likely to be still wanted. */
static void note(struct pairs *p, pid_t tid, uint32_t number, uint32_t gen,
		 int64_t now_ms)
{
	struct promise *row = row_of(p, tid), *oldest = row;
	for (unsigned i = 1; i < WAYS; i++)
		if (row[i].until_ms < oldest->until_ms)
			oldest = &row[i];
	*oldest = (struct promise){tid, number, gen, now_ms + PAIRS_S * 1000};
}

bool pairs_open(struct pairs *p, pid_t tid, uint32_t number, uint32_t asked,
		uint32_t served, int64_t now_ms)
{
	struct promise *promise = tid ? find(p, tid, number, now_ms) : NULL;
	if (promise) {
		/* Once more would reach the process: whatever the walk brought is a
		 * generation of this domain, and is served. */
		promise->until_ms = 0;
		return true;
	}
	if (asked == served)
		return true;
	if (tid)
		note(p, tid, number, served, now_ms);
	return false;
}
