/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "acme/http01.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
	int listener;
	struct sockaddr_in address;
	struct http01 *l;
	struct log lg;
	char answer[4096];
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	socklen_t size = sizeof(w->address);
	struct error err;

	log_init(&w->lg, "net", LOG_LEVEL_ERROR);
	w->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	w->address.sin_family = AF_INET;
	w->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(w->listener, (struct sockaddr *)&w->address, size), 0);
	assert_int_equal(getsockname(w->listener, (struct sockaddr *)&w->address, &size),
			 0);
	assert_int_equal(listen(w->listener, 16), 0);
	assert_int_equal(http01_new(&w->l, &w->listener, 1, &w->lg, &err), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	http01_free(w->l);
	close(w->listener);
	free(w);
	return 0;
}

static int dial(const struct world *w)
{
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(
	    connect(fd, (const struct sockaddr *)&w->address, sizeof(w->address)), 0);
	return fd;
}

/* Reads from `fd` up to its end while the listener runs. */
static const char *hear(struct world *w, int fd)
{
	struct pollfd fds[1 + HTTP01_SOCKETS_MAX];
	size_t size = 0;
	unsigned count;
	ssize_t n;

	for (;;) {
		fds[0] = (struct pollfd){.fd = fd, .events = POLLIN};
		count = 1 + http01_fds(w->l, fds + 1);
		assert_true(poll(fds, count, http01_timeout_ms(w->l)) >= 0);
		http01_run(w->l);
		if (!fds[0].revents)
			continue;
		n = recv(fd, w->answer + size, sizeof(w->answer) - 1 - size, 0);
		if (n <= 0)
			break;
		size += (size_t)n;
	}
	w->answer[size] = '\0';
	close(fd);
	return w->answer;
}

static const char *ask(struct world *w, const char *request)
{
	const int fd = dial(w);

	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL),
			 strlen(request));
	return hear(w, fd);
}

static void add(struct world *w, uint32_t job, const char *token)
{
	struct wire_token t;

	snprintf(t.token, sizeof(t.token), "%s", token);
	snprintf(t.authorization, sizeof(t.authorization), "%s.thumb", token);
	http01_add(w->l, job, &t);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a.example.com\r\n\r\n"

static void token_is_answered_and_the_connection_closed(void **state)
{
	struct world *w = *state;
	const char *a;

	add(w, 1, "tokentokentokentokentoken");
	a = ask(w, GET("/.well-known/acme-challenge/tokentokentokentokentoken"));
	assert_memory_equal(a, "HTTP/1.1 200 ", 13);
	assert_non_null(strstr(a, "\r\n\r\ntokentokentokentokentoken.thumb"));
	a = ask(w, "HEAD /.well-known/acme-challenge/tokentokentokentokentoken "
		   "HTTP/1.0\r\n\r\n");
	assert_memory_equal(a + 8, " 200 ", 5);
	assert_string_equal(strstr(a, "\r\n\r\n"), "\r\n\r\n");
}

static void everything_else_is_not_found_and_says_who_listens(void **state)
{
	static const char *const requests[] = {
	    GET("/"),
	    GET("/.well-known/acme-challenge/"),
	    GET("/.well-known/acme-challenge/other"),
	    GET("/.well-known/acme-challenge/token/"),
	    GET("/.well-known/acme-challenge/../acme-challenge/token"),
	    GET("/token"),
	};
	struct world *w = *state;

	add(w, 1, "token");
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		const char *a = ask(w, requests[i]);

		assert_memory_equal(a, "HTTP/1.1 404 ", 13);
		assert_non_null(strstr(a, "certfs answers"));
	}
}

static void only_get_and_head_are_taken(void **state)
{
	struct world *w = *state;
	const char *a;

	add(w, 1, "token");
	a = ask(w, "POST /.well-known/acme-challenge/token HTTP/1.1\r\nHost: a\r\n"
		   "Content-Length: 5\r\n\r\nhello");
	assert_memory_equal(a, "HTTP/1.1 405 ", 13);
	assert_non_null(strstr(a, "Allow: GET, HEAD"));
	assert_null(strstr(a, "token.thumb"));
}

