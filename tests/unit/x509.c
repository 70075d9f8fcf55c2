/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/x509.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW INT64_C(1800000000)
#define DAY 86400

/* root -> middle -> low -> leaf, a CA apart from them, and the leaf's key. */
struct world {
	EVP_PKEY *root_key, *middle_key, *low_key, *leaf_key, *other_key;
	struct pem_cert root, middle, low, leaf, stranger;
	struct secret *key, *other;
	struct name app;
};

struct wanted {
	const char *subject, *issuer, *san; /* NULL: none */
	bool ca;
	int64_t from_s, until_s;
};

static struct name named(const char *text)
{
	struct name name;
	struct error err = {0};
	if (name_parse(text, &name, &err) != 0)
		fail_msg("%s", err.text);
	return name;
}

static void extend(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	assert_non_null(extension);
	assert_int_equal(X509_add_ext(cert, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

static void call(X509_NAME *name, const char *cn)
{
	if (cn[0])
		assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
							    (const unsigned char *)cn, -1,
							    -1, 0),
				 1);
}

static struct pem_cert sign(const struct wanted *w, EVP_PKEY *pkey, EVP_PKEY *signer)
{
	struct pem_cert out = {0};
	unsigned char *der = NULL;
	X509 *cert = X509_new();
	X509_set_version(cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 0x1234);
	call(X509_get_subject_name(cert), w->subject);
	call(X509_get_issuer_name(cert), w->issuer);
	ASN1_TIME_set(X509_getm_notBefore(cert), w->from_s ? w->from_s : NOW - DAY);
	ASN1_TIME_set(X509_getm_notAfter(cert), w->until_s ? w->until_s : NOW + 9 * DAY);
	X509_set_pubkey(cert, pkey);
	extend(cert, NID_basic_constraints, w->ca ? "critical,CA:TRUE" : "CA:FALSE");
	if (w->san)
		extend(cert, NID_subject_alt_name, w->san);
	assert_true(X509_sign(cert, signer,
			      EVP_PKEY_is_a(signer, "ED25519") ? NULL : EVP_sha256()) >
		    0);
	int size = i2d_X509(cert, &der);
	assert_true(size > 0);
	out.der = malloc((size_t)size);
	memcpy(out.der, der, (size_t)size);
	out.size = (size_t)size;
	OPENSSL_free(der);
	X509_free(cert);
	return out;
}

static struct secret *pkcs8(EVP_PKEY *pkey)
{
	unsigned char *der = NULL;
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(pkey);
	int size = i2d_PKCS8_PRIV_KEY_INFO(info, &der);
	assert_true(size > 0);
	struct secret *key = secret_copy(der, (size_t)size);
	OPENSSL_clear_free(der, (size_t)size);
	PKCS8_PRIV_KEY_INFO_free(info);
	return key;
}

static int make(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	if (!w)
		return -1;
	EVP_PKEY **keys[] = {&w->root_key, &w->middle_key, &w->low_key, &w->leaf_key,
			     &w->other_key};
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		*keys[i] = EVP_EC_gen("P-256");
	w->root = sign(&(struct wanted){"Root", "Root", NULL, true, 0, 0}, w->root_key,
		       w->root_key);
	w->middle = sign(&(struct wanted){"Middle", "Root", NULL, true, 0, 0},
			 w->middle_key, w->root_key);
	w->low = sign(&(struct wanted){"Low", "Middle", NULL, true, 0, 0}, w->low_key,
		      w->middle_key);
	w->leaf = sign(&(struct wanted){"", "Low",
					"DNS:app.example.com,DNS:www.example.com,"
					"DNS:*.zone.example.com,IP:192.0.2.1",
					false, 0, 0},
		       w->leaf_key, w->low_key);
	w->stranger = sign(&(struct wanted){"Stranger", "Elsewhere", NULL, true, 0, 0},
			   w->other_key, w->other_key);
	w->key = pkcs8(w->leaf_key);
	w->other = pkcs8(w->other_key);
	w->app = named("app.example.com");
	*state = w;
	return 0;
}

static int unmake(void **state)
{
	struct world *w = *state;
	EVP_PKEY *keys[] = {w->root_key, w->middle_key, w->low_key, w->leaf_key,
			    w->other_key};
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		EVP_PKEY_free(keys[i]);
	free(w->root.der);
	free(w->middle.der);
	free(w->low.der);
	free(w->leaf.der);
	free(w->stranger.der);
	secret_free(w->key);
	secret_free(w->other);
	free(w);
	return 0;
}

static void is(const struct pem_cert *got, const struct pem_cert *want)
{
	assert_int_equal(got->size, want->size);
	assert_memory_equal(got->der, want->der, want->size);
}

static void refused(const struct pem_cert *certs, size_t count, const struct secret *key,
		    const struct name *name, int64_t now_s, int code, const char *reason)
{
	struct pair pair;
	struct error err = {0};
	assert_int_equal(x509_pair(certs, count, key, name, NULL, 0, now_s, &pair, &err),
			 -code);
	if (!strstr(err.text, reason))
		fail_msg("'%s' lacks '%s'", err.text, reason);
	assert_null(pair.leaf.der);
	assert_null(pair.key);
}

static void chain_is_put_in_order_whatever_order_it_came_in(void **state)
{
	struct world *w = *state;
	const struct pem_cert orders[][6] = {
	    {w->leaf, w->low, w->middle, w->root, w->low, w->leaf},
	    {w->root, w->middle, w->low, w->leaf, w->leaf, w->root},
	    {w->middle, w->leaf, w->root, w->low, w->middle, w->middle},
	};
	for (size_t i = 0; i < 3; i++) {
		struct pair pair;
		struct error err = {0};
		if (x509_pair(orders[i], 6, w->key, &w->app, NULL, 0, NOW, &pair, &err) !=
		    0)
			fail_msg("%s", err.text);
		is(&pair.leaf, &w->leaf);
		assert_int_equal(pair.chain_size, 2);
		is(&pair.chain[0], &w->low);
		is(&pair.chain[1], &w->middle);
		assert_string_equal(pair.warning, "");
		assert_memory_equal(secret_data(pair.key), secret_data(w->key),
				    secret_size(w->key));
		pair_clear(&pair);
	}
}

static void missing_intermediate_is_a_warning(void **state)
{
	struct world *w = *state;
	struct pair pair;
	struct error err = {0};
	assert_int_equal(
	    x509_pair(&w->leaf, 1, w->key, &w->app, NULL, 0, NOW, &pair, &err), 0);
	assert_non_null(strstr(pair.warning, "intermediate"));
	assert_int_equal(pair.chain_size, 0);
	pair_clear(&pair);
}

/* Whoever trusts only the other root needs the twin, wherever it stands. */
static void twin_of_the_root_goes_before_the_root(void **state)
{
	struct world *w = *state;
	struct pem_cert twin =
	    sign(&(struct wanted){"Root", "Stranger", NULL, true, 0, 0}, w->root_key,
		 w->other_key);
	const struct pem_cert orders[][5] = {
	    {w->leaf, w->low, w->middle, w->root, twin},
	    {twin, w->root, w->middle, w->low, w->leaf},
	};
	for (size_t i = 0; i < 2; i++) {
		struct pair pair;
		struct error err = {0};
		assert_int_equal(
		    x509_pair(orders[i], 5, w->key, &w->app, NULL, 0, NOW, &pair, &err),
		    0);
		assert_int_equal(pair.chain_size, 3);
		is(&pair.chain[2], &twin);
		pair_clear(&pair);
	}
	free(twin.der);
}

static void stranger_in_the_chain_is_refused(void **state)
{
	struct world *w = *state;
	const struct pem_cert certs[] = {w->leaf, w->low, w->stranger};
	refused(certs, 3, w->key, &w->app, NOW, EKEYREJECTED, "'Stranger'");
	/* Right by its name, wrong by its signature. */
	struct pem_cert forged = sign(&(struct wanted){"Low", "Middle", NULL, true, 0, 0},
				      w->other_key, w->other_key);
	const struct pem_cert with_forged[] = {w->leaf, forged};
	refused(with_forged, 2, w->key, &w->app, NOW, EKEYREJECTED, "'Low'");
	free(forged.der);
}

static void ca_and_server_of_one_subject_are_told_apart(void **state)
{
	struct world *w = *state;
	struct error err = {0};
	struct pair pair;
	struct pem_cert ca = sign(&(struct wanted){"x", "Root", NULL, true, 0, 0},
				  w->middle_key, w->root_key);
	struct pem_cert leaf =
	    sign(&(struct wanted){"x", "x", "DNS:app.example.com", false, 0, 0},
		 w->leaf_key, w->middle_key);
	const struct pem_cert certs[] = {leaf, ca};
	assert_int_equal(x509_pair(certs, 2, w->key, &w->app, NULL, 0, NOW, &pair, &err),
			 0);
	assert_int_equal(pair.chain_size, 1);
	is(&pair.chain[0], &ca);
	pair_clear(&pair);
	free(ca.der);
	free(leaf.der);
}

static void key_of_another_certificate_is_refused(void **state)
{
	struct world *w = *state;
	refused(&w->leaf, 1, w->other, &w->app, NOW, EKEYREJECTED,
		"belongs to another certificate");
	assert_true(x509_key_fits(&w->leaf, 1, w->key));
	assert_false(x509_key_fits(&w->leaf, 1, w->other));
	assert_false(x509_key_fits(NULL, 0, w->key));
}

static void certificate_of_another_name_is_refused_with_both(void **state)
{
	struct world *w = *state;
	struct pem_cert mail =
	    sign(&(struct wanted){"", "Low", "DNS:mail.example.com", false, 0, 0},
		 w->leaf_key, w->low_key);
	refused(&mail, 1, w->key, &w->app, NOW, EKEYREJECTED,
		"certificate is for mail.example.com, this directory is app.example.com");
	free(mail.der);
}

static void every_alias_must_be_covered(void **state)
{
	struct world *w = *state;
	struct pair pair;
	struct error err = {0};
	const struct name aliases[] = {named("www.example.com"),
				       named("api.example.com")};
	assert_int_equal(
	    x509_pair(&w->leaf, 1, w->key, &w->app, aliases, 1, NOW, &pair, &err), 0);
	pair_clear(&pair);
	assert_int_equal(
	    x509_pair(&w->leaf, 1, w->key, &w->app, aliases, 2, NOW, &pair, &err),
	    -EKEYREJECTED);
	assert_non_null(strstr(err.text, "api.example.com"));
	assert_int_equal(x509_check_certs(&w->leaf, 1, &w->app, aliases, 2, NOW, &err),
			 -EKEYREJECTED);
}

static void names_of_each_kind_are_covered_by_their_own(void **state)
{
	struct world *w = *state;
	static const char *const yes[] = {"a.zone.example.com", "192.0.2.1", "fallback",
					  "wildcard_.zone.example.com"};
	static const char *const no[] = {"zone.example.com", "192.0.2.2",
					 "a.b.zone.example.com", "wildcard_.example.com",
					 "2001:db8::1"};
	struct error err = {0};
	for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++) {
		struct name name = named(yes[i]);
		assert_int_equal(x509_check_certs(&w->leaf, 1, &name, NULL, 0, NOW, &err),
				 0);
	}
	for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++) {
		struct name name = named(no[i]);
		refused(&w->leaf, 1, w->key, &name, NOW, EKEYREJECTED, no[i]);
	}
	/* An address spelled as a DNS name is none. */
	struct name address = named("192.0.2.1");
	struct pem_cert cert =
	    sign(&(struct wanted){"", "Low", "DNS:192.0.2.1", false, 0, 0}, w->leaf_key,
		 w->low_key);
	refused(&cert, 1, w->key, &address, NOW, EKEYREJECTED, "192.0.2.1");
	free(cert.der);
}

