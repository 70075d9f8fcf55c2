/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "tests/unit/temp_store.h"

#include "store/db_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define SMALL ((size_t)256 << 10)

/* LMDB's writes pass here, so that the one of a meta page can be made to fail. */
static atomic_int meta_failure;
ssize_t pwrite_of_lmdb(int fd, const void *data, size_t size, off_t at) __asm__("pwrite");
ssize_t pwrite_of_lmdb(int fd, const void *data, size_t size, off_t at)
{
	int code = at < 2 * sysconf(_SC_PAGESIZE) ? atomic_load(&meta_failure) : 0;

	if (code) {
		errno = code;
		return -1;
	}
	return syscall(SYS_pwrite64, fd, data, size, at);
}

struct fill {
	size_t rows, size;
	unsigned int runs;
	uint64_t drawn;
};

/* `rows` rows of `size` bytes. */
static int fill(struct txn *txn, void *arg, struct error *err)
{
	struct fill *f = arg;
	char *value = calloc(1, f->size);
	int rc = 0;

	f->runs++;
	for (uint32_t i = 0; i < f->rows && rc == 0; i++) {
		memcpy(value, &i, sizeof(i));
		rc = db_put(txn, DB_LIMITS, &i, sizeof(i), value, f->size, err);
	}
	free(value);
	return rc;
}

static int put_text(struct txn *txn, void *arg, struct error *err)
{
	return db_put(txn, DB_LIMITS, "key", 3, arg, strlen(arg) + 1, err);
}

static int put_text_and_fail(struct txn *txn, void *arg, struct error *err)
{
	int rc = put_text(txn, arg, err);

	return rc ? rc : error_set(err, EDOM, "as planned");
}

static void assert_text(struct temp_store *t, const char *key, const char *text)
{
	struct txn *txn = read_begin(t);
	struct db_value v;

	if (text) {
		assert_ok(db_get(txn, DB_LIMITS, key, strlen(key), &v, &t->err), &t->err);
		assert_string_equal(v.data, text);
	} else {
		assert_fails(ENOENT,
			     db_get(txn, DB_LIMITS, key, strlen(key), &v, &t->err),
			     &t->err);
	}
	db_read_end(txn);
}

static uint64_t rows_of(struct temp_store *t)
{
	struct txn *txn = read_begin(t);
	uint64_t rows = db_entries(txn, DB_LIMITS);

	db_read_end(txn);
	return rows;
}

static char text_a[] = "a", text_b[] = "b";

static void what_was_put_is_got_after_a_new_start(void **state)
{
	struct temp_store *t = *state;
	const struct db_options options = {0};

	in_update(t, put_text, text_a);
	assert_text(t, "key", "a");
	temp_store_close(t);
	temp_store_open(t, &options);
	assert_text(t, "key", "a");
	assert_text(t, "other", NULL);
}

static int delete_twice(struct txn *txn, void *arg, struct error *err)
{
	(void)arg;
	assert_ok(db_del(txn, DB_LIMITS, "key", 3, err), err);
	assert_ok(db_del(txn, DB_LIMITS, "key", 3, err), err);
	return 0;
}

static void deleting_what_is_not_there_succeeds(void **state)
{
	in_update(*state, put_text, text_a);
	in_update(*state, delete_twice, NULL);
	assert_text(*state, "key", NULL);
}

static void a_failed_change_changes_nothing(void **state)
{
	struct temp_store *t = *state;

	in_update(t, put_text, text_a);
	assert_fails(EDOM, db_update(t->db, put_text_and_fail, text_b, &t->err), &t->err);
	assert_string_equal(t->err.text, "as planned");
	assert_text(t, "key", "a");
}

static int nest(struct txn *txn, void *arg, struct error *err)
{
	struct fill *f = arg;

	assert_ok(db_nested(txn, put_text, text_a, err), err);
	assert_fails(EDOM, db_nested(txn, put_text_and_fail, text_b, err), err);
	if (f) {
		assert_ok(db_count(txn, "nests", &f->drawn, err), err);
		(void)db_nested(txn, fill, f, err);
	}
	error_clear(err);
	return db_put(txn, DB_LIMITS, "outer", 5, "o", 2, err);
}

static void a_nested_failure_undoes_only_itself(void **state)
{
	in_update(*state, nest, NULL);
	assert_text(*state, "key", "a");
	assert_text(*state, "outer", "o");
}

