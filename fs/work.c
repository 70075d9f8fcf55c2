/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/work.h"

#include "acme/engine.h"
#include "fs/noted.h"
#include "fs/notify.h"
#include "fs/publish.h"
#include "store/answered.h"
#include "store/changed.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BATCH_MAX 64

struct work {
	struct fs *fs;
	struct engine *engine;
	int link_fd, publish_fd, signal_fd, wake_fd, stop_fd;
	pthread_t thread;
	bool running;
	_Atomic bool stopping;
	pthread_mutex_t lock; /* all below */
	pthread_cond_t slot_freed;
	struct item *first, **last;
	bool finish;
	bool replaying; /* results of requests that no item names yet are kept */
	size_t small_free[SLOTS_SMALL], small_free_count;
	uint64_t small_unique[SLOTS_SMALL]; /* 0: free */
	struct noted noted;                 /* has a lock of its own */
};

struct batch {
	struct work *work;
	struct item *item[BATCH_MAX];
	size_t count;
	struct noted_batch noted;
};

static void wake(struct work *w)
{
	eventfd_write(w->wake_fd, 1);
}

int work_stop_fd(const struct work *w)
{
	return w->stop_fd;
}

bool work_stopping(const struct work *w)
{
	return w->stopping;
}

void work_stop(struct work *w)
{
	w->stopping = true;
	eventfd_write(w->stop_fd, 1);
}

static size_t take_small(struct fs *fs, uint64_t unique)
{
	struct work *w = fs->work;
	pthread_mutex_lock(&w->lock);
	size_t small = fs->request_small;
	while (small == SLOTS_SMALL && w->small_free_count == 0)
		pthread_cond_wait(&w->slot_freed, &w->lock);
	if (small == SLOTS_SMALL)
		small = w->small_free[--w->small_free_count];
	w->small_unique[small] = unique;
	pthread_mutex_unlock(&w->lock);
	return small;
}

static void give_small(struct fs *fs, size_t small)
{
	struct work *w = fs->work;
	slot_clear(slots_small(fs->slots, small));
	pthread_mutex_lock(&w->lock);
	w->small_unique[small] = 0;
	w->small_free[w->small_free_count++] = small;
	pthread_cond_signal(&w->slot_freed);
	pthread_mutex_unlock(&w->lock);
}

struct item *work_item(struct fs *fs, fuse_req_t req, work_do *run)
{
	struct item *item = calloc(1, sizeof(*item));
	if (!item) {
		if (req)
			fuse_reply_err(req, ENOMEM);
		return NULL;
	}
	item->fs = fs;
	item->req = req;
	item->run = run;
	item->small = SLOTS_SMALL;
	item->mode = item->uid = item->gid = item->owner_uid = item->owner_gid =
	    OWNER_KEEP;
	if (!req)
		return item;
	item->unique = slot_unique(fs->request);
	item->replayed = fs->replaying;
	item->small = take_small(fs, item->unique);
	if (fs->request_small == SLOTS_SMALL &&
	    slot_copy(slots_small(fs->slots, item->small), fs->request) < 0) {
		/* No request that changes something is that long. */
		fuse_reply_err(req, ENAMETOOLONG);
		give_small(fs, item->small);
		free(item);
		return NULL;
	}
	return item;
}

bool work_holds(struct work *w, size_t small)
{
	pthread_mutex_lock(&w->lock);
	bool held = w->small_unique[small] != 0;
	if (!held) {
		/* A dead worker's request that was answered on the spot, or that this
		 * worker has done already: its slot is free again. */
		bool listed = false;
		for (size_t i = 0; i < w->small_free_count; i++)
			listed |= w->small_free[i] == small;
		if (!listed)
			w->small_free[w->small_free_count++] = small;
	}
	pthread_mutex_unlock(&w->lock);
	return held;
}

static void line_set(struct item *item, const struct domain *d, const char *format,
		     va_list args) __attribute__((format(printf, 3, 0)));

static void line_set(struct item *item, const struct domain *d, const char *format,
		     va_list args)
{
	vsnprintf(item->line, sizeof(item->line), format, args);
	snprintf(item->domain, sizeof(item->domain), "%s", d->name.text);
}

void item_line(struct item *item, const struct domain *d, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	line_set(item, d, format, args);
	va_end(args);
}

