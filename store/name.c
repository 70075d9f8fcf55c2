/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/name.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <idn2.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define WILDCARD_PREFIX "wildcard_."
#define DNS_NAME_MAX    253
#define DNS_LABEL_MAX   63

static bool is_ascii(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text >= 0x80)
			return false;
	return true;
}

static int refuse_u_label(const char *text, struct error *err)
{
	char *a_label = NULL;
	int r = idn2_to_ascii_8z(text, &a_label, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);
	if (r == IDN2_OK)
		r = error_set(err, EINVAL, "'%s' is not in its ASCII form, use %s", text,
			      a_label);
	else
		r = error_set(err, EINVAL, "'%s' is no valid domain name: %s", text,
			      idn2_strerror(r));
	idn2_free(a_label);
	return r;
}

static int refuse_upper(const char *text, struct error *err)
{
	char lower[NAME_MAX_TEXT];
	size_t i;
	for (i = 0; text[i] && i < sizeof(lower) - 1; i++)
		lower[i] = (char)tolower((unsigned char)text[i]);
	lower[i] = '\0';
	return error_set(err, EINVAL, "'%s' has upper-case letters, use %s", text, lower);
}

/* U+0000 … U+001F, U+007F … U+009F, in UTF-8. */
static bool has_control_character(const char *text)
{
	const unsigned char *c = (const unsigned char *)text;

	for (; *c; c++)
		if (*c < 0x20 || *c == 0x7f || (c[0] == 0xc2 && c[1] < 0xa0))
			return true;
	return false;
}

/* A label that begins with "xn--" must decode, and be the one that its U-label encodes
 * to. What IDNA2008 would not have registered (an emoji) is left to the CA: it is in the
 * DNS. */
static int check_a_label(const char *label, struct error *err)
{
	char *u_label = NULL, *again = NULL;
	int r = idn2_to_unicode_8z8z(label, &u_label, 0);
	if (r != IDN2_OK)
		r = error_set(err, EINVAL, "'%s' is no valid A-label: %s", label,
			      idn2_strerror(r));
	else if (has_control_character(u_label))
		r = error_set(
		    err, EINVAL,
		    "'%s' is no valid A-label: it stands for a control character", label);
	else if (idn2_to_ascii_8z(u_label, &again,
				  IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT) == IDN2_OK &&
		 strcmp(again, label) != 0)
		r = error_set(err, EINVAL, "'%s' is no valid A-label, use %s", label,
			      again);
	idn2_free(again);
	idn2_free(u_label);
	return r;
}

static int check_label(const char *name, const char *label, size_t length,
		       struct error *err)
{
	char copy[DNS_LABEL_MAX + 1];
	if (length == 0)
		return error_set(err, EINVAL, "'%s' has an empty label", name);
	if (length > DNS_LABEL_MAX)
		return error_set(err, EINVAL,
				 "'%s' has a label of more than %d characters", name,
				 DNS_LABEL_MAX);
	if (label[0] == '-' || label[length - 1] == '-')
		return error_set(err, EINVAL,
				 "'%s' has a label that begins or ends with a hyphen",
				 name);
	for (size_t i = 0; i < length; i++) {
		char c = label[i];
		if (c == '_')
			return error_set(err, EINVAL,
					 "'%s' has an underscore, which no host name has",
					 name);
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
			return error_set(err, EINVAL,
					 "'%s' has a character that no domain name has",
					 name);
	}
	memcpy(copy, label, length);
	copy[length] = '\0';
	return strncmp(copy, "xn--", 4) == 0 ? check_a_label(copy, err) : 0;
}

static int check_dns(const char *name, size_t *labels, struct error *err)
{
	size_t length = strlen(name);
	if (length > DNS_NAME_MAX)
		return error_set(err, EINVAL, "a domain name has at most %d characters",
				 DNS_NAME_MAX);
	if (length > 0 && name[length - 1] == '.')
		return error_set(err, EINVAL, "'%s' ends with a dot, leave it out", name);
	*labels = 0;
	for (const char *label = name; label; (*labels)++) {
		const char *dot = strchr(label, '.');
		size_t size = dot ? (size_t)(dot - label) : strlen(label);
		int r = check_label(name, label, size, err);
		if (r < 0)
			return r;
		label = dot ? dot + 1 : NULL;
	}
	return 0;
}

/* 1: `text` is an IP address in canonical form; 0: it is none. */
static int check_ip(const char *text, struct error *err)
{
	unsigned char address[16];
	char canonical[INET6_ADDRSTRLEN];
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(family, text, address) != 1)
		return family == AF_INET6
			   ? error_set(err, EINVAL, "'%s' is no valid IPv6 address", text)
			   : 0;
	inet_ntop(family, address, canonical, sizeof(canonical));
	if (strcmp(canonical, text) != 0)
		return error_set(err, EINVAL, "'%s' is not in canonical form, use %s",
				 text, canonical);
	return 1;
}

