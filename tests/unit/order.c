/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "tests/unit/temp_store.h"

#include "store/order.h"

#include <errno.h>

#define TOKEN_A "AAAAAAAAAAAAAAAAAAAAAA"
#define TOKEN_B "BBBBBBBBBBBBBBBBBBBBBB-_"

static int put_order(struct txn *txn, uint32_t number, struct error *err)
{
	struct order o = {.number = number,
			  .state = ORDER_PENDING,
			  .started_s = 1234,
			  .directory = "https://ca.example/dir",
			  .names = "a.example b.example",
			  .order_url = "https://ca.example/order/1",
			  .finalize_url = "https://ca.example/order/1/finalize"};
	int rc;

	o.key = secret_copy("key", 3);
	rc = order_put(txn, &o, err);
	order_clear(&o);
	return rc;
}

static int put_two(struct txn *txn, void *arg, struct error *err)
{
	(void)arg;
	assert_ok(put_order(txn, 5, err), err);
	assert_ok(put_order(txn, 9, err), err);
	assert_ok(token_put(txn, 5, TOKEN_A, TOKEN_A ".thumb", err), err);
	assert_ok(token_put(txn, 9, TOKEN_B, TOKEN_B ".thumb", err), err);
	return 0;
}

static void order_goes_on_where_it_was(void **state)
{
	struct temp_store *t = *state;
	struct order o;
	struct txn *txn;

	in_update(t, put_two, NULL);
	txn = read_begin(t);
	assert_ok(order_get(txn, 5, &o, &t->err), &t->err);
	assert_int_equal(o.number, 5);
	assert_int_equal(o.state, ORDER_PENDING);
	assert_int_equal(o.started_s, 1234);
	assert_string_equal(o.directory, "https://ca.example/dir");
	assert_string_equal(o.names, "a.example b.example");
	assert_string_equal(o.order_url, "https://ca.example/order/1");
	assert_string_equal(o.finalize_url, "https://ca.example/order/1/finalize");
	assert_string_equal(o.certificate_url, "");
	assert_memory_equal(secret_data(o.key), "key", 3);
	order_clear(&o);
	assert_fails(ENOENT, order_get(txn, 6, &o, &t->err), &t->err);
	db_read_end(txn);
}

static void orders_are_walked_by_domain(void **state)
{
	struct temp_store *t = *state;
	struct order o;
	struct txn *txn;

	in_update(t, put_two, NULL);
	txn = read_begin(t);
	assert_ok(order_next(txn, 0, &o, &t->err), &t->err);
	assert_int_equal(o.number, 5);
	order_clear(&o);
	assert_ok(order_next(txn, 5, &o, &t->err), &t->err);
	assert_int_equal(o.number, 9);
	order_clear(&o);
	assert_int_equal(order_next(txn, 9, &o, &t->err), -ENOENT);
	assert_int_equal(order_next(txn, UINT32_MAX, &o, &t->err), -ENOENT);
	db_read_end(txn);
}

static int delete_first(struct txn *txn, void *arg, struct error *err)
{
	char text[512];

	assert_ok(put_two(txn, arg, err), err);
	assert_ok(order_del(txn, 5, err), err);
	assert_fails(ENOENT, token_get(txn, TOKEN_A, text, sizeof(text), err), err);
	assert_ok(token_get(txn, TOKEN_B, text, sizeof(text), err), err);
	assert_string_equal(text, TOKEN_B ".thumb");
	assert_int_equal(db_entries(txn, DB_ORDERS), 1);
	assert_int_equal(db_entries(txn, DB_TOKENS), 1);
	assert_int_equal(db_entries(txn, DB_TOKENS_OF), 1);
	return order_del(txn, 5, err);
}

static void tokens_go_with_their_order_and_no_other(void **state)
{
	in_update(*state, delete_first, NULL);
}

static void tokens_are_listed_in_byte_order(void **state)
{
	struct temp_store *t = *state;
	char token[TOKEN_MAX];
	struct txn *txn;

	in_update(t, put_two, NULL);
	txn = read_begin(t);
	assert_ok(token_next(txn, "", token, &t->err), &t->err);
	assert_string_equal(token, TOKEN_A);
	assert_ok(token_next(txn, token, token, &t->err), &t->err);
	assert_string_equal(token, TOKEN_B);
	assert_int_equal(token_next(txn, token, token, &t->err), -ENOENT);
	db_read_end(txn);
}

static int bad_tokens(struct txn *txn, void *arg, struct error *err)
{
	static const char *const bad[] = {
	    "", "AAAAAAAAAAAAAAAAAAAAA", "../../AAAAAAAAAAAAAAAAAAAA",
	    "AAAAAAAAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAAAAAAAAA\xc3\xa4"};
	char text[512], too_long[TOKEN_MAX + 1];

	(void)arg;
	memset(too_long, 'A', TOKEN_MAX);
	too_long[TOKEN_MAX] = '\0';
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_fails(EBADMSG, token_put(txn, 5, bad[i], "x", err), err);
		assert_fails(ENOENT, token_get(txn, bad[i], text, sizeof(text), err),
			     err);
	}
	assert_fails(EBADMSG, token_put(txn, 5, too_long, "x", err), err);
	assert_int_equal(db_entries(txn, DB_TOKENS), 0);
	return 0;
}

static void token_that_is_not_base64url_is_refused(void **state)
{
	in_update(*state, bad_tokens, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    store_test(order_goes_on_where_it_was),
	    store_test(orders_are_walked_by_domain),
	    store_test(tokens_go_with_their_order_and_no_other),
	    store_test(tokens_are_listed_in_byte_order),
	    store_test(token_that_is_not_base64url_is_refused),
	};

	return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}
