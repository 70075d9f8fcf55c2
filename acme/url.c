/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "acme/url.h"

#include <curl/curl.h>
#include <string.h>
#include <strings.h>

struct origin {
	char *scheme, *host, *port;
};

static void origin_clear(struct origin *o)
{
	curl_free(o->scheme);
	curl_free(o->host);
	curl_free(o->port);
}

static bool origin_parse(const char *text, struct origin *o)
{
	CURLU *url = curl_url();
	char *user = NULL;
	bool good = false;

	*o = (struct origin){NULL, NULL, NULL};
	if (!url || curl_url_set(url, CURLUPART_URL, text, 0) != CURLUE_OK)
		goto out;
	if (curl_url_get(url, CURLUPART_USER, &user, 0) != CURLUE_NO_USER)
		goto out;
	good =
	    curl_url_get(url, CURLUPART_SCHEME, &o->scheme, 0) == CURLUE_OK &&
	    curl_url_get(url, CURLUPART_HOST, &o->host, 0) == CURLUE_OK &&
	    curl_url_get(url, CURLUPART_PORT, &o->port, CURLU_DEFAULT_PORT) == CURLUE_OK;
out:
	curl_free(user);
	curl_url_cleanup(url);
	return good;
}

bool url_same_origin(const char *a, const char *b)
{
	struct origin left, right;
	bool same = origin_parse(a, &left);

	same &= origin_parse(b, &right);
	same = same && strcmp(left.scheme, right.scheme) == 0 &&
	       strcasecmp(left.host, right.host) == 0 &&
	       strcmp(left.port, right.port) == 0;
	origin_clear(&left);
	origin_clear(&right);
	return same;
}

bool url_host_below(const char *url, const char *domain)
{
	struct origin o;
	bool below = false;

	if (origin_parse(url, &o)) {
		size_t host = strlen(o.host), tail = strlen(domain);

		below = host >= tail && strcasecmp(o.host + host - tail, domain) == 0 &&
			(host == tail || o.host[host - tail - 1] == '.');
	}
	origin_clear(&o);
	return below;
}
