/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/killed.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* include/linux/sched.h; proc(5) shows the flags in /proc/PID/stat */
#define PF_SIGNALED 0x400u

bool killed_by_signal(pid_t tid)
{
	char path[40], text[512];
	unsigned flags = 0;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)tid);
	int fd = tid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return false;
	ssize_t size = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[size > 0 ? size : 0] = '\0';
	/* The name in brackets may hold anything: what follows its end is state, ppid, pgrp,
	 * session, tty_nr, tpgid, flags. */
	const char *rest = strrchr(text, ')');
	return rest && sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %u", &flags) == 1 &&
	       flags & PF_SIGNALED;
}