int item_event(struct item *item, struct txn *txn, enum event_kind kind,
	       const struct domain *d, struct error *err, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	line_set(item, d, format, args);
	va_end(args);
	return event_add(txn, kind, d->number, clock_now_s(item->fs->clk), err, "%s",
			 item->line);
}

void work_replayed(struct work *w)
{
	pthread_mutex_lock(&w->lock);
	w->replaying = false;
	pthread_mutex_unlock(&w->lock);
}

void work_submit(struct item *item)
{
	struct work *w = item->fs->work;
	pthread_mutex_lock(&w->lock);
	item->next = NULL;
	*w->last = item;
	w->last = &item->next;
	pthread_mutex_unlock(&w->lock);
	wake(w);
}

void work_read(struct fs *fs, uint32_t number)
{
	if (noted_read(&fs->work->noted, number))
		wake(fs->work);
}

void work_told(struct fs *fs, uint32_t number, uint64_t serial)
{
	const struct noted_mark mark = {number, serial};
	if (noted_told(&fs->work->noted, &mark, fs_now_ms()))
		wake(fs->work);
}

void work_held(struct fs *fs, uint32_t number, uint32_t gen, uint64_t serial,
	       unsigned files)
{
	const struct noted_held held = {number, gen, serial, files};
	noted_held(&fs->work->noted, &held);
}

void work_answer(struct item *item)
{
	struct fs *fs = item->fs;
	if (item->req) {
		if (item->result < 0)
			fuse_reply_err(item->req, -item->result);
		else if (item->reply)
			item->reply(item);
		else
			fuse_reply_err(item->req, 0);
	}
	if (item->small != SLOTS_SMALL)
		give_small(fs, item->small);
	secret_free(item->content);
	free(item);
}

static int run_nested(struct txn *txn, void *arg, struct error *err)
{
	struct item *item = arg;
	return item->run(item, txn, err);
}

static int run_failed(struct txn *txn, void *arg, struct error *err)
{
	struct item *item = arg;
	return item->failed(item, txn, err);
}

/* One request: its work, or what a dead worker's work came to. Only trouble of the store
 * itself fails the whole commit. */
static int run_item(struct item *item, struct txn *txn, struct error *err)
{
	uint64_t connection = slots_connection(item->fs->slots);
	int32_t before;
	struct error ignored;
	item->serial_changed = item->serial_too = 0;
	item->served_changed = false;
	item->line[0] = '\0';
	error_clear(&item->error);
	if (item->replayed &&
	    answered_get(txn, connection, item->unique, &before, &ignored) == 0) {
		item->result = before;
		return 0;
	}
	item->result = db_nested(txn, run_nested, item, &item->error);
	if (!item->lost && (item->result == -ENOSPC || item->result == -EIO)) {
		*err = item->error;
		return item->result;
	}
	if (item->result < 0 && item->failed) {
		int r = db_nested(txn, run_failed, item, err);
		if (r < 0)
			return r;
	}
	return item->req ? answered_put(txn, connection, item->unique, item->result, err)
			 : 0;
}

static int run_batch(struct txn *txn, void *arg, struct error *err)
{
	struct batch *b = arg;
	struct work *w = b->work;
	uint64_t keep[SLOTS_SMALL];
	size_t count = 0;
	pthread_mutex_lock(&w->lock);
	bool replaying = w->replaying;
	for (size_t i = 0; i < SLOTS_SMALL; i++)
		if (w->small_unique[i])
			keep[count++] = w->small_unique[i];
	pthread_mutex_unlock(&w->lock);
	int r = replaying ? 0 : answered_drop(txn, keep, count, err);
	if (r == 0)
		r = noted_put(&b->noted, txn, err);
	for (size_t i = 0; i < b->count && r == 0; i++)
		r = run_item(b->item[i], txn, err);
	return r;
}

static void finish_item(struct item *item)
{
	struct fs *fs = item->fs;
	const char *domain = item->domain[0] ? item->domain : NULL;
	if (item->result < 0)
		log_notice(fs->lg, domain, "refused: %s", item->error.text);
	else if (item->line[0])
		log_notice(fs->lg, domain, "%s", item->line);
	if (item->result == 0 && item->served_changed)
		publish_note(fs->publish, item->changed);
	if (item->result == 0 && item->serial_too)
		notify_domain(fs->notify, item->changed_too, item->serial_too, NULL);
	if (item->result == 0 && item->serial_changed) {
		/* From here on the notify thread may have answered and freed it. */
		bool later = item->notify_first;
		notify_domain(fs->notify, item->changed, item->serial_changed,
			      later ? item : NULL);
		if (later)
			return;
	}
	work_answer(item);
}

