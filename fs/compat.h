/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* compat: the one place that says which libfuse is meant. Debian 12 has 3.14. */
#ifndef CERTFS_FS_COMPAT_H
#define CERTFS_FS_COMPAT_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#endif
