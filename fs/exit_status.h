/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* exit_status: the sysexits.h code that says what kind of failure an errno is. */
#ifndef CERTFS_FS_EXIT_STATUS_H
#define CERTFS_FS_EXIT_STATUS_H

/* EX_OK for 0, EX_OSERR for what is of no other kind. `code` is positive. */
int exit_status_of(int code);

#endif
