/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/error.h"

#include "store/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A cut text must not end inside a UTF-8 sequence. */
static void trim_utf8(char *text)
{
	size_t length = strlen(text);
	size_t start = length;
	while (start > 0 && length - start < 4) {
		unsigned char c = (unsigned char)text[--start];
		if ((c & 0xc0) == 0x80)
			continue;
		size_t want = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
		if (length - start < want)
			text[start] = '\0';
		return;
	}
}

int error_set(struct error *err, int code, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int length = vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	if (length < 0)
		err->text[0] = '\0';
	else if ((size_t)length >= sizeof(err->text))
		trim_utf8(err->text);
	/* A name or a CA's words may hold anything; pages and JSON are made from it. */
	log_clean(err->text);
	err->code = code;
	return -code;
}

int error_context(struct error *err, const char *format, ...)
{
	char context[ERROR_TEXT_MAX], cause[ERROR_TEXT_MAX];
	va_list args;
	va_start(args, format);
	if (vsnprintf(context, sizeof(context), format, args) < 0)
		context[0] = '\0';
	va_end(args);
	memcpy(cause, err->text, sizeof(cause));
	int length = snprintf(err->text, sizeof(err->text), "%s: %s", context, cause);
	if (length < 0 || (size_t)length >= sizeof(err->text))
		trim_utf8(err->text);
	log_clean(err->text);
	return -err->code;
}

void error_clear(struct error *err)
{
	err->code = 0;
	err->text[0] = '\0';
}
