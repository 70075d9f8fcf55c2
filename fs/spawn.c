/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

_Static_assert(sizeof(struct error) <= PIPE_BUF, "a reason is one write");

/* NOTIFY_SOCKET is left out on purpose: the supervisor alone speaks for the service. */
static const char *const kept[] = {
    "PATH=",         "LANG=",         "TZ=",           "JOURNAL_STREAM=",
    "ASAN_OPTIONS=", "LSAN_OPTIONS=", "UBSAN_OPTIONS="};

static bool is_kept(const char *item)
{
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (strncmp(item, kept[i], strlen(kept[i])) == 0)
			return true;
	return strncmp(item, "CERTFS_", strlen("CERTFS_")) == 0;
}

/* Given twice, the name's later value counts. */
static void take(struct spawn_env *env, char *item)
{
	size_t name = strcspn(item, "=") + 1;
	for (size_t i = 0; i < env->count; i++) {
		if (strncmp(env->item[i], item, name) != 0)
			continue;
		free(env->item[i]);
		env->item[i] = item;
		return;
	}
	env->item[env->count++] = item;
}

int spawn_env_add(struct spawn_env *env, struct error *err, const char *format, ...)
{
	char *item = NULL;
	va_list args;
	va_start(args, format);
	int length = vasprintf(&item, format, args);
	va_end(args);
	if (length < 0)
		return error_set(err, ENOMEM, "out of memory");
	if (env->count >= SPAWN_ENV_MAX) {
		free(item);
		return error_set(err, E2BIG, "more than %d CERTFS_ variables are set",
				 SPAWN_ENV_MAX);
	}
	take(env, item);
	return 0;
}

int spawn_env_init(struct spawn_env *env, struct error *err)
{
	int rc = 0;
	memset(env, 0, sizeof(*env));
	for (char **item = environ; rc == 0 && item && *item; item++)
		if (is_kept(*item))
			rc = spawn_env_add(env, err, "%s", *item);
	if (rc < 0)
		spawn_env_clear(env);
	return rc;
}

void spawn_env_clear(struct spawn_env *env)
{
	for (size_t i = 0; i < env->count; i++)
		free(env->item[i]);
	memset(env, 0, sizeof(*env));
}

/* A descriptor that is wanted at 5 may sit at 6 and the one for 6 at 5: all are first
 * taken out of the range. */
static bool place_fds(const struct spawn *s)
{
	int high[SPAWN_FDS_MAX];
	for (size_t i = 0; i < s->fds; i++) {
		high[i] = -1;
		if (s->fd[i] < 0)
			continue;
		high[i] =
		    fcntl(s->fd[i], F_DUPFD_CLOEXEC, SPAWN_FIRST_FD + SPAWN_FDS_MAX);
		if (high[i] < 0)
			return false;
	}
	/* Whatever came from outside without the flag. */
	close_range(SPAWN_FIRST_FD, ~0U, CLOSE_RANGE_CLOEXEC);
	for (size_t i = 0; i < s->fds; i++)
		if (high[i] >= 0 && dup2(high[i], SPAWN_FIRST_FD + (int)i) < 0)
			return false;
	return true;
}

static void in_child(const struct spawn *s)
{
	sigset_t mask;
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	setpgid(0, 0);
	int reason_fd =
	    fcntl(s->reason_fd, F_DUPFD_CLOEXEC, SPAWN_FIRST_FD + SPAWN_FDS_MAX);
	char *const argv[] = {(char *)(uintptr_t)s->title, NULL};
	if (place_fds(s)) {
		execve(s->binary, argv, s->env.item);
		if (!s->only_absent || errno == ENOENT)
			execve("/proc/self/exe", argv, s->env.item);
	}
	struct error err;
	if (error_set(&err, errno, "cannot start %s: %s", s->binary, strerror(errno)) < 0)
		reason_write(reason_fd, &err);
	_exit(EX_OSERR);
}

int spawn_worker(const struct spawn *s, pid_t *pid, int *pidfd, struct error *err)
{
	pid_t made = fork();
	if (made < 0)
		return error_set(err, errno, "cannot start a process: %s",
				 strerror(errno));
	if (made == 0)
		in_child(s);
	long fd = syscall(SYS_pidfd_open, made, 0);
	if (fd < 0) {
		int rc = error_set(err, errno, "pidfd_open: %s", strerror(errno));
		kill(made, SIGKILL);
		waitpid(made, NULL, 0);
		return rc;
	}
	*pid = made;
	*pidfd = (int)fd;
	return 0;
}

void reason_write(int fd, const struct error *why)
{
	while (write(fd, why, sizeof(*why)) < 0 && errno == EINTR)
		continue;
}

bool reason_read(int fd, struct error *why)
{
	ssize_t got;
	do
		got = read(fd, why, sizeof(*why));
	while (got < 0 && errno == EINTR);
	if (got != (ssize_t)sizeof(*why))
		return false;
	why->text[sizeof(why->text) - 1] = '\0';
	if (why->code <= 0 || why->code >= 4096)
		why->code = EPROTO;
	return true;
}
