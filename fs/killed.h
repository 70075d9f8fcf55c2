/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* killed: has a signal ended the one who closes a file?
 *
 * The kernel closes what a dying process has open, and sends a FLUSH as for any close. What
 * it had written by then may look whole (the key and the first of three certificates) and is
 * what nobody meant. */
#ifndef CERTFS_FS_KILLED_H
#define CERTFS_FS_KILLED_H

#include <stdbool.h>
#include <sys/types.h>

/* For a thread that waits for the answer to its FLUSH; false for one that can't be seen. */
bool killed_by_signal(pid_t tid);

#endif
