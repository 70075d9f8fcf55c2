/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* policy_file: DIR/policy as a file that is written.
 *
 * It is opened, written, closed or renamed over as the served files are, and in force once
 * the close or rename has succeeded; a text that is wrong fails it (EINVAL, the reason in
 * status and log) and changes nothing. A FLUSH counts when it is its opener's or when what
 * was written ends with a whole line. What is read is the settings in force (settings.h), not
 * the bytes that were written: comments are not kept. Emptied, it sets nothing any more, at
 * its last close; unlinking it changes nothing. */
#ifndef CERTFS_FS_POLICY_FILE_H
#define CERTFS_FS_POLICY_FILE_H

#include "fs/work.h"

/* For a handle of policy. */
void policy_file_flush(fuse_req_t req, struct handle *h);
/* The last close: what is left to be done with what was written. */
void policy_file_release(struct fs *fs, struct handle *h);

/* Stores item->content as the policy of item->number, with item's owner and mode. Failures
 * are noted by install_refused(). */
int policy_file_run(struct item *item, struct txn *txn, struct error *err);

#endif
