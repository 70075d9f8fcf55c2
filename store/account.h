/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* account: one ACME account a CA (RFC 8555 §7.3): its key, and its URL (`kid`) once the
 * CA has made it.
 *
 * The key is stored before the CA is asked, so that a lost answer costs nothing:
 * newAccount with the same key finds the account (§7.3.1). It is sealed like any
 * other. */
#ifndef CERTFS_STORE_ACCOUNT_H
#define CERTFS_STORE_ACCOUNT_H

#include "store/db.h"
#include "store/secret.h"

#define URL_MAX 1024 /* of any URL of a CA, with its terminating NUL */

struct account {
	char directory[URL_MAX];
	char kid[URL_MAX];  /* "" until the CA has made it */
	char contact[1024]; /* as last sent, comma separated */
	struct secret *key; /* P-256, PKCS#8 DER */
};

/* ENOENT when there is none. account_clear() frees the key; nothing is to be cleared
 * after a failure. */
int account_get(struct txn *txn, const char *directory, struct account *a,
		struct error *err);
/* Makes the row for a->directory or replaces it; `a` stays the caller's. */
int account_put(struct txn *txn, const struct account *a, struct error *err);
void account_clear(struct account *a);

#endif
