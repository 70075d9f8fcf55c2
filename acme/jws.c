/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "acme/jws.h"

#include <errno.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define P256_BYTES 32

char *jws_base64url(const void *data, size_t size)
{
	char *out, *p;
	int n;

	if (size > INT_MAX / 2)
		return NULL;
	out = malloc(4 * ((size + 2) / 3) + 1);
	if (!out)
		return NULL;
	n = EVP_EncodeBlock((unsigned char *)out, data, (int)size);
	while (n > 0 && out[n - 1] == '=')
		n--;
	out[n] = '\0';
	for (p = out; *p; p++) {
		if (*p == '+')
			*p = '-';
		else if (*p == '/')
			*p = '_';
	}
	return out;
}

static bool is_base64url(const char *text, size_t size)
{
	return strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			    "0123456789-_") == size;
}

int jws_base64url_decode(const char *text, unsigned char **data, size_t *size,
			 struct error *err)
{
	const size_t length = strlen(text), padded = (length + 3) / 4 * 4;
	char *plain = NULL, *again = NULL;
	unsigned char *out = NULL;
	int n, r = 0;

	if (length > INT_MAX / 2 || length % 4 == 1 || !is_base64url(text, length))
		return error_set(err, EBADMSG,
				 "a text of %zu characters is not base64url", length);
	plain = malloc(padded + 1);
	out = malloc(padded / 4 * 3 + 1);
	if (!plain || !out) {
		r = error_set(err, ENOMEM, "no memory to decode %zu characters", length);
		goto out;
	}
	for (size_t i = 0; i < padded; i++) {
		const char c = i < length ? text[i] : '=';

		plain[i] = (char)(c == '-' ? '+' : c == '_' ? '/' : c);
	}
	n = EVP_DecodeBlock(out, (unsigned char *)plain, (int)padded);
	/* Bits beyond the last byte must be zero: a value has one spelling. */
	again = n < 0 ? NULL : jws_base64url(out, (size_t)n - (padded - length));
	if (!again || strcmp(again, text) != 0) {
		r = error_set(err, EBADMSG, "a text of %zu characters is not base64url",
			      length);
		goto out;
	}
	*size = (size_t)n - (padded - length);
	*data = out;
	out = NULL;
out:
	if (plain)
		OPENSSL_cleanse(plain, padded);
	if (again)
		OPENSSL_cleanse(again, strlen(again));
	if (out)
		OPENSSL_cleanse(out, padded / 4 * 3);
	free(plain);
	free(again);
	free(out);
	return r;
}

/* The account's key as OpenSSL holds it; an EC key on P-256 and nothing else. */
static int load_key(const struct secret *key, EVP_PKEY **pkey, struct error *err)
{
	const unsigned char *p = secret_data(key);
	char group[32] = "";

	*pkey = d2i_AutoPrivateKey(NULL, &p, (long)secret_size(key));
	if (*pkey && EVP_PKEY_is_a(*pkey, "EC") &&
	    EVP_PKEY_get_group_name(*pkey, group, sizeof(group), NULL) &&
	    strcmp(group, "prime256v1") == 0)
		return 0;
	ERR_clear_error();
	EVP_PKEY_free(*pkey);
	*pkey = NULL;
	return error_set(err, EBADMSG, "the account's key is no P-256 key");
}

static char *coordinate(const EVP_PKEY *pkey, const char *name)
{
	unsigned char bytes[P256_BYTES];
	BIGNUM *bn = NULL;
	char *text = NULL;

	if (EVP_PKEY_get_bn_param(pkey, name, &bn) &&
	    BN_bn2binpad(bn, bytes, sizeof(bytes)) == sizeof(bytes))
		text = jws_base64url(bytes, sizeof(bytes));
	BN_free(bn);
	return text;
}

