/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* temp_store: a store in a folder of its own, for tests of what is kept in one. */
#ifndef CERTFS_TESTS_TEMP_STORE_H
#define CERTFS_TESTS_TEMP_STORE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/db.h"
#include "store/name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct temp_store {
	char dir[64];
	struct db *db;
	struct error err;
};

#define assert_ok(call, err)                                                             \
	do {                                                                             \
		error_clear(err);                                                        \
		if ((call) != 0)                                                         \
			fail_msg("%s: %s", #call, (err)->text);                          \
	} while (0)

#define assert_fails(number, call, err)                                                  \
	do {                                                                             \
		error_clear(err);                                                        \
		assert_int_equal((call), -(number));                                     \
		assert_int_equal((err)->code, (number));                                 \
		assert_true((err)->text[0]);                                             \
	} while (0)

static inline void temp_store_folder(struct temp_store *t)
{
	memset(t, 0, sizeof(*t));
	strcpy(t->dir, "/tmp/certfs-test-XXXXXX");
	assert_non_null(mkdtemp(t->dir));
}

static inline void temp_store_open(struct temp_store *t, const struct db_options *options)
{
	assert_ok(db_open(&t->db, t->dir, options, &t->err), &t->err);
}

static inline void temp_store_close(struct temp_store *t)
{
	db_close(t->db);
	t->db = NULL;
}

static inline void temp_store_remove(struct temp_store *t)
{
	static const char *const names[] = {"data.mdb", "lock.mdb", "certfs.lock"};
	char path[128];

	temp_store_close(t);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "%s/%s", t->dir, names[i]);
		unlink(path);
	}
	assert_int_equal(rmdir(t->dir), 0);
}

/* For cmocka_unit_test_setup_teardown(). */
static inline int temp_store_setup(void **state)
{
	struct temp_store *t = calloc(1, sizeof(*t));
	const struct db_options options = {0};

	assert_non_null(t);
	temp_store_folder(t);
	temp_store_open(t, &options);
	*state = t;
	return 0;
}

static inline int temp_store_teardown(void **state)
{
	temp_store_remove(*state);
	free(*state);
	return 0;
}

/* The body of a test as one change: its assertions run inside the transaction. */
static inline void in_update(struct temp_store *t, db_change *body, void *arg)
{
	assert_ok(db_update(t->db, body, arg, &t->err), &t->err);
}

static inline struct txn *read_begin(struct temp_store *t)
{
	struct txn *txn = NULL;

	assert_ok(db_read_begin(t->db, &txn, &t->err), &t->err);
	return txn;
}

static inline struct name name_of(const char *text)
{
	struct name name;
	struct error err;

	assert_ok(name_parse(text, &name, &err), &err);
	return name;
}

#define store_test(name)                                                                 \
	cmocka_unit_test_setup_teardown(name, temp_store_setup, temp_store_teardown)

#endif
