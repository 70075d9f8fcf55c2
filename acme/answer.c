/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "acme/answer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static const char *const status_names[] = {
    [ANSWER_PENDING] = "pending",       [ANSWER_READY] = "ready",
    [ANSWER_PROCESSING] = "processing", [ANSWER_VALID] = "valid",
    [ANSWER_INVALID] = "invalid",       [ANSWER_DEACTIVATED] = "deactivated",
    [ANSWER_EXPIRED] = "expired",       [ANSWER_REVOKED] = "revoked",
};

const char *answer_status_name(enum answer_status status)
{
	return status_names[status];
}

static int load(const struct http_response *r, json_t **root, struct error *err)
{
	json_error_t where;

	*root = NULL;
	if (r->error.code)
		return error_set(err, EPROTO, "%s", r->error.text);
	if (strcmp(r->content_type, "application/json") != 0)
		return error_set(err, EPROTO,
				 "the answer is of type '%.60s', not application/json",
				 r->content_type);
	*root = json_loadb(r->body, r->size, JSON_REJECT_DUPLICATES, &where);
	if (!*root)
		return error_set(err, EPROTO, "the answer is no JSON: %.100s (byte %d)",
				 where.text, where.position);
	if (json_is_object(*root))
		return 0;
	json_decref(*root);
	*root = NULL;
	return error_set(err, EPROTO, "the answer is no JSON object");
}

static int get_text(const json_t *object, const char *name, const char **text,
		    struct error *err)
{
	const json_t *member = json_object_get(object, name);

	*text = json_string_value(member);
	if (*text)
		return 0;
	if (!member)
		return error_set(err, EPROTO, "the answer has no member '%s'", name);
	return error_set(err, EPROTO, "the answer's member '%s' is no text", name);
}

static int check_url(const char *url, const char *name, struct error *err)
{
	if (strlen(url) < URL_MAX && http_url_allowed(url))
		return 0;
	return error_set(err, EPROTO,
			 "the answer's member '%s' is no https address: %.100s", name,
			 url);
}

static int get_url(const json_t *object, const char *name, const char **url,
		   struct error *err)
{
	const int r = get_text(object, name, url, err);

	return r < 0 ? r : check_url(*url, name, err);
}

static int get_status(const json_t *object, enum answer_status *status, struct error *err)
{
	const char *text;
	const int r = get_text(object, "status", &text, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < sizeof(status_names) / sizeof(status_names[0]); i++) {
		if (strcmp(text, status_names[i]) == 0) {
			*status = (enum answer_status)i;
			return 0;
		}
	}
	return error_set(err, EPROTO, "the answer's member 'status' is unknown: %.60s",
			 text);
}

static int get_meta(const json_t *root, struct answer_directory *d, struct error *err)
{
	const json_t *meta = json_object_get(root, "meta"), *eab;

	d->terms = "";
	d->external_account_required = false;
	if (!meta)
		return 0;
	if (!json_is_object(meta))
		return error_set(err, EPROTO, "the answer's member 'meta' is no object");
	if (json_object_get(meta, "termsOfService")) {
		const int r = get_text(meta, "termsOfService", &d->terms, err);

		if (r < 0)
			return r;
	}
	eab = json_object_get(meta, "externalAccountRequired");
	if (eab && !json_is_boolean(eab))
		return error_set(
		    err, EPROTO,
		    "the answer's member 'externalAccountRequired' is neither "
		    "true nor false");
	d->external_account_required = json_is_true(eab);
	return 0;
}

int answer_directory(const struct http_response *response, struct answer_directory *d,
		     struct error *err)
{
	int r = load(response, &d->root, err);

	if (r == 0)
		r = get_url(d->root, "newNonce", &d->new_nonce, err);
	if (r == 0)
		r = get_url(d->root, "newAccount", &d->new_account, err);
	if (r == 0)
		r = get_url(d->root, "newOrder", &d->new_order, err);
	if (r == 0)
		r = get_meta(d->root, d, err);
	if (r == 0)
		return 0;
	json_decref(d->root);
	d->root = NULL;
	return r;
}

int answer_account(const struct http_response *response, enum answer_status *status,
		   struct error *err)
{
	json_t *root;
	int r = load(response, &root, err);

	if (r == 0)
		r = get_status(root, status, err);
	json_decref(root);
	return r;
}

bool answer_is_ip(const char *name)
{
	unsigned char raw[16];

	return inet_pton(AF_INET, name, raw) == 1 || inet_pton(AF_INET6, name, raw) == 1;
}

/* One identifier spelled twice: DNS in any case, IPv6 in any form. */
static bool same_name(const char *a, const char *b)
{
	unsigned char x[16], y[16];

	if (strcasecmp(a, b) == 0)
		return true;
	return inet_pton(AF_INET6, a, x) == 1 && inet_pton(AF_INET6, b, y) == 1 &&
	       memcmp(x, y, sizeof(x)) == 0;
}

const char *answer_next_name(const char *names, char *out)
{
	size_t n;

	names += strspn(names, " ");
	n = strcspn(names, " ");
	if (n == 0 || n >= 256)
		return NULL;
	memcpy(out, names, n);
	out[n] = '\0';
	return names + n;
}

static bool in_names(const char *names, const char *name)
{
	char one[256];

	while ((names = answer_next_name(names, one))) {
		if (same_name(one, name))
			return true;
	}
	return false;
}

static bool in_identifiers(const json_t *identifiers, const char *name)
{
	const json_t *id;
	size_t i;

	json_array_foreach(identifiers, i, id)
	{
		const char *value = json_string_value(json_object_get(id, "value"));

		if (value && same_name(value, name))
			return true;
	}
	return false;
}

