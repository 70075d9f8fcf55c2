/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* pairs: who reads which generation, so that a pair is always a pair.
 *
 * A thread that was told by ESTALE to look a name up again has been promised the generation
 * that its next LOOKUP and OPEN of that domain get; the promise is kept here until the
 * OPEN comes, so that a rotation in between doesn't answer ESTALE a second time (the kernel
 * walks a path again only once: fs/namei.c, do_filp_open). Only the device thread uses
 * this; the table is bounded, an entry lives PAIRS_S seconds. */
#ifndef CERTFS_FS_PAIRS_H
#define CERTFS_FS_PAIRS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PAIRS_S 2

struct pairs;
struct pairs *pairs_new(void); /* NULL: no memory */
void pairs_free(struct pairs *p);

/* The generation that a LOOKUP by thread `tid` is answered with, `served` if nothing was
 * promised. `now_ms` counts from anywhere, evenly. */
uint32_t pairs_lookup(struct pairs *p, pid_t tid, uint32_t number, uint32_t served,
		      int64_t now_ms);
/* May thread `tid` open generation `asked`? False: answer ESTALE; the promise is noted. */
bool pairs_open(struct pairs *p, pid_t tid, uint32_t number, uint32_t asked, uint32_t served,
		int64_t now_ms);

#endif
