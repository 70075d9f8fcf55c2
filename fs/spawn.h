/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* spawn: the supervisor's fork(2) and exec(2), and the pipe on which a worker that can't
 * serve says why. */
#ifndef CERTFS_FS_SPAWN_H
#define CERTFS_FS_SPAWN_H

#include "store/config.h"
#include "store/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define SPAWN_FIRST_FD 3
#define SPAWN_FDS_MAX  (8 + CONFIG_LIST_MAX)
#define SPAWN_ENV_MAX  64

/* What a worker's environment keeps of ours, and what is added to it. */
struct spawn_env {
	char *item[SPAWN_ENV_MAX + 1];
	size_t count;
};
int spawn_env_init(struct spawn_env *env, struct error *err);
int spawn_env_add(struct spawn_env *env, struct error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void spawn_env_clear(struct spawn_env *env);

struct spawn {
	const char *binary; /* when it is gone, the one that runs now */
	const char *title;  /* argv[0] */
	struct spawn_env env;
	int fd[SPAWN_FDS_MAX]; /* fd[i] becomes 3 + i; -1: nothing there */
	size_t fds;
	int reason_fd; /* among them: where a failed exec(2) says so */
};

/* Starts the worker in a process group of its own (a terminal's Ctrl-C is for the
 * supervisor) with SIGTERM blocked. */
int spawn_worker(const struct spawn *s, pid_t *pid, int *pidfd, struct error *err);

/* Into a pipe, in one write; out of it, without waiting. False: nothing was there. */
void reason_write(int fd, const struct error *why);
bool reason_read(int fd, struct error *why);

#endif
