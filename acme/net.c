/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "acme/net.h"

#include "acme/client.h"
#include "acme/http.h"
#include "acme/http01.h"
#include "acme/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How long a CA that was told to look may take, while a new fs worker comes up. */
#define KEEP_S 600

struct net {
	const struct net_options *options;
	struct http *http;
	struct http01 *listener;
	struct client *client;
	struct wire_link *link;
	struct wire_message *out; /* our own messages */
	struct error broken;      /* code 0: the link works */
	bool listening;           /* the answers of stored orders are here */
};

static void say(void *ctx, const struct wire_message *m)
{
	struct net *n = ctx;

	/* A fs worker that missed a message waits for it for ever: end, so that both
	 * begin anew. */
	if (n->broken.code == 0 && wire_link_send(n->link, m, &n->broken) == 0)
		n->broken.code = 0;
}

static void say_own(struct net *n, enum wire_type type, uint64_t epoch)
{
	memset(n->out, 0, offsetof(struct wire_message, storage));
	n->out->type = type;
	n->out->epoch = epoch;
	say(n, n->out);
}

static void token_add(void *ctx, uint32_t job, const struct wire_token *token)
{
	struct net *n = ctx;

	http01_add(n->listener, job, token);
}

static void token_del(void *ctx, uint32_t job)
{
	struct net *n = ctx;

	http01_del(n->listener, job);
}

static void answers(struct net *n, const struct wire_message *m)
{
	for (size_t i = 0; i < m->tokens; i++)
		http01_add(n->listener, 0, &m->token[i]);
	http01_keep(n->listener, KEEP_S);
	if (m->tokens < WIRE_TOKENS_MAX)
		n->listening = true;
}

static void hello(struct net *n, const struct wire_message *m)
{
	const uint64_t epoch = m->epoch;

	/* What waits was meant for the one before. */
	wire_link_forget(n->link);
	http01_keep(n->listener, KEEP_S);
	client_message(n->client, m);
	say_own(n, WIRE_HELLO_ACK, epoch);
}

static int hear(struct net *n, struct error *err)
{
	struct wire_message *m;
	int r;

	for (;;) {
		r = wire_link_receive(n->link, &m, err);
		if (r == -EPROTO) {
			log_warning(n->options->lg, NULL,
				    "a message of the fs worker was left out: %s",
				    err->text);
			continue;
		}
		if (r < 0)
			return r == -EAGAIN ? 0 : r;
		if (m->type == WIRE_HELLO)
			hello(n, m);
		else if (m->type == WIRE_ANSWERS)
			answers(n, m);
		else
			client_message(n->client, m);
	}
}

static int sooner(int a_ms, int b_ms)
{
	if (a_ms < 0 || b_ms < 0)
		return a_ms < 0 ? b_ms : a_ms;
	return a_ms < b_ms ? a_ms : b_ms;
}

/* 0 to go on, 1 at the end, or what failed. */
static int turn(struct net *n, struct error *err)
{
	struct pollfd fds[2 + HTTP01_SOCKETS_MAX];
	const int wait_ms =
	    sooner(client_next_ms(n->client), http01_timeout_ms(n->listener));
	unsigned count = 2;
	int r;

	fds[0] = (struct pollfd){.fd = n->options->link_fd,
				 .events = wire_link_events(n->link)};
	fds[1] = (struct pollfd){.fd = n->options->signal_fd, .events = POLLIN};
	if (n->listening)
		count += http01_fds(n->listener, fds + 2);
	r = http_run(n->http, fds, count, wait_ms, err);
	if (r < 0)
		return r;
	if (fds[1].revents)
		return 1;
	if (fds[0].revents & POLLOUT)
		r = wire_link_flush(n->link, err);
	if (r == 0 && (fds[0].revents & ~POLLOUT))
		r = hear(n, err);
	if (r == -EPIPE)
		return 1;
	if (r < 0)
		return r;
	if (n->listening)
		http01_run(n->listener);
	client_run(n->client);
	if (n->broken.code == EPIPE)
		return 1;
	return n->broken.code ? error_set(err, n->broken.code, "%s", n->broken.text) : 0;
}

static int open_all(struct net *n, struct error *err)
{
	const struct net_options *o = n->options;
	const char *roots = o->cfg->roots_file;
	const struct client_hooks hooks = {
	    .ctx = n, .send = say, .token_add = token_add, .token_del = token_del};
	int r;

	n->out = malloc(sizeof(*n->out));
	if (!n->out)
		return error_set(err, ENOMEM, "no memory for the net worker");
	r = wire_link_new(&n->link, o->link_fd, err);
	if (r == 0)
		r = http_new(&n->http, roots && *roots ? roots : NULL, o->cfg->timeout_s,
			     o->lg, err);
	if (r == 0)
		r = http01_new(&n->listener, o->listen_fds, o->listen_count, o->lg, err);
	if (r == 0)
		r = client_new(&n->client, n->http, &hooks, o->lg, err);
	return r;
}

int net_run(const struct net_options *options, struct error *err)
{
	struct net n = {.options = options};
	int r = open_all(&n, err);

	if (r == 0 && options->confine)
		r = options->confine(options->confine_ctx, err);
	if (r < 0)
		goto out;
	say_own(&n, WIRE_READY, 0);
	do
		r = turn(&n, err);
	while (r == 0);
	if (r > 0)
		r = 0;
out:
	client_free(n.client);
	http01_free(n.listener);
	http_free(n.http);
	wire_link_free(n.link);
	free(n.out);
	return r;
}
