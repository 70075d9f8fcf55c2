/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/config_text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* In the memfd: the absolute path, a 0, the text; nothing where there is no file. */

static int put(int to, const void *data, size_t size, struct error *err)
{
	ssize_t written = write(to, data, size);
	if (written == (ssize_t)size)
		return 0;
	int code = written < 0 ? errno : ENOSPC;
	return error_set(err, code, "keeping the configuration: %s", strerror(code));
}

static int copy(int from, const char *path, int to, struct error *err)
{
	char buffer[4096];
	size_t total = 0;
	int r = put(to, path, strlen(path) + 1, err);
	if (r < 0)
		return r;
	for (;;) {
		ssize_t got = read(from, buffer, sizeof(buffer));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_set(err, errno, "%s: %s", path, strerror(errno));
		r = put(to, buffer, (size_t)got, err);
		if (got == 0 || r < 0)
			return r;
		total += (size_t)got;
		if (total > CONFIG_TEXT_MAX)
			return error_set(err, EFBIG, "%s is larger than %d KiB", path,
					 CONFIG_TEXT_MAX / 1024);
	}
}

int config_text_read(const char *path, int *fd, struct error *err)
{
	const char *name = path ? path : CONFIG_DEFAULT_PATH;
	char absolute[PATH_MAX];
	int r = 0, made = memfd_create("certfs-config", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int from = open(name, O_RDONLY | O_CLOEXEC);
	bool absent = from < 0 && errno == ENOENT && !path;
	if (!absent && (from < 0 || !realpath(name, absolute)))
		r = error_set(err, errno, "%s: %s", name, strerror(errno));
	else if (made < 0)
		r = error_set(err, errno, "memfd_create: %s", strerror(errno));
	if (r == 0 && !absent)
		r = copy(from, absolute, made, err);
	if (r == 0 &&
	    fcntl(made, F_ADD_SEALS,
		  F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
		r = error_set(err, errno, "%s: %s", name, strerror(errno));
	if (from >= 0)
		close(from);
	if (r < 0 && made >= 0)
		close(made);
	else if (r == 0)
		*fd = made;
	return r;
}

/* `*data` is unmapped by the caller, unless `*size` is 0. */
static int map(int fd, char **data, size_t *size, struct error *err)
{
	struct stat st;
	*size = 0;
	if (fstat(fd, &st) != 0)
		return error_set(err, errno, "the configuration in force: %s",
				 strerror(errno));
	if (st.st_size == 0)
		return 0;
	if (st.st_size < 0 || st.st_size > CONFIG_TEXT_MAX + PATH_MAX)
		return error_set(err, EBADMSG, "the configuration in force is damaged");
	*data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (*data == MAP_FAILED)
		return error_set(err, errno, "the configuration in force: %s",
				 strerror(errno));
	*size = (size_t)st.st_size;
	return 0;
}

static int parse(char *data, size_t size, struct config **cfg, struct error *err)
{
	size_t path = strnlen(data, size) + 1;
	if (data[0] != '/' || path > size || path > PATH_MAX)
		return error_set(err, EBADMSG, "the configuration in force is damaged");
	/* Of a stream without a byte not every C library makes one. */
	FILE *text = path == size ? fopen("/dev/null", "re")
				  : fmemopen(data + path, size - path, "r");
	if (!text)
		return error_set(err, errno, "%s: %s", data, strerror(errno));
	int r = config_parse(text, data, cfg, err);
	fclose(text);
	return r;
}

int config_text_load(int fd, struct config **cfg, struct error *err)
{
	char *data = NULL;
	size_t size;
	int r = map(fd, &data, &size, err);
	if (r == 0)
		r = size ? parse(data, size, cfg, err) : config_defaults(cfg, err);
	if (size)
		munmap(data, size);
	return r;
}

bool config_text_same(int a, int b)
{
	struct error ignored;
	char *one = NULL, *other = NULL;
	size_t size, other_size;
	if (map(a, &one, &size, &ignored) < 0)
		return false;
	bool same = map(b, &other, &other_size, &ignored) == 0 && size == other_size &&
		    (size == 0 || memcmp(one, other, size) == 0);
	if (size)
		munmap(one, size);
	if (other && other != MAP_FAILED && other_size)
		munmap(other, other_size);
	return same;
}
