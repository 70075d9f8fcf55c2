/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/scratch.h"

#include "fs/node.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define NAME_BYTES 256
#define SERIAL_MAX 0xffffffu /* the room in a node id */

struct file {
	bool taken;
	struct scratch_info info;
	uint32_t payer; /* who made it */
	char name[NAME_BYTES];
	int64_t used_s;
	struct secret *content;
};

struct scratch {
	pthread_mutex_t lock;
	uint32_t last_serial;
	_Atomic int64_t look_s; /* nothing expires before; 0: there is nothing */
	struct file file[SCRATCH_FILES];
};

int scratch_new(struct scratch **result, struct error *err)
{
	struct scratch *s = calloc(1, sizeof(*s));
	if (!s)
		return error_set(err, ENOMEM, "no memory for scratch files");
	/* Node ids of a dead worker's files must not become those of this one's. */
	if (getrandom(&s->last_serial, sizeof(s->last_serial), 0) < 0) {
		free(s);
		return error_set(err, errno, "getrandom: %s", strerror(errno));
	}
	pthread_mutex_init(&s->lock, NULL);
	*result = s;
	return 0;
}

static void drop(struct file *f)
{
	secret_free(f->content);
	memset(f, 0, sizeof(*f));
}

void scratch_free(struct scratch *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < SCRATCH_FILES; i++)
		if (s->file[i].taken)
			drop(&s->file[i]);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static struct file *by_name(struct scratch *s, uint64_t dir, const char *name)
{
	for (size_t i = 0; i < SCRATCH_FILES; i++) {
		struct file *f = &s->file[i];
		if (f->taken && f->info.dir == dir && strcmp(f->name, name) == 0)
			return f;
	}
	return NULL;
}

static struct file *by_serial(struct scratch *s, uint32_t serial)
{
	for (size_t i = 0; i < SCRATCH_FILES; i++)
		if (s->file[i].taken && s->file[i].info.serial == serial)
			return &s->file[i];
	return NULL;
}

/* What one user has, or all but root together. */
struct share {
	size_t bytes, files, here;
};

static void count(const struct scratch *s, uint32_t uid, uint64_t dir, struct share *own,
		  struct share *users)
{
	*own = *users = (struct share){0};
	for (size_t i = 0; i < SCRATCH_FILES; i++) {
		const struct file *f = &s->file[i];
		if (f->taken && f->payer != 0) {
			users->bytes += f->info.size;
			users->files++;
		}
		if (f->taken && f->payer == uid) {
			own->bytes += f->info.size;
			own->files++;
			own->here += f->info.dir == dir;
		}
	}
}

static int place(struct scratch *s, uint32_t uid, uint64_t dir, struct file **free_place,
		 struct error *err)
{
	const unsigned most = uid == 0 ? SCRATCH_ROOT_FILES : SCRATCH_USER_FILES;
	struct share own, users;
	count(s, uid, dir, &own, &users);
	if (own.here >= SCRATCH_DIR_MAX)
		return error_set(err, EDQUOT,
				 "a directory holds at most %u files of other names of "
				 "one user",
				 SCRATCH_DIR_MAX);
	if (own.files >= most)
		return error_set(err, EDQUOT,
				 "uid %u has %u scratch files already, and no more are "
				 "kept for one user",
				 uid, most);
	if (uid != 0 && users.files >= SCRATCH_FILES - SCRATCH_ROOT_FILES)
		return error_set(err, ENOSPC, "users have %zu scratch files already",
				 users.files);
	*free_place = s->file;
	while ((*free_place)->taken)
		(*free_place)++;
	return 0;
}

/* A live file's serial is its inode: no two have the same, however many there were. */
static uint32_t new_serial(struct scratch *s)
{
	do {
		s->last_serial = s->last_serial % SERIAL_MAX + 1;
	} while (by_serial(s, s->last_serial));
	return s->last_serial;
}

