/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* config_text: the text of a configuration, as it was read once.
 *
 * A worker that starts must find the configuration that is in force, whatever somebody has
 * made of the file since. So the supervisor keeps the text, in a sealed memfd, and workers
 * read that. It is text and no struct, so that another version of certfs can read it. */
#ifndef CERTFS_STORE_CONFIG_TEXT_H
#define CERTFS_STORE_CONFIG_TEXT_H

#include "store/config.h"

#include <stdbool.h>

#define CONFIG_TEXT_MAX (1024 * 1024)

/* Takes what stands in `path`, right or wrong; NULL as for config_load(). *fd is the caller's
 * to close. ENOENT, EFBIG. */
int config_text_read(const char *path, int *fd, struct error *err);
/* As config_load() would have, when the text was taken: also the reasons name file and line. */
int config_text_load(int fd, struct config **cfg, struct error *err);
/* Whether both came from the same file and say the same. */
bool config_text_same(int a, int b);

#endif
