/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/error.h"

#include "store/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void set(struct error *err, int code, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

static void set(struct error *err, int code, const char *format, va_list args)
{
	int length = vsnprintf(err->text, sizeof(err->text), format, args);

	if (length < 0)
		err->text[0] = '\0';
	else if ((size_t)length >= sizeof(err->text))
		text_trim(err->text);
	/* A name or a CA's words may hold anything; pages and JSON are made from it. */
	text_clean(err->text);
	err->code = code;
}

int error_set(struct error *err, int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	set(err, code, format, args);
	va_end(args);
	return -code;
}

void error_note(struct error *err, int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	set(err, code, format, args);
	va_end(args);
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
		text_trim(err->text);
	text_clean(err->text);
	return -err->code;
}

void error_clear(struct error *err)
{
	err->code = 0;
	err->text[0] = '\0';
}
