/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/text.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Length of the valid UTF-8 sequence at `p`, 0 when it is none. */
static size_t utf8_sequence(const unsigned char *p)
{
	size_t length = p[0] < 0xc2   ? 0
			: p[0] < 0xe0 ? 2
			: p[0] < 0xf0 ? 3
			: p[0] < 0xf5 ? 4
				      : 0;
	for (size_t i = 1; i < length; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && length && p[1] < 0xa0) ||
	    (p[0] == 0xed && length && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && length && p[1] < 0x90) ||
	    (p[0] == 0xf4 && length && p[1] > 0x8f))
		return 0;
	return length;
}

void text_clean(char *text)
{
	unsigned char *p = (unsigned char *)text;
	while (*p) {
		size_t length = *p >= 0x80 ? utf8_sequence(p) : 1;
		bool c1 = length == 2 && p[0] == 0xc2 && p[1] < 0xa0; /* U+0080..U+009F */
		if (length == 0 || c1 || *p < 0x20 || *p == 0x7f) {
			*p++ = '?';
			continue;
		}
		p += length;
	}
}

void text_trim(char *text)
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

unsigned text_distance(const char *a, const char *b)
{
	unsigned row[64];
	size_t length = strlen(b);
	if (length >= sizeof(row) / sizeof(*row))
		return UINT_MAX;
	for (unsigned j = 0; j <= length; j++)
		row[j] = j;
	for (unsigned i = 1; a[i - 1]; i++) {
		unsigned diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= length; j++) {
			unsigned change = diagonal + (a[i - 1] != b[j - 1]);
			unsigned one = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
			diagonal = row[j];
			row[j] = change < one ? change : one;
		}
	}
	return row[length];
}
