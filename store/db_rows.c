/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/db_internal.h"

#include "store/codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct db_cursor {
	MDB_cursor *mdb;
};

int db_txn_fail(struct txn *txn, int code, struct error *err)
{
	if (code == MDB_MAP_FULL)
		txn->root->full = true;
	return db_fail(txn->db, code, err);
}

static MDB_val val(const void *data, size_t size)
{
	return (MDB_val){.mv_data = (void *)(uintptr_t)data, .mv_size = size};
}

int db_get(struct txn *txn, enum db_table table, const void *key, size_t key_size,
	   struct db_value *value, struct error *err)
{
	MDB_val k = val(key, key_size), v;
	int code = mdb_get(txn->mdb, txn->db->dbi[table], &k, &v);

	if (code)
		return db_txn_fail(txn, code, err);
	*value = (struct db_value){.data = v.mv_data, .size = v.mv_size};
	return 0;
}

int db_put(struct txn *txn, enum db_table table, const void *key, size_t key_size,
	   const void *value, size_t value_size, struct error *err)
{
	MDB_val k = val(key, key_size), v = val(value, value_size);
	int code = mdb_put(txn->mdb, txn->db->dbi[table], &k, &v, 0);

	return code ? db_txn_fail(txn, code, err) : 0;
}

int db_del(struct txn *txn, enum db_table table, const void *key, size_t key_size,
	   struct error *err)
{
	MDB_val k = val(key, key_size);
	int code = mdb_del(txn->mdb, txn->db->dbi[table], &k, NULL);

	return code && code != MDB_NOTFOUND ? db_txn_fail(txn, code, err) : 0;
}

int db_cursor_open(struct txn *txn, enum db_table table, struct db_cursor **cursor,
		   struct error *err)
{
	struct db_cursor *c = calloc(1, sizeof(*c));
	int code = c ? mdb_cursor_open(txn->mdb, txn->db->dbi[table], &c->mdb) : ENOMEM;

	if (code) {
		free(c);
		return db_txn_fail(txn, code, err);
	}
	*cursor = c;
	return 0;
}

void db_cursor_close(struct db_cursor *cursor)
{
	if (!cursor)
		return;
	mdb_cursor_close(cursor->mdb);
	free(cursor);
}

static int cursor_get(struct db_cursor *cursor, MDB_val *key, MDB_cursor_op op,
		      struct db_value *found_key, struct db_value *found_value)
{
	MDB_val v;
	int code = mdb_cursor_get(cursor->mdb, key, &v, op);

	if (code)
		return code == MDB_NOTFOUND ? -ENOENT : -EIO;
	*found_key = (struct db_value){.data = key->mv_data, .size = key->mv_size};
	*found_value = (struct db_value){.data = v.mv_data, .size = v.mv_size};
	return 0;
}

int db_seek(struct db_cursor *cursor, const void *key, size_t key_size,
	    struct db_value *found_key, struct db_value *found_value)
{
	MDB_val k = val(key, key_size);

	return cursor_get(cursor, &k, key_size ? MDB_SET_RANGE : MDB_FIRST, found_key,
			  found_value);
}

int db_next(struct db_cursor *cursor, struct db_value *found_key,
	    struct db_value *found_value)
{
	MDB_val k = {0};

	return cursor_get(cursor, &k, MDB_NEXT, found_key, found_value);
}

int db_prev(struct db_cursor *cursor, struct db_value *found_key,
	    struct db_value *found_value)
{
	MDB_val k = {0};

	return cursor_get(cursor, &k, MDB_PREV, found_key, found_value);
}

int db_last(struct db_cursor *cursor, struct db_value *found_key,
	    struct db_value *found_value)
{
	MDB_val k = {0};

	return cursor_get(cursor, &k, MDB_LAST, found_key, found_value);
}

int db_seek_before(struct db_cursor *cursor, const void *key, size_t key_size,
		   struct db_value *found_key, struct db_value *found_value)
{
	int rc = db_seek(cursor, key, key_size, found_key, found_value);

	if (rc == -ENOENT)
		return db_last(cursor, found_key, found_value);
	return rc ? rc : db_prev(cursor, found_key, found_value);
}

int db_count(struct txn *txn, const char *counter, uint64_t *value, struct error *err)
{
	unsigned char record[16];
	struct db_value v = {0};
	struct dec d;
	struct enc e;
	uint64_t n = 0;
	int rc = db_get(txn, DB_META, counter, strlen(counter), &v, err);

	if (rc == 0) {
		dec_init(&d, v.data, v.size);
		(void)dec_u8(&d);
		n = dec_u64(&d);
		if (d.bad)
			return error_set(err, EIO, "counter %s in the store is damaged",
					 counter);
	} else if (rc != -ENOENT) {
		return rc;
	}
	error_clear(err);
	enc_init(&e, record, sizeof(record));
	enc_u8(&e, DB_RECORD);
	enc_u64(&e, n + 1);
	*value = n + 1;
	return db_put(txn, DB_META, counter, strlen(counter), record, e.size, err);
}

uint64_t db_entries(struct txn *txn, enum db_table table)
{
	MDB_stat st;

	return mdb_stat(txn->mdb, txn->db->dbi[table], &st) == 0 ? st.ms_entries : 0;
}
