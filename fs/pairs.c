/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/pairs.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAIRS_VERSION 2u
#define WAYS          4u
#define READER_SETS   4096u
#define THREAD_SETS   1024u
#define GROUP_SETS    256u
#define MOVING_SETS   256u
#define RETRY_MS      60000 /* an OPEN after an ESTALE comes at once, or never */
#define PAUSE_MAX_US  (PAIRS_MS * 1000)
#define CHANCE        4.0   /* standard deviations, of differences that share terms */
#define THREAD_MS     10000 /* a thread's number may have another owner by then */

enum { CERT = 1, KEY = 2, CHAIN = 4, HALVES = CERT | KEY };

/* What a thread does with a domain. */
struct reader {
	uint32_t tid, number;
	uint32_t gen;  /* of the pair that was begun */
	uint32_t have; /* its files that were opened */
	int64_t began_ms;
	uint32_t promised; /* generation of the OPEN to come; 0: none */
	uint32_t answer;   /* to the last OPEN */
	int64_t promised_ms;
	uint64_t unique; /* of the last OPEN */
	/* where no OPEN is known: */
	uint32_t named; /* generation that the last LOOKUP was given; 0: it was used */
	uint8_t named_kind; /* enum file_kind */
	uint8_t met, read;  /* files of the pair, bit i is enum file_kind i */
	bool sure;          /* a half came twice in a row: the second one began a pair */
	uint8_t half;       /* that was met last */
	bool walks;         /* a LOOKUP came, and no GETATTR yet */
	uint8_t reserved[2];
	uint32_t pause_us, other_pause_us; /* before this walk, and before the last one */
	int64_t seen_us;
	/* of the differences of pauses, that before a certificate less that before the key
	 */
	double more_sum, more_squares;
};

struct thread {
	uint32_t tid, tgid;
	int64_t seen_ms;
};

/* A thread group; its readers move once both halves were abandoned. */
struct group {
	uint32_t tgid;
	uint8_t first;     /* the half that it reads first */
	uint8_t abandoned; /* halves that were opened twice in a row by one thread */
	uint8_t reserved[2];
	int64_t seen_ms;
};

/* Pairs that a group with readers that move has begun of a domain; all of one generation.
 */
struct moving {
	uint32_t tgid, number;
	uint32_t gen, begun;
	int64_t last_ms; /* when the last one was begun */
	int64_t seen_ms;
};

struct pairs {
	uint32_t version, reserved;
	struct reader reader[READER_SETS][WAYS];
	struct thread thread[THREAD_SETS][WAYS];
	struct group group[GROUP_SETS][WAYS];
	struct moving moving[MOVING_SETS][WAYS];
};

size_t pairs_size(void)
{
	return sizeof(struct pairs);
}

struct pairs *pairs_in(void *memory)
{
	struct pairs *p = memory;
	if (p->version != PAIRS_VERSION)
		memset(p, 0, sizeof(*p));
	p->version = PAIRS_VERSION;
	return p;
}

static uint32_t spread(uint32_t a, uint32_t b)
{
	uint32_t h = (a ^ b * 0x9e3779b1u) * 0x85ebca6bu;
	return h ^ h >> 15;
}

static unsigned kinds_bits(enum file_kind kind)
{
	switch (kind) {
	case FILE_CERT:
		return CERT;
	case FILE_CHAIN:
		return CHAIN;
	case FILE_FULLCHAIN:
		return CERT | CHAIN;
	case FILE_PRIVKEY:
		return KEY;
	case FILE_COMBINED:
	case FILE_KINDS:
		break;
	}
	return 0;
}

/* A worker that is killed between two stores must not leave one's fields under another's
 * name: the name goes first and comes last. */
static void rename_begin(uint32_t *name)
{
	*name = 0;
	atomic_signal_fence(memory_order_seq_cst);
}

static void rename_end(uint32_t *name, uint32_t to)
{
	atomic_signal_fence(memory_order_seq_cst);
	*name = to;
}

static int64_t last_ms(const struct reader *r)
{
	return r->promised_ms > r->began_ms ? r->promised_ms : r->began_ms;
}

