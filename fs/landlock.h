/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* landlock: which files, and which TCP ports, a worker may still reach.
 *
 * Rules are given to inodes, not to names: a file that is replaced by rename(2) falls out
 * of a rule of its own, and stays in the rule of its folder. What the running kernel
 * doesn't know is left out; without Landlock there is a warning. It holds for the calling
 * thread and for those that it starts from now on. */
#ifndef CERTFS_FS_LANDLOCK_H
#define CERTFS_FS_LANDLOCK_H

#include "fs/confine.h"

/* A build with AddressSanitizer: at its end LeakSanitizer looks at the process from
 * outside. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(SANITIZED)
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* 0 also where the kernel has no Landlock; `roots_file` may be NULL (landlock(7)). What
 * each role keeps: confine_rest(). */
int landlock_confine(enum confine_role role, int store_fd, const char *roots_file,
		     const struct log *lg, struct error *err);

#endif
