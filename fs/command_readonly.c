/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/command.h"

#include "fs/exit_status.h"
#include "fs/mounted.h"
#include "fs/readonly.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

static int find_supervisor(const char *of, int *pidfd)
{
	char *text = NULL;
	size_t size;
	int pid, status = mounted_status(of, NULL, &text, &size);
	if (status != EX_OK)
		return status;
	json_t *root = json_loadb(text, size, 0, NULL);
	free(text);
	if (json_unpack(root, "{s:{s:i}}", "supervisor", "pid", &pid) == 0) {
		status = mounted_supervisor(of, pid, pidfd);
	} else {
		fprintf(
		    stderr,
		    "certfs: what is mounted at %s can't be mounted a second time: it "
		    "is another version of certfs, or none\n",
		    of);
		status = EX_UNAVAILABLE;
	}
	json_decref(root);
	return status;
}

/* Waits until the worker that has it serves. */
static int wait_for_answer(const char *point, struct error *err)
{
	struct statx st;
	if (statx(AT_FDCWD, point, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &st) != 0)
		return error_set(err, errno, "%s does not answer: %s", point,
				 strerror(errno));
	return 0;
}

int command_readonly(const char *of, const char *point)
{
	struct log lg;
	struct error err;
	int pidfd = -1;
	int status = find_supervisor(of, &pidfd);
	if (status != EX_OK)
		return status;
	log_init(&lg, "mount", LOG_LEVEL_NOTICE);
	int rc = readonly_mount(point, pidfd, &lg, &err);
	if (rc == 0)
		rc = wait_for_answer(point, &err);
	close(pidfd);
	if (rc == 0)
		return EX_OK;
	fprintf(stderr, "certfs: %s\n", err.text);
	return exit_status_of(err.code);
}
