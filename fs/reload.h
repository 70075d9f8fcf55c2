/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* reload: how the supervisor makes everything run the binary on disk, with the configuration
 * on disk.
 *
 * First a probe: that binary, started beside the others, reads that configuration, the
 * slots and a handover as it would have to, and says so. Where it doesn't, nothing
 * changes. Then each worker is drained and started anew, one after the other. Then, when
 * the binary is another one than the supervisor's own, the supervisor execs it: same
 * process, same descriptors, same workers. How it went stands in the slots (slots.h),
 * from which .certfs/status.json tells it.
 *
 * A new worker that ends before it serves ends the reload with an error; all workers are
 * then started from the binary that the supervisor itself runs, with the configuration
 * from before. */
#ifndef CERTFS_FS_RELOAD_H
#define CERTFS_FS_RELOAD_H

#include "fs/supervisor_internal.h"

/* SIGHUP. One that comes while a reload is under way makes another one after it. */
void reload_ask(struct supervisor *sup);
/* The probe has ended; its time is over. */
void reload_probed(struct supervisor *sup);
void reload_overdue(struct supervisor *sup);
/* A child serves; a child ended before it ever served. */
void reload_served(struct supervisor *sup, const struct child *c);
void reload_failed(struct supervisor *sup, const struct child *c,
		   const struct error *why);
/* Everything serves (for the first time, or this is the process after exec(2)). */
void reload_ready(struct supervisor *sup);

#endif
