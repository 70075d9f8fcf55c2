/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* http_internal: what http.c (requests, as they are sent) and http_answer.c (what became of
 * them) share; nobody else includes it, so that curl's types stay in these two. */
#ifndef CERTFS_ACME_HTTP_INTERNAL_H
#define CERTFS_ACME_HTTP_INTERNAL_H

#include "acme/http.h"

#include <curl/curl.h>

#define HTTP_HEADERS_MAX (64 * 1024)

/* One request, from http_start() until its callback has returned. */
struct request {
	struct request *next;
	struct http *http;
	uint64_t id;
	CURL *easy;
	struct curl_slist *headers;
	http_done *done;
	void *ctx;
	char *body;
	size_t size, capacity;
	size_t header_bytes;
	bool body_too_long, headers_too_long, no_memory;
	char curl_error[CURL_ERROR_SIZE];
};

/* Reads the answer, or why there was none, and calls `done` with it. */
void request_answer(struct request *q, CURLcode code);

#endif
