/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "acme/wire.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
	struct wire_message in, out;
	unsigned char packet[WIRE_MESSAGE_MAX];
	size_t size;
	int fd[2];
	struct wire_link *link[2];
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct error err;

	assert_non_null(w);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, w->fd), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(wire_link_new(&w->link[i], w->fd[i], &err), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 2; i++) {
		wire_link_free(w->link[i]);
		if (w->fd[i] >= 0)
			close(w->fd[i]);
	}
	free(w);
	return 0;
}

static void round_trip(struct world *w)
{
	struct error err;

	assert_int_equal(wire_encode(&w->out, w->packet, &w->size, &err), 0);
	assert_int_equal(wire_decode(w->packet, w->size, &w->in, &err), 0);
	assert_int_equal(w->in.type, w->out.type);
	assert_int_equal(w->in.job, w->out.job);
}

static void fill_job(struct wire_message *m)
{
	m->type = WIRE_JOB;
	m->job = 4711;
	strcpy(m->work.directory, "https://ca.example/dir");
	strcpy(m->work.kid, "https://ca.example/a/1");
	strcpy(m->work.jwk, "{}");
	strcpy(m->work.contact, "mailto:a@example.com");
	strcpy(m->work.eab_kid, "kid-1");
	strcpy(m->work.names, "a.example.com 192.0.2.1");
	strcpy(m->work.preferred_chain, "Root X");
	m->work.state = ORDER_PROCESSING;
	strcpy(m->work.order_url, "https://ca.example/o/1");
	strcpy(m->work.finalize_url, "https://ca.example/f/1");
	strcpy(m->work.certificate_url, "https://ca.example/c/1");
	m->work.csr = (const unsigned char *)"csr\0der";
	m->work.csr_size = 7;
	m->work.agree_terms = 1;
}

static void job_arrives_as_it_was_sent(void **state)
{
	struct world *w = *state;

	fill_job(&w->out);
	round_trip(w);
	assert_string_equal(w->in.work.directory, w->out.work.directory);
	assert_string_equal(w->in.work.kid, w->out.work.kid);
	assert_string_equal(w->in.work.jwk, w->out.work.jwk);
	assert_string_equal(w->in.work.contact, w->out.work.contact);
	assert_string_equal(w->in.work.eab_kid, w->out.work.eab_kid);
	assert_string_equal(w->in.work.names, w->out.work.names);
	assert_string_equal(w->in.work.preferred_chain, w->out.work.preferred_chain);
	assert_int_equal(w->in.work.state, ORDER_PROCESSING);
	assert_string_equal(w->in.work.order_url, w->out.work.order_url);
	assert_string_equal(w->in.work.finalize_url, w->out.work.finalize_url);
	assert_string_equal(w->in.work.certificate_url, w->out.work.certificate_url);
	assert_int_equal(w->in.work.csr_size, 7);
	assert_memory_equal(w->in.work.csr, "csr\0der", 7);
	assert_int_equal(w->in.work.agree_terms, 1);
}

static void failure_arrives_as_it_was_sent(void **state)
{
	struct world *w = *state;

	w->out.type = WIRE_FAILED;
	w->out.failure.verdict = WIRE_NO_ACCOUNT;
	w->out.failure.retry_after_s = 1234567890123;
	w->out.failure.http_status = 429;
	strcpy(w->out.failure.type, "urn:x");
	memset(w->out.failure.text, 'x', sizeof(w->out.failure.text) - 1);
	round_trip(w);
	assert_int_equal(w->in.failure.verdict, WIRE_NO_ACCOUNT);
	assert_true(w->in.failure.retry_after_s == 1234567890123);
	assert_int_equal(w->in.failure.http_status, 429);
	assert_string_equal(w->in.failure.type, "urn:x");
	assert_string_equal(w->in.failure.text, w->out.failure.text);
}

