/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/notify.h"
#include "fs/publish_internal.h"
#include "store/event.h"
#include "store/generation.h"
#include "store/hook_failure.h"
#include "store/owed.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PLACEHOLDER ".next."

struct line {
	char text[600];
};

/* One domain; `only` is the generation that may be switched to, 0: whichever is staged.
 */
static int switch_in(struct fs *fs, struct txn *txn, uint32_t number, uint32_t only,
		     uint64_t *serial, struct error *err)
{
	struct current c;
	struct domain d;
	struct generation g;
	struct line line;
	int64_t now_s = clock_now_s(fs->clk);
	int r = current_get(txn, number, &c, err);
	*serial = 0;
	if (r < 0 || !c.staged || (only && c.staged != only))
		return r;
	r = domain_get(txn, number, &d, err);
	if (r == 0)
		r = generation_get(txn, number, c.staged, &g, err);
	if (r < 0)
		return r;
	generation_describe(&g, d.name.text, line.text, sizeof(line.text));
	d.changed_s = now_s;
	r = current_switch(txn, number, serial, err);
	if (r == 0)
		r = domain_put(txn, &d, err);
	if (r == 0)
		r = event_add(txn, EVENT_SERVES, number, now_s, err, "%s", line.text);
	return r;
}

/* After the commit. */
static void log_served(struct fs *fs, uint32_t number)
{
	struct current c;
	struct domain d;
	struct generation g;
	struct line line;
	struct txn *txn;
	struct error err;
	if (db_read_begin(fs->db, &txn, &err) < 0)
		return;
	int r = domain_get(txn, number, &d, &err);
	if (r == 0)
		r = current_get(txn, number, &c, &err);
	if (r == 0)
		r = generation_get(txn, number, c.served, &g, &err);
	db_read_end(txn);
	if (r < 0)
		return;
	generation_describe(&g, d.name.text, line.text, sizeof(line.text));
	log_notice(fs->lg, d.name.text, "%s gen=%u", line.text, g.gen);
}

struct all {
	struct fs *fs;
	struct switching *s;
	size_t count;
};

static int all_in(struct txn *txn, void *arg, struct error *err)
{
	const struct all *a = arg;
	int r = 0;
	for (size_t i = 0; i < a->count && r == 0; i++)
		r = switch_in(a->fs, txn, a->s[i].number, 0, &a->s[i].serial, err);
	return r;
}

int publish_switch_all(struct fs *fs, struct switching *s, size_t count,
		       struct error *err)
{
	struct all a = {.fs = fs, .s = s, .count = count};
	int r = db_update(fs->db, all_in, &a, err);
	for (size_t i = 0; i < count && r == 0; i++)
		if (s[i].serial)
			log_served(fs, s[i].number);
	return r;
}

static int hook_in(struct publish *p, struct txn *txn, struct error *err)
{
	struct hook_failure f = {.at_s = clock_now_s(p->fs->clk)};
	struct error none;
	if (!p->hook_failed)
		return hook_failure_get(txn, &f, &none) == 0
			   ? hook_failure_clear(txn, err)
			   : 0;
	memcpy(f.text, p->hook_text, sizeof(f.text));
	int r = hook_failure_put(txn, &f, err);
	return r < 0 ? r
		     : event_add(txn, EVENT_HOOK, 0, f.at_s, err,
				 "the on-change hook failed: %s", f.text);
}

static int commit_in(struct txn *txn, void *arg, struct error *err)
{
	struct publish *p = arg;
	int r = p->hook_news ? hook_in(p, txn, err) : 0;
	for (size_t i = 0; i < p->done_count && r == 0; i++) {
		const struct done *d = &p->done[i];
		if (d->what == DONE_TOLD)
			r = owed_told(txn, d->number, d->gen, d->serial, err);
		else if (d->what == DONE_HOOKED)
			r = owed_hooked(txn, d->number, d->serial, err);
		else
			r = owed_drop(txn, d->number, d->serial, err);
	}
	return r;
}

void publish_commit(struct publish *p)
{
	struct error err;
	if (p->done_count == 0 && !p->hook_news)
		return;
	/* What stays is told once more by the next worker. */
	if (db_update(p->fs->db, commit_in, p, &err) < 0)
		log_warning(p->fs->lg, NULL, "what was announced can't be noted: %s",
			    err.text);
	p->done_count = 0;
	p->hook_news = false;
}

/* Announce's requests */

static bool is_announce(struct fs *fs, pid_t pid)
{
	return pid > 0 && pid == atomic_load(slots_announce_pid(fs->slots));
}

