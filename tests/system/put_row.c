/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* put_row STORE TABLE KEY VALUE: puts a row into a store that certfs would never write; key
 * and value are hex digits. */
#include <lmdb.h>
#include <stdio.h>
#include <string.h>

#define BYTES_MAX 256

static int from_hex(const char *text, unsigned char *out, size_t *size)
{
	const size_t length = strlen(text);

	if (length % 2 || length > 2 * BYTES_MAX)
		return -1;
	for (*size = 0; *size < length / 2; ++*size)
		if (sscanf(text + 2 * *size, "%2hhx", &out[*size]) != 1)
			return -1;
	return 0;
}

static int put(MDB_txn *txn, const char *table, MDB_val *key, MDB_val *value)
{
	MDB_dbi dbi;
	int rc = mdb_dbi_open(txn, table, 0, &dbi);

	return rc ? rc : mdb_put(txn, dbi, key, value, 0);
}

int main(int argc, char **argv)
{
	unsigned char bytes[2][BYTES_MAX];
	MDB_val key = {.mv_data = bytes[0]}, value = {.mv_data = bytes[1]};
	MDB_env *env = NULL;
	MDB_txn *txn = NULL;
	int rc;

	if (argc != 5 || from_hex(argv[3], bytes[0], &key.mv_size) ||
	    from_hex(argv[4], bytes[1], &value.mv_size)) {
		fprintf(stderr, "usage: put_row STORE TABLE KEY VALUE\n");
		return 64;
	}
	rc = mdb_env_create(&env);
	if (rc == 0)
		rc = mdb_env_set_maxdbs(env, 1);
	if (rc == 0)
		rc = mdb_env_open(env, argv[1], 0, 0600);
	if (rc == 0)
		rc = mdb_txn_begin(env, NULL, 0, &txn);
	if (rc == 0)
		rc = put(txn, argv[2], &key, &value);
	if (rc == 0)
		rc = mdb_txn_commit(txn);
	if (rc)
		fprintf(stderr, "put_row: %s\n", mdb_strerror(rc));
	mdb_env_close(env);
	return rc ? 1 : 0;
}
