/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "acme/problem.h"

#include "store/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NAMESPACE "urn:ietf:params:acme:error:"

struct kind {
	const char *type;
	enum wire_verdict first; /* before there is an order */
	enum wire_verdict begun; /* of an order that exists */
	const char *remedy;
};

static const struct kind kinds[] = {
    {"accountDoesNotExist", WIRE_NO_ACCOUNT, WIRE_NO_ACCOUNT,
     "the account is made anew by itself"},
    {"agreementRequired", WIRE_INPUT, WIRE_INPUT,
     "read the CA's terms of service and set agree-terms = yes in [acme]"},
    {"userActionRequired", WIRE_INPUT, WIRE_INPUT,
     "visit the page that the CA names and do what it asks for"},
    {"externalAccountRequired", WIRE_INPUT, WIRE_INPUT,
     "set eab-kid and eab-key-file in [acme] as the CA gave them to you"},
    {"invalidContact", WIRE_INPUT, WIRE_INPUT, "mend contact in [acme]"},
    {"unsupportedContact", WIRE_INPUT, WIRE_INPUT, "mend contact in [acme]"},
    {"badCSR", WIRE_INPUT, WIRE_INPUT, "try another key-type in [acme]"},
    {"badPublicKey", WIRE_INPUT, WIRE_INPUT, "try another key-type in [acme]"},
    {"badSignatureAlgorithm", WIRE_INPUT, WIRE_INPUT,
     "this CA does not take ES256 signatures: name another directory in [acme]"},
    {"rejectedIdentifier", WIRE_INPUT, WIRE_INPUT,
     "this CA does not certify the name: name another directory in [acme], or rmdir the "
     "directory"},
    {"unsupportedIdentifier", WIRE_INPUT, WIRE_INPUT,
     "this CA does not certify names of this kind: name another directory in [acme]"},
    {"invalidProfile", WIRE_INPUT, WIRE_INPUT, "this CA wants a profile that it offers"},
    {"malformed", WIRE_INPUT, WIRE_NEW_ORDER, NULL},
    {"orderNotReady", WIRE_RETRY, WIRE_RETRY, NULL},
    {"badNonce", WIRE_RETRY, WIRE_RETRY, NULL},
    {"serverInternal", WIRE_RETRY, WIRE_RETRY,
     "the CA has trouble: it is tried again later"},
    {"rateLimited", WIRE_RETRY, WIRE_RETRY,
     "a limit of the CA is reached: it is tried again when the CA allows it"},
    {"caa", WIRE_NEW_ORDER, WIRE_NEW_ORDER,
     "let the CAA record of this name, or of a name above it, allow this CA"},
    {"connection", WIRE_NEW_ORDER, WIRE_NEW_ORDER,
     "let port 80 of this name reach this server"},
    {"dns", WIRE_NEW_ORDER, WIRE_NEW_ORDER,
     "let the A and AAAA records of this name lead to this server"},
    {"tls", WIRE_NEW_ORDER, WIRE_NEW_ORDER,
     "port 80 redirects to an https address that does not work: answer "
     "/.well-known/acme-challenge/ on port 80 itself"},
    {"unauthorized", WIRE_INPUT, WIRE_NEW_ORDER, NULL},
    {"incorrectResponse", WIRE_NEW_ORDER, WIRE_NEW_ORDER, NULL},
    {"conflict", WIRE_NEW_ORDER, WIRE_NEW_ORDER, NULL},
};

#define CHALLENGE_REMEDY                                                                 \
	"another server answers on port 80 of this name: let it pass "                   \
	"/.well-known/acme-challenge/ on to this one"
#define PAUSED_REMEDY                                                                    \
	"the CA has paused this account: it stays so until someone visits that page"

static const struct kind *find_kind(const char *type)
{
	if (strncmp(type, NAMESPACE, strlen(NAMESPACE)) != 0)
		return NULL;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].type, type + strlen(NAMESPACE)) == 0)
			return &kinds[i];
	}
	return NULL;
}

