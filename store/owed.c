/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/owed.h"

#include "store/codec.h"

#include <errno.h>
#include <string.h>

#define RECORD      2 /* 1: of one generation alone */
#define RECORD_SIZE (1 + 8 + 1 + 1 + 1 + OWED_MAX * (4 + 8 + 1))

static void read_one(struct dec *d, struct owed *o)
{
	o->hook = true;
	o->names = OWED_FILES;
	o->count = 1;
	o->before[0] = (struct owed_before){
	    .gen = dec_u32(d), .serial = o->serial, .held = OWED_FILES};
}

static void read_all(struct dec *d, struct owed *o)
{
	o->hook = dec_u8(d) != 0;
	o->names = dec_u8(d);
	o->count = dec_u8(d);
	if (o->count > OWED_MAX) {
		o->count = 0;
		d->bad = true;
	}
	for (size_t i = 0; i < o->count; i++) {
		struct owed_before *b = &o->before[i];

		b->gen = dec_u32(d);
		b->serial = dec_u64(d);
		b->held = dec_u8(d);
	}
}

static int owed_decode(const struct db_value *value, struct owed *o, struct error *err)
{
	uint8_t version;
	struct dec d;

	dec_init(&d, value->data, value->size);
	version = dec_u8(&d);
	o->serial = dec_u64(&d);
	if (version == 1)
		read_one(&d, o);
	else if (version == RECORD)
		read_all(&d, o);
	else
		d.bad = true;
	if (!dec_done(&d))
		return error_set(
		    err, EIO, "the table of changes that nobody was told of is damaged");
	return 0;
}

/* A row that owes nothing goes. */
static int owed_put(struct txn *txn, const struct owed *o, struct error *err)
{
	unsigned char key[ENC_NUMBER_KEY], record[RECORD_SIZE];
	struct enc e;

	enc_number_key(key, o->number);
	if (o->count == 0 && !o->hook)
		return db_del(txn, DB_OWED, key, sizeof(key), err);
	enc_init(&e, record, sizeof(record));
	enc_u8(&e, RECORD);
	enc_u64(&e, o->serial);
	enc_u8(&e, o->hook);
	enc_u8(&e, o->names);
	enc_u8(&e, (uint8_t)o->count);
	for (size_t i = 0; i < o->count; i++) {
		enc_u32(&e, o->before[i].gen);
		enc_u64(&e, o->before[i].serial);
		enc_u8(&e, o->before[i].held);
	}
	return db_put(txn, DB_OWED, key, sizeof(key), record, e.size, err);
}

static void take_out(struct owed *o, size_t at)
{
	o->count--;
	memmove(&o->before[at], &o->before[at + 1],
		(o->count - at) * sizeof(o->before[0]));
}

/* o->count: it is not there. */
static size_t find(const struct owed *o, uint32_t gen, uint64_t serial)
{
	size_t i = 0;

	while (i < o->count && (o->before[i].gen != gen || o->before[i].serial != serial))
		i++;
	return i;
}

int owed_get(struct txn *txn, uint32_t number, struct owed *o, struct error *err)
{
	unsigned char key[ENC_NUMBER_KEY];
	struct db_value value;
	int rc;

	memset(o, 0, sizeof(*o));
	o->number = number;
	enc_number_key(key, number);
	rc = db_get(txn, DB_OWED, key, sizeof(key), &value, err);
	if (rc == -ENOENT)
		error_clear(err);
	return rc ? rc : owed_decode(&value, o, err);
}

int owed_mark(struct txn *txn, uint32_t number, uint32_t before, uint64_t *serial,
	      struct error *err)
{
	struct owed o;
	int rc = owed_get(txn, number, &o, err);

	if (rc == 0 || rc == -ENOENT)
		rc = db_count(txn, "owed", serial, err);
	if (rc)
		return rc;
	for (size_t i = o.count; i-- > 0;)
		if (o.before[i].gen == before || !o.before[i].held)
			take_out(&o, i);
	if (o.count == OWED_MAX)
		take_out(&o, 1);
	o.serial = *serial;
	o.hook = true;
	o.names = OWED_FILES;
	o.before[o.count++] =
	    (struct owed_before){.gen = before, .serial = *serial, .held = OWED_FILES};
	return owed_put(txn, &o, err);
}

int owed_leave_out(struct txn *txn, uint32_t number, unsigned files, struct error *err)
{
	struct owed o;
	int rc = owed_get(txn, number, &o, err);

	if (rc == -ENOENT || (rc == 0 && o.count == 0))
		return 0;
	if (rc)
		return rc;
	o.names &= (uint8_t)~files;
	o.before[o.count - 1].held &= (uint8_t)~files;
	return owed_put(txn, &o, err);
}

int owed_held(struct txn *txn, uint32_t number, uint32_t gen, uint64_t serial,
	      unsigned files, struct error *err)
{
	struct owed o;
	int rc = owed_get(txn, number, &o, err);
	size_t at;

	if (rc)
		return rc == -ENOENT ? 0 : rc;
	at = find(&o, gen, serial);
	if (at == o.count)
		return 0;
	o.before[at].held &= (uint8_t)files;
	/* With the last one the names are announced, whoever watches it. */
	if (!o.before[at].held && at + 1 < o.count)
		take_out(&o, at);
	return owed_put(txn, &o, err);
}

int owed_told(struct txn *txn, uint32_t number, uint32_t gen, uint64_t serial,
	      struct error *err)
{
	struct owed o;
	int rc = owed_get(txn, number, &o, err);
	size_t at;

	if (rc)
		return rc == -ENOENT ? 0 : rc;
	at = find(&o, gen, serial);
	if (at == o.count)
		return 0;
	take_out(&o, at);
	return owed_put(txn, &o, err);
}

static int settle(struct txn *txn, uint32_t number, uint64_t serial, bool drop,
		  struct error *err)
{
	struct owed o;
	int rc = owed_get(txn, number, &o, err);

	if (rc == -ENOENT || (rc == 0 && o.serial != serial))
		return 0;
	if (rc)
		return rc;
	o.hook = false;
	if (drop)
		o.count = 0;
	return owed_put(txn, &o, err);
}

int owed_hooked(struct txn *txn, uint32_t number, uint64_t serial, struct error *err)
{
	return settle(txn, number, serial, false, err);
}

int owed_drop(struct txn *txn, uint32_t number, uint64_t serial, struct error *err)
{
	return settle(txn, number, serial, true, err);
}

int owed_next(struct txn *txn, uint32_t from, struct owed *o, struct error *err)
{
	struct db_cursor *cursor = NULL;
	unsigned char first[ENC_NUMBER_KEY];
	struct db_value key, value;
	struct dec d;
	int rc = db_cursor_open(txn, DB_OWED, &cursor, err);

	if (rc)
		return rc;
	memset(o, 0, sizeof(*o));
	enc_number_key(first, from);
	rc = db_seek(cursor, first, sizeof(first), &key, &value);
	if (rc == 0) {
		dec_init(&d, key.data, key.size);
		o->number = dec_be32(&d);
		rc = owed_decode(&value, o, err);
	} else if (rc != -ENOENT) {
		rc = error_set(err, -rc, "cannot read the table of changes to tell");
	}
	db_cursor_close(cursor);
	return rc;
}
