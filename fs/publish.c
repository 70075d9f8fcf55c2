/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/publish.h"

#include "fs/further.h"
#include "fs/notify.h"
#include "fs/publish_internal.h"
#include "store/generation.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define LATE_MS      2000 /* announce may take for one domain */
#define STEPS_MAX    256  /* rows looked at in one publish_run() */
#define STORE_TRY_MS 2000
#define ROW_DONE_MAX (OWED_MAX + 2) /* what job_begin() notes of one row */

static uint64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* What announce owes an answer for, since when: the supervisor looks at it. */
static void note_owing(struct publish *p)
{
	bool owing = p->hello_sent && !p->here;
	for (size_t i = 0; i < PUBLISH_JOBS; i++)
		owing |= p->job[i].number && p->job[i].sent;
	_Atomic uint64_t *since = slots_announce_owes_ns(p->fs->slots);
	if (!owing && !p->away)
		atomic_store(since, 0);
	else if (owing && (atomic_load(since) == 0 || p->heard))
		atomic_store(since, now_ns());
	p->heard = false;
}

/* All rows are looked at, from the first. */
static void walk(struct publish *p)
{
	p->walking = true;
	p->walk_from = 0;
}

static struct job *job_of(struct publish *p, uint32_t number)
{
	for (size_t i = 0; i < PUBLISH_JOBS; i++)
		if (p->job[i].number == number)
			return &p->job[i];
	return NULL;
}

/* What the device thread sees of the jobs. */
void publish_show_jobs(struct publish *p)
{
	unsigned count = 0;
	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < PUBLISH_JOBS; i++) {
		const struct job *job = &p->job[i];
		if (job->number)
			p->shown[count++] =
			    (struct shown){.number = job->number,
					   .before = job->before[job->round].gen,
					   .gen = job->gen,
					   .switched = job->switched};
	}
	atomic_store(&p->shown_count, count);
	pthread_mutex_unlock(&p->lock);
}

void publish_note(struct publish *p, uint32_t number)
{
	if (job_of(p, number))
		return; /* looked at again when that is over */
	if (p->noted_count == PUBLISH_NOTED) {
		walk(p);
		return;
	}
	p->noted[(p->noted_first + p->noted_count++) % PUBLISH_NOTED] = number;
}

/* Not within a transaction unless there is room. */
static void done_later(struct publish *p, const struct done *done)
{
	if (p->done_count == PUBLISH_DONE_MAX)
		publish_commit(p);
	p->done[p->done_count++] = *done;
}

static void told_later(struct publish *p, uint32_t number, const struct owed_before *b)
{
	const struct done done = {DONE_TOLD, number, b->gen, b->serial};
	done_later(p, &done);
}

static bool is_told(const struct publish *p, uint32_t number, const struct owed_before *b)
{
	bool told = false;
	for (size_t i = 0; i < p->done_count; i++)
		told |= p->done[i].what == DONE_TOLD && p->done[i].number == number &&
			p->done[i].gen == b->gen && p->done[i].serial == b->serial;
	return told;
}

/* The hook knows, or was run. */
static bool hook_is_told(const struct publish *p, uint32_t number, uint64_t serial)
{
	bool told = false;
	for (size_t i = 0; i < p->tell_count; i++) {
		const struct tell *t = &p->tell[(p->tell_first + i) % HOOK_CHANGES_MAX];
		told |= t->number == number && t->serial == serial;
	}
	for (size_t i = 0; i < p->done_count; i++)
		told |= p->done[i].what == DONE_HOOKED && p->done[i].number == number &&
			p->done[i].serial == serial;
	return told;
}

/* The change is served and announced: the hook is next. */
static void tell_hook(struct publish *p, const struct owed *o)
{
	const struct done done = {DONE_HOOKED, o->number, 0, o->serial};
	if (!o->hook || hook_is_told(p, o->number, o->serial))
		return;
	if (!p->fs->cfg->on_change) {
		done_later(p, &done);
		return;
	}
	if (p->tell_count == HOOK_CHANGES_MAX) { /* the row stays, and is found again */
		p->walk_again = true;
		return;
	}
	p->tell[(p->tell_first + p->tell_count++) % HOOK_CHANGES_MAX] =
	    (struct tell){o->number, o->serial, ++p->sequence};
}

static int read_row(struct publish *p, uint32_t number, struct owed *o)
{
	struct txn *txn;
	struct error err;
	int r = db_read_begin(p->fs->db, &txn, &err);
	if (r < 0)
		return r;
	r = owed_get(txn, number, o, &err);
	db_read_end(txn);
	return r;
}

/* What was not announced stays in the row: for announce, when it is there again, or, when
 * its renames failed, for the next one or the next worker. */
