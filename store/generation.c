/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/generation_internal.h"

#include "store/chain.h"
#include "store/codec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RECORD     1
#define FILE_PLACE (GENERATION_KEY + 1)
#define HEADER_MAX 4096

/* A row of DB_GENERATIONS, its parts where they lie in the map. */
struct row {
	struct db_value header, leaf, key;
	struct db_value written[FILE_KINDS]; /* sealed; data NULL: derived */
	const unsigned char *chain;          /* digest; all 0: no chain */
};

const char *source_name(enum source source)
{
	switch (source) {
	case SOURCE_SELF_SIGNED:
		return "self-signed fallback";
	case SOURCE_WILDCARD:
		return "wildcard fallback";
	case SOURCE_MANAGED:
		return "managed";
	case SOURCE_CUSTOM:
		return "custom";
	}
	return "unknown";
}

void generation_key(unsigned char *key, uint32_t number, uint32_t gen)
{
	struct enc e;

	enc_init(&e, key, GENERATION_KEY);
	enc_be32(&e, number);
	enc_be32(&e, gen);
}

/* The place to which a file's bytes as written are sealed. */
static void file_place(unsigned char *place, uint32_t number, uint32_t gen,
		       enum file_kind kind)
{
	generation_key(place, number, gen);
	place[GENERATION_KEY] = (unsigned char)kind;
}

static int damaged(uint32_t number, uint32_t gen, struct error *err)
{
	return error_set(err, EIO, "generation %u of domain %u is damaged in the store",
			 (unsigned int)gen, (unsigned int)number);
}

static struct db_value dec_value(struct dec *d)
{
	struct db_value v = {0};

	v.data = dec_blob(d, &v.size);
	return v;
}

static int row_find(struct txn *txn, uint32_t number, uint32_t gen,
		    struct db_value *value, struct error *err)
{
	unsigned char key[GENERATION_KEY];
	int rc;

	generation_key(key, number, gen);
	rc = db_get(txn, DB_GENERATIONS, key, sizeof(key), value, err);
	if (rc == -ENOENT)
		return error_set(err, ENOENT, "domain %u has no generation %u",
				 (unsigned int)number, (unsigned int)gen);
	return rc;
}

static int row_get(struct txn *txn, uint32_t number, uint32_t gen, struct row *row,
		   struct error *err)
{
	struct db_value value;
	struct dec d;
	int rc = row_find(txn, number, gen, &value, err);

	if (rc)
		return rc;
	memset(row, 0, sizeof(*row));
	dec_init(&d, value.data, value.size);
	if (dec_u8(&d) != RECORD)
		d.bad = true;
	row->header = dec_value(&d);
	row->leaf = dec_value(&d);
	row->chain = dec_raw(&d, CHAIN_DIGEST);
	row->key = dec_value(&d);
	if (dec_u8(&d) != FILE_KINDS)
		d.bad = true;
	for (int i = 0; i < FILE_KINDS; i++) {
		if (dec_u8(&d))
			row->written[i] = dec_value(&d);
	}
	return dec_done(&d) ? 0 : damaged(number, gen, err);
}

static void header_encode(struct enc *e, const struct generation *g)
{
	const struct cert_info *info = &g->info;

	enc_u8(e, (uint8_t)g->source);
	enc_i64(e, g->installed_s);
	enc_i64(e, info->not_before_s);
	enc_i64(e, info->not_after_s);
	enc_raw(e, info->sha256, sizeof(info->sha256));
	enc_text(e, info->serial);
	enc_text(e, info->issuer);
	enc_text(e, info->subject);
	enc_text(e, info->names);
	enc_text(e, info->key_type);
	for (int i = 0; i < FILE_KINDS; i++)
		enc_u64(e, g->size[i]);
	enc_text(e, g->warning);
	enc_text(e, g->origin);
	enc_u8(e, g->chain_empty);
	enc_raw(e, g->names, sizeof(g->names));
}

static void dec_bytes(struct dec *d, unsigned char *out, size_t size)
{
	const unsigned char *data = dec_raw(d, size);

	if (data)
		memcpy(out, data, size);
}

