/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* random_reader MOUNT COUNT READS SEED: opens, reads and closes fullchain.pem in READS of
 * the COUNT directories that make_domains made, drawn by SEED, and prints the nanoseconds
 * that one took. The same seed draws the same ones. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Knuth's MMIX: the same everywhere, unlike random(3). */
static uint64_t draw(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 33;
}

int main(int argc, char **argv)
{
	unsigned long count, reads;
	char path[4096];
	uint64_t state;
	int64_t begun_ns;

	if (argc != 5 || (count = strtoul(argv[2], NULL, 10)) == 0 ||
	    (reads = strtoul(argv[3], NULL, 10)) == 0) {
		fprintf(stderr, "usage: random_reader MOUNT COUNT READS SEED\n");
		return 64;
	}
	state = strtoul(argv[4], NULL, 10);
	begun_ns = now_ns();
	for (unsigned long i = 0; i < reads; i++) {
		snprintf(path, sizeof(path), "%s/d%07lu.example.com/fullchain.pem",
			 argv[1], (unsigned long)(draw(&state) % count));
		int rc = read_once(path);
		if (rc < 0) {
			fprintf(stderr, "random_reader: %s: %s\n", path, strerror(-rc));
			return 1;
		}
	}
	printf("%" PRId64 "\n", (now_ns() - begun_ns) / (int64_t)reads);
	return 0;
}
