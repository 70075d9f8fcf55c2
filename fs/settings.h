/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* settings: the configuration as in force, written out. Of secrets only the names of
 * their files are known here. */
#ifndef CERTFS_FS_SETTINGS_H
#define CERTFS_FS_SETTINGS_H

#include "store/config.h"
#include "store/policy.h"

#include <stdio.h>

/* A failed write shows in ferror(out) alone. All of it, as an INI file that could be read
 * again. */
void settings_write(FILE *out, const struct config *cfg);
/* A policy file (store/policy.h): each setting in force with a line on where its value comes
 * from. What `policy` sets is a line of its own, what it leaves to others stands in a
 * comment, so that what is written here can be read back as the same policy. A value is
 * "built in" when it is that of `defaults`, else the configuration file's; `defaults` may be
 * NULL: then the two are told apart only where there is no file. */
void settings_write_policy(FILE *out, const struct policy *policy,
			   const struct config *cfg, const struct config *defaults);

#endif
