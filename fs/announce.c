/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/announce.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

int announce_run(const struct announce_options *o, struct error *err)
{
	sigset_t term;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	int signal_fd = signalfd(-1, &term, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signal_fd < 0)
		return error_set(err, errno, "signalfd: %s", strerror(errno));
	eventfd_write(o->ready_fd, 1);
	struct pollfd fds[] = {{.fd = signal_fd, .events = POLLIN}};
	while (poll(fds, 1, -1) <= 0)
		continue;
	close(signal_fd);
	return 0;
}