static void job_end(struct publish *p, struct job *job)
{
	const struct job was = *job;
	bool announced = was.round == was.rounds;
	struct owed o;
	if (was.changed_serial)
		notify_domain(p->fs->notify, was.number, was.changed_serial, NULL);
	memset(job, 0, sizeof(*job));
	publish_show_jobs(p);
	if ((p->away && !announced) || read_row(p, was.number, &o) < 0)
		return;
	/* It has changed once more, or what failed was the switch. */
	if (o.serial != was.serial || (was.staged && !announced))
		publish_note(p, was.number);
	else
		tell_hook(p, &o);
}

/* Without announce: what is to be switched is switched in one transaction. */
static void switch_late(struct publish *p, struct job *const late[], size_t count)
{
	struct switching s[PUBLISH_JOBS];
	size_t staged = 0;
	struct error err;
	for (size_t i = 0; i < count; i++)
		if (!late[i]->switched)
			s[staged++] = (struct switching){.number = late[i]->number};
	if (staged > 0 && publish_switch_all(p->fs, s, staged, &err) < 0) {
		log_error(p->fs->lg, NULL,
			  "what was issued can't be served yet, tried again in %d s: %s",
			  STORE_TRY_MS / 1000, err.text);
		for (size_t i = 0; i < count; i++)
			late[i]->late_ms = fs_now_ms() + STORE_TRY_MS;
		return;
	}
	for (size_t i = 0, n = 0; i < count; i++) {
		if (!late[i]->switched)
			late[i]->changed_serial = s[n++].serial;
		job_end(p, late[i]);
	}
}

static void do_late(struct publish *p)
{
	struct job *late[PUBLISH_JOBS];
	size_t count = 0, waiting = 0;
	int64_t now_ms = fs_now_ms();
	for (size_t i = 0; i < PUBLISH_JOBS; i++) {
		struct job *job = &p->job[i];
		if (!job->number || job->late_ms > now_ms)
			continue;
		late[count++] = job;
		waiting += !job->over;
	}
	if (count == 0)
		return;
	if (waiting > 0 && !p->away)
		log_warning(p->fs->lg, NULL,
			    "the announce process does not get on: %zu change%s served "
			    "without it, watchers of files are told when it is back",
			    waiting, waiting == 1 ? " is" : "s are");
	p->away |= waiting > 0;
	switch_late(p, late, count);
}

/* In the last round all names are renamed; before, what somebody may hold. False: there is
 * nothing to rename any more. `o` is the row as it is now. */
static bool next_round(struct publish *p, struct job *job, const struct owed *o)
{
	for (; job->round < job->rounds; job->round++) {
		const struct owed_before *b = &job->before[job->round];
		bool last = job->round + 1 == job->rounds;
		job->files = last ? job->names : 0;
		for (size_t i = 0; i < o->count && !last; i++)
			if (o->before[i].gen == b->gen &&
			    o->before[i].serial == b->serial)
				job->files = o->before[i].held;
		if (job->files)
			break;
		told_later(p, job->number, b);
	}
	job->sent = false;
	job->sequence = ++p->sequence;
	job->late_ms = fs_now_ms() + (p->away ? 0 : LATE_MS);
	publish_show_jobs(p);
	return job->round < job->rounds;
}

/* One round for each generation that was not announced yet. */
static void take_rounds(struct publish *p, struct job *job, const struct owed *o,
			const struct current *c)
{
	for (size_t i = 0; i < o->count; i++)
		if (!is_told(p, o->number, &o->before[i]))
			job->before[job->rounds++] = o->before[i];
	/* What is staged is served from a rename on. */
	if (job->staged &&
	    (job->rounds == 0 || job->before[job->rounds - 1].gen != c->served)) {
		job->before[job->rounds++] = (struct owed_before){.gen = c->served};
		job->names = PUBLISH_FILES;
	}
}

/* A job for what is owed to a domain; `*o` is its row. */
static int job_begin(struct publish *p, struct txn *txn, const struct owed *o,
		     struct error *err)
{
	struct domain d;
	struct current c;
	struct job *job = job_of(p, 0);
	int r = domain_get(txn, o->number, &d, err);
	if (r == 0)
		r = current_get(txn, o->number, &c, err);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r < 0 || !d.installed || d.target) { /* nobody can watch it */
		const struct done done = {DONE_DROPPED, o->number, 0, o->serial};
		done_later(p, &done);
		return 0;
	}
	struct job made = {.number = o->number,
			   .gen = current_chosen(&c),
			   .serial = o->serial,
			   .names = o->names,
			   .staged = c.staged != 0,
			   .switched = c.staged == 0};
	take_rounds(p, &made, o, &c);
	/* The choice was taken back before anybody saw it. */
	if (!made.staged && made.rounds == 1 && made.before[0].gen == c.served) {
		told_later(p, o->number, &made.before[0]);
		made.rounds = 0;
	}
	if (made.rounds > 0 && !made.staged && p->away)
		return 0; /* announce makes up for it when it is back */
	memcpy(made.name, d.name.text, sizeof(made.name));
	if (made.rounds > 0 && next_round(p, &made, o)) {
		*job = made;
		publish_show_jobs(p);
	} else {
		tell_hook(p, o);
	}
	return 0;
}

