/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "fs/status.h"

#include "fs/situation.h"
#include "store/event.h"
#include "store/order.h"
#include "store/waiting.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <openssl/ec.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOW   1769600000 /* 2026-01-28 11:33:20 UTC */
#define DAY_S (24 * 3600)
#define LE    "https://acme-v02.api.letsencrypt.org/directory"
/* A lone continuation, an overlong slash, a surrogate, a cut sequence, controls. */
#define NOISE "\x80 \xc0\xaf \xed\xa0\x80 \n\x1b[31m\" \\ \xe2\x82"

struct scene {
	char dir[32];
	struct db *db;
	struct config *cfg;
	struct status_context ctx;
	struct error err;
};

/* One domain as a test wants it. */
struct plan {
	const char *name;
	enum source source; /* 0: nothing is served */
	int64_t begin_s;
	int days;
	const char *origin, *warning;
	uint32_t failures;
	const char *last_error, *refused, *alias;
	int64_t refused_s;
	bool order, waits;
	bool noisy;      /* the leaf's names are no text */
	uint32_t number; /* out */
};

/* Gives the leaf a name of any bytes: T.61, since OpenSSL takes no bad UTF-8 as such. */
static void disfigure(struct pair *pair)
{
	const unsigned char *der = pair->leaf.der;
	X509 *cert = d2i_X509(NULL, &der, (long)pair->leaf.size);
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509_NAME *name = X509_NAME_new();
	unsigned char *out = NULL;
	int size;

	assert_true(cert && key && name);
	assert_true(X509_NAME_add_entry_by_txt(name, "CN", V_ASN1_T61STRING,
					       (const unsigned char *)NOISE, -1, -1, 0));
	assert_true(X509_set_issuer_name(cert, name) &&
		    X509_set_subject_name(cert, name));
	assert_true(X509_set_pubkey(cert, key) && X509_sign(cert, key, EVP_sha256()) > 0);
	size = i2d_X509(cert, &out);
	assert_true(size > 0);
	free(pair->leaf.der);
	pair->leaf.der = malloc((size_t)size);
	assert_non_null(pair->leaf.der);
	memcpy(pair->leaf.der, out, (size_t)size);
	pair->leaf.size = (size_t)size;
	OPENSSL_free(out);
	X509_NAME_free(name);
	EVP_PKEY_free(key);
	X509_free(cert);
}

static int plan_generation(struct txn *txn, const struct plan *p, const struct name *name,
			   struct error *err)
{
	struct pair pair = {.key = NULL};
	struct secret *key = NULL;
	struct current c;
	uint32_t gen = 0;
	int rc = x509_key_new(KEY_P256, &key, err);

	if (rc == 0)
		rc = x509_self_sign(key, name, NULL, 0, p->begin_s, p->days, &pair, err);
	if (rc)
		goto out;
	if (p->noisy)
		disfigure(&pair);
	if (p->warning)
		snprintf(pair.warning, sizeof(pair.warning), "%s", p->warning);
	rc = generation_add(txn, p->number, &pair, p->source, NULL, p->origin, p->begin_s,
			    10, &gen, err);
	if (rc == 0)
		rc = current_get(txn, p->number, &c, err);
	if (rc == 0) {
		c.served = gen;
		rc = current_put(txn, p->number, &c, err);
	}
out:
	pair_clear(&pair);
	secret_free(key);
	return rc;
}

static int plan_order(struct txn *txn, const struct plan *p, struct error *err)
{
	struct order o = {
	    .number = p->number,
	    .state = ORDER_PENDING,
	    .started_s = NOW - 60,
	    .directory = LE,
	    .order_url = "https://acme-v02.api.letsencrypt.org/acme/order/1/2",
	};
	int rc = x509_key_new(KEY_P256, &o.key, err);

	snprintf(o.names, sizeof(o.names), "%s", p->name);
	if (rc == 0)
		rc = order_put(txn, &o, err);
	order_clear(&o);
	return rc;
}

static int plan_waiting(struct txn *txn, const struct plan *p, struct error *err)
{
	const struct waiting_marks marks = {0, OWNER_KEEP, OWNER_KEEP, OWNER_KEEP};
	struct secret *content = secret_copy("key", 3);
	int rc = waiting_put(txn, p->number, FILE_PRIVKEY, content, 0, &marks, NOW - 3600,
			     err);

	secret_free(content);
	return rc;
}

