/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "tests/unit/temp_store.h"

#include "store/codec.h"
#include "store/waiting.h"

#include <errno.h>

static const struct waiting_marks nothing = {0, OWNER_KEEP, OWNER_KEEP, OWNER_KEEP};

static void assert_nothing(const struct waiting_marks *marks)
{
	assert_int_equal(marks->mtime_s, 0);
	assert_int_equal(marks->uid, OWNER_KEEP);
	assert_int_equal(marks->gid, OWNER_KEEP);
	assert_int_equal(marks->mode, OWNER_KEEP);
}

static int put_both(struct txn *txn, void *arg, struct error *err)
{
	struct secret *cert = secret_copy("certificate", 11),
		      *key = secret_copy("key", 3);

	(void)arg;
	const struct waiting_marks marks = {77, 12, 34, 0600};

	assert_ok(waiting_put(txn, 3, FILE_CERT, cert, 56, &marks, 1000, err), err);
	assert_ok(waiting_put(txn, 3, FILE_PRIVKEY, key, 0, &nothing, 2000, err), err);
	assert_ok(waiting_put(txn, 4, FILE_PRIVKEY, key, 0, &nothing, 2000, err), err);
	secret_free(cert);
	secret_free(key);
	return 0;
}

static void what_waits_is_read_back(void **state)
{
	struct temp_store *t = *state;
	struct waiting w;
	struct txn *txn;

	in_update(t, put_both, NULL);
	txn = read_begin(t);
	assert_ok(waiting_get(txn, 3, 2000, &w, &t->err), &t->err);
	assert_int_equal(secret_size(w.file[FILE_CERT]), 11);
	assert_memory_equal(secret_data(w.file[FILE_CERT]), "certificate", 11);
	assert_int_equal(w.since_s[FILE_CERT], 1000);
	assert_int_equal(w.marks[FILE_CERT].mtime_s, 77);
	assert_int_equal(w.marks[FILE_CERT].uid, 12);
	assert_int_equal(w.marks[FILE_CERT].gid, 34);
	assert_int_equal(w.marks[FILE_CERT].mode, 0600);
	assert_int_equal(w.writer[FILE_CERT], 56);
	assert_int_equal(w.writer[FILE_PRIVKEY], 0);
	assert_nothing(&w.marks[FILE_PRIVKEY]);
	assert_memory_equal(secret_data(w.file[FILE_PRIVKEY]), "key", 3);
	assert_null(w.file[FILE_COMBINED]);
	waiting_clear(&w);
	assert_ok(waiting_get(txn, 5, 2000, &w, &t->err), &t->err);
	for (int i = 0; i < FILE_KINDS; i++)
		assert_null(w.file[i]);
	db_read_end(txn);
}

static void what_waits_too_long_counts_as_absent(void **state)
{
	struct temp_store *t = *state;
	struct waiting w;
	struct txn *txn;

	in_update(t, put_both, NULL);
	txn = read_begin(t);
	assert_ok(waiting_get(txn, 3, 1000 + WAITING_S, &w, &t->err), &t->err);
	assert_null(w.file[FILE_CERT]);
	assert_nothing(&w.marks[FILE_CERT]);
	assert_non_null(w.file[FILE_PRIVKEY]);
	waiting_clear(&w);
	db_read_end(txn);
}

static int touch(struct txn *txn, void *arg, struct error *err)
{
	struct waiting w;

	assert_ok(put_both(txn, arg, err), err);
	assert_ok(waiting_touch(txn, 3, FILE_CERT, 99, 1001, err), err);
	assert_int_equal(waiting_touch(txn, 3, FILE_CHAIN, 99, 1001, err), -ENOENT);
	assert_int_equal(waiting_touch(txn, 3, FILE_CERT, 99, 1000 + WAITING_S, err),
			 -ENOENT);
	assert_ok(waiting_get(txn, 3, 1001, &w, err), err);
	assert_int_equal(w.marks[FILE_CERT].mtime_s, 99);
	assert_int_equal(w.marks[FILE_CERT].uid, 12);
	assert_int_equal(w.marks[FILE_CERT].mode, 0600);
	assert_int_equal(w.writer[FILE_CERT], 56);
	assert_int_equal(w.since_s[FILE_CERT], 1000);
	assert_memory_equal(secret_data(w.file[FILE_CERT]), "certificate", 11);
	waiting_clear(&w);
	return 0;
}