static const struct reader *reader_find(const struct pairs *p, uint32_t tid,
					uint32_t number)
{
	const struct reader *set = p->reader[spread(tid, number) % READER_SETS];
	for (unsigned i = 0; i < WAYS; i++)
		if (set[i].tid == tid && set[i].number == number)
			return &set[i];
	return NULL;
}

void pairs_resume(struct pairs *p, int64_t now_ms)
{
	struct reader *r = &p->reader[0][0];
	struct moving *m = &p->moving[0][0];
	int64_t end_ms = 0; /* the last OPEN that was answered */
	for (size_t i = 0; i < READER_SETS * WAYS; i++)
		if (last_ms(&r[i]) > end_ms)
			end_ms = last_ms(&r[i]);
	for (size_t i = 0; i < READER_SETS * WAYS; i++) {
		if (r[i].have && end_ms - r[i].began_ms < PAIRS_MS)
			r[i].began_ms = now_ms;
		if (r[i].promised && end_ms - r[i].promised_ms < PAIRS_MS)
			r[i].promised_ms = now_ms;
	}
	for (size_t i = 0; i < MOVING_SETS * WAYS; i++)
		if (m[i].begun && end_ms - m[i].last_ms < PAIRS_MS)
			m[i].last_ms = now_ms;
}

/* In a full set, the one that has rested longest makes place. */
static struct reader *reader_get(struct pairs *p, uint32_t tid, uint32_t number)
{
	struct reader *set = p->reader[spread(tid, number) % READER_SETS], *rest = set;
	for (unsigned i = 0; i < WAYS; i++) {
		if (set[i].tid == tid && set[i].number == number)
			return &set[i];
		if (rest->tid && (!set[i].tid || last_ms(&set[i]) < last_ms(rest)))
			rest = &set[i];
	}
	rename_begin(&rest->tid);
	*rest = (struct reader){.number = number};
	rename_end(&rest->tid, tid);
	return rest;
}

static uint32_t thread_group(struct pairs *p, const struct pairs_open *o)
{
	uint32_t tid = (uint32_t)o->tid;
	struct thread *set = p->thread[spread(tid, 0) % THREAD_SETS], *t = set;
	for (unsigned i = 0; i < WAYS && t->tid != tid; i++)
		if (set[i].tid == tid || set[i].seen_ms < t->seen_ms)
			t = &set[i];
	if (t->tid != tid || o->now_ms - t->seen_ms > THREAD_MS) {
		uint32_t tgid = (uint32_t)o->group_of(o->tid);
		rename_begin(&t->tid);
		t->tgid = tgid;
		rename_end(&t->tid, tid);
	}
	t->seen_ms = o->now_ms;
	return t->tgid;
}

static struct group *group_get(struct pairs *p, uint32_t tgid, int64_t now_ms)
{
	struct group *set = p->group[spread(tgid, 0) % GROUP_SETS], *g = set;
	for (unsigned i = 0; i < WAYS && g->tgid != tgid; i++)
		if (set[i].tgid == tgid || set[i].seen_ms < g->seen_ms)
			g = &set[i];
	if (g->tgid != tgid) {
		rename_begin(&g->tgid);
		*g = (struct group){.first = 0};
		rename_end(&g->tgid, tgid);
	}
	g->seen_ms = now_ms;
	return g;
}

static struct moving *moving_get(struct pairs *p, uint32_t tgid, uint32_t number,
				 int64_t now_ms)
{
	struct moving *set = p->moving[spread(tgid, number) % MOVING_SETS], *m = set;
	for (unsigned i = 0; i < WAYS; i++) {
		if (set[i].tgid == tgid && set[i].number == number) {
			m = &set[i];
			break;
		}
		if (set[i].seen_ms < m->seen_ms)
			m = &set[i];
	}
	if (m->tgid != tgid || m->number != number) {
		rename_begin(&m->tgid);
		*m = (struct moving){.number = number};
		rename_end(&m->tgid, tgid);
	}
	if (now_ms - m->last_ms >= PAIRS_MS)
		m->begun = 0;
	m->seen_ms = now_ms;
	return m;
}