static void common_name_alone_covers_nothing(void **state)
{
	struct world *w = *state;
	struct pem_cert cert =
	    sign(&(struct wanted){"app.example.com", "Low", NULL, false, 0, 0},
		 w->leaf_key, w->low_key);
	refused(&cert, 1, w->key, &w->app, NOW, EKEYREJECTED, "subjectAltName");
	free(cert.der);
}

static void time_must_be_within_the_certificates(void **state)
{
	struct world *w = *state;
	struct error err = {0};
	refused(&w->leaf, 1, w->key, &w->app, NOW + 9 * DAY + 1, EKEYEXPIRED,
		"expired on");
	refused(&w->leaf, 1, w->key, &w->app, NOW - DAY - 1, EKEYREJECTED,
		"not valid before");
	assert_int_equal(
	    x509_check_certs(&w->leaf, 1, &w->app, NULL, 0, NOW + 9 * DAY, &err), 0);
	assert_int_equal(x509_check_certs(&w->leaf, 1, &w->app, NULL, 0, NOW - DAY, &err),
			 0);
}

static void ca_is_no_leaf(void **state)
{
	struct world *w = *state;
	struct error err = {0};
	struct pem_cert ca =
	    sign(&(struct wanted){"", "Low", "DNS:app.example.com", true, 0, 0},
		 w->leaf_key, w->low_key);
	refused(&ca, 1, w->key, &w->app, NOW, EKEYREJECTED, "CA");
	assert_int_equal(x509_check_certs(&ca, 1, &w->app, NULL, 0, NOW, &err),
			 -EKEYREJECTED);
	free(ca.der);
}

