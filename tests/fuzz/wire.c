/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "acme/wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct wire_message *m = malloc(sizeof(*m));
	unsigned char *again = malloc(WIRE_MESSAGE_MAX);
	struct error err;
	size_t again_size;

	if (!m || !again)
		abort();
	/* What was understood says the same when it is said again. */
	if (wire_decode(data, size, m, &err) == 0 &&
	    (wire_encode(m, again, &again_size, &err) < 0 || again_size != size ||
	     memcmp(again, data, size) != 0))
		abort();
	free(again);
	free(m);
	return 0;
}
