/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/remains.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST_NS    UINT64_C(1000000)
#define STAT_MAX    1024
#define NUM_THREADS 20 /* fields of /proc/PID/stat, as proc(5) counts them */
#define EXIT_CODE   52

struct task {
	char name[16];
	char state;
	unsigned long threads;
	int exit_code; /* as wait(2) gives it */
};

/* The name may hold brackets and spaces itself. */
static bool parse(char *text, struct task *t)
{
	char *name = strchr(text, '('), *end = strrchr(text, ')'), *rest = NULL;
	if (!name || !end || end < name)
		return false;
	*end = '\0';
	snprintf(t->name, sizeof(t->name), "%s", name + 1);
	int field = 3;
	for (char *word = strtok_r(end + 1, " \n", &rest); word;
	     word = strtok_r(NULL, " \n", &rest), field++) {
		if (field == 3)
			t->state = *word;
		else if (field == NUM_THREADS)
			t->threads = strtoul(word, NULL, 10);
		else if (field == EXIT_CODE)
			t->exit_code = (int)strtol(word, NULL, 10);
	}
	return field > EXIT_CODE;
}

static bool read_task(int dir, const char *id, struct task *t)
{
	char path[300], text[STAT_MAX];
	snprintf(path, sizeof(path), "%s/stat", id);
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t got = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[got > 0 ? got : 0] = '\0';
	return parse(text, t);
}

/* How many threads wait to notify. */
static unsigned long count_waiting(const char *path)
{
	struct task t;
	unsigned long count = 0;
	DIR *tasks = opendir(path);
	if (!tasks)
		return 0;
	for (const struct dirent *e; (e = readdir(tasks));)
		if (e->d_name[0] != '.' && read_task(dirfd(tasks), e->d_name, &t) &&
		    t.state == 'D' && strcmp(t.name, REMAINS_THREAD) == 0)
			count++;
	closedir(tasks);
	return count;
}

static siginfo_t how_of(int exit_code)
{
	if (WIFEXITED(exit_code) && exit_code != 0)
		return (siginfo_t){.si_code = CLD_EXITED,
				   .si_status = WEXITSTATUS(exit_code)};
	if (WIFSIGNALED(exit_code))
		return (siginfo_t){.si_code = CLD_KILLED,
				   .si_status = WTERMSIG(exit_code)};
	return (siginfo_t){.si_code = CLD_KILLED, .si_status = SIGKILL};
}

enum remains remains_of(pid_t pid, siginfo_t *how)
{
	struct task first;
	char path[64], tasks[80];
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	snprintf(tasks, sizeof(tasks), "%s/task", path);
	if (!read_task(AT_FDCWD, path, &first) || first.state != 'Z')
		return REMAINS_ALIVE;
	/* Threads end meanwhile, and none begins: the number that stands there afterwards
	 * tells whether the list was whole. */
	unsigned long waiting = count_waiting(tasks);
	if (!read_task(AT_FDCWD, path, &first))
		return REMAINS_ALIVE;
	*how = how_of(first.exit_code);
	return waiting > 0 && first.threads == waiting + 1 ? REMAINS_NOTIFIES
							   : REMAINS_SOME;
}

void remains_begin(struct remains_look *look, uint64_t now_ns)
{
	if (look->begun_ns != 0)
		return;
	look->begun_ns = now_ns;
	look->next_ns = now_ns + FIRST_NS;
}

bool remains_look(struct remains_look *look, pid_t pid, uint64_t now_ns)
{
	siginfo_t how;
	enum remains left = remains_of(pid, &how);
	uint64_t age_ns = now_ns - look->begun_ns;
	bool over = age_ns >= REMAINS_NS;
	look->next_ns = over ? 0 : now_ns + age_ns;
	if (over && left == REMAINS_ALIVE)
		look->begun_ns = 0; /* it had not begun */
	return left == REMAINS_NOTIFIES || (over && left == REMAINS_SOME);
}

bool remains_keep(struct unreaped all[UNREAPED_MAX], pid_t pid, int pidfd)
{
	for (size_t i = 0; i < UNREAPED_MAX; i++) {
		if (all[i].pidfd >= 0)
			continue;
		all[i] = (struct unreaped){.pid = pid, .pidfd = pidfd};
		return true;
	}
	return false;
}

void remains_reap(struct unreaped *one)
{
	waitid(P_PIDFD, (id_t)one->pidfd, &(siginfo_t){0}, WEXITED);
	close(one->pidfd);
	one->pidfd = -1;
}