/* A name whose last label is all digits can only be an IP address that went wrong. */
static bool ends_in_number(const char *text)
{
	const char *last = strrchr(text, '.');
	last = last ? last + 1 : text;
	return *last && last[strspn(last, "0123456789")] == '\0';
}

static int parse_host(const char *text, struct name *name, struct error *err)
{
	size_t labels = 0;
	int r = check_ip(text, err);
	if (r < 0)
		return r;
	if (r == 1) {
		name->kind = NAME_IP;
		return 0;
	}
	if (ends_in_number(text))
		return error_set(err, EINVAL,
				 "'%s' is neither an IP address nor a domain name", text);
	r = check_dns(text, &labels, err);
	if (r == 0)
		name->kind = labels > 1 ? NAME_DNS : NAME_LOCAL;
	return r;
}

int name_parse(const char *text, struct name *name, struct error *err)
{
	int r;
	size_t length = strlen(text), prefix = strlen(WILDCARD_PREFIX);
	if (length == 0 || length >= NAME_MAX_TEXT)
		return error_set(err, EINVAL, "a name has 1 to %d characters",
				 DNS_NAME_MAX);
	if (text[0] == '.')
		return error_set(err, EINVAL,
				 "'%s' begins with a dot: such names belong to certfs",
				 text);
	if (!is_ascii(text))
		return refuse_u_label(text, err);
	for (size_t i = 0; i < length; i++)
		if (isupper((unsigned char)text[i]))
			return refuse_upper(text, err);
	if (text[0] == '*')
		return error_set(err, EINVAL, "a wildcard's directory is spelled %s%s",
				 WILDCARD_PREFIX,
				 text[1] == '.' ? text + 2 : "example.com");
	if (strcmp(text, "fallback") == 0) {
		name->kind = NAME_FALLBACK;
		r = 0;
	} else if (strncmp(text, WILDCARD_PREFIX, prefix) == 0) {
		r = parse_host(text + prefix, name, err);
		if (r == 0 && name->kind != NAME_DNS)
			r = error_set(
			    err, EINVAL,
			    "'%s' needs a domain of two labels or more below the star",
			    text);
		name->kind = NAME_WILDCARD;
	} else {
		r = parse_host(text, name, err);
	}
	if (r == 0)
		memcpy(name->text, text, length + 1);
	return r;
}

bool name_identifier(const struct name *name, char *out)
{
	switch (name->kind) {
	case NAME_WILDCARD:
		snprintf(out, NAME_MAX_TEXT, "*.%s",
			 name->text + strlen(WILDCARD_PREFIX));
		return true;
	case NAME_DNS:
	case NAME_LOCAL:
	case NAME_IP:
		memcpy(out, name->text, strlen(name->text) + 1);
		return true;
	case NAME_FALLBACK:
		break;
	}
	return false;
}

bool name_matches(const char *pattern, const char *host)
{
	if (strncmp(pattern, "*.", 2) != 0)
		return strcasecmp(pattern, host) == 0;
	if (strncmp(host, "*.", 2) == 0)
		return strcasecmp(pattern, host) == 0;
	const char *dot = strchr(host, '.');
	return dot && dot != host && strcasecmp(pattern + 1, dot) == 0;
}

bool name_wildcard_above(const struct name *name, struct name *wildcard)
{
	const char *dot = strchr(name->text, '.');
	if (name->kind != NAME_DNS || !dot || !strchr(dot + 1, '.'))
		return false;
	int length = snprintf(wildcard->text, sizeof(wildcard->text), "%s%s",
			      WILDCARD_PREFIX, dot + 1);
	wildcard->kind = NAME_WILDCARD;
	return length < (int)sizeof(wildcard->text);
}

/* RFC 6761, RFC 6762, RFC 7686, RFC 9476, and ICANN's reservation of .internal. */
static const char *const reserved[] = {"local", "localhost", "internal",
				       "test",  "example",   "invalid",
				       "onion", "arpa",      "alt"};

bool name_public(const struct name *name, const char **why)
{
	switch (name->kind) {
	case NAME_LOCAL:
		*why = "a name of a single label is known in no public DNS";
		return false;
	case NAME_FALLBACK:
		*why = "the fallback is self-signed by its nature";
		return false;
	case NAME_IP:
		return true;
	case NAME_DNS:
	case NAME_WILDCARD:
		break;
	}
	const char *top = strrchr(name->text, '.') + 1;
	for (size_t i = 0; i < sizeof(reserved) / sizeof(*reserved); i++)
		if (strcmp(top, reserved[i]) == 0) {
			*why = "its top level is reserved and in no public DNS";
			return false;
		}
	return true;
}