static int plan_run(struct txn *txn, void *arg, struct error *err)
{
	struct plan *p = arg;
	struct domain d, alias;
	struct name name, other;
	bool back;
	int rc = name_parse(p->name, &name, err);

	if (rc == 0)
		rc = domain_install(txn, &name, 0, 0, NOW - DAY_S, &d, &back, err);
	if (rc)
		return rc;
	p->number = d.number;
	d.failures = p->failures;
	d.failed_s = p->failures ? NOW - 2 * DAY_S : 0;
	d.next_try_s = p->failures ? NOW + 3600 : 0;
	snprintf(d.last_error, sizeof(d.last_error), "%s",
		 p->last_error ? p->last_error : "");
	d.last_error_s = p->last_error ? NOW - 3600 : 0;
	snprintf(d.refused, sizeof(d.refused), "%s", p->refused ? p->refused : "");
	d.refused_s = p->refused_s;
	rc = domain_put(txn, &d, err);
	if (rc == 0 && p->source)
		rc = plan_generation(txn, p, &name, err);
	if (rc == 0 && p->order)
		rc = plan_order(txn, p, err);
	if (rc == 0 && p->waits)
		rc = plan_waiting(txn, p, err);
	if (rc == 0 && p->alias) {
		rc = name_parse(p->alias, &other, err);
		if (rc == 0)
			rc = domain_alias(txn, &other, p->number, NOW, &alias, err);
	}
	return rc;
}

static void plan(struct scene *s, struct plan *p)
{
	if (!p->begin_s)
		p->begin_s = NOW - DAY_S;
	if (!p->days)
		p->days = 90;
	if (!p->origin)
		p->origin = LE;
	int rc = db_update(s->db, plan_run, p, &s->err);
	if (rc)
		fail_msg("%s: %s", p->name, s->err.text);
}

static int set_up(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));
	struct db_options options = {.map_size = 16 << 20};
	char path[64];
	FILE *empty;

	assert_non_null(s);
	*state = s;
	strcpy(s->dir, "/tmp/certfs-status-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	assert_int_equal(db_open(&s->db, s->dir, &options, &s->err), 0);
	snprintf(path, sizeof(path), "%s/empty.conf", s->dir);
	empty = fopen(path, "we");
	assert_non_null(empty);
	fclose(empty);
	assert_int_equal(config_load(path, &s->cfg, &s->err), 0);
	s->ctx.cfg = s->cfg;
	s->ctx.now_s = NOW;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *s = *state;
	char path[512];
	struct dirent *entry;
	DIR *dir;

	config_free(s->cfg);
	db_close(s->db);
	dir = opendir(s->dir);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", s->dir, entry->d_name);
		assert_int_equal(unlink(path), 0);
	}
	closedir(dir);
	assert_int_equal(rmdir(s->dir), 0);
	free(s);
	return 0;
}

typedef int render_one(const struct status_context *, struct txn *, uint32_t, char **,
		       size_t *, struct error *);

static char *render(struct scene *s, render_one *one, uint32_t number)
{
	struct txn *txn;
	char *text = NULL;
	size_t size = 0;
	int rc;

	assert_int_equal(db_read_begin(s->db, &txn, &s->err), 0);
	rc = one(&s->ctx, txn, number, &text, &size, &s->err);
	db_read_end(txn);
	if (rc)
		fail_msg("%s", s->err.text);
	assert_int_equal(strlen(text), size);
	assert_int_equal(text[size - 1], '\n');
	return text;
}

static char *control(struct scene *s, enum status_control which)
{
	struct txn *txn;
	char *text = NULL;
	size_t size = 0;
	int rc;

	assert_int_equal(db_read_begin(s->db, &txn, &s->err), 0);
	rc = status_control(&s->ctx, txn, which, &text, &size, &s->err);
	db_read_end(txn);
	if (rc)
		fail_msg("%s", s->err.text);
	assert_int_equal(strlen(text), size);
	return text;
}

static void has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no \"%s\" in:\n%s", part, text);
}

static void lacks(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("\"%s\" in:\n%s", part, text);
}