static bool take_batch(struct work *w, struct batch *b)
{
	b->count = 0;
	pthread_mutex_lock(&w->lock);
	while (w->first && b->count < BATCH_MAX) {
		b->item[b->count++] = w->first;
		w->first = w->first->next;
	}
	if (!w->first)
		w->last = &w->first;
	pthread_mutex_unlock(&w->lock);
	if (b->count)
		noted_take(&w->noted, &b->noted);
	return b->count > 0;
}

static void do_batches(struct work *w, struct batch *b)
{
	struct error err;
	while (take_batch(w, b)) {
		int r = db_update(w->fs->db, run_batch, b, &err);
		engine_tell(w->engine); /* before whoever made the change is answered */
		for (size_t i = 0; i < b->count; i++) {
			if (r < 0) {
				b->item[i]->result = r;
				b->item[i]->error = err;
				b->item[i]->serial_changed = 0;
				b->item[i]->serial_too = 0;
			}
			finish_item(b->item[i]);
		}
	}
}

static void do_reads(struct work *w)
{
	uint32_t reads[NOTED_READS];
	size_t count = noted_take_reads(&w->noted, reads);
	for (size_t i = 0; i < count; i++)
		engine_read(w->engine, reads[i]);
}

/* The engine marked the change in its own transaction; the mark's serial is looked up. */
static void engine_changed(void *ctx, uint32_t number)
{
	struct work *w = ctx;
	struct txn *txn;
	struct error err;
	uint32_t found;
	uint64_t serial;
	if (db_read_begin(w->fs->db, &txn, &err) < 0)
		return;
	int r = changed_next(txn, number, &found, &serial, &err);
	db_read_end(txn);
	if (r == 0 && found == number)
		notify_domain(w->fs->notify, number, serial, NULL);
}

static void engine_staged(void *ctx, uint32_t number)
{
	struct work *w = ctx;
	publish_note(w->fs->publish, number);
}

static int sooner_ms(int a, int b)
{
	return a >= 0 && (b < 0 || a < b) ? a : b;
}

static int sleep_ms(struct work *w)
{
	int ms = sooner_ms(publish_next_ms(w->fs->publish), engine_next_ms(w->engine));
	return sooner_ms(noted_wait_ms(&w->noted, fs_now_ms()), ms);
}

static void clear_told(struct work *w, struct batch *b)
{
	struct error err;
	if (noted_wait_ms(&w->noted, fs_now_ms()) != 0)
		return;
	b->count = 0;
	noted_take(&w->noted, &b->noted);
	/* Should the store take nothing, they are told once more by the next worker. */
	if (db_update(w->fs->db, run_batch, b, &err) < 0)
		log_warning(w->fs->lg, NULL, "%s", err.text);
}

static int by_serial(const void *a, const void *b)
{
	const struct noted_mark *x = a, *y = b;
	return (x->serial > y->serial) - (x->serial < y->serial);
}

/* What a dead worker changed and didn't tell, in the order in which it happened. */
static void tell_left_over(struct work *w)
{
	struct txn *txn;
	struct error err;
	struct noted_mark *marks = NULL, *more;
	size_t count = 0, room = 0;
	uint32_t number = 0;
	uint64_t serial;
	if (db_read_begin(w->fs->db, &txn, &err) < 0)
		return;
	while (changed_next(txn, number, &number, &serial, &err) == 0) {
		if (count == room) {
			room = room ? 2 * room : 64;
			more = realloc(marks, room * sizeof(*marks));
			if (!more)
				break; /* the next worker tells the rest */
			marks = more;
		}
		marks[count++] = (struct noted_mark){number, serial};
		if (number++ == UINT32_MAX)
			break;
	}
	db_read_end(txn);
	if (count)
		qsort(marks, count, sizeof(*marks), by_serial);
	for (size_t i = 0; i < count; i++)
		notify_domain(w->fs->notify, marks[i].number, marks[i].serial, NULL);
	free(marks);
}