static void map_grows_by_itself(void **state)
{
	const struct db_options options = {.map_size = SMALL};
	struct fill f = {.rows = 2000, .size = 1500};
	struct temp_store *t = *state;
	struct db_usage before, after;

	temp_store_remove(t);
	temp_store_folder(t);
	temp_store_open(t, &options);
	db_usage(t->db, &before);
	assert_int_equal(before.mapped, SMALL);
	in_update(t, fill, &f);
	assert_true(f.runs > 1);
	assert_int_equal(rows_of(t), 2000);
	db_usage(t->db, &after);
	assert_true(after.mapped > before.mapped);
	assert_true(after.used >= (uint64_t)2000 * 1500 && after.used <= after.mapped);
}

static void a_map_that_has_grown_is_as_large_when_opened_again(void **state)
{
	const struct db_options options = {.map_size = SMALL};
	struct fill f = {.rows = 2000, .size = 1500};
	struct temp_store *t = *state;
	struct db_usage before, after;

	temp_store_remove(t);
	temp_store_folder(t);
	temp_store_open(t, &options);
	in_update(t, fill, &f);
	db_usage(t->db, &before);
	assert_true(before.used < before.mapped);
	db_close(t->db);
	temp_store_open(t, &options);
	db_usage(t->db, &after);
	assert_int_equal(after.mapped, before.mapped);
}

/* A batch goes on after a request's failure; it must not take a full map for one. */
static void map_grows_for_a_nested_change_whose_failure_is_ignored(void **state)
{
	const struct db_options options = {.map_size = SMALL};
	struct fill f = {.rows = 2000, .size = 1500};
	struct temp_store *t = *state;

	temp_store_remove(t);
	temp_store_folder(t);
	temp_store_open(t, &options);
	in_update(t, nest, &f);
	assert_int_equal(rows_of(t), 2002);
	assert_true(f.runs > 1);
	assert_int_equal(f.drawn, 1); /* what ran in the smaller map was not committed */
}

struct reader {
	struct temp_store *t;
	atomic_bool stop;
	atomic_uint reads, failures;
};

static void *read_on(void *arg)
{
	struct reader *r = arg;
	struct error err;

	while (!atomic_load(&r->stop)) {
		struct txn *txn = NULL;
		struct db_value v;

		error_clear(&err);
		if (db_read_begin(r->t->db, &txn, &err)) {
			atomic_fetch_add(&r->failures, 1);
			continue;
		}
		if (db_get(txn, DB_LIMITS, "key", 3, &v, &err) ||
		    strcmp(v.data, "a") != 0)
			atomic_fetch_add(&r->failures, 1);
		db_read_end(txn);
		atomic_fetch_add(&r->reads, 1);
	}
	return NULL;
}

static void readers_go_on_while_the_map_grows(void **state)
{
	const struct db_options options = {.map_size = SMALL};
	struct reader r = {.t = *state};
	struct temp_store *t = *state;
	pthread_t thread[3];

	temp_store_remove(t);
	temp_store_folder(t);
	temp_store_open(t, &options);
	in_update(t, put_text, text_a);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, read_on, &r), 0);
	for (size_t size = 500; size <= 4000; size += 500) {
		struct fill f = {.rows = 1000, .size = size};

		in_update(t, fill, &f);
	}
	while (atomic_load(&r.reads) < 100)
		sched_yield();
	atomic_store(&r.stop, true);
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(atomic_load(&r.failures), 0);
}

struct writer {
	struct temp_store *t;
	atomic_bool through;
};

static void *write_much(void *arg)
{
	struct fill f = {.rows = 2000, .size = 1500};
	struct writer *w = arg;

	in_update(w->t, fill, &f);
	atomic_store(&w->through, true);
	return NULL;
}

static void growth_waits_for_a_walk_and_holds_up_no_other_reader(void **state)
{
	const struct db_options options = {.map_size = SMALL};
	struct temp_store *t = *state;
	struct writer w = {.t = t};
	struct txn *walk = NULL;
	struct error err = {.code = 0};
	pthread_t thread;

	temp_store_remove(t);
	temp_store_folder(t);
	temp_store_open(t, &options);
	in_update(t, put_text, text_a);
	assert_int_equal(db_walk_begin(t->db, &walk, &err), 0);
	assert_int_equal(pthread_create(&thread, NULL, write_much, &w), 0);
	/* Each of these would wait for the walk's end, and never come back, where growth
	 * held up readers. */
	for (int i = 0; i < 100000; i++)
		assert_text(t, "key", "a");
	assert_false(atomic_load(&w.through));
	db_read_end(walk);
	pthread_join(thread, NULL);
	assert_int_equal(rows_of(t), 2000 + 1);
}

