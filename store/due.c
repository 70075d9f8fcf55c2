/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/due.h"

#include "store/codec.h"

#include <errno.h>

#define RECORD  1
#define DUE_KEY 12

/* Times before 1970 sort before those after it. */
static uint64_t sortable(int64_t at_s)
{
	return (uint64_t)at_s ^ (UINT64_C(1) << 63);
}

static void due_key(unsigned char *key, int64_t at_s, uint32_t number)
{
	struct enc e;

	enc_init(&e, key, DUE_KEY);
	enc_be64(&e, sortable(at_s));
	enc_be32(&e, number);
}

int due_get(struct txn *txn, uint32_t number, int64_t *at_s, struct error *err)
{
	unsigned char key[ENC_NUMBER_KEY];
	struct db_value v;
	struct dec d;
	int rc;

	enc_number_key(key, number);
	*at_s = INT64_MAX;
	rc = db_get(txn, DB_DUE_AT, key, sizeof(key), &v, err);
	if (rc == -ENOENT) {
		error_clear(err);
		return 0;
	}
	if (rc)
		return rc;
	dec_init(&d, v.data, v.size);
	if (dec_u8(&d) != RECORD)
		d.bad = true;
	*at_s = dec_i64(&d);
	if (!dec_done(&d))
		return error_set(err, EIO,
				 "the due time of domain %u in the store is damaged",
				 (unsigned int)number);
	return 0;
}

int due_set(struct txn *txn, uint32_t number, int64_t at_s, struct error *err)
{
	unsigned char key[DUE_KEY], at_key[ENC_NUMBER_KEY], record[16];
	int64_t before_s;
	struct enc e;
	int rc = due_get(txn, number, &before_s, err);

	if (rc || before_s == at_s)
		return rc;
	enc_number_key(at_key, number);
	if (before_s != INT64_MAX) {
		due_key(key, before_s, number);
		rc = db_del(txn, DB_DUE, key, sizeof(key), err);
		if (rc)
			return rc;
	}
	if (at_s == INT64_MAX)
		return db_del(txn, DB_DUE_AT, at_key, sizeof(at_key), err);
	due_key(key, at_s, number);
	enc_init(&e, record, sizeof(record));
	enc_u8(&e, RECORD);
	rc = db_put(txn, DB_DUE, key, sizeof(key), record, e.size, err);
	if (rc)
		return rc;
	enc_i64(&e, at_s);
	return db_put(txn, DB_DUE_AT, at_key, sizeof(at_key), record, e.size, err);
}

int due_sooner(struct txn *txn, uint32_t number, int64_t at_s, struct error *err)
{
	int64_t before_s;
	int rc = due_get(txn, number, &before_s, err);

	if (rc || before_s <= at_s)
		return rc;
	return due_set(txn, number, at_s, err);
}

int due_first(struct txn *txn, int64_t *at_s, uint32_t *number, struct error *err)
{
	struct db_cursor *cursor = NULL;
	struct db_value key, value;
	struct dec d;
	int rc = db_cursor_open(txn, DB_DUE, &cursor, err);

	if (rc)
		return rc;
	rc = db_seek(cursor, NULL, 0, &key, &value);
	if (rc == 0) {
		dec_init(&d, key.data, key.size);
		*at_s = (int64_t)sortable((int64_t)dec_be64(&d));
		*number = dec_be32(&d);
		if (!dec_done(&d))
			rc = error_set(err, EIO, "the queue of due domains is damaged");
	} else if (rc != -ENOENT) {
		rc = error_set(err, -rc, "cannot read the queue of due domains");
	}
	db_cursor_close(cursor);
	return rc;
}
