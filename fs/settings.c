/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/settings.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum kind { TEXT, NUMBER, BOOLEAN, LIST, LEVEL, KEY_TYPE };

struct setting {
	const char *section, *key;
	enum kind kind;
	size_t offset; /* in struct config */
};

#define AT(field) offsetof(struct config, field)

static const struct setting setting[] = {
    {"certfs", "store", TEXT, AT(store)},
    {"certfs", "key-group", TEXT, AT(key_group)},
    {"certfs", "fs-user", TEXT, AT(fs_user)},
    {"certfs", "net-user", TEXT, AT(net_user)},
    {"certfs", "log-level", LEVEL, AT(log_level)},
    {"certfs", "hang-limit", NUMBER, AT(hang_limit_s)},
    {"certfs", "keep", NUMBER, AT(keep)},
    {"certfs", "master-key-file", TEXT, AT(master_key_file)},
    {"certfs", "clock-offset-file", TEXT, AT(clock_offset_file)},
    {"acme", "directory", TEXT, AT(directory)},
    {"acme", "contact", LIST, AT(contact)},
    {"acme", "agree-terms", BOOLEAN, AT(agree_terms)},
    {"acme", "roots-file", TEXT, AT(roots_file)},
    {"acme", "eab-kid", TEXT, AT(eab_kid)},
    {"acme", "eab-key-file", TEXT, AT(eab_key_file)},
    {"acme", "key-type", KEY_TYPE, AT(key_type)},
    {"acme", "preferred-chain", TEXT, AT(preferred_chain)},
    {"acme", "orders-at-once", NUMBER, AT(orders_at_once)},
    {"acme", "timeout", NUMBER, AT(timeout_s)},
    {"http-01", "listen", LIST, AT(listen)},
    {"hook", "on-change", TEXT, AT(on_change)},
    {"hook", "delay", NUMBER, AT(hook_delay_s)},
    {"hook", "time-limit", NUMBER, AT(hook_limit_s)},
    {"renewal", "before", NUMBER, AT(before_days)},
    {"renewal", "reminders", NUMBER, AT(reminders)},
};

static const char *level_text(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return "error";
	case LOG_LEVEL_WARNING:
		return "warning";
	case LOG_LEVEL_NOTICE:
		return "notice";
	case LOG_LEVEL_INFO:
		return "info";
	case LOG_LEVEL_DEBUG:
		return "debug";
	}
	return "";
}

static const char *key_type_text(enum key_type type)
{
	switch (type) {
	case KEY_P256:
		return "p256";
	case KEY_P384:
		return "p384";
	case KEY_RSA2048:
		return "rsa2048";
	case KEY_RSA3072:
		return "rsa3072";
	case KEY_RSA4096:
		return "rsa4096";
	}
	return "";
}

static void write_list(FILE *out, const struct config_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		fprintf(out, "%s%s", i ? ", " : "", list->item[i]);
}

static void write_value(FILE *out, const struct setting *s, const struct config *cfg)
{
	const void *field = (const char *)cfg + s->offset;

	switch (s->kind) {
	case TEXT: {
		const char *text = *(char *const *)field;
		fputs(text ? text : "", out);
		break;
	}
	case NUMBER:
		fprintf(out, "%" PRIu32, *(const uint32_t *)field);
		break;
	case BOOLEAN:
		fputs(*(const bool *)field ? "yes" : "no", out);
		break;
	case LIST:
		write_list(out, field);
		break;
	case LEVEL:
		fputs(level_text(*(const enum log_level *)field), out);
		break;
	case KEY_TYPE:
		fputs(key_type_text(*(const enum key_type *)field), out);
		break;
	}
}

void settings_write(FILE *out, const struct config *cfg)
{
	const char *section = "";

	fprintf(out, "# As in force now, from %s\n", cfg->path ? cfg->path : "defaults");
	for (size_t i = 0; i < sizeof(setting) / sizeof(*setting); i++) {
		if (strcmp(section, setting[i].section) != 0)
			fprintf(out, "\n[%s]\n", setting[i].section);
		section = setting[i].section;
		fprintf(out, "%s = ", setting[i].key);
		write_value(out, &setting[i], cfg);
		fputc('\n', out);
	}
}

static bool text_same(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool same(const struct setting *s, const struct config *a, const struct config *b)
{
	const void *x = (const char *)a + s->offset, *y = (const char *)b + s->offset;
	const struct config_list *m = x, *n = y;

	switch (s->kind) {
	case TEXT:
		return text_same(*(char *const *)x, *(char *const *)y);
	case NUMBER:
		return *(const uint32_t *)x == *(const uint32_t *)y;
	case BOOLEAN:
		return *(const bool *)x == *(const bool *)y;
	case LEVEL:
		return *(const enum log_level *)x == *(const enum log_level *)y;
	case KEY_TYPE:
		return *(const enum key_type *)x == *(const enum key_type *)y;
	case LIST:
		if (m->count != n->count)
			return false;
		for (size_t i = 0; i < m->count; i++)
			if (strcmp(m->item[i], n->item[i]) != 0)
				return false;
		return true;
	}
	return false;
}

static void write_origin(FILE *out, const struct setting *s, const struct config *cfg,
			 const struct config *defaults)
{
	bool built_in = !s || !cfg->path || (defaults && same(s, cfg, defaults));

	fprintf(out, "%s%s", built_in ? "built in" : cfg->path,
		s && cfg->path && !defaults ? " or built in" : "");
}

static const struct setting *setting_of(enum policy_key key)
{
	for (size_t i = 0; i < sizeof(setting) / sizeof(*setting); i++)
		if (strcmp(setting[i].key, policy_key_name[key]) == 0)
			return &setting[i];
	return NULL; /* managed stands in no configuration */
}

static void write_value_of(FILE *out, const struct setting *s, const struct config *cfg)
{
	if (s)
		write_value(out, s, cfg);
	else
		fputs("yes", out);
}

static const char *const explained[POLICY_KEYS] = {
    [POLICY_MANAGED] = "whether certificates are ordered and renewed, yes or no",
    [POLICY_KEY_TYPE] = "of the next key: p256, p384, rsa2048, rsa3072 or rsa4096",
    [POLICY_KEEP] = "generations kept, 1 to 1000",
    [POLICY_BEFORE] = "days before its end that a certificate is renewed, 1 to 365",
    [POLICY_REMINDERS] = "reminders that go unheeded before the fallback is served",
    [POLICY_PREFERRED_CHAIN] = "issuer of the wanted chain's top, by its common name",
};

void settings_write_policy(FILE *out, const struct policy *policy,
			   const struct config *cfg, const struct config *defaults)
{
	struct config own = *cfg;

	own.key_type = policy_key_type(policy, cfg);
	own.keep = policy_keep(policy, cfg);
	own.before_days = policy_before_days(policy, cfg);
	own.reminders = policy_reminders(policy, cfg);
	own.preferred_chain = (char *)policy_preferred_chain(policy, cfg);
	for (enum policy_key key = 0; key < POLICY_KEYS; key++) {
		const struct setting *s = setting_of(key);

		fprintf(out, "\n# %s (", explained[key]);
		if (policy_has(policy, key)) {
			fputs("set here; else ", out);
			write_value_of(out, s, cfg);
			fputs(", ", out);
		}
		write_origin(out, s, cfg, defaults);
		fprintf(out, ")\n%s%s = ", policy_has(policy, key) ? "" : "#",
			policy_key_name[key]);
		if (key == POLICY_MANAGED)
			fputs(policy_managed(policy) ? "yes" : "no", out);
		else
			write_value_of(out, s, &own);
		fputc('\n', out);
	}
}
