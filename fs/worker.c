/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/worker.h"

#include "fs/device.h"
#include "fs/held.h"
#include "fs/lifeline.h"
#include "fs/notify.h"
#include "fs/pages.h"
#include "fs/pairs.h"
#include "fs/work.h"
#include "store/generation.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* `fallback/` is made at the first start, as domain 1. */
static int first_start(struct txn *txn, void *arg, struct error *err)
{
	struct fs *fs = arg;
	struct name name;
	struct domain d;
	bool back, changed;
	int64_t until_s, now_s = clock_now_s(fs->clk);
	int r = domain_get(txn, DOMAIN_FALLBACK, &d, err);
	if (r != -ENOENT)
		return r;
	r = name_parse("fallback", &name, err);
	if (r == 0)
		r = domain_install(txn, &name, OWNER_KEEP, OWNER_KEEP, now_s, &d, &back,
				   err);
	if (r == 0)
		r = generation_fallback(txn, d.number, now_s, fs->cfg->keep, SERVE_NOW,
					&changed, &until_s, err);
	return r;
}

/* Without the store's write lock, which a worker that died may have left behind for a
 * while. */
static int needs_first_start(struct db *db, bool *needed, struct error *err)
{
	struct txn *txn;
	struct domain d;
	int r = db_read_begin(db, &txn, err);
	if (r < 0)
		return r;
	r = domain_get(txn, DOMAIN_FALLBACK, &d, err);
	db_read_end(txn);
	*needed = r == -ENOENT;
	return *needed ? 0 : r;
}

static int open_store(struct fs *fs, struct seal **seal, struct error *err)
{
	int r = clock_open(&fs->clk, fs->cfg->clock_offset_file, err);
	if (r == 0)
		r = seal_open(seal, fs->cfg->master_key_file, err);
	struct db_options options = {.name = fs->cfg->store,
				     .seal = r == 0 ? *seal : NULL};
	if (r == 0)
		r = db_open(&fs->db, ".", &options, err);
	bool needed = false;
	if (r == 0)
		r = needs_first_start(fs->db, &needed, err);
	if (r == 0 && needed)
		r = db_update(fs->db, first_start, fs, err);
	return r;
}

static int open_tables(struct fs *fs, struct error *err)
{
	int r = config_defaults(&fs->defaults, err);
	if (r < 0)
		return r;
	fs->drained_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fs->drained_fd < 0)
		return error_set(err, errno, "eventfd: %s", strerror(errno));
	fs->handles = handles_new();
	if (pairs_size() > SLOTS_PAIRS)
		return error_set(err, EPROTO, "the tables of readers need %zu bytes",
				 pairs_size());
	fs->pairs = pairs_in(slots_pairs(fs->slots));
	fs->held = held_new();
	if (!fs->handles || !fs->held)
		return error_set(err, ENOMEM, "no memory for the worker's tables");
	return scratch_new(&fs->scratch, err);
}

static int term_fd(struct error *err)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? error_set(err, errno, "signalfd: %s", strerror(errno)) : fd;
}

static void *finish(void *arg)
{
	struct fs *fs = arg;
	work_finish(fs->work);
	notify_finish(fs->notify);
	fs->notify = NULL;
	eventfd_write(fs->drained_fd, 1);
	return NULL;
}

/* A notification waits in the kernel for the directory's lock, which the sender of a request
 * may hold until it is answered: requests are answered until the last one is sent. */
static int drain(struct fs *fs, struct error *err)
{
	pthread_t thread;
	int r = pthread_create(&thread, NULL, finish, fs);
	if (r)
		return error_set(err, r, "starting a thread: %s", strerror(r));
	r = device_run_until(fs, fs->drained_fd, err);
	pthread_join(thread, NULL);
	return r;
}

static int serve(struct fs *fs, const struct worker_options *o, struct error *err)
{
	int r = lifeline_hold(o->lifeline_fd, err);
	if (r == 0)
		r = notify_start(fs, err);
	if (r == 0)
		r = pages_start(fs, err);
	if (r == 0)
		r = work_begin(fs, err);
	if (r == 0)
		r = further_start(fs->further, err);
	if (r < 0)
		return r;
	pairs_resume(fs->pairs, fs_now_ms());
	device_replay(fs);
	work_replayed(fs->work);
	eventfd_write(o->ready_fd, 1);
	log_info(fs->lg, NULL, "serving");
	r = device_run(fs, err);
	return r == 0 ? drain(fs, err) : r;
}

static void close_all(struct fs *fs, struct seal *seal, int signal_fd)
{
	if (fs->further)
		work_stop(fs->work);
	work_finish(fs->work);
	notify_finish(fs->notify);
	if (fs->further) {
		eventfd_write(fs->drained_fd, 1);
		further_finish(fs->further);
	}
	pages_finish(fs->pages);
	work_close(fs->work);
	further_close(fs->further);
	if (fs->session)
		fuse_session_destroy(fs->session);
	scratch_free(fs->scratch);
	handles_free(fs->handles);
	held_free(fs->held);
	db_close(fs->db);
	seal_close(seal);
	clock_close(fs->clk);
	config_free(fs->defaults);
	slots_unmap(fs->slots);
	if (signal_fd >= 0)
		close(signal_fd);
}

int worker_run(const struct worker_options *o, struct error *err)
{
	struct fs fs = {.cfg = o->cfg,
			.mountpoint = o->mountpoint,
			.lg = o->lg,
			.fuse_fd = o->fuse_fd,
			.key_gid = o->key_gid,
			.operations = &device_operations};
	struct seal *seal = NULL;
	int signal_fd = -1;
	int r = slots_map(&fs.slots, o->slots_fd, err);
	if (r == 0)
		r = signal_fd = term_fd(err);
	if (r >= 0)
		r = open_store(&fs, &seal, err);
	if (r == 0)
		r = open_tables(&fs, err);
	if (r == 0)
		r = work_open(&fs, o->link_fd, o->publish_fd, signal_fd, err);
	if (r == 0)
		r = device_open(&fs, err);
	if (r == 0)
		r = further_open(&fs, o->further, o->further_count, err);
	if (r == 0 && o->confine)
		r = o->confine(o->confine_ctx, err);
	if (r == 0)
		r = serve(&fs, o, err);
	close_all(&fs, seal, signal_fd);
	return r;
}
