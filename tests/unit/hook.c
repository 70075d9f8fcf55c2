/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fs/hook.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct world {
	struct config cfg;
	struct log lg;
	struct hook *hook;
	char out[40]; /* what the program writes to */
	char command[400];
	uint64_t sequence;
	unsigned int runs;
	char failure[400];
};

static void on_ended(void *ctx, uint64_t sequence, const char *failure)
{
	struct world *w = ctx;

	w->sequence = sequence;
	w->runs++;
	snprintf(w->failure, sizeof(w->failure), "%s", failure ? failure : "");
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	log_init(&w->lg, "unit", LOG_LEVEL_ERROR);
	strcpy(w->out, "/tmp/certfs-hook-XXXXXX");
	close(mkstemp(w->out));
	w->cfg.hook_limit_s = 60;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	hook_free(w->hook);
	unlink(w->out);
	free(w);
	return 0;
}

/* `script` is sh's, and $0 the file that it writes to. */
static void open_hook(struct world *w, const char *script)
{
	const struct hook_options options = {.cfg = &w->cfg,
					     .lg = &w->lg,
					     .mountpoint = "/etc/certs",
					     .ended = on_ended,
					     .ctx = w};
	struct error err;

	snprintf(w->command, sizeof(w->command), "/bin/sh -c \"%s\" %s",
		 script ? script : "", w->out);
	w->cfg.on_change = script ? w->command : NULL;
	assert_int_equal(hook_new(&w->hook, &options, &err), 0);
}

static void turn_until(struct world *w, unsigned int runs)
{
	while (w->runs < runs) {
		struct pollfd polls[HOOK_POLLS];

		hook_polls(w->hook, polls);
		poll(polls, HOOK_POLLS, hook_next_ms(w->hook));
		hook_turn(w->hook);
	}
}

static void wrote(const struct world *w, const char *expected)
{
	char text[400];
	FILE *file = fopen(w->out, "re");

	assert_non_null(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	assert_string_equal(text, expected);
}

static void domains_are_told_once_in_one_run(void **state)
{
	struct world *w = *state;

	open_hook(w, "echo $CERTFS_DOMAINS,$CERTFS_MOUNTPOINT >>$0; cat >>$0");
	hook_add(w->hook, "a.example.com", 1);
	hook_add(w->hook, "b.example.com", 2);
	hook_add(w->hook, "a.example.com", 3);
	turn_until(w, 1);
	wrote(w,
	      "a.example.com b.example.com,/etc/certs\na.example.com\nb.example.com\n");
	assert_true(w->sequence == 3);
	assert_string_equal(w->failure, "");
	assert_int_equal(hook_next_ms(w->hook), -1);
}

static void more_domains_than_fit_are_all_on_standard_input(void **state)
{
	struct world *w = *state;
	char name[128];

	open_hook(w, "echo $CERTFS_DOMAINS_TRUNCATED "
		     "$((${#CERTFS_DOMAINS} <= 102400 && ${#CERTFS_DOMAINS} > 102000)) "
		     "$(wc -l) >$0");
	for (unsigned int i = 0; i < 1200; i++) {
		snprintf(name, sizeof(name), "%0100u.example.com", i);
		hook_add(w->hook, name, i + 1);
	}
	turn_until(w, 1);
	wrote(w, "1 1 1200\n");
	assert_true(w->sequence == 1200);
}

static void what_went_wrong_is_told(void **state)
{
	struct world *w = *state;

	open_hook(w, "exit 7");
	hook_add(w->hook, "a.example.com", 1);
	turn_until(w, 1);
	assert_string_equal(w->failure, "it ended with status 7");
	hook_free(w->hook);
	open_hook(w, "kill -SEGV $$");
	hook_add(w->hook, "a.example.com", 1);
	turn_until(w, 2);
	assert_non_null(strstr(w->failure, "it was killed by signal 11"));
}

static void program_that_ignores_sigterm_is_killed(void **state)
{
	struct world *w = *state;

	w->cfg.hook_limit_s = 1;
	open_hook(w, "trap '' TERM; while :; do sleep 9; done");
	hook_add(w->hook, "a.example.com", 1);
	turn_until(w, 1);
	assert_non_null(strstr(w->failure, "took longer than 1 s"));
}

static void changes_before_a_new_beginning_are_no_part_of_what_ran(void **state)
{
	struct world *w = *state;

	open_hook(w, "read -r x; echo $x >>$0");
	hook_add(w->hook, "a.example.com", 5);
	hook_turn(w->hook);
	hook_add(w->hook, "b.example.com", 6);
	hook_forget(w->hook);
	turn_until(w, 1);
	assert_true(w->sequence == 0);
	assert_int_equal(hook_next_ms(w->hook), -1);
	wrote(w, "a.example.com\n");
}

static void without_a_program_every_run_is_over_at_once(void **state)
{
	struct world *w = *state;

	open_hook(w, NULL);
	hook_add(w->hook, "a.example.com", 4);
	hook_turn(w->hook);
	assert_int_equal(w->runs, 1);
	assert_true(w->sequence == 4);
	assert_string_equal(w->failure, "");
}

#define WITH(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH(domains_are_told_once_in_one_run),
	    WITH(more_domains_than_fit_are_all_on_standard_input),
	    WITH(what_went_wrong_is_told),
	    WITH(program_that_ignores_sigterm_is_killed),
	    WITH(changes_before_a_new_beginning_are_no_part_of_what_ran),
	    WITH(without_a_program_every_run_is_over_at_once),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("hook", tests, NULL, NULL);
}
