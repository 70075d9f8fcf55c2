/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/config_text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

struct files {
	char folder[40], path[64];
	struct error err;
};

static int make_folder(void **state)
{
	struct files *f = calloc(1, sizeof(*f));
	if (!f)
		return -1;
	strcpy(f->folder, "/tmp/certfs-config-XXXXXX");
	if (!mkdtemp(f->folder))
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/certfs.conf", f->folder);
	*state = f;
	return 0;
}

static int remove_folder(void **state)
{
	struct files *f = *state;
	unlink(f->path);
	int r = rmdir(f->folder);
	free(f);
	return r;
}

static void put(const struct files *f, const char *text)
{
	FILE *file = fopen(f->path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static int taken(struct files *f, const char *text)
{
	int fd = -1;
	put(f, text);
	assert_int_equal(config_text_read(f->path, &fd, &f->err), 0);
	return fd;
}

static void what_was_read_holds_whatever_becomes_of_the_file(void **state)
{
	struct files *f = *state;
	struct config *cfg = NULL;
	int fd = taken(f, "[certfs]\nkeep = 7\nmaster-key-file = key\n");
	put(f, "[certfs]\nkeep = 9\n");
	for (int i = 0; i < 2; i++) { /* each worker reads it once more */
		char want[80];
		assert_int_equal(config_text_load(fd, &cfg, &f->err), 0);
		assert_int_equal(cfg->keep, 7);
		assert_string_equal(cfg->path, f->path);
		snprintf(want, sizeof(want), "%s/key", f->folder);
		assert_string_equal(cfg->master_key_file, want);
		config_free(cfg);
	}
	close(fd);
}

static void nobody_can_change_what_was_read(void **state)
{
	struct files *f = *state;
	int fd = taken(f, "[certfs]\nkeep = 7\n");
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 0), -1);
	close(fd);
}

static void a_wrong_text_is_told_with_file_and_line(void **state)
{
	struct files *f = *state;
	struct config *cfg = NULL;
	char want[128];
	int fd = taken(f, "[acme]\ncontcat = a@example.com\n");
	assert_int_equal(config_text_load(fd, &cfg, &f->err), -EINVAL);
	snprintf(want, sizeof(want), "%s:2: unknown key 'contcat'", f->path);
	assert_non_null(strstr(f->err.text, want));
	close(fd);
}

static void an_empty_file_gives_the_defaults_and_its_path(void **state)
{
	struct files *f = *state;
	struct config *cfg = NULL;
	int fd = taken(f, "");
	assert_int_equal(config_text_load(fd, &cfg, &f->err), 0);
	assert_int_equal(cfg->keep, 10);
	assert_string_equal(cfg->path, f->path);
	config_free(cfg);
	close(fd);
}

static void missing_and_boundless_files_are_refused(void **state)
{
	struct files *f = *state;
	int fd = -1;
	assert_int_equal(config_text_read(f->path, &fd, &f->err), -ENOENT);
	assert_non_null(strstr(f->err.text, f->path));
	assert_int_equal(config_text_read("/dev/zero", &fd, &f->err), -EFBIG);
	assert_int_equal(fd, -1);
}

static void damage_is_refused(void **state)
{
	struct files *f = *state;
	struct config *cfg = NULL;
	static const char *const bad[] = {"relative\0[certfs]\n", "/no end"};
	for (size_t i = 0; i < 2; i++) {
		int fd = memfd_create("config", MFD_CLOEXEC);
		assert_true(write(fd, bad[i], 7) == 7);
		assert_int_equal(config_text_load(fd, &cfg, &f->err), -EBADMSG);
		close(fd);
	}
	assert_int_equal(config_text_load(-1, &cfg, &f->err), -EBADF);
}

static void same_texts_of_the_same_file_are_the_same(void **state)
{
	struct files *f = *state;
	int one = taken(f, "[certfs]\nkeep = 7\n"),
	    two = taken(f, "[certfs]\nkeep = 7\n");
	int other = taken(f, "[certfs]\nkeep = 8\n");
	assert_true(config_text_same(one, two));
	assert_false(config_text_same(one, other));
	assert_false(config_text_same(one, -1));
	close(one);
	close(two);
	close(other);
}

#define ONE(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    ONE(what_was_read_holds_whatever_becomes_of_the_file),
	    ONE(nobody_can_change_what_was_read),
	    ONE(a_wrong_text_is_told_with_file_and_line),
	    ONE(an_empty_file_gives_the_defaults_and_its_path),
	    ONE(missing_and_boundless_files_are_refused),
	    ONE(damage_is_refused),
	    ONE(same_texts_of_the_same_file_are_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
