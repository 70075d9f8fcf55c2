/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/pem.h"

#include "store/x509.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW 1800000000

struct made {
	struct pair pair, rsa;
	char cert[4096], key[4096]; /* PEM */
	char text[16384];           /* room for a test to build a file in */
};

static void make_pair(enum key_type type, struct pair *pair)
{
	struct error err = {0};
	struct name name;
	struct secret *key = NULL;
	assert_int_equal(name_parse("app.example.com", &name, &err), 0);
	assert_int_equal(x509_key_new(type, &key, &err), 0);
	assert_int_equal(x509_self_sign(key, &name, NULL, 0, NOW, 90, pair, &err), 0);
	secret_free(key);
}

static void take_text(char *to, size_t room, const struct secret *text)
{
	assert_true(secret_size(text) < room);
	memcpy(to, secret_data(text), secret_size(text));
	to[secret_size(text)] = '\0';
}

static int make(void **state)
{
	struct made *m = calloc(1, sizeof(*m));
	if (!m)
		return -1;
	*state = m;
	make_pair(KEY_P256, &m->pair);
	make_pair(KEY_RSA2048, &m->rsa);
	struct secret *cert = secret_new(4000), *key = secret_new(4000);
	assert_int_equal(pem_write_cert(cert, m->pair.leaf.der, m->pair.leaf.size), 0);
	assert_int_equal(pem_write_key(key, m->pair.key), 0);
	take_text(m->cert, sizeof(m->cert), cert);
	take_text(m->key, sizeof(m->key), key);
	secret_free(cert);
	secret_free(key);
	return 0;
}

static int unmake(void **state)
{
	struct made *m = *state;
	pair_clear(&m->pair);
	pair_clear(&m->rsa);
	free(m);
	return 0;
}