static void tokens_of_a_job_that_ended_are_gone_and_no_others(void **state)
{
	struct world *w = *state;

	add(w, 1, "one");
	add(w, 2, "two");
	add(w, 1, "three");
	http01_del(w->l, 1);
	http01_del(w->l, 3);
	assert_memory_equal(ask(w, GET("/.well-known/acme-challenge/one")),
			    "HTTP/1.1 404", 12);
	assert_memory_equal(ask(w, GET("/.well-known/acme-challenge/three")),
			    "HTTP/1.1 404", 12);
	assert_memory_equal(ask(w, GET("/.well-known/acme-challenge/two")),
			    "HTTP/1.1 200", 12);
}

static void answers_outlive_their_jobs_where_others_go_on(void **state)
{
	struct world *w = *state;

	add(w, 1, "one");
	http01_keep(w->l, 600);
	add(w, 1, "two");
	http01_del(w->l, 1);
	assert_memory_equal(ask(w, GET("/.well-known/acme-challenge/one")),
			    "HTTP/1.1 200", 12);
	assert_memory_equal(ask(w, GET("/.well-known/acme-challenge/two")),
			    "HTTP/1.1 404", 12);
	/* Whoever goes on with the order takes it over. */
	add(w, 7, "one");
	http01_del(w->l, 7);
	assert_memory_equal(ask(w, GET("/.well-known/acme-challenge/one")),
			    "HTTP/1.1 404", 12);
	add(w, 1, "three");
	http01_keep(w->l, 0);
	assert_memory_equal(ask(w, GET("/.well-known/acme-challenge/three")),
			    "HTTP/1.1 404", 12);
}

static void headers_without_end_are_cut_off(void **state)
{
	static const char line[] =
	    "X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n";
	struct world *w = *state;
	const int fd = dial(w);
	const char *a;

	assert_true(send(fd, "GET / HTTP/1.1\r\n", 16, MSG_NOSIGNAL) == 16);
	for (int i = 0; i < 1000; i++)
		assert_true(send(fd, line, sizeof(line) - 1, MSG_NOSIGNAL) > 0);
	a = hear(w, fd);
	/* Refused, or closed without a word; the listener lives. */
	assert_true(*a == '\0' || strncmp(a, "HTTP/1.1 4", 10) == 0);
	assert_memory_equal(ask(w, GET("/")), "HTTP/1.1 404", 12);
}

static void junk_gets_no_token(void **state)
{
	struct world *w = *state;

	add(w, 1, "token");
	assert_null(strstr(ask(w, "\x16\x03\x01 not http\r\n\r\n"), "token.thumb"));
	assert_memory_equal(ask(w, GET("/")), "HTTP/1.1 404", 12);
}

static void sockets_stay_the_callers(void **state)
{
	struct world *w = *state;
	struct error err;

	http01_free(w->l);
	w->l = NULL;
	assert_true(fcntl(w->listener, F_GETFD) >= 0);
	assert_int_equal(http01_new(&w->l, &w->listener, 1, &w->lg, &err), 0);
	assert_memory_equal(ask(w, GET("/")), "HTTP/1.1 404", 12);
}

static void without_sockets_there_is_nothing_to_wait_for(void **state)
{
	struct pollfd fds[HTTP01_SOCKETS_MAX];
	struct world *w = *state;
	struct http01 *l = NULL;
	struct error err;

	assert_int_equal(http01_new(&l, NULL, 0, &w->lg, &err), 0);
	assert_int_equal(http01_fds(l, fds), 0);
	assert_int_equal(http01_timeout_ms(l), -1);
	http01_run(l);
	http01_free(l);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(token_is_answered_and_the_connection_closed),
	    T(everything_else_is_not_found_and_says_who_listens),
	    T(only_get_and_head_are_taken),
	    T(tokens_of_a_job_that_ended_are_gone_and_no_others),
	    T(answers_outlive_their_jobs_where_others_go_on),
	    T(headers_without_end_are_cut_off),
	    T(junk_gets_no_token),
	    T(sockets_stay_the_callers),
	    T(without_sockets_there_is_nothing_to_wait_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
