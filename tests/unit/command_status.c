/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "fs/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define APP                                                                              \
	"{\"domain\":\"app.example.com\",\"serves\":{\"source\":\"managed\","            \
	"\"not_after\":\"2026-03-01T14:05:00Z\"},\"state\":\"ok\",\"attention\":null,"   \
	"\"next\":{\"what\":\"renewal is due\",\"at\":\"2026-01-30T14:05:00Z\"}"
#define BAD                                                                               \
	"{\"domain\":\"b.example.com\",\"serves\":{\"source\":\"self-signed fallback\","  \
	"\"not_after\":\"2036-01-01T00:00:00Z\"},\"state\":\"failing\","                  \
	"\"attention\":\"the CA could not reach port 80 of b.example.com — open it in " \
	"the firewall, or name another listen address in certfs.conf\","                  \
	"\"next\":{\"what\":\"next try\",\"at\":\"2026-01-29T10:00:00Z\"}"
#define WHOLE                                                                            \
	"{\"version\":\"0.1.0\",\"now\":\"2026-01-28T12:00:00Z\",\"domains\":2,"         \
	"\"by_state\":{\"ok\":1,\"ordering\":0,\"failing\":1},\"orders_in_flight\":1,"   \
	"\"listed\":[" BAD "}," APP "}],\"left_out\":0}\n"

struct scene {
	char dir[40];
	char *out, *messages; /* of the last run */
};

static void put(const struct scene *s, const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
	strcat(path, "/status.json");
	file = fopen(path, "we");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static void take_away(const struct scene *s, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s/status.json", s->dir, name);
	unlink(path);
	snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	rmdir(path);
}

static int set_up(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	*state = s;
	strcpy(s->dir, "/tmp/certfs-command-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	put(s, ".certfs", WHOLE);
	put(s, "app.example.com", APP ",\"now\":\"2026-01-28T12:00:00Z\"}\n");
	return 0;
}

static int tear_down(void **state)
{
	struct scene *s = *state;

	take_away(s, ".certfs");
	take_away(s, "app.example.com");
	assert_int_equal(rmdir(s->dir), 0);
	free(s->out);
	free(s->messages);
	free(s);
	return 0;
}

/* What a stream is written while its descriptor leads to a file. */
struct capture {
	FILE *stream;
	int kept;
	FILE *file;
};

static void capture_begin(struct capture *c, FILE *stream)
{
	fflush(stream);
	c->stream = stream;
	c->kept = dup(fileno(stream));
	c->file = tmpfile();
	assert_true(c->kept >= 0);
	assert_non_null(c->file);
	assert_true(dup2(fileno(c->file), fileno(stream)) >= 0);
}

static char *capture_end(struct capture *c)
{
	char *text;
	long size;

	fflush(c->stream);
	assert_true(dup2(c->kept, fileno(c->stream)) >= 0);
	close(c->kept);
	fseek(c->file, 0, SEEK_END);
	size = ftell(c->file);
	rewind(c->file);
	text = calloc(1, (size_t)size + 1);
	assert_non_null(text);
	assert_int_equal(fread(text, 1, (size_t)size, c->file), (size_t)size);
	fclose(c->file);
	return text;
}

/* Runs `certfs status -m DIR …`; the arguments end with NULL. */
static int run(struct scene *s, ...)
{
	char *argv[10] = {(char[]){"status"}, (char[]){"-m"}, s->dir};
	struct capture out, messages;
	int argc = 3, status;
	va_list args;

	va_start(args, s);
	while ((argv[argc] = va_arg(args, char *)) != NULL)
		argc++;
	va_end(args);
	free(s->out);
	free(s->messages);
	capture_begin(&out, stdout);
	capture_begin(&messages, stderr);
	status = command_status(argc, argv);
	s->messages = capture_end(&messages);
	s->out = capture_end(&out);
	return status;
}

static void has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no \"%s\" in:\n%s", part, text);
}

/* Characters of a line, all of width 1 here. */
static size_t columns(const char *line)
{
	size_t count = 0;

	for (; *line && *line != '\n'; line++)
		count += ((unsigned char)*line & 0xc0) != 0x80;
	return count;
}

static void table_has_a_row_a_domain_and_what_to_do_below(void **state)
{
	struct scene *s = *state;

	assert_int_equal(run(s, NULL), EX_OK);
	assert_string_equal(
	    s->out,
	    "DOMAIN           STATE    SERVES       UNTIL                   NEXT\n"
	    "b.example.com    failing  self-signed  2036-01-01 (3624 days)  2026-01-29 "
	    "next …\n"
	    "app.example.com  ok       managed      2026-03-01 (32 days)    2026-01-30 "
	    "renew…\n"
	    "\n"
	    "Needs attention\n"
	    "  b.example.com (failing): the CA could not reach port 80 of b.example.com "
	    "—\n"
	    "    open it in the firewall, or name another listen address in certfs.conf\n"
	    "\n"
	    "2 domains: 1 ok, 1 failing; 1 order in flight\n");
	assert_string_equal(s->messages, "");
}

static void lines_fit_a_terminal(void **state)
{
	struct scene *s = *state;

	assert_int_equal(run(s, NULL), EX_OK);
	for (const char *line = s->out; *line; line = strchr(line, '\n') + 1)
		assert_in_range(columns(line), 0, 80);
}

static void columns_align_where_names_are_not_ascii(void **state)
{
	struct scene *s = *state;
	const char *until, *state_column;

	put(s, ".certfs",
	    "{\"listed\":[{\"domain\":\"bücher.example\",\"state\":\"ok\"},"
	    "{\"domain\":\"b.example\",\"state\":\"ok\"},"
	    "{\"domain\":\"日本.example\",\"state\":\"ok\"}]}");
	assert_int_equal(run(s, NULL), EX_OK);
	state_column = strstr(s->out, "STATE");
	assert_int_equal(state_column - s->out, 16);
	until = strchr(s->out, '\n') + 1;
	assert_memory_equal(until, "bücher.example  ok",
			    sizeof("bücher.example  ok") - 1);
	has(s->out, "\nb.example       ok");
	/* Two columns each. */
	has(s->out, "\n日本.example    ok");
}

static void long_name_is_never_cut(void **state)
{
	struct scene *s = *state;
	static const char name[] = "a-name-that-is-longer-than-most.of-a-zone-that-is-"
				   "longer-than-most.example.com";
	char json[512];

	snprintf(json, sizeof(json),
		 "{\"listed\":[{\"domain\":\"%s\",\"state\":\"ok\",\"next\":{\"what\":"
		 "\"the order is in progress\"}}]}",
		 name);
	put(s, ".certfs", json);
	assert_int_equal(run(s, NULL), EX_OK);
	has(s->out, name);
	has(s->out, "the order i…");
}

static void one_domain_is_read_from_its_own_page(void **state)
{
	struct scene *s = *state;

	assert_int_equal(run(s, "app.example.com", NULL), EX_OK);
	has(s->out,
	    "\napp.example.com  ok     managed  2026-03-01 (32 days)  2026-01-30 ");
	assert_null(strstr(s->out, "Needs attention"));
	assert_null(strstr(s->out, "b.example.com"));
}

static void json_is_passed_through(void **state)
{
	struct scene *s = *state;

	assert_int_equal(run(s, "--json", NULL), EX_OK);
	assert_string_equal(s->out, WHOLE);
	assert_int_equal(run(s, "--json", "app.example.com", NULL), EX_OK);
	assert_string_equal(s->out, APP ",\"now\":\"2026-01-28T12:00:00Z\"}\n");
}

static void no_mount_is_69_and_says_how_to_mount(void **state)
{
	struct scene *s = *state;

	take_away(s, ".certfs");
	assert_int_equal(run(s, NULL), EX_UNAVAILABLE);
	has(s->messages, "no certfs is mounted at /tmp/certfs-command-");
	has(s->messages, "`certfs mount ");
	/* A folder of the domain's name alone is no mount either. */
	assert_int_equal(run(s, "app.example.com", NULL), EX_UNAVAILABLE);
	assert_string_equal(s->out, "");
}

static void unknown_domain_is_66_and_says_how_to_make_it(void **state)
{
	struct scene *s = *state;

	assert_int_equal(run(s, "no.example.com", NULL), EX_NOINPUT);
	has(s->messages, "there is no no.example.com in ");
	has(s->messages, "`mkdir ");
	assert_string_equal(s->out, "");
}

static void no_path_leads_out_of_the_mount(void **state)
{
	struct scene *s = *state;

	assert_int_equal(run(s, "../etc", NULL), EX_NOINPUT);
	assert_int_equal(run(s, ".certfs", NULL), EX_NOINPUT);
	assert_int_equal(run(s, "", NULL), EX_NOINPUT);
}

static void what_does_not_parse_is_65(void **state)
{
	struct scene *s = *state;

	put(s, ".certfs", "{\"listed\":[");
	assert_int_equal(run(s, NULL), EX_DATAERR);
	has(s->messages, "does not parse: ");
	put(s, ".certfs", "[]");
	assert_int_equal(run(s, NULL), EX_DATAERR);
}

static void unknown_option_is_64(void **state)
{
	struct scene *s = *state;

	assert_int_equal(run(s, "--jsno", NULL), EX_USAGE);
	has(s->messages, "Usage: certfs status");
}

static void control_characters_never_reach_the_terminal(void **state)
{
	struct scene *s = *state;

	put(s, ".certfs",
	    "{\"listed\":[{\"domain\":\"a\\u001b[2Jb\",\"state\":\"x\\u009b1m\","
	    "\"attention\":\"do\\u0007 it\"}]}");
	assert_int_equal(run(s, NULL), EX_OK);
	has(s->out, "a?[2Jb");
	has(s->out, "x?1m");
	has(s->out, "do? it");
}

static void reload_in_vain_is_told_below_the_table(void **state)
{
	struct scene *s = *state;

	put(s, ".certfs",
	    "{\"domains\":0,\"supervisor\":{\"reload\":{\"at\":\"2026-01-28T12:00:00Z\","
	    "\"code\":22,\"error\":\"/etc/certfs.conf:7: unknown key\"}}}");
	assert_int_equal(run(s, NULL), EX_OK);
	has(s->out, "What stands on disk is not in force, since 2026-01-28T12:00:00Z: "
		    "/etc/certfs.conf:7: unknown key; mend it, then: certfs reload\n");
	put(s, ".certfs",
	    "{\"domains\":0,\"supervisor\":{\"reload\":{\"at\":\"2026-01-28T12:00:00Z\","
	    "\"code\":0,\"error\":null}}}");
	assert_int_equal(run(s, NULL), EX_OK);
	assert_null(strstr(s->out, "on disk"));
}

static void missing_members_leave_cells_empty(void **state)
{
	struct scene *s = *state;

	put(s, ".certfs", "{\"listed\":[{},{\"domain\":4,\"serves\":null},7]}");
	assert_int_equal(run(s, NULL), EX_OK);
	put(s, ".certfs", "{}");
	assert_int_equal(run(s, NULL), EX_OK);
	assert_string_equal(s->out, "DOMAIN  STATE  SERVES  UNTIL  NEXT\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(table_has_a_row_a_domain_and_what_to_do_below),
	    TEST(lines_fit_a_terminal),
	    TEST(columns_align_where_names_are_not_ascii),
	    TEST(long_name_is_never_cut),
	    TEST(one_domain_is_read_from_its_own_page),
	    TEST(json_is_passed_through),
	    TEST(no_mount_is_69_and_says_how_to_mount),
	    TEST(unknown_domain_is_66_and_says_how_to_make_it),
	    TEST(no_path_leads_out_of_the_mount),
	    TEST(what_does_not_parse_is_65),
	    TEST(unknown_option_is_64),
	    TEST(control_characters_never_reach_the_terminal),
	    TEST(reload_in_vain_is_told_below_the_table),
	    TEST(missing_members_leave_cells_empty),
	};

	return cmocka_run_group_tests_name("command_status", tests, NULL, NULL);
}
