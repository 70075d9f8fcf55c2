/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* The parts of the engine among themselves; nobody else includes this.
 *
 *   engine.c          the queue, the plan, what the store thread calls
 *   engine_decide.c   what is to be done for one domain, from its state alone
 *   engine_below.c    the names that fall back on another directory's certificate
 *   engine_order.c    orders in flight: what waits, what runs, the link
 *   engine_answer.c   what the net worker says of a job, and how an order ends
 *   engine_account.c  the account and what is signed with its key
 *
 * What must survive a crash is in the store: the queue, the orders, the back-off, the
 * plan. What stands in `struct engine` can be lost: it is built anew from the stored
 * orders after the next WIRE_HELLO_ACK. */
#ifndef CERTFS_ACME_ENGINE_INTERNAL_H
#define CERTFS_ACME_ENGINE_INTERNAL_H

#include "acme/engine.h"
#include "acme/wire.h"
#include "store/account.h"
#include "store/order.h"

#define ENGINE_BATCH 32 /* domains decided in one transaction */
/* orders remembered that wait for a place; a walk finds more */
#define ENGINE_WAITING 4096

/* What became of a domain that was due. */
struct decision {
	uint32_t number;
	struct name name;
	bool start;   /* its stored order is to run */
	bool drop;    /* what runs for it is no longer wanted */
	bool staged;  /* another generation is to be served */
	bool state;   /* what its status says has changed */
	bool dropped; /* a half of a pair that waited too long, as `why` says */
	char why[sizeof(((struct domain *)0)->refused)];
	struct error error; /* it could not be decided; put off */
};

/* `id` names the job on the link: never the same for two orders of an epoch, so that what
 * is still said of a dropped order is not taken for its successor's. */
struct engine_job {
	uint32_t id, number;
};

/* A name that another directory's change gave another generation. */
struct below {
	uint32_t number, gen;
};
#define ENGINE_BELOW_MAX 250

struct engine {
	struct db *db;
	const struct config *cfg;
	struct clock *clk;
	const struct log *lg;
	struct engine_hooks hooks;

	struct wire_link *link; /* NULL: orders nothing */
	uint64_t epoch;
	bool acknowledged; /* the net worker has echoed `epoch` */
	bool closed;       /* the link's other end is gone for good */
	struct wire_message *out;

	struct engine_job *job; /* room for cfg->orders_at_once */
	uint32_t jobs, last_id;
	uint32_t waiting[ENGINE_WAITING]; /* a ring of domain numbers */
	size_t waiting_first, waiting_count;
	bool walking; /* stored orders above `walk_after` were not looked at yet */
	bool walk_again;
	uint32_t walk_after;

	bool planning;          /* the plan's walk over all domains is not over */
	int64_t planned_s;      /* the clock as it stands in the stored plan */
	int64_t seen_s;         /* the clock at the last look */
	int64_t pause_until_ms; /* CLOCK_MONOTONIC: the store failed, try again then */
	bool failing;           /* it has, and no write has succeeded since */

	struct account account; /* key NULL: not loaded yet */
	char jwk[512];
	struct secret *eab_key;
	char eab_error[300]; /* why it could not be read; "" */

	struct decision decision[ENGINE_BATCH];
	size_t decisions;

	struct below below[ENGINE_BELOW_MAX]; /* not told yet */
	size_t belows;
};

/* engine.c */
/* The failure is the store's, not that of what was to be stored. */
bool engine_store_failed(const struct error *err);
/* The store failed: nothing is tried for some seconds, so that a full disk is no loop. */
void engine_pause(struct engine *e, const struct error *err);
bool engine_paused(const struct engine *e);
/* Other domains may fall back on what `d` serves: they are looked at. */
int engine_touch_below_in(struct engine *e, struct txn *txn, const struct domain *d,
			  int64_t now_s, struct error *err);
/* After the commit: logs, drops, starts and tells what a decision says. */
void engine_carry_out(struct engine *e, const struct decision *d);

/* Names that an order asks for: the domain's own, then its aliases. */
struct engine_names {
	struct name name[DOMAIN_ALIASES_MAX + 1];
	size_t count;
};

/* engine_decide.c */
/* Decides for `number` and sets when it is due again. */
int engine_decide_in(struct engine *e, struct txn *txn, uint32_t number, int64_t now_s,
		     struct decision *out, struct error *err);
/* Stores a new order with a new key. `names` as in struct order. */
int engine_begin_in(struct engine *e, struct txn *txn, const struct domain *d,
		    const char *names, int64_t now_s, struct error *err);
/* The identifiers that an order for `d` asks for, in the form of struct order. */
int engine_names_in(const struct engine *e, struct txn *txn, const struct domain *d,
		    char *names, size_t capacity, struct error *err);
int engine_names_parse(const char *text, struct engine_names *names, struct error *err);
/* Whether a certificate can be ordered for `name`; when not, *why is a sentence. */
bool engine_orderable(const struct engine *e, const struct name *name, const char **why);
/* There is a CA to order from. */
bool engine_orders(const struct engine *e);
/* The certificate that is in force is somebody's own. */
int engine_custom_in(struct txn *txn, uint32_t number, bool *custom, struct error *err);
/* The moment as people read it; `out` has 24 bytes. */
void engine_time_text(int64_t at_s, char *out);

/* engine_below.c */
/* Serves at once what names below `d` fall back on, of as many as a transaction should bear:
 * those up to number *after; *all: that is all of them. engine_tell() tells of it. */
int engine_below_in(struct engine *e, struct txn *txn, const struct domain *d,
		    int64_t now_s, uint32_t *after, bool *all, struct error *err);

/* engine_order.c */
void engine_hear(struct engine *e);
/* New epoch: what runs is forgotten and begins anew from the stored orders. */
void engine_hello(struct engine *e);
/* The order of `number` waits for a place (`first`: before all others). */
void engine_wait(struct engine *e, uint32_t number, bool first);
/* Starts what waits while there is room. */
void engine_fill(struct engine *e);
/* There is room, and something may wait for it. */
bool engine_hungry(const struct engine *e);
/* The order of `number` is no longer wanted: whoever works on it is told. */
void engine_drop(struct engine *e, uint32_t number);
const struct engine_job *engine_job_of(const struct engine *e, uint32_t number);
/* Sends; a link that takes no more is begun anew. */
void engine_send(struct engine *e);

/* All stored orders are looked at once more. */
void engine_walk(struct engine *e);
/* Takes the job out; the net worker is not told. */
void engine_forget(struct engine *e, uint32_t number);
/* `out`, emptied and begun anew. */
struct wire_message *engine_message(struct engine *e, enum wire_type type, uint32_t job);
void engine_random(void *out, size_t size);

/* engine_answer.c */
void engine_job_message(struct engine *e, const struct wire_message *m);
/* The order can't be gone on with, for a reason of ours: it is begun anew, under back-off. */
void engine_order_broken(struct engine *e, uint32_t number, const char *what,
			 const struct error *why);

/* engine_account.c */
/* Loads the account, or makes and stores its key. */
int engine_account_load(struct engine *e, struct error *err);
void engine_account_contact(const struct config *cfg, char *out, size_t capacity);
int engine_eab_read(struct engine *e, struct error *err);
/* An account can't be made: its external account is configured and can't be read. */
bool engine_eab_missing(const struct engine *e);
/* Signs what the net worker asks for; EPERM for what it has no business to ask. `out` has
 * 64 bytes. */
int engine_sign(struct engine *e, enum wire_sign kind, const unsigned char *input,
		size_t size, unsigned char *out, size_t *out_size, struct error *err);

#endif
