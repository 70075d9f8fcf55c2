/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/words.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Copies one word to *out; returns where it ends, NULL when a quote isn't closed. */
static const char *take_word(const char *at, char **out)
{
	bool quoted = false;
	for (; *at && (quoted || !is_blank(*at)); at++) {
		if (*at == '"') {
			quoted = !quoted;
			continue;
		}
		if (quoted && *at == '\\' && (at[1] == '"' || at[1] == '\\'))
			at++;
		*(*out)++ = *at;
	}
	*(*out)++ = '\0';
	return quoted ? NULL : at;
}

static int check_text(const char *text, struct error *err)
{
	for (; *text; text++)
		if (((unsigned char)*text < ' ' && *text != '\t') || *text == 0x7f)
			return error_set(err, EINVAL,
					 "a control character stands in the command");
	return 0;
}

int words_split(const char *text, char ***words, struct error *err)
{
	size_t length = strlen(text), count = 0;
	int r = check_text(text, err);
	if (r < 0)
		return r;
	/* A word takes a character and a blank at least, which ends up as its 0. */
	size_t room = length / 2 + 2;
	char **made = malloc(room * sizeof(*made) + length + 1);
	if (!made)
		return error_set(err, ENOMEM, "no memory for a command");
	char *out = (char *)(made + room);
	while (is_blank(*text))
		text++;
	while (*text) {
		made[count++] = out;
		text = take_word(text, &out);
		if (!text) {
			free(made);
			return error_set(err, EINVAL, "a double quote isn't closed");
		}
		while (is_blank(*text))
			text++;
	}
	made[count] = NULL;
	if (count == 0) {
		free(made);
		return error_set(err, EINVAL, "no program is named");
	}
	*words = made;
	return 0;
}

int words_command(const char *text, char ***words, struct error *err)
{
	int r = words_split(text, words, err);
	if (r < 0 || (*words)[0][0] == '/')
		return r;
	r = error_set(err, EINVAL,
		      "the program '%.200s' must be named by its absolute path, such as "
		      "/usr/bin/systemctl",
		      (*words)[0]);
	free(*words);
	*words = NULL;
	return r;
}
