/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "engine_world.h"

#include "store/due.h"

#include <errno.h>
#include <ftw.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

void ok(int rc, const struct error *err)
{
	if (rc)
		fail_msg("%d: %s", rc, err->text);
}

int64_t now(const struct world *w)
{
	return clock_now_s(w->clk);
}

static void on_changed(void *ctx, uint32_t number)
{
	struct world *w = ctx;

	(void)number;
	w->changed++;
}

static int on_staged_in(struct txn *txn, void *arg, struct error *err)
{
	uint64_t serial;

	return current_switch(txn, *(uint32_t *)arg, &serial, err);
}

/* Published at once. */
static void on_staged(void *ctx, uint32_t number)
{
	struct world *w = ctx;
	struct error err = {.code = 0};

	w->staged++;
	ok(db_update(w->db, on_staged_in, &number, &err), &err);
}

/* The CA */

static X509 *certificate(EVP_PKEY *subject, EVP_PKEY *issuer, int64_t from_s,
			 int64_t to_s)
{
	static const unsigned char cn[] = "Test CA";
	X509 *x = X509_new();
	X509_NAME *name;

	assert_non_null(x);
	assert_int_equal(X509_set_version(x, 2), 1);
	ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), (uint64_t)from_s + 1);
	assert_non_null(ASN1_TIME_set(X509_getm_notBefore(x), (time_t)from_s));
	assert_non_null(ASN1_TIME_set(X509_getm_notAfter(x), (time_t)to_s));
	X509_set_pubkey(x, subject);
	name = X509_NAME_new();
	assert_non_null(name);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, cn, -1, -1, 0);
	X509_set_issuer_name(x, name);
	if (subject == issuer)
		X509_set_subject_name(x, name);
	X509_NAME_free(name);
	return x;
}

static void extend(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	assert_non_null(ext);
	assert_int_equal(X509_add_ext(x, ext, -1), 1);
	X509_EXTENSION_free(ext);
}

static void ca_setup(struct world *w)
{
	w->ca_key = EVP_EC_gen("P-256");
	assert_non_null(w->ca_key);
	w->ca = certificate(w->ca_key, w->ca_key, 1000000000, 4000000000);
	extend(w->ca, NID_basic_constraints, "critical,CA:TRUE");
	assert_true(X509_sign(w->ca, w->ca_key, EVP_sha256()) > 0);
}

