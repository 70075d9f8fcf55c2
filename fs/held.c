/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/held.h"

#include "fs/file.h"

#include <stdlib.h>
#include <string.h>

struct waiter {
	struct item *item;
	int64_t until_ms;
};

struct held {
	size_t count; /* oldest first */
	struct waiter waiter[HELD_MAX];
};

struct held *held_new(void)
{
	return calloc(1, sizeof(struct held));
}

void held_free(struct held *held)
{
	for (size_t i = 0; held && i < held->count; i++)
		free(held->waiter[i].item);
	free(held);
}

bool held_has_room(const struct held *held)
{
	return held->count < HELD_MAX;
}

void held_add(struct fs *fs, fuse_req_t req, fuse_ino_t ino,
	      const struct fuse_file_info *fi)
{
	struct held *held = fs->held;
	struct item *item = work_item(fs, req, NULL);
	if (!item)
		return;
	item->node = ino;
	item->set = fi->flags;
	held->waiter[held->count++] = (struct waiter){item, fs_now_ms() + PAIRS_HOLD_MS};
}

static bool try_again(struct fs *fs, const struct waiter *w)
{
	struct item *item = w->item;
	struct fuse_file_info fi = {.flags = item->set};
	fs->unique = item->unique;
	if (!file_try_open(item->req, item->node, &fi, fs_now_ms() < w->until_ms))
		return false;
	item->req = NULL; /* answered */
	work_answer(item);
	return true;
}

void held_retry(struct fs *fs)
{
	struct held *held = fs->held;
	size_t kept = 0;
	for (size_t i = 0; i < held->count; i++)
		if (!try_again(fs, &held->waiter[i]))
			held->waiter[kept++] = held->waiter[i];
	held->count = kept;
}

int held_wait_ms(const struct held *held)
{
	if (held->count == 0)
		return -1;
	int64_t left_ms = held->waiter[0].until_ms - fs_now_ms();
	return left_ms > 0 ? (int)left_ms : 0;
}