static void no_certificate_and_garbage_are_refused(void **state)
{
	struct world *w = *state;
	unsigned char bytes[] = "garbage";
	struct pem_cert garbage = {.der = bytes, .size = sizeof(bytes)};
	refused(NULL, 0, w->key, &w->app, NOW, EBADMSG, "no certificate");
	refused(&garbage, 1, w->key, &w->app, NOW, EBADMSG, "does not parse");
	struct secret *bad = secret_copy(bytes, sizeof(bytes));
	struct error err = {0};
	refused(&w->leaf, 1, bad, &w->app, NOW, EBADMSG, "key does not parse");
	assert_int_equal(x509_check_key(bad, &err), -EBADMSG);
	secret_free(bad);
}

static void weak_keys_are_refused_and_strong_ones_taken(void **state)
{
	(void)state;
	struct error err = {0};
	EVP_PKEY *weak[] = {EVP_RSA_gen(1024), EVP_EC_gen("P-224"),
			    EVP_PKEY_Q_keygen(NULL, NULL, "X25519")};
	EVP_PKEY *strong[] = {EVP_RSA_gen(2048), EVP_EC_gen("P-384"),
			      EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")};
	for (size_t i = 0; i < 3; i++) {
		struct secret *key = pkcs8(weak[i]);
		assert_int_equal(x509_check_key(key, &err), -EKEYREJECTED);
		secret_free(key);
		EVP_PKEY_free(weak[i]);
		key = pkcs8(strong[i]);
		assert_int_equal(x509_check_key(key, &err), 0);
		secret_free(key);
		EVP_PKEY_free(strong[i]);
	}
}

static void info_says_what_the_leaf_is(void **state)
{
	struct world *w = *state;
	struct cert_info info;
	struct error err = {0};
	assert_int_equal(x509_info(&w->leaf, &info, &err), 0);
	assert_true(info.not_before_s == NOW - DAY && info.not_after_s == NOW + 9 * DAY);
	assert_string_equal(info.serial, "1234");
	assert_string_equal(info.issuer, "Low");
	assert_string_equal(info.subject, "");
	assert_string_equal(
	    info.names, "app.example.com www.example.com *.zone.example.com 192.0.2.1");
	assert_string_equal(info.key_type, "ECDSA P-256");
	unsigned char digest[32];
	assert_int_equal(
	    EVP_Digest(w->leaf.der, w->leaf.size, digest, NULL, EVP_sha256(), NULL), 1);
	assert_memory_equal(info.sha256, digest, 32);
}

static void many_names_are_cut_at_a_names_border(void **state)
{
	struct world *w = *state;
	char san[4096] = "";
	struct cert_info info;
	struct error err = {0};
	for (int i = 0; i < 60; i++)
		sprintf(san + strlen(san), "%sDNS:host-%02d.example.com", i ? "," : "",
			i);
	struct pem_cert cert =
	    sign(&(struct wanted){"", "Low", san, false, 0, 0}, w->leaf_key, w->low_key);
	assert_int_equal(x509_info(&cert, &info, &err), 0);
	assert_true(strlen(info.names) > sizeof(info.names) - 24);
	assert_string_equal(info.names + strlen(info.names) - 4, ".com");
	refused(&cert, 1, w->key, &w->app, NOW, EKEYREJECTED,
		"…, this directory is app.example.com");
	free(cert.der);
}

static void self_signed_leaf_is_a_pair_by_our_own_rules(void **state)
{
	(void)state;
	static const char *const names[] = {"app.example.com", "192.0.2.1",
					    "2001:db8::1",     "wildcard_.example.com",
					    "intranet",        "fallback"};
	struct error err = {0};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct name name = named(names[i]), alias = named("www.example.com");
		struct secret *key = NULL;
		struct pair made, pair;
		struct cert_info info;
		assert_int_equal(x509_key_new(KEY_P256, &key, &err), 0);
		assert_int_equal(
		    x509_self_sign(key, &name, &alias, 1, NOW, 90, &made, &err), 0);
		if (x509_pair(&made.leaf, 1, made.key, &name, &alias, 1, NOW, &pair,
			      &err) != 0)
			fail_msg("%s", err.text);
		assert_string_equal(pair.warning, "");
		assert_int_equal(x509_info(&made.leaf, &info, &err), 0);
		assert_true(info.not_before_s == NOW - 3600);
		assert_true(info.not_after_s == NOW + 90 * DAY);
		if (name.kind == NAME_FALLBACK)
			assert_string_equal(info.names,
					    "fallback.invalid www.example.com");
		pair_clear(&made);
		pair_clear(&pair);
		secret_free(key);
	}
}

