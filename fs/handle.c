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

/* The numbers of this worker: a mark's lower half is no handle's. */
#define MARK UINT32_MAX

static uint64_t number(const struct handles *hs, uint32_t at)
{
	return (uint64_t)hs->incarnation << 32 | at;
}

uint64_t handle_mark(const struct handles *hs)
{
	return number(hs, MARK);
}

bool handle_is_ours(const struct handles *hs, uint64_t fh)
{
	return fh >> 32 == hs->incarnation;
}

static void place(struct handles *hs, struct handle *h)
{
	for (uint32_t tries = 0; tries < HANDLES_MAX; tries++) {
		uint32_t at = hs->next++;
		if (hs->slot[at % HANDLES_MAX] || at == MARK)
			continue;
		h->fh = number(hs, at);
		hs->slot[at % HANDLES_MAX] = h;
		return;
	}
}

static size_t bytes_of(const struct handle *h)
{
	return h->content ? secret_size(h->content) : 0;
}

static size_t bytes_of_user(const struct handles *hs, uint32_t uid)
{
	size_t bytes = 0;
	for (size_t i = 0; i < HANDLES_MAX; i++)
		if (hs->slot[i] && hs->slot[i]->uid == uid)
			bytes += hs->slot[i]->bytes;
	return bytes;
}

static bool may_have(const struct handles *hs, uint32_t uid, size_t more)
{
	return bytes_of_user(hs, uid) + more <=
	       (uid == 0 ? HANDLES_ROOT_BYTES : HANDLES_USER_BYTES);
}

static int check_share(const struct handles *hs, const struct handle *h,
		       struct error *err)
{
	size_t own = 0, users = 0;
	for (size_t i = 0; i < HANDLES_MAX && h->uid != 0; i++) {
		own += hs->slot[i] && hs->slot[i]->uid == h->uid;
		users += hs->slot[i] && hs->slot[i]->uid != 0;
	}
	if (own >= HANDLES_USER_MAX)
		return error_set(err, EDQUOT,
				 "uid %u has %d files open for writing, or pages", h->uid,
				 HANDLES_USER_MAX);
	if (users >= HANDLES_USERS_MAX)
		return error_set(err, ENFILE,
				 "users have %d files open for writing, or pages",
				 HANDLES_USERS_MAX);
	if (!may_have(hs, h->uid, bytes_of(h)))
		return error_set(err, EDQUOT,
				 "uid %u has too much open for writing, or in pages",
				 h->uid);
	return 0;
}

int handle_open(struct handles *hs, uint32_t uid, struct secret *content,
		struct handle **handle, struct error *err)
{
	struct handle *h = calloc(1, sizeof(*h));
	if (!h) {
		secret_free(content);
		return error_set(err, ENOMEM, "no memory to open a file");
	}
	h->uid = uid;
	h->table = hs;
	h->content = content;
	h->mode = h->owner_uid = h->owner_gid = OWNER_KEEP;
	pthread_mutex_lock(&hs->lock);
	int r = check_share(hs, h, err);
	h->bytes = bytes_of(h);
	if (r == 0)
		place(hs, h);
	pthread_mutex_unlock(&hs->lock);
	if (r == 0 && !h->fh)
		r = error_set(err, ENFILE, "%d files are open for writing, or pages",
			      HANDLES_MAX);
	if (r < 0)
		release(h);
	else
		*handle = h;
	return r;
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
	for (size_t i = 0; i < HANDLES_MAX; i++) {
		struct handle *h = hs->slot[i];
		if (h && h->writing && h->number == number && h->kind == kind &&
		    h->opener == pid && (!found || h->fh > found->fh))
			found = h;
	}
	pthread_mutex_unlock(&hs->lock);
	return found;
}

void handle_close(struct handles *hs, uint64_t fh)
{
	release(look(hs, fh, true));
}

/* Counts `size` bytes for it instead of what it had; false: that is beyond its share. */
static bool take_bytes(struct handle *h, size_t size)
{
	pthread_mutex_lock(&h->table->lock);
	bool may = size <= h->bytes || may_have(h->table, h->uid, size - h->bytes);
	if (may)
		h->bytes = size;
	pthread_mutex_unlock(&h->table->lock);
	return may;
}

/* What is cut off takes no memory any more: none that nobody counts. */
static int cut_or_grow(struct handle *h, size_t old, size_t size)
{
	if (size >= old)
		return secret_grow(&h->content, size);
	struct secret *less = secret_copy(secret_data(h->content), size);
	if (!less)
		return -ENOMEM;
	secret_free(h->content);
	h->content = less;
	return 0;
}

int handle_resize(struct handle *h, uint64_t size)
{
	h->too_large |= size > PEM_FILE_MAX;
	if (size > PEM_FILE_MAX)
		return -EFBIG;
	size_t old = bytes_of(h);
	if (!take_bytes(h, (size_t)size))
		return -EDQUOT;
	int r = cut_or_grow(h, old, (size_t)size);
	if (r < 0) {
		take_bytes(h, old);
		return r;
	}
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
	size_t old = bytes_of(h);
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
