/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_empty(int fd)
{
	int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = again >= 0 ? fdopendir(again) : NULL;
	if (!dir) {
		if (again >= 0)
			close(again);
		return false;
	}
	bool empty = true;
	for (const struct dirent *e; empty && (e = readdir(dir));)
		empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
	closedir(dir);
	return empty;
}

static int take_over(int fd, const char *path, const struct confine_ids *ids,
		     struct error *err)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return error_set(err, errno, "the store %s: %s", path, strerror(errno));
	if (st.st_uid == 0 && is_empty(fd)) {
		if (fchown(fd, ids->uid, ids->gid) != 0)
			return error_set(err, errno,
					 "cannot give the store %s to its user: %s", path,
					 strerror(errno));
	} else if (st.st_uid != ids->uid) {
		return error_set(
		    err, EPERM,
		    "the store %s belongs to uid %u, not to certfs' user; if it is "
		    "certfs' store: chown -R %u:%u %s",
		    path, (unsigned int)st.st_uid, (unsigned int)ids->uid,
		    (unsigned int)ids->gid, path);
	}
	if ((st.st_mode & 077) != 0 && fchmod(fd, 0700) != 0)
		return error_set(err, errno, "cannot make the store %s private: %s", path,
				 strerror(errno));
	return 0;
}

int folder_prepare(const char *path, const struct confine_ids *ids, struct error *err)
{
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return error_set(err, errno, "cannot make the store %s: %s", path,
				 strerror(errno));
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_set(err, errno, "cannot open the store %s: %s", path,
				 strerror(errno));
	int rc = take_over(fd, path, ids, err);
	close(fd);
	return rc;
}
