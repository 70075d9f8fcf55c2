/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* codec: the bytes of keys and values, one encoder and one decoder, bounds checked.
 *
 * An `enc` appends to a fixed buffer and remembers whether it overflowed; a `dec` walks a
 * value and remembers whether it ran short, so that a record is read field after field and
 * checked once at the end. Integers little-endian, except be32/be64 for keys that must
 * sort. Strings and blobs carry a 32-bit length. A dec trusts nobody. */
#ifndef CERTFS_STORE_CODEC_H
#define CERTFS_STORE_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct enc {
	unsigned char *data;
	size_t size, capacity;
	bool overflow;
};

void enc_init(struct enc *e, void *buffer, size_t capacity);
void enc_u8(struct enc *e, uint8_t v);
void enc_u16(struct enc *e, uint16_t v);
void enc_u32(struct enc *e, uint32_t v);
void enc_u64(struct enc *e, uint64_t v);
void enc_i64(struct enc *e, int64_t v);
void enc_be32(struct enc *e, uint32_t v);
void enc_be64(struct enc *e, uint64_t v);
void enc_raw(struct enc *e, const void *data, size_t size); /* no length */
void enc_blob(struct enc *e, const void *data, size_t size);
void enc_text(struct enc *e, const char *text); /* NULL is "" */

/* The key of a table with one row a domain, and the beginning of those with several: its
 * number, so that they sort by it. */
#define ENC_NUMBER_KEY 4
void enc_number_key(unsigned char *key, uint32_t number);

struct dec {
	const unsigned char *data;
	size_t size, at;
	bool bad;
};

void dec_init(struct dec *d, const void *data, size_t size);
uint8_t dec_u8(struct dec *d);
uint16_t dec_u16(struct dec *d);
uint32_t dec_u32(struct dec *d);
uint64_t dec_u64(struct dec *d);
int64_t dec_i64(struct dec *d);
uint32_t dec_be32(struct dec *d);
uint64_t dec_be64(struct dec *d);
const unsigned char *dec_raw(struct dec *d, size_t size); /* NULL when short */
const unsigned char *dec_blob(struct dec *d, size_t *size);
/* Copies a text into `out` of `capacity` bytes, 0-terminated; bad when it doesn't fit or
 * holds a NUL. */
void dec_text(struct dec *d, char *out, size_t capacity);
/* All read, nothing left, nothing bad. */
bool dec_done(const struct dec *d);

#endif