static uint32_t decide_in_group(struct pairs *p, const struct pairs_open *o,
				const struct group *g, unsigned bits)
{
	struct moving *m = moving_get(p, g->tgid, o->number, o->now_ms);
	unsigned half = bits & HALVES;
	if (half == g->first) {
		if (m->begun && m->gen != o->served && o->hold)
			return PAIRS_HELD;
		if (m->gen != o->served)
			m->begun = 0;
		atomic_signal_fence(memory_order_seq_cst);
		m->gen = o->served;
		m->last_ms = o->now_ms;
		m->begun++;
		return m->gen;
	}
	if (!m->begun)
		return o->served;
	m->begun -= half != 0;
	return m->gen;
}

/* Of a group that has not shown yet that its readers move: when it does, what it has
 * begun is known. */
static void count_in_group(struct pairs *p, const struct pairs_open *o,
			   const struct group *g, unsigned half)
{
	struct moving *m = moving_get(p, g->tgid, o->number, o->now_ms);
	if (half == g->first) {
		m->gen = o->served;
		m->last_ms = o->now_ms;
		m->begun++;
	} else if (half && m->begun) {
		m->begun--;
	}
}

static uint8_t kind_bit(enum file_kind kind)
{
	return (uint8_t)(1u << kind);
}

static bool in_time(const struct reader *r, int64_t now_ms)
{
	return r->have && now_ms - r->began_ms < PAIRS_MS;
}

/* A walk begins: how long did the thread pause before it? */
static void note_walk(struct reader *r, const struct pairs_open *o)
{
	int64_t us = o->now_us - r->seen_us;
	if (!r->walks)
		r->pause_us = us < PAUSE_MAX_US ? (uint32_t)us : PAUSE_MAX_US;
	r->walks = true;
}

/* What a thread opened before the rotation was not seen, so the first half that is seen may
 * be a pair's second. But who loads pairs does something with each of them: when its
 * pauses before one half are longer than those before the other one, more so than by
 * chance, that half is the first. */
static bool comes_first(struct reader *r, const struct pairs_open *o, unsigned half)
{
	double more = (double)r->pause_us - (double)r->other_pause_us;
	if (half == 0)
		return false;
	if (half == KEY)
		more = -more;
	if (r->half == (half ^ HALVES) && in_time(r, o->now_ms) &&
	    r->pause_us < PAUSE_MAX_US && r->other_pause_us < PAUSE_MAX_US) {
		r->more_sum += more;
		r->more_squares += more * more;
	}
	r->half = (uint8_t)half;
	r->other_pause_us = r->pause_us;
	double sum = half == KEY ? -r->more_sum : r->more_sum;
	return sum > 0 && sum * sum > CHANCE * CHANCE * r->more_squares;
}

static bool completes(struct reader *r, const struct pairs_open *o, unsigned bits)
{
	if (o->by_path && !r->sure && comes_first(r, o, bits & HALVES))
		return false;
	return in_time(r, o->now_ms) && !(r->have & bits);
}

static bool is_met_again(const struct reader *r, const struct pairs_open *o)
{
	uint8_t bit = kind_bit(o->kind);
	return o->by_path && in_time(r, o->now_ms) && r->met & bit && !(r->read & bit);
}

static void begin(struct reader *r, const struct pairs_open *o, unsigned bits)
{
	r->have = 0;
	r->met = kind_bit(o->kind);
	r->read = 0;
	atomic_signal_fence(memory_order_seq_cst);
	r->gen = o->served;
	r->began_ms = o->now_ms;
	atomic_signal_fence(memory_order_seq_cst);
	r->have = bits;
}

static uint32_t decide(struct pairs *p, struct reader *r, const struct pairs_open *o)
{
	unsigned bits = kinds_bits(o->kind), half = bits & HALVES;
	if (!bits)
		return o->served;
	if (is_met_again(r, o))
		return r->gen;
	if (!in_time(r, o->now_ms)) {
		r->sure = false;
		r->more_sum = r->more_squares = 0;
	}
	struct group *g = group_get(p, thread_group(p, o), o->now_ms);
	if (!g->first)
		g->first = (uint8_t)half;
	if (g->abandoned == HALVES)
		return decide_in_group(p, o, g, bits);
	count_in_group(p, o, g, half);
	if (completes(r, o, bits)) {
		r->have |= bits;
		r->met |= kind_bit(o->kind);
		return r->gen;
	}
	if (half && (r->have & HALVES) == half) {
		if (r->sure || !o->by_path)
			g->abandoned |= (uint8_t)half;
		r->sure = o->now_ms - o->since_ms >= PAIRS_MS;
	}
	begin(r, o, bits);
	return o->served;
}