static int change_mode(struct txn *txn, void *arg, struct error *err)
{
	struct waiting w;

	assert_ok(put_both(txn, arg, err), err);
	assert_ok(waiting_chmod(txn, 3, FILE_CERT, 0440, 1001, err), err);
	assert_int_equal(waiting_chmod(txn, 3, FILE_CHAIN, 0440, 1001, err), -ENOENT);
	assert_ok(waiting_get(txn, 3, 1001, &w, err), err);
	assert_int_equal(w.marks[FILE_CERT].mode, 0440);
	assert_int_equal(w.marks[FILE_CERT].mtime_s, 77);
	assert_int_equal(w.marks[FILE_CERT].uid, 12);
	waiting_clear(&w);
	return 0;
}

static void what_waits_gets_another_mode(void **state)
{
	in_update(*state, change_mode, NULL);
}

static void what_waits_gets_another_time(void **state)
{
	in_update(*state, touch, NULL);
}

/* As a release before wrote it: without the mode and the writer. */
static int put_before(struct txn *txn, void *arg, struct error *err)
{
	const unsigned char key[] = {0, 0, 0, 3, FILE_PRIVKEY};
	struct secret *content = secret_copy("key", 3), *sealed = NULL;
	unsigned char record[200];
	struct enc e;

	(void)arg;
	assert_ok(seal_encrypt(db_seal(txn), content, key, sizeof(key), &sealed, err),
		  err);
	enc_init(&e, record, sizeof(record));
	enc_u8(&e, 3);
	enc_i64(&e, 1000);
	enc_i64(&e, 77);
	enc_u32(&e, 12);
	enc_u32(&e, 34);
	enc_blob(&e, secret_data(sealed), secret_size(sealed));
	assert_ok(db_put(txn, DB_WAITING, key, sizeof(key), e.data, e.size, err), err);
	secret_free(content);
	secret_free(sealed);
	return 0;
}

static void what_waited_before_an_update_is_read_back(void **state)
{
	struct temp_store *t = *state;
	struct waiting w;
	struct txn *txn;

	in_update(t, put_before, NULL);
	txn = read_begin(t);
	assert_ok(waiting_get(txn, 3, 2000, &w, &t->err), &t->err);
	assert_memory_equal(secret_data(w.file[FILE_PRIVKEY]), "key", 3);
	assert_int_equal(w.marks[FILE_PRIVKEY].mtime_s, 77);
	assert_int_equal(w.marks[FILE_PRIVKEY].uid, 12);
	assert_int_equal(w.marks[FILE_PRIVKEY].gid, 34);
	assert_int_equal(w.marks[FILE_PRIVKEY].mode, OWNER_KEEP);
	assert_int_equal(w.writer[FILE_PRIVKEY], OWNER_KEEP);
	waiting_clear(&w);
	db_read_end(txn);
}

static int be_over(struct txn *txn, void *arg, struct error *err)
{
	unsigned dropped;
	int64_t next_s;

	assert_ok(put_both(txn, arg, err), err);
	assert_ok(waiting_over(txn, 3, 1000 + WAITING_S - 1, &dropped, &next_s, err),
		  err);
	assert_int_equal(dropped, 0);
	assert_int_equal(next_s, 1000 + WAITING_S);
	assert_int_equal(db_entries(txn, DB_WAITING), 3);
	assert_ok(waiting_over(txn, 3, 1000 + WAITING_S, &dropped, &next_s, err), err);
	assert_int_equal(dropped, 1u << FILE_CERT);
	assert_int_equal(next_s, 2000 + WAITING_S);
	assert_int_equal(db_entries(txn, DB_WAITING), 2);
	assert_ok(waiting_over(txn, 3, 2000 + WAITING_S, &dropped, &next_s, err), err);
	assert_int_equal(dropped, 1u << FILE_PRIVKEY);
	assert_true(next_s == INT64_MAX);
	assert_int_equal(db_entries(txn, DB_WAITING), 1);
	return 0;
}

static void what_waits_too_long_leaves_the_store(void **state)
{
	in_update(*state, be_over, NULL);
}

static int drop(struct txn *txn, void *arg, struct error *err)
{
	struct waiting w;

	assert_ok(put_both(txn, arg, err), err);
	assert_ok(waiting_drop(txn, 3, err), err);
	assert_int_equal(db_entries(txn, DB_WAITING), 1);
	assert_ok(waiting_get(txn, 4, 2000, &w, err), err);
	assert_non_null(w.file[FILE_PRIVKEY]);
	waiting_clear(&w);
	return waiting_drop(txn, 3, err);
}

static void drop_takes_one_domain(void **state)
{
	in_update(*state, drop, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    store_test(what_waits_is_read_back),
	    store_test(what_waited_before_an_update_is_read_back),
	    store_test(what_waits_gets_another_mode),
	    store_test(what_waits_gets_another_time),
	    store_test(what_waits_too_long_counts_as_absent),
	    store_test(what_waits_too_long_leaves_the_store),
	    store_test(drop_takes_one_domain),
	};

	return cmocka_run_group_tests_name("waiting", tests, NULL, NULL);
}
