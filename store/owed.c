/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/owed.h"

#include "store/codec.h"

#include <errno.h>

#define RECORD   1
#define OWED_KEY 4

static void owed_key(unsigned char *key, uint32_t number)
{
	struct enc e;

	enc_init(&e, key, OWED_KEY);
	enc_be32(&e, number);
}

static int owed_decode(const struct db_value *value, struct owed *o, struct error *err)
{
	struct dec d;

	dec_init(&d, value->data, value->size);
	if (dec_u8(&d) != RECORD)
		d.bad = true;
	o->serial = dec_u64(&d);
	o->before = dec_u32(&d);
	if (!dec_done(&d))
		return error_set(
		    err, EIO, "the table of changes that nobody was told of is damaged");
	return 0;
}

int owed_mark(struct txn *txn, uint32_t number, uint32_t before, uint64_t *serial,
	      struct error *err)
{
	unsigned char key[OWED_KEY], record[16];
	struct enc e;
	int rc = db_count(txn, "owed", serial, err);

	if (rc)
		return rc;
	owed_key(key, number);
	enc_init(&e, record, sizeof(record));
	enc_u8(&e, RECORD);
	enc_u64(&e, *serial);
	enc_u32(&e, before);
	return db_put(txn, DB_OWED, key, sizeof(key), record, e.size, err);
}

int owed_get(struct txn *txn, uint32_t number, struct owed *o, struct error *err)
{
	unsigned char key[OWED_KEY];
	struct db_value value;
	int rc;

	owed_key(key, number);
	rc = db_get(txn, DB_OWED, key, sizeof(key), &value, err);
	if (rc == -ENOENT)
		error_clear(err);
	o->number = number;
	return rc ? rc : owed_decode(&value, o, err);
}

int owed_clear(struct txn *txn, uint32_t number, uint64_t serial, struct error *err)
{
	unsigned char key[OWED_KEY];
	struct owed o;
	int rc = owed_get(txn, number, &o, err);

	if (rc == -ENOENT || (rc == 0 && o.serial != serial))
		return 0;
	if (rc)
		return rc;
	owed_key(key, number);
	return db_del(txn, DB_OWED, key, sizeof(key), err);
}

int owed_next(struct txn *txn, uint32_t from, struct owed *o, struct error *err)
{
	struct db_cursor *cursor = NULL;
	unsigned char first[OWED_KEY];
	struct db_value key, value;
	struct dec d;
	int rc = db_cursor_open(txn, DB_OWED, &cursor, err);

	if (rc)
		return rc;
	owed_key(first, from);
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