static void parsed(const char *text, const struct pair *pair, size_t certs, bool key)
{
	struct pem p;
	struct error err = {0};
	if (pem_parse(text, strlen(text), &p, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(p.certs, certs);
	for (size_t i = 0; i < certs; i++) {
		assert_int_equal(p.cert[i].size, pair->leaf.size);
		assert_memory_equal(p.cert[i].der, pair->leaf.der, pair->leaf.size);
	}
	assert_int_equal(p.key != NULL, key);
	if (key) {
		assert_int_equal(secret_size(p.key), secret_size(pair->key));
		assert_memory_equal(secret_data(p.key), secret_data(pair->key),
				    secret_size(pair->key));
	}
	pem_clear(&p);
}

static void refused_bytes(const void *data, size_t size, int code, const char *reason)
{
	struct pem p;
	struct error err = {0};
	assert_int_equal(pem_parse(data, size, &p, &err), -code);
	if (!strstr(err.text, reason))
		fail_msg("'%s' lacks '%s'", err.text, reason);
	assert_int_equal(p.certs, 0);
	assert_null(p.key);
}

static void refused(const char *text, int code, const char *reason)
{
	refused_bytes(text, strlen(text), code, reason);
}

/* Text with "\n" replaced by `end`, and `before` in front. */
static void with_lines(char *out, const char *before, const char *text, const char *end)
{
	out = stpcpy(out, before);
	for (; *text; text++)
		if (*text == '\n')
			out = stpcpy(out, end);
		else
			*out++ = *text;
	*out = '\0';
}

static void take_bio(struct made *m, BIO *bio)
{
	char *data;
	long size = BIO_get_mem_data(bio, &data);
	assert_true(size > 0 && (size_t)size < sizeof(m->text));
	memcpy(m->text, data, (size_t)size);
	m->text[size] = '\0';
	BIO_free(bio);
}

static EVP_PKEY *key_of(const struct pair *pair)
{
	const unsigned char *p = secret_data(pair->key);
	EVP_PKEY *pkey = d2i_AutoPrivateKey(NULL, &p, (long)secret_size(pair->key));
	assert_non_null(pkey);
	return pkey;
}

static void what_is_written_is_read(void **state)
{
	struct made *m = *state;
	parsed(m->cert, &m->pair, 1, false);
	parsed(m->key, &m->pair, 0, true);
	snprintf(m->text, sizeof(m->text), "%s%s%s", m->key, m->cert, m->cert);
	parsed(m->text, &m->pair, 2, true);
}

static void lines_of_every_origin_are_read(void **state)
{
	struct made *m = *state;
	with_lines(m->text, "", m->cert, "\r\n");
	parsed(m->text, &m->pair, 1, false);
	with_lines(m->text, "", m->key, "  \t\n");
	parsed(m->text, &m->pair, 0, true);
	with_lines(m->text, "\xef\xbb\xbf", m->cert, "\r\n");
	parsed(m->text, &m->pair, 1, false);
	snprintf(m->text, sizeof(m->text), "%.*s", (int)strlen(m->cert) - 1, m->cert);
	parsed(m->text, &m->pair, 1, false);
}

static void text_between_blocks_is_left_out(void **state)
{
	struct made *m = *state;
	char filler[3000];
	memset(filler, '=', sizeof(filler) - 1);
	filler[sizeof(filler) - 1] = '\0';
	snprintf(m->text, sizeof(m->text),
		 "Bag Attributes\n    localKeyID: 01\n%s%s\nissuer=CN = x\n%s--- end\n",
		 m->key, filler, m->cert);
	parsed(m->text, &m->pair, 1, true);
}

static void base64_on_one_line_is_read(void **state)
{
	struct made *m = *state;
	const char *first = strchr(m->cert, '\n') + 1;
	const char *last = strstr(m->cert, "\n-----END") + 1;
	char *out = m->text + sprintf(m->text, "%.*s", (int)(first - m->cert), m->cert);
	for (const char *p = first; p < last; p++)
		if (*p != '\n')
			*out++ = *p;
	sprintf(out, "\n%s", last);
	parsed(m->text, &m->pair, 1, false);
}

static void traditional_keys_become_pkcs8(void **state)
{
	struct made *m = *state;
	const struct pair *pairs[] = {&m->pair, &m->rsa};
	const char *const labels[] = {"BEGIN EC PRIVATE KEY", "BEGIN RSA PRIVATE KEY"};
	for (size_t i = 0; i < 2; i++) {
		EVP_PKEY *pkey = key_of(pairs[i]);
		BIO *bio = BIO_new(BIO_s_mem());
		assert_int_equal(PEM_write_bio_PrivateKey_traditional(
				     bio, pkey, NULL, NULL, 0, NULL, NULL),
				 1);
		take_bio(m, bio);
		EVP_PKEY_free(pkey);
		assert_non_null(strstr(m->text, labels[i]));
		parsed(m->text, pairs[i], 0, true);
	}
}

static void ec_parameters_are_left_out(void **state)
{
	struct made *m = *state;
	snprintf(m->text, sizeof(m->text), "%s%s",
		 "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n"
		 "-----END EC PARAMETERS-----\n",
		 m->key);
	parsed(m->text, &m->pair, 0, true);
}

static void trust_data_are_left_out(void **state)
{
	struct made *m = *state;
	const unsigned char *p = m->pair.leaf.der;
	X509 *cert = d2i_X509(NULL, &p, (long)m->pair.leaf.size);
	BIO *bio = BIO_new(BIO_s_mem());
	assert_int_equal(X509_add1_trust_object(cert, OBJ_nid2obj(NID_server_auth)), 1);
	assert_int_equal(PEM_write_bio_X509_AUX(bio, cert), 1);
	X509_free(cert);
	take_bio(m, bio);
	assert_non_null(strstr(m->text, "BEGIN TRUSTED CERTIFICATE"));
	parsed(m->text, &m->pair, 1, false);
}

static void key_with_a_passphrase_names_the_command(void **state)
{
	struct made *m = *state;
	char pass[] = "secret";
	EVP_PKEY *pkey = key_of(&m->pair);
	BIO *bio = BIO_new(BIO_s_mem());
	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, pkey, EVP_aes_128_cbc(), pass,
						       6, NULL, NULL),
			 1);
	take_bio(m, bio);
	refused(m->text, EBADMSG, "openssl pkey -in");
	bio = BIO_new(BIO_s_mem());
	assert_int_equal(
	    PEM_write_bio_PrivateKey_traditional(bio, pkey, EVP_aes_128_cbc(),
						 (unsigned char *)pass, 6, NULL, NULL),
	    1);
	take_bio(m, bio);
	EVP_PKEY_free(pkey);
	assert_non_null(strstr(m->text, "Proc-Type: 4,ENCRYPTED"));
	refused(m->text, EBADMSG, "openssl pkey -in");
}

