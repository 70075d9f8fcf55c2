/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* set_format STORE: makes a store look as if a newer certfs had written it. */
#include <lmdb.h>
#include <stdint.h>
#include <stdio.h>

static int raise_format(MDB_txn *txn)
{
	/* The record's version, then the format in little-endian. */
	unsigned char record[] = {1, 99, 0, 0, 0};
	MDB_val key = {.mv_data = (void *)(uintptr_t) "format", .mv_size = 6};
	MDB_val value = {.mv_data = record, .mv_size = sizeof(record)};
	MDB_dbi meta;
	int rc = mdb_dbi_open(txn, "meta", 0, &meta);

	return rc ? rc : mdb_put(txn, meta, &key, &value, 0);
}

int main(int argc, char **argv)
{
	MDB_env *env = NULL;
	MDB_txn *txn = NULL;
	int rc;

	if (argc != 2) {
		fprintf(stderr, "usage: set_format STORE\n");
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
		rc = raise_format(txn);
	if (rc == 0)
		rc = mdb_txn_commit(txn);
	if (rc)
		fprintf(stderr, "set_format: %s\n", mdb_strerror(rc));
	mdb_env_close(env);
	return rc ? 1 : 0;
}
