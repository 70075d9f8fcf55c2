/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/changed.h"

#include "store/codec.h"

#include <errno.h>

#define RECORD      1
#define CHANGED_KEY 4

static void changed_key(unsigned char *key, uint32_t number)
{
	struct enc e;

	enc_init(&e, key, CHANGED_KEY);
	enc_be32(&e, number);
}

static int changed_decode(const struct db_value *value, uint64_t *serial,
			  struct error *err)
{
	struct dec d;

	dec_init(&d, value->data, value->size);
	if (dec_u8(&d) != RECORD)
		d.bad = true;
	*serial = dec_u64(&d);
	if (!dec_done(&d))
		return error_set(err, EIO, "the table of changed domains is damaged");
	return 0;
}

int changed_mark(struct txn *txn, uint32_t number, uint64_t *serial, struct error *err)
{
	unsigned char key[CHANGED_KEY], record[16];
	struct enc e;
	int rc = db_count(txn, "changed", serial, err);

	if (rc)
		return rc;
	changed_key(key, number);
	enc_init(&e, record, sizeof(record));
	enc_u8(&e, RECORD);
	enc_u64(&e, *serial);
	return db_put(txn, DB_CHANGED, key, sizeof(key), record, e.size, err);
}

int changed_clear(struct txn *txn, uint32_t number, uint64_t serial, struct error *err)
{
	unsigned char key[CHANGED_KEY];
	struct db_value v;
	uint64_t now;
	int rc;

	changed_key(key, number);
	rc = db_get(txn, DB_CHANGED, key, sizeof(key), &v, err);
	if (rc == -ENOENT) {
		error_clear(err);
		return 0;
	}
	if (rc == 0)
		rc = changed_decode(&v, &now, err);
	if (rc || now != serial)
		return rc;
	return db_del(txn, DB_CHANGED, key, sizeof(key), err);
}

int changed_next(struct txn *txn, uint32_t from, uint32_t *number, uint64_t *serial,
		 struct error *err)
{
	struct db_cursor *cursor = NULL;
	unsigned char first[CHANGED_KEY];
	struct db_value key, value;
	struct dec d;
	int rc = db_cursor_open(txn, DB_CHANGED, &cursor, err);

	if (rc)
		return rc;
	changed_key(first, from);
	rc = db_seek(cursor, first, sizeof(first), &key, &value);
	if (rc == 0) {
		dec_init(&d, key.data, key.size);
		*number = dec_be32(&d);
		rc = changed_decode(&value, serial, err);
	} else if (rc != -ENOENT) {
		rc = error_set(err, -rc, "cannot read the table of changed domains");
	}
	db_cursor_close(cursor);
	return rc;
}
