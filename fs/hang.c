/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/hang.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STACK_MAX 700

/* One line of it: newlines become " < ". */
static void slurp(int dir, const char *name, char *text, size_t size)
{
	text[0] = '\0';
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	char raw[STACK_MAX];
	ssize_t got = read(fd, raw, sizeof(raw));
	close(fd);
	size_t out = 0;
	while (got > 0 && raw[got - 1] == '\n')
		got--;
	for (ssize_t i = 0; i < got && out + 4 < size; i++) {
		if (raw[i] == '\n') {
			memcpy(text + out, " < ", 3);
			out += 3;
		} else {
			text[out++] = raw[i];
		}
	}
	text[out] = '\0';
}

static void log_thread(const struct log *lg, int tasks, const char *tid)
{
	char comm[32], wchan[128], call[160], stack[STACK_MAX];
	int dir = openat(tasks, tid, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return;
	slurp(dir, "comm", comm, sizeof(comm));
	slurp(dir, "wchan", wchan, sizeof(wchan));
	slurp(dir, "syscall", call, sizeof(call));
	slurp(dir, "stack", stack, sizeof(stack));
	close(dir);
	log_warning(lg, NULL,
		    "thread %s (%s) waits in %s tid=%s syscall=\"%s\" stack=\"%s\"", tid,
		    comm, wchan, tid, call, stack);
}

void hang_log_stacks(const struct log *lg, pid_t pid)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	DIR *tasks = opendir(path);
	if (!tasks)
		return;
	for (const struct dirent *e; (e = readdir(tasks));)
		if (e->d_name[0] != '.')
			log_thread(lg, dirfd(tasks), e->d_name);
	closedir(tasks);
}

uint32_t hang_limit_s(uint32_t limit_s)
{
	static const char *const files[] = {"/proc/sys/fs/fuse/max_request_timeout",
					    "/proc/sys/fs/fuse/default_request_timeout"};
	uint32_t limit = limit_s > 0 ? limit_s : 1;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char text[32];
		slurp(AT_FDCWD, files[i], text, sizeof(text));
		unsigned long kernel_s = strtoul(text, NULL, 10);
		if (kernel_s > 0 && kernel_s <= limit)
			limit = kernel_s > 2 ? (uint32_t)(kernel_s / 2) : 1;
	}
	return limit;
}
