/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/event.h"

#include "store/codec.h"
#include "store/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define RECORD    1
#define EVENT_KEY 8
#define OF_KEY    (4 + EVENT_KEY)

const char *event_kind_name(enum event_kind kind)
{
	switch (kind) {
	case EVENT_INSTALLED:
		return "installed";
	case EVENT_RETIRED:
		return "retired";
	case EVENT_SERVES:
		return "serves";
	case EVENT_ORDERED:
		return "ordered";
	case EVENT_ISSUED:
		return "issued";
	case EVENT_FAILED:
		return "failed";
	case EVENT_CUSTOM:
		return "custom";
	case EVENT_REFUSED:
		return "refused";
	case EVENT_REMOVED:
		return "removed";
	case EVENT_HOOK:
		return "hook";
	case EVENT_OTHER:
		break;
	}
	return "other";
}

static void event_key(unsigned char *key, uint64_t sequence)
{
	struct enc e;

	enc_init(&e, key, EVENT_KEY);
	enc_be64(&e, sequence);
}

static void of_key(unsigned char *key, uint32_t number, uint64_t sequence)
{
	struct enc e;

	enc_init(&e, key, OF_KEY);
	enc_be32(&e, number);
	enc_be64(&e, sequence);
}

static int event_decode(const struct db_value *key, const struct db_value *value,
			struct event *ev, struct error *err)
{
	struct dec k, d;

	dec_init(&k, key->data, key->size);
	dec_init(&d, value->data, value->size);
	ev->sequence = dec_be64(&k);
	if (dec_u8(&d) != RECORD)
		d.bad = true;
	ev->at_s = dec_i64(&d);
	ev->kind = (enum event_kind)dec_u8(&d);
	ev->number = dec_u32(&d);
	dec_text(&d, ev->text, sizeof(ev->text));
	if (!dec_done(&k) || !dec_done(&d))
		return error_set(err, EIO, "event %llu in the store is damaged",
				 (unsigned long long)ev->sequence);
	return 0;
}

static int event_get(struct txn *txn, uint64_t sequence, struct event *ev,
		     struct error *err)
{
	unsigned char data[EVENT_KEY];
	struct db_value key = {.data = data, .size = sizeof(data)}, value;
	int rc;

	event_key(data, sequence);
	rc = db_get(txn, DB_EVENTS, data, sizeof(data), &value, err);
	return rc ? rc : event_decode(&key, &value, ev, err);
}

static int forget(struct txn *txn, uint64_t sequence, struct error *err)
{
	unsigned char key[EVENT_KEY], of[OF_KEY];
	struct event old;
	int rc = event_get(txn, sequence, &old, err);

	if (rc == -ENOENT)
		error_clear(err);
	if (rc)
		return rc == -ENOENT ? 0 : rc;
	of_key(of, old.number, sequence);
	rc = db_del(txn, DB_EVENTS_OF, of, sizeof(of), err);
	event_key(key, sequence);
	return rc ? rc : db_del(txn, DB_EVENTS, key, sizeof(key), err);
}

int event_add(struct txn *txn, enum event_kind kind, uint32_t number, int64_t now_s,
	      struct error *err, const char *format, ...)
{
	unsigned char key[EVENT_KEY], of[OF_KEY], record[sizeof(struct event) + 32];
	const unsigned char mark = RECORD;
	struct event ev = {.kind = kind, .number = number, .at_s = now_s};
	struct enc e;
	va_list args;
	int length, rc;

	va_start(args, format);
	length = vsnprintf(ev.text, sizeof(ev.text), format, args);
	va_end(args);
	if (length >= (int)sizeof(ev.text))
		text_trim(ev.text);
	rc = db_count(txn, "event", &ev.sequence, err);
	if (rc)
		return rc;
	enc_init(&e, record, sizeof(record));
	enc_u8(&e, RECORD);
	enc_i64(&e, ev.at_s);
	enc_u8(&e, (uint8_t)ev.kind);
	enc_u32(&e, ev.number);
	enc_text(&e, ev.text);
	event_key(key, ev.sequence);
	of_key(of, number, ev.sequence);
	rc = db_put(txn, DB_EVENTS, key, sizeof(key), record, e.size, err);
	if (rc == 0)
		rc = db_put(txn, DB_EVENTS_OF, of, sizeof(of), &mark, sizeof(mark), err);
	if (rc || ev.sequence <= EVENTS_KEPT)
		return rc;
	return forget(txn, ev.sequence - EVENTS_KEPT, err);
}

int event_next(struct txn *txn, uint64_t after, struct event *ev, struct error *err)
{
	struct db_cursor *cursor = NULL;
	unsigned char from[EVENT_KEY];
	struct db_value key, value;
	int rc;

	if (after == UINT64_MAX)
		return -ENOENT;
	rc = db_cursor_open(txn, DB_EVENTS, &cursor, err);
	if (rc)
		return rc;
	event_key(from, after + 1);
	rc = db_seek(cursor, from, sizeof(from), &key, &value);
	if (rc == 0)
		rc = event_decode(&key, &value, ev, err);
	else if (rc != -ENOENT)
		rc = error_set(err, -rc, "cannot read the events");
	db_cursor_close(cursor);
	return rc;
}

/* The sequence of the newest event of `number` before `before`. */
static int sequence_before(struct db_cursor *cursor, uint32_t number, uint64_t before,
			   uint64_t *sequence)
{
	unsigned char from[OF_KEY];
	struct db_value key, value;
	struct dec d;
	int rc;

	of_key(from, number, before);
	rc = db_seek_before(cursor, from, sizeof(from), &key, &value);
	if (rc)
		return rc;
	dec_init(&d, key.data, key.size);
	if (dec_be32(&d) != number)
		return -ENOENT;
	*sequence = dec_be64(&d);
	return dec_done(&d) ? 0 : -EIO;
}

int event_of(struct txn *txn, uint32_t number, struct event *out, size_t room,
	     size_t *count, struct error *err)
{
	struct db_cursor *cursor = NULL;
	uint64_t sequence = UINT64_MAX;
	size_t left = room;
	int rc = db_cursor_open(txn, DB_EVENTS_OF, &cursor, err);

	if (rc)
		return rc;
	while (left > 0) {
		rc = sequence_before(cursor, number, sequence, &sequence);
		if (rc == -ENOENT) {
			rc = 0;
			break;
		}
		if (rc)
			rc = error_set(err, -rc, "cannot read the events");
		else
			rc = event_get(txn, sequence, &out[left - 1], err);
		if (rc == -ENOENT)
			rc = error_set(err, EIO, "event %llu is missing in the store",
				       (unsigned long long)sequence);
		if (rc)
			break;
		left--;
	}
	db_cursor_close(cursor);
	*count = room - left;
	memmove(out, out + left, *count * sizeof(*out));
	return rc;
}

uint64_t event_newest(struct txn *txn)
{
	struct db_cursor *cursor = NULL;
	struct db_value key, value;
	uint64_t sequence = 0;
	struct error err;
	struct dec d;

	error_clear(&err);
	if (db_cursor_open(txn, DB_EVENTS, &cursor, &err))
		return 0;
	if (db_last(cursor, &key, &value) == 0) {
		dec_init(&d, key.data, key.size);
		sequence = dec_be64(&d);
	}
	db_cursor_close(cursor);
	return sequence;
}
