/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/copied.h"

static size_t place_of(pid_t tid, uint32_t number, unsigned what)
{
	uint32_t h = ((uint32_t)tid ^ number * 0x9e3779b1u) * 0x85ebca6bu;
	/* Those of one directory have places of their own. */
	return ((h ^ h >> 15) + what) % COPIED_PLACES;
}

void copied_note(struct copied *c, pid_t tid, uint32_t number, unsigned what,
		 int64_t now_ms)
{
	size_t i = place_of(tid, number, what);
	c->place[i].tid = tid;
	c->place[i].number = number;
	c->place[i].what = what;
	c->place[i].until_ms = now_ms + COPIED_S * 1000;
}

bool copied_has(const struct copied *c, pid_t tid, uint32_t number, unsigned what,
		int64_t now_ms)
{
	size_t i = place_of(tid, number, what);
	return tid > 0 && c->place[i].tid == tid && c->place[i].number == number &&
	       c->place[i].what == what && now_ms < c->place[i].until_ms;
}
