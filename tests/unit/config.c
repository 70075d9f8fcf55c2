/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOLDER_TEMPLATE "/tmp/certfs-config-XXXXXX"

struct files {
	char folder[sizeof(FOLDER_TEMPLATE)];
	char path[sizeof(FOLDER_TEMPLATE) + 16];
	struct config *cfg;
	struct error err;
};

static int make_folder(void **state)
{
	struct files *f = calloc(1, sizeof(*f));
	if (!f)
		return -1;
	memcpy(f->folder, FOLDER_TEMPLATE, sizeof(FOLDER_TEMPLATE));
	if (!mkdtemp(f->folder))
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/certfs.conf", f->folder);
	*state = f;
	return 0;
}

static int remove_folder(void **state)
{
	struct files *f = *state;
	config_free(f->cfg);
	unlink(f->path);
	int r = rmdir(f->folder);
	free(f);
	return r;
}

static int load(struct files *f, const char *text)
{
	FILE *file = fopen(f->path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	config_free(f->cfg);
	f->cfg = NULL;
	return config_load(f->path, &f->cfg, &f->err);
}

static void refused(struct files *f, const char *text, int line, const char *reason)
{
	char want[ERROR_TEXT_MAX];
	snprintf(want, sizeof(want), "%s:%d: %s", f->path, line, reason);
	assert_int_equal(load(f, text), -EINVAL);
	assert_null(f->cfg);
	assert_string_equal(f->err.text, want);
}

static void empty_file_gives_every_default(void **state)
{
	struct files *f = *state;
	assert_int_equal(load(f, ""), 0);
	assert_string_equal(f->cfg->path, f->path);
	assert_string_equal(f->cfg->store, "/var/lib/certfs");
	assert_string_equal(f->cfg->key_group, "ssl-cert");
	assert_string_equal(f->cfg->fs_user, "certfs");
	assert_string_equal(f->cfg->net_user, "certfs-net");
	assert_int_equal(f->cfg->log_level, LOG_LEVEL_INFO);
	assert_int_equal(f->cfg->hang_limit_s, 20);
	assert_int_equal(f->cfg->keep, 10);
	assert_null(f->cfg->master_key_file);
	assert_null(f->cfg->clock_offset_file);
	assert_string_equal(f->cfg->directory,
			    "https://acme-v02.api.letsencrypt.org/directory");
	assert_int_equal(f->cfg->contact.count, 0);
	assert_true(f->cfg->agree_terms);
	assert_null(f->cfg->roots_file);
	assert_null(f->cfg->eab_kid);
	assert_null(f->cfg->eab_key_file);
	assert_int_equal(f->cfg->key_type, KEY_P256);
	assert_null(f->cfg->preferred_chain);
	assert_int_equal(f->cfg->orders_at_once, 50);
	assert_int_equal(f->cfg->timeout_s, 30);
	assert_int_equal(f->cfg->listen.count, 2);
	assert_string_equal(f->cfg->listen.item[0], "0.0.0.0:80");
	assert_string_equal(f->cfg->listen.item[1], "[::]:80");
	assert_null(f->cfg->on_change);
	assert_int_equal(f->cfg->hook_delay_s, 3);
	assert_int_equal(f->cfg->hook_limit_s, 60);
	assert_int_equal(f->cfg->before_days, 30);
	assert_int_equal(f->cfg->reminders, 30);
}

static void each_key_is_taken(void **state)
{
	struct files *f = *state;
	assert_int_equal(load(f, "# what this host wants\n"
				 "[certfs]\nstore = /srv/certfs\nkey-group = tls\n"
				 "fs-user = a\nnet-user = b\nlog-level = debug\n"
				 "hang-limit = 60\nkeep = 3\nmaster-key-file = /k\n"
				 "clock-offset-file = /c\n"
				 "[acme]\ndirectory = none\ncontact = a@example.com\n"
				 "agree-terms = no\nroots-file = /r\neab-kid = kid-1\n"
				 "eab-key-file = /e\nkey-type = rsa3072\n"
				 "preferred-chain = ISRG Root X1\norders-at-once = 7\n"
				 "timeout = 5\n"
				 "[http-01]\nlisten = none\n"
				 "[hook]\non-change = /bin/a \"b c\" d\ndelay = 0\n"
				 "time-limit = 3600\n"
				 "[renewal]\nbefore = 20\nreminders = 4\n"),
			 0);
	assert_string_equal(f->cfg->store, "/srv/certfs");
	assert_string_equal(f->cfg->key_group, "tls");
	assert_string_equal(f->cfg->fs_user, "a");
	assert_string_equal(f->cfg->net_user, "b");
	assert_int_equal(f->cfg->log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(f->cfg->hang_limit_s, 60);
	assert_int_equal(f->cfg->keep, 3);
	assert_string_equal(f->cfg->master_key_file, "/k");
	assert_string_equal(f->cfg->clock_offset_file, "/c");
	assert_string_equal(f->cfg->directory, "none");
	assert_int_equal(f->cfg->contact.count, 1);
	assert_string_equal(f->cfg->contact.item[0], "a@example.com");
	assert_false(f->cfg->agree_terms);
	assert_string_equal(f->cfg->roots_file, "/r");
	assert_string_equal(f->cfg->eab_kid, "kid-1");
	assert_string_equal(f->cfg->eab_key_file, "/e");
	assert_int_equal(f->cfg->key_type, KEY_RSA3072);
	assert_string_equal(f->cfg->preferred_chain, "ISRG Root X1");
	assert_int_equal(f->cfg->orders_at_once, 7);
	assert_int_equal(f->cfg->timeout_s, 5);
	assert_int_equal(f->cfg->listen.count, 1);
	assert_string_equal(f->cfg->listen.item[0], "none");
	assert_string_equal(f->cfg->on_change, "/bin/a \"b c\" d");
	assert_int_equal(f->cfg->hook_delay_s, 0);
	assert_int_equal(f->cfg->hook_limit_s, 3600);
	assert_int_equal(f->cfg->before_days, 20);
	assert_int_equal(f->cfg->reminders, 4);
}

static void missing_file_that_was_named_is_an_error(void **state)
{
	struct files *f = *state;
	assert_int_equal(config_load(f->path, &f->cfg, &f->err), -ENOENT);
	assert_non_null(strstr(f->err.text, f->path));
}

static void unknown_key_names_the_nearest(void **state)
{
	struct files *f = *state;
	refused(f, "[acme]\n\ncontcat = a@example.com\n", 3,
		"unknown key 'contcat' in [acme], did you mean 'contact'?");
	refused(f, "[acme]\nkeeep = 3\n", 2,
		"unknown key 'keeep' in [acme], did you mean 'keep' in [certfs]?");
	refused(f, "[acme]\nfavourite-colour = blue\n", 2,
		"unknown key 'favourite-colour' in [acme]");
}

static void unknown_section_names_the_nearest(void **state)
{
	struct files *f = *state;
	refused(f, "[acme]\n[renewals]\n", 2,
		"unknown section [renewals], did you mean [renewal]?");
	refused(f, "[acne]\ncontact = a@example.com\n", 1,
		"unknown section [acne], did you mean [acme]?");
	refused(f, "keep = 3\n", 1, "'keep' stands before the first [section]");
}

static void hook_that_could_never_run_is_refused(void **state)
{
	struct files *f = *state;
	refused(f, "[hook]\non-change = systemctl reload nginx\n", 2,
		"'on-change = systemctl reload nginx': the program 'systemctl' must be "
		"named by its absolute path, such as /usr/bin/systemctl");
	refused(f, "[hook]\n\non-change = /bin/a \"b\n", 3,
		"'on-change = /bin/a \"b': a double quote isn't closed");
}

static void key_given_twice_is_refused(void **state)
{
	struct files *f = *state;
	refused(f, "[certfs]\nkeep = 3\n[acme]\n[certfs]\nkeep = 3\n", 5,
		"'keep' is given twice");
	refused(f, "[acme]\ncontact = a@example.com\ncontact = b@example.com\n", 3,
		"'contact' is given twice");
}

static void values_out_of_range_are_refused(void **state)
{
	static const struct {
		const char *text, *reason;
	} bad[] = {
	    {"[certfs]\nkeep = 0", "'keep = 0' must be a number from 1 to 1000"},
	    {"[certfs]\nkeep = 1001", "'keep = 1001' must be a number from 1 to 1000"},
	    {"[certfs]\nkeep = -1", "'keep = -1' must be a number from 1 to 1000"},
	    {"[certfs]\nkeep = ten", "'keep = ten' must be a number from 1 to 1000"},
	    {"[certfs]\nkeep = 7x", "'keep = 7x' must be a number from 1 to 1000"},
	    {"[certfs]\nkeep =", "'keep = ' must be a number from 1 to 1000"},
	    {"[acme]\norders-at-once = 4294967297",
	     "'orders-at-once = 4294967297' must be a number from 1 to 1000"},
	    {"[acme]\nagree-terms = perhaps",
	     "'agree-terms = perhaps' must be yes or no"},
	    {"[acme]\nkey-type = p257", "'key-type = p257' must be one of p256, p384, "
					"rsa2048, rsa3072, rsa4096"},
	    {"[certfs]\nlog-level = loud", "'log-level = loud' must be one of error, "
					   "warning, notice, info, debug"},
	    {"[acme]\ndirectory = http://ca.example/dir",
	     "'directory = http://ca.example/dir' must be an https:// URL "
	     "(RFC 8555 §6.1) or none"},
	    {"[acme]\ncontact = admin", "'contact = admin' must be a mail address"},
	    {"[acme]\ncontact = mailto:@example.com",
	     "'contact = mailto:@example.com' must be a mail address"},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		refused(*state, bad[i].text, 2, bad[i].reason);
}

static void listener_is_an_address_and_a_port(void **state)
{
	struct files *f = *state;
	static const char *const bad[] = {"80",      ":80",          "localhost:80",
					  "[::]:0",  "0.0.0.0:",     "0.0.0.0:65536",
					  "::1:80x", "[0.0.0.0]:80", "[::1:80"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		char text[128], reason[256];
		snprintf(text, sizeof(text), "[http-01]\nlisten = %s", bad[i]);
		snprintf(reason, sizeof(reason),
			 "'listen = %s' must be ADDRESS:PORT, such as 0.0.0.0:80 or "
			 "[::]:80, or none",
			 bad[i]);
		refused(f, text, 2, reason);
	}
	assert_int_equal(load(f, "[http-01]\nlisten = none 0.0.0.0:80\n"), -EINVAL);
	assert_int_equal(load(f, "[http-01]\nlisten = 192.0.2.1:8080,[2001:db8::1]:1\n"),
			 0);
	assert_int_equal(f->cfg->listen.count, 2);
}

static void list_is_split_at_commas_and_blanks(void **state)
{
	struct files *f = *state;
	assert_int_equal(load(f, "[acme]\ncontact = a@example.com,b@example.com , "
				 "c@example.com\td@example.com,\n"),
			 0);
	assert_int_equal(f->cfg->contact.count, 4);
	assert_string_equal(f->cfg->contact.item[1], "b@example.com");
	assert_string_equal(f->cfg->contact.item[3], "d@example.com");
}

static void list_goes_on_in_indented_lines(void **state)
{
	struct files *f = *state;
	assert_int_equal(load(f, "[acme]\ncontact = a@example.com\n  b@example.com\n"),
			 0);
	assert_int_equal(f->cfg->contact.count, 2);
	assert_string_equal(f->cfg->contact.item[1], "b@example.com");
	refused(f, "[certfs]\nkeep = 3\n  hang-limit = 20\n", 3,
		"an indented line goes on with the line before it, and 'keep' takes one "
		"value: take the blanks in front away");
}

static void list_that_is_too_long_is_refused(void **state)
{
	struct files *f = *state;
	char text[256] = "[acme]\ncontact =";
	for (int i = 0; i <= CONFIG_LIST_MAX; i++)
		strcat(text, " a@b");
	refused(f, text, 2, "'contact' takes at most 16 values");
}

static void line_that_is_too_long_is_refused(void **state)
{
	struct files *f = *state;
	char text[1024] = "[acme]\npreferred-chain = ";
	memset(text + strlen(text), 'x', 600);
	strcat(text, "\n[acme]\n");
	assert_int_equal(load(f, text), -EINVAL);
	assert_non_null(strstr(f->err.text, "certfs.conf:2: a line has at most "));
}

static void first_wrong_line_is_the_one_named(void **state)
{
	struct files *f = *state;
	refused(f, "[certfs]\nwhat is this\nkeeep = 3\n", 2,
		"neither a [section] nor a 'key = value'");
	refused(f, "[certfs]\nkeeep = 3\nwhat is this\n", 2,
		"unknown key 'keeep' in [certfs], did you mean 'keep'?");
}

static void relative_path_starts_at_the_files_folder(void **state)
{
	struct files *f = *state;
	char want[64];
	assert_int_equal(load(f, "[certfs]\nmaster-key-file = master.key\n"), 0);
	snprintf(want, sizeof(want), "%s/master.key", f->folder);
	assert_string_equal(f->cfg->master_key_file, want);
}

static void half_of_an_external_account_is_refused(void **state)
{
	struct files *f = *state;
	assert_int_equal(load(f, "[acme]\neab-kid = 1\n"), -EINVAL);
	assert_non_null(strstr(f->err.text, "eab-key-file"));
}

#define FILE_TEST(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    FILE_TEST(empty_file_gives_every_default),
	    FILE_TEST(each_key_is_taken),
	    FILE_TEST(missing_file_that_was_named_is_an_error),
	    FILE_TEST(unknown_key_names_the_nearest),
	    FILE_TEST(unknown_section_names_the_nearest),
	    FILE_TEST(hook_that_could_never_run_is_refused),
	    FILE_TEST(key_given_twice_is_refused),
	    FILE_TEST(values_out_of_range_are_refused),
	    FILE_TEST(listener_is_an_address_and_a_port),
	    FILE_TEST(list_is_split_at_commas_and_blanks),
	    FILE_TEST(list_goes_on_in_indented_lines),
	    FILE_TEST(list_that_is_too_long_is_refused),
	    FILE_TEST(line_that_is_too_long_is_refused),
	    FILE_TEST(first_wrong_line_is_the_one_named),
	    FILE_TEST(relative_path_starts_at_the_files_folder),
	    FILE_TEST(half_of_an_external_account_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
