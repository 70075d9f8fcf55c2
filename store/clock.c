/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define OFFSET_MAX_S (INT64_C(1000) * 366 * 24 * 3600) /* sums stay within an int64_t */

struct clock {
	_Atomic int64_t offset_s;
	int file;   /* -1: no offset */
	int watch;  /* inotify on it */
	int timer;  /* cancelled when the system's clock is set */
	int either; /* an epoll of both, for one descriptor to poll */
};

static int read_offset(int file, int64_t *offset_s)
{
	char text[32];
	ssize_t size = pread(file, text, sizeof(text) - 1, 0);
	if (size < 0)
		return -errno;
	text[size] = '\0';
	char *end;
	errno = 0;
	long long value = strtoll(text, &end, 10);
	if (errno || end == text || end[strspn(end, " \r\n")] != '\0')
		return -EINVAL;
	if (value > OFFSET_MAX_S || value < -OFFSET_MAX_S)
		return -EINVAL;
	*offset_s = value;
	return 0;
}

static int arm_timer(struct clock *clk)
{
	/* Far away: it is there to be cancelled, not to expire. */
	struct itimerspec far = {.it_value.tv_sec = (time_t)1 << 40};
	if (timerfd_settime(clk->timer, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far,
			    NULL) < 0)
		return -errno;
	return 0;
}

static int poll_also(struct clock *clk, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};
	return epoll_ctl(clk->either, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int open_offset(struct clock *clk, const char *path, struct error *err)
{
	clk->file = open(path, O_RDONLY | O_CLOEXEC);
	if (clk->file < 0)
		return error_set(err, errno, "clock-offset-file %s: %s", path,
				 strerror(errno));
	int64_t offset;
	if (read_offset(clk->file, &offset) < 0)
		return error_set(err, EINVAL,
				 "clock-offset-file %s does not hold a number of seconds",
				 path);
	atomic_store(&clk->offset_s, offset);
	/* Not IN_MODIFY: `echo N >` empties the file first. */
	clk->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (clk->watch < 0 || inotify_add_watch(clk->watch, path, IN_CLOSE_WRITE) < 0)
		return error_set(err, errno, "watching %s: %s", path, strerror(errno));
	int r = poll_also(clk, clk->watch);
	return r < 0 ? error_set(err, -r, "epoll: %s", strerror(-r)) : 0;
}

int clock_open(struct clock **result, const char *offset_file, struct error *err)
{
	struct clock *clk = calloc(1, sizeof(*clk));
	if (!clk)
		return error_set(err, ENOMEM, "no memory for the clock");
	clk->file = clk->watch = -1;
	clk->timer = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	clk->either = epoll_create1(EPOLL_CLOEXEC);
	int r = clk->timer < 0 || clk->either < 0 ? -errno : arm_timer(clk);
	if (r == 0)
		r = poll_also(clk, clk->timer);
	if (r < 0)
		r = error_set(err, -r, "setting up the clock's timer: %s", strerror(-r));
	else if (offset_file)
		r = open_offset(clk, offset_file, err);
	if (r < 0) {
		clock_close(clk);
		return r;
	}
	*result = clk;
	return 0;
}

static void close_if(int fd)
{
	if (fd >= 0)
		close(fd);
}

void clock_close(struct clock *clk)
{
	if (!clk)
		return;
	close_if(clk->either);
	close_if(clk->timer);
	close_if(clk->watch);
	close_if(clk->file);
	free(clk);
}

int64_t clock_now_s(const struct clock *clk)
{
	return (int64_t)time(NULL) + atomic_load(&clk->offset_s);
}

int clock_fd(const struct clock *clk)
{
	return clk->either;
}

void clock_refresh(struct clock *clk, const struct log *lg)
{
	uint64_t expirations;
	char events[sizeof(struct inotify_event) + NAME_MAX + 1]
	    __attribute__((aligned(__alignof__(struct inotify_event))));
	/* ECANCELED says that the clock was set; whichever it is, it is planned anew. */
	if (read(clk->timer, &expirations, sizeof(expirations)) < 0 && errno == ECANCELED)
		arm_timer(clk);
	if (clk->file < 0)
		return;
	while (read(clk->watch, events, sizeof(events)) > 0)
		;
	int64_t offset;
	if (read_offset(clk->file, &offset) < 0)
		log_warning(lg, NULL,
			    "clock-offset-file does not hold a number of seconds; "
			    "the last one stays in force");
	else
		atomic_store(&clk->offset_s, offset);
}
