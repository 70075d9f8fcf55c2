/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/waiting.h"

#include "store/codec.h"

#include <errno.h>
#include <string.h>

#define RECORD      2
#define WAITING_KEY 5

/* The key is the place too to which what waits is sealed. */
static void waiting_key(unsigned char *key, uint32_t number, enum file_kind kind)
{
	struct enc e;

	enc_init(&e, key, WAITING_KEY);
	enc_be32(&e, number);
	enc_u8(&e, (uint8_t)kind);
}

static bool is_over(int64_t since_s, int64_t now_s)
{
	return now_s - since_s >= WAITING_S;
}

static int row_open(struct txn *txn, const unsigned char *key, const struct db_value *v,
		    int64_t now_s, struct secret **content, int64_t *since_s,
		    int64_t *mtime_s, struct error *err)
{
	const unsigned char *sealed;
	struct dec d;
	size_t size;

	dec_init(&d, v->data, v->size);
	if (dec_u8(&d) != RECORD)
		d.bad = true;
	*since_s = dec_i64(&d);
	*mtime_s = dec_i64(&d);
	sealed = dec_blob(&d, &size);
	if (!dec_done(&d))
		return error_set(err, EIO, "a waiting file in the store is damaged");
	if (is_over(*since_s, now_s)) {
		*since_s = *mtime_s = 0;
		return 0;
	}
	return seal_decrypt(db_seal(txn), sealed, size, key, WAITING_KEY, content, err);
}

int waiting_get(struct txn *txn, uint32_t number, int64_t now_s, struct waiting *w,
		struct error *err)
{
	unsigned char key[WAITING_KEY];
	struct db_value v;
	int rc;

	memset(w, 0, sizeof(*w));
	for (int i = 0; i < FILE_KINDS; i++) {
		waiting_key(key, number, (enum file_kind)i);
		rc = db_get(txn, DB_WAITING, key, sizeof(key), &v, err);
		if (rc == -ENOENT)
			continue;
		if (rc == 0)
			rc = row_open(txn, key, &v, now_s, &w->file[i], &w->since_s[i],
				      &w->mtime_s[i], err);
		if (rc) {
			waiting_clear(w);
			return rc;
		}
	}
	error_clear(err);
	return 0;
}

void waiting_clear(struct waiting *w)
{
	for (int i = 0; i < FILE_KINDS; i++)
		secret_free(w->file[i]);
	memset(w, 0, sizeof(*w));
}

int waiting_put(struct txn *txn, uint32_t number, enum file_kind kind,
		const struct secret *content, int64_t mtime_s, int64_t now_s,
		struct error *err)
{
	struct secret *sealed = NULL, *record = NULL;
	unsigned char key[WAITING_KEY];
	struct enc e;
	int rc;

	waiting_key(key, number, kind);
	rc = seal_encrypt(db_seal(txn), content, key, sizeof(key), &sealed, err);
	if (rc)
		goto out;
	record = secret_new(secret_size(sealed) + 32);
	if (!record) {
		rc = error_set(err, ENOMEM, "no memory for a waiting file");
		goto out;
	}
	enc_init(&e, secret_room(record), secret_capacity(record));
	enc_u8(&e, RECORD);
	enc_i64(&e, now_s);
	enc_i64(&e, mtime_s);
	enc_blob(&e, secret_data(sealed), secret_size(sealed));
	rc = db_put(txn, DB_WAITING, key, sizeof(key), e.data, e.size, err);
out:
	secret_free(record);
	secret_free(sealed);
	return rc;
}

int waiting_drop_file(struct txn *txn, uint32_t number, enum file_kind kind,
		      struct error *err)
{
	unsigned char key[WAITING_KEY];

	waiting_key(key, number, kind);
	return db_del(txn, DB_WAITING, key, sizeof(key), err);
}

int waiting_drop(struct txn *txn, uint32_t number, struct error *err)
{
	int rc = 0;

	for (int i = 0; i < FILE_KINDS && rc == 0; i++)
		rc = waiting_drop_file(txn, number, (enum file_kind)i, err);
	return rc;
}

/* One row: gone when it has waited too long, or when no one can read it. */
static int over_one(struct txn *txn, uint32_t number, enum file_kind kind, int64_t now_s,
		    unsigned *dropped, int64_t *next_s, struct error *err)
{
	unsigned char key[WAITING_KEY];
	struct db_value v;
	struct dec d;
	int64_t since_s;
	int rc;

	waiting_key(key, number, kind);
	rc = db_get(txn, DB_WAITING, key, sizeof(key), &v, err);
	if (rc == -ENOENT) {
		error_clear(err);
		return 0;
	}
	if (rc)
		return rc;
	dec_init(&d, v.data, v.size);
	(void)dec_u8(&d);
	since_s = dec_i64(&d);
	if (!d.bad && !is_over(since_s, now_s)) {
		if (since_s + WAITING_S < *next_s)
			*next_s = since_s + WAITING_S;
		return 0;
	}
	*dropped |= 1u << kind;
	return db_del(txn, DB_WAITING, key, sizeof(key), err);
}

int waiting_over(struct txn *txn, uint32_t number, int64_t now_s, unsigned *dropped,
		 int64_t *next_s, struct error *err)
{
	int rc = 0;

	*dropped = 0;
	*next_s = INT64_MAX;
	for (int i = 0; i < FILE_KINDS && rc == 0; i++)
		rc =
		    over_one(txn, number, (enum file_kind)i, now_s, dropped, next_s, err);
	return rc;
}
