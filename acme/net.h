/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* net: the net worker's process.
 *
 * Holds: its end of the link, the listening sockets, network. User: `net-user`. Must never
 * hold: the store, a private key, the account's key, /dev/fuse. Ends when the link is
 * closed for good (the supervisor is gone) or at SIGTERM. */
#ifndef CERTFS_ACME_NET_H
#define CERTFS_ACME_NET_H

#include "store/config.h"
#include "store/log.h"

/* Runs until the end; returns 0 or -errno. Called after privileges were dropped, except that
 * `confine` (may be NULL) is called once everything was opened: it takes away the rest.
 * `signal_fd` is a signalfd with SIGTERM. */
struct net_options {
	const struct config *cfg;
	const struct log *lg;
	int link_fd;
	int signal_fd;
	const int *listen_fds;
	size_t listen_count;
	int (*confine)(void *ctx, struct error *err);
	void *confine_ctx;
};
int net_run(const struct net_options *options, struct error *err);

#endif
