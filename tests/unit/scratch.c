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
#define DIR  node_dir(5)
#define NEXT node_dir(6)
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

static int try(struct scratch *s, uint64_t dir, const char *name, enum scratch_kind kind,
	       uint32_t uid, struct scratch_info *info)
{
	struct error err = {0};
	int r;

	*info = (struct scratch_info){
	    .dir = dir, .kind = kind, .uid = uid, .gid = uid, .mode = 0700};
	r = scratch_create(s, name, uid, NOW, info, &err);
	assert_int_equal(r, -err.code);
	return r;
}

static uint32_t create(struct scratch *s, uint64_t dir, const char *name, uint32_t uid)
{
	struct scratch_info info;

	assert_int_equal(try(s, dir, name, SCRATCH_FILE, uid, &info), 0);
	return info.serial;
}

static int create_fails(struct scratch *s, uint64_t dir, const char *name)
{
	struct scratch_info info;

	return try(s, dir, name, SCRATCH_FILE, USER, &info);
}

/* Its node id. */
static uint64_t make_folder(struct scratch *s, uint64_t dir, const char *name)
{
	struct scratch_info info;

	assert_int_equal(try(s, dir, name, SCRATCH_FOLDER, USER, &info), 0);
	return scratch_node(&info);
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
	struct scratch_info by_name = {
	    .dir = DIR, .uid = USER, .gid = 100, .mode = 0102640};
	struct scratch_info by_serial;
	struct error err;

	assert_int_equal(scratch_create(s, ".cert.pem.AbCdEf", USER, NOW, &by_name, &err),
			 0);
	assert_true(scratch_find(s, DIR, ".cert.pem.AbCdEf", &by_name));
	assert_true(by_name.dir == DIR);
	assert_int_equal(by_name.uid, USER);
	assert_int_equal(by_name.gid, 100);
	assert_int_equal(by_name.mode, 0640); /* no type, no set-user-id */
	assert_int_equal(by_name.mtime_s, NOW);
	assert_int_equal(by_name.size, 0);
	assert_true(scratch_info(s, by_name.serial, &by_serial));
	assert_memory_equal(&by_name, &by_serial, sizeof(by_name));
	assert_false(scratch_find(s, NEXT, ".cert.pem.AbCdEf", &by_name));
	assert_content(s, by_serial.serial, "");
}

static void a_name_is_taken_once_in_a_directory(void **state)
{
	struct scratch *s = *state;

	create(s, DIR, "new", USER);
	assert_int_equal(create_fails(s, DIR, "new"), -EEXIST);
	create(s, NEXT, "new", USER);
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
	assert_int_equal(scratch_rename(s, DIR, "short", DIR, name, NOW), -ENAMETOOLONG);
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

	assert_int_equal(scratch_unlink(s, DIR, "new"), 0);
	assert_int_equal(scratch_unlink(s, DIR, "new"), -ENOENT);
	assert_int_equal(scratch_write(s, serial, "x", 1, 0, NOW), -ENOENT);
	assert_int_equal(scratch_resize(s, serial, 1, NOW), -ENOENT);
	assert_int_equal(scratch_rename(s, DIR, "new", DIR, "newer", NOW), -ENOENT);
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

	assert_int_equal(scratch_rename(s, DIR, "from", DIR, "to", NOW), 0);
	assert_false(scratch_find(s, DIR, "from", &info));
	assert_true(scratch_find(s, DIR, "to", &info));
	assert_int_equal(info.serial, from);
	assert_false(scratch_info(s, to, &info));
	assert_int_equal(scratch_rename(s, DIR, "to", DIR, "to", NOW), 0);
	assert_true(scratch_info(s, from, &info));
}

static void a_listing_has_each_file_of_its_directory_once(void **state)
{
	struct scratch *s = *state;
	struct scratch_info info;
	char name[256];

	create(s, DIR, "a", USER);
	create(s, NEXT, "b", USER);
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
	create(s, NEXT, "more", USER);
	/* Of one user: its flood keeps nobody else from writing there. */
	create(s, DIR, "root's", 0);
	create(s, DIR, "another's", USER + 1);
	assert_int_equal(scratch_unlink(s, DIR, "file-7"), 0);
	create(s, DIR, "more", USER);
}

