/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "acme/http_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOTS_MAX (4 * 1024 * 1024)

struct http {
	CURLM *multi;
	struct request *requests;
	uint64_t last_id;
	char *roots; /* read once: the process may lose sight of the file later */
	size_t roots_size;
	uint32_t timeout_s;
	const struct log *lg;
};

static int read_roots(struct http *h, const char *path, struct error *err)
{
	struct stat st;
	ssize_t n;
	int r = 0;
	const int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return error_set(err, errno, "the roots-file %s cannot be read: %s", path,
				 strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 ||
	    st.st_size > ROOTS_MAX) {
		r = error_set(err, EINVAL,
			      "the roots-file %s is no file of 1 to %d bytes", path,
			      ROOTS_MAX);
		goto out;
	}
	h->roots = malloc((size_t)st.st_size);
	if (!h->roots) {
		r = error_set(err, ENOMEM, "no memory for the roots-file %s", path);
		goto out;
	}
	while (h->roots_size < (size_t)st.st_size) {
		n = read(fd, h->roots + h->roots_size,
			 (size_t)st.st_size - h->roots_size);
		if (n < 0) {
			r = error_set(err, errno, "the roots-file %s cannot be read: %s",
				      path, strerror(errno));
			goto out;
		}
		if (n == 0)
			break;
		h->roots_size += (size_t)n;
	}
	if (!memmem(h->roots, h->roots_size, "-----BEGIN ", 11))
		r = error_set(
		    err, EBADMSG,
		    "the roots-file %s holds no PEM certificate; put the CA's root there",
		    path);
out:
	close(fd);
	return r;
}

int http_new(struct http **http, const char *roots_file, uint32_t timeout_s,
	     const struct log *lg, struct error *err)
{
	struct http *h = NULL;
	int r;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return error_set(err, EIO, "libcurl could not be started");
	h = calloc(1, sizeof(*h));
	if (h)
		h->multi = curl_multi_init();
	if (!h || !h->multi) {
		r = error_set(err, ENOMEM, "no memory for the HTTP client");
		goto out;
	}
	h->timeout_s = timeout_s;
	h->lg = lg;
	r = roots_file ? read_roots(h, roots_file, err) : 0;
	if (r < 0)
		goto out;
	curl_multi_setopt(h->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
	*http = h;
	return 0;
out:
	if (h && h->multi)
		curl_multi_cleanup(h->multi);
	if (h)
		free(h->roots);
	free(h);
	curl_global_cleanup();
	return r;
}

static void request_free(struct request *q)
{
	if (q->easy)
		curl_easy_cleanup(q->easy);
	curl_slist_free_all(q->headers);
	free(q->body);
	free(q);
}

void http_free(struct http *http)
{
	struct request *q;

	if (!http)
		return;
	while ((q = http->requests)) {
		http->requests = q->next;
		curl_multi_remove_handle(http->multi, q->easy);
		request_free(q);
	}
	curl_multi_cleanup(http->multi);
	free(http->roots);
	free(http);
	curl_global_cleanup();
}

static bool is_loopback(const char *host)
{
	struct in_addr a4;

	if (strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
		return true;
	return inet_pton(AF_INET, host, &a4) == 1 && ntohl(a4.s_addr) >> 24 == 127;
}

enum allowed { NOT_ALLOWED, ALLOWED, ALLOWED_LOOPBACK };

static enum allowed judge_url(const char *url)
{
	enum allowed verdict = NOT_ALLOWED;
	char *scheme = NULL, *host = NULL, *user = NULL;
	CURLU *u = curl_url();

	if (u &&
	    curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_USER, &user, 0) == CURLUE_NO_USER) {
		if (strcmp(scheme, "https") == 0)
			verdict = is_loopback(host) ? ALLOWED_LOOPBACK : ALLOWED;
		else if (strcmp(scheme, "http") == 0 && is_loopback(host))
			verdict = ALLOWED_LOOPBACK;
	}
	curl_free(scheme);
	curl_free(host);
	curl_free(user);
	curl_url_cleanup(u);
	return verdict;
}

bool http_url_allowed(const char *url)
{
	return judge_url(url) != NOT_ALLOWED;
}

static size_t take_body(char *data, size_t one, size_t count, void *ctx)
{
	struct request *q = ctx;
	const size_t n = one * count;
	size_t room = HTTP_BODY_MAX - q->size, take = n < room ? n : room, capacity;
	char *grown;

	if (q->size + take + 1 > q->capacity) {
		capacity = 2 * (q->size + take + 1);
		grown = realloc(q->body, capacity);
		if (!grown) {
			q->no_memory = true;
			return 0;
		}
		q->body = grown;
		q->capacity = capacity;
	}
	memcpy(q->body + q->size, data, take);
	q->size += take;
	q->body[q->size] = '\0';
	q->body_too_long = take < n;
	return take;
}

static size_t take_header(char *data, size_t one, size_t count, void *ctx)
{
	struct request *q = ctx;

	(void)data;
	q->header_bytes += one * count;
	q->headers_too_long = q->header_bytes > HTTP_HEADERS_MAX;
	return q->headers_too_long ? 0 : one * count;
}

static bool add_header(struct request *q, const char *name, const char *value)
{
	char line[256];
	struct curl_slist *grown;
	const int n = snprintf(line, sizeof(line), "%s: %s", name, value);

	grown = n > 0 && (size_t)n < sizeof(line) ? curl_slist_append(q->headers, line)
						  : NULL;
	if (grown)
		q->headers = grown;
	return grown != NULL;
}

static void set_security(CURL *c, const struct http *h, enum allowed verdict)
{
	struct curl_blob roots = {
	    .data = h->roots, .len = h->roots_size, .flags = CURL_BLOB_NOCOPY};

	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR,
			 verdict == ALLOWED_LOOPBACK ? "http,https" : "https");
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
	if (h->roots)
		curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, &roots);
	/* A proxy of the environment can't reach this host's own loopback. */
	if (verdict == ALLOWED_LOOPBACK)
		curl_easy_setopt(c, CURLOPT_PROXY, "");
}

