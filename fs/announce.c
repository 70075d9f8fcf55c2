/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/announce.h"

#include "fs/hook.h"
#include "fs/publish_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define MESSAGES_AT_ONCE 16 /* between two looks at the hook */

struct announce {
	const struct announce_options *o;
	struct hook *hook;
	uint64_t epoch; /* 0: no HELLO yet */
	bool ends;
};

static void say(struct announce *a, const struct publish_message *m)
{
	/* When there is no room the fs worker doesn't read; it begins anew. */
	int r = publish_send(a->o->link_fd, m);
	if (r < 0)
		log_warning(a->o->lg, NULL, "the fs worker can't be told: %s",
			    strerror(-r));
}

/* A watcher that reloads at the first event must find all of it, and one that reloads at
 * each has least to do: the certificate, which most watch, comes last. The fs worker
 * serves the new generation from the first rename on. */
static const enum file_kind in_turn[] = {FILE_PRIVKEY, FILE_COMBINED, FILE_CHAIN,
					 FILE_FULLCHAIN, FILE_CERT};

static int rename_names(int dir, unsigned files)
{
	char next[32];
	for (size_t i = 0; i < sizeof(in_turn) / sizeof(in_turn[0]); i++) {
		const char *name = file_name[in_turn[i]];
		if (!(files & (1u << in_turn[i])))
			continue;
		snprintf(next, sizeof(next), ".next.%s", name);
		if (renameat(dir, next, dir, name) != 0)
			return -errno;
	}
	return 0;
}

static void on_names(struct announce *a, const struct publish_message *m)
{
	int folder = open(a->o->mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int dir = folder < 0 ? -1
			     : openat(folder, m->text,
				      O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = dir < 0 ? -errno : rename_names(dir, m->files);
	if (dir >= 0)
		close(dir);
	if (folder >= 0)
		close(folder);
	log_debug(a->o->lg, m->text, "renamed the names of %s: %s", m->text,
		  r < 0 ? strerror(-r) : "done");
	const struct publish_message done = {.type = PUBLISH_DONE,
					     .epoch = m->epoch,
					     .sequence = m->sequence,
					     .result = (uint32_t)-r};
	say(a, &done);
}

static void on_hello(struct announce *a, const struct publish_message *m)
{
	const struct publish_message here = {.type = PUBLISH_HERE, .epoch = m->epoch};
	a->epoch = m->epoch;
	hook_forget(a->hook); /* told again, as far as it still holds */
	say(a, &here);
}

static void on_message(struct announce *a, const struct publish_message *m)
{
	if (m->type == PUBLISH_HELLO)
		on_hello(a, m);
	else if (m->epoch != a->epoch)
		return; /* to a process before this one */
	else if (m->type == PUBLISH_NAMES)
		on_names(a, m);
	else if (m->type == PUBLISH_CHANGED)
		hook_add(a->hook, m->text, m->sequence);
}

static void hear(struct announce *a)
{
	struct publish_message m;
	struct error err;
	int r = 1;
	for (int i = 0; i < MESSAGES_AT_ONCE && r > 0; i++) {
		r = publish_receive(a->o->link_fd, &m, &err);
		if (err.code)
			log_warning(a->o->lg, NULL, "from the fs worker: %s", err.text);
		if (r > 0)
			on_message(a, &m);
	}
	if (r < 0)
		a->ends = true;
}

static void on_hook_ended(void *ctx, uint64_t sequence, const char *failure)
{
	struct announce *a = ctx;
	struct publish_message m = {.type = PUBLISH_HOOK,
				    .epoch = a->epoch,
				    .sequence = sequence,
				    .result = failure ? 1 : 0};
	snprintf(m.text, sizeof(m.text), "%s", failure ? failure : "");
	say(a, &m);
}

static void loop(struct announce *a, int signal_fd)
{
	enum { SIGNAL, LINK, HOOK, POLLS = HOOK + HOOK_POLLS };
	struct pollfd polls[POLLS] = {
	    [SIGNAL] = {.fd = signal_fd, .events = POLLIN},
	    [LINK] = {.fd = a->o->link_fd, .events = POLLIN},
	};
	while (!a->ends) {
		hook_polls(a->hook, &polls[HOOK]);
		if (poll(polls, POLLS, hook_next_ms(a->hook)) < 0)
			continue; /* EINTR; ENOMEM passes */
		if (polls[SIGNAL].revents)
			a->ends = true;
		else if (polls[LINK].revents)
			hear(a);
		hook_turn(a->hook);
	}
}

int announce_run(const struct announce_options *o, struct error *err)
{
	struct announce a = {.o = o};
	const struct publish_message here = {.type = PUBLISH_HERE};
	const struct hook_options hook = {.cfg = o->cfg,
					  .lg = o->lg,
					  .mountpoint = o->mountpoint,
					  .ended = on_hook_ended,
					  .ctx = &a};
	sigset_t term;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	int signal_fd = signalfd(-1, &term, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signal_fd < 0)
		return error_set(err, errno, "signalfd: %s", strerror(errno));
	int r = hook_new(&a.hook, &hook, err);
	if (r == 0) {
		say(&a, &here);
		eventfd_write(o->ready_fd, 1);
		loop(&a, signal_fd);
	}
	hook_free(a.hook);
	close(signal_fd);
	return r;
}
