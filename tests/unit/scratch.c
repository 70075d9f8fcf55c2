/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* The file itself: its serials are wound on to their end, which takes minutes by creating. */
#include "fs/scratch.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NOW  1000000
#define DIR  5
#define USER 1000

static int setup(void **state)
{
	struct scratch *s = NULL;
	struct error err;

	if (scratch_new(&s, &err) < 0)
		return -1;
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	scratch_free(*state);
	return 0;
}

static uint32_t create(struct scratch *s, uint32_t number, const char *name, uint32_t uid)
{
	struct scratch_info info;
	struct error err;

	assert_int_equal(
	    scratch_create(s, number, name, uid, uid, 0600, NOW, &info, &err), 0);
	return info.serial;
}

static int create_fails(struct scratch *s, uint32_t number, const char *name)
{
	struct scratch_info info;
	struct error err = {0};
	int r = scratch_create(s, number, name, USER, USER, 0600, NOW, &info, &err);

	assert_int_equal(r, -err.code);
	return r;
}

static void assert_content(struct scratch *s, uint32_t serial, const char *text)
{
	struct secret *content = scratch_content(s, serial);

	assert_non_null(content);
	assert_int_equal(secret_size(content), strlen(text));
	assert_memory_equal(secret_data(content), text, strlen(text));
	secret_free(content);
}

static void a_file_is_its_makers_and_found_by_name_and_by_serial(void **state)
{
	struct scratch *s = *state;
	struct scratch_info by_name, by_serial;
	struct error err;

	assert_int_equal(scratch_create(s, DIR, ".cert.pem.AbCdEf", USER, 100, 0102640,
					NOW, &by_name, &err),
			 0);
	assert_true(scratch_find(s, DIR, ".cert.pem.AbCdEf", &by_name));
	assert_int_equal(by_name.number, DIR);
	assert_int_equal(by_name.uid, USER);
	assert_int_equal(by_name.gid, 100);
	assert_int_equal(by_name.mode, 0640); /* no type, no set-user-id */
	assert_int_equal(by_name.mtime_s, NOW);
	assert_int_equal(by_name.size, 0);
	assert_true(scratch_info(s, by_name.serial, &by_serial));
	assert_memory_equal(&by_name, &by_serial, sizeof(by_name));
	assert_false(scratch_find(s, DIR + 1, ".cert.pem.AbCdEf", &by_name));
	assert_content(s, by_serial.serial, "");
}

static void a_name_is_taken_once_in_a_directory(void **state)
{
	struct scratch *s = *state;

	create(s, DIR, "new", USER);
	assert_int_equal(create_fails(s, DIR, "new"), -EEXIST);
	create(s, DIR + 1, "new", USER);
}

static void a_name_that_the_kernel_would_not_send_is_refused(void **state)
{
	struct scratch *s = *state;
	char name[257];

	memset(name, 'x', sizeof(name) - 1);
	name[256] = '\0';
	assert_int_equal(create_fails(s, DIR, name), -ENAMETOOLONG);
	create(s, DIR, name + 1, USER);
	create(s, DIR, "short", USER);
	assert_int_equal(scratch_rename(s, DIR, "short", name), -ENAMETOOLONG);
}

static void what_was_written_is_read(void **state)
{
	struct scratch *s = *state;
	const uint32_t serial = create(s, DIR, "new", USER);
	struct scratch_info info;

	assert_int_equal(scratch_write(s, serial, "world", 5, 6, NOW + 1), 0);
	assert_int_equal(scratch_write(s, serial, "hello ", 6, 0, NOW + 2), 0);
	assert_content(s, serial, "hello world");
	assert_true(scratch_info(s, serial, &info));
	assert_int_equal(info.size, 11);
	assert_int_equal(info.mtime_s, NOW + 2);
	assert_int_equal(scratch_resize(s, serial, 5, NOW + 3), 0);
	assert_content(s, serial, "hello");
	assert_true(scratch_info(s, serial, &info));
	assert_int_equal(info.mtime_s, NOW + 3);
}

