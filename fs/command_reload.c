/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/command.h"

#include "fs/exit_status.h"
#include "fs/mounted.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>

#define FIRST_WAIT_MS 20
#define WAIT_MAX_MS   1000
#define TRIES         5

static const char usage[] =
    "Usage: certfs reload [MOUNTPOINT]\n"
    "\n"
    "  certfs reload             after an upgrade, or a change of certfs.conf\n"
    "  certfs reload /srv/certs  of another mount than /etc/certs\n"
    "\n"
    "Starts all of certfs' processes anew, from the program on disk and with the\n"
    "configuration on disk, and waits until they serve. Readers notice nothing. With a\n"
    "wrong configuration, or a program that can't take over, everything stays as it is,\n"
    "and the exit status isn't 0. (listen, store and hang-limit wait for a restart.)\n"
    "\n"
    "  -h, --help  this page\n";

struct told {
	pid_t supervisor;
	json_int_t begun, count;
	int code;
	char error[512];
};

/* A page that is read while one worker follows another may be half the one's and half the
 * other's. */
static int read_page(const char *mountpoint, json_t **root)
{
	int status = EX_OK;
	*root = NULL;
	for (int i = 0; status == EX_OK && !*root && i < TRIES; i++) {
		char *text = NULL;
		size_t size;
		status = mounted_status(mountpoint, NULL, &text, &size);
		if (status == EX_OK)
			*root = json_loadb(text, size, 0, NULL);
		free(text);
	}
	return status;
}

static int ask(const char *mountpoint, struct told *told)
{
	json_t *root, *error;
	int supervisor;
	int status = read_page(mountpoint, &root);
	if (status != EX_OK)
		return status;
	if (json_unpack(root, "{s:{s:i, s:{s:I, s:I, s:i, s:o}}}", "supervisor", "pid",
			&supervisor, "reload", "begun", &told->begun, "count",
			&told->count, "code", &told->code, "error", &error) == 0) {
		told->supervisor = supervisor;
		snprintf(told->error, sizeof(told->error), "%s",
			 json_is_string(error) ? json_string_value(error) : "");
	} else {
		fprintf(stderr,
			"certfs: what is mounted at %s tells nothing of reloads: it is "
			"another version of certfs, or none\n",
			mountpoint);
		status = EX_UNAVAILABLE;
	}
	json_decref(root);
	return status;
}

static int wait_for_end(const char *mountpoint, int pidfd, json_int_t before,
			struct told *told)
{
	struct pollfd death = {.fd = pidfd, .events = POLLIN};
	for (int wait_ms = FIRST_WAIT_MS;; wait_ms *= wait_ms < WAIT_MAX_MS ? 2 : 1) {
		/* A read waits by itself while no worker serves. */
		int status = ask(mountpoint, told);
		if (status != EX_OK || told->count > before)
			return status;
		if (poll(&death, 1, wait_ms) > 0) {
			fprintf(stderr,
				"certfs: the supervisor of %s ended while it reloaded\n",
				mountpoint);
			return EX_UNAVAILABLE;
		}
	}
}

static int reload(const char *mountpoint)
{
	struct told told = {0};
	int pidfd = -1;
	int status = ask(mountpoint, &told);
	if (status == EX_OK)
		status = mounted_supervisor(mountpoint, told.supervisor, &pidfd);
	if (status != EX_OK)
		return status;
	/* One that is under way may have read what was there before. */
	json_int_t before = told.begun;
	if (syscall(SYS_pidfd_send_signal, pidfd, SIGHUP, NULL, 0) != 0) {
		fprintf(stderr, "certfs: process %d can't be told to reload: %s\n",
			(int)told.supervisor, strerror(errno));
		status = errno == EPERM ? EX_NOPERM : EX_OSERR;
	}
	if (status == EX_OK)
		status = wait_for_end(mountpoint, pidfd, before, &told);
	close(pidfd);
	if (status != EX_OK || told.code == 0)
		return status;
	fprintf(stderr, "certfs: not reloaded: %s\n", told.error);
	return exit_status_of(told.code);
}

int command_reload(int argc, char **argv)
{
	static const struct option options[] = {
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	int option;

	optind = 0; /* main() has read options of its own */
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option != 'h') {
			fputs(usage, stderr);
			return EX_USAGE;
		}
		fputs(usage, stdout);
		return EX_OK;
	}
	if (argc - optind > 1) {
		fputs(usage, stderr);
		return EX_USAGE;
	}
	if (geteuid() != 0) {
		fputs("certfs: only root can reload certfs\n", stderr);
		return EX_NOPERM;
	}
	return reload(optind < argc ? argv[optind] : "/etc/certs");
}
