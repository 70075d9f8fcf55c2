/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/policy.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void parsed(const char *text, struct policy *p)
{
	struct error err = {0};

	if (policy_parse(text, strlen(text), p, &err))
		fail_msg("%s in:\n%s", err.text, text);
}

/* Nothing of `p` may change. */
static void refused_bytes(const void *text, size_t size, int code, const char *says)
{
	struct policy p = {.set = 1u << POLICY_KEEP, .keep = 7}, before = p;
	struct error err = {0};

	assert_int_equal(policy_parse(text, size, &p, &err), -code);
	assert_int_equal(err.code, code);
	if (!strstr(err.text, says))
		fail_msg("'%s' is not in '%s'", says, err.text);
	assert_memory_equal(&p, &before, sizeof(p));
}

static void refused(const char *text, const char *says)
{
	refused_bytes(text, strlen(text), EINVAL, says);
}

static void each_key_takes_its_value(void **state)
{
	struct policy p = {0};
	struct config cfg = {0};

	(void)state;
	parsed("managed = no\nkey-type=p384\n  keep\t= 3 \nbefore = 20\r\nreminders = 4\n"
	       "preferred-chain = ISRG Root X1",
	       &p);
	assert_false(policy_managed(&p));
	assert_int_equal(policy_key_type(&p, &cfg), KEY_P384);
	assert_int_equal(policy_keep(&p, &cfg), 3);
	assert_int_equal(policy_before_days(&p, &cfg), 20);
	assert_int_equal(policy_reminders(&p, &cfg), 4);
	assert_string_equal(policy_preferred_chain(&p, &cfg), "ISRG Root X1");
	for (enum policy_key key = 0; key < POLICY_KEYS; key++)
		assert_true(policy_has(&p, key));
}

static void what_is_not_set_is_the_configurations(void **state)
{
	struct config cfg = {.keep = 10,
			     .key_type = KEY_RSA3072,
			     .before_days = 30,
			     .reminders = 31,
			     .preferred_chain = (char *)"Top"};
	struct policy p = {.set = 1u << POLICY_KEEP, .keep = 2, .written_s = 99};

	(void)state;
	parsed("# keep = 5\n; before = 1\n\n   \nkey-type =\nmanaged = no\nmanaged =\n",
	       &p);
	assert_int_equal(p.set, 0);
	assert_int_equal(p.written_s, 99);
	assert_true(policy_managed(&p));
	assert_int_equal(policy_keep(&p, &cfg), 10);
	assert_int_equal(policy_key_type(&p, &cfg), KEY_RSA3072);
	assert_int_equal(policy_before_days(&p, &cfg), 30);
	assert_int_equal(policy_reminders(&p, &cfg), 31);
	assert_string_equal(policy_preferred_chain(&p, &cfg), "Top");
	parsed("", &p);
	assert_int_equal(p.set, 0);
}

static void the_last_line_of_a_key_counts(void **state)
{
	struct policy p = {0};
	struct config cfg = {.keep = 10};

	(void)state;
	parsed("keep = 3\nkeep = 4\n", &p);
	assert_int_equal(policy_keep(&p, &cfg), 4);
	parsed("keep = 3\nkeep =\n", &p);
	assert_int_equal(policy_keep(&p, &cfg), 10);
}

static void what_is_wrong_is_told_with_its_line_and_changes_nothing(void **state)
{
	(void)state;
	refused("keep = 3\nkep = 4\n", "line 2: unknown key 'kep', did you mean 'keep'?");
	refused("on-change = /bin/sh\n", "can't be set for one name alone");
	refused("directory = https://ca.example/\n", "certfs.conf");
	refused("colour = red\n", "there are managed, key-type");
	refused("keep = 0\n", "from 1 to 1000");
	refused("keep = 3x\n", "from 1 to 1000");
	refused("before = 366\n", "from 1 to 365");
	refused("key-type = dsa\n", "must be one of p256");
	refused("managed = perhaps\n", "yes or no");
	refused("[certfs]\nkeep = 3\n", "line 1: '[certfs]' is no 'key = value'");
	refused("keep = 3\n\nkeep\n", "line 3");
	refused("keep = 3\033[2J\n", "control character");
	refused_bytes("keep = 3\n\0keep = 4\n", 19, EINVAL, "NUL");
}

static void chain_that_no_job_has_room_for_is_refused(void **state)
{
	char text[POLICY_CHAIN_MAX + 32] = "preferred-chain = ";
	size_t at = strlen(text);
	struct policy p = {0};

	(void)state;
	memset(text + at, 'x', POLICY_CHAIN_MAX - 1);
	parsed(text, &p);
	assert_int_equal(strlen(p.preferred_chain), POLICY_CHAIN_MAX - 1);
	memset(text + at, 'x', POLICY_CHAIN_MAX);
	refused(text, "at most 255 bytes");
}

static void more_than_64_kib_is_too_large(void **state)
{
	char *text = malloc(POLICY_TEXT_MAX + 1);
	struct policy p = {0};
	struct error err;

	(void)state;
	assert_non_null(text);
	memset(text, '\n', POLICY_TEXT_MAX + 1);
	assert_int_equal(policy_parse(text, POLICY_TEXT_MAX, &p, &err), 0);
	refused_bytes(text, POLICY_TEXT_MAX + 1, EFBIG, "64 KiB");
	free(text);
}

static void it_is_decoded_as_it_was_encoded(void **state)
{
	unsigned char row[512];
	struct policy p = {0}, q;
	struct enc e;
	struct dec d;

	(void)state;
	parsed("managed = no\nkey-type = rsa4096\nkeep = 3\npreferred-chain = Top\n", &p);
	p.written_s = 1234;
	enc_init(&e, row, sizeof(row));
	policy_encode(&e, &p);
	assert_false(e.overflow);
	dec_init(&d, row, e.size);
	policy_decode(&d, &q);
	assert_true(dec_done(&d));
	assert_int_equal(q.set, p.set);
	assert_int_equal(q.written_s, 1234);
	assert_false(policy_managed(&q));
	assert_int_equal(q.key_type, KEY_RSA4096);
	assert_int_equal(q.keep, 3);
	assert_string_equal(q.preferred_chain, "Top");
	for (size_t size = 0; size < e.size; size++) {
		dec_init(&d, row, size);
		policy_decode(&d, &q);
		assert_false(dec_done(&d));
	}
	row[0] = 0xff; /* a key that there is none of */
	dec_init(&d, row, e.size);
	policy_decode(&d, &q);
	assert_false(dec_done(&d));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_key_takes_its_value),
	    cmocka_unit_test(what_is_not_set_is_the_configurations),
	    cmocka_unit_test(the_last_line_of_a_key_counts),
	    cmocka_unit_test(what_is_wrong_is_told_with_its_line_and_changes_nothing),
	    cmocka_unit_test(chain_that_no_job_has_room_for_is_refused),
	    cmocka_unit_test(more_than_64_kib_is_too_large),
	    cmocka_unit_test(it_is_decoded_as_it_was_encoded),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
