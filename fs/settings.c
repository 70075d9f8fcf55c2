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
	bool of_names; /* bears on the certificate of one name */
};

#define AT(field) offsetof(struct config, field)

static const struct setting setting[] = {
    {"certfs", "store", TEXT, AT(store), false},
    {"certfs", "key-group", TEXT, AT(key_group), false},
    {"certfs", "fs-user", TEXT, AT(fs_user), false},
    {"certfs", "net-user", TEXT, AT(net_user), false},
    {"certfs", "log-level", LEVEL, AT(log_level), false},
    {"certfs", "hang-limit", NUMBER, AT(hang_limit_s), false},
    {"certfs", "keep", NUMBER, AT(keep), true},
    {"certfs", "master-key-file", TEXT, AT(master_key_file), false},
    {"certfs", "clock-offset-file", TEXT, AT(clock_offset_file), false},
    {"acme", "directory", TEXT, AT(directory), true},
    {"acme", "contact", LIST, AT(contact), true},
    {"acme", "agree-terms", BOOLEAN, AT(agree_terms), false},
    {"acme", "roots-file", TEXT, AT(roots_file), false},
    {"acme", "eab-kid", TEXT, AT(eab_kid), false},
    {"acme", "eab-key-file", TEXT, AT(eab_key_file), false},
    {"acme", "key-type", KEY_TYPE, AT(key_type), true},
    {"acme", "preferred-chain", TEXT, AT(preferred_chain), true},
    {"acme", "orders-at-once", NUMBER, AT(orders_at_once), false},
    {"acme", "timeout", NUMBER, AT(timeout_s), false},
    {"http-01", "listen", LIST, AT(listen), false},
    {"hook", "on-change", TEXT, AT(on_change), false},
    {"hook", "delay", NUMBER, AT(hook_delay_s), false},
    {"hook", "time-limit", NUMBER, AT(hook_limit_s), false},
    {"renewal", "before", NUMBER, AT(before_days), true},
    {"renewal", "reminders", NUMBER, AT(reminders), true},
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

static const char *origin(const struct setting *s, const struct config *cfg,
			  const struct config *defaults)
{
	return !cfg->path || (defaults && same(s, cfg, defaults)) ? "built in"
								  : cfg->path;
}

void settings_write_policy(FILE *out, const struct config *cfg,
			   const struct config *defaults)
{
	for (size_t i = 0; i < sizeof(setting) / sizeof(*setting); i++) {
		const struct setting *s = &setting[i];
		if (!s->of_names)
			continue;
		fprintf(out, "# %s%s\n%s = ", origin(s, cfg, defaults),
			cfg->path && !defaults ? ", or built in where it names none" : "",
			s->key);
		write_value(out, s, cfg);
		fputc('\n', out);
	}
}
