/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* listen: the http-01 listener's sockets, bound while root is there.
 *
 * Sockets that systemd passes (sd_listen_fds(3)) stand for those of the configuration:
 * those of a socket unit, and those that a supervisor which was killed had bound (kept.h).
 * "0.0.0.0:80" and "[::]:80" go side by side: an IPv6 socket takes IPv6 only. */
#ifndef CERTFS_FS_LISTEN_H
#define CERTFS_FS_LISTEN_H

#include "store/config.h"
#include "store/error.h"
#include "store/log.h"

#include <stdbool.h>
#include <stddef.h>

struct listeners {
	int fd[CONFIG_LIST_MAX];
	size_t count;
	bool inherited;
};

/* "ADDRESS:PORT" with an IPv6 address in brackets; "none" binds nothing. EINVAL: no
 * address; EADDRINUSE: with what to do. An IPv6 address on a machine without IPv6 is a
 * warning. On failure nothing is left open. */
int listen_open(struct listeners *l, const struct config_list *addresses,
		const struct log *lg, struct error *err);
void listen_close(struct listeners *l);

#endif
