/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* x509_internal: what x509.c and pair.c share; nobody else includes it, so that OpenSSL's
 * types stay in these two files. */
#ifndef CERTFS_STORE_X509_INTERNAL_H
#define CERTFS_STORE_X509_INTERNAL_H

#include "store/x509.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

/* "WHAT failed in the crypto library: …", EIO. */
int x509_crypto_error(struct error *err, const char *what);
X509 *x509_load(const struct pem_cert *cert);      /* NULL: does not parse */
EVP_PKEY *x509_load_key(const struct secret *key); /* NULL: does not parse */
int64_t x509_time_s(const ASN1_TIME *time);        /* seconds since 1970 */
int x509_check_strength(EVP_PKEY *pkey, struct error *err);
void x509_describe_key(EVP_PKEY *pkey, char *out, size_t room);
/* The text of a dNSName or iPAddress; false for other kinds. */
bool x509_san_text(const GENERAL_NAME *san, char *out, size_t room);

#endif
