/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/db_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* LMDB makes the readers' table where it is missing, also for root's read-only tools; a
 * daemon that is not root must be able to open it afterwards. */
void db_folder_adopt(const char *folder)
{
	int dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat data, lock;

	if (dir < 0)
		return;
	if (fstatat(dir, "data.mdb", &data, AT_SYMLINK_NOFOLLOW) == 0 &&
	    fstatat(dir, "lock.mdb", &lock, AT_SYMLINK_NOFOLLOW) == 0 &&
	    (data.st_uid != lock.st_uid || data.st_gid != lock.st_gid) &&
	    fchownat(dir, "lock.mdb", data.st_uid, data.st_gid, AT_SYMLINK_NOFOLLOW) !=
		0) {
		/* Not root: then the table was not made by root either. */
	}
	close(dir);
}

static int lock_busy(const char *folder, int fd, struct error *err)
{
	char text[32] = "";
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? strcspn(text, "\n") : 0] = '\0';
	return error_set(err, EBUSY,
			 "another certfs (process %s) has the store in %s open",
			 text[0] ? text : "unknown", folder);
}

int db_folder_lock(const char *folder, int *lock_fd, struct error *err)
{
	char text[32];
	int dir = -1, fd = -1, n, rc = 0;

	dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0)
		fd = openat(dir, "certfs.lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
			    0600);
	if (fd < 0) {
		rc = error_set(err, errno, "cannot open certfs.lock in %s: %s", folder,
			       strerror(errno));
		goto out;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno == EWOULDBLOCK)
			rc = lock_busy(folder, fd, err);
		else
			rc = error_set(err, errno, "cannot lock certfs.lock in %s: %s",
				       folder, strerror(errno));
		goto out;
	}
	n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n) {
		/* A full disk: the lock holds all the same, its owner has no name. */
	}
	*lock_fd = fd;
	fd = -1;
out:
	if (fd >= 0)
		close(fd);
	if (dir >= 0)
		close(dir);
	return rc;
}

/* A first start that met a full disk or a crash leaves a data file without its two meta
 * pages, in which nothing can have been stored; LMDB would call it damaged. */
int db_folder_clear(const char *folder, struct error *err)
{
	int dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC), rc = 0;
	struct stat st;

	if (dir < 0)
		return error_set(err, errno, "cannot open %s: %s", folder,
				 strerror(errno));
	if (fstatat(dir, "data.mdb", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISREG(st.st_mode) && st.st_size < 2 * sysconf(_SC_PAGESIZE) &&
	    unlinkat(dir, "data.mdb", 0) != 0)
		rc = error_set(err, errno, "cannot remove the empty data.mdb in %s: %s",
			       folder, strerror(errno));
	close(dir);
	return rc;
}