/* The folder that `dir` is; NULL: it is a directory that is always there, or gone. */
static struct file *folder(struct scratch *s, uint64_t dir)
{
	struct node n;
	struct file *f =
	    node_of(dir, &n) && n.kind == NODE_SCRATCH_DIR ? by_serial(s, n.gen) : NULL;
	return f && scratch_node(&f->info) == dir ? f : NULL;
}

static bool is_folder(uint64_t dir)
{
	struct node n;
	return node_of(dir, &n) && n.kind == NODE_SCRATCH_DIR;
}

/* A folder is used when something in it is. */
static void use(struct scratch *s, struct file *f, int64_t now_s)
{
	struct file *in = folder(s, f->info.dir);
	f->used_s = now_s;
	if (in)
		in->used_s = now_s;
	if (s->look_s == 0)
		s->look_s = now_s + SCRATCH_IDLE_S + 1;
}

static int may_create(struct scratch *s, const char *name,
		      const struct scratch_info *info, struct error *err)
{
	if (strlen(name) >= NAME_BYTES)
		return error_set(err, ENAMETOOLONG, "a name has at most %d bytes",
				 NAME_BYTES - 1);
	if (by_name(s, info->dir, name))
		return error_set(err, EEXIST, "%s exists", name);
	if (!is_folder(info->dir))
		return 0;
	if (!folder(s, info->dir))
		return error_set(err, ENOENT, "%s: its folder is gone", name);
	if (info->kind != SCRATCH_FILE)
		return error_set(err, EPERM, "%s: a scratch folder has files only", name);
	return 0;
}

