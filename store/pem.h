/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* pem: from bytes that someone wrote to blocks, and nothing more.
 *
 * Takes what people really have: CRLF, a byte order mark, blanks at line ends, text
 * before, between and after blocks, `EC PARAMETERS`, `TRUSTED CERTIFICATE`. Knows when a
 * file is unfinished (a writer's FLUSH in the middle) from a file that is wrong. */
#ifndef CERTFS_STORE_PEM_H
#define CERTFS_STORE_PEM_H

#include "store/error.h"
#include "store/secret.h"

#include <stdbool.h>
#include <stddef.h>

#define PEM_FILE_MAX  (1024 * 1024) /* bytes; more is EFBIG */
#define PEM_CERTS_MAX 16            /* certificates in one file; more is EFBIG */

struct pem_cert {
	unsigned char *der;
	size_t size;
};

/* What one file held. Owned by the caller: pem_clear() frees. */
struct pem {
	struct pem_cert cert[PEM_CERTS_MAX];
	size_t certs;
	struct secret *key; /* PKCS#8 DER of the private key, NULL when there was none */
};

enum pem_state { PEM_EMPTY, PEM_INCOMPLETE, PEM_WHOLE };

/* How far a file has got, by its BEGIN and END lines alone. */
enum pem_state pem_state(const void *data, size_t size);

/* EFBIG above PEM_FILE_MAX, with what to do. */
int pem_check_size(size_t size, struct error *err);

/* Where a file was written: the commands in reasons write there ("-out DIR/privkey.pem"). */
struct pem_place {
	const char *dir;  /* "": it is left out */
	const char *file; /* the name in it */
};

/* EBADMSG with what is wrong and the command that mends it: no PEM block at all (DER,
 * PKCS#12, PKCS#7: names the openssl command that converts), NUL bytes, a broken base64, a
 * certificate that does not parse, an encrypted key ("openssl pkey -in … -out …" takes the
 * passphrase off), two keys, a block without END, a certificate request, a public key.
 * EFBIG above the limits. `out` is cleared on failure. */
int pem_parse_at(const struct pem_place *place, const void *data, size_t size,
		 struct pem *out, struct error *err);
/* The same for what nobody wrote into a folder. */
int pem_parse(const void *data, size_t size, struct pem *out, struct error *err);
void pem_clear(struct pem *p);

/* ENOMEM. The caller frees `to->der`. */
int pem_cert_copy(struct pem_cert *to, const struct pem_cert *from, struct error *err);

/* PEM text of one DER certificate / of a PKCS#8 DER key, 64 columns, "\n" line ends, one
 * newline last. Appended to `out`; -ENOSPC where it doesn't fit. Room needed for `size` DER
 * bytes: pem_text_size(). */
size_t pem_text_size(size_t der_size);
int pem_write_cert(struct secret *out, const void *der, size_t size);
int pem_write_key(struct secret *out, const struct secret *pkcs8);

#endif
