/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What stderr gets between the two is in `text`. */
struct capture {
	int pipe[2], stderr_fd;
	char text[8192];
};

static void capture_begin(struct capture *c)
{
	assert_int_equal(pipe2(c->pipe, O_CLOEXEC | O_NONBLOCK), 0);
	c->stderr_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	assert_true(c->stderr_fd >= 0);
	assert_true(dup2(c->pipe[1], STDERR_FILENO) >= 0);
}

static void capture_end(struct capture *c)
{
	assert_true(dup2(c->stderr_fd, STDERR_FILENO) >= 0);
	close(c->stderr_fd);
	close(c->pipe[1]);
	ssize_t size = read(c->pipe[0], c->text, sizeof(c->text) - 1);
	c->text[size > 0 ? size : 0] = '\0';
	close(c->pipe[0]);
}

/* "2026-03-01T12:00:00Z " in front. */
static const char *after_time(const char *line)
{
	static const char shape[] = "0000-00-00T00:00:00Z ";
	for (size_t i = 0; shape[i]; i++)
		if (shape[i] == '0')
			assert_in_range(line[i], '0', '9');
		else
			assert_int_equal(line[i], shape[i]);
	return line + strlen(shape);
}

static void line_has_time_process_level_and_domain(void **state)
{
	(void)state;
	struct capture c;
	struct log lg;
	capture_begin(&c);
	log_init(&lg, "fs", LOG_LEVEL_INFO);
	log_notice(&lg, "app.example.com", "generation %d serves", 8);
	capture_end(&c);
	assert_false(lg.journal);
	assert_string_equal(
	    after_time(c.text),
	    "certfs[fs] notice: generation 8 serves domain=app.example.com\n");
}

static void command_names_no_process(void **state)
{
	(void)state;
	struct capture c;
	struct log lg;
	capture_begin(&c);
	log_init(&lg, NULL, LOG_LEVEL_INFO);
	log_error(&lg, NULL, "no store");
	capture_end(&c);
	assert_string_equal(after_time(c.text), "certfs error: no store\n");
}

static void lines_above_the_level_are_not_written(void **state)
{
	(void)state;
	struct capture c;
	struct log lg;
	capture_begin(&c);
	log_init(&lg, "net", LOG_LEVEL_WARNING);
	log_debug(&lg, NULL, "no");
	log_info(&lg, NULL, "no");
	log_notice(&lg, NULL, "no");
	log_warning(&lg, NULL, "yes");
	capture_end(&c);
	assert_string_equal(after_time(c.text), "certfs[net] warning: yes\n");
}

static void no_input_forges_a_line(void **state)
{
	(void)state;
	struct capture c;
	struct log lg;
	capture_begin(&c);
	log_init(&lg, "net", LOG_LEVEL_INFO);
	log_info(&lg, "a\nb", "the CA says '%s'",
		 "x\n2026-01-01T00:00:00Z certfs\r\x1b[2J");
	capture_end(&c);
	char *end = strchr(c.text, '\n');
	assert_non_null(end);
	assert_string_equal(end, "\n");
	assert_null(strpbrk(c.text, "\r\x1b"));
}

static void long_line_is_cut_and_stays_one_line(void **state)
{
	(void)state;
	struct capture c;
	struct log lg;
	char text[6000], domain[3000];
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	memset(domain, 'd', sizeof(domain) - 1);
	domain[sizeof(domain) - 1] = '\0';
	capture_begin(&c);
	log_init(&lg, "fs", LOG_LEVEL_INFO);
	log_info(&lg, domain, "%s", text);
	log_info(&lg, NULL, "next");
	capture_end(&c);
	char *end = strchr(c.text, '\n');
	assert_non_null(end);
	assert_string_equal(after_time(end + 1), "certfs[fs] info: next\n");
}

static void levels_are_known_by_their_names(void **state)
{
	(void)state;
	enum log_level level = LOG_LEVEL_ERROR;
	assert_true(log_level_parse("debug", &level));
	assert_int_equal(level, LOG_LEVEL_DEBUG);
	assert_true(log_level_parse("error", &level));
	assert_int_equal(level, LOG_LEVEL_ERROR);
	assert_false(log_level_parse("Debug", &level));
	assert_false(log_level_parse("", &level));
	assert_int_equal(level, LOG_LEVEL_ERROR);
}

static void journal_is_known_by_its_stream(void **state)
{
	(void)state;
	struct capture c;
	struct log lg, other;
	struct stat st;
	char stream[64];
	capture_begin(&c);
	int r = fstat(STDERR_FILENO, &st);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev,
		 (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init(&lg, "fs", LOG_LEVEL_INFO);
	setenv("JOURNAL_STREAM", "1:1", 1);
	log_init(&other, "fs", LOG_LEVEL_INFO);
	unsetenv("JOURNAL_STREAM");
	capture_end(&c);
	assert_int_equal(r, 0);
	assert_true(lg.journal);
	assert_false(other.journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(line_has_time_process_level_and_domain),
	    cmocka_unit_test(command_names_no_process),
	    cmocka_unit_test(lines_above_the_level_are_not_written),
	    cmocka_unit_test(no_input_forges_a_line),
	    cmocka_unit_test(long_line_is_cut_and_stays_one_line),
	    cmocka_unit_test(levels_are_known_by_their_names),
	    cmocka_unit_test(journal_is_known_by_its_stream),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