static void request_names_all_and_is_signed_by_its_key(void **state)
{
	struct world *w = *state;
	const struct name names[] = {w->app, named("wildcard_.example.com"),
				     named("2001:db8::1")};
	unsigned char *der = NULL;
	size_t size;
	struct error err = {0};
	assert_int_equal(x509_csr(w->key, names, 3, &der, &size, &err), 0);
	const unsigned char *p = der;
	X509_REQ *req = d2i_X509_REQ(NULL, &p, (long)size);
	assert_non_null(req);
	assert_int_equal(X509_REQ_verify(req, w->leaf_key), 1);
	STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(req);
	GENERAL_NAMES *sans =
	    X509V3_get_d2i(extensions, NID_subject_alt_name, NULL, NULL);
	assert_int_equal(sk_GENERAL_NAME_num(sans), 3);
	assert_int_equal(sk_GENERAL_NAME_value(sans, 1)->type, GEN_DNS);
	assert_memory_equal(
	    ASN1_STRING_get0_data(sk_GENERAL_NAME_value(sans, 1)->d.dNSName),
	    "*.example.com", 13);
	assert_int_equal(sk_GENERAL_NAME_value(sans, 2)->type, GEN_IPADD);
	GENERAL_NAMES_free(sans);
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	X509_REQ_free(req);
	free(der);
}

