/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/handle.h"

#include "store/pem.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct handles {
	uint32_t incarnation; /* upper half of each fh; not 0, and so is no fh */
	pthread_mutex_t lock; /* all below */
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
	if (hs) {
		hs->incarnation |= 1;
		pthread_mutex_init(&hs->lock, NULL);
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
	if (hs)
		pthread_mutex_destroy(&hs->lock);
	free(hs);
}

static void place(struct handles *hs, struct handle *h)
{
	for (uint32_t tries = 0; tries < HANDLES_MAX; tries++) {
		uint32_t at = hs->next++;
		if (hs->slot[at % HANDLES_MAX])
			continue;
		h->fh = (uint64_t)hs->incarnation << 32 | at;
		hs->slot[at % HANDLES_MAX] = h;
		return;
	}
}

struct handle *handle_open(struct handles *hs, struct secret *content)
{
	struct handle *h = calloc(1, sizeof(*h));
	if (!h) {
		secret_free(content);
		return NULL;
	}
	h->content = content;
	h->mode = h->owner_uid = h->owner_gid = OWNER_KEEP;
	pthread_mutex_lock(&hs->lock);
	place(hs, h);
	pthread_mutex_unlock(&hs->lock);
	if (h->fh)
		return h;
	release(h);
	return NULL;
}

static struct handle *look(struct handles *hs, uint64_t fh, bool take)
{
	struct handle **at = &hs->slot[(uint32_t)fh % HANDLES_MAX], *h;
	pthread_mutex_lock(&hs->lock);
	h = *at && (*at)->fh == fh ? *at : NULL;
	if (h && take)
		*at = NULL;
	pthread_mutex_unlock(&hs->lock);
	return h;
}

struct handle *handle_find(struct handles *hs, uint64_t fh)
{
	return look(hs, fh, false);
}

struct handle *handle_of(struct handles *hs, uint32_t number, enum file_kind kind,
			 pid_t pid)
{
	struct handle *found = NULL;
	pthread_mutex_lock(&hs->lock);
	for (size_t i = 0; i < HANDLES_MAX && !found; i++) {
		struct handle *h = hs->slot[i];
		if (h && h->writing && h->number == number && h->kind == kind &&
		    h->opener == pid)
			found = h;
	}
	pthread_mutex_unlock(&hs->lock);
	return found;
}

void handle_close(struct handles *hs, uint64_t fh)
{
	release(look(hs, fh, true));
}

int handle_resize(struct handle *h, uint64_t size)
{
	h->too_large |= size > PEM_FILE_MAX;
	if (size > PEM_FILE_MAX)
		return -EFBIG;
	size_t old = h->content ? secret_size(h->content) : 0;
	int r = secret_grow(&h->content, (size_t)size);
	if (r < 0)
		return r;
	if (size != old)
		h->dirty = true;
	secret_resize(h->content, (size_t)size);
	if (size == 0) {
		h->emptied = true;
		h->too_large = false;
	}
	return 0;
}

int handle_write(struct handle *h, const void *data, size_t size, uint64_t offset)
{
	if (offset > PEM_FILE_MAX || size > PEM_FILE_MAX - offset) {
		h->too_large = true;
		return -EFBIG;
	}
	size_t old = h->content ? secret_size(h->content) : 0;
	int r = 0;
	if (!h->content || offset + size > old)
		r = handle_resize(h, offset + size);
	if (r < 0 || size == 0)
		return r;
	memcpy(secret_room(h->content) + offset, data, size);
	h->dirty = true;
	h->emptied = false;
	return 0;
}
