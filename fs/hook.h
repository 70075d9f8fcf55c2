/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* hook: runs the on-change program, in the announce process.
 *
 * Changes that come within `delay` of the first one are one run; what comes while it runs
 * makes the next one. The program is started with execve(2), never by a shell, in a process
 * group of its own, as root, in "/". It finds
 *
 *   CERTFS_DOMAINS            the domains, parted by blanks, at most 100 KiB of them
 *   CERTFS_DOMAINS_TRUNCATED  1 where they were more
 *   CERTFS_MOUNTPOINT
 *   standard input            all of them, one a line
 *
 * and of our environment PATH, LANG and TZ. What it writes goes to the log, so many lines of
 * it. Past its time limit its group gets SIGTERM, then SIGKILL. When announce is killed, the
 * program gets SIGTERM. */
#ifndef CERTFS_FS_HOOK_H
#define CERTFS_FS_HOOK_H

#include "store/config.h"
#include "store/error.h"
#include "store/log.h"

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

/* How many changes of which no run was told may be handed over. */
#define HOOK_CHANGES_MAX 4096

struct hook;

struct hook_options {
	const struct config *cfg; /* without on-change every run is one of nothing */
	const struct log *lg;
	const char *mountpoint;
	/* A run that took in all changes up to `sequence` is over; `failure` is a sentence, NULL
	 * when there is none. */
	void (*ended)(void *ctx, uint64_t sequence, const char *failure);
	void *ctx;
};

int hook_new(struct hook **h, const struct hook_options *options, struct error *err);
/* A domain changed. `sequence` grows from call to call. */
void hook_add(struct hook *h, const char *domain, uint64_t sequence);
/* What was added and is in no run yet is forgotten; a run that is under way goes on and ends as
 * one that took in changes up to 0. */
void hook_forget(struct hook *h);

/* For the caller's poll: descriptors (-1: none), the time until hook_turn() must be called at
 * the latest (-1: whenever), and what to call after the poll. */
#define HOOK_POLLS 2
void hook_polls(const struct hook *h, struct pollfd polls[HOOK_POLLS]);
int hook_next_ms(const struct hook *h);
void hook_turn(struct hook *h);

/* Gives a run that is under way a moment, then ends it; nobody is told of that one. */
void hook_free(struct hook *h);

#endif
