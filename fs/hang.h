/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* hang: what /proc says about a worker that doesn't get on. */
#ifndef CERTFS_FS_HANG_H
#define CERTFS_FS_HANG_H

#include "store/log.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Logs each thread's kernel stack, wait channel and system call. */
void hang_log_stacks(const struct log *lg, pid_t pid);

/* Whether the first thread is dead although the process isn't over: another thread waits
 * in the kernel, and no pidfd says so. */
bool hang_is_zombie(pid_t pid);

/* `limit_s`, made smaller where the kernel would abort the connection before
 * (fs.fuse.max_request_timeout). */
uint32_t hang_limit_s(uint32_t limit_s);

#endif
