/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* domain_record: the bytes of a domain's row (domain.h).
 *
 * A version comes first. A row without a policy is written in the older of two, so that an earlier
 * program reads it still; both are read. Whether the name is installed is the second byte,
 * which a listing looks at by itself. */
#ifndef CERTFS_STORE_DOMAIN_RECORD_H
#define CERTFS_STORE_DOMAIN_RECORD_H

#include "store/codec.h"
#include "store/domain.h"

/* Nothing is set: the defaults are in force. */
extern const struct owner owner_keep;

void domain_record_encode(struct enc *e, const struct domain *d);
/* EIO when the row is damaged. */
int domain_record_decode(uint32_t number, const struct db_value *value, struct domain *d,
			 struct error *err);

#endif
