/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "acme/http_internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ALTERNATES_MAX  7
#define RETRY_AFTER_MAX (30LL * 24 * 3600)

/* Why there was no answer, with what helps: the one place that knows curl's codes. */
static void explain(const struct request *q, CURLcode code, struct error *err)
{
	const char *words = q->curl_error[0] ? q->curl_error : curl_easy_strerror(code);
	const char *url = "";

	curl_easy_getinfo(q->easy, CURLINFO_EFFECTIVE_URL, &url);
	if (q->no_memory || code == CURLE_OUT_OF_MEMORY)
		error_note(err, ENOMEM, "no memory for the answer of %.200s", url);
	else if (q->headers_too_long)
		error_note(err, EPROTO,
			   "%.200s answered with more than %d bytes of headers", url,
			   HTTP_HEADERS_MAX);
	else if (code == CURLE_COULDNT_RESOLVE_HOST)
		error_note(err, EHOSTUNREACH,
			   "%s (%.200s); check this host's DNS (/etc/resolv.conf)", words,
			   url);
	else if (code == CURLE_COULDNT_CONNECT)
		error_note(
		    err, ECONNREFUSED,
		    "%s (%.200s); check this host's way to the CA (firewall, proxy)",
		    words, url);
	else if (code == CURLE_OPERATION_TIMEDOUT)
		error_note(
		    err, ETIMEDOUT,
		    "%s (%.200s); check this host's way to the CA (firewall, proxy)",
		    words, url);
	else if (code == CURLE_PEER_FAILED_VERIFICATION)
		error_note(err, EKEYREJECTED,
			   "%s (%.200s); name the CA's root in roots-file, or mend this "
			   "host's clock or ca-certificates",
			   words, url);
	else
		error_note(err, EIO, "%s (%.200s)", words, url);
}

static const char *header(CURL *easy, const char *name)
{
	struct curl_header *h;

	if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &h) != CURLHE_OK)
		return "";
	return h->value;
}

/* `reference` against the request's address; NULL when that is no URL. curl_free(). */
static char *resolve(CURL *easy, const char *reference)
{
	char *base = NULL, *out = NULL;
	CURLU *u = curl_url();

	curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &base);
	if (u && base && curl_url_set(u, CURLUPART_URL, base, 0) == CURLUE_OK &&
	    curl_url_set(u, CURLUPART_URL, reference, CURLU_NON_SUPPORT_SCHEME) ==
		CURLUE_OK)
		curl_url_get(u, CURLUPART_URL, &out, 0);
	curl_url_cleanup(u);
	return out;
}

/* Is `params`, up to `end`, a Link's parameters with rel=alternate (RFC 8288 §3)? */
static bool is_alternate(const char *params, const char *end)
{
	const char *p = params;
	size_t n;

	while (p < end && (p = memchr(p, ';', (size_t)(end - p)))) {
		p++;
		while (p < end && isspace((unsigned char)*p))
			p++;
		if (end - p < 4 || strncasecmp(p, "rel=", 4) != 0)
			continue;
		p += 4;
		if (p < end && *p == '"')
			p++;
		n = strlen("alternate");
		return (size_t)(end - p) >= n && strncasecmp(p, "alternate", n) == 0 &&
		       (p + n == end || !isalnum((unsigned char)p[n]));
	}
	return false;
}

/* The alternates of one Link header, appended to `out`. */
static size_t parse_link(CURL *easy, const char *value, char **out, size_t count)
{
	const char *open = value, *close, *end;
	char *target;

	while (count < ALTERNATES_MAX && (open = strchr(open, '<')) &&
	       (close = strchr(open, '>'))) {
		end = close + strcspn(close, "<");
		if (is_alternate(close, end)) {
			target = strndup(open + 1, (size_t)(close - open - 1));
			out[count] = target ? resolve(easy, target) : NULL;
			if (out[count])
				count++;
			free(target);
		}
		open = end;
	}
	return count;
}

static size_t alternates(CURL *easy, char **out)
{
	struct curl_header *h;
	size_t count = 0, i = 0;

	while (count < ALTERNATES_MAX &&
	       curl_easy_header(easy, "Link", i++, CURLH_HEADER, -1, &h) == CURLHE_OK)
		count = parse_link(easy, h->value, out, count);
	return count;
}

static void media_type(CURL *easy, char *out, size_t capacity)
{
	const char *value = header(easy, "Content-Type");
	size_t n = strcspn(value, "; \t");

	if (n >= capacity)
		n = 0;
	for (size_t i = 0; i < n; i++)
		out[i] = (char)tolower((unsigned char)value[i]);
	out[n] = '\0';
}

static bool is_nonce(const char *text)
{
	const size_t n = strlen(text);

	return n > 0 && n <= 512 &&
	       strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			    "0123456789-_") == n;
}

void request_answer(struct request *q, CURLcode code)
{
	struct http_response a = {.body = q->body ? q->body : "",
				  .size = q->size,
				  .location = "",
				  .nonce = "",
				  .content_type = ""};
	char type[128] = "", *links[ALTERNATES_MAX] = {NULL}, *location = NULL;
	curl_off_t retry_after = 0;
	size_t count = 0;
	long status = 0;

	curl_easy_getinfo(q->easy, CURLINFO_RESPONSE_CODE, &status);
	if (code == CURLE_OK || (q->body_too_long && status > 0)) {
		a.status = (uint32_t)status;
		media_type(q->easy, type, sizeof(type));
		a.content_type = type;
		if (*header(q->easy, "Location"))
			location = resolve(q->easy, header(q->easy, "Location"));
		a.location = location ? location : "";
		a.nonce = header(q->easy, "Replay-Nonce");
		if (!is_nonce(a.nonce))
			a.nonce = "";
		count = alternates(q->easy, links);
		for (size_t i = 0; i < count; i++)
			a.link_alternate[i] = links[i];
		curl_easy_getinfo(q->easy, CURLINFO_RETRY_AFTER, &retry_after);
		a.retry_after_s = retry_after < 0                 ? 0
				  : retry_after > RETRY_AFTER_MAX ? RETRY_AFTER_MAX
								  : retry_after;
		if (q->body_too_long) {
			error_note(&a.error, EFBIG, "the answer is longer than %d bytes",
				   HTTP_BODY_MAX);
		}
	} else {
		explain(q, code, &a.error);
	}
	q->done(q->ctx, &a);
	curl_free(location);
	for (size_t i = 0; i < count; i++)
		curl_free(links[i]);
}
