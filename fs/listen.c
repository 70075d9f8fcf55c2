/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/listen.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define LISTEN_BACKLOG 512

/* Cuts "[::1]:80" into "::1" and "80". */
static int split(const char *text, char host[static 64], const char **port,
		 struct error *err)
{
	const char *colon = strrchr(text, ':');
	size_t length = colon ? (size_t)(colon - text) : 0;
	const char *from = text;
	if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
		from++;
		length -= 2;
	} else if (memchr(text, ':', length)) {
		/* An IPv6 address without brackets: which colon is the port's? */
		length = 0;
	}
	if (length == 0 || length >= 64 || colon[1] == '\0')
		return error_set(
		    err, EINVAL,
		    "listen = %s: want ADDRESS:PORT, as in 0.0.0.0:80 or [::]:80", text);
	memcpy(host, from, length);
	host[length] = '\0';
	*port = colon + 1;
	return 0;
}

static int bind_error(int code, const char *text, struct error *err)
{
	if (code == EADDRINUSE)
		return error_set(
		    err, code,
		    "%s is in use by another server: let that one serve "
		    "/.well-known/acme-challenge/ from the mount and set listen = "
		    "none in [http-01], or give listen another address",
		    text);
	return error_set(err, code, "cannot listen on %s: %s", text, strerror(code));
}

static int bind_one(const struct addrinfo *ai, const char *text, int *fd,
		    struct error *err)
{
	const int on = 1;
	int made = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (made < 0)
		return bind_error(errno, text, err);
	if (setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    (ai->ai_family == AF_INET6 &&
	     setsockopt(made, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0) ||
	    bind(made, ai->ai_addr, ai->ai_addrlen) != 0 ||
	    listen(made, LISTEN_BACKLOG) != 0) {
		int rc = bind_error(errno, text, err);
		close(made);
		return rc;
	}
	*fd = made;
	return 0;
}

static int open_one(struct listeners *l, const char *text, const struct log *lg,
		    struct error *err)
{
	char host[64];
	const char *port = NULL;
	int rc = split(text, host, &port, err);
	if (rc < 0)
		return rc;
	const struct addrinfo hints = {.ai_family = AF_UNSPEC,
				       .ai_socktype = SOCK_STREAM,
				       .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
	struct addrinfo *found = NULL;
	int gai = getaddrinfo(host, port, &hints, &found);
	if (gai != 0)
		return error_set(err, EINVAL, "listen = %s: %s", text, gai_strerror(gai));
	rc = bind_one(found, text, &l->fd[l->count], err);
	bool without_ipv6 =
	    found->ai_family == AF_INET6 && (rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL);
	freeaddrinfo(found);
	if (rc == 0)
		l->count++;
	if (!without_ipv6)
		return rc;
	log_warning(lg, NULL, "%s; certfs goes on without it", err->text);
	error_clear(err);
	return 0;
}

static void take_inherited(struct listeners *l)
{
	int count = sd_listen_fds(0);
	for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + count; fd++)
		if (l->count < CONFIG_LIST_MAX &&
		    sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) > 0)
			l->fd[l->count++] = fd;
}

int listen_open(struct listeners *l, const struct config_list *addresses,
		const struct log *lg, struct error *err)
{
	l->count = 0;
	take_inherited(l);
	l->inherited = l->count > 0;
	if (l->inherited)
		return 0;
	int rc = 0;
	for (size_t i = 0; i < addresses->count && rc == 0; i++)
		if (strcmp(addresses->item[i], "none") != 0)
			rc = open_one(l, addresses->item[i], lg, err);
	if (rc < 0)
		listen_close(l);
	return rc;
}

void listen_close(struct listeners *l)
{
	while (l->count > 0)
		close(l->fd[--l->count]);
}
