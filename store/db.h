/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* db: the LMDB environment, and the one place that knows LMDB (db*.c).
 *
 * One environment in the store's folder, opened for writing by one process (a lock on
 * `certfs.lock` in it holds a second daemon off with a reason) and by others read-only.
 * Reads are LMDB read transactions: they block nobody and nobody blocks them. All writes
 * come from one thread.
 *
 * Values begin with a version byte. Integers in keys are big-endian (they sort), in values
 * little-endian. The map grows by itself: MDB_MAP_FULL inside db_update() doubles it and
 * runs the function again; MDB_MAP_RESIZED (another process grew it) is taken over. Growing
 * needs all read transactions of the process to be over, so db_read_begin() waits while it
 * happens (microseconds, and only then).
 *
 * A full disk makes db_update() fail with ENOSPC: nothing has changed, reading goes on, and
 * the next update that finds room succeeds.
 *
 * A thread that holds a transaction begins no other and calls no db_update(): growth would
 * wait for its first while it waits for growth.
 *
 * No environment across fork(2); `mdb_reader_check` at open; never MDB_NOMEMINIT (lmdb.h,
 * "Caveats"). */
#ifndef CERTFS_STORE_DB_H
#define CERTFS_STORE_DB_H

#include "store/error.h"
#include "store/seal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DB_FORMAT 1 /* meta/format; a store with a newer one is refused with EPROTO */

struct db;
struct txn;

enum db_table {
	DB_META,
	DB_DOMAINS,     /* number -> domain record */
	DB_NAMES,       /* name -> number */
	DB_ALIASES,     /* number, alias' number -> nothing: the aliases of a domain */
	DB_CHAINS,      /* SHA-256 -> intermediates */
	DB_GENERATIONS, /* number, generation -> leaf, chain's digest, key, dates */
	DB_CURRENT,     /* number -> which generation is served */
	DB_DUE,         /* time, number -> what is due */
	DB_DUE_AT,      /* number -> time: finds the row of DB_DUE */
	DB_ACCOUNTS,    /* SHA-256 of the directory's URL -> account */
	DB_ORDERS,      /* number -> the order in flight */
	DB_TOKENS,      /* token -> key authorization (http-01) */
	DB_TOKENS_OF,   /* number, token -> nothing: the tokens of an order */
	DB_LIMITS,      /* CA, kind, time */
	DB_EVENTS,      /* sequence -> event */
	DB_EVENTS_OF,   /* number, sequence -> nothing: the events of a domain */
	DB_WAITING,     /* number, kind -> a file that waits for its other half */
	DB_CHANGED,     /* number -> kernel caches must be told */
	DB_OWED,        /* number -> watchers and the hook must be told */
	/* connection, unique -> result of a FUSE request that changed something */
	DB_ANSWERED,
	DB_TABLES
};

struct db_value {
	const void *data;
	size_t size;
};

struct db_options {
	const char *name;  /* the folder's, for messages; NULL: `dir` */
	bool read_only;    /* for tools; takes no lock */
	size_t map_size;   /* first size in bytes; 0: 64 MiB; grows by itself */
	struct seal *seal; /* for generation_*; may be NULL; stays the caller's */
};

/* Opens or makes the store in folder `dir` ("." is fine, and is what a process does that may
 * not walk the path). EBUSY: another daemon has it (names its pid). EPROTO: newer format. */
int db_open(struct db **db, const char *dir, const struct db_options *options,
	    struct error *err);
void db_close(struct db *db);
const struct seal *db_seal(const struct txn *txn);

/* A read transaction: a snapshot. Keep it short. Any thread. */
int db_read_begin(struct db *db, struct txn **txn, struct error *err);
/* The same for a walk that takes its time. While the map waits for it to grow, others still
 * read; one that begins then waits itself. */
int db_walk_begin(struct db *db, struct txn **txn, struct error *err);
void db_read_end(struct txn *txn);

/* Runs `change` in a write transaction and commits. When `change` fails nothing has
 * changed and its error is returned. `change` may run more than once (the map grew): it
 * must start from its inputs each time. One thread only. */
typedef int db_change(struct txn *txn, void *arg, struct error *err);
int db_update(struct db *db, db_change *change, void *arg, struct error *err);

/* Inside a db_change: runs `change` in a nested transaction, so that its failure undoes only
 * itself. This is how several requests share one commit. */
int db_nested(struct txn *txn, db_change *change, void *arg, struct error *err);

/* Plain access. get: ENOENT when there is none; the value points into the map and lives
 * until the transaction ends or writes. del of what is not there succeeds. */
int db_get(struct txn *txn, enum db_table table, const void *key, size_t key_size,
	   struct db_value *value, struct error *err);
int db_put(struct txn *txn, enum db_table table, const void *key, size_t key_size,
	   const void *value, size_t value_size, struct error *err);
int db_del(struct txn *txn, enum db_table table, const void *key, size_t key_size,
	   struct error *err);

/* Ordered walk: the first entry with a key >= `key`, then the next ones. */
struct db_cursor;
int db_cursor_open(struct txn *txn, enum db_table table, struct db_cursor **cursor,
		   struct error *err);
void db_cursor_close(struct db_cursor *cursor); /* before the transaction ends */
/* 0, -ENOENT at the end. key_size 0: from the first. */
int db_seek(struct db_cursor *cursor, const void *key, size_t key_size,
	    struct db_value *found_key, struct db_value *found_value);
int db_next(struct db_cursor *cursor, struct db_value *found_key,
	    struct db_value *found_value);
int db_prev(struct db_cursor *cursor, struct db_value *found_key,
	    struct db_value *found_value);
int db_last(struct db_cursor *cursor, struct db_value *found_key,
	    struct db_value *found_value);
/* The last entry with a key < `key`. */
int db_seek_before(struct db_cursor *cursor, const void *key, size_t key_size,
		   struct db_value *found_key, struct db_value *found_value);

/* A counter in DB_META: adds 1 and returns the new value (first: 1). */
int db_count(struct txn *txn, const char *counter, uint64_t *value, struct error *err);

/* Entries in a table; bytes used and mapped, for status and statfs. */
uint64_t db_entries(struct txn *txn, enum db_table table);
struct db_usage {
	uint64_t used, mapped;
	uint64_t free; /* what the disk has left for it */
};
void db_usage(struct db *db, struct db_usage *usage);

#endif
