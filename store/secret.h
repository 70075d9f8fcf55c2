/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* secret: bytes that must not outlive their use.
 *
 * Key bytes live in `struct secret` and nowhere else: its room is fixed when it is made,
 * it is never moved, and it is cleansed when freed. It has no printf form. A grep for
 * "secret_" finds each place that touches a key. Not thread-safe; one owner at a time,
 * who frees it. Pointers into it hold until secret_free() or secret_grow(). */
#ifndef CERTFS_STORE_SECRET_H
#define CERTFS_STORE_SECRET_H

#include <stddef.h>

struct secret; /* opaque */

/* Room for `capacity` bytes, empty. NULL when there is no memory. */
struct secret *secret_new(size_t capacity);
/* A secret of just these bytes. NULL when there is no memory. */
struct secret *secret_copy(const void *data, size_t size);
void secret_free(struct secret *s); /* NULL is fine */

const unsigned char *secret_data(const struct secret *s);
unsigned char *secret_room(struct secret *s); /* all `capacity` bytes, writable */
size_t secret_size(const struct secret *s);
size_t secret_capacity(const struct secret *s);
/* Room for `size` bytes at least: where *s (NULL is an empty one) has less, a larger one
 * with the same content takes its place, the old one is cleansed. -ENOMEM: it is as it was. */
int secret_grow(struct secret **s, size_t size);
/* Cuts, or lengthens by zeros; `size` <= capacity, what is more is left out. For what was
 * put into secret_room() by hand use secret_fill(): what this uncovers is zeroed. */
void secret_resize(struct secret *s, size_t size);
/* `size` bytes of secret_room() were filled by someone else (a library). */
void secret_fill(struct secret *s, size_t size);
/* 0, or -ENOSPC when `size` more bytes don't fit; then nothing is appended. */
int secret_append(struct secret *s, const void *data, size_t size);

#endif