/* Copies as much of a text as fits, cut at a character's border. Returns its length. */
static size_t copy_cut(char *out, size_t capacity, const char *text)
{
	size_t n = strlen(text);

	if (n >= capacity) {
		n = capacity - 1;
		while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
			n--;
	}
	memcpy(out, text, n);
	out[n] = '\0';
	return n;
}

/* "WHAT: CAUSE; REMEDY" with as much of the cause as leaves room for the remedy. */
static void compose(struct wire_failure *f, const char *what, const char *cause,
		    const char *remedy)
{
	const size_t tail = remedy && *remedy ? strlen(remedy) + 2 : 0;
	const size_t room = tail + 40 < sizeof(f->text) ? sizeof(f->text) - tail : 40;
	size_t n = copy_cut(f->text, room < 4 ? sizeof(f->text) : room - 2, what);

	if (*cause) {
		n += copy_cut(f->text + n, room - n, ": ");
		n += copy_cut(f->text + n, room - n, cause);
	}
	while (n > 0 && (f->text[n - 1] == '.' || f->text[n - 1] == ' '))
		f->text[--n] = '\0';
	if (tail) {
		n += copy_cut(f->text + n, sizeof(f->text) - n, "; ");
		copy_cut(f->text + n, sizeof(f->text) - n, remedy);
	}
	text_clean(f->text);
}

void problem_set(struct wire_failure *f, enum wire_verdict verdict, const char *format,
		 ...)
{
	char text[2 * sizeof(f->text)];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	memset(f, 0, sizeof(*f));
	f->verdict = verdict;
	copy_cut(f->text, sizeof(f->text), n < 0 ? format : text);
	text_clean(f->text);
}

