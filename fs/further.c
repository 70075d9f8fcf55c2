/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/further.h"

#include "acme/engine.h"
#include "fs/device.h"
#include "fs/file.h"
#include "fs/held.h"
#include "fs/rotation.h"
#include "fs/tree.h"
#include "fs/work.h"
#include "store/changed.h"
#include "store/generation.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RENEWAL_TIMEOUT 60.0 /* of a certificate that is to be renewed */

struct connection {
	struct fs fs; /* first: fuse_req_userdata() points to it */
	struct rotations *rotations;
	pthread_mutex_t lock; /* of rotations, for memory operations only */
	pthread_t thread;
	bool running;
};

struct further {
	size_t count;
	struct connection connection[FURTHER_MAX];
};

static struct connection *connection_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static bool is_shown(uint64_t id)
{
	struct node n;
	return node_of(id, &n) && !tree_is_page(&n) && n.kind != NODE_CONTROL_DIR &&
	       !tree_is_scratch(&n);
}

/* Where a served file of `number` stands; what it names before the switch is in *before.
 * Between the change and its notification the store says so. */
static enum rotation_step step_of(struct connection *c, struct txn *txn, uint32_t number,
				  uint32_t *before, int64_t *since_ms)
{
	int64_t now_ms = fs_now_ms();
	struct error err;
	uint64_t serial;
	pthread_mutex_lock(&c->lock);
	enum rotation_step step =
	    rotation_of(c->rotations, number, now_ms, before, since_ms);
	pthread_mutex_unlock(&c->lock);
	if (step == ROTATION_NONE &&
	    changed_before(txn, number, before, &serial, &err) == 0 && *before) {
		step = ROTATION_ARMED;
		*since_ms = now_ms;
	}
	return step;
}

/* While `number` rotates, the generation that paths lead to whoever is within no pair; 0: it
 * doesn't. */
static uint32_t led_to(struct connection *c, struct txn *txn, uint32_t number,
		       int64_t *since_ms)
{
	struct generation g;
	struct current now;
	struct error err;
	uint32_t before;
	if (number == 0 || current_get(txn, number, &now, &err) < 0)
		return 0;
	enum rotation_step step = step_of(c, txn, number, &before, since_ms);
	if (step == ROTATION_NONE)
		return 0;
	return step == ROTATION_ARMED &&
		       generation_get(txn, number, before, &g, &err) == 0
		   ? before
		   : now.served;
}

/* The generation that this LOOKUP of a served file is answered with; 0: nothing rotates. */
static uint32_t named(fuse_req_t req, struct txn *txn, const struct node *dir,
		      const char *name)
{
	struct connection *c = connection_of(req);
	enum file_kind kind = file_kind_of(name);
	struct generation g;
	struct error err;
	if (dir->kind != NODE_DIR || kind == FILE_KINDS)
		return 0;
	int64_t since_ms = 0;
	uint32_t served = led_to(c, txn, dir->number, &since_ms);
	const struct pairs_open o = {.tid = fuse_req_ctx(req)->pid,
				     .number = dir->number,
				     .kind = kind,
				     .served = served,
				     .since_ms = since_ms,
				     .now_ms = fs_now_ms(),
				     .now_us = fs_now_us(),
				     .by_path = true,
				     .group_of = pairs_thread_group};
	if (!o.served)
		return 0;
	uint32_t gen = pairs_foresee(c->fs.pairs, &o);
	if (generation_get(txn, dir->number, gen, &g, &err) < 0)
		gen = o.served;
	pairs_name(c->fs.pairs, &o, gen);
	return gen;
}

