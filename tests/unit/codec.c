/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static void record_comes_back_field_by_field(void **state)
{
	(void)state;
	unsigned char buffer[128];
	char text[8];
	struct enc e;
	enc_init(&e, buffer, sizeof(buffer));
	enc_u8(&e, 0xfe);
	enc_u16(&e, 0xfedc);
	enc_u32(&e, 0xfedcba98);
	enc_u64(&e, UINT64_MAX - 1);
	enc_i64(&e, INT64_MIN);
	enc_be32(&e, 7);
	enc_be64(&e, UINT64_C(1) << 40);
	enc_blob(&e, "a\0b", 3);
	enc_text(&e, "text");
	enc_text(&e, NULL);
	enc_raw(&e, "raw", 3);
	assert_false(e.overflow);

	struct dec d;
	size_t size;
	dec_init(&d, e.data, e.size);
	assert_int_equal(dec_u8(&d), 0xfe);
	assert_int_equal(dec_u16(&d), 0xfedc);
	assert_int_equal(dec_u32(&d), 0xfedcba98);
	assert_true(dec_u64(&d) == UINT64_MAX - 1);
	assert_true(dec_i64(&d) == INT64_MIN);
	assert_int_equal(dec_be32(&d), 7);
	assert_true(dec_be64(&d) == UINT64_C(1) << 40);
	assert_memory_equal(dec_blob(&d, &size), "a\0b", 3);
	assert_int_equal(size, 3);
	dec_text(&d, text, sizeof(text));
	assert_string_equal(text, "text");
	dec_text(&d, text, sizeof(text));
	assert_string_equal(text, "");
	assert_false(dec_done(&d));
	assert_memory_equal(dec_raw(&d, 3), "raw", 3);
	assert_true(dec_done(&d));
}

static void values_are_little_and_keys_big_endian(void **state)
{
	(void)state;
	unsigned char buffer[26];
	struct enc e;
	enc_init(&e, buffer, sizeof(buffer));
	enc_u16(&e, 0x0102);
	enc_u32(&e, 0x01020304);
	enc_u64(&e, UINT64_C(0x0102030405060708));
	enc_be32(&e, 0x01020304);
	enc_be64(&e, UINT64_C(0x0102030405060708));
	assert_false(e.overflow);
	assert_memory_equal(buffer,
			    "\2\1\4\3\2\1\x8\7\6\5\4\3\2\1\1\2\3\4\1\2\3\4\5\6\7\x8", 26);
}

static void overflow_is_remembered_and_writes_nothing_outside(void **state)
{
	(void)state;
	unsigned char buffer[4] = {0, 0, 0, 0xaa};
	struct enc e;
	enc_init(&e, buffer, 3);
	enc_u32(&e, UINT32_MAX);
	assert_true(e.overflow);
	enc_u8(&e, 1); /* would fit, and would be a record with a hole */
	assert_true(e.overflow);
	assert_int_equal(e.size, 0);
	assert_int_equal(buffer[3], 0xaa);
}

static void every_cut_of_a_record_is_bad(void **state)
{
	(void)state;
	unsigned char buffer[64];
	char text[16];
	struct enc e;
	enc_init(&e, buffer, sizeof(buffer));
	enc_u64(&e, 1);
	enc_text(&e, "app.example");
	enc_be32(&e, 2);
	for (size_t cut = 0; cut <= e.size; cut++) {
		struct dec d;
		dec_init(&d, buffer, cut);
		dec_u64(&d);
		dec_text(&d, text, sizeof(text));
		dec_be32(&d);
		assert_int_equal(dec_done(&d), cut == e.size);
		assert_int_equal(d.bad, cut < e.size);
	}
}

static void what_follows_a_bad_field_is_zero(void **state)
{
	(void)state;
	struct dec d;
	size_t size = 1;
	dec_init(&d, "\xff\xff\xff\xff\1\1\1\1", 8);
	assert_null(dec_blob(&d, &size));
	assert_int_equal(size, 0);
	assert_true(d.bad);
	assert_int_equal(dec_u8(&d), 0);
	assert_null(dec_raw(&d, 0));
	assert_false(dec_done(&d));
}

static void text_that_does_not_fit_is_bad_and_empty(void **state)
{
	(void)state;
	char text[4] = "old";
	struct dec d;
	dec_init(&d, "\4\0\0\0abcd", 8);
	dec_text(&d, text, sizeof(text));
	assert_true(d.bad);
	assert_string_equal(text, "");
	dec_init(&d, "\3\0\0\0abc", 7);
	dec_text(&d, text, sizeof(text));
	assert_true(dec_done(&d));
	assert_string_equal(text, "abc");
}

static void text_with_a_nul_is_bad(void **state)
{
	(void)state;
	char text[8];
	struct dec d;
	dec_init(&d, "\3\0\0\0a\0b", 7);
	dec_text(&d, text, sizeof(text));
	assert_true(d.bad);
	assert_string_equal(text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(record_comes_back_field_by_field),
	    cmocka_unit_test(values_are_little_and_keys_big_endian),
	    cmocka_unit_test(overflow_is_remembered_and_writes_nothing_outside),
	    cmocka_unit_test(every_cut_of_a_record_is_bad),
	    cmocka_unit_test(what_follows_a_bad_field_is_zero),
	    cmocka_unit_test(text_that_does_not_fit_is_bad_and_empty),
	    cmocka_unit_test(text_with_a_nul_is_bad),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