/* The next domain to which something may be owed. */
static int next_row(struct publish *p, struct txn *txn, struct owed *o, struct error *err)
{
	while (p->noted_count > 0) {
		uint32_t number = p->noted[p->noted_first];
		p->noted_first = (p->noted_first + 1) % PUBLISH_NOTED;
		p->noted_count--;
		int r = job_of(p, number) ? -ENOENT : owed_get(txn, number, o, err);
		if (r != -ENOENT)
			return r;
	}
	while (p->walking) {
		int r = owed_next(txn, p->walk_from, o, err);
		p->walking = r == 0 && o->number < UINT32_MAX;
		if (r < 0)
			return r;
		p->walk_from = o->number + 1;
		if (!job_of(p, o->number))
			return 0;
	}
	return -ENOENT;
}

static bool has_rows(const struct publish *p)
{
	return p->noted_count > 0 || p->walking;
}

static void begin_jobs(struct publish *p)
{
	struct txn *txn;
	struct error err;
	struct owed o;
	if (!has_rows(p) || !job_of(p, 0) || db_read_begin(p->fs->db, &txn, &err) < 0)
		return;
	int r = 0;
	for (int i = 0; i < STEPS_MAX && r == 0 && job_of(p, 0) &&
			p->done_count + ROW_DONE_MAX <= PUBLISH_DONE_MAX;
	     i++) {
		r = next_row(p, txn, &o, &err);
		if (r == 0)
			r = job_begin(p, txn, &o, &err);
	}
	db_read_end(txn);
	if (r < 0 && r != -ENOENT)
		log_error(p->fs->lg, NULL, "what changed can't be told: %s", err.text);
}

/* To a new announce, or from a new worker: what is under way is said once more, and what the
 * one before was not there for is looked for. */
static void hello(struct publish *p)
{
	while (getrandom(&p->epoch, sizeof(p->epoch), 0) != (ssize_t)sizeof(p->epoch) ||
	       p->epoch == 0)
		continue;
	p->hello_sent = p->here = p->away = false;
	p->told = 0;
	for (size_t i = 0; i < PUBLISH_JOBS; i++)
		p->job[i].sent = false;
	walk(p);
}

/* False: there is no room for now. */
static bool send(struct publish *p, enum publish_type type, uint64_t sequence,
		 uint8_t files, const char *name)
{
	struct publish_message m = {
	    .type = type, .epoch = p->epoch, .sequence = sequence, .files = files};
	snprintf(m.text, sizeof(m.text), "%s", name);
	int r = publish_send(p->link_fd, &m);
	if (r < 0 && r != -EAGAIN)
		log_warning(p->fs->lg, NULL, "announce can't be told: %s", strerror(-r));
	p->full = r == -EAGAIN;
	return r == 0;
}

/* What the hook reloads may read on a read-only mount, and must not find the old one there. */
static bool send_changed(struct publish *p, struct txn *txn)
{
	const struct tell *t = &p->tell[(p->tell_first + p->told) % HOOK_CHANGES_MAX];
	struct domain d;
	struct error err;
	p->tell_ms = further_switch_ms(p->fs->further, txn, t->number);
	if (p->tell_ms)
		return false;
	/* Of one that was removed meanwhile nothing is said: it goes with the next. */
	if (domain_get(txn, t->number, &d, &err) == 0 &&
	    !send(p, PUBLISH_CHANGED, t->sequence, 0, d.name.text))
		return false;
	p->told++;
	return true;
}

static void flush(struct publish *p)
{
	struct txn *txn;
	struct error err;
	p->full = false;
	p->tell_ms = 0;
	if (!p->hello_sent)
		p->hello_sent = send(p, PUBLISH_HELLO, 0, 0, "");
	if (!p->here)
		return;
	for (size_t i = 0; i < PUBLISH_JOBS && !p->full; i++)
		if (p->job[i].number && !p->job[i].sent)
			p->job[i].sent = send(p, PUBLISH_NAMES, p->job[i].sequence,
					      p->job[i].files, p->job[i].name);
	if (p->told == p->tell_count || p->full ||
	    db_read_begin(p->fs->db, &txn, &err) < 0)
		return;
	while (p->told < p->tell_count && send_changed(p, txn))
		continue;
	db_read_end(txn);
}

