/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* error: a failure that a person can act on.
 *
 * Functions that can fail return 0 or -errno and take a `struct error *` last. The
 * lowest frame that knows the cause writes it, with the value in it; frames above may
 * put context in front (error_context) and never replace it. `err` may not be NULL.
 * The code follows certfs' use of errno for certificates: EBADMSG does not parse,
 * EKEYREJECTED does not match, EKEYEXPIRED is not valid now. */
#ifndef CERTFS_STORE_ERROR_H
#define CERTFS_STORE_ERROR_H

#define ERROR_TEXT_MAX 512

struct error {
	int code;                  /* positive errno, 0 when nothing failed */
	char text[ERROR_TEXT_MAX]; /* one sentence, no full stop, valid UTF-8 */
};

/* Sets code and text and returns -code, so that setting and returning is one
 * expression. A text that is too long is cut at a character's border. */
int error_set(struct error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4), warn_unused_result));

/* The same where nothing is returned. */
void error_note(struct error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "CONTEXT: " in front of the text. Returns -err->code. */
int error_context(struct error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void error_clear(struct error *err);

#endif