static void binary_forms_name_their_converters(void **state)
{
	struct made *m = *state;
	unsigned char *der = NULL;
	const unsigned char *p = m->pair.leaf.der;
	refused_bytes(m->pair.leaf.der, m->pair.leaf.size, EBADMSG,
		      "openssl x509 -inform DER");
	X509 *cert = d2i_X509(NULL, &p, (long)m->pair.leaf.size);
	EVP_PKEY *pkey = key_of(&m->pair);
	PKCS12 *p12 = PKCS12_create("x", NULL, pkey, cert, NULL, 0, 0, 1, 1, 0);
	int size = i2d_PKCS12(p12, &der);
	assert_true(size > 0);
	refused_bytes(der, (size_t)size, EBADMSG, "openssl pkcs12 -in");
	OPENSSL_free(der);
	der = NULL;
	PKCS12_free(p12);
	EVP_PKEY_free(pkey);

	STACK_OF(X509) *certs = sk_X509_new_null();
	sk_X509_push(certs, cert);
	PKCS7 *p7 = PKCS7_sign(NULL, NULL, certs, NULL, PKCS7_PARTIAL | PKCS7_DETACHED);
	assert_non_null(p7);
	size = i2d_PKCS7(p7, &der);
	assert_true(size > 0);
	refused_bytes(der, (size_t)size, EBADMSG, "openssl pkcs7 -inform DER");
	OPENSSL_free(der);
	BIO *bio = BIO_new(BIO_s_mem());
	assert_int_equal(PEM_write_bio_PKCS7(bio, p7), 1);
	take_bio(m, bio);
	refused(m->text, EBADMSG, "openssl pkcs7 -in");
	PKCS7_free(p7);
	sk_X509_pop_free(certs, X509_free);
}

static void commands_write_into_the_folder_that_was_written_to(void **state)
{
	struct made *m = *state;
	static const struct {
		const char *file, *certs;
	} to[] = {{"cert.pem", "-out /m/a.example/cert.pem'"},
		  {"chain.pem", "-out /m/a.example/chain.pem'"},
		  {"privkey.pem", "-out /m/a.example/fullchain.pem'"},
		  {"combined.pem", "-out /m/a.example/fullchain.pem'"}};
	for (size_t i = 0; i < sizeof(to) / sizeof(*to); i++) {
		const struct pem_place place = {.dir = "/m/a.example",
						.file = to[i].file};
		struct pem p;
		struct error err = {0};
		assert_int_equal(
		    pem_parse_at(&place, m->pair.leaf.der, m->pair.leaf.size, &p, &err),
		    -EBADMSG);
		if (!strstr(err.text, to[i].certs))
			fail_msg("'%s' lacks '%s'", err.text, to[i].certs);
		assert_int_equal(pem_parse_at(&place, secret_data(m->pair.key),
					      secret_size(m->pair.key), &p, &err),
				 -EBADMSG);
		assert_non_null(strstr(err.text, "-out /m/a.example/privkey.pem'"));
	}
}

static void other_blocks_are_told_by_what_they_are(void **state)
{
	(void)state;
	static const struct {
		const char *label, *reason;
	} known[] = {
	    {"CERTIFICATE REQUEST", "certificate request"},
	    {"NEW CERTIFICATE REQUEST", "certificate request"},
	    {"PUBLIC KEY", "public key"},
	    {"RSA PUBLIC KEY", "public key"},
	    {"DH PARAMETERS", "'DH PARAMETERS'"},
	    {"CERTIFICATE", "certificate 1 in it does not parse"},
	    {"PRIVATE KEY", "private key does not parse"},
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		char text[256];
		snprintf(text, sizeof(text),
			 "-----BEGIN %s-----\nBggqhkjOPQMBBw==\n-----END %s-----\n",
			 known[i].label, known[i].label);
		refused(text, EBADMSG, known[i].reason);
	}
}

