/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static int open_them(struct listeners *l, const char *const *texts, size_t count,
		     struct error *err)
{
	struct log lg;
	struct config_list list = {.count = count};
	log_init(&lg, NULL, LOG_LEVEL_ERROR);
	for (size_t i = 0; i < count; i++)
		list.item[i] = (char *)(uintptr_t)texts[i];
	return listen_open(l, &list, &lg, err);
}

static unsigned int port_of(int fd)
{
	struct sockaddr_in at;
	socklen_t size = sizeof(at);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
	return ntohs(at.sin_port);
}

static void a_bound_socket_takes_connections(void **state)
{
	(void)state;
	struct listeners l;
	struct error err;
	const char *const texts[] = {"127.0.0.1:0"};
	assert_int_equal(open_them(&l, texts, 1, &err), 0);
	assert_int_equal(l.count, 1);
	assert_true(fcntl(l.fd[0], F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(l.fd[0], F_GETFL) & O_NONBLOCK);
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port_of(l.fd[0])),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	close(fd);
	listen_close(&l);
}

static void an_address_in_use_says_what_to_do(void **state)
{
	(void)state;
	struct listeners l, second;
	struct error err;
	char text[64];
	const char *const any[] = {"127.0.0.1:0"};
	assert_int_equal(open_them(&l, any, 1, &err), 0);
	snprintf(text, sizeof(text), "127.0.0.1:%u", port_of(l.fd[0]));
	const char *const taken[] = {"127.0.0.1:0", text};
	assert_int_equal(open_them(&second, taken, 2, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, text));
	assert_non_null(strstr(err.text, "listen = none"));
	assert_int_equal(second.count, 0);
	listen_close(&l);
}

static void none_binds_nothing(void **state)
{
	(void)state;
	struct listeners l;
	struct error err;
	const char *const texts[] = {"none"};
	assert_int_equal(open_them(&l, texts, 1, &err), 0);
	assert_int_equal(l.count, 0);
}

static void what_is_no_address_is_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {
	    "80",     "127.0.0.1", "127.0.0.1:",     ":80",
	    "::1:80", "[::1]",     "example.com:80", "127.0.0.1:http"};
	struct listeners l;
	struct error err;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(open_them(&l, &bad[i], 1, &err), -EINVAL);
		assert_non_null(strstr(err.text, bad[i]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_bound_socket_takes_connections),
	    cmocka_unit_test(an_address_in_use_says_what_to_do),
	    cmocka_unit_test(none_binds_nothing),
	    cmocka_unit_test(what_is_no_address_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
