/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/rotation.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#define ROTATIONS_VERSION 2u
#define SETS              1024u
#define WAYS              4u

struct rotation {
	uint32_t number; /* 0: free */
	uint32_t before;
	int64_t armed_ms;
	int64_t switched_ms; /* the last step counts from here; 0: as armed_ms says */
};

struct rotations {
	uint32_t version, reserved;
	struct rotation place[SETS][WAYS];
};

size_t rotations_size(void)
{
	return sizeof(struct rotations);
}

struct rotations *rotations_in(void *memory)
{
	struct rotations *rs = memory;
	if (rs->version != ROTATIONS_VERSION)
		memset(rs, 0, sizeof(*rs));
	rs->version = ROTATIONS_VERSION;
	return rs;
}

static struct rotation *set_of(struct rotations *rs, uint32_t number)
{
	return rs->place[(number * 2654435761u >> 8) % SETS];
}

static int64_t switch_ms(const struct rotation *r)
{
	return r->switched_ms ? r->switched_ms : r->armed_ms + ROTATION_STEP_MS;
}

static bool is_over(const struct rotation *r, int64_t now_ms)
{
	return r->number == 0 || now_ms >= switch_ms(r) + ROTATION_STEP_MS;
}

static struct rotation *find(struct rotations *rs, uint32_t number, int64_t now_ms)
{
	struct rotation *set = set_of(rs, number);
	for (unsigned i = 0; i < WAYS; i++)
		if (set[i].number == number && !is_over(&set[i], now_ms))
			return &set[i];
	return NULL;
}

void rotation_begin(struct rotations *rs, uint32_t number, uint32_t before,
		    int64_t now_ms)
{
	struct rotation *set = set_of(rs, number), *r = find(rs, number, now_ms);
	if (r) {
		if (now_ms >= switch_ms(r))
			r->switched_ms = now_ms;
		return;
	}
	for (unsigned i = 0; i < WAYS && !r; i++)
		if (is_over(&set[i], now_ms))
			r = &set[i];
	if (!r || before == 0)
		return;
	/* A worker that is killed in between leaves a free place. */
	r->number = 0;
	atomic_signal_fence(memory_order_seq_cst);
	*r = (struct rotation){.before = before, .armed_ms = now_ms};
	atomic_signal_fence(memory_order_seq_cst);
	r->number = number;
}

enum rotation_step rotation_of(struct rotations *rs, uint32_t number, int64_t now_ms,
			       uint32_t *before, int64_t *since_ms)
{
	const struct rotation *r = find(rs, number, now_ms);
	if (!r)
		return ROTATION_NONE;
	*before = r->before;
	*since_ms = r->armed_ms;
	return now_ms < switch_ms(r) ? ROTATION_ARMED : ROTATION_SWITCHED;
}

int64_t rotation_switch_ms(struct rotations *rs, uint32_t number, int64_t now_ms)
{
	const struct rotation *r = find(rs, number, now_ms);
	return r && now_ms < switch_ms(r) ? switch_ms(r) : 0;
}
