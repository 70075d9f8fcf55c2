/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "tests/unit/temp_store.h"

#include "store/account.h"

#include <errno.h>

static char long_url[1000];

static const char *url(void)
{
	memset(long_url, 'x', sizeof(long_url) - 1);
	memcpy(long_url, "https://", 8);
	return long_url;
}

static int put(struct txn *txn, void *arg, struct error *err)
{
	struct account a = {.kid = "https://ca.example/acct/1",
			    .contact = "mailto:a@b.example"};

	(void)arg;
	strcpy(a.directory, url());
	a.key = secret_copy("key", 3);
	assert_ok(account_put(txn, &a, err), err);
	account_clear(&a);
	assert_null(a.key);
	return 0;
}

static void account_is_kept_by_its_directory_however_long(void **state)
{
	struct temp_store *t = *state;
	struct account a;
	struct txn *txn;

	in_update(t, put, NULL);
	txn = read_begin(t);
	assert_ok(account_get(txn, url(), &a, &t->err), &t->err);
	assert_string_equal(a.directory, url());
	assert_string_equal(a.kid, "https://ca.example/acct/1");
	assert_string_equal(a.contact, "mailto:a@b.example");
	assert_int_equal(secret_size(a.key), 3);
	assert_memory_equal(secret_data(a.key), "key", 3);
	account_clear(&a);
	assert_fails(ENOENT, account_get(txn, "https://other.example/", &a, &t->err),
		     &t->err);
	assert_null(a.key);
	db_read_end(txn);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    store_test(account_is_kept_by_its_directory_however_long),
	};

	return cmocka_run_group_tests_name("account", tests, NULL, NULL);
}