static bool header_decode(const struct db_value *header, struct generation *g)
{
	struct cert_info *info = &g->info;
	struct dec d;

	dec_init(&d, header->data, header->size);
	g->source = (enum source)dec_u8(&d);
	g->installed_s = dec_i64(&d);
	info->not_before_s = dec_i64(&d);
	info->not_after_s = dec_i64(&d);
	dec_bytes(&d, info->sha256, sizeof(info->sha256));
	dec_text(&d, info->serial, sizeof(info->serial));
	dec_text(&d, info->issuer, sizeof(info->issuer));
	dec_text(&d, info->subject, sizeof(info->subject));
	dec_text(&d, info->names, sizeof(info->names));
	dec_text(&d, info->key_type, sizeof(info->key_type));
	for (int i = 0; i < FILE_KINDS; i++)
		g->size[i] = dec_u64(&d);
	dec_text(&d, g->warning, sizeof(g->warning));
	dec_text(&d, g->origin, sizeof(g->origin));
	g->chain_empty = dec_u8(&d) != 0;
	dec_bytes(&d, g->names, sizeof(g->names));
	return dec_done(&d) && g->source >= SOURCE_SELF_SIGNED &&
	       g->source <= SOURCE_CUSTOM;
}

void generation_describe(const struct generation *g, const char *name, char *out,
			 size_t room)
{
	char until[16] = "an unknown day";
	time_t at = (time_t)g->info.not_after_s;
	struct tm tm;

	if (gmtime_r(&at, &tm))
		strftime(until, sizeof(until), "%Y-%m-%d", &tm);
	snprintf(out, room, "generation %u of %s serves (%s, until %s)",
		 (unsigned int)g->gen, name, source_name(g->source), until);
}

int generation_get(struct txn *txn, uint32_t number, uint32_t gen, struct generation *g,
		   struct error *err)
{
	struct db_value value, header;
	struct dec d;
	int rc = row_find(txn, number, gen, &value, err);

	if (rc)
		return rc;
	/* The header alone: what follows may be a megabyte that somebody wrote. */
	dec_init(&d, value.data, value.size);
	if (dec_u8(&d) != RECORD)
		d.bad = true;
	header = dec_value(&d);
	g->number = number;
	g->gen = gen;
	return !d.bad && header_decode(&header, g) ? 0 : damaged(number, gen, err);
}

/* A row's leaf and chain as a pair that owns nothing; without its key. */
static int row_borrow(struct txn *txn, const struct row *row, struct pair *p,
		      struct error *err)
{
	memset(p, 0, sizeof(*p));
	p->leaf.der = (unsigned char *)(uintptr_t)row->leaf.data;
	p->leaf.size = row->leaf.size;
	return chain_borrow(txn, row->chain, p, err);
}

struct layout {
	bool key, leaf, chain;
};

/* What each file is made of, in this order. */
static const struct layout layout_of[FILE_KINDS] = {
    [FILE_CERT] = {.leaf = true},
    [FILE_CHAIN] = {.chain = true},
    [FILE_FULLCHAIN] = {.leaf = true, .chain = true},
    [FILE_PRIVKEY] = {.key = true},
    [FILE_COMBINED] = {.key = true, .leaf = true, .chain = true},
};

static int file_derive(const struct pair *p, enum file_kind kind, struct secret **out,
		       struct error *err)
{
	/* nginx and others fail to start with a file that holds no certificate: where
	 * there are no intermediates, the leaf stands in for them. */
	const struct layout *l =
	    &layout_of[kind == FILE_CHAIN && p->chain_size == 0 ? FILE_CERT : kind];
	struct secret *content;
	size_t room = 0;
	int rc = 0;

	if (l->key)
		room += pem_text_size(secret_size(p->key));
	if (l->leaf)
		room += pem_text_size(p->leaf.size);
	for (size_t i = 0; l->chain && i < p->chain_size; i++)
		room += pem_text_size(p->chain[i].size);
	content = secret_new(room);
	if (!content)
		return error_set(err, ENOMEM, "no memory for %s", file_name[kind]);
	if (l->key)
		rc = pem_write_key(content, p->key);
	if (l->leaf && rc == 0)
		rc = pem_write_cert(content, p->leaf.der, p->leaf.size);
	for (size_t i = 0; l->chain && i < p->chain_size && rc == 0; i++)
		rc = pem_write_cert(content, p->chain[i].der, p->chain[i].size);
	if (rc) {
		secret_free(content);
		return error_set(err, -rc, "cannot write %s as PEM", file_name[kind]);
	}
	*out = content;
	return 0;
}

