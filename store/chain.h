/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* chain: the intermediates of generations, each chain stored once for all domains.
 *
 * A row of DB_CHAINS counts the generations that have it and goes with the last of them.
 * The digest of no certificates at all is all 0 and has no row. */
#ifndef CERTFS_STORE_CHAIN_H
#define CERTFS_STORE_CHAIN_H

#include "store/db.h"
#include "store/x509.h"

#define CHAIN_DIGEST 32 /* SHA-256 */

/* Stores the chain of `p`, or counts one more generation that has it; fills in
 * `digest`. */
int chain_hold(struct txn *txn, const struct pair *p, unsigned char *digest,
	       struct error *err);
/* One generation less has it: takes back one chain_hold(). */
int chain_drop(struct txn *txn, const unsigned char *digest, struct error *err);

/* Points p->chain at the certificates where they lie in the map: they are not p's to free,
 * and live as long as a value of db_get(). */
int chain_borrow(struct txn *txn, const unsigned char *digest, struct pair *p,
		 struct error *err);

#endif
