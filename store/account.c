/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/account.h"

#include "store/codec.h"

#include <errno.h>
#include <openssl/sha.h>
#include <string.h>

#define RECORD 1

/* A URL can be longer than a key of the store. The digest is also the place to which the
 * account's key is sealed. */
static void account_key(unsigned char *key, const char *directory)
{
	SHA256((const unsigned char *)directory, strlen(directory), key);
}

int account_get(struct txn *txn, const char *directory, struct account *a,
		struct error *err)
{
	unsigned char key[SHA256_DIGEST_LENGTH];
	const unsigned char *sealed;
	struct db_value v;
	struct dec d;
	size_t size;
	int rc;

	memset(a, 0, sizeof(*a));
	account_key(key, directory);
	rc = db_get(txn, DB_ACCOUNTS, key, sizeof(key), &v, err);
	if (rc == -ENOENT)
		return error_set(err, ENOENT, "there is no account at %.300s yet",
				 directory);
	if (rc)
		return rc;
	dec_init(&d, v.data, v.size);
	if (dec_u8(&d) != RECORD)
		d.bad = true;
	dec_text(&d, a->directory, sizeof(a->directory));
	dec_text(&d, a->kid, sizeof(a->kid));
	dec_text(&d, a->contact, sizeof(a->contact));
	sealed = dec_blob(&d, &size);
	if (!dec_done(&d))
		rc = error_set(err, EIO, "the account at %.300s is damaged in the store",
			       directory);
	else
		rc = seal_decrypt(db_seal(txn), sealed, size, key, sizeof(key), &a->key,
				  err);
	if (rc)
		account_clear(a);
	return rc;
}

int account_put(struct txn *txn, const struct account *a, struct error *err)
{
	struct secret *sealed = NULL, *record = NULL;
	unsigned char key[SHA256_DIGEST_LENGTH];
	struct enc e;
	int rc;

	account_key(key, a->directory);
	rc = seal_encrypt(db_seal(txn), a->key, key, sizeof(key), &sealed, err);
	if (rc)
		goto out;
	record = secret_new(sizeof(*a) + secret_size(sealed) + 64);
	if (!record) {
		rc = error_set(err, ENOMEM, "no memory for an account");
		goto out;
	}
	enc_init(&e, secret_room(record), secret_capacity(record));
	enc_u8(&e, RECORD);
	enc_text(&e, a->directory);
	enc_text(&e, a->kid);
	enc_text(&e, a->contact);
	enc_blob(&e, secret_data(sealed), secret_size(sealed));
	rc = db_put(txn, DB_ACCOUNTS, key, sizeof(key), e.data, e.size, err);
out:
	secret_free(record);
	secret_free(sealed);
	return rc;
}

void account_clear(struct account *a)
{
	secret_free(a->key);
	memset(a, 0, sizeof(*a));
}