/* A certificate that is to be renewed asks again from time to time: a read starts it. */
static void limit_timeout(struct fs *fs, struct txn *txn, uint64_t id,
			  struct fuse_entry_param *entry)
{
	struct generation g;
	struct domain d;
	struct error err;
	struct node n;
	if (!node_of(id, &n) || n.kind != NODE_FILE || n.index == FILE_PRIVKEY ||
	    generation_get(txn, n.number, n.gen, &g, &err) < 0 ||
	    g.source != SOURCE_MANAGED || domain_get(txn, n.number, &d, &err) < 0)
		return;
	int64_t left_s = engine_renew_at_s(policy_before_days(&d.policy, fs->cfg), &g) -
			 clock_now_s(fs->clk);
	if (left_s <= 0)
		work_read(fs, n.number);
	double most = left_s > 0 ? (double)left_s : RENEWAL_TIMEOUT;
	if (entry->entry_timeout > most)
		entry->entry_timeout = most;
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	struct fuse_entry_param entry;
	struct error err;
	struct txn *txn;
	struct node dir;
	uint64_t id;
	if (!node_of(parent, &dir)) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	if (db_read_begin(fs->db, &txn, &err) < 0) {
		fs_refuse(req, &err);
		return;
	}
	uint32_t gen = named(req, txn, &dir, name);
	int r = tree_find(fs, txn, parent, name, gen, &id, &err);
	if (r == 0 && !is_shown(id))
		r = error_set(&err, ENOENT, "there is no %s here", name);
	if (r == 0)
		r = tree_entry(fs, txn, id, &entry, &err);
	if (r == 0)
		limit_timeout(fs, txn, id, &entry);
	if (gen)
		entry.entry_timeout = entry.attr_timeout = 0;
	db_read_end(txn);
	if (r < 0)
		fuse_reply_err(req, err.code);
	else
		fuse_reply_entry(req, &entry);
}

/* Whose this GETATTR is while `n` rotates: ESTALE sends an opener to his generation. */
static int arrive(fuse_req_t req, struct txn *txn, const struct node *n, uint32_t served,
		  int64_t since_ms, bool is_open, struct error *err)
{
	struct fs *fs = fs_of(req);
	const struct pairs_open o = {.tid = fuse_req_ctx(req)->pid,
				     .unique = fs->unique,
				     .number = n->number,
				     .kind = (enum file_kind)n->index,
				     .asked = n->gen,
				     .now_us = fs_now_us()};
	if (is_open) {
		pairs_read(fs->pairs, &o);
		return 0;
	}
	if (!pairs_arrives(fs->pairs, &o))
		return 0;
	uint32_t gen = file_openers_generation(req, txn, n, served, since_ms);
	return gen == n->gen
		   ? 0
		   : error_set(err, ESTALE, "the opener reads generation %u", gen);
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	int64_t since_ms = 0;
	uint32_t served = 0;
	struct error err;
	struct txn *txn;
	struct node n;
	struct stat st;
	int r = db_read_begin(fs->db, &txn, &err);
	if (r < 0) {
		fs_refuse(req, &err);
		return;
	}
	if (node_of(ino, &n) && n.kind == NODE_FILE)
		served = led_to(connection_of(req), txn, n.number, &since_ms);
	if (served)
		r = arrive(req, txn, &n, served, since_ms, fi != NULL, &err);
	if (r == 0)
		r = tree_attr(fs, txn, ino, &st, &err);
	db_read_end(txn);
	if (r < 0)
		fuse_reply_err(req, err.code);
	else
		fuse_reply_attr(req, &st, served ? 0 : tree_attr_timeout(ino));
}

/* From then on the kernel opens by itself. */
static void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, ENOSYS);
}

static void on_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	on_open(req, ino, fi);
}

/* No READDIRPLUS: its entries would be those of the generation that is served. */
static const struct fuse_lowlevel_ops operations = {
    .init = device_init,
    .lookup = on_lookup,
    .forget = device_forget,
    .forget_multi = device_forget_multi,
    .getattr = on_getattr,
    .readlink = tree_readlink,
    .open = on_open,
    .read = file_read,
    .flush = on_flush,
    .readdir = tree_readdir,
    .statfs = tree_statfs,
};

static int connection_open(struct connection *c, const struct fs *fs,
			   const struct further_fds *fds, struct error *err)
{
	c->fs = *fs;
	c->fs.slots = NULL;
	c->fs.session = NULL;
	c->fs.pairs = NULL;
	c->fs.held = NULL;
	c->fs.further = NULL;
	c->fs.read_only = true;
	c->fs.fuse_fd = fds->fuse_fd;
	c->fs.operations = &operations;
	pthread_mutex_init(&c->lock, NULL);
	int r = slots_map(&c->fs.slots, fds->slots_fd, err);
	if (r < 0)
		return r;
	unsigned char *memory = slots_pairs(c->fs.slots);
	if (pairs_size() + rotations_size() > SLOTS_PAIRS)
		return error_set(err, EPROTO, "the tables of readers need %zu bytes",
				 pairs_size() + rotations_size());
	c->fs.pairs = pairs_in(memory);
	c->rotations = rotations_in(memory + pairs_size());
	c->fs.held = held_new();
	if (!c->fs.held)
		return error_set(err, ENOMEM, "no memory for a read-only mount");
	return device_open(&c->fs, err);
}

