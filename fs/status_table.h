/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* status_table: status.json as a table for a terminal.
 *
 *   DOMAIN           STATE    SERVES   UNTIL                 NEXT
 *   app.example.com  failing  managed  2026-03-01 (29 days)  2026-01-30 next try
 *
 *   Needs attention
 *     app.example.com (failing): …what to do…
 *
 * Columns are as wide as their widest cell, counted in characters as a terminal shows
 * them; only the last is cut, so that a line fits 80 columns (or the terminal's). Control
 * characters don't get through. Colour only on a terminal and without NO_COLOR. */
#ifndef CERTFS_FS_STATUS_TABLE_H
#define CERTFS_FS_STATUS_TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* `root` has "listed", an array of rows (status.h), and where it is of the whole mount
 * the counts. False: no memory. What a row lacks is left empty. */
bool status_table(FILE *out, const json_t *root);

#endif