/* All 0 when no publish of the domain is under way. */
static struct shown shown_of(struct publish *p, uint32_t number)
{
	struct shown shown = {.number = 0};
	if (atomic_load(&p->shown_count) == 0)
		return shown;
	pthread_mutex_lock(&p->lock);
	for (unsigned i = 0; i < p->shown_count; i++)
		if (p->shown[i].number == number)
			shown = p->shown[i];
	pthread_mutex_unlock(&p->lock);
	return shown;
}

static bool is_placeholder(const char *name)
{
	return strncmp(name, PLACEHOLDER, strlen(PLACEHOLDER)) == 0;
}

static enum file_kind placeholder_of(const char *name)
{
	return is_placeholder(name) ? file_kind_of(name + strlen(PLACEHOLDER))
				    : FILE_KINDS;
}

bool publish_finds(struct fs *fs, pid_t pid, const struct node *dir, struct txn *txn,
		   const char *name, uint64_t *id, int *r, struct error *err)
{
	struct generation g;
	enum file_kind next = placeholder_of(name), kind = file_kind_of(name);
	if (dir->kind != NODE_DIR || dir->number == 0 || !is_announce(fs, pid) ||
	    (!is_placeholder(name) && kind == FILE_KINDS))
		return false;
	const struct shown shown = shown_of(fs->publish, dir->number);
	bool under_way = shown.number != 0;
	if (!is_placeholder(name)) {
		if (!under_way)
			return false;
		/* The one before may have been pruned. */
		bool kept = generation_get(txn, dir->number, shown.before, &g, err) == 0;
		*id = node_file(dir->number, kept ? shown.before : shown.gen, kind);
		*r = 0;
		return true;
	}
	*r = under_way && next != FILE_KINDS
		 ? 0
		 : error_set(err, ENOENT, "nothing is published as %s", name);
	if (*r == 0)
		*id = node_file(dir->number, shown.gen, next) | NODE_ALIAS_BIT;
	return true;
}

void publish_shorten(struct fs *fs, const struct node *dir,
		     struct fuse_entry_param *entry)
{
	struct node n;
	if (node_of(entry->ino, &n) && n.kind == NODE_FILE &&
	    (n.alias || shown_of(fs->publish, dir->number).number))
		entry->entry_timeout = 0;
}

static int do_rename(struct item *item, struct txn *txn, struct error *err)
{
	struct publish *p = item->fs->publish;
	struct current c;
	uint64_t serial;
	uint32_t gen = 0;
	for (size_t i = 0; i < PUBLISH_JOBS; i++)
		if (p->job[i].number == item->number)
			gen = p->job[i].gen;
	item->publish_serial = 0;
	int r = switch_in(item->fs, txn, item->number, gen, &serial, err);
	if (r == 0)
		r = current_get(txn, item->number, &c, err);
	if (r == 0 && gen && c.served != gen)
		r = error_set(err, ENOENT, "generation %u was overtaken", gen);
	item->publish_serial = r == 0 ? serial : 0;
	return r;
}

/* The caches are told once all names were renamed: until then the entries are what the
 * next renames overwrite, and who opens one of them is sent to the new generation
 * (file.h). */
static void renamed(struct item *item)
{
	struct fs *fs = item->fs;
	struct publish *p = fs->publish;
	bool found = false;
	if (item->publish_serial)
		log_served(fs, item->number);
	for (size_t i = 0; i < PUBLISH_JOBS && item->publish_serial; i++) {
		if (p->job[i].number != item->number)
			continue;
		found = true;
		p->job[i].switched = true;
		p->job[i].changed_serial = item->publish_serial;
	}
	if (item->publish_serial && !found) /* told to announce by the worker before */
		notify_domain(fs->notify, item->number, item->publish_serial, NULL);
	if (found)
		publish_show_jobs(p);
	fuse_reply_err(item->req, 0);
}

bool publish_rename(fuse_req_t req, uint32_t number, const char *name,
		    const char *new_name)
{
	struct fs *fs = fs_of(req);
	enum file_kind kind = placeholder_of(name);
	if (!is_announce(fs, fuse_req_ctx(req)->pid))
		return false;
	if (kind == FILE_KINDS || strcmp(new_name, file_name[kind]) != 0) {
		fuse_reply_err(req, EPERM); /* it has no other business here */
		return true;
	}
	/* All but the first one change nothing in the store. */
	if (shown_of(fs->publish, number).switched) {
		fuse_reply_err(req, 0);
		return true;
	}
	struct item *item = work_item(fs, req, do_rename);
	if (!item)
		return true;
	item->number = number;
	item->kind = kind;
	item->reply = renamed;
	work_submit(item);
	return true;
}
