/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* name: what a directory may be called, and what a certificate must cover.
 *
 * A name is a DNS name (RFC 5890 A-labels, RFC 1123 host name syntax, lower case, at most
 * 253 octets, no trailing dot), an IP address in its canonical text (RFC 5952 for IPv6),
 * a wildcard directory `wildcard_.example.com` (for *.example.com, spelled as Caddy's
 * storage does), or the word `fallback`. */
#ifndef CERTFS_STORE_NAME_H
#define CERTFS_STORE_NAME_H

#include "store/error.h"

#include <stdbool.h>

#define NAME_MAX_TEXT 256

enum name_kind {
	NAME_DNS,
	NAME_LOCAL, /* a single label (`intranet`): no public CA can certify it */
	NAME_IP,
	NAME_WILDCARD, /* text is "wildcard_.example.com" */
	NAME_FALLBACK, /* text is "fallback" */
};

struct name {
	enum name_kind kind;
	char text[NAME_MAX_TEXT]; /* as in the mount */
};

/* Parses what a person typed after mkdir or ln -s. EINVAL with a reason and a remedy:
 * upper case (names the lower-case form), a U-label (names its A-label, libidn2), an
 * underscore, an empty or too long label, a leading hyphen, a trailing dot, "xn--" that
 * does not decode, an IP address that is not in canonical form (names the canonical
 * form), a wildcard of a single label. A name that starts with a dot is EINVAL too. */
int name_parse(const char *text, struct name *name, struct error *err);

/* The identifier as a certificate spells it: "*.example.com" for a wildcard, else text.
 * `out` has NAME_MAX_TEXT bytes. NAME_FALLBACK has none: returns false. */
bool name_identifier(const struct name *name, char *out);

/* Does the SAN dNSName `pattern` (perhaps "*.example.com", any case) cover `host`? One
 * label for the star, only as the whole left-most label (RFC 6125 §6.4.3). */
bool name_matches(const char *pattern, const char *host);

/* "wildcard_.example.com" for "app.example.com". False where there is no parent with two
 * labels or the name is no NAME_DNS. */
bool name_wildcard_above(const struct name *name, struct name *wildcard);

/* Can a public CA certify it at all (NAME_DNS with a dot, no reserved top level such as
 * .local, .internal, .test, .example, .invalid, .localhost, .onion, .arpa; wildcard of
 * such)? When not, `why` names the reason as a sentence (a constant). Only advice: a CA of
 * one's own certifies what it likes. */
bool name_public(const struct name *name, const char **why);

#endif
