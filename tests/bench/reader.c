/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* reader OPERATION MILLISECONDS PATH: does it again and again for so long and prints the
 * nanoseconds that one took. OPERATION: read (open, read to the end, close) or stat. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int read_once(const char *path)
{
	char buffer[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size;

	if (fd < 0)
		return -errno;
	do
		size = read(fd, buffer, sizeof(buffer));
	while (size > 0);
	if (size < 0)
		size = -errno;
	close(fd);
	return (int)size;
}

static int stat_once(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? -errno : 0;
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The clock is asked once in BATCH rounds: beside a stat it is not free. */
#define BATCH 16

static int repeat(int (*once)(const char *path), const char *path, int64_t limit_ns)
{
	int64_t begun_ns = now_ns(), taken_ns = 0, rounds = 0;

	while (taken_ns < limit_ns) {
		for (int i = 0; i < BATCH; i++) {
			int rc = once(path);
			if (rc < 0)
				return rc;
		}
		rounds += BATCH;
		taken_ns = now_ns() - begun_ns;
	}
	printf("%" PRId64 "\n", taken_ns / rounds);
	return 0;
}

int main(int argc, char **argv)
{
	long limit_ms;
	int rc;

	if (argc != 4 || (limit_ms = strtol(argv[2], NULL, 10)) < 1) {
		fprintf(stderr, "usage: reader read|stat MILLISECONDS PATH\n");
		return 64;
	}
	rc = repeat(strcmp(argv[1], "stat") == 0 ? stat_once : read_once, argv[3],
		    limit_ms * 1000000);
	if (rc < 0) {
		fprintf(stderr, "reader: %s: %s\n", argv[3], strerror(-rc));
		return 1;
	}
	return 0;
}