static void what_is_gone_is_known_as_such(void **state)
{
	struct scratch *s = *state;
	const uint32_t serial = create(s, DIR, "new", USER);
	struct scratch_info info = {.serial = serial};

	assert_true(scratch_remove(s, DIR, "new"));
	assert_false(scratch_remove(s, DIR, "new"));
	assert_int_equal(scratch_write(s, serial, "x", 1, 0, NOW), -ENOENT);
	assert_int_equal(scratch_resize(s, serial, 1, NOW), -ENOENT);
	assert_int_equal(scratch_rename(s, DIR, "new", "newer"), -ENOENT);
	assert_null(scratch_content(s, serial));
	assert_false(scratch_set(s, &info));
	assert_false(scratch_info(s, serial, &info));
	scratch_remove_serial(s, serial);
}

static void attributes_change_and_the_size_does_not(void **state)
{
	struct scratch *s = *state;
	const uint32_t serial = create(s, DIR, "new", USER);
	struct scratch_info info;

	assert_int_equal(scratch_write(s, serial, "abc", 3, 0, NOW), 0);
	assert_true(scratch_info(s, serial, &info));
	info.mode = 0640;
	info.mode_set = true;
	info.mtime_s = 77;
	info.times_set = true;
	info.size = 4711;
	assert_true(scratch_set(s, &info));
	assert_true(scratch_find(s, DIR, "new", &info));
	assert_int_equal(info.mode, 0640);
	assert_true(info.mode_set);
	assert_int_equal(info.mtime_s, 77);
	assert_true(info.times_set);
	assert_int_equal(info.size, 3);
}

static void a_rename_takes_the_name_from_whoever_has_it(void **state)
{
	struct scratch *s = *state;
	const uint32_t from = create(s, DIR, "from", USER),
		       to = create(s, DIR, "to", USER);
	struct scratch_info info;

	assert_int_equal(scratch_rename(s, DIR, "from", "to"), 0);
	assert_false(scratch_find(s, DIR, "from", &info));
	assert_true(scratch_find(s, DIR, "to", &info));
	assert_int_equal(info.serial, from);
	assert_false(scratch_info(s, to, &info));
	assert_int_equal(scratch_rename(s, DIR, "to", "to"), 0);
	assert_true(scratch_info(s, from, &info));
}

static void a_listing_has_each_file_of_its_directory_once(void **state)
{
	struct scratch *s = *state;
	struct scratch_info info;
	char name[256];

	create(s, DIR, "a", USER);
	create(s, DIR + 1, "b", USER);
	create(s, DIR, "c", USER);
	assert_true(scratch_list(s, DIR, 0, name, sizeof(name), &info));
	assert_string_equal(name, "a");
	assert_true(scratch_list(s, DIR, 1, name, sizeof(name), &info));
	assert_string_equal(name, "c");
	assert_false(scratch_list(s, DIR, 2, name, sizeof(name), &info));
}

static void a_directory_holds_so_many_and_a_removed_one_makes_room(void **state)
{
	struct scratch *s = *state;
	char name[16];

	for (unsigned i = 0; i < SCRATCH_DIR_MAX; i++) {
		snprintf(name, sizeof(name), "file-%u", i);
		create(s, DIR, name, USER);
	}
	assert_int_equal(create_fails(s, DIR, "more"), -EDQUOT);
	create(s, DIR + 1, "more", USER);
	/* Of one user: its flood keeps nobody else from writing there. */
	create(s, DIR, "root's", 0);
	create(s, DIR, "another's", USER + 1);
	assert_true(scratch_remove(s, DIR, "file-7"));
	create(s, DIR, "more", USER);
}

