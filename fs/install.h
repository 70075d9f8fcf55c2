/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* install: a file that was written becomes a custom certificate, in the store thread.
 *
 * Certificate and key arrive as two files, in either order. The first one waits (waiting.h);
 * the second completes the install in one transaction. A file with both installs at once. A
 * certificate whose key is the one already served (a renewal with the same key), and a chain
 * for the certificate in force, need no second file. What is refused changes nothing but
 * the `refused` line of the status page. */
#ifndef CERTFS_FS_INSTALL_H
#define CERTFS_FS_INSTALL_H

#include "fs/work.h"

/* item->number, kind, content, uid, mode, gid, mtime_s. EBADMSG, EKEYREJECTED, EKEYEXPIRED,
 * EFBIG with the reason. item->size above PEM_FILE_MAX: more was to be written than there is. */
int install_run(struct item *item, struct txn *txn, struct error *err);
/* Notes why it was refused. */
int install_refused(struct item *item, struct txn *txn, struct error *err);
/* item->number, kind, size: notes that its last writer left it half written, or empty, which no
 * close told. */
int install_unfinished(struct item *item, struct txn *txn, struct error *err);

#endif
