/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/mount.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <mntent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MOUNT_TYPE   "fuse.certfs"
#define STACKED_MAX  16   /* dead mounts one above the other */
#define INIT_WAIT_MS 5000 /* the kernel queues it within mount(2) */
#define MODE_BENEATH 0555
#define MODE_BITS    07777

/* Whether the uppermost mount at `point` is certfs'. */
static bool certfs_is_at(const char *point)
{
	bool is = false;
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	if (!mounts)
		return false;
	for (const struct mntent *m; (m = getmntent(mounts));)
		if (strcmp(m->mnt_dir, point) == 0)
			is = strcmp(m->mnt_type, MOUNT_TYPE) == 0;
	endmntent(mounts);
	return is;
}

/* The attributes of the root are cached: only a request tells whether anybody is there.
 */
static bool is_dead(const char *point)
{
	struct statx st;
	return statx(AT_FDCWD, point, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &st) != 0 &&
	       (errno == ENOTCONN || errno == ECONNABORTED);
}

static int unmount_dead(const char *point, const struct log *lg, struct error *err)
{
	for (int i = 0; i < STACKED_MAX; i++) {
		if (!is_dead(point))
			return 0;
		if (!certfs_is_at(point))
			return error_set(
			    err, EBUSY,
			    "a dead mount that isn't certfs' is at %s: unmount "
			    "it with: umount -l %s",
			    point, point);
		if (umount2(point, MNT_DETACH | UMOUNT_NOFOLLOW) != 0)
			return error_set(err, errno,
					 "cannot unmount the dead mount at %s: %s", point,
					 strerror(errno));
		log_notice(lg, NULL,
			   "unmounted what a certfs that was killed had left at %s",
			   point);
	}
	return error_set(err, EBUSY, "more than %d dead mounts at %s", STACKED_MAX,
			 point);
}

static int check_empty(int fd, const char *point, struct error *err)
{
	int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = again >= 0 ? fdopendir(again) : NULL;
	if (!dir) {
		int rc =
		    error_set(err, errno, "cannot list %s: %s", point, strerror(errno));
		if (again >= 0)
			close(again);
		return rc;
	}
	int rc = 0;
	for (const struct dirent *e; rc == 0 && (e = readdir(dir));)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			rc = error_set(
			    err, ENOTEMPTY,
			    "%s is not empty (it holds %.128s): move that away, "
			    "it would be hidden",
			    point, e->d_name);
	closedir(dir);
	return rc;
}

