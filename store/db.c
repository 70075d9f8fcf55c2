/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/db_internal.h"

#include "store/db_folder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MAP_SIZE_FIRST ((size_t)64 << 20)

static void gate_enter(struct db *db)
{
	pthread_mutex_lock(&db->lock);
	while (db->alone)
		pthread_cond_wait(&db->moved, &db->lock);
	db->inside++;
	pthread_mutex_unlock(&db->lock);
}

static void gate_leave_locked(struct db *db)
{
	db->inside--;
	if (db->alone && db->inside == 0)
		pthread_cond_broadcast(&db->moved);
}

static void gate_leave(struct db *db)
{
	pthread_mutex_lock(&db->lock);
	gate_leave_locked(db);
	pthread_mutex_unlock(&db->lock);
}

static void gate_close(struct db *db)
{
	pthread_mutex_lock(&db->lock);
	while (db->closing || db->alone)
		pthread_cond_wait(&db->moved, &db->lock);
	db->closing = true;
	while (db->walks > 0)
		pthread_cond_wait(&db->moved, &db->lock);
	db->closing = false;
	db->alone = true;
	while (db->inside > 0)
		pthread_cond_wait(&db->moved, &db->lock);
	pthread_mutex_unlock(&db->lock);
}

static void gate_open(struct db *db)
{
	pthread_mutex_lock(&db->lock);
	db->alone = false;
	pthread_cond_broadcast(&db->moved);
	pthread_mutex_unlock(&db->lock);
}

static bool can_be_mended(int code)
{
	return code == MDB_MAP_RESIZED || code == MDB_PANIC;
}

static int mend(struct db *db, int trouble, struct error *err)
{
	int rc;

	gate_close(db);
	rc = trouble == MDB_MAP_FULL ? db_env_grow(db, err)
				     : db_env_mend(db, trouble, err);
	gate_open(db);
	return rc;
}

static size_t page_round(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (size + page - 1) / page * page;
}

int db_open(struct db **out, const char *dir, const struct db_options *options,
	    struct error *err)
{
	const char *name = options->name ? options->name : dir;
	struct db *db = calloc(1, sizeof(*db));
	int rc = 0;

	if (!db || !(db->dir = strdup(dir)) || !(db->name = strdup(name))) {
		free(db ? db->dir : NULL);
		free(db);
		return error_set(err, ENOMEM, "no memory for the store");
	}
	pthread_mutex_init(&db->lock, NULL);
	pthread_cond_init(&db->moved, NULL);
	db->lock_fd = -1;
	db->read_only = options->read_only;
	db->map_size = page_round(options->map_size ? options->map_size : MAP_SIZE_FIRST);
	db->seal = options->seal;
	if (!db->read_only) {
		if (mkdir(dir, 0700) != 0 && errno != EEXIST)
			rc = error_set(err, errno, "cannot make %s: %s", name,
				       strerror(errno));
		if (rc == 0)
			rc = db_folder_lock(dir, name, &db->lock_fd, err);
		if (rc == 0)
			rc = db_folder_clear(dir, err);
	}
	if (rc == 0)
		rc = db_env_open(db, err);
	if (rc) {
		db_close(db);
		return rc;
	}
	*out = db;
	return 0;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	db_env_close(db);
	if (db->lock_fd >= 0)
		close(db->lock_fd);
	pthread_cond_destroy(&db->moved);
	pthread_mutex_destroy(&db->lock);
	free(db->name);
	free(db->dir);
	free(db);
}

const struct seal *db_seal(const struct txn *txn)
{
	return txn->db->seal;
}

static int txn_new(struct db *db, struct txn **out)
{
	struct txn *t = calloc(1, sizeof(*t));
	int dead, rc;

	if (!t)
		return ENOMEM;
	rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &t->mdb);
	if (rc == MDB_READERS_FULL && mdb_reader_check(db->env, &dead) == 0 && dead > 0)
		rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &t->mdb);
	if (rc) {
		free(t);
		return rc;
	}
	t->db = db;
	t->root = t;
	*out = t;
	return 0;
}

static void walk_end_locked(struct db *db)
{
	db->walks--;
	if (db->closing && db->walks == 0)
		pthread_cond_broadcast(&db->moved);
}

static void read_fail(struct db *db, bool walk)
{
	pthread_mutex_lock(&db->lock);
	if (walk)
		walk_end_locked(db);
	gate_leave_locked(db);
	pthread_mutex_unlock(&db->lock);
}