/* False: nothing is left to be renamed, or to be known about it. */
static bool go_on(struct publish *p, struct job *job)
{
	struct owed o;
	told_later(p, job->number, &job->before[job->round++]);
	if (job->round == job->rounds)
		return false;
	int r = read_row(p, job->number, &o);
	return (r == 0 || r == -ENOENT) && next_round(p, job, &o);
}

static void on_done(struct publish *p, const struct publish_message *m)
{
	for (size_t i = 0; i < PUBLISH_JOBS; i++) {
		struct job *job = &p->job[i];
		if (!job->number || job->over || job->sequence != m->sequence)
			continue;
		if (m->result == 0 && go_on(p, job))
			return;
		if (m->result != 0)
			log_info(p->fs->lg, job->name,
				 "the names of %s could not be renamed: %s", job->name,
				 strerror((int)m->result));
		job->over = true;
		switch_late(p, &job, 1);
		return;
	}
}

static void on_hook(struct publish *p, const struct publish_message *m)
{
	while (p->told > 0 && p->tell[p->tell_first].sequence <= m->sequence) {
		const struct tell *t = &p->tell[p->tell_first];
		const struct done done = {DONE_HOOKED, t->number, 0, t->serial};
		done_later(p, &done);
		p->tell_first = (p->tell_first + 1) % HOOK_CHANGES_MAX;
		p->tell_count--;
		p->told--;
	}
	if (p->walk_again && p->tell_count == 0) {
		walk(p);
		p->walk_again = false;
	}
	p->hook_news = true;
	p->hook_failed = m->result != 0;
	snprintf(p->hook_text, sizeof(p->hook_text), "%.*s",
		 (int)sizeof(p->hook_text) - 1, m->text);
}

static void on_message(struct publish *p, const struct publish_message *m)
{
	p->heard = true;
	if (m->type == PUBLISH_HERE && m->epoch == 0) {
		hello(p); /* a new one */
		return;
	}
	if (m->epoch != p->epoch)
		return;
	if (p->away)
		walk(p);
	p->away = false;
	if (m->type == PUBLISH_HERE)
		p->here = true;
	else if (m->type == PUBLISH_DONE)
		on_done(p, m);
	else if (m->type == PUBLISH_HOOK)
		on_hook(p, m);
}

static void hear(struct publish *p)
{
	struct publish_message m;
	struct error err;
	int r;
	while ((r = publish_receive(p->link_fd, &m, &err)) > 0)
		on_message(p, &m);
	if (err.code)
		log_warning(p->fs->lg, NULL, "from announce: %s", err.text);
	if (r < 0)
		p->closed = true;
}

short publish_events(const struct publish *p)
{
	return p->closed ? 0 : (short)(POLLIN | (p->full ? POLLOUT : 0));
}

int publish_next_ms(const struct publish *p)
{
	int64_t next_ms = -1, now_ms = fs_now_ms();
	bool room = false;
	for (size_t i = 0; i < PUBLISH_JOBS; i++) {
		room |= p->job[i].number == 0;
		if (!p->job[i].number)
			continue;
		int64_t left = p->job[i].late_ms - now_ms;
		if (next_ms < 0 || left < next_ms)
			next_ms = left < 0 ? 0 : left;
	}
	if (p->tell_ms && (next_ms < 0 || p->tell_ms - now_ms < next_ms))
		next_ms = p->tell_ms > now_ms ? p->tell_ms - now_ms : 0;
	return room && has_rows(p) ? 0 : (int)next_ms;
}

static bool is_idle(struct publish *p)
{
	for (size_t i = 0; i < PUBLISH_JOBS; i++)
		if (p->job[i].number)
			return false;
	return !has_rows(p);
}

void publish_run(struct publish *p, short revents)
{
	if (revents && !p->closed)
		hear(p);
	do_late(p);
	begin_jobs(p);
	if (!p->closed)
		flush(p);
	if (is_idle(p) || p->hook_news || p->done_count >= PUBLISH_DONE_MAX / 2)
		publish_commit(p);
	note_owing(p);
}

int publish_open(struct fs *fs, int link_fd, struct error *err)
{
	struct publish *p = calloc(1, sizeof(*p));
	if (!p)
		return error_set(err, ENOMEM, "no memory to publish");
	p->fs = fs;
	p->link_fd = link_fd;
	p->closed = link_fd < 0;
	pthread_mutex_init(&p->lock, NULL);
	atomic_store(slots_announce_owes_ns(fs->slots), 0);
	hello(p);
	fs->publish = p;
	return 0;
}

void publish_close(struct publish *p)
{
	if (!p)
		return;
	pthread_mutex_destroy(&p->lock);
	free(p);
}
