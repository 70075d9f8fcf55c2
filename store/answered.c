/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/answered.h"

#include "store/codec.h"

#include <errno.h>
#include <string.h>

#define RECORD       1
#define ANSWERED_KEY 16

static void answered_key(unsigned char *key, uint64_t connection, uint64_t unique)
{
	struct enc e;

	enc_init(&e, key, ANSWERED_KEY);
	enc_be64(&e, connection);
	enc_be64(&e, unique);
}

int answered_put(struct txn *txn, uint64_t connection, uint64_t unique, int32_t result,
		 struct error *err)
{
	unsigned char key[ANSWERED_KEY], record[8];
	struct enc e;

	answered_key(key, connection, unique);
	enc_init(&e, record, sizeof(record));
	enc_u8(&e, RECORD);
	enc_u32(&e, (uint32_t)result);
	return db_put(txn, DB_ANSWERED, key, sizeof(key), record, e.size, err);
}

int answered_get(struct txn *txn, uint64_t connection, uint64_t unique, int32_t *result,
		 struct error *err)
{
	unsigned char key[ANSWERED_KEY];
	struct db_value v;
	struct dec d;
	int rc;

	answered_key(key, connection, unique);
	rc = db_get(txn, DB_ANSWERED, key, sizeof(key), &v, err);
	if (rc)
		return rc;
	dec_init(&d, v.data, v.size);
	if (dec_u8(&d) != RECORD)
		d.bad = true;
	*result = (int32_t)dec_u32(&d);
	if (!dec_done(&d))
		return error_set(err, EIO,
				 "the result of request %llu in the store is damaged",
				 (unsigned long long)unique);
	return 0;
}

static bool is_kept(const struct db_value *key, const uint64_t *keep, size_t count)
{
	struct dec d;
	uint64_t unique;

	dec_init(&d, key->data, key->size);
	(void)dec_be64(&d);
	unique = dec_be64(&d);
	for (size_t i = 0; i < count; i++) {
		if (keep[i] == unique)
			return true;
	}
	return false;
}

/* The first row from `key` on that is not kept, into `key`. -ENOENT at the end. */
static int next_unkept(struct txn *txn, unsigned char *key, const uint64_t *keep,
		       size_t count, struct error *err)
{
	struct db_cursor *cursor = NULL;
	struct db_value found, value;
	int rc = db_cursor_open(txn, DB_ANSWERED, &cursor, err);

	if (rc)
		return rc;
	rc = db_seek(cursor, key, ANSWERED_KEY, &found, &value);
	while (rc == 0 && is_kept(&found, keep, count))
		rc = db_next(cursor, &found, &value);
	if (rc == 0 && found.size == ANSWERED_KEY)
		memcpy(key, found.data, ANSWERED_KEY);
	else if (rc == 0)
		rc = error_set(err, EIO, "the table of answered requests is damaged");
	else if (rc != -ENOENT)
		rc = error_set(err, -rc, "cannot read the table of answered requests");
	db_cursor_close(cursor);
	return rc;
}

int answered_drop(struct txn *txn, const uint64_t *keep, size_t count, struct error *err)
{
	unsigned char key[ANSWERED_KEY] = {0};
	int rc;

	/* Each deletion ends the cursor's life, so the walk goes on from the key. */
	while ((rc = next_unkept(txn, key, keep, count, err)) == 0) {
		rc = db_del(txn, DB_ANSWERED, key, sizeof(key), err);
		if (rc)
			return rc;
	}
	return rc == -ENOENT ? 0 : rc;
}
