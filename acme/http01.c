/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "acme/http01.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define PREFIX          "/.well-known/acme-challenge/"
#define CONNECTIONS_MAX 256 /* a socket */
#define IDLE_S          10
#define CONNECTION_MS   20000
#define MEMORY_MAX      8192 /* a connection: its headers */

static const char elsewhere[] =
    "certfs answers ACME http-01 challenges here, and nothing else.\n";

struct answer {
	struct answer *next;
	uint32_t job;
	int64_t until_ms; /* whoever asked for it is gone; 0: it is the job's */
	struct wire_token token;
};

struct connection {
	struct connection *next, **back;
	int fd;
	int64_t since_ms;
};

struct http01 {
	struct MHD_Daemon *daemon[HTTP01_SOCKETS_MAX];
	size_t daemons;
	struct answer *answers;
	struct connection *connections;
	const struct log *lg;
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static const struct answer *find_answer(const struct http01 *l, const char *url)
{
	const struct answer *a = NULL;

	if (strncmp(url, PREFIX, strlen(PREFIX)) == 0)
		a = l->answers;
	while (a && strcmp(a->token.token, url + strlen(PREFIX)) != 0)
		a = a->next;
	return a;
}

static enum MHD_Result reply(struct MHD_Connection *connection, unsigned status,
			     const char *text, const char *type)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(
	    strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result r = MHD_NO;

	if (!response)
		return MHD_NO;
	/* One request a connection: what holds one open holds it for a bounded time. */
	if (MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close") ==
		MHD_YES &&
	    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type) ==
		MHD_YES &&
	    (status != MHD_HTTP_METHOD_NOT_ALLOWED ||
	     MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD") ==
		 MHD_YES))
		r = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return r;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection,
				  const char *url, const char *method,
				  const char *version, const char *upload,
				  size_t *upload_size, void **request)
{
	const struct http01 *l = ctx;
	const struct answer *a = find_answer(l, url);

	(void)version;
	(void)upload;
	(void)upload_size;
	(void)request;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 &&
	    strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return reply(connection, MHD_HTTP_METHOD_NOT_ALLOWED, elsewhere,
			     "text/plain");
	if (!a)
		return reply(connection, MHD_HTTP_NOT_FOUND, elsewhere, "text/plain");
	log_debug(l->lg, NULL, "the challenge %s was fetched job=%u", a->token.token,
		  a->job);
	return reply(connection, MHD_HTTP_OK, a->token.authorization,
		     "application/octet-stream");
}

static void on_connection(void *ctx, struct MHD_Connection *connection, void **slot,
			  enum MHD_ConnectionNotificationCode code)
{
	struct http01 *l = ctx;
	struct connection *c = *slot;
	const union MHD_ConnectionInfo *info;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (!c)
			return;
		*c->back = c->next;
		if (c->next)
			c->next->back = c->back;
		free(c);
		*slot = NULL;
		return;
	}
	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	c = info ? calloc(1, sizeof(*c)) : NULL;
	if (!c)
		return;
	c->fd = info->connect_fd;
	c->since_ms = now_ms();
	c->next = l->connections;
	c->back = &l->connections;
	if (c->next)
		c->next->back = &c->next;
	l->connections = c;
	*slot = c;
}

static int listen_on(struct http01 *l, int fd, struct error *err)
{
	const int flags = fcntl(fd, F_GETFL);
	struct MHD_Daemon *d;

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return error_set(err, errno, "the http-01 socket %d is unusable: %s", fd,
				 strerror(errno));
	d = MHD_start_daemon(
	    MHD_USE_EPOLL, 0, NULL, NULL, on_request, l, MHD_OPTION_LISTEN_SOCKET,
	    (MHD_socket)fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
	    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_MAX,
	    MHD_OPTION_NOTIFY_CONNECTION, on_connection, l, MHD_OPTION_END);
	if (!d)
		return error_set(err, EIO,
				 "the http-01 listener could not be started on socket %d",
				 fd);
	l->daemon[l->daemons++] = d;
	return 0;
}

int http01_new(struct http01 **l, const int *fds, size_t count, const struct log *lg,
	       struct error *err)
{
	struct http01 *h;
	int r;