static void tokens_arrive_up_to_their_limit(void **state)
{
	struct world *w = *state;
	struct error err;

	w->out.token = w->out.storage;
	w->out.tokens = WIRE_TOKENS_MAX;
	for (size_t i = 0; i < WIRE_TOKENS_MAX; i++) {
		memset(w->out.storage[i].token, 'a' + (int)(i % 26), TOKEN_MAX - 1);
		memset(w->out.storage[i].authorization, 'A' + (int)(i % 26),
		       2 * TOKEN_MAX - 1);
	}
	w->out.type = WIRE_ANSWERS;
	round_trip(w);
	assert_int_equal(w->in.tokens, WIRE_TOKENS_MAX);
	w->out.type = WIRE_TOKENS;
	round_trip(w);
	assert_int_equal(w->in.tokens, WIRE_TOKENS_MAX);
	for (size_t i = 0; i < WIRE_TOKENS_MAX; i++) {
		assert_string_equal(w->in.token[i].token, w->out.storage[i].token);
		assert_string_equal(w->in.token[i].authorization,
				    w->out.storage[i].authorization);
	}
	w->out.tokens = WIRE_TOKENS_MAX + 1;
	assert_int_equal(wire_encode(&w->out, w->packet, &w->size, &err), -EMSGSIZE);
}

static void blobs_arrive_up_to_their_limits(void **state)
{
	static const struct {
		enum wire_type type;
		size_t max;
	} kinds[] = {{WIRE_DONE, WIRE_CHAIN_MAX},
		     {WIRE_SIGN, WIRE_SIGN_MAX},
		     {WIRE_SIGNATURE, 64}};
	unsigned char *bytes = calloc(1, WIRE_CHAIN_MAX + 1);
	struct world *w = *state;
	struct error err;

	for (size_t i = 0; i < 3; i++) {
		memset(bytes, (int)i + 1, WIRE_CHAIN_MAX + 1);
		w->out.type = kinds[i].type;
		w->out.sign.request = 99;
		w->out.sign.kind = WIRE_SIGN_EAB;
		w->out.bytes = bytes;
		w->out.size = kinds[i].max;
		round_trip(w);
		assert_int_equal(w->in.size, kinds[i].max);
		assert_memory_equal(w->in.bytes, bytes, kinds[i].max);
		if (kinds[i].type != WIRE_DONE)
			assert_int_equal(w->in.sign.request, 99);
		w->out.size = kinds[i].max + 1;
		assert_int_equal(wire_encode(&w->out, w->packet, &w->size, &err),
				 -EMSGSIZE);
	}
	free(bytes);
}

static void short_messages_arrive(void **state)
{
	static const enum wire_type types[] = {WIRE_HELLO,  WIRE_HELLO_ACK, WIRE_DROP,
					       WIRE_STORED, WIRE_READY,     WIRE_ACCOUNT,
					       WIRE_STATE};
	struct world *w = *state;

	w->out.job = 7;
	w->out.epoch = 0x1122334455667788;
	w->out.step.state = ORDER_READY;
	strcpy(w->out.kid, "kid");
	strcpy(w->out.step.order_url, "o");
	strcpy(w->out.step.finalize_url, "f");
	strcpy(w->out.step.certificate_url, "c");
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		w->out.type = types[i];
		round_trip(w);
		if (types[i] == WIRE_HELLO || types[i] == WIRE_HELLO_ACK)
			assert_true(w->in.epoch == w->out.epoch);
		if (types[i] == WIRE_ACCOUNT)
			assert_string_equal(w->in.kid, "kid");
		if (types[i] != WIRE_STATE)
			continue;
		assert_int_equal(w->in.step.state, ORDER_READY);
		assert_string_equal(w->in.step.order_url, "o");
		assert_string_equal(w->in.step.finalize_url, "f");
		assert_string_equal(w->in.step.certificate_url, "c");
	}
}

static void cut_or_lengthened_message_is_refused(void **state)
{
	struct world *w = *state;
	struct error err;
	size_t size;

	fill_job(&w->out);
	assert_int_equal(wire_encode(&w->out, w->packet, &size, &err), 0);
	for (size_t n = 0; n < size; n++)
		assert_int_equal(wire_decode(w->packet, n, &w->in, &err), -EPROTO);
	w->packet[size] = 0;
	assert_int_equal(wire_decode(w->packet, size + 1, &w->in, &err), -EPROTO);
	assert_int_equal(wire_decode(w->packet, size, &w->in, &err), 0);
}

