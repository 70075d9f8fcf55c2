/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const struct log quiet = {.level = LOG_LEVEL_ERROR};
static char path[] = "/tmp/certfs-clock-XXXXXX";

static void write_offset(const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static int make_file(void **state)
{
	(void)state;
	memset(path + strlen(path) - 6, 'X', 6);
	int fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

/* The clock stands between two readings of the system's, plus `offset_s`. */
static void shows(const struct clock *clk, int64_t offset_s)
{
	int64_t before = time(NULL), now = clock_now_s(clk), after = time(NULL);
	assert_true(now >= before + offset_s && now <= after + offset_s);
}

static bool readable(const struct clock *clk)
{
	struct pollfd fd = {.fd = clock_fd(clk), .events = POLLIN};
	return poll(&fd, 1, 0) == 1;
}

static void clock_without_a_file_is_the_systems(void **state)
{
	(void)state;
	struct clock *clk = NULL;
	struct error err = {0};
	assert_int_equal(clock_open(&clk, NULL, &err), 0);
	shows(clk, 0);
	assert_false(readable(clk));
	clock_refresh(clk, &quiet);
	shows(clk, 0);
	clock_close(clk);
	clock_close(NULL);
}

static void changed_offset_wakes_sleepers_and_is_taken_in(void **state)
{
	(void)state;
	struct clock *clk = NULL;
	struct error err = {0};
	write_offset("86400\n");
	assert_int_equal(clock_open(&clk, path, &err), 0);
	shows(clk, 86400);
	assert_false(readable(clk));
	write_offset("-7200\n");
	assert_true(readable(clk));
	shows(clk, 86400);
	clock_refresh(clk, &quiet);
	shows(clk, -7200);
	assert_false(readable(clk));
	clock_close(clk);
}

static void half_written_offset_wakes_nobody(void **state)
{
	(void)state;
	struct clock *clk = NULL;
	struct error err = {0};
	write_offset("60");
	assert_int_equal(clock_open(&clk, path, &err), 0);
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_false(readable(clk));
	assert_int_equal(write(fd, "120", 3), 3);
	close(fd);
	assert_true(readable(clk));
	clock_refresh(clk, &quiet);
	shows(clk, 120);
	clock_close(clk);
}

static void offset_that_does_not_parse_leaves_the_old_one(void **state)
{
	(void)state;
	static const char *const bad[] = {"",
					  "soon",
					  "12 days",
					  "99999999999999999999",
					  "9223372036854775807",
					  "-9223372036854775808"};
	struct clock *clk = NULL;
	struct error err = {0};
	write_offset("60");
	assert_int_equal(clock_open(&clk, path, &err), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		write_offset(bad[i]);
		clock_refresh(clk, &quiet);
		shows(clk, 60);
	}
	clock_close(clk);
}

static void clock_does_not_open_with_a_bad_file(void **state)
{
	(void)state;
	struct clock *clk = NULL;
	struct error err = {0};
	write_offset("soon");
	assert_int_equal(clock_open(&clk, path, &err), -EINVAL);
	assert_non_null(strstr(err.text, path));
	assert_int_equal(clock_open(&clk, "/nonexistent/offset", &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/offset"));
	assert_null(clk);
}

#define FILE_TEST(test) cmocka_unit_test_setup_teardown(test, make_file, remove_file)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(clock_without_a_file_is_the_systems),
	    FILE_TEST(changed_offset_wakes_sleepers_and_is_taken_in),
	    FILE_TEST(half_written_offset_wakes_nobody),
	    FILE_TEST(offset_that_does_not_parse_leaves_the_old_one),
	    FILE_TEST(clock_does_not_open_with_a_bad_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
