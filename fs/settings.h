/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* settings: the configuration as in force, written out. Of secrets only the names of
 * their files are known here. */
#ifndef CERTFS_FS_SETTINGS_H
#define CERTFS_FS_SETTINGS_H

#include "store/config.h"

#include <stdio.h>

/* A failed write shows in ferror(out) alone. All of it, as an INI file that could be read
 * again. */
void settings_write(FILE *out, const struct config *cfg);
/* What bears on one name's certificate: "key = value", and where the value comes from:
 * built in when it is that of `defaults`, else the configuration file. `defaults` may be
 * NULL: then the two are told apart only where there is no file. */
void settings_write_policy(FILE *out, const struct config *cfg,
			   const struct config *defaults);

#endif
