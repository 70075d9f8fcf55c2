/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/changed.h"

#include "store/codec.h"

#include <errno.h>

#define RECORD 2 /* 1: without `before` */

static int changed_decode(const struct db_value *value, uint64_t *serial,
			  uint32_t *before, struct error *err)
{
	uint8_t version;
	struct dec d;

	dec_init(&d, value->data, value->size);
	version = dec_u8(&d);
	if (version < 1 || version > RECORD)
		d.bad = true;
	*serial = dec_u64(&d);
	*before = version > 1 ? dec_u32(&d) : 0;
	if (!dec_done(&d))
		return error_set(err, EIO, "the table of changed domains is damaged");
	return 0;
}

/* ENOENT: there is no row, and all is 0. */
static int changed_get(struct txn *txn, uint32_t number, uint64_t *serial,
		       uint32_t *before, struct error *err)
{
	unsigned char key[ENC_NUMBER_KEY];
	struct db_value v;
	int rc;

	*serial = 0;
	*before = 0;
	enc_number_key(key, number);
	rc = db_get(txn, DB_CHANGED, key, sizeof(key), &v, err);
	return rc ? rc : changed_decode(&v, serial, before, err);
}

int changed_before(struct txn *txn, uint32_t number, uint32_t *before, uint64_t *serial,
		   struct error *err)
{
	int rc = changed_get(txn, number, serial, before, err);

	if (rc != -ENOENT)
		return rc;
	error_clear(err);
	return 0;
}

int changed_mark(struct txn *txn, uint32_t number, uint32_t before, uint64_t *serial,
		 struct error *err)
{
	unsigned char key[ENC_NUMBER_KEY], record[16];
	uint32_t first;
	struct enc e;
	int rc = changed_before(txn, number, &first, serial, err);

	if (rc == 0)
		rc = db_count(txn, "changed", serial, err);
	if (rc)
		return rc;
	enc_number_key(key, number);
	enc_init(&e, record, sizeof(record));
	enc_u8(&e, RECORD);
	enc_u64(&e, *serial);
	enc_u32(&e, first ? first : before);
	return db_put(txn, DB_CHANGED, key, sizeof(key), record, e.size, err);
}

int changed_clear(struct txn *txn, uint32_t number, uint64_t serial, struct error *err)
{
	unsigned char key[ENC_NUMBER_KEY];
	uint32_t before;
	uint64_t now;
	int rc = changed_get(txn, number, &now, &before, err);

	if (rc == -ENOENT) {
		error_clear(err);
		return 0;
	}
	if (rc || now != serial)
		return rc;
	enc_number_key(key, number);
	return db_del(txn, DB_CHANGED, key, sizeof(key), err);
}

int changed_next(struct txn *txn, uint32_t from, uint32_t *number, uint64_t *serial,
		 struct error *err)
{
	struct db_cursor *cursor = NULL;
	unsigned char first[ENC_NUMBER_KEY];
	struct db_value key, value;
	uint32_t before;
	struct dec d;
	int rc = db_cursor_open(txn, DB_CHANGED, &cursor, err);

	if (rc)
		return rc;
	enc_number_key(first, from);
	rc = db_seek(cursor, first, sizeof(first), &key, &value);
	if (rc == 0) {
		dec_init(&d, key.data, key.size);
		*number = dec_be32(&d);
		rc = changed_decode(&value, serial, &before, err);
	} else if (rc != -ENOENT) {
		rc = error_set(err, -rc, "cannot read the table of changed domains");
	}
	db_cursor_close(cursor);
	return rc;
}
