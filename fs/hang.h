/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* hang: what /proc says about a worker that doesn't get on.
 *
 * Called by the supervisor, which must not hang itself: nothing here waits, and what
 * can't be read (a process that is over, a stack without CAP_SYS_ADMIN) stays empty. */
#ifndef CERTFS_FS_HANG_H
#define CERTFS_FS_HANG_H

#include "store/log.h"

#include <stdint.h>
#include <sys/types.h>

/* Logs each thread's kernel stack, wait channel and system call. */
void hang_log_stacks(const struct log *lg, pid_t pid);

/* `limit_s`, made smaller where the kernel would abort the connection before
 * (fs.fuse.max_request_timeout, fs.fuse.default_request_timeout): half of that. */
uint32_t hang_limit_s(uint32_t limit_s);

#endif
