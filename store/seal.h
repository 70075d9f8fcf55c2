/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* seal: private keys in the store, encrypted with AES-256-GCM when a master key is
 * configured, with a random nonce each.
 *
 * The associated data binds what is sealed to its place (for a generation's key: domain
 * number and generation), so that rows can't be swapped. Without a master key the bytes
 * are stored as they are, marked so by the first byte; both kinds can stand side by side
 * in one store, so that a master key can be configured later. */
#ifndef CERTFS_STORE_SEAL_H
#define CERTFS_STORE_SEAL_H

#include "store/error.h"
#include "store/secret.h"

#include <stdint.h>

struct seal; /* holds the master key, cleansed when freed */

/* Reads exactly 32 raw bytes or 64 hex digits from `key_file`; NULL means no sealing. */
int seal_open(struct seal **seal, const char *key_file, struct error *err);
void seal_close(struct seal *seal);

/* A new secret with the sealed form, the caller's to free; `place` is the associated data.
 * `seal` may be NULL. ENOMEM, EIO. */
int seal_encrypt(const struct seal *seal, const struct secret *plain, const void *place,
		 size_t place_size, struct secret **sealed, struct error *err);
/* The way back. EACCES when it was sealed and no master key is at hand, EBADMSG when it
 * does not open. */
int seal_decrypt(const struct seal *seal, const void *sealed, size_t size,
		 const void *place, size_t place_size, struct secret **plain,
		 struct error *err);

#endif
