/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* seal: private keys in the store, encrypted with AES-256-GCM when a master key is
 * configured. The associated data binds a sealed key to its place (domain number and
 * generation), so that rows can't be swapped. Without a master key the bytes are stored
 * as they are, marked so by the first byte. */
#ifndef CERTFS_STORE_SEAL_H
#define CERTFS_STORE_SEAL_H

#include "store/error.h"
#include "store/secret.h"

#include <stdint.h>

struct seal; /* holds the master key, cleansed when freed */

/* Reads exactly 32 raw bytes or 64 hex digits from `key_file`; NULL means no sealing. */
int seal_open(struct seal **seal, const char *key_file, struct error *err);
void seal_close(struct seal *seal);

/* A new secret with the sealed form; `place` is the associated data. */
int seal_close_key(const struct seal *seal, const struct secret *plain, const void *place,
		   size_t place_size, struct secret **sealed, struct error *err);
/* EACCES when it was sealed and no master key is at hand, EBADMSG when it does not open. */
int seal_open_key(const struct seal *seal, const void *sealed, size_t size,
		  const void *place, size_t place_size, struct secret **plain,
		  struct error *err);

#endif