static bool set_method(struct request *q, enum http_method method, const char *post,
		       const char *accept)
{
	CURL *c = q->easy;

	switch (method) {
	case HTTP_GET:
		break;
	case HTTP_HEAD:
		curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
		break;
	case HTTP_POST:
		curl_easy_setopt(c, CURLOPT_POST, 1L);
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE,
				 (curl_off_t)strlen(post));
		if (curl_easy_setopt(c, CURLOPT_COPYPOSTFIELDS, post) != CURLE_OK ||
		    !add_header(q, "Content-Type", "application/jose+json") ||
		    !add_header(q, "Expect", ""))
			return false;
		break;
	}
	return !accept || add_header(q, "Accept", accept);
}

static bool request_prepare(struct request *q, enum http_method method, const char *url,
			    const char *post, const char *accept, enum allowed verdict)
{
	CURL *c = q->easy = curl_easy_init();

	if (!c || curl_easy_setopt(c, CURLOPT_URL, url) != CURLE_OK ||
	    !set_method(q, method, post, accept))
		return false;
	set_security(c, q->http, verdict);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, q->headers);
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	/* Wait for a connection that may speak HTTP/2 instead of opening more. */
	curl_easy_setopt(c, CURLOPT_PIPEWAIT, 1L);
	curl_easy_setopt(c, CURLOPT_TIMEOUT, (long)q->http->timeout_s);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_USERAGENT,
			 "certfs/" CERTFS_VERSION " libcurl/" LIBCURL_VERSION);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, q->curl_error);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, q);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, q);
	curl_easy_setopt(c, CURLOPT_PRIVATE, q);
	return true;
}

uint64_t http_start(struct http *http, enum http_method method, const char *url,
		    const char *post, const char *accept, http_done *done, void *ctx,
		    struct error *err)
{
	const enum allowed verdict = judge_url(url);
	struct request *q;

	if (verdict == NOT_ALLOWED) {
		error_note(err, EINVAL, "%.200s is no https address", url);
		return 0;
	}
	q = calloc(1, sizeof(*q));
	if (q)
		q->http = http;
	if (!q || !request_prepare(q, method, url, post ? post : "", accept, verdict) ||
	    curl_multi_add_handle(http->multi, q->easy) != CURLM_OK) {
		if (q)
			request_free(q);
		error_note(err, ENOMEM, "no memory for a request to %.200s", url);
		return 0;
	}
	q->id = ++http->last_id;
	q->done = done;
	q->ctx = ctx;
	q->next = http->requests;
	http->requests = q;
	return q->id;
}

static void unlink_request(struct http *http, const struct request *q)
{
	struct request **p = &http->requests;

	while (*p != q)
		p = &(*p)->next;
	*p = q->next;
}

void http_cancel(struct http *http, uint64_t handle)
{
	struct request *q = http->requests;

	while (q && q->id != handle)
		q = q->next;
	if (!q)
		return;
	unlink_request(http, q);
	curl_multi_remove_handle(http->multi, q->easy);
	request_free(q);
}

/* True when a request ended. */
static bool reap(struct http *http)
{
	bool ended = false;
	struct request *q;
	CURLMsg *msg;
	CURLcode code;
	int left;

	while ((msg = curl_multi_info_read(http->multi, &left))) {
		if (msg->msg != CURLMSG_DONE)
			continue;
		code = msg->data.result;
		q = NULL;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&q);
		/* Out of the list first: the callback may start and cancel calls. */
		unlink_request(http, q);
		curl_multi_remove_handle(http->multi, q->easy);
		request_answer(q, code);
		request_free(q);
		ended = true;
	}
	return ended;
}

int http_run(struct http *http, struct pollfd *extra, unsigned extra_count,
	     int timeout_ms, struct error *err)
{
	struct curl_waitfd fds[HTTP_EXTRA_MAX];
	CURLMcode code;
	int running;

	if (extra_count > HTTP_EXTRA_MAX)
		return error_set(err, EINVAL, "%u descriptors are too many to wait for",
				 extra_count);
	for (unsigned i = 0; i < extra_count; i++)
		fds[i] = (struct curl_waitfd){
		    .fd = extra[i].fd,
		    .events =
			(short)((extra[i].events & POLLIN ? CURL_WAIT_POLLIN : 0) |
				(extra[i].events & POLLOUT ? CURL_WAIT_POLLOUT : 0)),
		};
	code = curl_multi_perform(http->multi, &running);
	/* What ended must not wait for the others. */
	if (code == CURLM_OK && reap(http))
		timeout_ms = 0;
	if (code == CURLM_OK)
		code = curl_multi_poll(http->multi, fds, extra_count,
				       timeout_ms < 0 ? INT_MAX : timeout_ms, NULL);
	if (code == CURLM_OK)
		code = curl_multi_perform(http->multi, &running);
	if (code != CURLM_OK)
		return error_set(err, EIO, "libcurl failed: %s",
				 curl_multi_strerror(code));
	/* Asked again: curl tells of no hang-up, and maps events to its own. */
	if (extra_count && poll(extra, extra_count, 0) < 0 && errno != EINTR)
		return error_set(err, errno, "poll failed: %s", strerror(errno));
	reap(http);
	return 0;
}
