/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* hold_lock STORE: holds the store's write lock until standard input ends, and says
 * "held" on standard output once it does. What the daemon wants to change waits
 * meanwhile. */
#include <lmdb.h>
#include <stdio.h>

static int fail(const char *what, int code)
{
	fprintf(stderr, "hold_lock: %s: %s\n", what, mdb_strerror(code));
	return 1;
}

int main(int argc, char **argv)
{
	MDB_env *env = NULL;
	MDB_txn *txn = NULL;
	int rc;

	if (argc != 2) {
		fprintf(stderr, "usage: hold_lock STORE\n");
		return 64;
	}
	rc = mdb_env_create(&env);
	if (rc)
		return fail("environment", rc);
	rc = mdb_env_open(env, argv[1], 0, 0600);
	if (rc)
		return fail(argv[1], rc);
	rc = mdb_txn_begin(env, NULL, 0, &txn);
	if (rc)
		return fail("write lock", rc);
	puts("held");
	fflush(stdout);
	while (getchar() != EOF)
		;
	mdb_txn_abort(txn);
	mdb_env_close(env);
	return 0;
}
