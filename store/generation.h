/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* generation: one leaf, chain and key that belong together, immutable, numbered per domain.
 *
 * A generation never changes once it is stored. Which one is *served* is the row of
 * DB_CURRENT: it names the newest generation of each source, and the one that was chosen
 * among them (current_choose). Installing, issuing and falling back only change that row:
 * one transaction. Intermediates are stored once for all domains, by digest.
 *
 * The files of a generation are derived from it, except those that somebody wrote: their
 * bytes are kept as written, so that what was written is read back. */
#ifndef CERTFS_STORE_GENERATION_H
#define CERTFS_STORE_GENERATION_H

#include "store/domain.h"
#include "store/x509.h"

enum source { SOURCE_SELF_SIGNED = 1, SOURCE_WILDCARD, SOURCE_MANAGED, SOURCE_CUSTOM };
/* "self-signed fallback", "wildcard fallback", "managed", "custom" */
const char *source_name(enum source source);

#define GENERATION_MAX ((1U << 24) - 1) /* the room in a node id */

struct generation {
	uint32_t number, gen;
	enum source source;
	int64_t installed_s;
	struct cert_info info;
	uint64_t size[FILE_KINDS]; /* exact, of each file */
	char warning[256];         /* as pair.warning */
	/* the CA's directory URL, or "cp by uid 1000", or a name */
	char origin[256];
	bool chain_empty;
	unsigned char names[DOMAIN_DIGEST]; /* domain_digest() when it was added */
};

/* "generation 8 of app.example.com serves (managed, until 2026-03-01)" */
void generation_describe(const struct generation *g, const char *name, char *out,
			 size_t room);

int generation_get(struct txn *txn, uint32_t number, uint32_t gen, struct generation *g,
		   struct error *err);
/* The content of one of its files; the caller frees. */
int generation_read(struct txn *txn, uint32_t number, uint32_t gen, enum file_kind kind,
		    struct secret **content, struct error *err);
/* The same where somebody wrote it, else *content is NULL. */
int generation_written(struct txn *txn, uint32_t number, uint32_t gen,
		       enum file_kind kind, struct secret **content, struct error *err);
/* The pair as checked structures (leaf, chain, key). pair_clear() frees. */
int generation_pair(struct txn *txn, uint32_t number, uint32_t gen, struct pair *pair,
		    struct error *err);

/* What somebody wrote, by file; NULL where nothing was written. */
struct written {
	const struct secret *file[FILE_KINDS];
};

/* Stores a new generation and names it as the newest of its source; serves nothing yet.
 * Prunes as generation_prune() does. */
int generation_add(struct txn *txn, uint32_t number, const struct pair *pair,
		   enum source source, const struct written *written, const char *origin,
		   int64_t now_s, uint32_t keep, uint32_t *gen, struct error *err);

/* Takes away what is older than `keep` generations, never one that DB_CURRENT names or whose
 * watchers were not told yet (owed.h), and none whose successor is younger than
 * GENERATION_SPARE_S: whoever has read half of a pair may still come for the other half.
 * *again_s is when to look for the next one that may go (INT64_MAX: none). */
#define GENERATION_SPARE_S 4
int generation_prune(struct txn *txn, uint32_t number, int64_t now_s, uint32_t keep,
		     int64_t *again_s, struct error *err);

/* DB_CURRENT. 0 is "none". */
struct current {
	uint32_t served;
	uint32_t staged; /* chosen, and not served yet: current_switch() */
	uint32_t newest[SOURCE_CUSTOM + 1]; /* by source; an entry of 0: none */
	/* reminders went unheeded: an expired managed certificate gives way */
	bool unheeded;
};

/* No row: all 0, returns 0. A new managed generation sets `unheeded` back. */
int current_get(struct txn *txn, uint32_t number, struct current *c, struct error *err);
int current_put(struct txn *txn, uint32_t number, const struct current *c,
		struct error *err);

/* When a new choice is served: at once, or once it was published (current_switch). The
 * first generation of a domain is always served at once. */
enum serve { SERVE_NOW, SERVE_STAGED };

/* Chooses anew what `number` serves at `now_s` (the first valid one of custom, managed,
 * wildcard, self-signed; an expired managed one while its reminders are heeded) and writes
 * it to DB_CURRENT when it differs from the last choice; *changed tells, *until_s is when the
 * choice can change by itself (an expiry; INT64_MAX: never). A change is noted in DB_OWED,
 * unless it is the domain's first, and one that is served at once in DB_CHANGED. Where nothing
 * is valid, what is there is served all the same. EINVAL when there is nothing at all. */
int current_choose(struct txn *txn, uint32_t number, int64_t now_s, enum serve how,
		   bool *changed, int64_t *until_s, struct error *err);

/* Serves what is staged, and notes that in DB_CHANGED: *serial as of changed_mark(), 0 when
 * nothing is staged, which is no error. */
int current_switch(struct txn *txn, uint32_t number, uint64_t *serial, struct error *err);

/* The last choice: what is served, or staged to be. */
static inline uint32_t current_chosen(const struct current *c)
{
	return c->staged ? c->staged : c->served;
}

/* The custom certificate is taken away (rm): its newest entry becomes 0. ENOENT: none. */
int current_drop_custom(struct txn *txn, uint32_t number, struct error *err);

/* Makes sure that a usable pair exists: a wildcard fallback that covers the name (copied),
 * the pair of `fallback/` when somebody put one there, else a self-signed one for the name
 * and its aliases, made again when it is within 30 days of its end or when the aliases
 * changed. Then chooses; *until_s is also the time at which a self-signed pair that is
 * served must be made again. A wildcard counts while its directory is installed and serves a
 * custom or managed certificate. Used by mkdir, ln -s, and the engine. */
int generation_fallback(struct txn *txn, uint32_t number, int64_t now_s, uint32_t keep,
			enum serve how, bool *changed, int64_t *until_s,
			struct error *err);

/* The kept generations of `number`, newest first; `out` has `room` places. */
int generation_list(struct txn *txn, uint32_t number, uint32_t *out, size_t room,
		    size_t *count, struct error *err);

#endif
