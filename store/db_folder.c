/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/db_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_NAME  "certfs.lock"
#define LOCK_TRIES 8

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

static pid_t lock_owner(int fd, char text[32])
{
	ssize_t n = pread(fd, text, 31, 0);

	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return (pid_t)strtol(text, NULL, 10);
}

/* Its first thread has ended, and the others on their way to the end never come back to
 * what they did. */
static bool is_dead(pid_t pid)
{
	char path[64], stat[256];
	int fd;
	ssize_t n;
	const char *state;

	if (pid <= 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, stat, sizeof(stat) - 1);
	close(fd);
	stat[n > 0 ? n : 0] = '\0';
	state = strrchr(stat, ')'); /* the name may hold brackets itself */
	return state && (strncmp(state, ") Z", 3) == 0 || strncmp(state, ") X", 3) == 0);
}

static bool is_in_place(int dir, int fd)
{
	struct stat held, named;

	return fstat(fd, &held) == 0 &&
	       fstatat(dir, LOCK_NAME, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

/* The lock's file makes way for another one. Two that do that at a time would each take
 * the other's away: the folder itself is locked meanwhile. */
static bool take_over(int dir, int fd)
{
	bool done = false;
	int mutex = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (mutex >= 0 && flock(mutex, LOCK_EX | LOCK_NB) == 0)
		done = !is_in_place(dir, fd) || unlinkat(dir, LOCK_NAME, 0) == 0;
	if (mutex >= 0)
		close(mutex);
	return done;
}

static int lock_busy(const char *name, const char *process, struct error *err)
{
	return error_set(err, EBUSY,
			 "another certfs (process %s) has the store in %s open",
			 process[0] ? process : "unknown", name);
}

/* -EAGAIN: once more, it is another file by now. */
static int lock_try(const char *name, int dir, int *lock_fd, struct error *err)
{
	char text[32];
	int rc = 0, n;
	int fd = openat(dir, LOCK_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return error_set(err, errno, "cannot open " LOCK_NAME " in %s: %s", name,
				 strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK)
			rc = error_set(err, errno, "cannot lock " LOCK_NAME " in %s: %s",
				       name, strerror(errno));
		else if (is_dead(lock_owner(fd, text)) && take_over(dir, fd))
			rc = -EAGAIN;
		else
			rc = lock_busy(name, text, err);
		goto out;
	}
	if (!is_in_place(dir, fd)) {
		rc = -EAGAIN;
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
	return rc;
}

int db_folder_lock(const char *folder, const char *name, int *lock_fd, struct error *err)
{
	int dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC), rc = -EAGAIN;

	if (dir < 0)
		return error_set(err, errno, "cannot open %s: %s", folder,
				 strerror(errno));
	for (int i = 0; i < LOCK_TRIES && rc == -EAGAIN; i++)
		rc = lock_try(name, dir, lock_fd, err);
	if (rc == -EAGAIN)
		rc = error_set(err, EBUSY, "the store in %s is being opened by others",
			       folder);
	close(dir);
	return rc;
}

int db_folder_check(const char *folder, struct error *err)
{
	char text[32];
	int rc = 0, fd = -1;
	int dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (dir >= 0)
		fd = openat(dir, LOCK_NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK &&
	    !is_dead(lock_owner(fd, text)))
		rc = lock_busy(folder, text, err);
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