	if (count > HTTP01_SOCKETS_MAX)
		return error_set(err, EINVAL,
				 "%zu http-01 sockets are too many, at most %d", count,
				 HTTP01_SOCKETS_MAX);
	h = calloc(1, sizeof(*h));
	if (!h)
		return error_set(err, ENOMEM, "no memory for the http-01 listener");
	h->lg = lg;
	for (size_t i = 0; i < count; i++) {
		r = listen_on(h, fds[i], err);
		if (r < 0) {
			http01_free(h);
			return r;
		}
	}
	*l = h;
	return 0;
}

void http01_free(struct http01 *l)
{
	struct answer *a;

	if (!l)
		return;
	for (size_t i = 0; i < l->daemons; i++) {
		/* Takes the listening socket away from it first: that is the caller's. */
		MHD_quiesce_daemon(l->daemon[i]);
		MHD_stop_daemon(l->daemon[i]);
	}
	while ((a = l->answers)) {
		l->answers = a->next;
		free(a);
	}
	free(l);
}

/* Takes away what `gone` says. */
static void forget(struct http01 *l,
		   bool (*gone)(const struct answer *a, const void *what),
		   const void *what)
{
	struct answer **p = &l->answers, *a;

	while ((a = *p)) {
		if (gone(a, what)) {
			*p = a->next;
			free(a);
		} else {
			p = &a->next;
		}
	}
}

static bool kept_same(const struct answer *a, const void *token)
{
	return a->until_ms && strcmp(a->token.token, token) == 0;
}

static bool of_job(const struct answer *a, const void *job)
{
	return a->until_ms == 0 && a->job == *(const uint32_t *)job;
}

static bool is_over(const struct answer *a, const void *now)
{
	return a->until_ms && a->until_ms <= *(const int64_t *)now;
}

void http01_add(struct http01 *l, uint32_t job, const struct wire_token *token)
{
	struct answer *a = malloc(sizeof(*a));

	if (!a) {
		log_error(l->lg, NULL, "no memory to answer the challenge %s",
			  token->token);
		return;
	}
	forget(l, kept_same, token->token);
	a->job = job;
	a->until_ms = 0;
	a->token = *token;
	a->next = l->answers;
	l->answers = a;
}

void http01_del(struct http01 *l, uint32_t job)
{
	forget(l, of_job, &job);
}

void http01_keep(struct http01 *l, int64_t seconds)
{
	const int64_t until_ms = now_ms() + seconds * 1000;

	for (struct answer *a = l->answers; a; a = a->next) {
		if (a->until_ms == 0)
			a->until_ms = until_ms;
	}
}

unsigned http01_fds(struct http01 *l, struct pollfd *fds)
{
	const union MHD_DaemonInfo *info;
	unsigned n = 0;

	for (size_t i = 0; i < l->daemons; i++) {
		info = MHD_get_daemon_info(l->daemon[i], MHD_DAEMON_INFO_EPOLL_FD);
		if (info)
			fds[n++] =
			    (struct pollfd){.fd = info->epoll_fd, .events = POLLIN};
	}
	return n;
}

int http01_timeout_ms(struct http01 *l)
{
	int64_t least_ms = -1, left_ms;
	MHD_UNSIGNED_LONG_LONG ms;

	for (size_t i = 0; i < l->daemons; i++) {
		if (MHD_get_timeout(l->daemon[i], &ms) != MHD_YES)
			continue;
		left_ms = ms > INT_MAX ? INT_MAX : (int64_t)ms;
		if (least_ms < 0 || left_ms < least_ms)
			least_ms = left_ms;
	}
	for (const struct connection *c = l->connections; c; c = c->next) {
		left_ms = c->since_ms + CONNECTION_MS - now_ms();
		if (left_ms < 0)
			left_ms = 0;
		if (least_ms < 0 || left_ms < least_ms)
			least_ms = left_ms;
	}
	return (int)least_ms;
}

void http01_run(struct http01 *l)
{
	const int64_t now = now_ms(), oldest_ms = now - CONNECTION_MS;

	forget(l, is_over, &now);
	/* MHD's own limit is one between two bytes. A connection that was shut down reads
	 * as ended, and MHD closes it. */
	for (const struct connection *c = l->connections; c; c = c->next) {
		if (c->since_ms <= oldest_ms)
			shutdown(c->fd, SHUT_RDWR);
	}
	for (size_t i = 0; i < l->daemons; i++)
		MHD_run(l->daemon[i]);
}
