/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/lifeline.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A worker: says one byte once its lifeline is held, or ends. */
static pid_t worker(int watched, int held, int ready)
{
	struct error err;
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	close(watched);
	if (lifeline_hold(held, &err) != 0 || fcntl(held, F_GETFD) != -1 ||
	    errno != EBADF || write(ready, "1", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static bool is_cut(int watched, int timeout_ms)
{
	struct pollfd p = {.fd = watched};
	return poll(&p, 1, timeout_ms) == 1 && (p.revents & POLLHUP);
}

static void lifeline_is_cut_by_the_end_of_its_process(void **state)
{
	(void)state;
	int watched = -1, held = -1, ready[2];
	struct error err;
	char byte;
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	assert_int_equal(lifeline_open(&watched, &held, &err), 0);
	pid_t pid = worker(watched, held, ready[1]);
	assert_true(pid > 0);
	close(held);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	/* Although the thread that asked for it has closed its own. */
	assert_false(is_cut(watched, 0));
	kill(pid, SIGKILL);
	assert_true(is_cut(watched, -1));
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(watched);
	close(ready[0]);
}

static void descriptors_of_the_process_stay(void **state)
{
	(void)state;
	int status, watched = -1, held = -1;
	struct error err;
	assert_int_equal(lifeline_open(&watched, &held, &err), 0);
	pid_t pid = fork();
	if (pid == 0) {
		int below = watched, above = fcntl(held, F_DUPFD_CLOEXEC, held + 1);
		bool kept = lifeline_hold(held, &err) == 0 &&
			    fcntl(below, F_GETFD) == FD_CLOEXEC &&
			    fcntl(above, F_GETFD) == FD_CLOEXEC;
		_exit(kept ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(watched);
	close(held);
}

static void descriptor_that_is_none_is_refused(void **state)
{
	(void)state;
	struct error err;
	int watched = -1, held = -1;
	assert_int_equal(lifeline_open(&watched, &held, &err), 0);
	close(watched);
	close(held);
	assert_int_equal(lifeline_hold(held, &err), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lifeline_is_cut_by_the_end_of_its_process),
	    cmocka_unit_test(descriptors_of_the_process_stay),
	    cmocka_unit_test(descriptor_that_is_none_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