static json_t *parsed(const char *text)
{
	json_error_t why;
	json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &why);

	if (!json)
		fail_msg("%s at %d in:\n%s", why.text, why.position, text);
	return json;
}

/* The state and the page of a domain; the caller frees the page. */
static char *page_of(struct scene *s, struct plan *p, const char *state)
{
	char *json_text, *page;
	json_t *json;

	plan(s, p);
	json_text = render(s, status_json, p->number);
	json = parsed(json_text);
	assert_string_equal(json_string_value(json_object_get(json, "state")), state);
	/* What needs a person says what to do. */
	assert_int_equal(json_is_string(json_object_get(json, "attention")),
			 strcmp(state, "ok") != 0 && strcmp(state, "ordering") != 0);
	page = render(s, status_page, p->number);
	if (json_is_null(json_object_get(json, "attention")))
		has(page, "; nothing to do\n");
	else
		lacks(page, "nothing to do");
	json_decref(json);
	free(json_text);
	return page;
}

static void managed_page_says_what_is_served_and_when_it_is_renewed(void **state)
{
	struct plan p = {.name = "app.example.com",
			 .source = SOURCE_MANAGED,
			 .begin_s = NOW - 31 * DAY_S,
			 .alias = "www.example.com"};
	char *page = page_of(*state, &p, "ok");

	has(page, "app.example.com serves a managed certificate from Let's Encrypt (");
	has(page, "), generation 1.\n");
	has(page, "\nvalid until: 2026-03-28 1");
	has(page, " UTC (in 5");
	has(page, "\nnext: renewal is due 2026-02-26 1");
	has(page, " days); nothing to do\n");
	has(page, "\nkey: ECDSA P-256\n");
	has(page, "\nnames: app.example.com\n");
	has(page, "\nsha256: ");
	has(page, "\naliases: www.example.com\n");
	lacks(page, "last error");
	lacks(page, "to do:");
	free(page);
}

static void certificate_of_a_test_ca_is_called_one(void **state)
{
	struct plan p = {.name = "app.example.com",
			 .source = SOURCE_MANAGED,
			 .origin =
			     "https://acme-staging-v02.api.letsencrypt.org/directory"};
	char *page = page_of(*state, &p, "ok");

	has(page, "which no browser trusts");
	free(page);
}

static void failing_page_says_why_and_when_the_next_try_is(void **state)
{
	struct plan p = {.name = "app.example.com",
			 .source = SOURCE_MANAGED,
			 .failures = 3,
			 .last_error = "port 80 is closed: open it"};
	char *page = page_of(*state, &p, "failing");

	has(page,
	    "\nlast error: port 80 is closed: open it (2026-01-28 10:33 UTC, 3 "
	    "failures since 2026-01-26 11:33 UTC, next try 2026-01-28 12:33 UTC)\n");
	has(page, "\nnext: next try 2026-01-28 12:33 UTC (in 60 minutes)\n");
	free(page);
}

static void failing_without_a_text_still_says_where_to_look(void **state)
{
	struct plan p = {
	    .name = "app.example.com", .source = SOURCE_MANAGED, .failures = 1};
	char *page = page_of(*state, &p, "failing");

	has(page, "\nto do: orders fail, the reason stands in .certfs/events");
	free(page);
}

static void expired_page_says_why_it_was_not_renewed(void **state)
{
	struct plan p = {.name = "app.example.com",
			 .source = SOURCE_MANAGED,
			 .begin_s = NOW - 100 * DAY_S,
			 .failures = 3,
			 .last_error = "port 80 is closed: open it"};
	char *page = page_of(*state, &p, "expired");

	has(page, "days ago)\n");
	has(page,
	    "\nto do: the certificate is over and could not be renewed: port 80 is");
	free(page);
}

static void expired_page_without_an_error_names_the_touch(void **state)
{
	struct plan p = {.name = "app.example.com",
			 .source = SOURCE_MANAGED,
			 .begin_s = NOW - 100 * DAY_S};
	char *page = page_of(*state, &p, "expired");

	has(page, "\nto do: the certificate is over: `touch cert.pem`");
	free(page);
}

