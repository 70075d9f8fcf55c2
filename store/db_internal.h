/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* db_internal: what the parts of db.h share, for them alone: db.c (the store, its gate and
 * its transactions), db_env.c (the environment: opening it, making its map larger, bringing
 * it back), db_rows.c (what is in the tables). LMDB's types and codes stay in these.
 *
 * The gate: transactions are `inside`, `walks` of them long ones; who changes the map or
 * the environment is `alone`, and then nobody is inside. Until the walks are over it is
 * `closing`, which keeps out further walks alone. The environment's functions are called by who is alone, or
 * while nobody else has the db yet or any more. */
#ifndef CERTFS_STORE_DB_INTERNAL_H
#define CERTFS_STORE_DB_INTERNAL_H

#include "store/db.h"

#include <lmdb.h>
#include <pthread.h>

#define DB_RECORD 1 /* version of the rows of DB_META */

struct txn {
	struct db *db;
	MDB_txn *mdb;
	struct txn *root; /* the outermost of nested ones; itself when it is that */
	struct txn *next; /* in db->idle */
	bool full;        /* of the root: the map was too small for something inside */
	bool walk;
};

struct db {
	char *dir;
	char *name; /* of the folder, for people */
	/* NULL: was closed after a failure and could not be opened again yet */
	MDB_env *env;
	MDB_dbi dbi[DB_TABLES];
	size_t map_size;
	bool read_only;
	int lock_fd;
	const struct seal *seal;

	/* The gate. */
	pthread_mutex_t lock;
	pthread_cond_t moved;
	unsigned int inside, walks;
	bool closing, alone;
	struct txn *idle; /* read transactions that were reset, to be renewed */
};

/* db_env.c: translates LMDB's codes, and errno's, for all; there is no other place. */
int db_fail(const struct db *db, int code, struct error *err);
int db_env_open(struct db *db, struct error *err);
void db_env_close(struct db *db); /* the idle transactions too */
/* Twice the map. Where that fails the environment may be left closed (`env` is NULL). */
int db_env_grow(struct db *db, struct error *err);
/* Brings the environment back to use: another process has made the map larger
 * (MDB_MAP_RESIZED), or LMDB has declared it dead because a meta page could not be written
 * (MDB_PANIC), or it is closed. */
int db_env_mend(struct db *db, int trouble, struct error *err);

/* db_rows.c: as db_fail(), and a full map is noted in the outermost transaction, which is
 * run again. */
int db_txn_fail(struct txn *txn, int code, struct error *err);

#endif
