/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* copied: files that a thread has just opened for reading.
 *
 * mv(1) to another filesystem never asks for a rename: the kernel knows that it can't be, and
 * mv opens the file, copies it and unlinks it. To unlink a served name means something else
 * (a custom certificate is taken away, or nothing at all), so such a move would be half done.
 * What tells it from rm(1) is that the very thread that unlinks has opened the file within
 * the last COPIED_S seconds. Only the device thread uses this; an entry may be lost to another
 * one of the same place. */
#ifndef CERTFS_FS_COPIED_H
#define CERTFS_FS_COPIED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define COPIED_S      5
#define COPIED_PLACES 1024

struct copied {
	struct {
		pid_t tid;
		uint32_t number;
		unsigned what;
		int64_t until_ms;
	} place[COPIED_PLACES];
};

/* The thread has opened the file `what` (a node's kind and index, node.h) of a domain. */
void copied_note(struct copied *c, pid_t tid, uint32_t number, unsigned what,
		 int64_t now_ms);
/* Has it, a moment ago? */
bool copied_has(const struct copied *c, pid_t tid, uint32_t number, unsigned what,
		int64_t now_ms);

#endif
