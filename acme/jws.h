/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* jws: JSON Web Signatures as ACME wants them (RFC 8555 §6.2, RFC 7515, RFC 7518 §3.4).
 *
 * Two halves that live in different processes: the signing input is put together by the
 * net worker, the signature is made by the fs worker, which alone has the key. */
#ifndef CERTFS_ACME_JWS_H
#define CERTFS_ACME_JWS_H

#include "store/error.h"
#include "store/secret.h"

#include <stddef.h>

/* Base64url without padding (RFC 4648 §5), 0-terminated; free() it. NULL: no memory. */
char *jws_base64url(const void *data, size_t size);
/* EBADMSG when it isn't base64url. */
int jws_base64url_decode(const char *text, unsigned char **data, size_t *size,
			 struct error *err);

/* Public half of a P-256 key as a JWK, members in the order of RFC 7638, no blanks. */
int jws_jwk(const struct secret *key, char *out, size_t capacity, struct error *err);
/* RFC 7638 thumbprint (SHA-256, base64url) of such a JWK. `out` has 44 bytes. */
int jws_thumbprint(const char *jwk, char *out, struct error *err);

/* "BASE64URL(protected).BASE64URL(payload)". `protected_json` and `payload_json` as they are
 * to be sent; payload "" is POST-as-GET. free() the result. */
int jws_input(const char *protected_json, const char *payload_json, char **input,
	      struct error *err);
/* The flattened JSON serialization of an input and its raw signature. free() it. */
int jws_serialize(const char *input, const unsigned char *signature, size_t size,
		  char **json, struct error *err);

/* ES256: 64 bytes r||s (RFC 7518 §3.4). HS256: 32 bytes. `out` has 64 bytes. */
int jws_sign_es256(const struct secret *key, const void *input, size_t size,
		   unsigned char *out, struct error *err);
int jws_sign_hs256(const struct secret *key, const void *input, size_t size,
		   unsigned char *out, struct error *err);

#endif