/* 0 and inside the gate, or LMDB's code and outside of it. */
static int read_start(struct db *db, bool walk, struct txn **out)
{
	struct txn *t;
	int rc;

	pthread_mutex_lock(&db->lock);
	while (db->alone || (walk && db->closing))
		pthread_cond_wait(&db->moved, &db->lock);
	db->inside++;
	db->walks += walk;
	t = db->idle;
	if (t)
		db->idle = t->next;
	pthread_mutex_unlock(&db->lock);

	if (!db->env) {
		rc = MDB_PANIC;
	} else if (t) {
		rc = mdb_txn_renew(t->mdb);
		if (rc) {
			mdb_txn_abort(t->mdb);
			free(t);
		}
	} else {
		rc = txn_new(db, &t);
	}
	if (rc) {
		read_fail(db, walk);
	} else {
		t->walk = walk;
		*out = t;
	}
	return rc;
}

static int read_begin(struct db *db, bool walk, struct txn **txn, struct error *err)
{
	int code, rc;

	while ((code = read_start(db, walk, txn))) {
		if (!can_be_mended(code))
			return db_fail(db, code, err);
		rc = mend(db, code, err);
		if (rc)
			return rc;
	}
	return 0;
}

int db_read_begin(struct db *db, struct txn **txn, struct error *err)
{
	return read_begin(db, false, txn, err);
}

int db_walk_begin(struct db *db, struct txn **txn, struct error *err)
{
	return read_begin(db, true, txn, err);
}

void db_read_end(struct txn *txn)
{
	struct db *db = txn->db;

	mdb_txn_reset(txn->mdb);
	pthread_mutex_lock(&db->lock);
	txn->next = db->idle;
	db->idle = txn;
	if (txn->walk)
		walk_end_locked(db);
	gate_leave_locked(db);
	pthread_mutex_unlock(&db->lock);
}

/* One try; *trouble is LMDB's code where another try may succeed, else 0. */
static int update_once(struct db *db, db_change *change, void *arg, int *trouble,
		       struct error *err)
{
	struct txn t = {.db = db};
	int code, rc;

	t.root = &t;
	*trouble = 0;
	gate_enter(db);
	code = db->env ? mdb_txn_begin(db->env, NULL, 0, &t.mdb) : MDB_PANIC;
	if (code) {
		rc = db_fail(db, code, err);
		if (can_be_mended(code))
			*trouble = code;
		goto out;
	}
	rc = change(&t, arg, err);
	if (rc || t.full) {
		mdb_txn_abort(t.mdb);
	} else {
		code = mdb_txn_commit(t.mdb);
		if (code)
			rc = db_txn_fail(&t, code, err);
	}
	if (t.full)
		*trouble = MDB_MAP_FULL;
out:
	gate_leave(db);
	return rc;
}

int db_update(struct db *db, db_change *change, void *arg, struct error *err)
{
	int trouble, rc;

	if (db->read_only)
		return error_set(err, EROFS,
				 "the store in %s was opened for reading only", db->name);
	for (;;) {
		rc = update_once(db, change, arg, &trouble, err);
		if (!trouble)
			return rc;
		error_clear(err);
		rc = mend(db, trouble, err);
		if (rc)
			return rc;
	}
}

int db_nested(struct txn *txn, db_change *change, void *arg, struct error *err)
{
	struct txn inner = {.db = txn->db, .root = txn->root};
	int code, rc;

	if (txn->root->full) /* all will run again in a larger map */
		return db_fail(txn->db, MDB_MAP_FULL, err);
	code = mdb_txn_begin(txn->db->env, txn->mdb, 0, &inner.mdb);
	if (code)
		return db_txn_fail(txn, code, err);
	rc = change(&inner, arg, err);
	if (rc || txn->root->full) {
		mdb_txn_abort(inner.mdb);
		return rc ? rc : db_fail(txn->db, MDB_MAP_FULL, err);
	}
	code = mdb_txn_commit(inner.mdb);
	return code ? db_txn_fail(txn, code, err) : 0;
}

void db_usage(struct db *db, struct db_usage *usage)
{
	struct statvfs disk;
	MDB_envinfo info;
	MDB_stat st;

	*usage = (struct db_usage){0};
	if (statvfs(db->dir, &disk) == 0)
		usage->free = (uint64_t)disk.f_bavail * disk.f_frsize;
	gate_enter(db);
	if (db->env && mdb_env_info(db->env, &info) == 0 &&
	    mdb_env_stat(db->env, &st) == 0) {
		usage->used = (uint64_t)(info.me_last_pgno + 1) * st.ms_psize;
		usage->mapped = info.me_mapsize;
	}
	gate_leave(db);
}