/* Type and value of an identifier, which must be one of those asked for. */
static int check_identifier(const json_t *id, const char *names, const char **name,
			    struct error *err)
{
	const char *type;
	int r;

	if (!json_is_object(id))
		return error_set(err, EPROTO, "the answer's identifier is no object");
	r = get_text(id, "type", &type, err);
	if (r == 0)
		r = get_text(id, "value", name, err);
	if (r < 0)
		return r;
	if (!in_names(names, *name) ||
	    strcmp(type, answer_is_ip(*name) ? "ip" : "dns") != 0)
		return error_set(err, EPROTO,
				 "the answer is for %.20s %.253s, asked for was %.200s",
				 type, *name, names);
	return 0;
}

static int check_identifiers(const json_t *root, const char *names, struct error *err)
{
	const json_t *ids = json_object_get(root, "identifiers"), *id;
	char one[256];
	const char *name = NULL, *rest = names;
	size_t i;
	int r;

	if (!json_is_array(ids))
		return error_set(err, EPROTO,
				 "the answer's member 'identifiers' is no list");
	json_array_foreach(ids, i, id)
	{
		r = check_identifier(id, names, &name, err);
		if (r < 0)
			return r;
	}
	while ((rest = answer_next_name(rest, one))) {
		if (!in_identifiers(ids, one))
			return error_set(err, EPROTO,
					 "the answer is not for %s, which was asked for",
					 one);
	}
	return 0;
}

static int get_authorizations(const json_t *root, struct answer_order *o,
			      struct error *err)
{
	const json_t *list = json_object_get(root, "authorizations"), *item;
	size_t i;
	int r;

	o->authorizations = 0;
	if (!json_is_array(list) || json_array_size(list) == 0)
		return error_set(err, EPROTO,
				 "the answer's member 'authorizations' is no list");
	if (json_array_size(list) > WIRE_TOKENS_MAX)
		return error_set(err, EPROTO,
				 "the order wants %zu authorizations, at most %d can be",
				 json_array_size(list), WIRE_TOKENS_MAX);
	json_array_foreach(list, i, item)
	{
		const char *url = json_string_value(item);

		if (!url)
			return error_set(
			    err, EPROTO,
			    "the answer's member 'authorizations' holds more than texts");
		r = check_url(url, "authorizations", err);
		if (r < 0)
			return r;
		o->authorization[o->authorizations++] = url;
	}
	return 0;
}

static int get_certificate(struct answer_order *o, struct error *err)
{
	o->certificate = "";
	if (o->status != ANSWER_VALID)
		return 0;
	return get_url(o->root, "certificate", &o->certificate, err);
}

static int get_parts(struct answer_order *o, struct error *err)
{
	int r = get_url(o->root, "finalize", &o->finalize, err);

	if (r == 0)
		r = get_authorizations(o->root, o, err);
	return r < 0 ? r : get_certificate(o, err);
}

int answer_order(const struct http_response *response, const char *names,
		 struct answer_order *o, struct error *err)
{
	int r;

	memset(o, 0, sizeof(*o));
	o->finalize = o->certificate = "";
	r = load(response, &o->root, err);

	if (r == 0)
		r = get_status(o->root, &o->status, err);
	if (r == 0)
		r = check_identifiers(o->root, names, err);
	/* What else is wrong with a dead order must not hide that it is dead. */
	if (r == 0 && o->status != ANSWER_INVALID)
		r = get_parts(o, err);
	if (r == 0) {
		o->error = json_object_get(o->root, "error");
		return 0;
	}
	json_decref(o->root);
	o->root = NULL;
	return r;
}

/* RFC 8555 §8.3: at least 128 bits of base64url, that is 22 characters. */
static int get_token(const json_t *challenge, const char **token, struct error *err)
{
	const int r = get_text(challenge, "token", token, err);
	const size_t n = r < 0 ? 0 : strlen(*token);

	if (r < 0)
		return r;
	if (n >= 22 && n < TOKEN_MAX &&
	    strspn(*token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			   "0123456789-_") == n)
		return 0;
	return error_set(err, EPROTO,
			 "the answer's token is not base64url of 22 to %d characters",
			 TOKEN_MAX - 1);
}

static int get_challenge(struct answer_authorization *a, struct error *err)
{
	const json_t *list = json_object_get(a->root, "challenges"), *item, *http = NULL;
	size_t i;
	int r;

	a->url = a->token = "";
	a->challenge = a->status;
	a->error = NULL;
	if (!json_is_array(list))
		return error_set(err, EPROTO,
				 "the answer's member 'challenges' is no list");
	json_array_foreach(list, i, item)
	{
		const char *type = json_string_value(json_object_get(item, "type"));

		if (type && strcmp(type, "http-01") == 0)
			http = item;
		/* One that failed ends the authorization, whatever its type. */
		if (!a->error && json_is_object(json_object_get(item, "error")))
			a->error = json_object_get(item, "error");
	}
	if (a->status != ANSWER_PENDING)
		return 0;
	if (!http)
		return error_set(
		    err, EPROTO,
		    "the CA offers no http-01 challenge for %.253s, which is the only "
		    "one that can be answered here",
		    a->name);
	r = get_token(http, &a->token, err);
	if (r == 0)
		r = get_url(http, "url", &a->url, err);
	return r < 0 ? r : get_status(http, &a->challenge, err);
}

int answer_authorization(const struct http_response *response, const char *names,
			 struct answer_authorization *a, struct error *err)
{
	int r = load(response, &a->root, err);

	if (r == 0)
		r = get_status(a->root, &a->status, err);
	if (r == 0)
		r = check_identifier(json_object_get(a->root, "identifier"), names,
				     &a->name, err);
	if (r == 0)
		r = get_challenge(a, err);
	if (r == 0)
		return 0;
	json_decref(a->root);
	a->root = NULL;
	return r;
}
