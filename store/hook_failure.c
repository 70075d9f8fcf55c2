/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/hook_failure.h"

#include "store/codec.h"

#include <errno.h>
#include <string.h>

#define RECORD 1

static const char key[] = "hook-failure";

int hook_failure_put(struct txn *txn, const struct hook_failure *f, struct error *err)
{
	unsigned char record[sizeof(f->text) + 32];
	struct enc e;

	enc_init(&e, record, sizeof(record));
	enc_u8(&e, RECORD);
	enc_i64(&e, f->at_s);
	enc_text(&e, f->text);
	return db_put(txn, DB_META, key, strlen(key), record, e.size, err);
}

int hook_failure_get(struct txn *txn, struct hook_failure *f, struct error *err)
{
	struct db_value value;
	struct dec d;
	int rc = db_get(txn, DB_META, key, strlen(key), &value, err);

	memset(f, 0, sizeof(*f));
	if (rc == -ENOENT)
		error_clear(err);
	if (rc)
		return rc;
	dec_init(&d, value.data, value.size);
	if (dec_u8(&d) != RECORD)
		d.bad = true;
	f->at_s = dec_i64(&d);
	dec_text(&d, f->text, sizeof(f->text));
	if (!dec_done(&d))
		return error_set(
		    err, EIO, "what the hook's last run came to is damaged in the store");
	return 0;
}

int hook_failure_clear(struct txn *txn, struct error *err)
{
	return db_del(txn, DB_META, key, strlen(key), err);
}