static int folder_open(struct mount *m, struct error *err)
{
	if (certfs_is_at(m->point))
		return error_set(
		    err, EBUSY,
		    "certfs is mounted at %s already: unmount it with: umount %s",
		    m->point, m->point);
	m->folder_fd = open(m->point, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (m->folder_fd < 0 && errno == ENOENT)
		return error_set(err, ENOENT,
				 "%s does not exist; make it with: mkdir -p %s", m->point,
				 m->point);
	if (m->folder_fd < 0)
		return error_set(err, errno, "cannot mount at %s: %s", m->point,
				 strerror(errno));
	struct stat st;
	if (fstat(m->folder_fd, &st) != 0)
		return error_set(err, errno, "%s: %s", m->point, strerror(errno));
	m->mode = st.st_mode & MODE_BITS;
	return check_empty(m->folder_fd, m->point, err);
}

static int fuse_open(struct mount *m, struct error *err)
{
	m->fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (m->fuse_fd >= 0)
		return 0;
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
		return error_set(err, errno,
				 "there is no /dev/fuse: load the kernel's module with: "
				 "modprobe fuse (in a container: give it the device)");
	return error_set(err, errno, "cannot open /dev/fuse: %s", strerror(errno));
}

/* Without a request: nobody may be there to answer it. */
static int mounted_device(const char *point, dev_t *device, struct error *err)
{
	struct statx st;
	if (statx(AT_FDCWD, point, AT_STATX_DONT_SYNC | AT_SYMLINK_NOFOLLOW, 0, &st) != 0)
		return error_set(err, errno, "%s: %s", point, strerror(errno));
	*device = makedev(st.stx_dev_major, st.stx_dev_minor);
	return 0;
}

static int mount_folder(struct mount *m, struct error *err)
{
	char data[128];
	snprintf(
	    data, sizeof(data),
	    "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions",
	    m->fuse_fd);
	if (fchmod(m->folder_fd, MODE_BENEATH) != 0)
		return error_set(err, errno, "cannot change the mode of %s: %s", m->point,
				 strerror(errno));
	m->mode_changed = true;
	const unsigned long flags =
	    MS_NOSUID | MS_NODEV | MS_NOEXEC | (m->read_only ? MS_RDONLY : 0);
	if (mount("certfs", m->point, MOUNT_TYPE, flags, data) != 0)
		return error_set(
		    err, errno, "cannot mount at %s: %s%s", m->point, strerror(errno),
		    errno == EPERM ? " (in a container: it needs CAP_SYS_ADMIN)" : "");
	m->mounted = true;
	return mounted_device(m->point, &m->device, err);
}

static int read_init(struct mount *m, struct slots *slots, struct error *err)
{
	_Alignas(struct fuse_in_header) unsigned char request[SLOT_INIT_SIZE];
	struct pollfd wait = {.fd = m->fuse_fd, .events = POLLIN};
	int ready;
	do
		ready = poll(&wait, 1, INIT_WAIT_MS);
	while (ready < 0 && errno == EINTR);
	if (ready <= 0 || !(wait.revents & POLLIN))
		return error_set(err, ETIMEDOUT,
				 "the kernel sent no first request for the mount at %s",
				 m->point);
	ssize_t got = read(m->fuse_fd, request, sizeof(request));
	if (got < 0)
		return error_set(err, errno, "cannot read from /dev/fuse: %s",
				 strerror(errno));
	const struct fuse_in_header *head = (const void *)request;
	if ((size_t)got < sizeof(*head) || head->opcode != FUSE_INIT)
		return error_set(err, EPROTO,
				 "the kernel's first request isn't FUSE_INIT but %u",
				 (size_t)got < sizeof(*head) ? 0 : head->opcode);
	slots_set_init(slots, request, (size_t)got);
	int flags = fcntl(m->fuse_fd, F_GETFL);
	if (flags < 0 || fcntl(m->fuse_fd, F_SETFL, flags | O_NONBLOCK) != 0)
		return error_set(err, errno, "/dev/fuse: %s", strerror(errno));
	return 0;
}

int mount_check(struct mount *m, const char *point, const struct log *lg,
		struct error *err)
{
	*m = (struct mount){.lg = lg, .point = point, .fuse_fd = -1, .folder_fd = -1};
	int rc = unmount_dead(point, lg, err);
	if (rc == 0)
		rc = folder_open(m, err);
	if (rc == 0)
		rc = fuse_open(m, err);
	if (rc < 0)
		mount_close(m);
	return rc;
}

int mount_open(struct mount *m, struct slots *slots, struct error *err)
{
	int rc = mount_folder(m, err);
	if (rc == 0)
		rc = read_init(m, slots, err);
	if (rc < 0)
		mount_close(m);
	return rc;
}

bool mount_is_at(const struct mount *m)
{
	struct error ignored;
	dev_t device = 0;
	return certfs_is_at(m->point) &&
	       mounted_device(m->point, &device, &ignored) == 0 && device == m->device;
}

int mount_adopt(const struct mount *m, struct error *err)
{
	struct pollfd connection = {.fd = m->fuse_fd};
	if (poll(&connection, 1, 0) < 0 || connection.revents != 0)
		return error_set(err, ENOTCONN, "the mount at %s is dead", m->point);
	if (!mount_is_at(m))
		return error_set(err, ENOENT, "the mount at %s is another one", m->point);
	return 0;
}

int mount_ended(struct mount *m, struct error *err)
{
	/* The connection is over, so that this can't wait for a server. Anything but a
	 * dead mount at this place isn't ours, and not ours to take away. */
	if (is_dead(m->point))
		return error_set(err, ECONNABORTED,
				 "the connection of the mount at %s was aborted",
				 m->point);
	m->mounted = false;
	return 0;
}

static void unmount(struct mount *m)
{
	if (umount2(m->point, UMOUNT_NOFOLLOW) == 0)
		return;
	if (errno == EBUSY && umount2(m->point, MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
		log_notice(m->lg, NULL,
			   "unmounted %s while files in it were open; they now fail with "
			   "ENOTCONN",
			   m->point);
		return;
	}
	log_error(m->lg, NULL, "cannot unmount %s: %s; unmount it with: umount -l %s",
		  m->point, strerror(errno), m->point);
}

static void restore_mode(struct mount *m)
{
	if (m->folder_fd < 0)
		m->folder_fd =
		    open(m->point, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (m->folder_fd < 0 || fchmod(m->folder_fd, m->mode) != 0)
		log_warning(m->lg, NULL, "cannot put the mode of %s back to %04o: %s",
			    m->point, (unsigned int)m->mode, strerror(errno));
}

void mount_close(struct mount *m)
{
	if (m->mounted)
		unmount(m);
	m->mounted = false;
	if (m->fuse_fd >= 0)
		close(m->fuse_fd);
	m->fuse_fd = -1;
	/* What can be opened by its path is the folder beneath only when nothing is above
	 * it. */
	if (m->mode_changed && (m->folder_fd >= 0 || !certfs_is_at(m->point)))
		restore_mode(m);
	m->mode_changed = false;
	if (m->folder_fd >= 0)
		close(m->folder_fd);
	m->folder_fd = -1;
}

void mount_leave(struct mount *m)
{
	m->mounted = m->mode_changed = false;
	mount_close(m);
}