/* The chain for the request `csr`, or for `key` and `san` where they are given. */
char *issue(struct world *w, const struct told *t, EVP_PKEY *key, const char *san,
	    int64_t from_s, int64_t to_s)
{
	const unsigned char *der = t->csr;
	X509_REQ *req = d2i_X509_REQ(NULL, &der, (long)t->csr_size);
	STACK_OF(X509_EXTENSION) * wanted;
	EVP_PKEY *public;
	X509 *leaf;
	BIO *bio = BIO_new(BIO_s_mem());
	char *data, *text;
	long size;

	assert_non_null(req);
	assert_non_null(bio);
	public = key ? key : X509_REQ_get0_pubkey(req);
	leaf = certificate(public, w->ca_key, from_s, to_s);
	if (san) {
		extend(leaf, NID_subject_alt_name, san);
	} else {
		wanted = X509_REQ_get_extensions(req);
		for (int i = 0; i < sk_X509_EXTENSION_num(wanted); i++)
			X509_add_ext(leaf, sk_X509_EXTENSION_value(wanted, i), -1);
		sk_X509_EXTENSION_pop_free(wanted, X509_EXTENSION_free);
	}
	assert_true(X509_sign(leaf, w->ca_key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_bio_X509(bio, leaf), 1);
	assert_int_equal(PEM_write_bio_X509(bio, w->ca), 1);
	size = BIO_get_mem_data(bio, &data);
	text = strndup(data, (size_t)size);
	assert_non_null(text);
	X509_free(leaf);
	X509_REQ_free(req);
	BIO_free(bio);
	return text;
}

/* The net worker's side */

struct wire_message *message(struct world *w, enum wire_type type, uint32_t job)
{
	memset(w->m, 0, sizeof(*w->m));
	w->m->type = type;
	w->m->job = job;
	return w->m;
}

void say(struct world *w)
{
	struct error err = {.code = 0};

	ok(wire_link_send(w->net, w->m, &err), &err);
}

static struct told *told_by_id(struct world *w, uint32_t id)
{
	for (size_t i = 0; i < w->count; i++)
		if (w->told[i].id == id && w->told[i].epoch == w->hellos)
			return &w->told[i];
	return NULL;
}

static void note_job(struct world *w, const struct wire_message *m)
{
	struct told *t;

	assert_true(w->count < JOBS);
	assert_null(told_by_id(w, m->job));
	t = &w->told[w->count++];
	memset(t, 0, sizeof(*t));
	t->id = m->job;
	t->epoch = w->hellos;
	snprintf(t->names, sizeof(t->names), "%s", m->work.names);
	snprintf(t->order_url, sizeof(t->order_url), "%s", m->work.order_url);
	snprintf(t->kid, sizeof(t->kid), "%s", m->work.kid);
	snprintf(t->preferred_chain, sizeof(t->preferred_chain), "%s",
		 m->work.preferred_chain);
	t->state = m->work.state;
	assert_true(m->work.csr_size <= sizeof(t->csr));
	memcpy(t->csr, m->work.csr, m->work.csr_size);
	t->csr_size = m->work.csr_size;
	assert_true(strstr(m->work.jwk, "\"P-256\"") != NULL);
	assert_string_equal(m->work.contact, "mailto:admin@example.com");
	assert_string_equal(m->work.directory, w->cfg.directory);
}

static void net_note(struct world *w, const struct wire_message *m)
{
	struct told *t = told_by_id(w, m->job);

	switch (m->type) {
	case WIRE_HELLO:
		w->hellos++;
		for (size_t i = 0; i < w->count; i++)
			w->told[i].over = true;
		w->answers = 0;
		w->answer_tokens = 0;
		w->answers_over = false;
		message(w, WIRE_HELLO_ACK, 0)->epoch = m->epoch;
		say(w);
		break;
	case WIRE_ANSWERS:
		assert_false(w->answers_over);
		w->answers++;
		w->answer_tokens += m->tokens;
		w->answers_over = m->tokens < WIRE_TOKENS_MAX;
		if (m->tokens > 0)
			w->answer = m->token[m->tokens - 1];
		break;
	case WIRE_JOB:
		assert_true(w->answers_over);
		note_job(w, m);
		break;
	case WIRE_DROP:
		assert_non_null(t);
		t->dropped = t->over = true;
		break;
	case WIRE_STORED:
		w->stored++;
		break;
	case WIRE_SIGNATURE:
		memcpy(w->signature, m->bytes, m->size);
		w->signature_size = m->size;
		break;
	case WIRE_READY:
	case WIRE_HELLO_ACK:
	case WIRE_SIGN:
	case WIRE_ACCOUNT:
	case WIRE_STATE:
	case WIRE_TOKENS:
	case WIRE_DONE:
	case WIRE_FAILED:
		fail_msg("the engine sent a message of type %d", (int)m->type);
	}
}

static bool net_hear(struct world *w)
{
	struct error err = {.code = 0};
	struct wire_message *m;
	bool heard = false;

	while (wire_link_receive(w->net, &m, &err) == 0) {
		net_note(w, m);
		heard = true;
	}
	assert_string_equal(err.text, "");
	return heard;
}

/* Until there is nothing left to do at this hour. */
void turn(struct world *w)
{
	for (int i = 0; i < 1000; i++) {
		engine_run(w->e, POLLIN);
		if (!net_hear(w) && engine_next_ms(w->e) != 0) {
			struct pollfd pfd = {.fd = w->fds[0], .events = POLLIN};

			if (poll(&pfd, 1, 0) == 0)
				return;
		}
	}
	fail_msg("the engine does not come to rest");
}

struct told *job_for(struct world *w, const char *names)
{
	for (size_t i = w->count; i-- > 0;)
		if (!w->told[i].over && strcmp(w->told[i].names, names) == 0)
			return &w->told[i];
	return NULL;
}

struct told *need_job(struct world *w, const char *names)
{
	struct told *t = job_for(w, names);

	if (!t)
		fail_msg("there is no job for %s", names);
	return t;
}

void done(struct world *w, struct told *t, const char *chain)
{
	message(w, WIRE_DONE, t->id);
	w->m->bytes = (const unsigned char *)chain;
	w->m->size = strlen(chain);
	say(w);
	t->over = true;
	turn(w);
}

void done_for_days(struct world *w, struct told *t, int days)
{
	int64_t from_s = now(w) - 3600;
	char *chain = issue(w, t, NULL, NULL, from_s, from_s + (int64_t)days * DAY);

	done(w, t, chain);
	free(chain);
}

void failed(struct world *w, struct told *t, enum wire_verdict verdict,
	    int64_t retry_after_s, const char *text)
{
	message(w, WIRE_FAILED, t->id);
	w->m->failure.verdict = verdict;
	w->m->failure.retry_after_s = retry_after_s;
	snprintf(w->m->failure.text, sizeof(w->m->failure.text), "%s", text);
	say(w);
	t->over = true;
	turn(w);
}

void state(struct world *w, const struct told *t, enum order_state s, const char *url)
{
	message(w, WIRE_STATE, t->id);
	w->m->step.state = s;
	snprintf(w->m->step.order_url, sizeof(w->m->step.order_url), "%s", url);
	snprintf(w->m->step.finalize_url, sizeof(w->m->step.finalize_url), "%s/f", url);
	say(w);
	turn(w);
}

/* The world */

static void offset_write(struct world *w, int64_t offset_s)
{
	FILE *f = fopen(w->offset_path, "we");

	assert_non_null(f);
	fprintf(f, "%lld\n", (long long)offset_s);
	assert_int_equal(fclose(f), 0);
}

void clock_turn(struct world *w, int64_t offset_s)
{
	offset_write(w, offset_s);
	clock_refresh(w->clk, &w->lg);
}

static void engine_start(struct world *w)
{
	struct engine_options options = {
	    .db = w->db,
	    .cfg = &w->cfg,
	    .clk = w->clk,
	    .lg = &w->lg,
	    .link_fd = w->fds[0],
	    .hooks = {.ctx = w, .changed = on_changed, .staged = on_staged},
	};
	struct error err = {.code = 0};

	ok(engine_new(&w->e, &options, &err), &err);
}

static void store_open(struct world *w)
{
	const struct db_options options = {.read_only = false};
	struct error err = {.code = 0};

	ok(db_open(&w->db, w->dir, &options, &err), &err);
}

/* The fs worker dies and another one takes over. */
void engine_restart(struct world *w)
{
	engine_free(w->e);
	db_close(w->db);
	store_open(w);
	engine_start(w);
	turn(w);
}

int setup(void **state_out)
{
	struct world *w = calloc(1, sizeof(*w));
	struct error err = {.code = 0};

	assert_non_null(w);
	w->m = calloc(1, sizeof(*w->m));
	assert_non_null(w->m);
	snprintf(w->dir, sizeof(w->dir), "/tmp/certfs-engine-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->offset_path, sizeof(w->offset_path), "%s/offset", w->dir);
	log_init(&w->lg, "unit", LOG_LEVEL_ERROR);
	w->cfg.directory = strdup(CA_URL);
	w->cfg.contact.item[0] = strdup("admin@example.com");
	w->cfg.contact.count = 1;
	w->cfg.agree_terms = true;
	w->cfg.key_type = KEY_P256;
	w->cfg.orders_at_once = 50;
	w->cfg.before_days = 30;
	w->cfg.reminders = 30;
	w->cfg.keep = 10;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, w->fds),
			 0);
	ok(wire_link_new(&w->net, w->fds[1], &err), &err);
	offset_write(w, 0);
	ok(clock_open(&w->clk, w->offset_path, &err), &err);
	ca_setup(w);
	store_open(w);
	engine_start(w);
	turn(w);
	*state_out = w;
	return 0;
}

