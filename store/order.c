/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/order.h"

#include "store/codec.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define RECORD    1
#define TOKEN_MIN 22 /* RFC 8555 §8.3: 128 bits of entropy in base64url */

const char *order_state_name(enum order_state state)
{
	switch (state) {
	case ORDER_NEW:
		return "new";
	case ORDER_PENDING:
		return "pending";
	case ORDER_READY:
		return "ready";
	case ORDER_PROCESSING:
		return "processing";
	case ORDER_VALID:
		return "valid";
	}
	return "unknown";
}

/* A sealed key of an order opens as nothing else: a generation's place is longer. */
static const char seal_prefix[] = "order";
#define PLACE_SIZE (sizeof(seal_prefix) + ENC_NUMBER_KEY)

static void order_place(unsigned char *place, uint32_t number)
{
	memcpy(place, seal_prefix, sizeof(seal_prefix));
	enc_number_key(place + sizeof(seal_prefix), number);
}

static int order_decode(struct txn *txn, uint32_t number, const struct db_value *v,
			struct order *o, struct error *err)
{
	unsigned char place[PLACE_SIZE];
	const unsigned char *sealed;
	struct dec d;
	size_t size;
	int rc;

	memset(o, 0, sizeof(*o));
	o->number = number;
	dec_init(&d, v->data, v->size);
	if (dec_u8(&d) != RECORD)
		d.bad = true;
	o->state = (enum order_state)dec_u8(&d);
	o->started_s = dec_i64(&d);
	dec_text(&d, o->directory, sizeof(o->directory));
	dec_text(&d, o->names, sizeof(o->names));
	dec_text(&d, o->order_url, sizeof(o->order_url));
	dec_text(&d, o->finalize_url, sizeof(o->finalize_url));
	dec_text(&d, o->certificate_url, sizeof(o->certificate_url));
	sealed = dec_blob(&d, &size);
	order_place(place, number);
	if (!dec_done(&d) || o->state < ORDER_NEW || o->state > ORDER_VALID)
		rc = error_set(err, EIO, "the order of domain %u in the store is damaged",
			       (unsigned int)number);
	else
		rc = seal_decrypt(db_seal(txn), sealed, size, place, sizeof(place),
				  &o->key, err);
	if (rc)
		order_clear(o);
	return rc;
}

int order_get(struct txn *txn, uint32_t number, struct order *o, struct error *err)
{
	unsigned char key[ENC_NUMBER_KEY];
	struct db_value v;
	int rc;

	memset(o, 0, sizeof(*o));
	enc_number_key(key, number);
	rc = db_get(txn, DB_ORDERS, key, sizeof(key), &v, err);
	if (rc == -ENOENT)
		return error_set(err, ENOENT, "domain %u has no order in flight",
				 (unsigned int)number);
	return rc ? rc : order_decode(txn, number, &v, o, err);
}

int order_put(struct txn *txn, const struct order *o, struct error *err)
{
	unsigned char key[ENC_NUMBER_KEY], place[PLACE_SIZE];
	struct secret *sealed = NULL, *record = NULL;
	struct enc e;
	int rc;

	order_place(place, o->number);
	rc = seal_encrypt(db_seal(txn), o->key, place, sizeof(place), &sealed, err);
	if (rc)
		goto out;
	record = secret_new(sizeof(*o) + secret_size(sealed) + 64);
	if (!record) {
		rc = error_set(err, ENOMEM, "no memory for an order");
		goto out;
	}
	enc_init(&e, secret_room(record), secret_capacity(record));
	enc_u8(&e, RECORD);
	enc_u8(&e, (uint8_t)o->state);
	enc_i64(&e, o->started_s);
	enc_text(&e, o->directory);
	enc_text(&e, o->names);
	enc_text(&e, o->order_url);
	enc_text(&e, o->finalize_url);
	enc_text(&e, o->certificate_url);
	enc_blob(&e, secret_data(sealed), secret_size(sealed));
	enc_number_key(key, o->number);
	rc = db_put(txn, DB_ORDERS, key, sizeof(key), e.data, e.size, err);
out:
	secret_free(record);
	secret_free(sealed);
	return rc;
}

void order_clear(struct order *o)
{
	secret_free(o->key);
	memset(o, 0, sizeof(*o));
}

/* The first row of DB_TOKENS_OF that belongs to `number`, its token into `token`. */
static int first_token_of(struct txn *txn, uint32_t number, char *token,
			  struct error *err)
{
	struct db_cursor *cursor = NULL;
	unsigned char key[ENC_NUMBER_KEY];
	struct db_value found, value;
	int rc = db_cursor_open(txn, DB_TOKENS_OF, &cursor, err);

	if (rc)
		return rc;
	enc_number_key(key, number);
	rc = db_seek(cursor, key, sizeof(key), &found, &value);
	if (rc && rc != -ENOENT) {
		rc = error_set(err, -rc, "cannot read the tokens of domain %u",
			       (unsigned int)number);
	} else if (rc || found.size <= ENC_NUMBER_KEY ||
		   found.size >= ENC_NUMBER_KEY + TOKEN_MAX ||
		   memcmp(found.data, key, sizeof(key)) != 0) {
		rc = -ENOENT;
	} else {
		memcpy(token, (const char *)found.data + ENC_NUMBER_KEY,
		       found.size - ENC_NUMBER_KEY);
		token[found.size - ENC_NUMBER_KEY] = '\0';
	}
	db_cursor_close(cursor);
	return rc;
}

