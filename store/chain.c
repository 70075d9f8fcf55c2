/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/chain.h"

#include "store/codec.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#define RECORD     1
#define CHAIN_REFS 1 /* offset of the count of generations in a row */

static bool digest_is_none(const unsigned char *digest)
{
	static const unsigned char none[CHAIN_DIGEST];

	return memcmp(digest, none, CHAIN_DIGEST) == 0;
}

int chain_borrow(struct txn *txn, const unsigned char *digest, struct pair *p,
		 struct error *err)
{
	const unsigned char *der;
	struct db_value value;
	struct dec d;
	size_t size;
	int rc;

	p->chain_size = 0;
	if (digest_is_none(digest))
		return 0;
	rc = db_get(txn, DB_CHAINS, digest, CHAIN_DIGEST, &value, err);
	if (rc)
		return rc == -ENOENT
			   ? error_set(err, EIO, "a chain is missing in the store")
			   : rc;
	dec_init(&d, value.data, value.size);
	if (dec_u8(&d) != RECORD)
		d.bad = true;
	(void)dec_u64(&d);
	for (unsigned int count = dec_u8(&d); count > 0; count--) {
		der = dec_blob(&d, &size);
		if (d.bad || p->chain_size == PEM_CERTS_MAX)
			break;
		p->chain[p->chain_size].der = (unsigned char *)(uintptr_t)der;
		p->chain[p->chain_size++].size = size;
	}
	return dec_done(&d) ? 0 : error_set(err, EIO, "a chain is damaged in the store");
}

/* Counts one generation more or less in a chain's row; the last one takes it out. */
static int chain_count(struct txn *txn, const unsigned char *digest,
		       const struct db_value *value, int more, struct error *err)
{
	unsigned char *record = NULL;
	uint64_t refs;
	struct dec d;
	struct enc e;
	int rc;

	dec_init(&d, value->data, value->size);
	(void)dec_u8(&d);
	refs = dec_u64(&d);
	if (d.bad || refs == 0)
		return error_set(err, EIO, "a chain is damaged in the store");
	if (more < 0 && refs == 1)
		return db_del(txn, DB_CHAINS, digest, CHAIN_DIGEST, err);
	record = malloc(value->size);
	if (!record)
		return error_set(err, ENOMEM, "no memory for a chain");
	memcpy(record, value->data, value->size);
	enc_init(&e, record + CHAIN_REFS, sizeof(refs));
	enc_u64(&e, more < 0 ? refs - 1 : refs + 1);
	rc = db_put(txn, DB_CHAINS, digest, CHAIN_DIGEST, record, value->size, err);
	free(record);
	return rc;
}

int chain_hold(struct txn *txn, const struct pair *p, unsigned char *digest,
	       struct error *err)
{
	const size_t head = CHAIN_REFS + sizeof(uint64_t);
	size_t room = head + 1;
	unsigned char *record;
	struct db_value value;
	struct enc e;
	int rc;

	memset(digest, 0, CHAIN_DIGEST);
	if (p->chain_size == 0)
		return 0;
	for (size_t i = 0; i < p->chain_size; i++)
		room += p->chain[i].size + sizeof(uint32_t);
	record = malloc(room);
	if (!record)
		return error_set(err, ENOMEM, "no memory for a chain");
	enc_init(&e, record, room);
	enc_u8(&e, RECORD);
	enc_u64(&e, 1);
	enc_u8(&e, (uint8_t)p->chain_size);
	for (size_t i = 0; i < p->chain_size; i++)
		enc_blob(&e, p->chain[i].der, p->chain[i].size);
	SHA256(record + head, e.size - head, digest);
	rc = db_get(txn, DB_CHAINS, digest, CHAIN_DIGEST, &value, err);
	if (rc == 0) {
		rc = chain_count(txn, digest, &value, 1, err);
	} else if (rc == -ENOENT) {
		error_clear(err);
		rc = db_put(txn, DB_CHAINS, digest, CHAIN_DIGEST, record, e.size, err);
	}
	free(record);
	return rc;
}

int chain_drop(struct txn *txn, const unsigned char *digest, struct error *err)
{
	struct db_value value;
	int rc;

	if (digest_is_none(digest))
		return 0;
	rc = db_get(txn, DB_CHAINS, digest, CHAIN_DIGEST, &value, err);
	return rc ? rc : chain_count(txn, digest, &value, -1, err);
}
