/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* words: a command line as it stands in the configuration, for execve(2), never for a shell.
 *
 * Blanks part words; within double quotes they don't, and \" and \\ are what they are in
 * there. Nothing else is special. */
#ifndef CERTFS_STORE_WORDS_H
#define CERTFS_STORE_WORDS_H

#include "store/error.h"

/* A NULL-terminated array in one piece of memory: free(3) takes both. EINVAL: a quote isn't
 * closed, a control character, no word at all. */
int words_split(const char *text, char ***words, struct error *err);
/* The same, where the first word must be the absolute path of a program. */
int words_command(const char *text, char ***words, struct error *err);

#endif
