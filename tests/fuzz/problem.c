/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "acme/problem.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void check(const struct wire_failure *f)
{
	if (f->verdict < WIRE_RETRY || f->verdict > WIRE_INPUT || f->text[0] == '\0' ||
	    strnlen(f->text, sizeof(f->text)) == sizeof(f->text) ||
	    strnlen(f->type, sizeof(f->type)) == sizeof(f->type) ||
	    strpbrk(f->text, "\r\n\x1b"))
		abort();
}

/* The first byte chooses the status; the rest is the body. */
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static const unsigned statuses[] = {400, 403, 404, 429, 500, 503, 301, 200};
	struct http_response r = {.content_type = "application/problem+json",
				  .location = "https://ca.example/x",
				  .nonce = ""};
	struct wire_failure f;
	json_t *error;
	char *body;

	if (size == 0)
		return 0;
	body = malloc(size);
	if (!body)
		abort();
	memcpy(body, data + 1, size - 1);
	body[size - 1] = '\0';
	r.status = statuses[data[0] % 8];
	r.body = body;
	r.size = size - 1;
	problem_from_response(&r, "placing the order", data[0] & 8, &f);
	check(&f);
	error = json_loadb(r.body, r.size, 0, NULL);
	problem_from_order(error, "the order", &f);
	check(&f);
	problem_from_challenge(error, "app.example.com", "token", &f);
	check(&f);
	json_decref(error);
	free(body);
	return 0;
}
