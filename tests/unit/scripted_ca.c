/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "scripted_ca.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_MAX  65536
#define ANSWER_MAX   65536
#define REQUESTS_MAX 512

struct scripted_ca {
	struct script script;
	int listener;
	char base[64];
	pthread_t thread;
	bool stopped;
	char path[REQUESTS_MAX][64];
	unsigned requests, nonces, polls, times;
	char order[16], authz[16];
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	abort();
}

/* `text` with each "BASE" made the CA's address. */
static size_t expand(const struct scripted_ca *ca, const char *text, char *out,
		     size_t capacity)
{
	size_t n = 0;

	while (*text) {
		if (strncmp(text, "BASE", 4) == 0) {
			n += (size_t)snprintf(out + n, capacity - n, "%s", ca->base);
			text += 4;
		} else {
			out[n++] = *text++;
		}
		must(n + 1 < capacity, "answer too long");
	}
	out[n] = '\0';
	return n;
}

static void send_all(int fd, const char *data, size_t size)
{
	ssize_t n;

	while (size > 0 && (n = send(fd, data, size, MSG_NOSIGNAL)) > 0) {
		data += n;
		size -= (size_t)n;
	}
}

static void respond(struct scripted_ca *ca, int fd, const char *status, const char *type,
		    const char *headers, const char *body)
{
	static const char format[] =
	    "HTTP/1.1 %s\r\nContent-Type: %s\r\nReplay-Nonce: nonce-%u\r\n"
	    "Content-Length: %zu\r\nConnection: close\r\n%s\r\n%s";
	char *text = malloc(ANSWER_MAX), *expanded = malloc(ANSWER_MAX), *whole = NULL;

	must(text && expanded, "malloc");
	expand(ca, body, text, ANSWER_MAX);
	must(asprintf(&whole, format, status, type, ++ca->nonces, strlen(text), headers,
		      text) > 0,
	     "asprintf");
	send_all(fd, expanded, expand(ca, whole, expanded, ANSWER_MAX));
	free(text);
	free(expanded);
	free(whole);
}

static void respond_json(struct scripted_ca *ca, int fd, const char *status,
			 const char *headers, const char *body)
{
	respond(ca, fd, status, "application/json", headers, body);
}

static void respond_order(struct scripted_ca *ca, int fd, const char *status,
			  const char *headers)
{
	char body[512];

	snprintf(body, sizeof(body),
		 "{\"status\":\"%s\",\"identifiers\":[{\"type\":\"dns\",\"value\":\"A."
		 "example.com\"}],"
		 "\"authorizations\":[\"BASE/z/1\"],\"finalize\":\"BASE/f/1\"%s}",
		 ca->order,
		 strcmp(ca->order, "valid") == 0 ? ",\"certificate\":\"BASE/cert/1\""
						 : "");
	respond_json(ca, fd, status, headers, body);
}

static bool still_polling(struct scripted_ca *ca)
{
	if (ca->polls == 0)
		return false;
	ca->polls--;
	return true;
}

static void respond_authz(struct scripted_ca *ca, int fd)
{
	const char *error = ca->script.challenge_error;
	char body[1024];

	if (strcmp(ca->authz, "processing") == 0 && !still_polling(ca)) {
		strcpy(ca->authz, error ? "invalid" : "valid");
		strcpy(ca->order, error ? "invalid" : "ready");
		ca->polls = ca->script.polls;
	}
	snprintf(body, sizeof(body),
		 "{\"status\":\"%s\",\"identifier\":{\"type\":\"dns\",\"value\":\"a."
		 "example.com\"},"
		 "\"challenges\":[{\"type\":\"dns-01\",\"status\":\"pending\",\"url\":"
		 "\"BASE/d/1\","
		 "\"token\":\"x\"},{\"type\":\"http-01\",\"status\":\"%s\",\"url\":"
		 "\"BASE/c/1\","
		 "\"token\":\"tokentokentokentokentoken\"%s%s}]}",
		 strcmp(ca->authz, "processing") == 0 ? "pending" : ca->authz, ca->authz,
		 strcmp(ca->authz, "invalid") == 0 ? ",\"error\":" : "",
		 strcmp(ca->authz, "invalid") == 0 ? error : "");
	respond_json(ca, fd, "200 OK", "", body);
}

static void respond_directory(struct scripted_ca *ca, int fd)
{
	respond_json(ca, fd, "200 OK", "",
		     ca->script.directory
			 ? ca->script.directory
			 : "{\"newNonce\":\"BASE/nonce\",\"newAccount\":\"BASE/"
			   "account\",\"newOrder\":\"BASE/order\"}");
}

static void respond_chain(struct scripted_ca *ca, int fd, int which)
{
	respond(ca, fd, "200 OK", "application/pem-certificate-chain",
		which == 0
		    ? "Link: <BASE/dir>;rel=\"index\", </cert/2>;rel=\"alternate\"\r\n"
		    : "",
		ca->script.chain[which]);
}

