/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* url: whose URL it is. The parser is libcurl's, the one that the requests go through, so
 * that what is judged here and what is asked there can't differ. */
#ifndef CERTFS_ACME_URL_H
#define CERTFS_ACME_URL_H

#include <stdbool.h>
#include <stddef.h>

/* Scheme, host and port are the same (RFC 6454 §5). False when one of them is no URL or
 * holds a user's name. */
bool url_same_origin(const char *a, const char *b);
/* The host is `domain` or below it. */
bool url_host_below(const char *url, const char *domain);

#endif
