/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* folder: the store's folder, made by root for the fs worker's user, before there is
 * one. */
#ifndef CERTFS_FS_FOLDER_H
#define CERTFS_FS_FOLDER_H

#include "fs/confine.h"

/* Makes `path` (0700, of `ids`) when it is absent and takes an empty one of root's over.
 * EPERM when it belongs to someone else, with the command that mends it. */
int folder_prepare(const char *path, const struct confine_ids *ids, struct error *err);

#endif
