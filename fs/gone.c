/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/gone.h"

void gone_note(struct gone *g, pid_t tid, uint32_t number, enum file_kind kind,
	       int64_t now_ms)
{
	unsigned at = g->next++ % GONE_PLACES;
	g->place[at].tid = tid;
	g->place[at].number = number;
	g->place[at].kind = kind;
	g->place[at].until_ms = now_ms + GONE_S * 1000;
}

static bool is(const struct gone *g, unsigned at, pid_t tid, uint32_t number,
	       enum file_kind kind)
{
	return g->place[at].tid == tid && g->place[at].number == number &&
	       g->place[at].kind == kind;
}

bool gone_has(const struct gone *g, pid_t tid, uint32_t number, enum file_kind kind,
	      int64_t now_ms)
{
	for (unsigned i = 0; i < GONE_PLACES; i++)
		if (is(g, i, tid, number, kind) && g->place[i].until_ms > now_ms)
			return true;
	return false;
}

void gone_forget(struct gone *g, pid_t tid, uint32_t number, enum file_kind kind)
{
	for (unsigned i = 0; i < GONE_PLACES; i++)
		if (is(g, i, tid, number, kind))
			g->place[i].until_ms = 0;
}
