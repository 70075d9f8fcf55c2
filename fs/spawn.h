/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* spawn: the supervisor's fork(2) and exec(2), and the pipe on which a worker that can't
 * serve says why.
 *
 * A worker is the binary that is on disk now, so that the next one after an update is the
 * new one. It inherits what `struct spawn` names, by number, and nothing else: no
 * descriptor, no variable of the environment but those of a short list and CERTFS_*. */
#ifndef CERTFS_FS_SPAWN_H
#define CERTFS_FS_SPAWN_H

#include "store/config.h"
#include "store/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define SPAWN_FIRST_FD 3
#define SPAWN_FDS_MAX  (8 + 32) /* 16 listening sockets, or 16 mounts */
#define SPAWN_ENV_MAX  64

/* What a worker's environment keeps of ours, and what is added to it. */
struct spawn_env {
	char *item[SPAWN_ENV_MAX + 1];
	size_t count;
};
/* spawn_env_clear() frees; it is cleared already after a failure. E2BIG, ENOMEM. */
int spawn_env_init(struct spawn_env *env, struct error *err);
/* "NAME=VALUE"; a name that is there already gets the new value. */
int spawn_env_add(struct spawn_env *env, struct error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void spawn_env_clear(struct spawn_env *env);

struct spawn {
	const char *binary; /* where it can't be run, the one that runs now */
	bool only_absent;   /* that only where it is gone */
	const char *title;  /* argv[0] */
	struct spawn_env env;
	int fd[SPAWN_FDS_MAX]; /* fd[i] becomes 3 + i; -1: nothing there */
	size_t fds;
	int reason_fd; /* among them: where a failed exec(2) says so */
};

/* Starts the worker in a process group of its own (a terminal's Ctrl-C is for the
 * supervisor) with SIGTERM blocked. *pidfd is the caller's to close. When exec(2) fails
 * the worker ends with EX_OSERR, and its reason is in the pipe. */
int spawn_worker(const struct spawn *s, pid_t *pid, int *pidfd, struct error *err);

/* Into a pipe, in one write; out of its end, which is non-blocking. False: nothing was
 * there. What comes out is a worker's word: bounded, and terminated, whatever was
 * written. */
void reason_write(int fd, const struct error *why);
bool reason_read(int fd, struct error *why);

#endif