static void key_types_are_made_as_named(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *name, *type;
	} known[] = {{"p256", "ECDSA P-256"},
		     {"p384", "ECDSA P-384"},
		     {"rsa2048", "RSA 2048"},
		     {"rsa3072", "RSA 3072"}};
	enum key_type type = KEY_P256;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		struct secret *key = NULL;
		struct pair pair;
		struct cert_info info;
		struct error err = {0};
		assert_true(key_type_parse(known[i].name, &type));
		assert_int_equal(x509_key_new(type, &key, &err), 0);
		assert_int_equal(
		    x509_self_sign(key, &w->app, NULL, 0, NOW, 1, &pair, &err), 0);
		assert_int_equal(x509_info(&pair.leaf, &info, &err), 0);
		assert_string_equal(info.key_type, known[i].type);
		pair_clear(&pair);
		secret_free(key);
	}
	assert_true(key_type_parse("rsa4096", &type));
	assert_int_equal(type, KEY_RSA4096);
	assert_false(key_type_parse("rsa1024", &type));
	assert_false(key_type_parse("", &type));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(chain_is_put_in_order_whatever_order_it_came_in),
	    cmocka_unit_test(missing_intermediate_is_a_warning),
	    cmocka_unit_test(twin_of_the_root_goes_before_the_root),
	    cmocka_unit_test(stranger_in_the_chain_is_refused),
	    cmocka_unit_test(ca_and_server_of_one_subject_are_told_apart),
	    cmocka_unit_test(key_of_another_certificate_is_refused),
	    cmocka_unit_test(certificate_of_another_name_is_refused_with_both),
	    cmocka_unit_test(every_alias_must_be_covered),
	    cmocka_unit_test(names_of_each_kind_are_covered_by_their_own),
	    cmocka_unit_test(common_name_alone_covers_nothing),
	    cmocka_unit_test(time_must_be_within_the_certificates),
	    cmocka_unit_test(ca_is_no_leaf),
	    cmocka_unit_test(no_certificate_and_garbage_are_refused),
	    cmocka_unit_test(weak_keys_are_refused_and_strong_ones_taken),
	    cmocka_unit_test(info_says_what_the_leaf_is),
	    cmocka_unit_test(many_names_are_cut_at_a_names_border),
	    cmocka_unit_test(self_signed_leaf_is_a_pair_by_our_own_rules),
	    cmocka_unit_test(request_names_all_and_is_signed_by_its_key),
	    cmocka_unit_test(key_types_are_made_as_named),
	};
	return cmocka_run_group_tests(tests, make, unmake);
}
