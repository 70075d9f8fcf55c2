/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* command: the command line, sugar over the files of a mount.
 *
 *   certfs mount [-f] [-c FILE] [-o OPTIONS] MOUNTPOINT    (also as mount.fuse.certfs)
 *   certfs status [-m MOUNTPOINT] [--json] [DOMAIN…]
 *   certfs reload [MOUNTPOINT]
 *   certfs version
 *
 * Exit codes are those of sysexits.h: 0, EX_USAGE 64, EX_DATAERR 65, EX_NOINPUT 66,
 * EX_UNAVAILABLE 69, EX_OSERR 71, EX_CONFIG 78, EX_NOPERM 77, EX_TEMPFAIL 75. Data on
 * standard output, messages on standard error, colour only on a terminal and without
 * NO_COLOR. */
#ifndef CERTFS_FS_COMMAND_H
#define CERTFS_FS_COMMAND_H

#include <stdbool.h>

int command_mount(int argc, char **argv);
/* `certfs mount -o ro[,of=MOUNTPOINT] POINT`: one more mount of the daemon behind `of`. */
int command_readonly(const char *of, const char *point);
/* True: we are a supervisor that has just exec(2)ed itself, and have gone on as one. */
bool command_resume(char **argv, int *status);
int command_status(int argc, char **argv);
/* Has the supervisor of a mount start everything from the binary on disk (reload.h), and
 * waits until it has: 0, or EX_CONFIG and others with what it says. */
int command_reload(int argc, char **argv);

#endif
