/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/codec.h"

#include <string.h>

void enc_init(struct enc *e, void *buffer, size_t capacity)
{
	*e = (struct enc){.data = buffer, .capacity = capacity};
}

void enc_raw(struct enc *e, const void *data, size_t size)
{
	if (e->overflow || size > e->capacity - e->size) {
		e->overflow = true;
		return;
	}
	if (size > 0)
		memcpy(e->data + e->size, data, size);
	e->size += size;
}

static void enc_little(struct enc *e, uint64_t v, size_t bytes)
{
	unsigned char b[8];
	for (size_t i = 0; i < bytes; i++)
		b[i] = (unsigned char)(v >> (8 * i));
	enc_raw(e, b, bytes);
}

static void enc_big(struct enc *e, uint64_t v, size_t bytes)
{
	unsigned char b[8];
	for (size_t i = 0; i < bytes; i++)
		b[i] = (unsigned char)(v >> (8 * (bytes - 1 - i)));
	enc_raw(e, b, bytes);
}

void enc_u8(struct enc *e, uint8_t v)
{
	enc_little(e, v, 1);
}

void enc_u16(struct enc *e, uint16_t v)
{
	enc_little(e, v, 2);
}

void enc_u32(struct enc *e, uint32_t v)
{
	enc_little(e, v, 4);
}

void enc_u64(struct enc *e, uint64_t v)
{
	enc_little(e, v, 8);
}

void enc_i64(struct enc *e, int64_t v)
{
	enc_little(e, (uint64_t)v, 8);
}

void enc_be32(struct enc *e, uint32_t v)
{
	enc_big(e, v, 4);
}

void enc_be64(struct enc *e, uint64_t v)
{
	enc_big(e, v, 8);
}

void enc_blob(struct enc *e, const void *data, size_t size)
{
	if (size > UINT32_MAX) {
		e->overflow = true;
		return;
	}
	enc_u32(e, (uint32_t)size);
	enc_raw(e, data, size);
}

void enc_text(struct enc *e, const char *text)
{
	enc_blob(e, text, text ? strlen(text) : 0);
}

void enc_number_key(unsigned char *key, uint32_t number)
{
	struct enc e;

	enc_init(&e, key, ENC_NUMBER_KEY);
	enc_be32(&e, number);
}

void dec_init(struct dec *d, const void *data, size_t size)
{
	*d = (struct dec){.data = data, .size = size};
}

const unsigned char *dec_raw(struct dec *d, size_t size)
{
	if (d->bad || size > d->size - d->at) {
		d->bad = true;
		return NULL;
	}
	const unsigned char *p = d->data + d->at;
	d->at += size;
	return p;
}

static uint64_t dec_little(struct dec *d, size_t bytes)
{
	const unsigned char *p = dec_raw(d, bytes);
	uint64_t v = 0;
	for (size_t i = 0; p && i < bytes; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static uint64_t dec_big(struct dec *d, size_t bytes)
{
	const unsigned char *p = dec_raw(d, bytes);
	uint64_t v = 0;
	for (size_t i = 0; p && i < bytes; i++)
		v = v << 8 | p[i];
	return v;
}

uint8_t dec_u8(struct dec *d)
{
	return (uint8_t)dec_little(d, 1);
}

uint16_t dec_u16(struct dec *d)
{
	return (uint16_t)dec_little(d, 2);
}

uint32_t dec_u32(struct dec *d)
{
	return (uint32_t)dec_little(d, 4);
}

uint64_t dec_u64(struct dec *d)
{
	return dec_little(d, 8);
}

int64_t dec_i64(struct dec *d)
{
	return (int64_t)dec_little(d, 8);
}

uint32_t dec_be32(struct dec *d)
{
	return (uint32_t)dec_big(d, 4);
}

uint64_t dec_be64(struct dec *d)
{
	return dec_big(d, 8);
}

const unsigned char *dec_blob(struct dec *d, size_t *size)
{
	*size = dec_u32(d);
	const unsigned char *p = dec_raw(d, *size);
	if (!p)
		*size = 0;
	return p;
}

void dec_text(struct dec *d, char *out, size_t capacity)
{
	size_t size;
	const unsigned char *p = dec_blob(d, &size);
	out[0] = '\0';
	if (!p)
		return;
	if (size >= capacity || memchr(p, '\0', size)) {
		d->bad = true;
		return;
	}
	memcpy(out, p, size);
	out[size] = '\0';
}

bool dec_done(const struct dec *d)
{
	return !d->bad && d->at == d->size;
}
