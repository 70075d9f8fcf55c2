/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* rotation: how a domain's new generation comes into force on a read-only mount.
 *
 * There no OPEN tells who reads what: names, attributes and pages are in the kernel's caches,
 * and a reader asks for nothing. So a rotation has three steps. *Armed*: the domain's
 * entries are invalidated, and from then on handed out with timeout 0, entries and attributes,
 * so that each walk of a path brings a LOOKUP, and each open(2) a GETATTR after it, with
 * the reader's thread; the old generation goes on being named. After ROTATION_STEP_MS,
 * when everybody who had begun a pair out of the caches is through, *switched*: the new one is
 * named, but to a thread within a pair (pairs.h).
 * After as long again the entry is forgotten: LOOKUPs name the generation that is served,
 * with long timeouts. A generation that comes while the domain is armed takes part in the
 * switch to come; one that comes after the switch is named at once, since the readers are
 * known already, and the last step begins anew.
 *
 * Nothing has to happen at the steps' moments: each LOOKUP looks at the clock. The table is
 * bounded, and stands in memory that outlives the worker (slots.h); what has no room in it
 * is switched at once. Not thread-safe: the device thread asks and the notify thread begins,
 * behind a lock of the connection's (further.c). */
#ifndef CERTFS_FS_ROTATION_H
#define CERTFS_FS_ROTATION_H

#include "store/domain.h"

#include <stdbool.h>
#include <stdint.h>

#define ROTATION_STEP_MS 10000

struct rotations;
size_t rotations_size(void);
/* The table in `memory` (rotations_size() bytes, 8-byte aligned): that of the worker before,
 * or an empty one when there is nothing in it that this version knows. */
struct rotations *rotations_in(void *memory);

/* `number` serves another generation than `before`, from now on. To be called before the
 * entries are invalidated. */
void rotation_begin(struct rotations *rs, uint32_t number, uint32_t before,
		    int64_t now_ms);

enum rotation_step { ROTATION_NONE, ROTATION_ARMED, ROTATION_SWITCHED };
/* Where `number` stands; in ROTATION_ARMED *before is the generation to name. *since_ms: when
 * it was armed. */
enum rotation_step rotation_of(struct rotations *rs, uint32_t number, int64_t now_ms,
			       uint32_t *before, int64_t *since_ms);

/* When an armed `number` is switched; 0: it isn't armed. */
int64_t rotation_switch_ms(struct rotations *rs, uint32_t number, int64_t now_ms);

#endif