static void fallback_with_an_order_in_flight_needs_nobody(void **state)
{
	struct plan p = {.name = "app.example.com",
			 .source = SOURCE_SELF_SIGNED,
			 .origin = "certfs",
			 .order = true};
	char *page = page_of(*state, &p, "ordering");

	has(page, "serves a self-signed fallback, which browsers warn of");
	has(page, "\nnext: the order is in progress; nothing to do\n");
	has(page,
	    "\norder: pending, begun 2026-01-28 11:32 UTC (1 minute ago), https://");
	free(page);
}

static void renewal_in_flight_is_no_trouble(void **state)
{
	struct plan p = {
	    .name = "app.example.com", .source = SOURCE_MANAGED, .order = true};
	char *page = page_of(*state, &p, "ok");

	has(page, "\nnext: the order is in progress; nothing to do\n");
	free(page);
}

static void fallback_that_an_order_could_not_replace_needs_attention(void **state)
{
	struct plan p = {.name = "app.example.com",
			 .source = SOURCE_SELF_SIGNED,
			 .last_error = "the EAB key can't be read: chmod it"};
	char *page = page_of(*state, &p, "attention");

	has(page,
	    "\nlast error: the EAB key can't be read: chmod it (2026-01-28 10:33 UTC)");
	free(page);
}

static void page_names_the_file_that_waits_and_the_one_it_waits_for(void **state)
{
	struct plan p = {
	    .name = "app.example.com", .source = SOURCE_MANAGED, .waits = true};
	char *page = page_of(*state, &p, "attention");

	has(page,
	    "\nwaiting: privkey.pem was written and waits for its certificate: write "
	    "fullchain.pem into the same directory (until 2026-01-29 10:33 UTC (in 23 "
	    "hours))\n");
	free(page);
}

static void refused_file_is_told_for_a_day(void **state)
{
	struct plan fresh = {.name = "app.example.com",
			     .source = SOURCE_MANAGED,
			     .refused = "certificate is for b, not a",
			     .refused_s = NOW - 60};
	struct plan old = {.name = "old.example.com",
			   .source = SOURCE_MANAGED,
			   .refused = "certificate is for b, not a",
			   .refused_s = NOW - 2 * DAY_S};
	char *page = page_of(*state, &fresh, "attention");

	has(page, "\nrefused: certificate is for b, not a (2026-01-28 11:32 UTC; ");
	free(page);
	page = page_of(*state, &old, "ok");
	has(page, "\nrefused: certificate is for b, not a (2026-01-26");
	free(page);
}

static void single_label_is_told_that_no_public_ca_can_help(void **state)
{
	struct plan bare = {.name = "intranet", .source = SOURCE_SELF_SIGNED};
	struct plan own = {
	    .name = "printer", .source = SOURCE_CUSTOM, .origin = "cp by uid 1000"};
	char *page = page_of(*state, &bare, "attention");

	has(page, "\nto do: no public CA can certify a name of a single label: install ");
	free(page);
	page = page_of(*state, &own, "ok");
	has(page, "printer serves a custom certificate from ");
	has(page, "(cp by uid 1000), generation 1.\n");
	free(page);
}

static void fallback_directory_itself_needs_nobody(void **state)
{
	struct plan p = {.name = "fallback", .source = SOURCE_SELF_SIGNED};
	char *page = page_of(*state, &p, "ok");

	has(page, "\nnext: the fallback is made anew ");
	free(page);
}

static void warning_of_a_pair_needs_attention(void **state)
{
	struct plan p = {.name = "app.example.com",
			 .source = SOURCE_CUSTOM,
			 .warning = "an intermediate is missing: write fullchain.pem"};
	char *page = page_of(*state, &p, "attention");

	has(page, "\nwarning: an intermediate is missing: write fullchain.pem\n");
	free(page);
}

static void custom_certificate_reminds_before_its_end(void **state)
{
	struct plan p = {.name = "app.example.com",
			 .source = SOURCE_CUSTOM,
			 .begin_s = NOW - 80 * DAY_S};
	char *page = page_of(*state, &p, "attention");

	has(page,
	    "\nto do: the custom certificate ends soon and is not renewed by itself");
	free(page);
}

static void switched_off_orders_are_named(void **state)
{
	struct scene *s = *state;
	struct plan p = {.name = "app.example.com", .source = SOURCE_SELF_SIGNED};

	free(s->cfg->directory);
	s->cfg->directory = strdup("none");
	char *page = page_of(s, &p, "attention");
	has(page, "\nto do: no certificate is ordered, since [acme] directory is none");
	free(page);
}