int scratch_create(struct scratch *s, const char *name, uint32_t payer, int64_t now_s,
		   struct scratch_info *info, struct error *err)
{
	struct file *f = NULL;
	pthread_mutex_lock(&s->lock);
	int r = may_create(s, name, info, err);
	if (r == 0)
		r = place(s, payer, info->dir, &f, err);
	if (r == 0) {
		f->info = (struct scratch_info){.dir = info->dir,
						.serial = new_serial(s),
						.kind = info->kind,
						.target = info->target,
						.uid = info->uid,
						.gid = info->gid,
						.mode = info->mode & 0777,
						.mtime_s = now_s};
		f->taken = true;
		f->payer = payer;
		memcpy(f->name, name, strlen(name) + 1);
		use(s, f, now_s);
		*info = f->info;
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

uint64_t scratch_node(const struct scratch_info *info)
{
	static const enum node_kind kind[] = {[SCRATCH_FILE] = NODE_SCRATCH,
					      [SCRATCH_FOLDER] = NODE_SCRATCH_DIR,
					      [SCRATCH_LINK] = NODE_SCRATCH_LINK};
	struct node n = {0};
	node_of(info->dir, &n);
	return node_id(n.number, info->serial, kind[info->kind]);
}

bool scratch_find(struct scratch *s, uint64_t dir, const char *name,
		  struct scratch_info *info)
{
	pthread_mutex_lock(&s->lock);
	struct file *f = by_name(s, dir, name);
	if (f)
		*info = f->info;
	pthread_mutex_unlock(&s->lock);
	return f;
}

bool scratch_info(struct scratch *s, uint32_t serial, struct scratch_info *info)
{
	pthread_mutex_lock(&s->lock);
	struct file *f = by_serial(s, serial);
	if (f)
		*info = f->info;
	pthread_mutex_unlock(&s->lock);
	return f;
}

bool scratch_set(struct scratch *s, const struct scratch_info *info)
{
	pthread_mutex_lock(&s->lock);
	struct file *f = by_serial(s, info->serial);
	if (f) {
		size_t size = f->info.size;
		f->info = *info;
		f->info.size = size;
	}
	pthread_mutex_unlock(&s->lock);
	return f;
}

static int may_grow(const struct scratch *s, const struct file *f, size_t by)
{
	struct share own, users;
	count(s, f->payer, f->info.dir, &own, &users);
	if (own.bytes + by > (f->payer == 0 ? SCRATCH_ROOT_MAX : SCRATCH_USER_MAX))
		return -EDQUOT;
	if (f->payer != 0 && users.bytes + by > SCRATCH_TOTAL_MAX - SCRATCH_ROOT_MAX)
		return -ENOSPC;
	return 0;
}

/* What is cut off takes no memory any more: none that nobody counts. */
static int shrink(struct file *f, size_t size)
{
	struct secret *less = secret_copy(secret_data(f->content), size);
	if (!less)
		return -ENOMEM;
	secret_free(f->content);
	f->content = less;
	return 0;
}

static int resize(struct scratch *s, struct file *f, uint64_t size)
{
	size_t old = f->info.size;
	int r = 0;
	if (size > SCRATCH_FILE_MAX)
		return -EFBIG;
	if (size > old)
		r = may_grow(s, f, (size_t)size - old);
	if (r == 0)
		r = size < old ? shrink(f, (size_t)size)
			       : secret_grow(&f->content, (size_t)size);
	if (r < 0)
		return r;
	secret_resize(f->content, (size_t)size);
	f->info.size = (size_t)size;
	return 0;
}

int scratch_resize(struct scratch *s, uint32_t serial, uint64_t size, int64_t now_s)
{
	pthread_mutex_lock(&s->lock);
	struct file *f = by_serial(s, serial);
	int r = f ? resize(s, f, size) : -ENOENT;
	if (r == 0) {
		f->info.mtime_s = now_s;
		use(s, f, now_s);
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

int scratch_write(struct scratch *s, uint32_t serial, const void *data, size_t size,
		  uint64_t offset, int64_t now_s)
{
	int r = 0;
	pthread_mutex_lock(&s->lock);
	struct file *f = by_serial(s, serial);
	if (!f)
		r = -ENOENT;
	else if (offset > SCRATCH_FILE_MAX || size > SCRATCH_FILE_MAX - offset)
		r = -EFBIG;
	else if (offset + size > f->info.size)
		r = resize(s, f, offset + size);
	if (r == 0 && size > 0)
		memcpy(secret_room(f->content) + offset, data, size);
	if (r == 0) {
		f->info.mtime_s = now_s;
		use(s, f, now_s);
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

struct secret *scratch_content(struct scratch *s, uint32_t serial)
{
	pthread_mutex_lock(&s->lock);
	struct file *f = by_serial(s, serial);
	struct secret *copy = !f ? NULL
			      : f->content
				  ? secret_copy(secret_data(f->content), f->info.size)
				  : secret_new(0);
	pthread_mutex_unlock(&s->lock);
	return copy;
}

static bool has_files(const struct scratch *s, const struct file *f)
{
	const uint64_t dir = scratch_node(&f->info);
	bool has = false;
	for (size_t i = 0; i < SCRATCH_FILES; i++)
		has |= s->file[i].taken && s->file[i].info.dir == dir;
	return has;
}

static int removable(const struct scratch *s, const struct file *f, bool as_folder)
{
	bool is = f->info.kind == SCRATCH_FOLDER;
	if (is != as_folder)
		return is ? -EISDIR : -ENOTDIR;
	return is && has_files(s, f) ? -ENOTEMPTY : 0;
}

static int remove_named(struct scratch *s, uint64_t dir, const char *name, bool as_folder)
{
	pthread_mutex_lock(&s->lock);
	struct file *f = by_name(s, dir, name);
	int r = f ? removable(s, f, as_folder) : -ENOENT;
	if (r == 0)
		drop(f);
	pthread_mutex_unlock(&s->lock);
	return r;
}

int scratch_unlink(struct scratch *s, uint64_t dir, const char *name)
{
	return remove_named(s, dir, name, false);
}

int scratch_rmdir(struct scratch *s, uint64_t dir, const char *name)
{
	return remove_named(s, dir, name, true);
}

void scratch_remove_serial(struct scratch *s, uint32_t serial)
{
	pthread_mutex_lock(&s->lock);
	struct file *f = by_serial(s, serial);
	if (f)
		drop(f);
	pthread_mutex_unlock(&s->lock);
}

static int may_rename(const struct scratch *s, const struct file *f, uint64_t new_dir,
		      const struct file *over)
{
	if (!f)
		return -ENOENT;
	if (f->info.kind == SCRATCH_FOLDER && is_folder(new_dir))
		return -EPERM;
	return over && over != f ? removable(s, over, f->info.kind == SCRATCH_FOLDER) : 0;
}

int scratch_rename(struct scratch *s, uint64_t dir, const char *name, uint64_t new_dir,
		   const char *new_name, int64_t now_s)
{
	if (strlen(new_name) >= NAME_BYTES)
		return -ENAMETOOLONG;
	pthread_mutex_lock(&s->lock);
	struct file *f = by_name(s, dir, name), *over = by_name(s, new_dir, new_name);
	int r = is_folder(new_dir) && !folder(s, new_dir)
		    ? -ENOENT
		    : may_rename(s, f, new_dir, over);
	if (r == 0) {
		if (over && over != f)
			drop(over);
		memcpy(f->name, new_name, strlen(new_name) + 1);
		f->info.dir = new_dir;
		use(s, f, now_s);
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

bool scratch_visible(const struct scratch_info *info, uint32_t uid)
{
	return uid == 0 || uid == info->uid;
}

bool scratch_list(struct scratch *s, uint64_t dir, size_t index, char *name, size_t room,
		  struct scratch_info *info)
{
	bool found = false;
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < SCRATCH_FILES && !found; i++) {
		struct file *f = &s->file[i];
		if (!f->taken || f->info.dir != dir || index-- > 0)
			continue;
		snprintf(name, room, "%s", f->name);
		*info = f->info;
		found = true;
	}
	pthread_mutex_unlock(&s->lock);
	return found;
}

void scratch_drop(struct scratch *s, uint32_t number)
{
	struct node n;
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < SCRATCH_FILES; i++)
		if (s->file[i].taken && node_of(s->file[i].info.dir, &n) &&
		    n.number == number)
			drop(&s->file[i]);
	pthread_mutex_unlock(&s->lock);
}

/* Folders after what is in them: no file is ever in a folder that is gone. */
static void expire(struct scratch *s, int64_t now_s, bool folders)
{
	for (size_t i = 0; i < SCRATCH_FILES; i++) {
		struct file *f = &s->file[i];
		if (f->taken && now_s - f->used_s > SCRATCH_IDLE_S &&
		    (f->info.kind == SCRATCH_FOLDER) == folders &&
		    !(folders && has_files(s, f)))
			drop(f);
	}
}

/* A clock that was set back may leave a folder older than what is in it: it is looked at
 * again then, but not at once. */
static int64_t next_look_s(const struct scratch *s, int64_t now_s)
{
	int64_t next_s = 0;
	for (size_t i = 0; i < SCRATCH_FILES; i++) {
		int64_t end_s = s->file[i].used_s + SCRATCH_IDLE_S + 1;
		if (s->file[i].taken && (next_s == 0 || end_s < next_s))
			next_s = end_s;
	}
	return next_s != 0 && next_s <= now_s ? now_s + 1 : next_s;
}

void scratch_expire(struct scratch *s, int64_t now_s)
{
	if (now_s < s->look_s || s->look_s == 0)
		return;
	pthread_mutex_lock(&s->lock);
	expire(s, now_s, false);
	expire(s, now_s, true);
	s->look_s = next_look_s(s, now_s);
	pthread_mutex_unlock(&s->lock);
}

int scratch_wait_ms(const struct scratch *s, int64_t now_s)
{
	int64_t look_s = s->look_s, left_s = look_s - now_s;
	if (look_s == 0)
		return -1;
	return (int)(left_s < 0                ? 0
		     : left_s > SCRATCH_IDLE_S ? SCRATCH_IDLE_S
					       : left_s) *
	       1000;
}
