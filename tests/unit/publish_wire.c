/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fs/publish_wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct publish_message sound[] = {
    {.type = PUBLISH_HERE},
    {.type = PUBLISH_HERE, .epoch = UINT64_MAX},
    {.type = PUBLISH_HELLO, .epoch = 1},
    {.type = PUBLISH_NAMES,
     .epoch = 1,
     .sequence = 2,
     .files = PUBLISH_FILES,
     .text = "wildcard_.example.com"},
    {.type = PUBLISH_NAMES, .epoch = 1, .files = 1, .text = "2001:db8::1"},
    {.type = PUBLISH_DONE, .epoch = 1, .sequence = 7, .result = ENOENT},
    {.type = PUBLISH_CHANGED, .epoch = 1, .sequence = 7, .text = "fallback"},
    {.type = PUBLISH_HOOK, .epoch = 1, .sequence = 7},
    {.type = PUBLISH_HOOK, .epoch = 1, .result = 1, .text = "it ended with status 1"},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void assert_same(const struct publish_message *a, const struct publish_message *b)
{
	assert_int_equal(a->type, b->type);
	assert_true(a->epoch == b->epoch && a->sequence == b->sequence);
	assert_int_equal(a->result, b->result);
	assert_int_equal(a->files, b->files);
	assert_string_equal(a->text, b->text);
}

static void what_is_sent_arrives(void **state)
{
	struct publish_message got;
	struct error err;
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd), 0);
	for (size_t i = 0; i < COUNT(sound); i++)
		assert_int_equal(publish_send(fd[0], &sound[i]), 0);
	for (size_t i = 0; i < COUNT(sound); i++) {
		assert_int_equal(publish_receive(fd[1], &got, &err), 1);
		assert_same(&got, &sound[i]);
	}
	assert_int_equal(publish_receive(fd[1], &got, &err), 0);
	close(fd[0]);
	assert_int_equal(publish_receive(fd[1], &got, &err), -ECONNRESET);
	close(fd[1]);
}

static void refused(const struct publish_message *m)
{
	unsigned char packet[PUBLISH_SIZE];
	struct publish_message got;
	struct error err;

	publish_encode(m, packet);
	assert_int_equal(publish_decode(packet, sizeof(packet), &got, &err), -EPROTO);
}

static void name_that_is_a_path_is_refused(void **state)
{
	static const char *const names[] = {"",    ".",    "..",      "a/b",     "/",
					    "a/",  "../a", ".hidden", "a\nb",    "a b",
					    "A.b", "\xff", "a;b",     "a.b/../c"};

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		struct publish_message m = {
		    .type = PUBLISH_NAMES, .epoch = 1, .files = 1};
		strcpy(m.text, names[i]);
		refused(&m);
		m.type = PUBLISH_CHANGED;
		m.files = 0;
		refused(&m);
	}
	struct publish_message m = {.type = PUBLISH_CHANGED, .epoch = 1};
	memset(m.text, 'a', NAME_MAX_TEXT);
	refused(&m);
}

static void message_that_makes_no_sense_is_refused(void **state)
{
	static const struct publish_message bad[] = {
	    {.type = PUBLISH_HERE, .sequence = 1},
	    {.type = PUBLISH_HELLO},
	    {.type = PUBLISH_NAMES, .epoch = 1, .text = "a"},
	    {.type = PUBLISH_NAMES, .epoch = 1, .files = 0xff, .text = "a"},
	    {.type = PUBLISH_DONE, .epoch = 1, .result = 4096},
	    {.type = PUBLISH_DONE},
	    {.type = PUBLISH_HOOK, .epoch = 1, .result = 1},
	    {.type = PUBLISH_HOOK, .epoch = 1, .text = "but it ran"},
	    {.type = PUBLISH_HOOK, .epoch = 1, .result = 1, .text = "a\033[2Jb"},
	    {.type = PUBLISH_TYPES, .epoch = 1},
	    {.type = 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		refused(&bad[i]);
}

static void every_changed_byte_is_harmless(void **state)
{
	unsigned char packet[PUBLISH_SIZE], changed[PUBLISH_SIZE];
	struct publish_message m;
	struct error err;

	(void)state;
	publish_encode(&sound[3], packet);
	for (size_t i = 0; i < sizeof(packet); i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			memcpy(changed, packet, sizeof(packet));
			changed[i] ^= (unsigned char)(1u << bit);
			if (publish_decode(changed, sizeof(changed), &m, &err) < 0)
				continue;
			assert_true(m.type > 0 && m.type < PUBLISH_TYPES);
			assert_true(strlen(m.text) < PUBLISH_TEXT);
			assert_null(strchr(m.text, '/'));
		}
	}
	for (size_t size = 0; size < sizeof(packet); size++)
		assert_int_equal(publish_decode(packet, size, &m, &err), -EPROTO);
}

static void packet_that_is_no_message_is_skipped(void **state)
{
	unsigned char junk[2 * PUBLISH_SIZE] = {9};
	struct publish_message got;
	struct error err;
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd), 0);
	assert_int_equal(send(fd[0], junk, sizeof(junk), 0), sizeof(junk));
	assert_int_equal(send(fd[0], junk, PUBLISH_SIZE, 0), PUBLISH_SIZE);
	assert_int_equal(publish_send(fd[0], &sound[2]), 0);
	assert_int_equal(publish_receive(fd[1], &got, &err), 1);
	assert_same(&got, &sound[2]);
	assert_int_equal(err.code, EPROTO);
	close(fd[0]);
	close(fd[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_sent_arrives),
	    cmocka_unit_test(name_that_is_a_path_is_refused),
	    cmocka_unit_test(message_that_makes_no_sense_is_refused),
	    cmocka_unit_test(every_changed_byte_is_harmless),
	    cmocka_unit_test(packet_that_is_no_message_is_skipped),
	};

	return cmocka_run_group_tests_name("publish_wire", tests, NULL, NULL);
}
