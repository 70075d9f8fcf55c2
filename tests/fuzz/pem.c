/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* Bytes that somebody wrote to cert.pem, as far as a certificate that waits for its key.
 */
#include "store/pem.h"
#include "store/x509.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int64_t now_s = 1800000000;
	struct name name;
	struct pem pem;
	struct error err;
	if (name_parse("app.example.com", &name, &err) < 0)
		abort();
	bool parses = pem_parse(data, size, &pem, &err) == 0;
	/* What parses has a block. */
	if (parses && pem_state(data, size) == PEM_EMPTY)
		abort();
	if (!parses)
		return 0;
	for (size_t i = 0; i < pem.certs; i++) {
		struct cert_info info;
		(void)!x509_info(&pem.cert[i], &info, &err);
	}
	(void)!x509_check_certs(pem.cert, pem.certs, &name, NULL, 0, now_s, &err);
	if (pem.key) {
		struct pair pair;
		(void)!x509_check_key(pem.key, &err);
		(void)!x509_key_fits(pem.cert, pem.certs, pem.key);
		if (x509_pair(pem.cert, pem.certs, pem.key, &name, NULL, 0, now_s, &pair,
			      &err) == 0)
			pair_clear(&pair);
	}
	pem_clear(&pem);
	return 0;
}
