/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/policy.h"

#include "store/text.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *const policy_key_name[POLICY_KEYS] = {
    [POLICY_MANAGED] = "managed",     [POLICY_KEY_TYPE] = "key-type",
    [POLICY_KEEP] = "keep",           [POLICY_BEFORE] = "before",
    [POLICY_REMINDERS] = "reminders", [POLICY_PREFERRED_CHAIN] = "preferred-chain",
};

/* Where the key stands in certfs.conf; NULL: nowhere. */
static const char *section_of(enum policy_key key)
{
	switch (key) {
	case POLICY_KEY_TYPE:
	case POLICY_PREFERRED_CHAIN:
		return "acme";
	case POLICY_KEEP:
		return "certfs";
	case POLICY_BEFORE:
	case POLICY_REMINDERS:
		return "renewal";
	case POLICY_MANAGED:
	case POLICY_KEYS:
		break;
	}
	return NULL;
}

static enum policy_key key_of(const char *name)
{
	enum policy_key key = POLICY_MANAGED;

	while (key < POLICY_KEYS && strcmp(policy_key_name[key], name) != 0)
		key++;
	return key;
}

static int unknown_key(const char *name, struct error *err)
{
	const char *nearest = NULL;
	unsigned least = UINT_MAX;

	if (config_has_key(name))
		return error_set(err, EINVAL,
				 "'%s' can't be set for one name alone: it stands in "
				 "certfs.conf",
				 name);
	for (int i = 0; i < POLICY_KEYS; i++) {
		unsigned distance = text_distance(name, policy_key_name[i]);

		if (distance < least) {
			least = distance;
			nearest = policy_key_name[i];
		}
	}
	if (nearest && least <= TEXT_NEAR)
		return error_set(err, EINVAL, "unknown key '%.60s', did you mean '%s'?",
				 name, nearest);
	return error_set(err, EINVAL,
			 "unknown key '%.60s': there are managed, key-type, keep, "
			 "before, reminders and preferred-chain",
			 name);
}

static int set_managed(struct policy *p, const char *value, struct error *err)
{
	if (strcasecmp(value, "yes") == 0 || strcasecmp(value, "true") == 0)
		p->managed = true;
	else if (strcasecmp(value, "no") == 0 || strcasecmp(value, "false") == 0)
		p->managed = false;
	else
		return error_set(err, EINVAL, "'managed = %.60s' must be yes or no",
				 value);
	return 0;
}

/* Values are those of certfs.conf: it reads them. */
static int set_value(struct policy *p, struct config *cfg, enum policy_key key,
		     const char *value, struct error *err)
{
	int rc;

	if (key == POLICY_MANAGED)
		return set_managed(p, value, err);
	rc = config_set(cfg, section_of(key), policy_key_name[key], value, err);
	if (rc)
		return rc;
	if (key == POLICY_PREFERRED_CHAIN && strlen(value) >= POLICY_CHAIN_MAX)
		return error_set(err, EINVAL, "'preferred-chain' has at most %d bytes",
				 POLICY_CHAIN_MAX - 1);
	if (key == POLICY_PREFERRED_CHAIN)
		memcpy(p->preferred_chain, value, strlen(value) + 1);
	p->key_type = cfg->key_type;
	p->keep = cfg->keep;
	p->before_days = cfg->before_days;
	p->reminders = cfg->reminders;
	return 0;
}

static char *trim(char *text)
{
	char *end = text + strlen(text);

	while (end > text && isspace((unsigned char)end[-1]))
		*--end = '\0';
	while (isspace((unsigned char)*text))
		text++;
	return text;
}

