/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/db_internal.h"

#include "store/codec.h"
#include "store/db_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READERS_MAX 1000

static const char *const table_name[DB_TABLES] = {
    [DB_META] = "meta",           [DB_DOMAINS] = "domains",
    [DB_NAMES] = "names",         [DB_ALIASES] = "aliases",
    [DB_CHAINS] = "chains",       [DB_GENERATIONS] = "generations",
    [DB_CURRENT] = "current",     [DB_DUE] = "due",
    [DB_DUE_AT] = "due_at",       [DB_ACCOUNTS] = "accounts",
    [DB_ORDERS] = "orders",       [DB_TOKENS] = "tokens",
    [DB_TOKENS_OF] = "tokens_of", [DB_LIMITS] = "limits",
    [DB_EVENTS] = "events",       [DB_WAITING] = "waiting",
    [DB_CHANGED] = "changed",     [DB_OWED] = "owed",
    [DB_ANSWERED] = "answered",   [DB_EVENTS_OF] = "events_of",
};

/* LMDB reports a write that was cut short as EIO, and a write is cut short when the disk
 * is full: the file system is asked for room. */
static bool disk_is_full(const struct db *db)
{
	int fd = open(db->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int rc;

	if (fd < 0)
		return errno == ENOSPC || errno == EDQUOT;
	rc = posix_fallocate(fd, 0, 1 << 20);
	close(fd);
	return rc == ENOSPC || rc == EDQUOT;
}

int db_fail(const struct db *db, int code, struct error *err)
{
	if (code == EIO && disk_is_full(db))
		code = ENOSPC;
	switch (code) {
	case ENOSPC:
	case EDQUOT:
		return error_set(
		    err, code,
		    "no room for the store in %s (%s): nothing was changed, free "
		    "some space there",
		    db->name, strerror(code));
	case MDB_NOTFOUND:
		return error_set(err, ENOENT, "the store in %s has no such entry",
				 db->name);
	case MDB_MAP_FULL:
		return error_set(err, ENOSPC, "the map of the store in %s is full",
				 db->name);
	case MDB_TXN_FULL:
		return error_set(
		    err, E2BIG, "too many changes at once for the store in %s", db->name);
	case MDB_READERS_FULL:
		return error_set(err, EAGAIN, "too many processes read the store in %s",
				 db->name);
	case MDB_BAD_VALSIZE:
		return error_set(err, EINVAL,
				 "a key is empty or too long for the store in %s",
				 db->name);
	default:
		break;
	}
	if (code > 0)
		return error_set(err, code, "store in %s: %s", db->name, strerror(code));
	return error_set(err, EIO, "store in %s: %s", db->name, mdb_strerror(code));
}

static int format_check(struct db *db, MDB_txn *mdb, bool write, struct error *err)
{
	MDB_val key = {.mv_data = (void *)(uintptr_t) "format", .mv_size = 6}, value;
	unsigned char record[16];
	uint32_t format;
	struct dec d;
	struct enc e;
	int rc = mdb_get(mdb, db->dbi[DB_META], &key, &value);

	if (rc == MDB_NOTFOUND && write) {
		enc_init(&e, record, sizeof(record));
		enc_u8(&e, DB_RECORD);
		enc_u32(&e, DB_FORMAT);
		value = (MDB_val){.mv_data = record, .mv_size = e.size};
		rc = mdb_put(mdb, db->dbi[DB_META], &key, &value, 0);
		return rc ? db_fail(db, rc, err) : 0;
	}
	if (rc)
		return db_fail(db, rc, err);
	dec_init(&d, value.mv_data, value.mv_size);
	(void)dec_u8(&d);
	format = dec_u32(&d);
	if (d.bad)
		return error_set(
		    err, EIO, "the store in %s has no readable format number", db->name);
	if (format > DB_FORMAT)
		return error_set(
		    err, EPROTO,
		    "the store in %s has format %u, this certfs knows formats up to "
		    "%u: start the newer certfs that wrote it",
		    db->name, (unsigned int)format, (unsigned int)DB_FORMAT);
	return 0;
}

/* `flags` is MDB_RDONLY or 0. -ENOENT: a table is missing. */
static int tables_open_as(struct db *db, MDB_env *env, unsigned int flags,
			  struct error *err)
{
	const unsigned int create = flags ? 0 : MDB_CREATE;
	MDB_txn *mdb = NULL;
	int rc = mdb_txn_begin(env, NULL, flags, &mdb);

	if (rc)
		return db_fail(db, rc, err);
	for (int i = 0; i < DB_TABLES && rc == 0; i++)
		rc = mdb_dbi_open(mdb, table_name[i], create, &db->dbi[i]);
	if (rc)
		rc = db_fail(db, rc, err);
	else
		rc = format_check(db, mdb, !flags, err);
	if (rc) {
		mdb_txn_abort(mdb);
		return rc;
	}
	/* Also of a read transaction: an abort would close the handles. */
	rc = mdb_txn_commit(mdb);
	return rc ? db_fail(db, rc, err) : 0;
}

/* Writes only where something is missing: whoever holds the write lock must not keep a
 * worker from serving reads. */
static int tables_open(struct db *db, MDB_env *env, struct error *err)
{
	int rc = tables_open_as(db, env, MDB_RDONLY, err);

	if (rc != -ENOENT || db->read_only)
		return rc;
	error_clear(err);
	return tables_open_as(db, env, 0, err);
}

/* The size that the map had grown to, else the first write would have it grow again. */
static int map_as_before(const struct db *db, MDB_env *env)
{
	MDB_envinfo info;
	int rc = mdb_env_set_mapsize(env, 0);

	if (rc == 0)
		rc = mdb_env_info(env, &info);
	if (rc == 0 && info.me_mapsize < db->map_size)
		rc = mdb_env_set_mapsize(env, db->map_size);
	return rc;
}

int db_env_open(struct db *db, struct error *err)
{
	MDB_env *env = NULL;
	int dead, rc = mdb_env_create(&env);

	if (rc)
		return db_fail(db, rc, err);
	rc = mdb_env_set_maxdbs(env, DB_TABLES);
	if (rc == 0)
		rc = mdb_env_set_maxreaders(env, READERS_MAX);
	if (rc == 0)
		rc = mdb_env_set_mapsize(env, db->map_size);
	/* NOTLS: a read transaction belongs to its struct txn, not to a thread. */
	if (rc == 0)
		rc = mdb_env_open(env, db->dir,
				  MDB_NOTLS | (db->read_only ? MDB_RDONLY : 0), 0600);
	if (rc == 0)
		rc = map_as_before(db, env);
	if (rc == 0)
		rc = mdb_reader_check(env, &dead);
	if (rc == ENOENT)
		rc = error_set(err, ENOENT, "there is no store in %s", db->name);
	else if (rc)
		rc = db_fail(db, rc, err);
	else
		rc = tables_open(db, env, err);
	if (rc) {
		mdb_env_close(env);
		return rc;
	}
	if (db->read_only)
		db_folder_adopt(db->dir);
	db->env = env;
	return 0;
}

void db_env_close(struct db *db)
{
	struct txn *t;

	while ((t = db->idle)) {
		db->idle = t->next;
		mdb_txn_abort(t->mdb);
		free(t);
	}
	if (db->env)
		mdb_env_close(db->env);
	db->env = NULL;
}

/* Maps `size` bytes (0: what the file says). When it fails LMDB has
 * already taken the old map away, and only opening anew brings one back. */
static int env_resize(struct db *db, size_t size, struct error *err)
{
	struct error again;
	int rc = mdb_env_set_mapsize(db->env, size);

	if (rc == 0)
		return 0;
	rc = db_fail(db, rc, err);
	db_env_close(db);
	error_clear(&again);
	if (db_env_open(db, &again))
		return rc; /* the next one that needs it tries again */
	return rc;
}

int db_env_grow(struct db *db, struct error *err)
{
	MDB_envinfo info;
	int dead, rc;

	if (!db->env)
		return 0;
	/* A reader that was killed holds pages that could be used. */
	rc = mdb_reader_check(db->env, &dead);
	if (rc == 0)
		rc = mdb_env_info(db->env, &info);
	if (rc)
		return db_fail(db, rc, err);
	if (info.me_mapsize > SIZE_MAX / 2)
		return error_set(err, ENOMEM, "the store in %s cannot grow further",
				 db->name);
	return env_resize(db, info.me_mapsize * 2, err);
}

int db_env_mend(struct db *db, int trouble, struct error *err)
{
	if (trouble == MDB_MAP_RESIZED && db->env)
		return env_resize(db, 0, err);
	db_env_close(db);
	return db_env_open(db, err);
}
