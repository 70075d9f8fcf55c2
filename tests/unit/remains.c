/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* A worker that dies here ends its first thread alone, and the thread that can't be reached
 * is one inside vfork(2), which /proc shows as it shows one that waits for a lock. */
#include "fs/remains.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MS     UINT64_C(1000000)
#define STATUS 7

static void *notify(void *name)
{
	pthread_setname_np(pthread_self(), name);
	pid_t pid = vfork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		for (;;)
			pause();
	}
	return NULL;
}

static void *sleep_on(void *arg)
{
	pause();
	return arg;
}

/* With a thread of each of these names in vfork(2), and one that sleeps. */
static pid_t worker(char *const names[], size_t count, bool sleeper, bool dies)
{
	pthread_t thread;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	for (size_t i = 0; i < count; i++)
		pthread_create(&thread, NULL, notify, names[i]);
	if (sleeper)
		pthread_create(&thread, NULL, sleep_on, NULL);
	if (dies)
		syscall(SYS_exit, STATUS);
	for (;;)
		pause();
}

/* The threads come to rest where they are meant to, sooner or later. */
static void becomes(pid_t pid, enum remains left, siginfo_t *how)
{
	while (remains_of(pid, how) != left)
		poll(NULL, 0, 1);
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static char told[] = REMAINS_THREAD, other[] = "certfs: fs";

static void worker_that_lives_is_alive(void **state)
{
	(void)state;
	siginfo_t how;
	pid_t pid = worker((char *const[]){told}, 1, false, false);
	assert_int_equal(remains_of(pid, &how), REMAINS_ALIVE);
	end(pid);
	assert_int_equal(remains_of(pid, &how), REMAINS_ALIVE);
}

static void dead_worker_with_a_notification_in_the_kernel_notifies(void **state)
{
	(void)state;
	siginfo_t how = {0};
	pid_t pid = worker((char *const[]){told}, 1, false, true);
	becomes(pid, REMAINS_NOTIFIES, &how);
	assert_int_equal(how.si_code, CLD_EXITED);
	assert_int_equal(how.si_status, STATUS);
	end(pid);
}

static void thread_that_could_go_on_is_not_left(void **state)
{
	(void)state;
	siginfo_t how = {0};
	pid_t pid = worker((char *const[]){told}, 1, true, true);
	becomes(pid, REMAINS_SOME, &how);
	assert_int_equal(how.si_status, STATUS);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(remains_of(pid, &how), REMAINS_SOME);
		poll(NULL, 0, 1);
	}
	end(pid);
}

static void other_thread_in_the_kernel_is_not_left(void **state)
{
	(void)state;
	siginfo_t how = {0};
	pid_t pid = worker((char *const[]){told, other}, 2, false, true);
	becomes(pid, REMAINS_SOME, &how);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(remains_of(pid, &how), REMAINS_SOME);
		poll(NULL, 0, 1);
	}
	end(pid);
}

static void end_is_looked_at_less_and_less_often(void **state)
{
	(void)state;
	struct remains_look look = {0};
	siginfo_t how;
	pid_t pid = worker((char *const[]){other}, 1, false, true);
	uint64_t now = 5000 * MS, begun = now;
	unsigned looks = 0;
	bool left = false;
	becomes(pid, REMAINS_SOME, &how);
	remains_begin(&look, now);
	for (; look.next_ns != 0; looks++) {
		assert_false(left);
		assert_true(look.next_ns > now);
		now = look.next_ns;
		left = remains_look(&look, pid, now);
	}
	/* It is left all the same in the end. */
	assert_true(left);
	assert_true(now - begun >= REMAINS_NS);
	assert_in_range(looks, 8, 16);
	end(pid);
}

static void end_that_did_not_come_is_forgotten(void **state)
{
	(void)state;
	struct remains_look look = {0};
	pid_t pid = worker((char *const[]){told}, 1, false, false);
	uint64_t now = 5000 * MS;
	remains_begin(&look, now);
	while (look.next_ns != 0) {
		now = look.next_ns;
		assert_false(remains_look(&look, pid, now));
	}
	assert_int_equal(look.begun_ns, 0);
	end(pid);
}

static void those_that_are_left_have_a_place_each(void **state)
{
	(void)state;
	struct unreaped all[UNREAPED_MAX];
	for (size_t i = 0; i < UNREAPED_MAX; i++)
		all[i].pidfd = -1;
	for (int i = 0; i < UNREAPED_MAX; i++)
		assert_true(remains_keep(all, 100 + i, 200 + i));
	assert_false(remains_keep(all, 1, 2));
	all[3].pidfd = -1;
	assert_true(remains_keep(all, 1, 2));
	assert_int_equal(all[3].pid, 1);
	assert_int_equal(all[4].pid, 104);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(worker_that_lives_is_alive),
	    cmocka_unit_test(dead_worker_with_a_notification_in_the_kernel_notifies),
	    cmocka_unit_test(thread_that_could_go_on_is_not_left),
	    cmocka_unit_test(other_thread_in_the_kernel_is_not_left),
	    cmocka_unit_test(end_is_looked_at_less_and_less_often),
	    cmocka_unit_test(end_that_did_not_come_is_forgotten),
	    cmocka_unit_test(those_that_are_left_have_a_place_each),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
