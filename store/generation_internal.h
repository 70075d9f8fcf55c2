/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* generation_internal: what generation.c (one generation and its row) and generation_keep.c
 * (which ones there are, and which of them go) share; for these two alone. */
#ifndef CERTFS_STORE_GENERATION_INTERNAL_H
#define CERTFS_STORE_GENERATION_INTERNAL_H

#include "store/generation.h"

/* The key of a row, and the place to which its private key is sealed. */
#define GENERATION_KEY 8
void generation_key(unsigned char *key, uint32_t number, uint32_t gen);
/* Takes the row away, and its hold on the chain. */
int generation_del(struct txn *txn, uint32_t number, uint32_t gen, struct error *err);
/* The newest generation of `number`; 0: it has none. */
int generation_newest(struct txn *txn, uint32_t number, uint32_t *gen, struct error *err);

#endif