/* Makes files until it is refused; how many there were. */
static uint32_t flood(struct scratch *s, uint32_t uid, int code)
{
	struct scratch_info info;
	char name[32];
	uint32_t made = 0;
	int r;

	do {
		snprintf(name, sizeof(name), "file-%u-%u", uid, made);
		r = try(s, node_dir(1 + made / SCRATCH_DIR_MAX), name, SCRATCH_FILE, uid,
			&info);
	} while (r == 0 && ++made <= SCRATCH_FILES);
	assert_int_equal(r, -code);
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
	assert_int_equal(scratch_unlink(s, DIR, "file-0"), 0);
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
	create(s, NEXT, "a", USER);
	const uint64_t folder = make_folder(s, DIR, ".~tmp~");
	create(s, folder, "c", USER);
	scratch_drop(s, 5);
	assert_false(scratch_find(s, DIR, ".~tmp~", &info));
	assert_false(scratch_find(s, folder, "c", &info));
	assert_false(scratch_find(s, DIR, "a", &info));
	assert_false(scratch_find(s, DIR, "b", &info));
	assert_true(scratch_find(s, NEXT, "a", &info));
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

static void its_end_is_waited_for_while_there_is_anything(void **state)
{
	struct scratch *s = *state;
	const uint32_t used = create(s, DIR, "used", USER);
	struct scratch_info info;

	create(s, DIR, "unused", USER);
	assert_int_equal(scratch_wait_ms(s, NOW + SCRATCH_IDLE_S), 1000);
	assert_int_equal(scratch_wait_ms(s, NOW - 100), SCRATCH_IDLE_S * 1000);
	assert_int_equal(scratch_write(s, used, "x", 1, 0, NOW + 5), 0);
	assert_int_equal(scratch_wait_ms(s, NOW + SCRATCH_IDLE_S + 3), 0);
	scratch_expire(s, NOW + SCRATCH_IDLE_S + 3);
	assert_false(scratch_find(s, DIR, "unused", &info));
	assert_int_equal(scratch_wait_ms(s, NOW + SCRATCH_IDLE_S + 3), 3000);
	scratch_expire(s, NOW + SCRATCH_IDLE_S + 6);
	assert_false(scratch_find(s, DIR, "used", &info));
	assert_int_equal(scratch_wait_ms(s, NOW), -1);
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

static void a_folder_has_files_of_its_own_and_no_folders(void **state)
{
	struct scratch *s = *state;
	const uint64_t folder = make_folder(s, DIR, ".~tmp~");
	struct scratch_info info;
	char name[256];
	struct node n;

	assert_true(node_of(folder, &n));
	assert_int_equal(n.kind, NODE_SCRATCH_DIR);
	assert_int_equal(n.number, 5);
	create(s, DIR, "fullchain.pem", USER);
	create(s, folder, "fullchain.pem", USER);
	assert_true(scratch_list(s, folder, 0, name, sizeof(name), &info));
	assert_string_equal(name, "fullchain.pem");
	assert_true(info.dir == folder);
	assert_false(scratch_list(s, folder, 1, name, sizeof(name), &info));
	assert_int_equal(try(s, folder, "deeper", SCRATCH_FOLDER, USER, &info), -EPERM);
	assert_int_equal(try(s, DIR, ".~tmp~", SCRATCH_FOLDER, USER, &info), -EEXIST);
}

static void a_folder_goes_when_it_is_empty(void **state)
{
	struct scratch *s = *state;
	const uint64_t folder = make_folder(s, DIR, ".~tmp~");

	create(s, folder, "a", USER);
	assert_int_equal(scratch_rmdir(s, DIR, ".~tmp~"), -ENOTEMPTY);
	assert_int_equal(scratch_unlink(s, DIR, ".~tmp~"), -EISDIR);
	assert_int_equal(scratch_rmdir(s, folder, "a"), -ENOTDIR);
	assert_int_equal(scratch_unlink(s, folder, "a"), 0);
	assert_int_equal(scratch_rmdir(s, DIR, ".~tmp~"), 0);
	assert_int_equal(scratch_rmdir(s, DIR, ".~tmp~"), -ENOENT);
	assert_int_equal(create_fails(s, folder, "late"), -ENOENT);
	create(s, DIR, "b", USER);
	assert_int_equal(scratch_rename(s, DIR, "b", folder, "b", NOW), -ENOENT);
}

static void a_file_moves_into_a_folder_and_out_of_it(void **state)
{
	struct scratch *s = *state;
	const uint64_t folder = make_folder(s, DIR, ".~tmp~");
	const uint32_t serial = create(s, DIR, ".cert.pem.AbCdEf", USER);
	struct scratch_info info;

	assert_int_equal(
	    scratch_rename(s, DIR, ".cert.pem.AbCdEf", folder, "cert.pem", NOW), 0);
	assert_true(scratch_find(s, folder, "cert.pem", &info));
	assert_int_equal(info.serial, serial);
	assert_int_equal(scratch_rename(s, folder, "cert.pem", DIR, "x", NOW), 0);
	assert_true(scratch_find(s, DIR, "x", &info));
	assert_int_equal(info.serial, serial);
	/* As rename(2) has it between files and folders. */
	assert_int_equal(scratch_rename(s, DIR, "x", DIR, ".~tmp~", NOW), -EISDIR);
	assert_int_equal(scratch_rename(s, DIR, ".~tmp~", DIR, "x", NOW), -ENOTDIR);
	assert_int_equal(scratch_rename(s, DIR, ".~tmp~", folder, "y", NOW), -EPERM);
}

static void a_folder_and_its_files_are_their_makers_share(void **state)
{
	const unsigned rest = SCRATCH_USER_FILES - SCRATCH_DIR_MAX - 1;
	struct scratch *s = *state;
	const uint64_t folder = make_folder(s, DIR, ".~tmp~");
	struct scratch_info info;
	char name[16];

	for (unsigned i = 0; i < SCRATCH_DIR_MAX; i++) {
		snprintf(name, sizeof(name), "file-%u", i);
		create(s, folder, name, USER);
	}
	assert_int_equal(create_fails(s, folder, "more"), -EDQUOT);
	for (unsigned i = 0; i < rest; i++) {
		snprintf(name, sizeof(name), "folder-%u", i);
		make_folder(s, DIR, name);
	}
	assert_int_equal(try(s, NEXT, "more", SCRATCH_FOLDER, USER, &info), -EDQUOT);
	assert_int_equal(try(s, NEXT, "more", SCRATCH_FOLDER, USER + 1, &info), 0);
}

static void a_folder_goes_an_hour_after_its_files_were_used(void **state)
{
	struct scratch *s = *state;
	const uint64_t folder = make_folder(s, DIR, ".~tmp~");
	const uint32_t serial = create(s, folder, "a", USER);
	struct scratch_info info;

	assert_int_equal(scratch_write(s, serial, "x", 1, 0, NOW + 10), 0);
	scratch_expire(s, NOW + 10 + SCRATCH_IDLE_S);
	assert_true(scratch_find(s, DIR, ".~tmp~", &info));
	assert_true(scratch_find(s, folder, "a", &info));
	scratch_expire(s, NOW + 11 + SCRATCH_IDLE_S);
	assert_false(scratch_find(s, folder, "a", &info));
	assert_false(scratch_find(s, DIR, ".~tmp~", &info));
}

static void a_file_is_no_folder_of_its_serial(void **state)
{
	struct scratch *s = *state;
	const uint32_t file = create(s, DIR, "a", USER);

	assert_int_equal(create_fails(s, node_id(5, file, NODE_SCRATCH_DIR), "b"),
			 -ENOENT);
}

static void a_symlink_in_the_root_points_to_a_domain(void **state)
{
	struct scratch *s = *state;
	struct scratch_info info = {
	    .dir = NODE_ROOT, .kind = SCRATCH_LINK, .target = 5, .uid = USER};
	struct error err;
	struct node n;

	assert_int_equal(scratch_create(s, "CuAbCdEf", USER, NOW, &info, &err), 0);
	assert_true(node_of(scratch_node(&info), &n));
	assert_int_equal(n.kind, NODE_SCRATCH_LINK);
	assert_int_equal(n.number, 0);
	assert_true(scratch_find(s, NODE_ROOT, "CuAbCdEf", &info));
	assert_int_equal(info.target, 5);
	assert_int_equal(scratch_unlink(s, NODE_ROOT, "CuAbCdEf"), 0);
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
	    TEST(its_end_is_waited_for_while_there_is_anything),
	    TEST(a_serial_is_not_used_again_while_its_file_lives),
	    TEST(a_folder_has_files_of_its_own_and_no_folders),
	    TEST(a_folder_goes_when_it_is_empty),
	    TEST(a_file_moves_into_a_folder_and_out_of_it),
	    TEST(a_folder_and_its_files_are_their_makers_share),
	    TEST(a_folder_goes_an_hour_after_its_files_were_used),
	    TEST(a_file_is_no_folder_of_its_serial),
	    TEST(a_symlink_in_the_root_points_to_a_domain),
	};

	return cmocka_run_group_tests_name("scratch", tests, NULL, NULL);
}
