/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* db_folder: the files of the store's folder, around what LMDB does with them. For db.c. */
#ifndef CERTFS_STORE_DB_FOLDER_H
#define CERTFS_STORE_DB_FOLDER_H

#include "store/error.h"

/* Holds `certfs.lock` until *lock_fd is closed (or the process dies). EBUSY: another daemon
 * has it; names its process, and the folder as `name`. A process that is dead but for a thread that waits in the kernel
 * keeps its files open for as long: it has lost the lock all the same, since that thread may
 * wait for the one who takes the store over. What such a thread still writes is LMDB's to
 * order: its write lock is given on when the thread has ended, and not before. */
int db_folder_lock(const char *folder, const char *name, int *lock_fd, struct error *err);
/* Whether somebody has it now, changing nothing: EBUSY as above. */
int db_folder_check(const char *folder, struct error *err);

/* Takes away what a first start left unfinished. Under the lock, before LMDB opens. */
int db_folder_clear(const char *folder, struct error *err);

/* Gives a readers' table that root has made to the store's owner. */
void db_folder_adopt(const char *folder);

#endif