static void damaged_store_gives_a_page_too(void **state)
{
	struct plan p = {.name = "app.example.com"};
	char *page = page_of(*state, &p, "failing");

	has(page, "app.example.com serves nothing.\n");
	has(page, "\nto do: the store has no certificate");
	free(page);
}

static int noise_event(struct txn *txn, void *arg, struct error *err)
{
	const uint32_t *number = arg;
	int rc = 0;

	for (int i = 0; i < 12 && rc == 0; i++)
		rc = event_add(txn, EVENT_FAILED, *number, NOW - 60 + i, err,
			       "failure %d: %s", i, NOISE);
	return rc;
}

static void json_parses_whatever_bytes_came_from_outside(void **state)
{
	struct scene *s = *state;
	struct plan p = {.name = "app.example.com",
			 .source = SOURCE_MANAGED,
			 .noisy = true,
			 .origin = NOISE,
			 .warning = NOISE,
			 .failures = 1,
			 .last_error = NOISE,
			 .refused = NOISE,
			 .refused_s = NOW};
	json_t *json;
	char *text;

	plan(s, &p);
	assert_int_equal(db_update(s->db, noise_event, &p.number, &s->err), 0);
	text = render(s, status_json, p.number);
	json = parsed(text);
	has(json_string_value(json_object_get(json, "attention")), "[31m\" \\ ");
	has(json_string_value(json_object_get(json_object_get(json, "serves"), "issuer")),
	    "[31m\" \\ ");
	json_t *events = json_object_get(json, "events");
	assert_int_equal(json_array_size(events), 10);
	has(json_string_value(json_object_get(json_array_get(events, 9), "text")),
	    "failure 11: ");
	json_decref(json);
	free(text);

	text = control(s, CONTROL_STATUS_JSON);
	json_decref(parsed(text));
	free(text);

	/* Nothing that was said from outside begins a line of its own. */
	text = render(s, status_page, p.number);
	assert_null(strchr(text, '\x1b'));
	free(text);
	text = control(s, CONTROL_EVENTS);
	assert_null(strchr(text, '\x1b'));
	for (const char *line = text; *line; line = strchr(line, '\n') + 1)
		assert_memory_equal(line, "2026-01-2", 9);
	has(text, " app.example.com failure 11: ");
	free(text);
}

static void json_has_every_member_that_is_promised(void **state)
{
	static const char *const member[] = {
	    "domain", "serves", "state",   "attention", "now",     "renew_at", "next",
	    "order",  "error",  "refused", "waiting",   "aliases", "events"};
	static const char *const of_serves[] = {
	    "source", "generation", "not_before", "not_after", "issuer",
	    "serial", "sha256",     "names",      "key_type",  "warning"};
	struct plan p = {.name = "app.example.com",
			 .source = SOURCE_MANAGED,
			 .order = true,
			 .alias = "www.example.com"};

	plan(*state, &p);
	char *text = render(*state, status_json, p.number);
	json_t *json = parsed(text);
	for (size_t i = 0; i < sizeof(member) / sizeof(*member); i++)
		if (!json_object_get(json, member[i]))
			fail_msg("no %s", member[i]);
	json_t *serves = json_object_get(json, "serves");
	for (size_t i = 0; i < sizeof(of_serves) / sizeof(*of_serves); i++)
		if (!json_object_get(serves, of_serves[i]))
			fail_msg("no serves.%s", of_serves[i]);
	assert_string_equal(
	    json_string_value(json_array_get(json_object_get(json, "aliases"), 0)),
	    "www.example.com");
	assert_string_equal(json_string_value(json_object_get(json, "now")),
			    "2026-01-28T11:33:20Z");
	assert_string_equal(
	    json_string_value(json_object_get(json_object_get(json, "order"), "state")),
	    "pending");
	json_decref(json);
	free(text);
}

