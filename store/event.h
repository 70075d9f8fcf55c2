/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* event: what happened, newest last, for `.certfs/events` and status pages.
 *
 * An event is written in the transaction that did what it tells of, so that both are
 * there or neither. Sequences grow by one and are never given out again; the newest
 * EVENTS_KEPT rows are kept. The sentences are as they came: who shows them cleans them
 * (text.h). */
#ifndef CERTFS_STORE_EVENT_H
#define CERTFS_STORE_EVENT_H

#include "store/db.h"

#include <stdint.h>

#define EVENTS_KEPT 10000

enum event_kind {
	EVENT_INSTALLED = 1, /* mkdir */
	EVENT_RETIRED,       /* rmdir */
	EVENT_SERVES,        /* another generation is served */
	EVENT_ORDERED,
	EVENT_ISSUED,
	EVENT_FAILED,  /* an order failed */
	EVENT_CUSTOM,  /* a custom certificate was installed */
	EVENT_REFUSED, /* what was written was refused */
	EVENT_REMOVED, /* a custom certificate was taken away */
	EVENT_OTHER,
	EVENT_HOOK, /* the on-change hook failed */
};
const char *event_kind_name(enum event_kind kind);

struct event {
	uint64_t sequence;
	int64_t at_s;
	enum event_kind kind;
	uint32_t number; /* domain, 0: none */
	char text[600];  /* one sentence */
};

/* Adds one at the end; the oldest gives way. A text that is too long is cut. */
int event_add(struct txn *txn, enum event_kind kind, uint32_t number, int64_t now_s,
	      struct error *err, const char *format, ...)
    __attribute__((format(printf, 6, 7)));
/* The first event with a sequence > `after`. -ENOENT at the end (err is not set then). */
int event_next(struct txn *txn, uint64_t after, struct event *e, struct error *err);
/* The newest events of a domain, oldest first: at most `room`, how many into *count. */
int event_of(struct txn *txn, uint32_t number, struct event *out, size_t room,
	     size_t *count, struct error *err);
/* The sequence of the newest event, 0: none. */
uint64_t event_newest(struct txn *txn);

#endif
