/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/secret.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A certificate with its chain and key fits; what is larger doubles it. */
#define FIRST_ROOM ((size_t)8192)

struct secret {
	size_t size, capacity;
	unsigned char data[];
};

struct secret *secret_new(size_t capacity)
{
	if (capacity > SIZE_MAX - sizeof(struct secret))
		return NULL;
	struct secret *s = calloc(1, sizeof(*s) + capacity);
	if (s)
		s->capacity = capacity;
	return s;
}

struct secret *secret_copy(const void *data, size_t size)
{
	struct secret *s = secret_new(size);
	if (s && size > 0) {
		memcpy(s->data, data, size);
		s->size = size;
	}
	return s;
}

void secret_free(struct secret *s)
{
	if (!s)
		return;
	OPENSSL_cleanse(s, sizeof(*s) + s->capacity);
	free(s);
}

const unsigned char *secret_data(const struct secret *s)
{
	return s->data;
}

unsigned char *secret_room(struct secret *s)
{
	return s->data;
}

size_t secret_size(const struct secret *s)
{
	return s->size;
}

size_t secret_capacity(const struct secret *s)
{
	return s->capacity;
}

int secret_grow(struct secret **s, size_t size)
{
	struct secret *grown;
	size_t room = FIRST_ROOM;

	if (*s && size <= (*s)->capacity)
		return 0;
	while (room < size && room <= SIZE_MAX / 2)
		room *= 2;
	grown = room < size ? NULL : secret_new(room);
	if (!grown)
		return -ENOMEM;
	if (*s)
		secret_append(grown, (*s)->data, (*s)->size);
	secret_free(*s);
	*s = grown;
	return 0;
}

void secret_resize(struct secret *s, size_t size)
{
	if (size > s->capacity)
		size = s->capacity;
	if (size > s->size)
		memset(s->data + s->size, 0, size - s->size);
	else
		OPENSSL_cleanse(s->data + size, s->size - size);
	s->size = size;
}

void secret_fill(struct secret *s, size_t size)
{
	s->size = size < s->capacity ? size : s->capacity;
}

int secret_append(struct secret *s, const void *data, size_t size)
{
	if (size > s->capacity - s->size)
		return -ENOSPC;
	if (size > 0)
		memcpy(s->data + s->size, data, size);
	s->size += size;
	return 0;
}
