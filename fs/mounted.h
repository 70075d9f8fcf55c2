/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* mounted: a mount as a command sees it, by its files. */
#ifndef CERTFS_FS_MOUNTED_H
#define CERTFS_FS_MOUNTED_H

#include <stddef.h>
#include <sys/types.h>

/* MOUNTPOINT/DOMAIN/status.json, of `domain` NULL .certfs/status.json. EX_OK, and the
 * caller frees the text; or another exit status, and standard error has the reason. */
int mounted_status(const char *mountpoint, const char *domain, char **text, size_t *size);
/* The exit status for what kept `path` from being read (-errno), told on standard error.
 */
int mounted_explain(const char *mountpoint, const char *domain, const char *path, int rc);

/* A pidfd of the supervisor `pid` that .certfs/status.json named, which is checked to be one:
 * the page comes from an unprivileged worker. The caller closes it. EX_OK, or another exit
 * status, and standard error has the reason. */
int mounted_supervisor(const char *mountpoint, pid_t pid, int *pidfd);

#endif
