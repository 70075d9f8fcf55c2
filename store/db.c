/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/db.h"

#include "store/codec.h"
#include "store/db_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAP_SIZE_FIRST ((size_t)64 << 20)
#define READERS_MAX    1000
#define RECORD         1 /* version of the rows of DB_META */

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

struct txn {
	struct db *db;
	MDB_txn *mdb;
	struct txn *root; /* the outermost of nested ones; itself when it is that */
	struct txn *next; /* in db->idle */
	bool full;        /* of the root: the map was too small for something inside */
};

struct db_cursor {
	MDB_cursor *mdb;
};

struct db {
	char *dir;
	MDB_env
	    *env; /* NULL: was closed after a failure and could not be opened again yet */
	MDB_dbi dbi[DB_TABLES];
	size_t map_size;
	bool read_only;
	int lock_fd;
	const struct seal *seal;

	/* The gate: transactions are `inside`; who changes the map or the environment is
	 * `alone`, and then nobody is inside. */
	pthread_mutex_t lock;
	pthread_cond_t moved;
	unsigned int inside;
	bool alone;
	struct txn *idle; /* read transactions that were reset, to be renewed */
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

/* The one place that translates LMDB's codes. */
static int db_fail(const struct db *db, int code, struct error *err)
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
		    db->dir, strerror(code));
	case MDB_NOTFOUND:
		return error_set(err, ENOENT, "the store in %s has no such entry",
				 db->dir);
	case MDB_MAP_FULL:
		return error_set(err, ENOSPC, "the map of the store in %s is full",
				 db->dir);
	case MDB_TXN_FULL:
		return error_set(err, E2BIG,
				 "too many changes at once for the store in %s", db->dir);
	case MDB_READERS_FULL:
		return error_set(err, EAGAIN, "too many processes read the store in %s",
				 db->dir);
	case MDB_BAD_VALSIZE:
		return error_set(err, EINVAL,
				 "a key is empty or too long for the store in %s",
				 db->dir);
	default:
		break;
	}
	if (code > 0)
		return error_set(err, code, "store in %s: %s", db->dir, strerror(code));
	return error_set(err, EIO, "store in %s: %s", db->dir, mdb_strerror(code));
}

static int txn_fail(struct txn *txn, int code, struct error *err)
{
	if (code == MDB_MAP_FULL)
		txn->root->full = true;
	return db_fail(txn->db, code, err);
}

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
	while (db->alone)
		pthread_cond_wait(&db->moved, &db->lock);
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
		enc_u8(&e, RECORD);
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
		    err, EIO, "the store in %s has no readable format number", db->dir);
	if (format > DB_FORMAT)
		return error_set(
		    err, EPROTO,
		    "the store in %s has format %u, this certfs knows formats up to "
		    "%u: start the newer certfs that wrote it",
		    db->dir, (unsigned int)format, (unsigned int)DB_FORMAT);
	return 0;
}

/* `flags` is MDB_RDONLY or 0. -ENOENT: a table is missing. */
static int tables_open_as(struct db *db, MDB_env *env, unsigned int flags,
			  struct error *err)
{
	MDB_txn *mdb = NULL;
	int rc = mdb_txn_begin(env, NULL, flags, &mdb);

	if (rc)
		return db_fail(db, rc, err);
	for (int i = 0; i < DB_TABLES && rc == 0; i++)
		rc =
		    mdb_dbi_open(mdb, table_name[i], flags ? 0 : MDB_CREATE, &db->dbi[i]);
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

static int env_open(struct db *db, struct error *err)
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
		rc = mdb_reader_check(env, &dead);
	if (rc == ENOENT)
		rc = error_set(err, ENOENT, "there is no store in %s", db->dir);
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

static void env_close(struct db *db)
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

/* Maps `size` bytes (0: what the file says). The gate is closed. When it fails LMDB has
 * already taken the old map away, and only opening anew brings one back. */
static int env_resize(struct db *db, size_t size, struct error *err)
{
	struct error again;
	int rc = mdb_env_set_mapsize(db->env, size);

	if (rc == 0)
		return 0;
	rc = db_fail(db, rc, err);
	env_close(db);
	error_clear(&again);
	if (env_open(db, &again))
		return rc; /* the next one that needs it tries again */
	return rc;
}

static int env_grow(struct db *db, struct error *err)
{
	MDB_envinfo info;
	int dead, rc = 0;

	gate_close(db);
	if (!db->env)
		goto out;
	/* A reader that was killed holds pages that could be used. */
	rc = mdb_reader_check(db->env, &dead);
	if (rc == 0)
		rc = mdb_env_info(db->env, &info);
	if (rc)
		rc = db_fail(db, rc, err);
	else if (info.me_mapsize > SIZE_MAX / 2)
		rc = error_set(err, ENOMEM, "the store in %s cannot grow further",
			       db->dir);
	else
		rc = env_resize(db, info.me_mapsize * 2, err);
out:
	gate_open(db);
	return rc;
}

/* Brings the environment back to use: another process has made the map larger, or LMDB
 * has declared it dead because a meta page could not be written. */
static int env_mend(struct db *db, int trouble, struct error *err)
{
	int rc;

	gate_close(db);
	if (trouble == MDB_MAP_RESIZED && db->env) {
		rc = env_resize(db, 0, err);
	} else {
		env_close(db);
		rc = env_open(db, err);
	}
	gate_open(db);
	return rc;
}

static bool can_be_mended(int code)
{
	return code == MDB_MAP_RESIZED || code == MDB_PANIC;
}

static size_t page_round(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (size + page - 1) / page * page;
}

int db_open(struct db **out, const char *dir, const struct db_options *options,
	    struct error *err)
{
	struct db *db = calloc(1, sizeof(*db));
	int rc = 0;