/* Makes files until it is refused; how many there were. */
static uint32_t flood(struct scratch *s, uint32_t uid, int code)
{
	struct scratch_info info;
	struct error err;
	char name[32];
	uint32_t made = 0;
	int r;

	do {
		snprintf(name, sizeof(name), "file-%u-%u", uid, made);
		r = scratch_create(s, 1 + made / SCRATCH_DIR_MAX, name, uid, uid, 0600,
				   NOW, &info, &err);
	} while (r == 0 && ++made <= SCRATCH_FILES);
	assert_int_equal(r, -code);
	assert_int_equal(err.code, code);
	return made;
}

static void a_user_makes_so_many_and_users_leave_root_its_own(void **state)
{
	const unsigned all = SCRATCH_FILES - SCRATCH_ROOT_FILES;
	struct scratch *s = *state;

	for (unsigned i = 0; i < all / SCRATCH_USER_FILES; i++)
		assert_int_equal(flood(s, USER + i, EDQUOT), SCRATCH_USER_FILES);
	assert_int_equal(flood(s, USER + 99, ENOSPC), 0);
	assert_int_equal(flood(s, 0, EDQUOT), SCRATCH_ROOT_FILES);
}

static void one_user_does_not_fill_it_for_another(void **state)
{
	struct scratch *s = *state;
	uint32_t serial = 0;
	char name[16];

	for (unsigned i = 0; i < SCRATCH_USER_MAX / SCRATCH_FILE_MAX; i++) {
		snprintf(name, sizeof(name), "file-%u", i);
		serial = create(s, DIR, name, USER);
		assert_int_equal(scratch_resize(s, serial, SCRATCH_FILE_MAX, NOW), 0);
	}
	assert_int_equal(scratch_resize(s, serial, SCRATCH_FILE_MAX + 1, NOW), -EFBIG);
	assert_int_equal(scratch_write(s, serial, "x", 1, SCRATCH_FILE_MAX, NOW), -EFBIG);
	assert_int_equal(scratch_write(s, serial, "x", 1, UINT64_MAX, NOW), -EFBIG);
	serial = create(s, DIR, "one byte more", USER);
	assert_int_equal(scratch_write(s, serial, "x", 1, 0, NOW), -EDQUOT);
	serial = create(s, DIR, "somebody else's", USER + 1);
	assert_int_equal(scratch_resize(s, serial, SCRATCH_FILE_MAX, NOW), 0);
	/* What is given back can be used again. */
	assert_true(scratch_remove(s, DIR, "file-0"));
	assert_true(scratch_find(s, DIR, "one byte more", &(struct scratch_info){0}));
	serial = create(s, DIR, "again", USER);
	assert_int_equal(scratch_resize(s, serial, SCRATCH_FILE_MAX, NOW), 0);
}

static void fill(struct scratch *s, const char *name, uint32_t uid)
{
	assert_int_equal(
	    scratch_resize(s, create(s, DIR, name, uid), SCRATCH_FILE_MAX, NOW), 0);
}

static void all_users_together_leave_root_its_share(void **state)
{
	const unsigned each = SCRATCH_USER_MAX / SCRATCH_FILE_MAX;
	const unsigned users = (SCRATCH_TOTAL_MAX - SCRATCH_ROOT_MAX) / SCRATCH_FILE_MAX;
	struct scratch *s = *state;
	char name[16];

	for (unsigned i = 0; i < users; i++) {
		snprintf(name, sizeof(name), "file-%u", i);
		fill(s, name, USER + i / each);
	}
	assert_int_equal(scratch_resize(s, create(s, DIR, "one more", USER + 99), 1, NOW),
			 -ENOSPC);
	for (unsigned i = 0; i < SCRATCH_ROOT_MAX / SCRATCH_FILE_MAX; i++) {
		snprintf(name, sizeof(name), "root-%u", i);
		fill(s, name, 0);
	}
	assert_int_equal(scratch_resize(s, create(s, DIR, "root's", 0), 1, NOW), -EDQUOT);
}