int jws_jwk(const struct secret *key, char *out, size_t capacity, struct error *err)
{
	EVP_PKEY *pkey = NULL;
	char *x = NULL, *y = NULL;
	int n, r = load_key(key, &pkey, err);

	if (r < 0)
		return r;
	x = coordinate(pkey, OSSL_PKEY_PARAM_EC_PUB_X);
	y = coordinate(pkey, OSSL_PKEY_PARAM_EC_PUB_Y);
	if (!x || !y) {
		r = error_set(err, ENOMEM,
			      "the account's public key could not be written down");
		goto out;
	}
	n = snprintf(out, capacity,
		     "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", x,
		     y);
	if (n < 0 || (size_t)n >= capacity)
		r = error_set(err, ENOSPC, "a JWK needs %d bytes, there are %zu", n + 1,
			      capacity);
out:
	free(x);
	free(y);
	EVP_PKEY_free(pkey);
	return r;
}

int jws_thumbprint(const char *jwk, char *out, struct error *err)
{
	unsigned char digest[32];
	size_t size = 0;
	char *text = NULL;

	if (EVP_Q_digest(NULL, "SHA256", NULL, jwk, strlen(jwk), digest, &size))
		text = jws_base64url(digest, size);
	if (!text)
		return error_set(err, ENOMEM,
				 "the thumbprint of the account's key could not be made");
	memcpy(out, text, strlen(text) + 1);
	free(text);
	return 0;
}

int jws_input(const char *protected_json, const char *payload_json, char **input,
	      struct error *err)
{
	char *head = jws_base64url(protected_json, strlen(protected_json));
	char *body = jws_base64url(payload_json, strlen(payload_json));
	int r = 0;

	*input = NULL;
	if (!head || !body || asprintf(input, "%s.%s", head, body) < 0) {
		*input = NULL;
		r = error_set(err, ENOMEM, "no memory for a request of %zu bytes",
			      strlen(payload_json));
	}
	free(head);
	free(body);
	return r;
}

int jws_serialize(const char *input, const unsigned char *signature, size_t size,
		  char **json, struct error *err)
{
	const char *dot = strchr(input, '.');
	char *sig;
	int r = 0;

	if (!dot || !is_base64url(input, (size_t)(dot - input)) ||
	    !is_base64url(dot + 1, strlen(dot + 1)))
		return error_set(err, EBADMSG, "this is no JWS signing input");
	sig = jws_base64url(signature, size);
	if (!sig ||
	    asprintf(json,
		     "{\"protected\":\"%.*s\",\"payload\":\"%s\",\"signature\":\"%s\"}",
		     (int)(dot - input), input, dot + 1, sig) < 0) {
		*json = NULL;
		r = error_set(err, ENOMEM, "no memory for a request of %zu bytes",
			      strlen(input));
	}
	free(sig);
	return r;
}

/* OpenSSL's DER signature as r||s of fixed width (RFC 7518 §3.4). */
static bool raw_signature(const unsigned char *der, size_t size, unsigned char *out)
{
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)size);
	const bool ok =
	    sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, P256_BYTES) == P256_BYTES &&
	    BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + P256_BYTES, P256_BYTES) ==
		P256_BYTES;

	ECDSA_SIG_free(sig);
	return ok;
}

int jws_sign_es256(const struct secret *key, const void *input, size_t size,
		   unsigned char *out, struct error *err)
{
	unsigned char der[128];
	size_t der_size = sizeof(der);
	EVP_MD_CTX *ctx = NULL;
	EVP_PKEY *pkey = NULL;
	int r = load_key(key, &pkey, err);

	if (r < 0)
		return r;
	ctx = EVP_MD_CTX_new();
	if (!ctx || EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, pkey) <= 0 ||
	    EVP_DigestSign(ctx, der, &der_size, input, size) <= 0 ||
	    !raw_signature(der, der_size, out)) {
		ERR_clear_error();
		r = error_set(err, EIO, "the account's key did not sign a request");
	}
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	return r;
}

int jws_sign_hs256(const struct secret *key, const void *input, size_t size,
		   unsigned char *out, struct error *err)
{
	unsigned int n = 0;

	if (secret_size(key) == 0 || secret_size(key) > INT_MAX)
		return error_set(err, EBADMSG,
				 "the key of the external account is empty");
	if (!HMAC(EVP_sha256(), secret_data(key), (int)secret_size(key), input, size, out,
		  &n) ||
	    n != 32) {
		ERR_clear_error();
		return error_set(err, EIO,
				 "the key of the external account did not sign");
	}
	return 0;
}