	if (!db || !(db->dir = strdup(dir))) {
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
			rc = error_set(err, errno, "cannot make %s: %s", dir,
				       strerror(errno));
		if (rc == 0)
			rc = db_folder_lock(dir, &db->lock_fd, err);
		if (rc == 0)
			rc = db_folder_clear(dir, err);
	}
	if (rc == 0)
		rc = env_open(db, err);
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
	env_close(db);
	if (db->lock_fd >= 0)
		close(db->lock_fd);
	pthread_cond_destroy(&db->moved);
	pthread_mutex_destroy(&db->lock);
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

/* 0 and inside the gate, or LMDB's code and outside of it. */
static int read_start(struct db *db, struct txn **out)
{
	struct txn *t;
	int rc;

	pthread_mutex_lock(&db->lock);
	while (db->alone)
		pthread_cond_wait(&db->moved, &db->lock);
	db->inside++;
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
	if (rc)
		gate_leave(db);
	else
		*out = t;
	return rc;
}

int db_read_begin(struct db *db, struct txn **txn, struct error *err)
{
	int code, rc;

	while ((code = read_start(db, txn))) {
		if (!can_be_mended(code))
			return db_fail(db, code, err);
		rc = env_mend(db, code, err);
		if (rc)
			return rc;
	}
	return 0;
}

void db_read_end(struct txn *txn)
{
	struct db *db = txn->db;

	mdb_txn_reset(txn->mdb);
	pthread_mutex_lock(&db->lock);
	txn->next = db->idle;
	db->idle = txn;
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
			rc = txn_fail(&t, code, err);
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
				 "the store in %s was opened for reading only", db->dir);
	for (;;) {
		rc = update_once(db, change, arg, &trouble, err);
		if (!trouble)
			return rc;
		error_clear(err);
		rc = trouble == MDB_MAP_FULL ? env_grow(db, err)
					     : env_mend(db, trouble, err);
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
		return txn_fail(txn, code, err);
	rc = change(&inner, arg, err);
	if (rc || txn->root->full) {
		mdb_txn_abort(inner.mdb);
		return rc ? rc : db_fail(txn->db, MDB_MAP_FULL, err);
	}
	code = mdb_txn_commit(inner.mdb);
	return code ? txn_fail(txn, code, err) : 0;
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
		return txn_fail(txn, code, err);
	*value = (struct db_value){.data = v.mv_data, .size = v.mv_size};
	return 0;
}

int db_put(struct txn *txn, enum db_table table, const void *key, size_t key_size,
	   const void *value, size_t value_size, struct error *err)
{
	MDB_val k = val(key, key_size), v = val(value, value_size);
	int code = mdb_put(txn->mdb, txn->db->dbi[table], &k, &v, 0);

	return code ? txn_fail(txn, code, err) : 0;
}

int db_del(struct txn *txn, enum db_table table, const void *key, size_t key_size,
	   struct error *err)
{
	MDB_val k = val(key, key_size);
	int code = mdb_del(txn->mdb, txn->db->dbi[table], &k, NULL);

	return code && code != MDB_NOTFOUND ? txn_fail(txn, code, err) : 0;
}

int db_cursor_open(struct txn *txn, enum db_table table, struct db_cursor **cursor,
		   struct error *err)
{
	struct db_cursor *c = calloc(1, sizeof(*c));
	int code = c ? mdb_cursor_open(txn->mdb, txn->db->dbi[table], &c->mdb) : ENOMEM;

	if (code) {
		free(c);
		return txn_fail(txn, code, err);
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
	enc_u8(&e, RECORD);
	enc_u64(&e, n + 1);
	*value = n + 1;
	return db_put(txn, DB_META, counter, strlen(counter), record, e.size, err);
}

uint64_t db_entries(struct txn *txn, enum db_table table)
{
	MDB_stat st;

	return mdb_stat(txn->mdb, txn->db->dbi[table], &st) == 0 ? st.ms_entries : 0;
}

void db_usage(struct db *db, struct db_usage *usage)
{
	MDB_envinfo info;
	MDB_stat st;

	*usage = (struct db_usage){0};
	gate_enter(db);
	if (db->env && mdb_env_info(db->env, &info) == 0 &&
	    mdb_env_stat(db->env, &st) == 0) {
		usage->used = (uint64_t)(info.me_last_pgno + 1) * st.ms_psize;
		usage->mapped = info.me_mapsize;
	}
	gate_leave(db);
}
