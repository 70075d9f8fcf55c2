/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/lifeline.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <unistd.h>

struct hold {
	int fd;
	int failed;
	sem_t begun;
};

int lifeline_open(int *watched, int *held, struct error *err)
{
	int made[2];
	if (pipe2(made, O_CLOEXEC | O_NONBLOCK) != 0)
		return error_set(err, errno, "cannot make a pipe: %s", strerror(errno));
	*watched = made[0];
	*held = made[1];
	return 0;
}

/* What is above isn't even copied into the new table (fs/file.c, close_range). */
static int keep_only(int fd)
{
	unsigned int kept = (unsigned int)fd;
	if (close_range(kept + 1, ~0U, CLOSE_RANGE_UNSHARE) != 0)
		return errno;
	if (kept > 0 && close_range(0, kept - 1, 0) != 0)
		return errno;
	return 0;
}

static void *hold(void *arg)
{
	struct hold *h = arg;
	pthread_setname_np(pthread_self(), "certfs: life");
	int failed = h->failed = keep_only(h->fd);
	sem_post(&h->begun); /* from now on it is gone */
	while (!failed)
		pause();
	return NULL;
}

int lifeline_hold(int held, struct error *err)
{
	struct hold h = {.fd = held};
	pthread_t thread;
	if (fcntl(held, F_GETFD) < 0)
		return error_set(err, errno, "the supervisor gave no lifeline: %s",
				 strerror(errno));
	sem_init(&h.begun, 0, 0);
	h.failed = pthread_create(&thread, NULL, hold, &h);
	if (!h.failed) {
		pthread_detach(thread);
		while (sem_wait(&h.begun) != 0)
			continue;
	}
	sem_destroy(&h.begun);
	close(held);
	return h.failed
		   ? error_set(err, h.failed, "starting the thread of the lifeline: %s",
			       strerror(h.failed))
		   : 0;
}
