/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* text: what came from outside, made fit for a line, a page or JSON.
 *
 * A file's name or subject and a CA's words may be any bytes. Both calls work in place and
 * never make a text longer; afterwards a valid text is as it was. */
#ifndef CERTFS_STORE_TEXT_H
#define CERTFS_STORE_TEXT_H

/* Replaces control characters (C0, DEL, C1) and what is no UTF-8 (RFC 3629 §4) by '?', so
 * that nothing forges a line or moves a terminal's cursor. */
void text_clean(char *text);

/* For a text that was cut to fit its buffer: takes away the character that the cut halved. */
void text_trim(char *text);

/* Levenshtein's distance, for "did you mean": how many characters must be put in, left out
 * or changed. UINT_MAX where `b` has more than 63. Up to TEXT_NEAR, one was meant. */
#define TEXT_NEAR 3
unsigned text_distance(const char *a, const char *b);

#endif
