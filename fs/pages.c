/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/pages.h"

#include "fs/file.h"
#include "fs/tree.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct pages {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct item *first, **last;
	bool finish;
};

static struct item *next_item(struct pages *p)
{
	pthread_mutex_lock(&p->lock);
	while (!p->first && !p->finish)
		pthread_cond_wait(&p->more, &p->lock);
	struct item *item = p->first;
	if (item) {
		p->first = item->next;
		if (!p->first)
			p->last = &p->first;
	}
	pthread_mutex_unlock(&p->lock);
	return item;
}

static void *loop(void *arg)
{
	struct item *item;
	while ((item = next_item(arg)))
		work_answer(item);
	return NULL;
}

int pages_start(struct fs *fs, struct error *err)
{
	struct pages *p = calloc(1, sizeof(*p));
	if (!p)
		return error_set(err, ENOMEM, "no memory for the thread of pages");
	p->last = &p->first;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->more, NULL);
	int r = pthread_create(&p->thread, NULL, loop, p);
	if (r) {
		free(p);
		return error_set(err, r, "starting the thread of pages: %s", strerror(r));
	}
	fs->pages = p;
	return 0;
}

void pages_finish(struct pages *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->finish = true;
	pthread_cond_signal(&p->more);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
	pthread_cond_destroy(&p->more);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static void submit(fuse_req_t req, fuse_ino_t ino, work_reply *reply, int flags,
		   size_t size, off_t off)
{
	struct pages *p = fs_of(req)->pages;
	struct item *item = work_item(fs_of(req), req, NULL);
	if (!item)
		return;
	item->node = ino;
	item->reply = reply;
	item->set = flags;
	item->size = size;
	item->off = off;
	pthread_mutex_lock(&p->lock);
	*p->last = item;
	p->last = &item->next;
	pthread_cond_signal(&p->more);
	pthread_mutex_unlock(&p->lock);
}

static int render(const struct item *item, struct secret **page, struct error *err)
{
	struct node n;
	if (!node_of(item->node, &n))
		return error_set(err, ESTALE, "the page is unknown");
	return tree_long_page(item->fs, &n, page, err);
}

static void reply_open(struct item *item)
{
	struct fs *fs = item->fs;
	struct fuse_file_info fi = {.flags = item->set};
	struct secret *page = NULL;
	struct error err;
	int r = render(item, &page, &err);
	if (r == 0)
		r = file_open_rendered(fs, fuse_req_ctx(item->req)->uid, page, &fi, &err);
	if (r < 0)
		fs_refuse(item->req, &err);
	else if (fuse_reply_open(item->req, &fi) < 0)
		handle_close(fs->handles, fi.fh); /* the opener was interrupted */
}

static void reply_read(struct item *item)
{
	struct secret *page = NULL;
	struct error err;
	if (render(item, &page, &err) < 0)
		fs_refuse(item->req, &err);
	else
		file_reply_part(item->req, secret_data(page), secret_size(page),
				item->size, item->off);
	secret_free(page);
}

void pages_open(fuse_req_t req, fuse_ino_t ino, const struct fuse_file_info *fi)
{
	submit(req, ino, reply_open, fi->flags, 0, 0);
}

void pages_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off)
{
	submit(req, ino, reply_read, 0, size, off);
}
