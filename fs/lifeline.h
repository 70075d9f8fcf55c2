/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* lifeline: a pipe that closes when the end of a worker begins.
 *
 * A pidfd tells when the last thread is gone, and one that waits in the kernel where no
 * signal reaches it keeps it silent, and all descriptors open. So a thread of the worker
 * has a table of descriptors of its own with nothing but the pipe's end in it, and does
 * nothing: a process that is killed loses that thread at once, and the pipe closes with its
 * table. */
#ifndef CERTFS_FS_LIFELINE_H
#define CERTFS_FS_LIFELINE_H

#include "store/error.h"

/* Supervisor, one for each start: `held` is for the worker and nobody else, `watched` gets
 * POLLHUP. */
int lifeline_open(int *watched, int *held, struct error *err);

/* Worker, once confinement is in force: starts the thread. `held` is closed in the caller's
 * table, whatever comes of it. */
int lifeline_hold(int held, struct error *err);

#endif