static bool finished(struct work *w)
{
	pthread_mutex_lock(&w->lock);
	bool end = w->finish && !w->first;
	pthread_mutex_unlock(&w->lock);
	return end;
}

static void *loop(void *arg)
{
	struct work *w = arg;
	struct publish *publish = w->fs->publish;
	struct batch *b = calloc(1, sizeof(*b));
	if (!b)
		abort(); /* at start: the supervisor tries again */
	b->work = w;
	tell_left_over(w);
	engine_run(w->engine, 0); /* what was due while nobody was there */
	while (!finished(w)) {
		struct pollfd fds[] = {
		    {.fd = w->wake_fd, .events = POLLIN},
		    {.fd = w->stopping ? -1 : w->signal_fd, .events = POLLIN},
		    {.fd = clock_fd(w->fs->clk), .events = POLLIN},
		    {.fd = w->link_fd, .events = engine_events(w->engine)},
		    {.fd = publish_events(publish) ? w->publish_fd : -1,
		     .events = publish_events(publish)},
		};
		if (poll(fds, 5, sleep_ms(w)) < 0 && errno != EINTR)
			break;
		eventfd_t woken;
		if (fds[0].revents)
			eventfd_read(w->wake_fd, &woken);
		if (fds[1].revents) {
			work_stop(w);
		}
		if (fds[2].revents)
			clock_refresh(w->fs->clk, w->fs->lg);
		do_batches(w, b);
		clear_told(w, b);
		do_reads(w);
		engine_run(w->engine, fds[3].revents);
		publish_run(publish, fds[4].revents);
	}
	free(b);
	return NULL;
}

int work_open(struct fs *fs, int link_fd, int publish_fd, int signal_fd,
	      struct error *err)
{
	struct work *w = calloc(1, sizeof(*w));
	if (!w)
		return error_set(err, ENOMEM, "no memory for the store thread");
	fs->work = w;
	w->fs = fs;
	w->link_fd = link_fd;
	w->publish_fd = publish_fd;
	w->signal_fd = signal_fd;
	w->last = &w->first;
	w->replaying = true;
	pthread_mutex_init(&w->lock, NULL);
	noted_init(&w->noted);
	pthread_cond_init(&w->slot_freed, NULL);
	w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	w->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->wake_fd < 0 || w->stop_fd < 0)
		return error_set(err, errno, "eventfd: %s", strerror(errno));
	for (size_t i = 0; i < SLOTS_SMALL; i++)
		if (!slot_busy(slots_small(fs->slots, i)))
			w->small_free[w->small_free_count++] = i;
	struct engine_options options = {
	    .db = fs->db,
	    .cfg = fs->cfg,
	    .clk = fs->clk,
	    .lg = fs->lg,
	    .link_fd = link_fd,
	    .hooks = {.ctx = w, .changed = engine_changed, .staged = engine_staged},
	};
	int r = publish_open(fs, publish_fd, err);
	return r < 0 ? r : engine_new(&w->engine, &options, err);
}

int work_begin(struct fs *fs, struct error *err)
{
	int r = pthread_create(&fs->work->thread, NULL, loop, fs->work);
	if (r)
		return error_set(err, r, "starting the store thread: %s", strerror(r));
	fs->work->running = true;
	return 0;
}

void work_finish(struct work *w)
{
	if (!w)
		return;
	if (w->running) {
		pthread_mutex_lock(&w->lock);
		w->finish = true;
		pthread_mutex_unlock(&w->lock);
		wake(w);
		pthread_join(w->thread, NULL);
	}
	w->running = false;
}

void work_close(struct work *w)
{
	if (!w)
		return;
	engine_free(w->engine);
	publish_close(w->fs->publish);
	close(w->wake_fd);
	close(w->stop_fd);
	pthread_cond_destroy(&w->slot_freed);
	pthread_mutex_destroy(&w->lock);
	noted_clear(&w->noted);
	free(w);
}

int work_renew_in(struct fs *fs, struct txn *txn, uint32_t number, struct error *err)
{
	return engine_renew_in(fs->work->engine, txn, number, err);
}

int work_touch_in(struct fs *fs, struct txn *txn, const struct domain *d, int64_t now_s,
		  struct error *err)
{
	return engine_touch_served_in(fs->work->engine, txn, d, now_s, err);
}