static size_t token_of_key(unsigned char *key, uint32_t number, const char *token)
{
	size_t length = strlen(token);

	enc_number_key(key, number);
	memcpy(key + ENC_NUMBER_KEY, token, length);
	return ENC_NUMBER_KEY + length;
}

int order_del(struct txn *txn, uint32_t number, struct error *err)
{
	unsigned char key[ENC_NUMBER_KEY + TOKEN_MAX];
	char token[TOKEN_MAX];
	int rc;

	while ((rc = first_token_of(txn, number, token, err)) == 0) {
		rc = db_del(txn, DB_TOKENS, token, strlen(token), err);
		if (rc == 0)
			rc = db_del(txn, DB_TOKENS_OF, key,
				    token_of_key(key, number, token), err);
		if (rc)
			return rc;
	}
	if (rc != -ENOENT)
		return rc;
	enc_number_key(key, number);
	return db_del(txn, DB_ORDERS, key, ENC_NUMBER_KEY, err);
}

int order_next(struct txn *txn, uint32_t after, struct order *o, struct error *err)
{
	struct db_cursor *cursor = NULL;
	unsigned char from[ENC_NUMBER_KEY];
	struct db_value key, value;
	struct dec d;
	int rc;

	memset(o, 0, sizeof(*o));
	if (after == UINT32_MAX)
		return -ENOENT;
	rc = db_cursor_open(txn, DB_ORDERS, &cursor, err);
	if (rc)
		return rc;
	enc_number_key(from, after + 1);
	rc = db_seek(cursor, from, sizeof(from), &key, &value);
	if (rc == 0) {
		dec_init(&d, key.data, key.size);
		rc = order_decode(txn, dec_be32(&d), &value, o, err);
	} else if (rc != -ENOENT) {
		rc = error_set(err, -rc, "cannot read the table of orders");
	}
	db_cursor_close(cursor);
	return rc;
}

static bool token_is_good(const char *token)
{
	size_t length = strlen(token);

	if (length < TOKEN_MIN || length >= TOKEN_MAX)
		return false;
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)token[i];

		if (c >= 0x80 || (!isalnum(c) && c != '-' && c != '_'))
			return false;
	}
	return true;
}

int token_put(struct txn *txn, uint32_t number, const char *token,
	      const char *authorization, struct error *err)
{
	unsigned char key[ENC_NUMBER_KEY + TOKEN_MAX], record[TOKEN_MAX + 512];
	const unsigned char mark = RECORD;
	struct enc e;
	int rc;

	if (!token_is_good(token))
		return error_set(
		    err, EBADMSG,
		    "the CA's token is not base64url of at least %d characters",
		    TOKEN_MIN);
	enc_init(&e, record, sizeof(record));
	enc_u8(&e, RECORD);
	enc_u32(&e, number);
	enc_text(&e, authorization);
	if (e.overflow)
		return error_set(err, EINVAL,
				 "a key authorization of %zu bytes is too long",
				 strlen(authorization));
	rc = db_put(txn, DB_TOKENS, token, strlen(token), record, e.size, err);
	if (rc)
		return rc;
	return db_put(txn, DB_TOKENS_OF, key, token_of_key(key, number, token), &mark,
		      sizeof(mark), err);
}

int token_get(struct txn *txn, const char *token, char *authorization, size_t capacity,
	      struct error *err)
{
	struct db_value v;
	struct dec d;
	int rc = -ENOENT;

	if (token_is_good(token))
		rc = db_get(txn, DB_TOKENS, token, strlen(token), &v, err);
	if (rc == -ENOENT)
		return error_set(err, ENOENT, "no challenge has this token");
	if (rc)
		return rc;
	dec_init(&d, v.data, v.size);
	if (dec_u8(&d) != RECORD)
		d.bad = true;
	(void)dec_u32(&d);
	dec_text(&d, authorization, capacity);
	if (!dec_done(&d))
		return error_set(err, EIO,
				 "the answer to a challenge is damaged in the store");
	return 0;
}

int token_next(struct txn *txn, const char *after, char *token, struct error *err)
{
	/* The next key in byte order after "x" is "x\0". */
	size_t size = after[0] ? strlen(after) + 1 : 0;
	struct db_cursor *cursor = NULL;
	struct db_value key, value;
	int rc = db_cursor_open(txn, DB_TOKENS, &cursor, err);

	if (rc)
		return rc;
	rc = db_seek(cursor, after, size, &key, &value);
	if (rc == 0 && key.size < TOKEN_MAX) {
		memcpy(token, key.data, key.size);
		token[key.size] = '\0';
	} else if (rc != -ENOENT) {
		rc = error_set(err, EIO, "cannot read the table of challenges");
	}
	db_cursor_close(cursor);
	return rc;
}