static int take_away(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int teardown(void **state_in)
{
	struct world *w = *state_in;

	engine_free(w->e);
	db_close(w->db);
	clock_close(w->clk);
	wire_link_free(w->net);
	close(w->fds[0]);
	close(w->fds[1]);
	EVP_PKEY_free(w->ca_key);
	X509_free(w->ca);
	free(w->cfg.directory);
	free(w->cfg.contact.item[0]);
	free(w->cfg.eab_kid);
	free(w->cfg.eab_key_file);
	free(w->m);
	assert_int_equal(nftw(w->dir, take_away, 8, FTW_DEPTH | FTW_PHYS), 0);
	free(w);
	return 0;
}

/* What people do in the mount */

int act(struct world *w, db_change *change, struct act *a)
{
	struct error err = {.code = 0};
	int rc;

	a->w = w;
	rc = db_update(w->db, change, a, &err);
	if (rc && rc != -EPERM)
		fail_msg("%s", err.text);
	return rc;
}

static int find(struct act *a, struct txn *txn, struct domain *d, struct error *err)
{
	int rc = domain_find(txn, a->name, d, err);

	a->number = d->number;
	return rc;
}

static int mkdir_in(struct txn *txn, void *arg, struct error *err)
{
	struct act *a = arg;
	struct name name;
	struct domain d;
	bool back, changed;
	int64_t until_s;
	int rc = name_parse(a->name, &name, err);

	if (rc == 0)
		rc = domain_install(txn, &name, 0, 0, now(a->w), &d, &back, err);
	a->number = d.number;
	if (rc == 0)
		rc = generation_fallback(txn, d.number, now(a->w), 10, SERVE_NOW,
					 &changed, &until_s, err);
	return rc ? rc : engine_touch_in(txn, d.number, now(a->w), err);
}

uint32_t make(struct world *w, const char *name)
{
	struct act a = {.name = name};

	act(w, mkdir_in, &a);
	return a.number;
}

int rmdir_in(struct txn *txn, void *arg, struct error *err)
{
	struct act *a = arg;
	struct domain d;
	int rc = find(a, txn, &d, err);

	if (rc == 0)
		rc = domain_retire(txn, d.number, now(a->w), err);
	return rc ? rc : engine_touch_in(txn, d.number, now(a->w), err);
}

int alias_in(struct txn *txn, void *arg, struct error *err)
{
	struct act *a = arg;
	struct domain d, alias;
	struct name name;
	int rc = find(a, txn, &d, err);

	if (rc == 0)
		rc = name_parse(a->other, &name, err);
	if (rc == 0)
		rc = domain_alias(txn, &name, d.number, now(a->w), &alias, err);
	if (rc == 0)
		rc = engine_touch_in(txn, alias.number, now(a->w), err);
	return rc ? rc : engine_touch_in(txn, d.number, now(a->w), err);
}

/* cp of a certificate of one's own, valid for 60 days. */
int custom_in(struct txn *txn, void *arg, struct error *err)
{
	const struct written nothing = {.file = {NULL}};
	struct act *a = arg;
	struct secret *key = NULL;
	struct pair pair = {.key = NULL};
	struct domain d;
	bool changed;
	int64_t until_s;
	uint32_t gen;
	int rc = find(a, txn, &d, err);

	if (rc == 0)
		rc = x509_key_new(KEY_P256, &key, err);
	if (rc == 0)
		rc = x509_self_sign(key, &d.name, NULL, 0, now(a->w), 60, &pair, err);
	if (rc == 0)
		rc = generation_add(txn, d.number, &pair, SOURCE_CUSTOM, &nothing, "test",
				    now(a->w), 10, &gen, err);
	if (rc == 0)
		rc = current_choose(txn, d.number, now(a->w), SERVE_NOW, &changed,
				    &until_s, err);
	if (rc == 0)
		rc = engine_touch_in(txn, d.number, now(a->w), err);
	pair_clear(&pair);
	secret_free(key);
	return rc;
}

int uncustom_in(struct txn *txn, void *arg, struct error *err)
{
	struct act *a = arg;
	struct domain d;
	int rc = find(a, txn, &d, err);

	if (rc == 0)
		rc = current_drop_custom(txn, d.number, err);
	return rc ? rc : engine_touch_in(txn, d.number, now(a->w), err);
}

int renew_in(struct txn *txn, void *arg, struct error *err)
{
	struct act *a = arg;
	struct domain d;
	int rc = find(a, txn, &d, err);

	return rc ? rc : engine_renew_in(a->w->e, txn, d.number, err);
}

int later_in(struct txn *txn, void *arg, struct error *err)
{
	struct act *a = arg;

	return due_set(txn, a->number, a->to_s, err);
}

/* What can be seen */

struct seen look(struct world *w, const char *name)
{
	struct error err = {.code = 0};
	struct order o = {.key = NULL};
	struct seen s;
	struct txn *txn;
	int rc;

	memset(&s, 0, sizeof(s));
	ok(db_read_begin(w->db, &txn, &err), &err);
	ok(domain_find(txn, name, &s.d, &err), &err);
	ok(current_get(txn, s.d.number, &s.c, &err), &err);
	ok(generation_get(txn, s.d.number, s.c.served, &s.g, &err), &err);
	ok(due_get(txn, s.d.number, &s.due_s, &err), &err);
	rc = order_get(txn, s.d.number, &o, &err);
	s.ordered = rc == 0;
	s.state = o.state;
	order_clear(&o);
	db_read_end(txn);
	return s;
}

int token_seen(struct world *w, const char *token)
{
	char authorization[2 * TOKEN_MAX];
	struct error err = {.code = 0};
	struct txn *txn;
	int rc;

	ok(db_read_begin(w->db, &txn, &err), &err);
	rc = token_get(txn, token, authorization, sizeof(authorization), &err);
	db_read_end(txn);
	return rc;
}

void in_about(int64_t wait_s, int64_t middle_s, int64_t tenths)
{
	int64_t slack = middle_s * tenths / 10 + 5;

	assert_in_range(wait_s, middle_s - slack, middle_s + slack);
}