static const char *member(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

/* The problem that says most: a compound's first subproblem, else the document itself. */
static const json_t *substance(const json_t *problem)
{
	const json_t *first = json_array_get(json_object_get(problem, "subproblems"), 0);

	if (!json_is_object(first) || !*member(first, "type"))
		return problem;
	return find_kind(member(problem, "type")) ? problem : first;
}

/* Boulder: a paused account has no Retry-After, and names the page to visit. */
static bool is_paused(const char *type, const char *detail, int64_t retry_after_s)
{
	return strcmp(type, NAMESPACE "rateLimited") == 0 && retry_after_s == 0 &&
	       strstr(detail, "visit") && strstr(detail, "https://");
}

/* What the CA fetched from port 80 was not what it was told to find. */
static bool is_wrong_answer(const struct kind *k)
{
	return k && (strcmp(k->type, "unauthorized") == 0 ||
		     strcmp(k->type, "incorrectResponse") == 0);
}

static void from_document(const json_t *problem, const char *what, bool begun,
			  const char *remedy, struct wire_failure *f)
{
	const json_t *p = substance(problem);
	const char *type = member(p, "type"), *detail = member(p, "detail");
	const struct kind *k = find_kind(type);
	char numbered[64];

	copy_cut(f->type, sizeof(f->type), type);
	text_clean(f->type);
	if (!*detail)
		detail = member(p, "title");
	if (!*detail && *type)
		detail = type;
	if (!*detail) {
		snprintf(numbered, sizeof(numbered),
			 "the CA answered with status %u and no reason", f->http_status);
		detail = numbered;
	}
	if (k)
		f->verdict = begun ? k->begun : k->first;
	if (is_paused(type, detail, f->retry_after_s)) {
		f->verdict = WIRE_INPUT;
		compose(f, what, detail, PAUSED_REMEDY);
		return;
	}
	compose(f, what, detail,
		k && k->remedy                 ? k->remedy
		: remedy && is_wrong_answer(k) ? remedy
					       : NULL);
}

static enum wire_verdict verdict_of_status(uint32_t status, bool begun)
{
	if (status >= 500 || status == 429 || status == 408 || status < 400)
		return WIRE_RETRY;
	return begun ? WIRE_NEW_ORDER : WIRE_INPUT;
}

static json_t *document(const struct http_response *response)
{
	json_t *problem;

	if (strcmp(response->content_type, "application/problem+json") != 0)
		return NULL;
	problem = json_loadb(response->body, response->size, 0, NULL);
	if (json_is_object(problem))
		return problem;
	json_decref(problem);
	return NULL;
}

void problem_from_response(const struct http_response *response, const char *what,
			   bool begun, struct wire_failure *f)
{
	json_t *problem = NULL;
	char cause[2 * sizeof(f->text)];

	memset(f, 0, sizeof(*f));
	f->verdict = verdict_of_status(response->status, begun);
	f->http_status = response->status;
	f->retry_after_s = response->retry_after_s;
	if (response->status == 0 || response->error.code) {
		f->verdict = WIRE_RETRY;
		compose(f, what, response->error.text, NULL);
		return;
	}
	if (response->status >= 300 && response->status < 400) {
		snprintf(cause, sizeof(cause),
			 "the CA redirects to %.300s, which is not followed",
			 *response->location ? response->location : "nowhere");
		compose(f, what, cause,
			"name the CA's own address as directory in [acme]");
		return;
	}
	problem = document(response);
	if (problem) {
		from_document(problem, what, begun, NULL, f);
	} else {
		snprintf(cause, sizeof(cause),
			 "the CA answered with status %u and no reason",
			 response->status);
		compose(f, what, cause,
			response->status == 404 && !begun ? "check directory in [acme]"
							  : NULL);
	}
	json_decref(problem);
}

void problem_from_order(const json_t *error, const char *what, struct wire_failure *f)
{
	memset(f, 0, sizeof(*f));
	f->verdict = WIRE_NEW_ORDER;
	f->http_status = 200;
	if (json_is_object(error))
		from_document(error, what, true, CHALLENGE_REMEDY, f);
	else
		compose(f, what, "the CA gives no reason", NULL);
	if (f->verdict == WIRE_RETRY)
		f->verdict = WIRE_NEW_ORDER;
}

void problem_from_challenge(const json_t *error, const char *name, const char *token,
			    struct wire_failure *f)
{
	const json_t *p = json_is_object(error) ? substance(error) : NULL;
	const struct kind *k = find_kind(member(p, "type"));
	const char *detail = member(p, "detail");
	const char *open = strchr(name, ':') ? "[" : "", *close = *open ? "]" : "";
	char what[512];

	memset(f, 0, sizeof(*f));
	f->verdict = WIRE_NEW_ORDER;
	f->http_status = 200;
	copy_cut(f->type, sizeof(f->type), member(p, "type"));
	text_clean(f->type);
	if (k && strcmp(k->type, "caa") == 0)
		snprintf(what, sizeof(what), "the CA may not certify %.253s", name);
	else if (k && strcmp(k->type, "dns") == 0)
		snprintf(what, sizeof(what), "the CA could not resolve %.253s", name);
	else if (is_wrong_answer(k))
		snprintf(what, sizeof(what),
			 "the CA got a wrong answer at "
			 "http://%s%.120s%s/.well-known/acme-challenge/%.8s…",
			 open, name, close, token);
	else
		snprintf(what, sizeof(what),
			 "the CA could not reach "
			 "http://%s%.120s%s/.well-known/acme-challenge/%.8s…",
			 open, name, close, token);
	compose(f, what, *detail ? detail : "it gives no reason",
		k && k->remedy ? k->remedy : CHALLENGE_REMEDY);
}

bool problem_is(const struct http_response *response, const char *type)
{
	json_t *problem = response->status >= 400 ? document(response) : NULL;
	const char *got = member(problem, "type");
	const bool is = strncmp(got, NAMESPACE, strlen(NAMESPACE)) == 0 &&
			strcmp(got + strlen(NAMESPACE), type) == 0;

	json_decref(problem);
	return is;
}
