/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/domain_record.h"

#include <errno.h>
#include <string.h>

#define RECORD 1
/* A domain's row with owners of pages and a policy; the others are without, and are read by
 * earlier versions too. */
#define RECORD_WITH_POLICY 2

static void enc_owner(struct enc *e, const struct owner *o)
{
	enc_u32(e, o->uid);
	enc_u32(e, o->gid);
	enc_u32(e, o->mode);
}

static void dec_owner(struct dec *d, struct owner *o)
{
	o->uid = dec_u32(d);
	o->gid = dec_u32(d);
	o->mode = dec_u32(d);
}

const struct owner owner_keep = {OWNER_KEEP, OWNER_KEEP, OWNER_KEEP};

static bool has_policy(const struct domain *d)
{
	bool has = d->policy.set != 0 || d->policy.written_s != 0;

	for (int i = 0; i < PAGE_KINDS; i++)
		has = has || memcmp(&d->page[i], &owner_keep, sizeof(owner_keep)) != 0;
	return has;
}

/* `installed` is the second byte, so that a listing passes over retired rows without
 * reading them. */
void domain_record_encode(struct enc *e, const struct domain *d)
{
	enc_u8(e, has_policy(d) ? RECORD_WITH_POLICY : RECORD);
	enc_u8(e, d->installed);
	enc_u8(e, (uint8_t)d->name.kind);
	enc_text(e, d->name.text);
	enc_u32(e, d->target);
	enc_i64(e, d->created_s);
	enc_i64(e, d->changed_s);
	enc_owner(e, &d->dir);
	enc_u32(e, d->times_gen);
	enc_u8(e, FILE_KINDS);
	for (int i = 0; i < FILE_KINDS; i++) {
		enc_owner(e, &d->file[i]);
		enc_i64(e, d->mtime_s[i]);
	}
	enc_u32(e, d->failures);
	enc_i64(e, d->failed_s);
	enc_i64(e, d->next_try_s);
	enc_text(e, d->last_error);
	enc_i64(e, d->last_error_s);
	enc_text(e, d->refused);
	enc_i64(e, d->refused_s);
	enc_u32(e, d->reminders);
	enc_i64(e, d->remove_custom_s);
	if (!has_policy(d))
		return;
	enc_u8(e, PAGE_KINDS);
	for (int i = 0; i < PAGE_KINDS; i++)
		enc_owner(e, &d->page[i]);
	policy_encode(e, &d->policy);
}

static void dec_pages_and_policy(struct dec *in, bool there, struct domain *d)
{
	memset(&d->policy, 0, sizeof(d->policy));
	for (int i = 0; i < PAGE_KINDS; i++)
		d->page[i] = owner_keep;
	if (!there)
		return;
	if (dec_u8(in) != PAGE_KINDS)
		in->bad = true;
	for (int i = 0; i < PAGE_KINDS; i++)
		dec_owner(in, &d->page[i]);
	policy_decode(in, &d->policy);
}

int domain_record_decode(uint32_t number, const struct db_value *value, struct domain *d,
			 struct error *err)
{
	struct dec in;
	uint8_t record;

	dec_init(&in, value->data, value->size);
	record = dec_u8(&in);
	if (record != RECORD && record != RECORD_WITH_POLICY)
		in.bad = true;
	d->number = number;
	d->installed = dec_u8(&in) != 0;
	d->name.kind = (enum name_kind)dec_u8(&in);
	dec_text(&in, d->name.text, sizeof(d->name.text));
	d->target = dec_u32(&in);
	d->created_s = dec_i64(&in);
	d->changed_s = dec_i64(&in);
	dec_owner(&in, &d->dir);
	d->times_gen = dec_u32(&in);
	if (dec_u8(&in) != FILE_KINDS)
		in.bad = true;
	for (int i = 0; i < FILE_KINDS; i++) {
		dec_owner(&in, &d->file[i]);
		d->mtime_s[i] = dec_i64(&in);
	}
	d->failures = dec_u32(&in);
	d->failed_s = dec_i64(&in);
	d->next_try_s = dec_i64(&in);
	dec_text(&in, d->last_error, sizeof(d->last_error));
	d->last_error_s = dec_i64(&in);
	dec_text(&in, d->refused, sizeof(d->refused));
	d->refused_s = dec_i64(&in);
	d->reminders = dec_u32(&in);
	d->remove_custom_s = dec_i64(&in);
	dec_pages_and_policy(&in, record == RECORD_WITH_POLICY, d);
	if (!dec_done(&in) || d->name.kind > NAME_FALLBACK)
		return error_set(err, EIO, "the row of domain %u in the store is damaged",
				 (unsigned int)number);
	return 0;
}
