/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* client_world: the ACME client between a scripted CA and a fs worker that signs and
 * stores what it is asked to. */
#ifndef CERTFS_TESTS_CLIENT_WORLD_H
#define CERTFS_TESTS_CLIENT_WORLD_H

#include "acme/client.h"
#include "scripted_ca.h"

struct said {
	struct said *next;
	enum wire_type type;
	uint32_t job, request;
	enum wire_sign kind;
	unsigned char *bytes;
	size_t size;
};

struct world {
	struct scripted_ca *ca;
	struct http *http;
	struct client *client;
	struct log lg;
	struct secret *key;
	char jwk[512];
	struct said *head, **tail;
	struct wire_message m;       /* to the client */
	char steps[512];             /* what job 1 reported, in order */
	struct wire_failure failure; /* of the job that failed last */
	char *chain[2];
	char token[TOKEN_MAX], authorization[2 * TOKEN_MAX];
	bool token_there, eab_signed;
	unsigned done, failed;
	bool mute; /* the fs worker doesn't answer */
};

struct world *world_new(const struct script *script);
void world_free(struct world *w);
/* Gives the client the job in `w->m.work`, with what is missing filled in. */
void world_begin(struct world *w, uint32_t job);
/* One round: the client's requests, then the fs worker's answers. */
void world_turn(struct world *w);
void world_until_over(struct world *w, unsigned jobs);
/* How an order that stands at `from` fails with this CA. */
struct wire_failure world_failure(const struct script *script, enum order_state from);

#endif
