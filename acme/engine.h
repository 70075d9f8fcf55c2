/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* engine: from due to order to generation, in the fs worker's store thread.
 *
 * Sleeps until the head of DB_DUE, and hears the net worker over the link. For a domain that
 * is due it decides what to do from the domain's state alone: choose anew what is served
 * (an expiry), renew the fallback, go on with an order, begin one, or nothing. An order is
 * begun when the name is installed, a public or configured CA may certify it, its policy
 * (store/policy.h) leaves it managed, no custom certificate is in force, and the managed one is absent, within its renewal time (30 days
 * or a third of its lifetime before its end, half where the lifetime is below 10 days), or
 * does not cover the aliases. At most `orders-at-once` run; the others wait in the queue.
 *
 * Keeps the account (one a CA; its key never leaves this process) and signs what the net
 * worker asks for. Failures back off 1 min, 10 min, 100 min, then a day, with jitter,
 * never below a Retry-After, in the store. WIRE_INPUT goes straight to a day.
 *
 * All calls come from the store thread. Functions named *_in work inside the caller's write
 * transaction. */
#ifndef CERTFS_ACME_ENGINE_H
#define CERTFS_ACME_ENGINE_H

#include "store/clock.h"
#include "store/config.h"
#include "store/db.h"
#include "store/domain.h"
#include "store/generation.h"
#include "store/log.h"

struct engine;

struct engine_hooks {
	void *ctx;
	/* The state of `number` changed; called after the commit. */
	void (*changed)(void *ctx, uint32_t number);
	/* Another generation is to be served for `number`, and is staged (generation.h):
	 * whoever serves publishes it. Called after the commit. */
	void (*staged)(void *ctx, uint32_t number);
};

struct engine_options {
	struct db *db;
	const struct config *cfg;
	struct clock *clk;
	const struct log *lg;
	int link_fd; /* to the net worker; -1: orders nothing (tests) */
	struct engine_hooks hooks;
};

int engine_new(struct engine **e, const struct engine_options *options,
	       struct error *err);
void engine_free(struct engine *e);

/* For the store thread's poll: the link's events (0: it is not to be polled, its other end
 * is gone), and how long to sleep at most (an hour). Also wakes through clock_fd(), which is
 * the caller's to poll and, with clock_refresh(), to take in before engine_run(). */
short engine_events(const struct engine *e);
int engine_next_ms(const struct engine *e);
/* Does all that is due and hears all that was said; `revents` of the link. */
void engine_run(struct engine *e, short revents);

/* Renewal time of a generation by the rules above, `before_days` (policy_before_days()) instead
 * of 30; one that was installed late in its life is first left in peace for a third of what
 * remained. */
int64_t engine_renew_at_s(uint32_t before_days, const struct generation *g);

/* In the transaction that did it: something about `number` changed (its policy, an alias added
 * or removed, a custom certificate about to go): plan it anew, due now. */
int engine_touch_in(struct txn *txn, uint32_t number, int64_t now_s, struct error *err);

/* As engine_touch_in() for a change of what `d` serves, or of whether it is installed. Where
 * others fall back on it (`fallback/`, a wildcard), they serve it with the same commit: of the
 * first 1,000 domains up to 250; the engine goes through the others in the background. */
int engine_touch_served_in(struct engine *e, struct txn *txn, const struct domain *d,
			   int64_t now_s, struct error *err);
/* After the commit, whether it succeeded or not: calls the hooks, both, for each name that
 * engine_touch_served_in() gave another generation. */
void engine_tell(struct engine *e);

/* rm of a custom certificate takes effect after this many seconds (domain.remove_custom_s). */
#define ENGINE_REMOVAL_S 5

/* `touch cert.pem`: renew now, whatever the back-off says; EPERM with a reason where a custom
 * certificate is in force or no CA can certify the name. */
int engine_renew_in(struct engine *e, struct txn *txn, uint32_t number,
		    struct error *err);

/* A certificate within its renewal time was read: moves it to the front of the queue unless
 * a back-off holds it. Cheap when there is nothing to do. */
void engine_read(struct engine *e, uint32_t number);

/* Orders that the net worker has now. */
uint32_t engine_in_flight(const struct engine *e);

#endif