static void say(int fd)
{
	assert_int_equal(write(fd, "x", 1), 1);
}

static void hear(int fd)
{
	char c;

	assert_int_equal(read(fd, &c, 1), 1);
}

static void assert_child_succeeds(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Writes far more than SMALL after it was told to. Ends the process. */
static void grow_in_child(const char *dir, int ready, int go)
{
	const struct db_options options = {.map_size = SMALL};
	struct fill f = {.rows = 2000, .size = 1500};
	struct db *db = NULL;
	struct error err;
	char c;
	int rc;

	error_clear(&err);
	rc = db_open(&db, dir, &options, &err) || write(ready, "x", 1) != 1 ||
	     read(go, &c, 1) != 1 || db_update(db, fill, &f, &err);
	db_close(db);
	_exit(rc != 0);
}

static void map_grown_by_another_process_is_taken_over_by_reads(void **state)
{
	const struct db_options options = {.map_size = SMALL, .read_only = true};
	int ready[2], go[2];
	struct temp_store t;
	pid_t pid;

	(void)state;
	temp_store_folder(&t);
	assert_int_equal(pipe2(ready, O_CLOEXEC) | pipe2(go, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		grow_in_child(t.dir, ready[1], go[0]);
	hear(ready[0]);
	temp_store_open(&t, &options);
	assert_int_equal(rows_of(&t), 0);
	say(go[1]);
	assert_child_succeeds(pid);
	assert_int_equal(rows_of(&t), 2000);
	temp_store_remove(&t);
	for (int i = 0; i < 2; i++) {
		close(ready[i]);
		close(go[i]);
	}
}

/* Another writer, which our own lock would hold off: LMDB alone. Ends the process. */
static void grow_without_lock(const char *dir, int go)
{
	static char big[3 << 20];
	MDB_val key = {.mv_data = big, .mv_size = 4};
	MDB_val value = {.mv_data = big, .mv_size = sizeof(big)};
	MDB_env *env = NULL;
	MDB_txn *txn = NULL;
	MDB_dbi dbi;
	char c;
	int rc;

	rc = read(go, &c, 1) != 1 || mdb_env_create(&env) || mdb_env_set_maxdbs(env, 4) ||
	     mdb_env_set_mapsize(env, 16 << 20) || mdb_env_open(env, dir, 0, 0600) ||
	     mdb_txn_begin(env, NULL, 0, &txn) || mdb_dbi_open(txn, "limits", 0, &dbi) ||
	     mdb_put(txn, dbi, &key, &value, 0) || mdb_txn_commit(txn);
	mdb_env_close(env);
	_exit(rc != 0);
}

static void map_grown_by_another_process_is_taken_over_by_updates(void **state)
{
	const struct db_options options = {.map_size = SMALL};
	struct temp_store t;
	int go[2];
	pid_t pid;

	(void)state;
	temp_store_folder(&t);
	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		grow_without_lock(t.dir, go[0]);
	temp_store_open(&t, &options);
	say(go[1]);
	assert_child_succeeds(pid);
	in_update(&t, put_text, text_a);
	assert_int_equal(rows_of(&t), 2);
	temp_store_remove(&t);
	close(go[0]);
	close(go[1]);
}

static void second_daemon_is_refused_and_told_who_has_the_store(void **state)
{
	const struct db_options options = {0};
	struct temp_store *t = *state;
	struct db *second = NULL;
	char pid[32];

	snprintf(pid, sizeof(pid), "process %ld)", (long)getpid());
	assert_fails(EBUSY, db_open(&second, t->dir, &options, &t->err), &t->err);
	assert_non_null(strstr(t->err.text, pid));
	in_update(t, put_text, text_a);
}

static void store_of_a_killed_daemon_opens(void **state)
{
	const struct db_options options = {0};
	struct temp_store t;
	int ready[2], go[2], status;
	pid_t pid;

	(void)state;
	temp_store_folder(&t);
	assert_int_equal(pipe2(ready, O_CLOEXEC) | pipe2(go, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		grow_in_child(t.dir, ready[1], go[0]);
	hear(ready[0]);
	assert_fails(EBUSY, db_open(&t.db, t.dir, &options, &t.err), &t.err);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	temp_store_open(&t, &options);
	in_update(&t, put_text, text_a);
	temp_store_remove(&t);
	for (int i = 0; i < 2; i++) {
		close(ready[i]);
		close(go[i]);
	}
}

/* Dead, but its open files aren't closed: a process beside it has them, where in life a
 * thread of its own waits in the kernel. */
static void lock_and_die(const char *folder, int ready, int go)
{
	struct error err;
	int lock_fd;

	if (db_folder_lock(folder, folder, &lock_fd, &err) < 0)
		_exit(1);
	if (fork() == 0) {
		say(ready);
		hear(go);
		_exit(0);
	}
	_exit(0);
}

static void store_of_a_daemon_that_cannot_be_reaped_opens(void **state)
{
	const struct db_options options = {0};
	struct temp_store t;
	struct db *second = NULL;
	int ready[2], go[2], status;
	siginfo_t how;
	pid_t pid;

	(void)state;
	temp_store_folder(&t);
	assert_int_equal(pipe2(ready, O_CLOEXEC) | pipe2(go, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		lock_and_die(t.dir, ready[1], go[0]);
	hear(ready[0]);
	assert_int_equal(waitid(P_PID, (id_t)pid, &how, WEXITED | WNOWAIT), 0);
	temp_store_open(&t, &options);
	assert_fails(EBUSY, db_open(&second, t.dir, &options, &t.err), &t.err);
	say(go[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_fails(EBUSY, db_open(&second, t.dir, &options, &t.err), &t.err);
	temp_store_remove(&t);
	for (int i = 0; i < 2; i++) {
		close(ready[i]);
		close(go[i]);
	}
}

static int write_newer_format(struct txn *txn, void *arg, struct error *err)
{
	const unsigned char record[] = {1, DB_FORMAT + 1, 0, 0, 0};

	(void)arg;
	return db_put(txn, DB_META, "format", 6, record, sizeof(record), err);
}

static void newer_format_is_refused(void **state)
{
	const struct db_options options = {0}, reading = {.read_only = true};
	struct temp_store *t = *state;

	in_update(t, write_newer_format, NULL);
	temp_store_close(t);
	assert_fails(EPROTO, db_open(&t->db, t->dir, &options, &t->err), &t->err);
	assert_fails(EPROTO, db_open(&t->db, t->dir, &reading, &t->err), &t->err);
	t->db = NULL;
}

static void tool_reads_beside_the_daemon_and_writes_nothing(void **state)
{
	const struct db_options reading = {.read_only = true};
	struct temp_store *t = *state, tool = {0};
	int status;
	pid_t pid;

	in_update(t, put_text, text_a);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int rc;

		error_clear(&tool.err);
		rc = db_open(&tool.db, t->dir, &reading, &tool.err);
		if (rc == 0)
			rc = db_update(tool.db, put_text, text_b, &tool.err);
		db_close(tool.db);
		_exit(rc == -EROFS ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_text(t, "key", "a");
}

static void folder_without_a_store_is_no_store_to_a_tool(void **state)
{
	const struct db_options reading = {.read_only = true};
	struct temp_store t;

	(void)state;
	temp_store_folder(&t);
	assert_fails(ENOENT, db_open(&t.db, t.dir, &reading, &t.err), &t.err);
	t.db = NULL;
	temp_store_remove(&t);
}

static void first_start_that_was_cut_off_is_begun_anew(void **state)
{
	const struct db_options options = {0};
	struct temp_store t;
	char path[96];
	int fd;

	(void)state;
	temp_store_folder(&t);
	snprintf(path, sizeof(path), "%s/data.mdb", t.dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 100), 0);
	close(fd);
	temp_store_open(&t, &options);
	in_update(&t, put_text, text_a);
	assert_text(&t, "key", "a");
	temp_store_remove(&t);
}

static void read_is_a_snapshot(void **state)
{
	struct temp_store *t = *state;
	struct db_value v;
	struct txn *txn;

	in_update(t, put_text, text_a);
	txn = read_begin(t);
	in_update(t, put_text, text_b);
	assert_ok(db_get(txn, DB_LIMITS, "key", 3, &v, &t->err), &t->err);
	assert_string_equal(v.data, "a");
	db_read_end(txn);
	assert_text(t, "key", "b");
}

static int walk(struct txn *txn, void *arg, struct error *err)
{
	struct db_cursor *c = NULL;
	struct db_value k, v;

	(void)arg;
	assert_ok(db_cursor_open(txn, DB_EVENTS, &c, err), err);
	assert_int_equal(db_seek(c, NULL, 0, &k, &v), -ENOENT);
	assert_int_equal(db_last(c, &k, &v), -ENOENT);
	db_cursor_close(c);
	for (const char *key = "bdf"; *key; key++)
		assert_ok(db_put(txn, DB_EVENTS, key, 1, key, 1, err), err);
	assert_int_equal(db_entries(txn, DB_EVENTS), 3);
	assert_ok(db_cursor_open(txn, DB_EVENTS, &c, err), err);
	assert_int_equal(db_seek(c, "c", 1, &k, &v), 0);
	assert_memory_equal(k.data, "d", 1);
	assert_int_equal(db_next(c, &k, &v), 0);
	assert_memory_equal(v.data, "f", 1);
	assert_int_equal(db_next(c, &k, &v), -ENOENT);
	assert_int_equal(db_seek(c, NULL, 0, &k, &v), 0);
	assert_memory_equal(k.data, "b", 1);
	assert_int_equal(db_last(c, &k, &v), 0);
	assert_memory_equal(k.data, "f", 1);
	assert_int_equal(db_seek(c, "g", 1, &k, &v), -ENOENT);
	db_cursor_close(c);
	return 0;
}

static void walk_is_in_order_of_the_keys(void **state)
{
	in_update(*state, walk, NULL);
}

static int count_and_fail(struct txn *txn, void *arg, struct error *err)
{
	uint64_t *n = arg;

	assert_ok(db_count(txn, "things", n, err), err);
	return error_set(err, EDOM, "as planned");
}

static int count(struct txn *txn, void *arg, struct error *err)
{
	return db_count(txn, "things", arg, err);
}

static void counter_begins_at_one_and_a_failure_draws_nothing(void **state)
{
	struct temp_store *t = *state;
	uint64_t n = 0;

	assert_fails(EDOM, db_update(t->db, count_and_fail, &n, &t->err), &t->err);
	assert_int_equal(n, 1);
	in_update(t, count, &n);
	assert_int_equal(n, 1);
	in_update(t, count, &n);
	assert_int_equal(n, 2);
}

static void a_key_that_is_too_long_is_refused(void **state)
{
	struct temp_store *t = *state;
	char key[600] = {0};
	struct db_value v;
	struct txn *txn = read_begin(t);

	assert_fails(EINVAL, db_get(txn, DB_LIMITS, key, 0, &v, &t->err), &t->err);
	assert_int_not_equal(db_get(txn, DB_LIMITS, key, sizeof(key), &v, &t->err), 0);
	db_read_end(txn);
}

/* LMDB declares an environment dead whose meta page could not be written. */
static void failed_commit_leaves_the_store_usable(void **state)
{
	static const int codes[] = {EIO, ENOSPC, EDQUOT};
	struct temp_store *t = *state;

	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
		in_update(t, put_text, text_a);
		atomic_store(&meta_failure, codes[i]);
		error_clear(&t->err);
		assert_int_equal(db_update(t->db, put_text, text_b, &t->err), -codes[i]);
		atomic_store(&meta_failure, 0);
		assert_text(t, "key", "a");
		in_update(t, put_text, text_b);
		assert_text(t, "key", "b");
	}
}

/* All but `left` bytes. */
static bool fill_disk(const char *path, off_t left)
{
	static const char zero[4096];
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ssize_t n;

	assert_true(fd >= 0);
	while ((n = write(fd, zero, sizeof(zero))) > 0)
		;
	if (n == 0 || errno != ENOSPC ||
	    ftruncate(fd, lseek(fd, 0, SEEK_CUR) - left) != 0)
		left = -1;
	close(fd);
	return left >= 0;
}

/* With a little room `left` a write is cut short, and without any it is refused. */
static void refuse_and_recover(off_t left)
{
	const struct db_options options = {0};
	struct fill f = {.rows = 100, .size = 3000};
	struct temp_store t;
	char filler[96];

	temp_store_folder(&t);
	if (mount("tmpfs", t.dir, "tmpfs", MS_NOSUID | MS_NODEV, "size=2m,mode=0700") !=
	    0) {
		temp_store_remove(&t);
		skip();
	}
	snprintf(filler, sizeof(filler), "%s/filler", t.dir);
	temp_store_open(&t, &options);
	in_update(&t, put_text, text_a);
	assert_true(fill_disk(filler, left));
	for (int i = 0; i < 3; i++) {
		assert_fails(ENOSPC, db_update(t.db, fill, &f, &t.err), &t.err);
		assert_text(&t, "key", "a");
		assert_int_equal(rows_of(&t), 1);
	}
	temp_store_close(&t);
	temp_store_open(&t, &options);
	assert_text(&t, "key", "a");
	assert_int_equal(unlink(filler), 0);
	in_update(&t, fill, &f);
	assert_int_equal(rows_of(&t), 101);
	temp_store_close(&t);
	assert_int_equal(umount(t.dir), 0);
	temp_store_remove(&t);
}

static void full_disk_refuses_and_recovers(void **state)
{
	(void)state;
	refuse_and_recover(0);
}

static void disk_that_fills_up_in_a_commit_refuses_and_recovers(void **state)
{
	(void)state;
	refuse_and_recover(40960);
}

/* What a process does that may not walk the path: it is put into the folder and opens
 * ".". */
static int use_dot(const char *dir, const char *parent)
{
	const struct db_options options = {.map_size = SMALL};
	struct fill f = {.rows = 500, .size = 1500};
	struct db *db = NULL;
	struct error err;
	int rc;

	error_clear(&err);
	if (chdir(dir) != 0 || setresgid(65534, 65534, 65534) != 0 ||
	    setresuid(65534, 65534, 65534) != 0 || access(parent, X_OK) == 0)
		return 2;
	rc = db_open(&db, ".", &options, &err) || db_update(db, fill, &f, &err);
	db_close(db);
	return rc != 0;
}

static void dot_opens_below_a_folder_that_may_not_be_walked(void **state)
{
	struct temp_store parent, t = {0};
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	temp_store_folder(&parent);
	snprintf(t.dir, sizeof(t.dir), "%.40s/store", parent.dir);
	assert_int_equal(mkdir(t.dir, 0700), 0);
	assert_int_equal(chown(t.dir, 65534, 65534), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(use_dot(t.dir, t.dir));
	assert_child_succeeds(pid);
	temp_store_remove(&t);
	temp_store_remove(&parent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    store_test(what_was_put_is_got_after_a_new_start),
	    store_test(deleting_what_is_not_there_succeeds),
	    store_test(a_failed_change_changes_nothing),
	    store_test(a_nested_failure_undoes_only_itself),
	    store_test(map_grows_by_itself),
	    store_test(map_grows_for_a_nested_change_whose_failure_is_ignored),
	    store_test(readers_go_on_while_the_map_grows),
	    store_test(growth_waits_for_a_walk_and_holds_up_no_other_reader),
	    store_test(a_map_that_has_grown_is_as_large_when_opened_again),
	    cmocka_unit_test(map_grown_by_another_process_is_taken_over_by_reads),
	    cmocka_unit_test(map_grown_by_another_process_is_taken_over_by_updates),
	    store_test(second_daemon_is_refused_and_told_who_has_the_store),
	    cmocka_unit_test(store_of_a_killed_daemon_opens),
	    store_test(newer_format_is_refused),
	    store_test(tool_reads_beside_the_daemon_and_writes_nothing),
	    cmocka_unit_test(folder_without_a_store_is_no_store_to_a_tool),
	    cmocka_unit_test(first_start_that_was_cut_off_is_begun_anew),
	    store_test(read_is_a_snapshot),
	    store_test(walk_is_in_order_of_the_keys),
	    store_test(counter_begins_at_one_and_a_failure_draws_nothing),
	    store_test(a_key_that_is_too_long_is_refused),
	    store_test(failed_commit_leaves_the_store_usable),
	    cmocka_unit_test(store_of_a_daemon_that_cannot_be_reaped_opens),
	    cmocka_unit_test(full_disk_refuses_and_recovers),
	    cmocka_unit_test(disk_that_fills_up_in_a_commit_refuses_and_recovers),
	    cmocka_unit_test(dot_opens_below_a_folder_that_may_not_be_walked),
	};

	return cmocka_run_group_tests_name("db", tests, NULL, NULL);
}