static void broken_files_are_refused(void **state)
{
	struct made *m = *state;
	refused("", EBADMSG, "empty");
	refused("hello\n", EBADMSG, "no PEM block");
	snprintf(m->text, sizeof(m->text), "%s", m->cert);
	*strstr(m->text, "\n-----END") = '!';
	refused(m->text, EBADMSG, "damaged");
	snprintf(m->text, sizeof(m->text), "%s", m->cert);
	*strstr(m->text, "-----END") = '\0';
	refused(m->text, EBADMSG, "ends in the middle");
	snprintf(m->text, sizeof(m->text), "%s%s", m->key, m->key);
	refused(m->text, EBADMSG, "two private keys");
	size_t size =
	    (size_t)snprintf(m->text, sizeof(m->text), "%s%c%s", m->cert, '\0', m->key);
	refused_bytes(m->text, size, EBADMSG, "NUL");
	snprintf(m->text, sizeof(m->text), "%s-----BEGIN CERTIFICATE-----\n%s", m->key,
		 m->cert);
	refused(m->text, EBADMSG, "damaged");
}

static void limits_are_kept(void **state)
{
	struct made *m = *state;
	size_t size = strlen(m->cert);
	char *many = malloc(PEM_FILE_MAX + 1);
	for (size_t i = 0; i <= PEM_CERTS_MAX; i++)
		memcpy(many + i * size, m->cert, size);
	many[PEM_CERTS_MAX * size] = '\0';
	parsed(many, &m->pair, PEM_CERTS_MAX, false);
	many[PEM_CERTS_MAX * size] = m->cert[0];
	refused_bytes(many, (PEM_CERTS_MAX + 1) * size, EFBIG, "more than 16");
	memset(many, '\n', PEM_FILE_MAX + 1);
	refused_bytes(many, PEM_FILE_MAX + 1, EFBIG, "1 MiB");
	free(many);
}

/* However a writer cuts its file, what is there so far is not taken for all of it. */
static void every_cut_of_a_block_is_unfinished(void **state)
{
	struct made *m = *state;
	size_t size = strlen(m->cert) - 1;
	assert_int_equal(pem_state("", 0), PEM_EMPTY);
	assert_int_equal(pem_state(NULL, 0), PEM_EMPTY);
	assert_int_equal(pem_state("text\n", 5), PEM_EMPTY);
	for (size_t cut = 1; cut < size; cut++)
		assert_int_equal(pem_state(m->cert, cut), PEM_INCOMPLETE);
	assert_int_equal(pem_state(m->cert, size), PEM_WHOLE);
	assert_int_equal(pem_state(m->cert, size + 1), PEM_WHOLE);
	snprintf(m->text, sizeof(m->text), "%s%s", m->cert, m->cert);
	for (size_t cut = size + 2; cut < 2 * size + 1; cut++)
		assert_int_equal(pem_state(m->text, cut), PEM_INCOMPLETE);
	assert_int_equal(pem_state(m->text, 2 * size + 2), PEM_WHOLE);
}

static void text_size_is_enough_and_less_is_refused(void **state)
{
	struct made *m = *state;
	static const unsigned char der[300];
	for (size_t size = 1; size < sizeof(der); size++) {
		struct secret *out = secret_new(pem_text_size(size));
		assert_int_equal(pem_write_cert(out, der, size), 0);
		secret_free(out);
	}
	struct secret *out = secret_new(100);
	assert_int_equal(pem_write_cert(out, m->pair.leaf.der, m->pair.leaf.size),
			 -ENOSPC);
	assert_int_equal(secret_size(out), 0);
	secret_free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_written_is_read),
	    cmocka_unit_test(lines_of_every_origin_are_read),
	    cmocka_unit_test(text_between_blocks_is_left_out),
	    cmocka_unit_test(base64_on_one_line_is_read),
	    cmocka_unit_test(traditional_keys_become_pkcs8),
	    cmocka_unit_test(ec_parameters_are_left_out),
	    cmocka_unit_test(trust_data_are_left_out),
	    cmocka_unit_test(key_with_a_passphrase_names_the_command),
	    cmocka_unit_test(binary_forms_name_their_converters),
	    cmocka_unit_test(commands_write_into_the_folder_that_was_written_to),
	    cmocka_unit_test(other_blocks_are_told_by_what_they_are),
	    cmocka_unit_test(broken_files_are_refused),
	    cmocka_unit_test(limits_are_kept),
	    cmocka_unit_test(every_cut_of_a_block_is_unfinished),
	    cmocka_unit_test(text_size_is_enough_and_less_is_refused),
	};
	return cmocka_run_group_tests(tests, make, unmake);
}
