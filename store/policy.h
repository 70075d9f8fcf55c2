/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* policy: what is set for one name alone, and otherwise stands in certfs.conf.
 *
 * As a text: one `key = value` a line, `#` and `;` begin a comment. A key that is left out,
 * or whose value is empty, is not set: the configuration's holds. A key that is given twice
 * has the value of its last line, so that a line can be appended. The keys are those of
 * certfs.conf with the same values (key-type, keep, before, reminders, preferred-chain), and
 * `managed` (yes or no: whether certificates are ordered for the name; yes unless it is
 * set). None of them names a program or a file: whoever owns a directory may write it.
 *
 * It stands in its domain's row (domain.h). */
#ifndef CERTFS_STORE_POLICY_H
#define CERTFS_STORE_POLICY_H

#include "store/codec.h"
#include "store/config.h"

#define POLICY_TEXT_MAX  (64 * 1024)
#define POLICY_CHAIN_MAX 256 /* also of wire_job.preferred_chain */

enum policy_key {
	POLICY_MANAGED,
	POLICY_KEY_TYPE,
	POLICY_KEEP,
	POLICY_BEFORE,
	POLICY_REMINDERS,
	POLICY_PREFERRED_CHAIN,
	POLICY_KEYS
};
extern const char *const policy_key_name[POLICY_KEYS]; /* "managed", "key-type", … */

struct policy {
	uint32_t set;      /* bit i: enum policy_key i is; else its field means nothing */
	int64_t written_s; /* the file's time; 0: nobody ever wrote it */
	bool managed;
	enum key_type key_type;
	uint32_t keep, before_days, reminders;
	char preferred_chain[POLICY_CHAIN_MAX];
};

static inline bool policy_has(const struct policy *p, enum policy_key key)
{
	return p->set & 1u << key;
}

/* All but written_s. EINVAL: "line 3: unknown key 'kep', did you mean 'keep'?"; EFBIG. `p`
 * is changed when all of it is right. */
int policy_parse(const void *text, size_t size, struct policy *p, struct error *err);

void policy_encode(struct enc *e, const struct policy *p);
void policy_decode(struct dec *d, struct policy *p);

/* What is in force. */
bool policy_managed(const struct policy *p);
enum key_type policy_key_type(const struct policy *p, const struct config *cfg);
uint32_t policy_keep(const struct policy *p, const struct config *cfg);
uint32_t policy_before_days(const struct policy *p, const struct config *cfg);
uint32_t policy_reminders(const struct policy *p, const struct config *cfg);
/* NULL: none is preferred. */
const char *policy_preferred_chain(const struct policy *p, const struct config *cfg);

#endif
