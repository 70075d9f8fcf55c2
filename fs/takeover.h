/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* takeover: a supervisor goes on where another one was, without an unmount: the same
 * process after exec(2), with its workers; or a new one with what systemd kept (kept.h),
 * which starts workers of its own, and they answer what the slots hold. */
#ifndef CERTFS_FS_TAKEOVER_H
#define CERTFS_FS_TAKEOVER_H

#include "fs/supervisor_internal.h"

/* Everything out of sup->options->handover but the mapping of the slots. */
void takeover_resume(struct supervisor *sup);
/* The mount and the slots of a supervisor that is gone. False: there are none; what can't
 * be used was taken away. */
bool takeover_kept(struct supervisor *sup);
/* So that the mount outlives this process. */
void takeover_keep(struct supervisor *sup);
void takeover_keep_listeners(const struct supervisor *sup);

#endif
