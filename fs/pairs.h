/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* pairs: who reads which generation, so that a pair is always a pair.
 *
 * Certificate and key are opened one after the other, and a rotation may come in between.
 * So OPEN notes who read what. A thread that has opened one half of a domain's pair (a
 * certificate or the key) and not yet the other has *begun a pair*: for PAIRS_MS from that
 * first open on, the missing half is of the same generation. The same half opened again
 * begins anew, with the generation that is served: who reads certificates only, or keys
 * only, always gets the current one. chain.pem belongs to the pair that was begun and neither
 * begins nor completes one for others; combined.pem is a pair in itself.
 *
 * Some runtimes move a reader to another thread between its two opens (Go). Their threads
 * give themselves away: they begin pairs and never complete them, with either half. In a
 * thread group in which both were seen nobody can tell which two opens belong together, so
 * all pairs that the group has begun are of one generation: the half that it reads first
 * begins one, the other half ends one, and after a rotation a first half is *held* until
 * none is begun any more (or for PAIRS_HOLD_MS, should a half never come). Such a group
 * waits for itself, for the time that one of its pairs takes, once a rotation. (What
 * groups that keep their readers have begun is counted too, so that it is known when they
 * show that they don't; but nothing of theirs waits.)
 *
 * When the inode at hand is of another generation than the opener's, OPEN is answered
 * ESTALE. The kernel then walks the path once more with LOOKUP_REVAL (fs/namei.c,
 * do_filp_open), that LOOKUP names the opener's generation, which was reserved for it
 * together with the OPEN that follows, and the process never sees a thing. The kernel tries
 * again only once, so an OPEN after an ESTALE takes what it finds. No invalidation and no
 * short timeout is needed for any of it. A LOOKUP that names a superseded generation must
 * be answered with no timeout, lest everybody's stat(2) shows it.
 *
 * A mount that knows no OPEN (further.h) is told of each by the GETATTR with which the kernel
 * checks permissions at the end of a path's walk, while names and attributes are handed
 * out with timeout 0: one for each open(2), after the last LOOKUP, and ESTALE there means what
 * it means at OPEN. But stat(2) looks the same. So a file that is met again before anything
 * was read from it was not opened again. What a thread opened before the rotation was not seen,
 * so the first half that comes twice in a row may have completed a pair and begun the next
 * one: only from then on is it known where the thread's pairs begin, and says a half that
 * is abandoned something of its group. Which half a thread begins its pairs with is told by its
 * pauses.
 *
 * A thread that can't be seen (tid 0, of a foreign pid namespace) opens whatever its path
 * led to: the generation that is served, but for the moment of a rotation.
 *
 * The tables are bounded, and stand in memory that outlives the worker (slots.h): a pair
 * begun under a worker that was killed is completed under the next one, and a replayed OPEN
 * gets the answer it got before. Only the device thread uses them. A thread's group is read
 * from /proc at its first OPEN (10 to 15 us) and remembered. */
#ifndef CERTFS_FS_PAIRS_H
#define CERTFS_FS_PAIRS_H

#include "store/domain.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PAIRS_MS      2000
#define PAIRS_HOLD_MS 200
#define PAIRS_HELD    0 /* no generation has this number */

struct pairs;
size_t pairs_size(void);
/* The tables in `memory` (pairs_size() bytes, 8-byte aligned): those of the worker before,
 * or empty ones when there is nothing in it that this version knows. */
struct pairs *pairs_in(void *memory);
/* A new worker, before its first OPEN: the time in which nobody answered doesn't count for
 * the pairs that were begun by then. */
void pairs_resume(struct pairs *p, int64_t now_ms);

/* One OPEN of a served file. */
struct pairs_open {
	pid_t tid;
	uint64_t unique; /* of the request */
	uint32_t number;
	enum file_kind kind;
	uint32_t asked;   /* the generation of the inode at hand */
	uint32_t served;  /* the current one */
	int64_t now_ms;   /* from anywhere, evenly, the same for all workers */
	int64_t now_us;   /* for `by_path` */
	bool hold;        /* it may be held */
	int64_t since_ms; /* for `by_path`: since when opens are seen */
	bool by_path;     /* it is the GETATTR of an open(2), or of a stat(2) */
	pid_t (*group_of)(pid_t tid);
};

/* The generation that the opener gets. When it isn't `asked`, the answer is ESTALE, and it
 * is reserved for the LOOKUP and the OPEN that follow. PAIRS_HELD: ask again after the next
 * OPEN of this domain, and without `hold` once PAIRS_HOLD_MS are over. */
uint32_t pairs_open(struct pairs *p, const struct pairs_open *o);
/* The same when what pairs_open() said is not to be had any more: the pair begins anew. */
uint32_t pairs_open_anew(struct pairs *p, const struct pairs_open *o);
/* The generation that a LOOKUP by thread `tid` is answered with: what was reserved for it,
 * else `served`. */
uint32_t pairs_lookup(const struct pairs *p, pid_t tid, uint32_t number, uint32_t served,
		      int64_t now_ms);

/* For a mount that knows no OPEN. What pairs_open() would say of the walk that the LOOKUP `o`
 * (`asked` doesn't matter) belongs to. */
uint32_t pairs_foresee(struct pairs *p, const struct pairs_open *o);
/* That LOOKUP is answered with `gen`. */
void pairs_name(struct pairs *p, const struct pairs_open *o, uint32_t gen);
/* Does the GETATTR `o` of `o->asked` come from the end of that walk? Then, and only
 * then, ask pairs_open(). Others are of files that are open already. */
bool pairs_arrives(struct pairs *p, const struct pairs_open *o);
/* `o` tells that the thread reads from `o->kind`, whichever generation's. */
void pairs_read(struct pairs *p, const struct pairs_open *o);

/* For pairs_open.group_of: from /proc; the thread itself where that says nothing. */
pid_t pairs_thread_group(pid_t tid);

#endif