static void route(struct scripted_ca *ca, int fd, const char *path)
{
	if (strcmp(path, "/dir") == 0) {
		respond_directory(ca, fd);
	} else if (strcmp(path, "/nonce") == 0) {
		respond_json(ca, fd, "200 OK", "", "");
	} else if (strcmp(path, "/account") == 0) {
		respond_json(ca, fd, "201 Created", "Location: BASE/a/1\r\n",
			     "{\"status\":\"valid\"}");
	} else if (strcmp(path, "/order") == 0) {
		respond_order(ca, fd, "201 Created", "Location: /o/1\r\n");
	} else if (strcmp(path, "/o/1") == 0) {
		if (strcmp(ca->order, "processing") == 0 && !still_polling(ca))
			strcpy(ca->order, "valid");
		respond_order(ca, fd, "200 OK", "");
	} else if (strcmp(path, "/z/1") == 0) {
		respond_authz(ca, fd);
	} else if (strcmp(path, "/c/1") == 0) {
		strcpy(ca->authz, "processing");
		respond_json(ca, fd, "200 OK", "", "{\"status\":\"processing\"}");
	} else if (strcmp(path, "/f/1") == 0) {
		strcpy(ca->order, "processing");
		respond_order(ca, fd, "200 OK", "");
	} else if (strcmp(path, "/cert/1") == 0 || strcmp(path, "/cert/2") == 0) {
		respond_chain(ca, fd, path[6] - '1');
	} else {
		respond(ca, fd, "404 Not Found", "text/plain", "", "no such thing");
	}
}

static void misbehave(struct scripted_ca *ca, int fd)
{
	char *out = malloc(ANSWER_MAX);
	size_t n;

	must(out != NULL, "malloc");
	n = expand(ca, ca->script.answer, out, ANSWER_MAX);
	send_all(fd, out, n);
	if (ca->script.endless) {
		memset(out, out[n - 1], ANSWER_MAX);
		while (send(fd, out, ANSWER_MAX, MSG_NOSIGNAL) > 0)
			;
	}
	free(out);
}

/* A whole request; the path is left in `path`, the method in `text`. */
static bool read_request(int fd, char *text, char *path)
{
	size_t size = 0, length = 0;
	const char *end = NULL, *header;
	ssize_t n;

	while (size < REQUEST_MAX - 1 &&
	       (n = recv(fd, text + size, REQUEST_MAX - 1 - size, 0)) > 0) {
		size += (size_t)n;
		text[size] = '\0';
		end = strstr(text, "\r\n\r\n");
		if (!end)
			continue;
		header = strcasestr(text, "\r\nContent-Length:");
		length = header && header < end ? strtoul(header + 17, NULL, 10) : 0;
		if (size >= (size_t)(end + 4 - text) + length)
			return sscanf(text, "%*s %63s", path) == 1;
	}
	return false;
}

static void serve(struct scripted_ca *ca, int fd, char *text)
{
	const struct script *s = &ca->script;
	char path[64];

	if (!read_request(fd, text, path))
		return;
	must(ca->requests < REQUESTS_MAX, "too many requests");
	strcpy(ca->path[ca->requests++], path);
	if (strncmp(text, "POST ", 5) == 0 && ca->script.bad_nonces > 0) {
		ca->script.bad_nonces--;
		respond(ca, fd, "400 Bad Request", "application/problem+json", "",
			"{\"type\":\"urn:ietf:params:acme:error:badNonce\",\"detail\":"
			"\"no\"}");
	} else if (s->path && strcmp(s->path, path) == 0 &&
		   (s->times == 0 || ca->times++ < s->times)) {
		misbehave(ca, fd);
	} else {
		route(ca, fd, path);
	}
}

static void *run(void *arg)
{
	struct scripted_ca *ca = arg;
	char *text = malloc(REQUEST_MAX);
	int fd;

	must(text != NULL, "malloc");
	while ((fd = accept4(ca->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		serve(ca, fd, text);
		shutdown(fd, SHUT_WR);
		/* Closing with bytes unread would reset what was sent. */
		while (recv(fd, text, REQUEST_MAX, 0) > 0)
			;
		close(fd);
	}
	free(text);
	return NULL;
}

struct scripted_ca *scripted_ca_start(const struct script *script)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct scripted_ca *ca = calloc(1, sizeof(*ca));
	socklen_t size = sizeof(a);

	must(ca != NULL, "calloc");
	ca->script = *script;
	ca->polls = script->polls;
	strcpy(ca->order, script->order_status ? script->order_status : "pending");
	strcpy(ca->authz, "pending");
	ca->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(bind(ca->listener, (struct sockaddr *)&a, size) == 0, "bind");
	must(getsockname(ca->listener, (struct sockaddr *)&a, &size) == 0, "getsockname");
	must(listen(ca->listener, 64) == 0, "listen");
	snprintf(ca->base, sizeof(ca->base), "http://127.0.0.1:%u", ntohs(a.sin_port));
	must(pthread_create(&ca->thread, NULL, run, ca) == 0, "pthread_create");
	return ca;
}

void scripted_ca_stop(struct scripted_ca *ca)
{
	if (ca->stopped)
		return;
	shutdown(ca->listener, SHUT_RDWR);
	pthread_join(ca->thread, NULL);
	close(ca->listener);
	ca->stopped = true;
}

void scripted_ca_free(struct scripted_ca *ca)
{
	scripted_ca_stop(ca);
	free(ca);
}

const char *scripted_ca_base(const struct scripted_ca *ca)
{
	return ca->base;
}

unsigned scripted_ca_count(const struct scripted_ca *ca, const char *path)
{
	unsigned count = 0;

	for (unsigned i = 0; i < ca->requests; i++)
		count += !path || strcmp(ca->path[i], path) == 0;
	return count;
}