static int key_open(struct txn *txn, uint32_t number, uint32_t gen, const struct row *row,
		    struct secret **key, struct error *err)
{
	unsigned char place[GENERATION_KEY];

	generation_key(place, number, gen);
	return seal_decrypt(db_seal(txn), row->key.data, row->key.size, place,
			    sizeof(place), key, err);
}

static int written_open(struct txn *txn, uint32_t number, uint32_t gen,
			enum file_kind kind, const struct row *row,
			struct secret **content, struct error *err)
{
	unsigned char place[FILE_PLACE];

	*content = NULL;
	if (!row->written[kind].data)
		return 0;
	file_place(place, number, gen, kind);
	return seal_decrypt(db_seal(txn), row->written[kind].data,
			    row->written[kind].size, place, sizeof(place), content, err);
}

int generation_written(struct txn *txn, uint32_t number, uint32_t gen,
		       enum file_kind kind, struct secret **content, struct error *err)
{
	struct row row;
	int rc = row_get(txn, number, gen, &row, err);

	return rc ? rc : written_open(txn, number, gen, kind, &row, content, err);
}

int generation_read(struct txn *txn, uint32_t number, uint32_t gen, enum file_kind kind,
		    struct secret **content, struct error *err)
{
	struct row row;
	struct pair p;
	int rc = row_get(txn, number, gen, &row, err);

	if (rc == 0)
		rc = written_open(txn, number, gen, kind, &row, content, err);
	if (rc || *content)
		return rc;
	rc = row_borrow(txn, &row, &p, err);
	if (rc == 0 && layout_of[kind].key)
		rc = key_open(txn, number, gen, &row, &p.key, err);
	if (rc == 0)
		rc = file_derive(&p, kind, content, err);
	secret_free(p.key);
	return rc;
}

int generation_pair(struct txn *txn, uint32_t number, uint32_t gen, struct pair *pair,
		    struct error *err)
{
	struct generation g;
	struct row row;
	struct pair in;
	int rc;

	memset(pair, 0, sizeof(*pair));
	rc = row_get(txn, number, gen, &row, err);
	if (rc == 0 && !header_decode(&row.header, &g))
		rc = damaged(number, gen, err);
	if (rc == 0)
		rc = row_borrow(txn, &row, &in, err);
	if (rc == 0)
		rc = pem_cert_copy(&pair->leaf, &in.leaf, err);
	for (size_t i = 0; rc == 0 && i < in.chain_size; i++) {
		rc = pem_cert_copy(&pair->chain[i], &in.chain[i], err);
		pair->chain_size += rc == 0;
	}
	if (rc == 0)
		rc = key_open(txn, number, gen, &row, &pair->key, err);
	if (rc)
		pair_clear(pair);
	else
		memcpy(pair->warning, g.warning, sizeof(pair->warning));
	return rc;
}

int generation_del(struct txn *txn, uint32_t number, uint32_t gen, struct error *err)
{
	unsigned char key[GENERATION_KEY], digest[CHAIN_DIGEST];
	struct row row;
	int rc = row_get(txn, number, gen, &row, err);

	if (rc)
		return rc;
	memcpy(digest, row.chain, CHAIN_DIGEST);
	generation_key(key, number, gen);
	rc = db_del(txn, DB_GENERATIONS, key, sizeof(key), err);
	return rc ? rc : chain_drop(txn, digest, err);
}

/* What is known of the new generation, its sizes included. */
static int describe(struct txn *txn, const struct pair *pair,
		    const struct written *written, struct generation *g,
		    struct error *err)
{
	struct secret *content = NULL;
	int rc = x509_info(&pair->leaf, &g->info, err);

	for (int i = 0; rc == 0 && i < FILE_KINDS; i++) {
		if (written && written->file[i]) {
			g->size[i] = secret_size(written->file[i]);
			continue;
		}
		rc = file_derive(pair, (enum file_kind)i, &content, err);
		if (rc == 0)
			g->size[i] = secret_size(content);
		secret_free(content);
		content = NULL;
	}
	if (rc)
		return rc;
	memcpy(g->warning, pair->warning, sizeof(g->warning));
	g->chain_empty = pair->chain_size == 0;
	return domain_digest(txn, g->number, g->names, err);
}

