/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/handle.h"

#include "store/pem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define FIRST_ROOM 8192u

struct handles {
	uint32_t incarnation; /* upper half of each fh */
	uint32_t next;
	struct handle *slot[HANDLES_MAX];
};

struct handles *handles_new(void)
{
	struct handles *hs = calloc(1, sizeof(*hs));
	if (hs && getrandom(&hs->incarnation, sizeof(hs->incarnation), 0) < 0) {
		free(hs);
		return NULL;
	}
	return hs;
}

static void release(struct handle *h)
{
	if (h)
		secret_free(h->content);
	free(h);
}

void handles_free(struct handles *hs)
{
	for (size_t i = 0; hs && i < HANDLES_MAX; i++)
		release(hs->slot[i]);
	free(hs);
}

struct handle *handle_open(struct handles *hs, struct secret *content)
{
	for (uint32_t tries = 0; tries < HANDLES_MAX; tries++) {
		uint32_t at = hs->next++;
		struct handle **place = &hs->slot[at % HANDLES_MAX];
		if (*place)
			continue;
		struct handle *h = calloc(1, sizeof(*h));
		if (!h)
			break;
		h->fh = (uint64_t)hs->incarnation << 32 | at;
		h->content = content;
		h->mode = h->owner_uid = h->owner_gid = OWNER_KEEP;
		*place = h;
		return h;
	}
	secret_free(content);
	return NULL;
}

struct handle *handle_find(struct handles *hs, uint64_t fh)
{
	struct handle *h = hs->slot[(uint32_t)fh % HANDLES_MAX];
	return h && h->fh == fh ? h : NULL;
}

struct handle *handle_of(struct handles *hs, uint32_t number, enum file_kind kind,
			 pid_t pid)
{
	for (size_t i = 0; i < HANDLES_MAX; i++) {
		struct handle *h = hs->slot[i];
		if (h && h->writing && h->number == number && h->kind == kind &&
		    h->opener == pid)
			return h;
	}
	return NULL;
}

void handle_close(struct handles *hs, uint64_t fh)
{
	struct handle *h = handle_find(hs, fh);
	if (h)
		hs->slot[(uint32_t)fh % HANDLES_MAX] = NULL;
	release(h);
}

int handle_resize(struct handle *h, uint64_t size)
{
	if (size > PEM_FILE_MAX)
		return -EFBIG;
	size_t old = h->content ? secret_size(h->content) : 0;
	if (!h->content || size > secret_capacity(h->content)) {
		size_t room = FIRST_ROOM;
		while (room < size)
			room *= 2;
		struct secret *grown = secret_new(room);
		if (!grown)
			return -ENOMEM;
		if (h->content &&
		    secret_append(grown, secret_data(h->content), old) < 0) {
			secret_free(grown);
			return -ENOMEM;
		}
		secret_free(h->content);
		h->content = grown;
	}
	if (size != old)
		h->dirty = true;
	secret_resize(h->content, (size_t)size);
	return 0;
}

int handle_write(struct handle *h, const void *data, size_t size, uint64_t offset)
{
	if (offset > PEM_FILE_MAX || size > PEM_FILE_MAX - offset)
		return -EFBIG;
	size_t old = h->content ? secret_size(h->content) : 0;
	int r = 0;
	if (!h->content || offset + size > old)
		r = handle_resize(h, offset + size);
	if (r < 0 || size == 0)
		return r;
	memcpy(secret_room(h->content) + offset, data, size);
	h->dirty = true;
	return 0;
}
