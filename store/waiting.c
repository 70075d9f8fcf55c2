/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/waiting.h"

#include "store/codec.h"

#include <errno.h>
#include <string.h>

#define RECORD          4
#define RECORD_NO_MODE  3
#define RECORD_NO_OWNER 2
#define WAITING_KEY     5

static const struct waiting_marks no_marks = {0, OWNER_KEEP, OWNER_KEEP, OWNER_KEEP};

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

/* A row as it is stored: what is sealed is opened by those who want it. */
struct row {
	int64_t since_s;
	struct waiting_marks marks;
	uint32_t writer;
	const unsigned char *sealed;
	size_t size;
};

static int row_get(struct txn *txn, const unsigned char *key, struct row *row,
		   struct error *err)
{
	struct db_value v;
	struct dec d;
	uint8_t record;
	int rc = db_get(txn, DB_WAITING, key, WAITING_KEY, &v, err);

	if (rc)
		return rc;
	dec_init(&d, v.data, v.size);
	record = dec_u8(&d);
	row->since_s = dec_i64(&d);
	row->marks = no_marks;
	row->marks.mtime_s = dec_i64(&d);
	row->writer = OWNER_KEEP;
	if (record < RECORD_NO_OWNER || record > RECORD)
		d.bad = true;
	if (record >= RECORD_NO_MODE) {
		row->marks.uid = dec_u32(&d);
		row->marks.gid = dec_u32(&d);
	}
	if (record >= RECORD) {
		row->marks.mode = dec_u32(&d);
		row->writer = dec_u32(&d);
	}
	row->sealed = dec_blob(&d, &row->size);
	return dec_done(&d)
		   ? 0
		   : error_set(err, EIO, "a waiting file in the store is damaged");
}

static int row_put(struct txn *txn, const unsigned char *key, const struct row *row,
		   struct error *err)
{
	struct secret *record = secret_new(row->size + 48);
	struct enc e;
	int rc;

	if (!record)
		return error_set(err, ENOMEM, "no memory for a waiting file");
	enc_init(&e, secret_room(record), secret_capacity(record));
	enc_u8(&e, RECORD);
	enc_i64(&e, row->since_s);
	enc_i64(&e, row->marks.mtime_s);
	enc_u32(&e, row->marks.uid);
	enc_u32(&e, row->marks.gid);
	enc_u32(&e, row->marks.mode);
	enc_u32(&e, row->writer);
	enc_blob(&e, row->sealed, row->size);
	rc = db_put(txn, DB_WAITING, key, WAITING_KEY, e.data, e.size, err);
	secret_free(record);
	return rc;
}

int waiting_get(struct txn *txn, uint32_t number, int64_t now_s, struct waiting *w,
		struct error *err)
{
	unsigned char key[WAITING_KEY];
	struct row row;
	int rc;

	memset(w, 0, sizeof(*w));
	for (int i = 0; i < FILE_KINDS; i++) {
		w->marks[i] = no_marks;
		w->writer[i] = OWNER_KEEP;
		waiting_key(key, number, (enum file_kind)i);
		rc = row_get(txn, key, &row, err);
		if (rc == -ENOENT || (rc == 0 && is_over(row.since_s, now_s)))
			continue;
		if (rc == 0)
			rc = seal_decrypt(db_seal(txn), row.sealed, row.size, key,
					  WAITING_KEY, &w->file[i], err);
		if (rc) {
			waiting_clear(w);
			return rc;
		}
		w->since_s[i] = row.since_s;
		w->marks[i] = row.marks;
		w->writer[i] = row.writer;
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
		const struct secret *content, uint32_t writer,
		const struct waiting_marks *marks, int64_t now_s, struct error *err)
{
	struct secret *sealed = NULL;
	unsigned char key[WAITING_KEY];
	struct row row = {.since_s = now_s, .marks = *marks, .writer = writer};
	int rc;

	waiting_key(key, number, kind);
	rc = seal_encrypt(db_seal(txn), content, key, sizeof(key), &sealed, err);
	if (rc)
		return rc;
	row.sealed = secret_data(sealed);
	row.size = secret_size(sealed);
	rc = row_put(txn, key, &row, err);
	secret_free(sealed);
	return rc;
}

/* `mtime_s` 0, `mode` OWNER_KEEP: as it is. */
static int mark(struct txn *txn, uint32_t number, enum file_kind kind, int64_t mtime_s,
		uint32_t mode, int64_t now_s, struct error *err)
{
	unsigned char key[WAITING_KEY];
	struct row row;
	int rc;

	waiting_key(key, number, kind);
	rc = row_get(txn, key, &row, err);
	if (rc == 0 && is_over(row.since_s, now_s))
		return -ENOENT;
	if (rc)
		return rc;
	if (mtime_s)
		row.marks.mtime_s = mtime_s;
	if (mode != OWNER_KEEP)
		row.marks.mode = mode;
	return row_put(txn, key, &row, err);
}

int waiting_touch(struct txn *txn, uint32_t number, enum file_kind kind, int64_t mtime_s,
		  int64_t now_s, struct error *err)
{
	return mark(txn, number, kind, mtime_s, OWNER_KEEP, now_s, err);
}

int waiting_chmod(struct txn *txn, uint32_t number, enum file_kind kind, uint32_t mode,
		  int64_t now_s, struct error *err)
{
	return mark(txn, number, kind, 0, mode, now_s, err);
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
