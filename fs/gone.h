/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* gone: served names that a thread has just unlinked.
 *
 * install(1), and mv(1) from another filesystem, unlink a name and create it anew with
 * O_EXCL. Served names are always there for everybody else, but the one who unlinked must
 * find his gone for GONE_S seconds, or until he creates it. FILE_KINDS stands for policy. Only
 * the device thread uses this; the table is a ring. */
#ifndef CERTFS_FS_GONE_H
#define CERTFS_FS_GONE_H

#include "store/domain.h"

#include <stdbool.h>
#include <sys/types.h>

#define GONE_S       5
#define GONE_PLACES  256
#define GONE_ANYBODY 0 /* no thread: noted for all */

struct gone {
	struct {
		pid_t tid;
		uint32_t number;
		enum file_kind kind;
		int64_t until_ms;
	} place[GONE_PLACES];
	unsigned next;
};

/* The thread has unlinked it. A flood of unlinks forgets the oldest. */
void gone_note(struct gone *g, pid_t tid, uint32_t number, enum file_kind kind,
	       int64_t now_ms);
/* Must this thread find it gone? */
bool gone_has(const struct gone *g, pid_t tid, uint32_t number, enum file_kind kind,
	      int64_t now_ms);
/* It has created it anew. */
void gone_forget(struct gone *g, pid_t tid, uint32_t number, enum file_kind kind);

#endif
