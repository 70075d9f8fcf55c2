/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* engine_world: an engine with its store, a clock that can be turned, and what stands
 * around it: a net worker's end of the link, a CA, people with files. */
#ifndef CERTFS_TESTS_ENGINE_WORLD_H
#define CERTFS_TESTS_ENGINE_WORLD_H

#include "acme/engine.h"
#include "acme/wire.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DAY    86400
#define CA_URL "https://ca.example.net/directory"
#define JOBS   64

/* What the net worker was told to do. */
struct told {
	uint32_t id;
	unsigned int epoch;
	char names[4096], order_url[URL_MAX], kid[URL_MAX];
	char preferred_chain[POLICY_CHAIN_MAX];
	enum order_state state;
	unsigned char csr[2048];
	size_t csr_size;
	bool dropped, over;
};

struct world {
	char dir[64], offset_path[96];
	int fds[2];
	struct db *db;
	struct clock *clk;
	struct log lg;
	struct config cfg;
	struct engine *e;
	unsigned int changed, staged;

	struct wire_link *net;
	struct wire_message *m;
	struct told told[JOBS];
	size_t count;
	unsigned int hellos, stored;
	/* WIRE_ANSWERS since the last WIRE_HELLO: how many, how many tokens, the last
	 * one. */
	unsigned int answers;
	size_t answer_tokens;
	struct wire_token answer;
	bool answers_over;
	unsigned char signature[64];
	size_t signature_size;

	EVP_PKEY *ca_key;
	X509 *ca;
};

/* Fails the test with the error. */
void ok(int rc, const struct error *err);
int64_t now(const struct world *w);

/* The chain for the request of `t`, or for `key` and `san` where they are given. */
char *issue(struct world *w, const struct told *t, EVP_PKEY *key, const char *san,
	    int64_t from_s, int64_t to_s);

/* The net worker says something: message(), what it holds, say(). */
struct wire_message *message(struct world *w, enum wire_type type, uint32_t job);
void say(struct world *w);

/* Until there is nothing left to do at this hour. */
void turn(struct world *w);

/* The job that runs for `names`; NULL: none. */
struct told *job_for(struct world *w, const char *names);
struct told *need_job(struct world *w, const char *names);

/* How a job goes on and ends. */
void done(struct world *w, struct told *t, const char *chain);
void done_for_days(struct world *w, struct told *t, int days);
void failed(struct world *w, struct told *t, enum wire_verdict verdict,
	    int64_t retry_after_s, const char *text);
void state(struct world *w, const struct told *t, enum order_state s, const char *url);

/* The clock is so much ahead of the system's. */
void clock_turn(struct world *w, int64_t offset_s);

/* The fs worker dies and another one takes over, with the store as it is on disk. */
void engine_restart(struct world *w);

/* For cmocka: *state is a struct world. */
int setup(void **state_out);
int teardown(void **state_in);

struct act {
	struct world *w;
	const char *name, *other;
	uint32_t number;
	int64_t from_s, to_s;
};

/* What people do in the mount: a function below, in a transaction. 0 or -EPERM. */
int act(struct world *w, db_change *change, struct act *a);
uint32_t make(struct world *w, const char *name);
int rmdir_in(struct txn *txn, void *arg, struct error *err);
int alias_in(struct txn *txn, void *arg, struct error *err);
int custom_in(struct txn *txn, void *arg, struct error *err);
int uncustom_in(struct txn *txn, void *arg, struct error *err);
int renew_in(struct txn *txn, void *arg, struct error *err);
int later_in(struct txn *txn, void *arg, struct error *err);

/* What is stored of a domain. */
struct seen {
	struct domain d;
	struct current c;
	struct generation g;
	bool ordered;
	enum order_state state;
	int64_t due_s;
};
struct seen look(struct world *w, const char *name);
int token_seen(struct world *w, const char *token);
/* `wait_s` is `middle_s`, give or take some tenths of it and 5 s. */
void in_about(int64_t wait_s, int64_t middle_s, int64_t tenths);

#endif
