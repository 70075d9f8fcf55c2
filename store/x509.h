/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* x509: what is asked of a certificate, a key and a chain (RFC 5280), through OpenSSL 3.
 *
 * Owns the one place that translates OpenSSL's errors. A `struct pair` is a leaf, its
 * chain and its key that were checked to belong together. */
#ifndef CERTFS_STORE_X509_H
#define CERTFS_STORE_X509_H

#include "store/error.h"
#include "store/name.h"
#include "store/pem.h"
#include "store/secret.h"

#include <stdint.h>

struct pair {
	struct pem_cert leaf;
	struct pem_cert chain[PEM_CERTS_MAX]; /* in order, roots left out */
	size_t chain_size;
	struct secret *key; /* PKCS#8 DER */
	char warning[256];  /* e.g. a missing intermediate; "" when there is none */
};

void pair_clear(struct pair *p);

/* What a page for people wants to know of a leaf. */
struct cert_info {
	int64_t not_before_s, not_after_s;
	unsigned char sha256[32]; /* of the DER */
	char serial[64];          /* hex, lower case */
	char issuer[128];         /* the issuer's CN, else its O, printable */
	char subject[128];
	char names[512];   /* SAN, space separated, cut at a name's border */
	char key_type[32]; /* "ECDSA P-256", "RSA 2048", "Ed25519" */
};

int x509_info(const struct pem_cert *leaf, struct cert_info *info, struct error *err);

/* Puts certificates and a key together to a pair for `name` and its `aliases`
 * (`alias_count` may be 0), as valid at `now_s`:
 * EBADMSG       no certificate among `certs`
 * EKEYREJECTED  the key is not the leaf's; no SAN covers `name` or one of the aliases (names
 *               what the certificate is for); the leaf is a CA; key too weak (RSA < 2048,
 *               EC below P-256, DSA); leaf not yet valid
 * EKEYEXPIRED   the leaf's time is over
 * The leaf is the certificate whose key is `key`; where `key` is NULL (x509_pair_partial)
 * it is the first that is no CA. The chain's order is mended by following issuers, a
 * duplicate and a self-signed root are dropped, a stranger is EKEYREJECTED, a missing
 * intermediate is a warning. NAME_FALLBACK covers anything; NAME_WILDCARD wants "*.zone";
 * NAME_IP wants an iPAddress SAN. A certificate with only a CN is EKEYREJECTED and says so.
 * Copies what it keeps. */
int x509_pair(const struct pem_cert *certs, size_t count, const struct secret *key,
	      const struct name *name, const struct name *aliases, size_t alias_count,
	      int64_t now_s, struct pair *out, struct error *err);

/* The same without a key, so that a certificate that waits for its key can be refused at
 * once for what is wrong with itself. */
int x509_check_certs(const struct pem_cert *certs, size_t count, const struct name *name,
		     const struct name *aliases, size_t alias_count, int64_t now_s,
		     struct error *err);

/* A key alone: parses, strong enough. */
int x509_check_key(const struct secret *key, struct error *err);

/* True when the leaf among `certs` has the public key of `key`. */
bool x509_key_fits(const struct pem_cert *certs, size_t count, const struct secret *key);

enum key_type { KEY_P256, KEY_P384, KEY_RSA2048, KEY_RSA3072, KEY_RSA4096 };
/* "p256", "p384", "rsa2048"…; false: none of them. */
bool key_type_parse(const char *text, enum key_type *type);

/* A new private key, PKCS#8 DER. */
int x509_key_new(enum key_type type, struct secret **key, struct error *err);

/* Self-signed leaf for `name` and aliases with `key`: P-256/SHA-256, SAN, no CA, serverAuth,
 * CN left out, from one hour before `now_s` for `days`. For NAME_FALLBACK the SAN is
 * "fallback.invalid". */
int x509_self_sign(const struct secret *key, const struct name *name,
		   const struct name *aliases, size_t alias_count, int64_t now_s,
		   int days, struct pair *out, struct error *err);

/* A PKCS#10 request (RFC 2986) for the names, DER; the caller frees `*der` with free(). */
int x509_csr(const struct secret *key, const struct name *names, size_t count,
	     unsigned char **der, size_t *size, struct error *err);

#endif
