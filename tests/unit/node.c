/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/node.h"
#include "fs/status.h"
#include "store/generation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void an_id_says_what_it_was_made_of(void **state)
{
	static const uint32_t numbers[] = {0, 1, 77, UINT32_MAX};
	static const uint32_t gens[] = {0, 1, 4711, GENERATION_MAX};
	struct node n;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		for (size_t j = 0; j < 4; j++)
			for (int kind = 0; kind < FILE_KINDS; kind++) {
				assert_true(node_of(
				    node_file(numbers[i], gens[j], (enum file_kind)kind),
				    &n));
				assert_int_equal(n.number, numbers[i]);
				assert_int_equal(n.gen, gens[j]);
				assert_int_equal(n.kind, NODE_FILE);
				assert_int_equal(n.index, kind);
				assert_false(n.alias);
			}
}

static void a_kind_that_stands_for_several_has_a_base_and_an_index(void **state)
{
	struct node n;

	(void)state;
	for (unsigned i = 0; i < FILE_KINDS; i++) {
		assert_true(node_of(node_id(3, 4, NODE_HISTORY_FILE + i), &n));
		assert_int_equal(n.kind, NODE_HISTORY_FILE);
		assert_int_equal(n.index, i);
	}
	for (unsigned i = 0; i < CONTROL_FILES; i++) {
		assert_true(node_of(node_id(0, 0, NODE_CONTROL + i), &n));
		assert_int_equal(n.kind, NODE_CONTROL);
		assert_int_equal(n.index, i);
	}
	assert_true(node_of(node_id(0, 0, NODE_COMBINED_DIR), &n));
	assert_int_equal(n.kind, NODE_COMBINED_DIR);
	assert_int_equal(n.index, 0);
}

static void the_root_is_what_the_kernel_calls_so(void **state)
{
	struct node n;

	(void)state;
	assert_int_equal(node_dir(0), NODE_ROOT);
	assert_true(node_of(NODE_ROOT, &n));
	assert_int_equal(n.kind, NODE_DIR);
	assert_int_equal(n.number, 0);
}

static void an_id_that_was_never_given_out_is_refused(void **state)
{
	struct node n;

	(void)state;
	assert_false(node_of(0, &n));
	assert_false(node_of(node_id(1, 1, NODE_KINDS), &n));
	assert_false(node_of(node_id(1, 1, NODE_ALIAS_BIT - 1), &n));
	for (unsigned i = CONTROL_FILES; NODE_CONTROL + i < NODE_COMBINED_DIR; i++)
		assert_false(node_of(node_id(0, 0, NODE_CONTROL + i), &n));
}

static void a_second_name_of_a_file_has_its_inode(void **state)
{
	const uint64_t id = node_file(3, 7, FILE_PRIVKEY);
	struct node n;

	(void)state;
	assert_true(node_of(id | NODE_ALIAS_BIT, &n));
	assert_true(n.alias);
	assert_int_equal(n.number, 3);
	assert_int_equal(n.gen, 7);
	assert_int_equal(n.kind, NODE_FILE);
	assert_int_equal(n.index, FILE_PRIVKEY);
	assert_int_equal(node_ino(id | NODE_ALIAS_BIT), id);
	assert_int_equal(node_ino(id), id);
}

static void generations_and_files_never_share_an_inode(void **state)
{
	(void)state;
	assert_int_not_equal(node_file(3, 7, FILE_CERT), node_file(3, 8, FILE_CERT));
	assert_int_not_equal(node_file(3, 7, FILE_CERT), node_file(4, 7, FILE_CERT));
	assert_int_not_equal(node_file(3, 7, FILE_CERT), node_file(3, 7, FILE_CHAIN));
	assert_int_not_equal(node_file(3, 7, FILE_CERT),
			     node_id(3, 7, NODE_HISTORY_FILE + FILE_CERT));
}

static void the_id_of_a_token_is_the_same_in_every_worker(void **state)
{
	struct node n;

	(void)state;
	/* FNV-1a of "a" is 0xaf63dc4c8601ec8c. */
	assert_int_equal(node_token("a"), 0x63dc4c8601ec8c00ULL | NODE_TOKEN);
	assert_int_not_equal(node_token("a"), node_token("b"));
	assert_true(node_of(node_token("evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ"), &n));
	assert_int_equal(n.kind, NODE_TOKEN);
	assert_false(n.alias);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_id_says_what_it_was_made_of),
	    cmocka_unit_test(a_kind_that_stands_for_several_has_a_base_and_an_index),
	    cmocka_unit_test(the_root_is_what_the_kernel_calls_so),
	    cmocka_unit_test(an_id_that_was_never_given_out_is_refused),
	    cmocka_unit_test(a_second_name_of_a_file_has_its_inode),
	    cmocka_unit_test(generations_and_files_never_share_an_inode),
	    cmocka_unit_test(the_id_of_a_token_is_the_same_in_every_worker),
	};

	return cmocka_run_group_tests_name("node", tests, NULL, NULL);
}