int further_open(struct fs *fs, const struct further_fds *fds, size_t count,
		 struct error *err)
{
	int r = 0;
	fs->further = calloc(1, sizeof(*fs->further));
	if (!fs->further)
		return error_set(err, ENOMEM, "no memory for the read-only mounts");
	for (size_t i = 0; i < count && i < FURTHER_MAX && r == 0; i++)
		r = connection_open(&fs->further->connection[fs->further->count++], fs,
				    &fds[i], err);
	return r;
}

static void *loop(void *arg)
{
	struct connection *c = arg;
	struct error err;
	pairs_resume(c->fs.pairs, fs_now_ms());
	device_replay(&c->fs);
	/* ENODEV: somebody unmounted it. The other mounts go on. */
	int r = device_run(&c->fs, &err);
	if (r == 0) /* as worker.c does for the read-write mount */
		r = device_run_until(&c->fs, c->fs.drained_fd, &err);
	if (r < 0 && r != -ENODEV)
		log_error(c->fs.lg, NULL, "a read-only mount is served no more: %s",
			  err.text);
	return NULL;
}

int further_start(struct further *f, struct error *err)
{
	for (size_t i = 0; i < f->count; i++) {
		struct connection *c = &f->connection[i];
		int r = pthread_create(&c->thread, NULL, loop, c);
		if (r)
			return error_set(err, r, "starting a device thread: %s",
					 strerror(r));
		c->running = true;
	}
	return 0;
}

void further_finish(struct further *f)
{
	for (size_t i = 0; f && i < f->count; i++) {
		if (f->connection[i].running)
			pthread_join(f->connection[i].thread, NULL);
		f->connection[i].running = false;
	}
}

void further_close(struct further *f)
{
	for (size_t i = 0; f && i < f->count; i++) {
		struct connection *c = &f->connection[i];
		if (c->fs.session)
			fuse_session_destroy(c->fs.session);
		held_free(c->fs.held);
		slots_unmap(c->fs.slots);
		pthread_mutex_destroy(&c->lock);
	}
	free(f);
}

static void forget_name(struct connection *c, uint64_t parent, const char *name)
{
	/* ENOENT: the kernel had nothing of it. */
	fuse_lowlevel_notify_inval_entry(c->fs.session, parent, name, strlen(name));
}

static void tell(struct connection *c, uint32_t number, uint32_t before)
{
	struct domain d;
	struct error err;
	struct txn *txn;
	char combined[NAME_MAX_TEXT + 8];
	pthread_mutex_lock(&c->lock);
	rotation_begin(c->rotations, number, before, fs_now_ms());
	pthread_mutex_unlock(&c->lock);
	for (int kind = 0; kind < FILE_KINDS; kind++)
		forget_name(c, node_dir(number), file_name[kind]);
	if (db_read_begin(c->fs.db, &txn, &err) < 0)
		return;
	int r = domain_get(txn, number, &d, &err);
	db_read_end(txn);
	if (r < 0)
		return;
	/* It may have come or gone, or belong to somebody else now. */
	forget_name(c, NODE_ROOT, d.name.text);
	snprintf(combined, sizeof(combined), "%s.pem", d.name.text);
	forget_name(c, node_id(0, 0, NODE_COMBINED_DIR), combined);
}

void further_tell(struct further *f, uint32_t number, uint32_t before)
{
	for (size_t i = 0; f && i < f->count; i++)
		tell(&f->connection[i], number, before);
}

int64_t further_switch_ms(struct further *f, struct txn *txn, uint32_t number)
{
	int64_t last_ms = 0, now_ms = fs_now_ms(), since_ms;
	uint32_t before;
	for (size_t i = 0; f && i < f->count; i++) {
		struct connection *c = &f->connection[i];
		pthread_mutex_lock(&c->lock);
		int64_t at_ms = rotation_switch_ms(c->rotations, number, now_ms);
		pthread_mutex_unlock(&c->lock);
		/* It is yet to be armed. */
		if (at_ms == 0 &&
		    step_of(c, txn, number, &before, &since_ms) == ROTATION_ARMED)
			at_ms = now_ms + ROTATION_STEP_MS;
		if (at_ms > last_ms)
			last_ms = at_ms;
	}
	return last_ms;
}

size_t further_count(const struct further *f)
{
	return f ? f->count : 0;
}

struct slots *further_slots(const struct further *f, size_t at)
{
	return f->connection[at].fs.slots;
}
