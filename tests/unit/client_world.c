/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "client_world.h"

#include "acme/jws.h"
#include "store/x509.h"

#include <openssl/asn1.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A certificate whose issuer is CN=`cn`, as PEM; free() it. */
static char *chain_from(const struct secret *key, const char *cn)
{
	const unsigned char *p = secret_data(key);
	EVP_PKEY *pkey = d2i_AutoPrivateKey(NULL, &p, (long)secret_size(key));
	X509_NAME *name = X509_NAME_new();
	BIO *bio = BIO_new(BIO_s_mem());
	X509 *x = X509_new();
	char *data, *pem;
	long size;

	assert_non_null(pkey);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn,
				   -1, -1, 0);
	X509_set_issuer_name(x, name);
	X509_set_pubkey(x, pkey);
	assert_true(X509_sign(x, pkey, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_bio_X509(bio, x), 1);
	size = BIO_get_mem_data(bio, &data);
	pem = strndup(data, (size_t)size);
	BIO_free(bio);
	X509_free(x);
	X509_NAME_free(name);
	EVP_PKEY_free(pkey);
	return pem;
}

static void note(struct world *w, const char *step)
{
	strncat(w->steps, w->steps[0] ? " " : "",
		sizeof(w->steps) - strlen(w->steps) - 1);
	strncat(w->steps, step, sizeof(w->steps) - strlen(w->steps) - 1);
}

static void take(void *ctx, const struct wire_message *m)
{
	struct world *w = ctx;
	struct said *s = calloc(1, sizeof(*s));

	s->type = m->type;
	s->job = m->job;
	s->request = m->sign.request;
	s->kind = m->sign.kind;
	s->size = m->size;
	s->bytes = malloc(m->size + 1);
	if (m->size)
		memcpy(s->bytes, m->bytes, m->size);
	s->bytes[m->size] = '\0';
	*w->tail = s;
	w->tail = &s->next;
	if (m->type == WIRE_FAILED)
		w->failure = m->failure;
	if (m->job != 1)
		return;
	if (m->type == WIRE_ACCOUNT)
		note(w, "account");
	if (m->type == WIRE_TOKENS)
		note(w, "tokens");
	if (m->type == WIRE_STATE)
		note(w, order_state_name(m->step.state));
}

static void token_add(void *ctx, uint32_t job, const struct wire_token *token)
{
	struct world *w = ctx;

	(void)job;
	w->token_there = true;
	strcpy(w->token, token->token);
	strcpy(w->authorization, token->authorization);
}

static void token_del(void *ctx, uint32_t job)
{
	struct world *w = ctx;

	(void)job;
	w->token_there = false;
}

struct world *world_new(const struct script *script)
{
	struct world *w = calloc(1, sizeof(*w));
	const struct client_hooks hooks = {
	    .ctx = w, .send = take, .token_add = token_add, .token_del = token_del};
	struct script whole = *script;
	struct error err;

	log_init(&w->lg, "net", LOG_LEVEL_ERROR);
	w->tail = &w->head;
	assert_int_equal(x509_key_new(KEY_P256, &w->key, &err), 0);
	assert_int_equal(jws_jwk(w->key, w->jwk, sizeof(w->jwk), &err), 0);
	whole.chain[0] = w->chain[0] = chain_from(w->key, "Root A");
	whole.chain[1] = w->chain[1] = chain_from(w->key, "Root B");
	w->ca = scripted_ca_start(&whole);
	assert_int_equal(http_new(&w->http, NULL, 20, &w->lg, &err), 0);
	assert_int_equal(client_new(&w->client, w->http, &hooks, &w->lg, &err), 0);
	return w;
}

void world_begin(struct world *w, uint32_t job)
{
	struct wire_job *j = &w->m.work;

	w->m.type = WIRE_JOB;
	w->m.job = job;
	if (!j->directory[0])
		snprintf(j->directory, sizeof(j->directory), "%s/dir",
			 scripted_ca_base(w->ca));
	strcpy(j->jwk, w->jwk);
	if (!j->names[0])
		strcpy(j->names, "a.example.com");
	if (!j->state)
		j->state = ORDER_NEW;
	j->csr = (const unsigned char *)"csr";
	j->csr_size = 3;
	client_message(w->client, &w->m);
}

static void answer(struct world *w, const struct said *s)
{
	struct wire_message *m = calloc(1, sizeof(*m));
	unsigned char signature[64] = {0};
	struct error err;

	m->job = s->job;
	if (s->type == WIRE_SIGN) {
		m->type = WIRE_SIGNATURE;
		m->sign.request = s->request;
		m->bytes = signature;
		m->size = s->kind == WIRE_SIGN_EAB ? 32 : 64;
		w->eab_signed |= s->kind == WIRE_SIGN_EAB;
		if (s->kind == WIRE_SIGN_ACCOUNT)
			assert_int_equal(
			    jws_sign_es256(w->key, s->bytes, s->size, signature, &err),
			    0);
		client_message(w->client, m);
	} else if (s->type == WIRE_DONE) {
		w->done++;
		note(w, "done");
		assert_non_null(strstr((const char *)s->bytes, "BEGIN CERTIFICATE"));
	} else if (s->type == WIRE_FAILED) {
		w->failed++;
		note(w, "failed");
	} else {
		m->type = WIRE_STORED;
		client_message(w->client, m);
	}
	free(m);
}

static void forget_first(struct world *w)
{
	struct said *s = w->head;

	w->head = s->next;
	if (!w->head)
		w->tail = &w->head;
	free(s->bytes);
	free(s);
}

void world_turn(struct world *w)
{
	struct error err;

	assert_int_equal(
	    http_run(w->http, NULL, 0, w->head ? 0 : client_next_ms(w->client), &err), 0);
	client_run(w->client);
	while (w->head && !w->mute) {
		struct said *s = w->head;

		w->head = s->next;
		if (!w->head)
			w->tail = &w->head;
		answer(w, s);
		free(s->bytes);
		free(s);
	}
}

void world_until_over(struct world *w, unsigned jobs)
{
	while (w->done + w->failed < jobs)
		world_turn(w);
}

void world_free(struct world *w)
{
	client_free(w->client);
	http_free(w->http);
	scripted_ca_free(w->ca);
	while (w->head)
		forget_first(w);
	secret_free(w->key);
	free(w->chain[0]);
	free(w->chain[1]);
	free(w);
}

struct wire_failure world_failure(const struct script *script, enum order_state from)
{
	struct world *w = world_new(script);
	struct wire_job *j = &w->m.work;
	struct wire_failure f;

	j->state = from;
	if (from != ORDER_NEW) {
		strcpy(j->kid, "http://127.0.0.1/a/1");
		snprintf(j->order_url, sizeof(j->order_url), "%s/o/1",
			 scripted_ca_base(w->ca));
		snprintf(j->finalize_url, sizeof(j->finalize_url), "%s/f/1",
			 scripted_ca_base(w->ca));
	}
	world_begin(w, 1);
	world_until_over(w, 1);
	assert_int_equal(w->failed, 1);
	assert_int_equal(client_next_ms(w->client), -1);
	assert_false(w->token_there);
	f = w->failure;
	assert_true(f.text[0] != '\0');
	world_free(w);
	return f;
}