static uint32_t answer(struct reader *r, const struct pairs_open *o, uint32_t gen)
{
	r->promised = gen == o->asked ? 0 : gen;
	r->promised_ms = o->now_ms;
	r->answer = gen;
	atomic_signal_fence(memory_order_seq_cst);
	r->unique = o->unique;
	return gen;
}

uint32_t pairs_open(struct pairs *p, const struct pairs_open *o)
{
	if (o->tid <= 0)
		return o->asked;
	struct reader *r = reader_get(p, (uint32_t)o->tid, o->number);
	if (r->unique == o->unique && o->unique)
		return r->answer;
	if (r->promised && o->now_ms - r->promised_ms < RETRY_MS) {
		if (r->gen == r->promised)
			r->gen = o->asked;
		return answer(r, o, o->asked);
	}
	uint32_t gen = decide(p, r, o);
	return gen == PAIRS_HELD ? gen : answer(r, o, gen);
}

uint32_t pairs_open_anew(struct pairs *p, const struct pairs_open *o)
{
	struct reader *r = reader_get(p, (uint32_t)o->tid, o->number);
	begin(r, o, kinds_bits(o->kind));
	return answer(r, o, o->served);
}

uint32_t pairs_foresee(struct pairs *p, const struct pairs_open *o)
{
	unsigned bits = kinds_bits(o->kind);
	if (o->tid <= 0 || !bits)
		return o->served;
	struct reader *walker = reader_get(p, (uint32_t)o->tid, o->number), r;
	note_walk(walker, o);
	r = *walker;
	if (r.promised && o->now_ms - r.promised_ms < RETRY_MS)
		return r.promised;
	if (is_met_again(&r, o))
		return r.gen;
	const struct group *g = group_get(p, thread_group(p, o), o->now_ms);
	if (g->abandoned != HALVES)
		return completes(&r, o, bits) ? r.gen : o->served;
	const struct moving *m = moving_get(p, g->tgid, o->number, o->now_ms);
	return m->begun && (bits & HALVES) != g->first ? m->gen : o->served;
}

void pairs_name(struct pairs *p, const struct pairs_open *o, uint32_t gen)
{
	if (o->tid <= 0)
		return;
	struct reader *r = reader_get(p, (uint32_t)o->tid, o->number);
	r->named = 0;
	atomic_signal_fence(memory_order_seq_cst);
	r->named_kind = (uint8_t)o->kind;
	atomic_signal_fence(memory_order_seq_cst);
	r->named = gen;
}

bool pairs_arrives(struct pairs *p, const struct pairs_open *o)
{
	if (o->tid <= 0)
		return false;
	struct reader *r = reader_get(p, (uint32_t)o->tid, o->number);
	if (r->unique == o->unique && o->unique)
		return true; /* of the worker before */
	if (r->named != o->asked || r->named_kind != o->kind)
		return false;
	r->named = 0;
	r->walks = false;
	r->seen_us = o->now_us;
	return true;
}

void pairs_read(struct pairs *p, const struct pairs_open *o)
{
	if (o->tid <= 0)
		return;
	struct reader *r = reader_get(p, (uint32_t)o->tid, o->number);
	r->read |= kind_bit(o->kind);
	r->seen_us = o->now_us;
}

uint32_t pairs_lookup(const struct pairs *p, pid_t tid, uint32_t number, uint32_t served,
		      int64_t now_ms)
{
	const struct reader *r = tid > 0 ? reader_find(p, (uint32_t)tid, number) : NULL;
	return r && r->promised && now_ms - r->promised_ms < PAIRS_MS ? r->promised
								      : served;
}

pid_t pairs_thread_group(pid_t tid)
{
	char path[40], text[512];
	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return tid;
	ssize_t size = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (size <= 0)
		return tid;
	text[size] = '\0';
	const char *line = strstr(text, "\nTgid:");
	long tgid = line ? strtol(line + strlen("\nTgid:"), NULL, 10) : 0;
	return tgid > 0 ? (pid_t)tgid : tid;
}
