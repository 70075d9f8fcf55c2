/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Rights of kernels newer than Debian 12's header. */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15)
#endif

#define READ_FILES LANDLOCK_ACCESS_FS_READ_FILE
#define READ_TREE  (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define STORE_TREE                                                                       \
	(READ_TREE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |    \
	 LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |                   \
	 LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_TRUNCATE |                     \
	 LANDLOCK_ACCESS_FS_REFER)
#define OF_A_FILE                                                                        \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |                  \
	 LANDLOCK_ACCESS_FS_TRUNCATE | LANDLOCK_ACCESS_FS_EXECUTE |                      \
	 LANDLOCK_ACCESS_FS_IOCTL_DEV)

struct grant {
	const char *path;
	uint64_t rights;
};

/* The fs worker: whose thread a reader is stands in /proc, how many processors there are
 * in /sys; the rest is in the store. */
static const struct grant grants_fs[] = {
    {"/proc", READ_TREE},
    {"/sys/devices/system/cpu", READ_TREE},
    {"/dev/urandom", READ_FILES},
};

/* The net worker: what name resolution and TLS read. /etc as a whole, since resolv.conf
 * and hosts are replaced by rename(2) when the network changes. Shared objects are for
 * the name service's modules. */
static const struct grant grants_net[] = {
    {"/etc", READ_FILES},
    {"/etc/ssl", READ_TREE},
    {"/etc/pki", READ_TREE},
    {"/usr/lib", READ_TREE},
    {"/usr/lib64", READ_TREE},
    {"/lib", READ_TREE},
    {"/lib64", READ_TREE},
    {"/usr/share/ca-certificates", READ_TREE},
    {"/usr/local/share/ca-certificates", READ_TREE},
    {"/usr/share/publicsuffix", READ_TREE},
    {"/run/systemd/resolve", READ_TREE},
    {"/run/resolvconf", READ_TREE},
    {"/run/NetworkManager", READ_FILES},
    {"/run/nscd", READ_FILES},
    {"/sys/devices/system/cpu", READ_TREE},
    {"/dev/urandom", READ_FILES},
#if SANITIZED
    {"/proc", READ_TREE},
#endif
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static uint64_t known_rights(long abi)
{
	uint64_t rights = (1ULL << 13) - 1;
	if (abi >= 2)
		rights |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= 3)
		rights |= LANDLOCK_ACCESS_FS_TRUNCATE;
	if (abi >= 5)
		rights |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
	return rights;
}

static int grant_fd(int ruleset, int fd, uint64_t rights, const char *what,
		    struct error *err)
{
	const struct landlock_path_beneath_attr beneath = {.allowed_access = rights,
							   .parent_fd = fd};
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath,
		    0) != 0)
		return error_set(err, errno, "cannot allow %s with Landlock: %s", what,
				 strerror(errno));
	return 0;
}

/* What isn't there, or isn't for this user, needs no rule. */
static int grant_path(int ruleset, const struct grant *grant, uint64_t known,
		      struct error *err)
{
	int dir = open(grant->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = dir >= 0 ? dir : open(grant->path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return 0;
	uint64_t rights = grant->rights & known & (dir >= 0 ? known : OF_A_FILE);
	int rc = grant_fd(ruleset, fd, rights, grant->path, err);
	close(fd);
	return rc;
}

static int ruleset_new(enum confine_role role, long abi, struct error *err)
{
	struct landlock_ruleset_attr attr = {.handled_access_fs = known_rights(abi)};
#ifdef LANDLOCK_ACCESS_NET_BIND_TCP
	if (abi >= 4) {
		attr.handled_access_net = LANDLOCK_ACCESS_NET_BIND_TCP;
		if (role == CONFINE_FS)
			attr.handled_access_net |= LANDLOCK_ACCESS_NET_CONNECT_TCP;
	}
#else
	(void)role;
#endif
#ifdef LANDLOCK_SCOPE_SIGNAL
	if (abi >= 6)
		attr.scoped = LANDLOCK_SCOPE_SIGNAL;
#endif
	long fd = syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (fd < 0)
		return error_set(err, errno, "cannot make a Landlock ruleset: %s",
				 strerror(errno));
	return (int)fd;
}

static int grant_all(int ruleset, enum confine_role role, int store_fd,
		     const char *roots_file, uint64_t known, struct error *err)
{
	const struct grant *grants = role == CONFINE_FS ? grants_fs : grants_net;
	size_t count = role == CONFINE_FS ? COUNT(grants_fs) : COUNT(grants_net);
	int rc = 0;
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = grant_path(ruleset, &grants[i], known, err);
	if (rc == 0 && role == CONFINE_FS && store_fd >= 0)
		rc = grant_fd(ruleset, store_fd, STORE_TREE & known, "the store", err);
	if (rc == 0 && roots_file) {
		const struct grant roots = {roots_file, READ_FILES};
		rc = grant_path(ruleset, &roots, known, err);
	}
	return rc;
}

int landlock_confine(enum confine_role role, int store_fd, const char *roots_file,
		     const struct log *lg, struct error *err)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
			   LANDLOCK_CREATE_RULESET_VERSION);
	if (abi < 1) {
		log_warning(
		    lg, NULL,
		    "this kernel has no Landlock (%s): a worker that was taken over "
		    "could read whatever its user may read",
		    strerror(errno));
		return 0;
	}
	int ruleset = ruleset_new(role, abi, err);
	if (ruleset < 0)
		return ruleset;
	int rc = grant_all(ruleset, role, store_fd, roots_file, known_rights(abi), err);
	if (rc == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
		rc = error_set(err, errno, "cannot take up the Landlock rules: %s",
			       strerror(errno));
	close(ruleset);
	return rc;
}