static void worst_states_are_listed_first_and_aliases_are_not(void **state)
{
	struct scene *s = *state;
	struct plan p[] = {
	    {.name = "a.example.com", .source = SOURCE_MANAGED, .alias = "x.example.com"},
	    {.name = "b.example.com", .source = SOURCE_MANAGED, .failures = 1},
	    {.name = "c.example.com", .source = SOURCE_CUSTOM, .warning = "a gap"},
	    {.name = "d.example.com",
	     .source = SOURCE_MANAGED,
	     .begin_s = NOW - 91 * DAY_S},
	    {.name = "fallback", .source = SOURCE_SELF_SIGNED},
	};
	static const char *const wanted[] = {"d.example.com", "b.example.com",
					     "c.example.com", "fallback",
					     "a.example.com"};

	for (size_t i = 0; i < 5; i++)
		plan(s, &p[i]);
	char *text = control(s, CONTROL_STATUS_JSON);
	json_t *json = parsed(text), *listed = json_object_get(json, "listed");
	assert_int_equal(json_integer_value(json_object_get(json, "domains")), 5);
	assert_int_equal(json_integer_value(json_object_get(json, "left_out")), 0);
	assert_int_equal(json_array_size(listed), 5);
	for (size_t i = 0; i < 5; i++)
		assert_string_equal(json_string_value(json_object_get(
					json_array_get(listed, i), "domain")),
				    wanted[i]);
	json_t *by_state = json_object_get(json, "by_state");
	assert_int_equal(json_integer_value(json_object_get(by_state, "expired")), 1);
	assert_int_equal(json_integer_value(json_object_get(by_state, "ok")), 2);
	json_t *by_source = json_object_get(json, "by_source");
	assert_int_equal(json_integer_value(json_object_get(by_source, "managed")), 3);
	json_decref(json);
	free(text);
}

/* NAME{label="value",…} NUMBER; *name_size tells where NAME ends. */
static bool series_parses(const char *line, size_t *name_size)
{
	const char *p = line;
	char *end;

	while (isalnum((unsigned char)*p) || *p == '_')
		p++;
	*name_size = (size_t)(p - line);
	if (*name_size == 0 || isdigit((unsigned char)*line))
		return false;
	if (*p == '{') {
		do {
			p++;
			size_t label = strspn(p, "abcdefghijklmnopqrstuvwxyz_");
			p += label;
			if (label == 0 || *p++ != '=' || *p++ != '"')
				return false;
			for (; *p && *p != '"' && *p != '\n'; p++)
				if (*p == '\\' && !strchr("n\\\"", *++p))
					return false;
			if (*p++ != '"')
				return false;
		} while (*p == ',');
		if (*p++ != '}')
			return false;
	}
	if (*p++ != ' ')
		return false;
	(void)strtod(p, &end);
	return end > p && *end == '\0';
}

/* Every line parses, every series stands below the TYPE of its own name, none comes
 * twice. */