static int take_line(struct policy *p, struct config *cfg, char *line, struct error *err)
{
	char *value, *name = trim(line);
	enum policy_key key;
	int rc = 0;

	if (*name == '\0' || *name == '#' || *name == ';')
		return 0;
	for (const unsigned char *c = (unsigned char *)name; *c; c++)
		if ((*c < 0x20 && *c != '\t') || *c == 0x7f)
			return error_set(err, EINVAL, "a control character is no text");
	value = strchr(name, '=');
	if (!value)
		return error_set(err, EINVAL, "'%.60s' is no 'key = value'", name);
	*value++ = '\0';
	name = trim(name);
	value = trim(value);
	key = key_of(name);
	if (key == POLICY_KEYS)
		return unknown_key(name, err);
	if (*value)
		rc = set_value(p, cfg, key, value, err);
	p->set &= ~(1u << key);
	if (*value)
		p->set |= 1u << key;
	return rc;
}

int policy_parse(const void *text, size_t size, struct policy *p, struct error *err)
{
	struct config *cfg = NULL;
	struct policy read = {.set = 0};
	char *copy = NULL, *line, *rest;
	int number = 0, rc;

	if (size > POLICY_TEXT_MAX)
		return error_set(err, EFBIG, "a policy has at most %d KiB",
				 POLICY_TEXT_MAX / 1024);
	rc = config_defaults(&cfg, err);
	if (rc)
		return rc;
	copy = malloc(size + 1);
	if (!copy) {
		rc = error_set(err, ENOMEM, "no memory for a policy");
		goto out;
	}
	memcpy(copy, text, size);
	copy[size] = '\0';
	if (memchr(copy, '\0', size)) {
		rc = error_set(err, EINVAL, "a NUL byte is no text");
		goto out;
	}
	rest = copy;
	while (rc == 0 && (line = strsep(&rest, "\n"))) {
		number++;
		rc = take_line(&read, cfg, line, err);
	}
	if (rc)
		error_context(err, "line %d", number);
	read.written_s = p->written_s;
	if (rc == 0)
		*p = read;
out:
	free(copy);
	config_free(cfg);
	return rc;
}

void policy_encode(struct enc *e, const struct policy *p)
{
	enc_u32(e, p->set);
	enc_i64(e, p->written_s);
	enc_u8(e, p->managed);
	enc_u8(e, (uint8_t)p->key_type);
	enc_u32(e, p->keep);
	enc_u32(e, p->before_days);
	enc_u32(e, p->reminders);
	enc_text(e, policy_has(p, POLICY_PREFERRED_CHAIN) ? p->preferred_chain : "");
}

void policy_decode(struct dec *d, struct policy *p)
{
	p->set = dec_u32(d);
	p->written_s = dec_i64(d);
	p->managed = dec_u8(d) != 0;
	p->key_type = (enum key_type)dec_u8(d);
	p->keep = dec_u32(d);
	p->before_days = dec_u32(d);
	p->reminders = dec_u32(d);
	dec_text(d, p->preferred_chain, sizeof(p->preferred_chain));
	if (p->key_type > KEY_RSA4096 || p->set >= 1u << POLICY_KEYS)
		d->bad = true;
}

bool policy_managed(const struct policy *p)
{
	return !policy_has(p, POLICY_MANAGED) || p->managed;
}

enum key_type policy_key_type(const struct policy *p, const struct config *cfg)
{
	return policy_has(p, POLICY_KEY_TYPE) ? p->key_type : cfg->key_type;
}

uint32_t policy_keep(const struct policy *p, const struct config *cfg)
{
	return policy_has(p, POLICY_KEEP) ? p->keep : cfg->keep;
}

uint32_t policy_before_days(const struct policy *p, const struct config *cfg)
{
	return policy_has(p, POLICY_BEFORE) ? p->before_days : cfg->before_days;
}

uint32_t policy_reminders(const struct policy *p, const struct config *cfg)
{
	return policy_has(p, POLICY_REMINDERS) ? p->reminders : cfg->reminders;
}

const char *policy_preferred_chain(const struct policy *p, const struct config *cfg)
{
	return policy_has(p, POLICY_PREFERRED_CHAIN) ? p->preferred_chain
						     : cfg->preferred_chain;
}
