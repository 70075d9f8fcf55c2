/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/notify.h"

#include "fs/further.h"
#include "fs/remains.h"
#include "store/changed.h"
#include "store/generation.h"
#include "store/owed.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct told {
	struct told *next;
	uint32_t number;
	uint64_t serial;
	struct item *item;
};

struct notify {
	struct fs *fs;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct told *first, **last;
	bool finish;
};

static void forget_name(struct fs *fs, uint64_t parent, const char *name)
{
	/* ENOENT: the kernel had nothing of it. Another failure means that the connection
	 * ends. */
	fuse_lowlevel_notify_inval_entry(fs->session, parent, name, strlen(name));
}

/* Generations that are served no more, while their names are still cached. */
static void find_old(struct fs *fs, uint32_t number, struct owed *o)
{
	struct current c;
	struct txn *txn;
	struct error err;
	o->count = 0;
	if (db_read_begin(fs->db, &txn, &err) < 0)
		return;
	int r = owed_get(txn, number, o, &err);
	if (r == 0)
		r = current_get(txn, number, &c, &err);
	db_read_end(txn);
	if (r < 0)
		o->count = 0;
	for (size_t i = 0; i < o->count; i++)
		if (o->before[i].gen == c.served)
			o->before[i].held = 0;
}

/* Once its names are cached no more, nobody comes to a new hold on an old inode: whoever is
 * sent to an old generation for the other half of a pair opens it. An invalidation of
 * attributes finds the inode or does not, and takes no lock of it. */
static void look_who_holds(struct fs *fs, const struct owed *o)
{
	for (size_t i = 0; i < o->count; i++) {
		const struct owed_before *b = &o->before[i];
		unsigned held = 0;
		for (unsigned kind = 0; kind < FILE_KINDS; kind++) {
			uint64_t id = node_file(o->number, b->gen, (enum file_kind)kind);
			if ((b->held & (1u << kind)) &&
			    fuse_lowlevel_notify_inval_inode(fs->session, id, -1, 0) !=
				-ENOENT)
				held |= 1u << kind;
		}
		if (held != b->held)
			work_held(fs, o->number, b->gen, b->serial, held);
	}
}

static void tell(struct fs *fs, uint32_t number)
{
	static const enum node_kind page[] = {NODE_STATUS, NODE_STATUS_JSON, NODE_POLICY};
	struct domain d;
	struct error err;
	struct txn *txn;
	char combined[NAME_MAX_TEXT + 8];
	uint64_t dir = node_dir(number);
	uint64_t last;
	uint32_t before = 0;
	struct owed old;
	find_old(fs, number, &old);
	for (int kind = 0; kind < FILE_KINDS; kind++)
		forget_name(fs, dir, file_name[kind]);
	/* Its attributes, and the listing that the kernel keeps. */
	fuse_lowlevel_notify_inval_inode(fs->session, dir, 0, 0);
	for (size_t i = 0; i < sizeof(page) / sizeof(*page); i++)
		fuse_lowlevel_notify_inval_inode(fs->session, node_id(number, 0, page[i]),
						 -1, 0);
	if (db_read_begin(fs->db, &txn, &err) < 0)
		return;
	int r = changed_before(txn, number, &before, &last, &err);
	if (r == 0)
		r = domain_get(txn, number, &d, &err);
	db_read_end(txn);
	further_tell(fs->further, number, before);
	if (r < 0)
		return;
	snprintf(combined, sizeof(combined), "%s.pem", d.name.text);
	forget_name(fs, node_id(0, 0, NODE_COMBINED_DIR), combined);
	look_who_holds(fs, &old);
}

static void *loop(void *arg)
{
	struct notify *nt = arg;
	pthread_setname_np(pthread_self(), REMAINS_THREAD);
	for (;;) {
		pthread_mutex_lock(&nt->lock);
		while (!nt->first && !nt->finish)
			pthread_cond_wait(&nt->more, &nt->lock);
		struct told *t = nt->first;
		if (t) {
			nt->first = t->next;
			if (!nt->first)
				nt->last = &nt->first;
		}
		pthread_mutex_unlock(&nt->lock);
		if (!t)
			return NULL;
		tell(nt->fs, t->number);
		work_told(nt->fs, t->number, t->serial);
		if (t->item)
			work_answer(t->item);
		free(t);
	}
}

int notify_start(struct fs *fs, struct error *err)
{
	struct notify *nt = calloc(1, sizeof(*nt));
	if (!nt)
		return error_set(err, ENOMEM, "no memory for the notify thread");
	nt->fs = fs;
	nt->last = &nt->first;
	pthread_mutex_init(&nt->lock, NULL);
	pthread_cond_init(&nt->more, NULL);
	int r = pthread_create(&nt->thread, NULL, loop, nt);
	if (r) {
		free(nt);
		return error_set(err, r, "starting the notify thread: %s", strerror(r));
	}
	fs->notify = nt;
	return 0;
}

void notify_domain(struct notify *nt, uint32_t number, uint64_t serial, struct item *item)
{
	struct told *t = malloc(sizeof(*t));
	if (!t) { /* the mark stays in the store: the next worker tells */
		if (item)
			work_answer(item);
		return;
	}
	*t = (struct told){.number = number, .serial = serial, .item = item};
	pthread_mutex_lock(&nt->lock);
	*nt->last = t;
	nt->last = &t->next;
	pthread_cond_signal(&nt->more);
	pthread_mutex_unlock(&nt->lock);
}

void notify_finish(struct notify *nt)
{
	if (!nt)
		return;
	pthread_mutex_lock(&nt->lock);
	nt->finish = true;
	pthread_cond_signal(&nt->more);
	pthread_mutex_unlock(&nt->lock);
	pthread_join(nt->thread, NULL);
	pthread_cond_destroy(&nt->more);
	pthread_mutex_destroy(&nt->lock);
	free(nt);
}