static void other_version_type_or_enum_is_refused(void **state)
{
	struct world *w = *state;
	struct error err;
	size_t size;

	w->out.type = WIRE_STATE;
	w->out.step.state = ORDER_NEW;
	assert_int_equal(wire_encode(&w->out, w->packet, &size, &err), 0);
	w->packet[0] ^= 2;
	assert_int_equal(wire_decode(w->packet, size, &w->in, &err), -EPROTO);
	assert_non_null(strstr(err.text, "version"));
	w->packet[0] ^= 2;
	w->packet[1] = WIRE_FAILED + 1;
	assert_int_equal(wire_decode(w->packet, size, &w->in, &err), -EPROTO);
	w->packet[1] = 0;
	assert_int_equal(wire_decode(w->packet, size, &w->in, &err), -EPROTO);
	w->packet[1] = WIRE_STATE;
	w->packet[6] = ORDER_VALID + 1;
	assert_int_equal(wire_decode(w->packet, size, &w->in, &err), -EPROTO);
	w->packet[6] = 0;
	assert_int_equal(wire_decode(w->packet, size, &w->in, &err), -EPROTO);
	w->packet[6] = ORDER_VALID;
	assert_int_equal(wire_decode(w->packet, size, &w->in, &err), 0);
}

static void link_that_is_not_read_queues_and_then_says_so(void **state)
{
	struct world *w = *state;
	struct wire_message *m;
	struct error err;
	uint32_t sent = 0, got = 0;
	int r;

	w->out.type = WIRE_STORED;
	for (;;) {
		w->out.job = sent;
		r = wire_link_send(w->link[0], &w->out, &err);
		if (r < 0)
			break;
		sent++;
	}
	assert_int_equal(r, -EAGAIN);
	assert_true(sent > WIRE_QUEUE_MAX);
	assert_int_equal(wire_link_events(w->link[0]), POLLIN | POLLOUT);
	while (got < sent) {
		assert_int_equal(wire_link_flush(w->link[0], &err), 0);
		while ((r = wire_link_receive(w->link[1], &m, &err)) == 0)
			assert_int_equal(m->job, got++);
		assert_int_equal(r, -EAGAIN);
	}
	assert_int_equal(wire_link_events(w->link[0]), POLLIN);
}

static void what_was_forgotten_is_not_sent(void **state)
{
	struct world *w = *state;
	struct wire_message *m;
	struct error err;
	uint32_t last = 0;

	w->out.type = WIRE_STORED;
	while (wire_link_events(w->link[0]) == POLLIN)
		assert_int_equal(wire_link_send(w->link[0], &w->out, &err), 0);
	wire_link_forget(w->link[0]);
	assert_int_equal(wire_link_events(w->link[0]), POLLIN);
	while (wire_link_receive(w->link[1], &m, &err) == 0)
		last++;
	w->out.type = WIRE_DROP;
	assert_int_equal(wire_link_send(w->link[0], &w->out, &err), 0);
	assert_int_equal(wire_link_receive(w->link[1], &m, &err), 0);
	assert_int_equal(m->type, WIRE_DROP);
	assert_true(last > 0);
}

static void bad_packet_is_skipped(void **state)
{
	struct world *w = *state;
	struct wire_message *m;
	struct error err;

	assert_int_equal(send(w->fd[0], "junk", 4, 0), 4);
	assert_int_equal(send(w->fd[0], "", 0, 0), 0);
	w->out.type = WIRE_READY;
	assert_int_equal(wire_link_send(w->link[0], &w->out, &err), 0);
	assert_int_equal(wire_link_receive(w->link[1], &m, &err), -EPROTO);
	assert_int_equal(wire_link_receive(w->link[1], &m, &err), -EPROTO);
	assert_int_equal(wire_link_receive(w->link[1], &m, &err), 0);
	assert_int_equal(m->type, WIRE_READY);
}

static void closed_end_is_told_after_what_was_sent(void **state)
{
	struct world *w = *state;
	struct wire_message *m;
	struct error err;

	w->out.type = WIRE_READY;
	assert_int_equal(wire_link_send(w->link[0], &w->out, &err), 0);
	close(w->fd[0]);
	w->fd[0] = -1;
	assert_int_equal(wire_link_receive(w->link[1], &m, &err), 0);
	assert_int_equal(wire_link_receive(w->link[1], &m, &err), -EPIPE);
	assert_int_equal(wire_link_send(w->link[1], &w->out, &err), -EPIPE);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(job_arrives_as_it_was_sent),
	    T(failure_arrives_as_it_was_sent),
	    T(tokens_arrive_up_to_their_limit),
	    T(blobs_arrive_up_to_their_limits),
	    T(short_messages_arrive),
	    T(cut_or_lengthened_message_is_refused),
	    T(other_version_type_or_enum_is_refused),
	    T(link_that_is_not_read_queues_and_then_says_so),
	    T(what_was_forgotten_is_not_sent),
	    T(bad_packet_is_skipped),
	    T(closed_end_is_told_after_what_was_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