struct sealed {
	struct secret *key;
	struct secret *file[FILE_KINDS];
};

static void sealed_clear(struct sealed *s)
{
	secret_free(s->key);
	for (int i = 0; i < FILE_KINDS; i++)
		secret_free(s->file[i]);
}

static int sealed_make(struct txn *txn, const struct generation *g,
		       const struct pair *pair, const struct written *written,
		       struct sealed *s, struct error *err)
{
	unsigned char place[FILE_PLACE];
	int rc;

	generation_key(place, g->number, g->gen);
	rc = seal_encrypt(db_seal(txn), pair->key, place, GENERATION_KEY, &s->key, err);
	for (int i = 0; rc == 0 && written && i < FILE_KINDS; i++) {
		if (!written->file[i])
			continue;
		file_place(place, g->number, g->gen, (enum file_kind)i);
		rc = seal_encrypt(db_seal(txn), written->file[i], place, sizeof(place),
				  &s->file[i], err);
	}
	return rc;
}

static int row_put(struct txn *txn, const struct generation *g, const struct pair *pair,
		   const struct written *written, struct error *err)
{
	unsigned char header[HEADER_MAX], digest[CHAIN_DIGEST], key[GENERATION_KEY];
	struct sealed sealed = {0};
	struct secret *record = NULL;
	struct enc h, e;
	size_t room;
	int rc = sealed_make(txn, g, pair, written, &sealed, err);

	if (rc)
		goto out;
	rc = chain_hold(txn, pair, digest, err);
	if (rc)
		goto out;
	enc_init(&h, header, sizeof(header));
	header_encode(&h, g);
	room = HEADER_MAX + pair->leaf.size + secret_size(sealed.key);
	for (int i = 0; i < FILE_KINDS; i++)
		room +=
		    sizeof(uint64_t) + (sealed.file[i] ? secret_size(sealed.file[i]) : 0);
	record = secret_new(room + 256);
	if (!record) {
		rc = error_set(err, ENOMEM, "no memory for a generation");
		goto out;
	}
	enc_init(&e, secret_room(record), secret_capacity(record));
	enc_u8(&e, RECORD);
	enc_blob(&e, header, h.size);
	enc_blob(&e, pair->leaf.der, pair->leaf.size);
	enc_raw(&e, digest, sizeof(digest));
	enc_blob(&e, secret_data(sealed.key), secret_size(sealed.key));
	enc_u8(&e, FILE_KINDS);
	for (int i = 0; i < FILE_KINDS; i++) {
		enc_u8(&e, sealed.file[i] != NULL);
		if (sealed.file[i])
			enc_blob(&e, secret_data(sealed.file[i]),
				 secret_size(sealed.file[i]));
	}
	generation_key(key, g->number, g->gen);
	if (h.overflow || e.overflow)
		rc = error_set(err, EFBIG, "a generation does not fit into its row");
	else
		rc = db_put(txn, DB_GENERATIONS, key, sizeof(key), e.data, e.size, err);
out:
	secret_free(record);
	sealed_clear(&sealed);
	return rc;
}

int generation_add(struct txn *txn, uint32_t number, const struct pair *pair,
		   enum source source, const struct written *written, const char *origin,
		   int64_t now_s, uint32_t keep, uint32_t *gen, struct error *err)
{
	struct generation g = {.number = number, .source = source, .installed_s = now_s};
	struct current c;
	int64_t again_s;
	uint32_t last;
	int rc = generation_newest(txn, number, &last, err);

	if (rc)
		return rc;
	if (last >= GENERATION_MAX)
		return error_set(err, EOVERFLOW, "domain %u has used up its generations",
				 (unsigned int)number);
	g.gen = last + 1;
	strncpy(g.origin, origin ? origin : "", sizeof(g.origin) - 1);
	rc = describe(txn, pair, written, &g, err);
	if (rc == 0)
		rc = row_put(txn, &g, pair, written, err);
	if (rc == 0)
		rc = current_get(txn, number, &c, err);
	if (rc)
		return rc;
	c.newest[source] = g.gen;
	if (source == SOURCE_MANAGED)
		c.unheeded = false;
	rc = current_put(txn, number, &c, err);
	if (rc)
		return rc;
	*gen = g.gen;
	return generation_prune(txn, number, now_s, keep, &again_s, err);
}
