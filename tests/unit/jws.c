/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "acme/jws.h"
#include "store/x509.h"

#include <errno.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void base64url_has_no_padding_and_its_own_alphabet(void **state)
{
	static const struct {
		const char *raw, *text;
		size_t size;
	} known[] = {
	    {"", "", 0},        {"f", "Zg", 1},        {"fo", "Zm8", 2},
	    {"foo", "Zm9v", 3}, {"foob", "Zm9vYg", 4}, {"\xfb\xff\xfe", "-__-", 3},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		char *text = jws_base64url(known[i].raw, known[i].size);
		unsigned char *back = NULL;
		struct error err;
		size_t size;

		assert_string_equal(text, known[i].text);
		assert_int_equal(jws_base64url_decode(text, &back, &size, &err), 0);
		assert_int_equal(size, known[i].size);
		assert_memory_equal(back, known[i].raw, size);
		free(text);
		free(back);
	}
}

static void what_is_not_base64url_is_refused(void **state)
{
	/* Padding, the other alphabet, blanks, an impossible length, bits left over. */
	static const char *const bad[] = {"Zg==", "+/==", "Zm 9",     "Zm9vY",
					  "Zh",   "Zm9",  "\xc3\xa4", "Zm9v\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		unsigned char *data = NULL;
		struct error err;
		size_t size;

		assert_int_equal(jws_base64url_decode(bad[i], &data, &size, &err),
				 -EBADMSG);
		assert_null(data);
	}
}

static void jwk_is_canonical_and_its_thumbprint_is_of_44_bytes(void **state)
{
	struct secret *key = NULL;
	char jwk[512], again[44], thumbprint[44];
	struct error err;

	(void)state;
	assert_int_equal(x509_key_new(KEY_P256, &key, &err), 0);
	assert_int_equal(jws_jwk(key, jwk, sizeof(jwk), &err), 0);
	assert_memory_equal(jwk, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"", 31);
	assert_int_equal(strlen(jwk), 31 + 43 + 7 + 43 + 2);
	assert_int_equal(jws_thumbprint(jwk, thumbprint, &err), 0);
	assert_int_equal(strlen(thumbprint), 43);
	assert_int_equal(jws_thumbprint(jwk, again, &err), 0);
	assert_string_equal(thumbprint, again);
	assert_int_equal(jws_jwk(key, jwk, 40, &err), -ENOSPC);
	secret_free(key);
}

static void thumbprint_is_that_of_rfc_7638(void **state)
{
	/* §3.1's example; the digest is over the canonical text, for any type of key. */
	static const char jwk[] =
	    "{\"e\":\"AQAB\",\"kty\":\"RSA\",\"n\":"
	    "\"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbW"
	    "hM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_"
	    "BJECPebWKRXjBZCiFV4n3oknjhMstn64t"
	    "Z_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_"
	    "FDW2QvzqY368QQMicAtaSq"
	    "zs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-"
	    "bFTWhAI4vMQFh6WeZu"
	    "0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw\"}";
	char thumbprint[44];
	struct error err;

	(void)state;
	assert_int_equal(jws_thumbprint(jwk, thumbprint, &err), 0);
	assert_string_equal(thumbprint, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

static void other_keys_than_p256_are_refused(void **state)
{
	struct secret *key = NULL, *junk = secret_copy("junk", 4);
	unsigned char out[64];
	char jwk[512];
	struct error err;

	(void)state;
	assert_int_equal(x509_key_new(KEY_P384, &key, &err), 0);
	assert_int_equal(jws_jwk(key, jwk, sizeof(jwk), &err), -EBADMSG);
	assert_int_equal(jws_sign_es256(key, "x", 1, out, &err), -EBADMSG);
	assert_int_equal(jws_sign_es256(junk, "x", 1, out, &err), -EBADMSG);
	secret_free(key);
	secret_free(junk);
}

static void es256_signature_verifies_with_the_public_key(void **state)
{
	const unsigned char *p;
	unsigned char raw[64], *der = NULL;
	struct secret *key = NULL;
	struct error err;
	ECDSA_SIG *sig = ECDSA_SIG_new();
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY *pkey;
	int der_size;

	(void)state;
	assert_int_equal(x509_key_new(KEY_P256, &key, &err), 0);
	assert_int_equal(jws_sign_es256(key, "a.b", 3, raw, &err), 0);
	p = secret_data(key);
	pkey = d2i_AutoPrivateKey(NULL, &p, (long)secret_size(key));
	assert_non_null(pkey);
	assert_int_equal(
	    ECDSA_SIG_set0(sig, BN_bin2bn(raw, 32, NULL), BN_bin2bn(raw + 32, 32, NULL)),
	    1);
	der_size = i2d_ECDSA_SIG(sig, &der);
	assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, pkey), 1);
	assert_int_equal(
	    EVP_DigestVerify(ctx, der, (size_t)der_size, (const unsigned char *)"a.b", 3),
	    1);
	OPENSSL_free(der);
	ECDSA_SIG_free(sig);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	secret_free(key);
}

static void hs256_mac_is_that_of_rfc_4231(void **state)
{
	static const unsigned char want[] = {
	    0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24,
	    0x26, 0x08, 0x95, 0x75, 0xc7, 0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27,
	    0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43};
	struct secret *key = secret_copy("Jefe", 4), *empty = secret_new(4);
	unsigned char out[64];
	struct error err;

	(void)state;
	assert_int_equal(
	    jws_sign_hs256(key, "what do ya want for nothing?", 28, out, &err), 0);
	assert_memory_equal(out, want, sizeof(want));
	assert_int_equal(jws_sign_hs256(empty, "x", 1, out, &err), -EBADMSG);
	secret_free(key);
	secret_free(empty);
}

static void input_and_signature_become_flattened_json(void **state)
{
	char *input = NULL, *json = NULL;
	struct error err;

	(void)state;
	assert_int_equal(jws_input("{\"alg\":\"ES256\"}", "", &input, &err), 0);
	assert_string_equal(input, "eyJhbGciOiJFUzI1NiJ9.");
	assert_int_equal(
	    jws_serialize(input, (const unsigned char *)"\xfb\xff", 2, &json, &err), 0);
	assert_string_equal(json,
			    "{\"protected\":\"eyJhbGciOiJFUzI1NiJ9\",\"payload\":\"\","
			    "\"signature\":\"-_8\"}");
	free(input);
	free(json);
	json = NULL;
	assert_int_equal(
	    jws_serialize("no dot", (const unsigned char *)"x", 1, &json, &err),
	    -EBADMSG);
	assert_int_equal(
	    jws_serialize("a\".b", (const unsigned char *)"x", 1, &json, &err), -EBADMSG);
	assert_null(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(base64url_has_no_padding_and_its_own_alphabet),
	    cmocka_unit_test(what_is_not_base64url_is_refused),
	    cmocka_unit_test(jwk_is_canonical_and_its_thumbprint_is_of_44_bytes),
	    cmocka_unit_test(thumbprint_is_that_of_rfc_7638),
	    cmocka_unit_test(other_keys_than_p256_are_refused),
	    cmocka_unit_test(es256_signature_verifies_with_the_public_key),
	    cmocka_unit_test(hs256_mac_is_that_of_rfc_4231),
	    cmocka_unit_test(input_and_signature_become_flattened_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
