/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/mounted.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>

static int read_all(int fd, char **text, size_t *size)
{
	char piece[16384];
	ssize_t got;
	bool failed;
	int rc = 0;
	FILE *out = open_memstream(text, size);

	if (!out)
		return -ENOMEM;
	/* The size that stat(2) gives may be that of an older page. */
	while ((got = read(fd, piece, sizeof(piece))) != 0) {
		if (got > 0) {
			fwrite(piece, 1, (size_t)got, out);
		} else if (errno != EINTR) {
			rc = -errno;
			break;
		}
	}
	failed = ferror(out) != 0;
	if ((fclose(out) != 0 || failed) && rc == 0)
		rc = -ENOMEM;
	if (rc) {
		free(*text);
		*text = NULL;
	}
	return rc;
}

static int read_file(const char *path, char **text, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int rc;

	if (fd < 0)
		return -errno;
	rc = read_all(fd, text, size);
	close(fd);
	return rc;
}

int mounted_explain(const char *mountpoint, const char *domain, const char *path, int rc)
{
	switch (-rc) {
	case ENOENT:
	case ENOTDIR:
		if (domain) {
			fprintf(stderr,
				"certfs: there is no %s in %s: `mkdir %s/%s` makes it "
				"and orders its certificate\n",
				domain, mountpoint, mountpoint, domain);
			return EX_NOINPUT;
		}
		fprintf(stderr,
			"certfs: no certfs is mounted at %s: mount it with `certfs mount "
			"%s`, or name the place with -m\n",
			mountpoint, mountpoint);
		return EX_UNAVAILABLE;
	case ENOTCONN:
	case ECONNABORTED: /* this very moment */
		fprintf(
		    stderr,
		    "certfs: the certfs that was mounted at %s has died: `certfs mount "
		    "%s` starts it anew\n",
		    mountpoint, mountpoint);
		return EX_UNAVAILABLE;
	case EACCES:
	case EPERM:
		fprintf(stderr, "certfs: %s may not be read by this user: try as root\n",
			path);
		return EX_NOPERM;
	case ENOMEM:
		fprintf(stderr, "certfs: no memory for %s\n", path);
		return EX_OSERR;
	default:
		fprintf(stderr, "certfs: %s can't be read: %s\n", path, strerror(-rc));
		return EX_UNAVAILABLE;
	}
}

int mounted_status(const char *mountpoint, const char *domain, char **text, size_t *size)
{
	char path[PATH_MAX];
	int length = snprintf(path, sizeof(path), "%s/%s/status.json", mountpoint,
			      domain ? domain : ".certfs");
	int rc =
	    length >= (int)sizeof(path) ? -ENAMETOOLONG : read_file(path, text, size);
	return rc ? mounted_explain(mountpoint, domain, path, rc) : EX_OK;
}

static bool is_named_certfs(int proc)
{
	char comm[32] = "";
	int fd = openat(proc, "comm", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd >= 0 ? read(fd, comm, sizeof(comm) - 1) : -1;
	if (fd >= 0)
		close(fd);
	return got > 0 && strcmp(comm, "certfs\n") == 0;
}

static bool has_fuse_open(int proc)
{
	char target[32];
	bool has = false;
	int fd = openat(proc, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	for (const struct dirent *e; !has && (e = readdir(dir));) {
		ssize_t got =
		    readlinkat(dirfd(dir), e->d_name, target, sizeof(target) - 1);
		if (got <= 0)
			continue;
		target[got] = '\0';
		has = strcmp(target, "/dev/fuse") == 0;
	}
	closedir(dir);
	return has;
}

/* The pid comes out of a page that an unprivileged worker writes: root must not be talked
 * into a signal for anybody else. */
static bool is_supervisor(pid_t pid)
{
	char path[32];
	struct stat st;
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	int proc = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0)
		return false;
	bool is = fstat(proc, &st) == 0 && st.st_uid == 0 && is_named_certfs(proc) &&
		  has_fuse_open(proc);
	close(proc);
	return is;
}

/* The process that is checked is the one that gets the signal. */
int mounted_supervisor(const char *mountpoint, pid_t pid, int *pidfd)
{
	long fd = pid > 1 ? syscall(SYS_pidfd_open, pid, 0) : -1;
	if (fd >= 0 && is_supervisor(pid)) {
		*pidfd = (int)fd;
		return EX_OK;
	}
	if (fd >= 0)
		close((int)fd);
	fprintf(stderr,
		"certfs: the supervisor of %s, process %d, isn't to be seen from here "
		"(is it in a container?)\n",
		mountpoint, (int)pid);
	return EX_UNAVAILABLE;
}