static void what_is_given_away_counts_for_who_made_it(void **state)
{
	struct scratch *s = *state;
	struct scratch_info info;

	fill(s, "a", 0);
	fill(s, "b", 0);
	assert_true(scratch_find(s, DIR, "a", &info));
	info.uid = USER;
	assert_true(scratch_set(s, &info));
	assert_true(scratch_find(s, DIR, "b", &info));
	info.uid = USER;
	assert_true(scratch_set(s, &info));
	fill(s, "c", USER);
	fill(s, "d", USER);
	assert_int_equal(scratch_resize(s, create(s, DIR, "e", USER), 1, NOW), -EDQUOT);
}

static void what_was_cut_off_takes_no_memory(void **state)
{
	struct scratch *s = *state;
	const uint32_t serial = create(s, DIR, "new", USER);

	assert_int_equal(scratch_resize(s, serial, SCRATCH_FILE_MAX, NOW), 0);
	assert_int_equal(scratch_write(s, serial, "abc", 3, 0, NOW), 0);
	assert_int_equal(scratch_resize(s, serial, 3, NOW), 0);
	assert_in_range(secret_capacity(by_serial(s, serial)->content), 3, 4096);
	assert_content(s, serial, "abc");
}

static void a_directory_takes_its_files_along(void **state)
{
	struct scratch *s = *state;
	struct scratch_info info;

	create(s, DIR, "a", USER);
	create(s, DIR, "b", USER);
	create(s, DIR + 1, "a", USER);
	scratch_drop(s, DIR);
	assert_false(scratch_find(s, DIR, "a", &info));
	assert_false(scratch_find(s, DIR, "b", &info));
	assert_true(scratch_find(s, DIR + 1, "a", &info));
}

static void what_was_unused_for_an_hour_goes(void **state)
{
	struct scratch *s = *state;
	const uint32_t used = create(s, DIR, "used", USER);
	struct scratch_info info;

	create(s, DIR, "unused", USER);
	assert_int_equal(scratch_write(s, used, "x", 1, 0, NOW + 1), 0);
	scratch_expire(s, NOW + SCRATCH_IDLE_S);
	assert_true(scratch_find(s, DIR, "unused", &info));
	scratch_expire(s, NOW + SCRATCH_IDLE_S + 1);
	assert_false(scratch_find(s, DIR, "unused", &info));
	assert_true(scratch_find(s, DIR, "used", &info));
	assert_content(s, used, "x");
}

static void a_serial_is_not_used_again_while_its_file_lives(void **state)
{
	struct scratch *s = *state;
	const uint32_t living = create(s, DIR, "living", USER);
	uint32_t next;

	s->last_serial = SERIAL_MAX - 1;
	assert_int_equal(create(s, DIR, "last", USER), SERIAL_MAX);
	next = create(s, DIR, "first again", USER);
	assert_int_not_equal(next, living);
	assert_in_range(next, 1, SERIAL_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_file_is_its_makers_and_found_by_name_and_by_serial),
	    TEST(a_name_is_taken_once_in_a_directory),
	    TEST(a_name_that_the_kernel_would_not_send_is_refused),
	    TEST(what_was_written_is_read),
	    TEST(what_is_gone_is_known_as_such),
	    TEST(attributes_change_and_the_size_does_not),
	    TEST(a_rename_takes_the_name_from_whoever_has_it),
	    TEST(a_listing_has_each_file_of_its_directory_once),
	    TEST(a_directory_holds_so_many_and_a_removed_one_makes_room),
	    TEST(a_user_makes_so_many_and_users_leave_root_its_own),
	    TEST(one_user_does_not_fill_it_for_another),
	    TEST(all_users_together_leave_root_its_share),
	    TEST(what_is_given_away_counts_for_who_made_it),
	    TEST(what_was_cut_off_takes_no_memory),
	    TEST(a_directory_takes_its_files_along),
	    TEST(what_was_unused_for_an_hour_goes),
	    TEST(a_serial_is_not_used_again_while_its_file_lives),
	};

	return cmocka_run_group_tests_name("scratch", tests, NULL, NULL);
}