static void metrics_are_well_formed(const char *text)
{
	char family[100] = "", *copy = strdup(text), *rest = NULL;
	size_t size;

	assert_non_null(copy);
	for (char *line = strtok_r(copy, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		if (strncmp(line, "# HELP ", 7) == 0)
			continue;
		if (sscanf(line, "# TYPE %99s", family) == 1) {
			char again[120];
			snprintf(again, sizeof(again), "# TYPE %s ", family);
			assert_null(strstr(strstr(text, again) + 1, again));
			continue;
		}
		if (!series_parses(line, &size))
			fail_msg("does not parse: %s", line);
		if (strlen(family) != size || strncmp(line, family, size) != 0)
			fail_msg("%s stands below %s", line, family);
	}
	free(copy);
}

static void metrics_parse_and_tell_of_every_domain(void **state)
{
	struct scene *s = *state;
	struct plan ok = {.name = "a.example.com", .source = SOURCE_MANAGED};
	struct plan bad = {.name = "b.example.com",
			   .source = SOURCE_MANAGED,
			   .begin_s = NOW - 10 * DAY_S,
			   .failures = 7,
			   .order = true};
	struct slots *slots = NULL;
	char *text, line[200];
	int fd = -1;

	plan(s, &ok);
	plan(s, &bad);
	assert_int_equal(slots_create(&slots, &fd, &s->err), 0);
	atomic_fetch_add(slots_requests(slots, 1), 42);
	atomic_fetch_add(slots_starts(slots, SLOTS_NET), 2);
	s->ctx.slots = slots;
	db_usage(s->db, &s->ctx.usage);
	text = control(s, CONTROL_METRICS);
	metrics_are_well_formed(text);
	has(text, "\ncertfs_build_info{version=\"");
	has(text, "\ncertfs_domains{source=\"managed\",state=\"failing\"} 1\n");
	has(text, "\ncertfs_domains{source=\"managed\",state=\"ok\"} 1\n");
	has(text,
	    "\ncertfs_certificate_not_after_timestamp_seconds{domain=\"a.example.com\","
	    "source=\"managed\"} 17");
	has(text,
	    "\nx509_cert_not_after{filepath=\"/etc/certs/a.example.com/cert.pem\"} 17");
	has(text, "\ncertfs_renewal_failures{domain=\"b.example.com\"} 7\n");
	lacks(text, "certfs_renewal_failures{domain=\"a.example.com\"}");
	has(text, "\ncertfs_requests_total{operation=\"lookup\"} 42\n");
	has(text, "\ncertfs_worker_starts_total{worker=\"net\"} 2\n");
	has(text, "\ncertfs_orders_in_flight 1\n");
	snprintf(line, sizeof(line), "\ncertfs_store_used_bytes %llu\n",
		 (unsigned long long)s->ctx.usage.used);
	has(text, line);
	/* The earliest end is that of b. */
	const char *end = strstr(text, "domain=\"b.example.com\",source=\"managed\"} ");
	assert_non_null(end);
	end = strchr(end, '}') + 2;
	snprintf(line, sizeof(line),
		 "\ncertfs_earliest_not_after_timestamp_seconds %.*s\n",
		 (int)strcspn(end, "\n"), end);
	has(text, line);
	free(text);
	slots_unmap(slots);
	close(fd);
}

static void labels_of_metrics_are_escaped(void **state)
{
	struct scene *s = *state;
	struct plan p = {.name = "a.example.com", .source = SOURCE_MANAGED};

	plan(s, &p);
	s->ctx.mountpoint = "/mnt/a \"b\"\\c\nd";
	char *text = control(s, CONTROL_METRICS);
	metrics_are_well_formed(text);
	has(text, "{filepath=\"/mnt/a \\\"b\\\"\\\\c\\nd/a.example.com/cert.pem\"} ");
	free(text);
}

static void empty_store_gives_whole_pages(void **state)
{
	struct scene *s = *state;
	char *text = control(s, CONTROL_METRICS);

	metrics_are_well_formed(text);
	lacks(text, "certfs_earliest");
	free(text);
	text = control(s, CONTROL_STATUS_JSON);
	json_decref(parsed(text));
	free(text);
	text = control(s, CONTROL_EVENTS);
	free(text);
}

static void config_page_can_be_read_as_a_configuration(void **state)
{
	struct scene *s = *state;
	char *text = control(s, CONTROL_CONFIG), *again, path[64];
	struct config *cfg = NULL;
	FILE *file;

	snprintf(path, sizeof(path), "%s/again.conf", s->dir);
	file = fopen(path, "we");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
	if (config_load(path, &cfg, &s->err))
		fail_msg("%s in:\n%s", s->err.text, text);
	s->ctx.cfg = cfg;
	again = control(s, CONTROL_CONFIG);
	/* Below the first line, which names the file. */
	assert_string_equal(strchr(text, '\n'), strchr(again, '\n'));
	has(text, "\nkey-type = p256\n");
	free(text);
	free(again);
	config_free(cfg);
}

static void policy_says_what_is_in_force_and_where_it_comes_from(void **state)
{
	struct scene *s = *state;
	struct plan p = {.name = "a.example.com", .source = SOURCE_MANAGED};
	struct config own;
	char *text, wanted[128];

	plan(s, &p);
	s->ctx.defaults = s->cfg;
	own = *s->cfg;
	own.before_days = 12;
	s->ctx.cfg = &own;
	text = render(s, status_policy, p.number);
	has(text, "# What is in force for a.example.com.");
	has(text,
	    "\n# whether certificates are ordered and renewed, yes or no (built in)\n"
	    "#managed = yes\n");
	has(text, " (built in)\n#key-type = p256\n");
	snprintf(wanted, sizeof(wanted), " (%s)\n#before = 12\n", own.path);
	has(text, wanted);
	lacks(text, "eab");
	free(text);
}

static int policy_in(struct txn *txn, void *arg, struct error *err)
{
	const char *text = arg;
	struct domain d;

	if (domain_find(txn, "a.example.com", &d, err) ||
	    policy_parse(text, strlen(text), &d.policy, err))
		return -err->code;
	return domain_put(txn, &d, err);
}

static void what_policy_sets_can_be_written_back_as_it_is_read(void **state)
{
	struct scene *s = *state;
	struct plan p = {.name = "a.example.com", .source = SOURCE_MANAGED};
	char *text, *again;

	plan(s, &p);
	s->ctx.defaults = s->cfg;
	text = (char *)"managed = no\nkeep = 3\npreferred-chain = Top # X\n";
	assert_int_equal(db_update(s->db, policy_in, text, &s->err), 0);
	text = render(s, status_policy, p.number);
	has(text, "(set here; else yes, built in)\nmanaged = no\n");
	has(text, "(set here; else 10, built in)\nkeep = 3\n");
	has(text, "\npreferred-chain = Top # X\n");
	has(text, "\n#before = 30\n");
	assert_int_equal(db_update(s->db, policy_in, text, &s->err), 0);
	again = render(s, status_policy, p.number);
	assert_string_equal(again, text);
	free(again);
	free(text);
}

static void name_that_is_not_managed_tells_of_no_renewal(void **state)
{
	struct scene *s = *state;
	struct plan p = {.name = "a.example.com", .source = SOURCE_MANAGED};
	char *text, no[] = "managed = no\n";

	plan(s, &p);
	text = render(s, status_page, p.number);
	lacks(text, "managed = no");
	free(text);
	assert_int_equal(db_update(s->db, policy_in, no, &s->err), 0);
	text = render(s, status_page, p.number);
	has(text, "managed = no");
	lacks(text, "renewal is due");
	free(text);
}

static void unknown_domain_has_no_page(void **state)
{
	struct scene *s = *state;
	struct txn *txn;
	char *text = NULL;
	size_t size;

	assert_int_equal(db_read_begin(s->db, &txn, &s->err), 0);
	assert_int_equal(status_page(&s->ctx, txn, 4711, &text, &size, &s->err), -ENOENT);
	assert_int_equal(status_json(&s->ctx, txn, 4711, &text, &size, &s->err), -ENOENT);
	assert_null(text);
	db_read_end(txn);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(managed_page_says_what_is_served_and_when_it_is_renewed),
	    TEST(certificate_of_a_test_ca_is_called_one),
	    TEST(failing_page_says_why_and_when_the_next_try_is),
	    TEST(failing_without_a_text_still_says_where_to_look),
	    TEST(expired_page_says_why_it_was_not_renewed),
	    TEST(expired_page_without_an_error_names_the_touch),
	    TEST(fallback_with_an_order_in_flight_needs_nobody),
	    TEST(renewal_in_flight_is_no_trouble),
	    TEST(fallback_that_an_order_could_not_replace_needs_attention),
	    TEST(page_names_the_file_that_waits_and_the_one_it_waits_for),
	    TEST(refused_file_is_told_for_a_day),
	    TEST(single_label_is_told_that_no_public_ca_can_help),
	    TEST(fallback_directory_itself_needs_nobody),
	    TEST(warning_of_a_pair_needs_attention),
	    TEST(custom_certificate_reminds_before_its_end),
	    TEST(switched_off_orders_are_named),
	    TEST(damaged_store_gives_a_page_too),
	    TEST(json_parses_whatever_bytes_came_from_outside),
	    TEST(json_has_every_member_that_is_promised),
	    TEST(worst_states_are_listed_first_and_aliases_are_not),
	    TEST(metrics_parse_and_tell_of_every_domain),
	    TEST(labels_of_metrics_are_escaped),
	    TEST(empty_store_gives_whole_pages),
	    TEST(config_page_can_be_read_as_a_configuration),
	    TEST(policy_says_what_is_in_force_and_where_it_comes_from),
	    TEST(what_policy_sets_can_be_written_back_as_it_is_read),
	    TEST(name_that_is_not_managed_tells_of_no_renewal),
	    TEST(unknown_domain_has_no_page),
	};

	return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
