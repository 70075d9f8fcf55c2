/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/config.h"
#include "store/config_text.h"
#include "store/text.h"
#include "store/words.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ini.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum type {
	TEXT,
	PATH,
	COMMAND,
	URL,
	NUMBER,
	BOOLEAN,
	MAILS,
	LISTENERS,
	LEVEL,
	KEY_TYPE
};

struct key {
	const char *section, *name;
	enum type type;
	size_t offset;       /* in struct config */
	const char *initial; /* NULL: none */
	uint32_t low, high;  /* of a NUMBER */
};

#define AT(field) offsetof(struct config, field)

static const struct key keys[] = {
    {"certfs", "store", PATH, AT(store), "/var/lib/certfs", 0, 0},
    {"certfs", "key-group", TEXT, AT(key_group), "ssl-cert", 0, 0},
    {"certfs", "fs-user", TEXT, AT(fs_user), "certfs", 0, 0},
    {"certfs", "net-user", TEXT, AT(net_user), "certfs-net", 0, 0},
    {"certfs", "log-level", LEVEL, AT(log_level), "info", 0, 0},
    {"certfs", "hang-limit", NUMBER, AT(hang_limit_s), "20", 2, 3600},
    {"certfs", "keep", NUMBER, AT(keep), "10", 1, 1000},
    {"certfs", "master-key-file", PATH, AT(master_key_file), NULL, 0, 0},
    {"certfs", "clock-offset-file", PATH, AT(clock_offset_file), NULL, 0, 0},
    {"acme", "directory", URL, AT(directory),
     "https://acme-v02.api.letsencrypt.org/directory", 0, 0},
    {"acme", "contact", MAILS, AT(contact), NULL, 0, 0},
    {"acme", "agree-terms", BOOLEAN, AT(agree_terms), "yes", 0, 0},
    {"acme", "roots-file", PATH, AT(roots_file), NULL, 0, 0},
    {"acme", "eab-kid", TEXT, AT(eab_kid), NULL, 0, 0},
    {"acme", "eab-key-file", PATH, AT(eab_key_file), NULL, 0, 0},
    {"acme", "key-type", KEY_TYPE, AT(key_type), "p256", 0, 0},
    {"acme", "preferred-chain", TEXT, AT(preferred_chain), NULL, 0, 0},
    {"acme", "orders-at-once", NUMBER, AT(orders_at_once), "50", 1, 1000},
    {"acme", "timeout", NUMBER, AT(timeout_s), "30", 1, 600},
    {"http-01", "listen", LISTENERS, AT(listen), "0.0.0.0:80 [::]:80", 0, 0},
    {"hook", "on-change", COMMAND, AT(on_change), NULL, 0, 0},
    {"hook", "delay", NUMBER, AT(hook_delay_s), "3", 0, 3600},
    {"hook", "time-limit", NUMBER, AT(hook_limit_s), "60", 1, 3600},
    {"renewal", "before", NUMBER, AT(before_days), "30", 1, CONFIG_BEFORE_MAX},
    {"renewal", "reminders", NUMBER, AT(reminders), "30", 1, 3650},
};
#define KEYS (sizeof(keys) / sizeof(*keys))

struct reading {
	struct config *cfg;
	const char *folder; /* relative paths are taken from here; NULL: as they are */
	bool seen[KEYS];
	const struct key *last; /* what an indented line goes on with */
	FILE *file;
	int line, bad_line;
	bool indented;
	struct error *err;
};

static int no_memory(struct error *err)
{
	return error_set(err, ENOMEM, "no memory for the configuration");
}

static int set_text(char **field, const char *value, struct error *err)
{
	free(*field);
	*field = NULL;
	if (*value == '\0')
		return 0;
	*field = strdup(value);
	return *field ? 0 : no_memory(err);
}

static int set_path(const struct reading *rd, char **field, const char *value,
		    struct error *err)
{
	char path[PATH_MAX];
	if (*value == '\0' || *value == '/' || !rd->folder)
		return set_text(field, value, err);
	if (snprintf(path, sizeof(path), "%s/%s", rd->folder, value) >= (int)sizeof(path))
		return error_set(err, ENAMETOOLONG, "the path %s is too long", value);
	return set_text(field, path, err);
}

static int set_command(const struct key *key, char **field, const char *value,
		       struct error *err)
{
	char **words = NULL;
	int r = *value ? words_command(value, &words, err) : 0;
	free(words);
	if (r < 0)
		return error_context(err, "'%s = %s'", key->name, value);
	return set_text(field, value, err);
}

static int set_number(const struct key *key, uint32_t *field, const char *value,
		      struct error *err)
{
	char *end;
	errno = 0;
	unsigned long number = strtoul(value, &end, 10);
	if (errno || *value < '0' || *value > '9' || *end || number < key->low ||
	    number > key->high)
		return error_set(err, EINVAL, "'%s = %s' must be a number from %u to %u",
				 key->name, value, key->low, key->high);
	*field = (uint32_t)number;
	return 0;
}

static int set_boolean(const struct key *key, bool *field, const char *value,
		       struct error *err)
{
	if (strcasecmp(value, "yes") == 0 || strcasecmp(value, "true") == 0)
		*field = true;
	else if (strcasecmp(value, "no") == 0 || strcasecmp(value, "false") == 0)
		*field = false;
	else
		return error_set(err, EINVAL, "'%s = %s' must be yes or no", key->name,
				 value);
	return 0;
}

static int set_url(const struct key *key, char **field, const char *value,
		   struct error *err)
{
	static const char https[] = "https://";
	if (*value && strcmp(value, "none") != 0 &&
	    (strncmp(value, https, strlen(https)) != 0 || !value[strlen(https)]))
		return error_set(
		    err, EINVAL,
		    "'%s = %s' must be an https:// URL (RFC 8555 §6.1) or none",
		    key->name, value);
	return set_text(field, value, err);
}

/* "192.0.2.1:80", "[2001:db8::1]:80" */
static bool is_listener(const char *text)
{
	char host[INET6_ADDRSTRLEN];
	unsigned char address[16];
	const char *colon = strrchr(text, ':');
	bool six = text[0] == '[';
	if (!colon || (six && colon[-1] != ']'))
		return false;
	const char *from = text + six, *to = colon - six;
	if (to <= from || (size_t)(to - from) >= sizeof(host))
		return false;
	memcpy(host, from, (size_t)(to - from));
	host[to - from] = '\0';
	char *end;
	long port = strtol(colon + 1, &end, 10);
	return colon[1] >= '0' && colon[1] <= '9' && !*end && port >= 1 &&
	       port <= 65535 && inet_pton(six ? AF_INET6 : AF_INET, host, address) == 1;
}

/* "admin@example.com", or with the "mailto:" that the CA gets to see. */
static bool is_mail(const char *text)
{
	const char *at = strchr(text, '@');
	const char *local = strncmp(text, "mailto:", 7) == 0 ? text + 7 : text;
	return at && at > local && at[1] && !strchr(at + 1, '@');
}

static int check_item(const struct key *key, const char *item, struct error *err)
{
	if (key->type == MAILS && !is_mail(item))
		return error_set(err, EINVAL, "'%s = %s' must be a mail address",
				 key->name, item);
	if (key->type == LISTENERS && strcmp(item, "none") != 0 && !is_listener(item))
		return error_set(err, EINVAL,
				 "'%s = %s' must be ADDRESS:PORT, such as 0.0.0.0:80 or "
				 "[::]:80, or none",
				 key->name, item);
	return 0;
}

static void list_clear(struct config_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->item[i]);
	list->count = 0;
}

static int add_to_list(const struct key *key, struct config_list *list, const char *value,
		       struct error *err)
{
	int r = 0;
	char *save = NULL, *copy = strdup(value);
	if (!copy)
		return no_memory(err);
	for (char *word = strtok_r(copy, ", \t", &save); word && r == 0;
	     word = strtok_r(NULL, ", \t", &save)) {
		r = check_item(key, word, err);
		if (r < 0)
			break;
		if (list->count == CONFIG_LIST_MAX)
			r = error_set(err, EINVAL, "'%s' takes at most %d values",
				      key->name, CONFIG_LIST_MAX);
		else if (!(list->item[list->count] = strdup(word)))
			r = no_memory(err);
		else
			list->count++;
	}
	free(copy);
	return r;
}

static int set_key(const struct reading *rd, const struct key *key, const char *value,
		   struct error *err)
{
	void *field = (char *)rd->cfg + key->offset;
	switch (key->type) {
	case TEXT:
		return set_text(field, value, err);
	case PATH:
		return set_path(rd, field, value, err);
	case COMMAND:
		return set_command(key, field, value, err);
	case URL:
		return set_url(key, field, value, err);
	case NUMBER:
		return set_number(key, field, value, err);
	case BOOLEAN:
		return set_boolean(key, field, value, err);
	case MAILS:
	case LISTENERS:
		list_clear(field);
		return add_to_list(key, field, value, err);
	case LEVEL:
		if (log_level_parse(value, field))
			return 0;
		return error_set(err, EINVAL,
				 "'%s = %s' must be one of error, warning, notice, "
				 "info, debug",
				 key->name, value);
	case KEY_TYPE:
		if (key_type_parse(value, field))
			return 0;
		return error_set(err, EINVAL,
				 "'%s = %s' must be one of p256, p384, rsa2048, "
				 "rsa3072, rsa4096",
				 key->name, value);
	}
	return error_set(err, EINVAL, "'%s' has no type", key->name);
}

static bool section_known(const char *section)
{
	for (size_t i = 0; i < KEYS; i++)
		if (strcmp(keys[i].section, section) == 0)
			return true;
	return false;
}

static int unknown_section(const char *section, struct error *err)
{
	const char *nearest = NULL;
	unsigned least = UINT_MAX;
	for (size_t i = 0; i < KEYS; i++) {
		unsigned d = text_distance(section, keys[i].section);
		if (d < least) {
			least = d;
			nearest = keys[i].section;
		}
	}
	if (nearest && least <= TEXT_NEAR)
		return error_set(err, EINVAL, "unknown section [%s], did you mean [%s]?",
				 section, nearest);
	return error_set(err, EINVAL,
			 "unknown section [%s]: there are [certfs], [acme], [http-01], "
			 "[hook] and [renewal]",
			 section);
}

static int unknown_key(const char *section, const char *name, struct error *err)
{
	const struct key *nearest = NULL;
	unsigned least = UINT_MAX;
	if (*section == '\0')
		return error_set(err, EINVAL, "'%s' stands before the first [section]",
				 name);
	if (!section_known(section))
		return unknown_section(section, err);
	for (size_t i = 0; i < KEYS; i++) {
		bool here = strcmp(keys[i].section, section) == 0;
		unsigned d = text_distance(name, keys[i].name);
		if (d < least || (d == least && here)) {
			least = d;
			nearest = &keys[i];
		}
	}
	if (!nearest || least > TEXT_NEAR)
		return error_set(err, EINVAL, "unknown key '%s' in [%s]", name, section);
	if (strcmp(nearest->section, section) == 0)
		return error_set(err, EINVAL,
				 "unknown key '%s' in [%s], did you mean '%s'?", name,
				 section, nearest->name);
	return error_set(err, EINVAL,
			 "unknown key '%s' in [%s], did you mean '%s' in [%s]?", name,
			 section, nearest->name, nearest->section);
}

/* An indented line goes on with the key before it, which makes sense for a list only. */
static int go_on(struct reading *rd, const struct key *key, const char *value)
{
	if (key->type == MAILS || key->type == LISTENERS)
		return add_to_list(key, (void *)((char *)rd->cfg + key->offset), value,
				   rd->err);
	return error_set(
	    rd->err, EINVAL,
	    "an indented line goes on with the line before it, and '%s' takes "
	    "one value: take the blanks in front away",
	    key->name);
}

static int take_key(struct reading *rd, const char *section, const char *name,
		    const char *value)
{
	for (size_t i = 0; i < KEYS; i++) {
		if (strcmp(keys[i].section, section) != 0 ||
		    strcmp(keys[i].name, name) != 0)
			continue;
		if (rd->indented && rd->last == &keys[i])
			return go_on(rd, &keys[i], value);
		if (rd->seen[i])
			return error_set(rd->err, EINVAL, "'%s' is given twice", name);
		rd->seen[i] = true;
		rd->last = &keys[i];
		return set_key(rd, &keys[i], value, rd->err);
	}
	return unknown_key(section, name, rd->err);
}

/* inih reads on after a failure: the first reason is kept, with its line. */
static int take(void *user, const char *section, const char *name, const char *value)
{
	struct reading *rd = user;
	if (rd->err->code)
		return 0;
	if (take_key(rd, section, name, value) == 0)
		return 1;
	rd->bad_line = rd->line;
	return 0;
}

/* inih names no section that has no key in it. */
static int check_section_line(const char *line, struct error *err)
{
	char section[64];
	const char *end = line[0] == '[' ? strchr(line, ']') : NULL;
	if (!end)
		return 0;
	snprintf(section, sizeof(section), "%.*s", (int)(end - line - 1), line + 1);
	return section_known(section) ? 0 : unknown_section(section, err);
}

/* Reads a line for inih, which would take the rest of a line too long for another one. */
static char *read_line(char *line, int size, void *stream)
{
	struct reading *rd = stream;
	int c = 0, r = 0;
	if (!fgets(line, size, rd->file))
		return NULL;
	rd->line++;
	rd->indented = line[0] == ' ' || line[0] == '\t';
	if (!strchr(line, '\n') && (c = getc(rd->file)) != EOF && c != '\n') {
		while (c != EOF && c != '\n')
			c = getc(rd->file);
		if (!rd->err->code)
			r = error_set(
			    rd->err, EINVAL,
			    "a line has at most %d characters; a list goes on in "
			    "an indented line",
			    size - 2);
	} else if (!rd->err->code) {
		r = check_section_line(line, rd->err);
	}
	if (r < 0)
		rd->bad_line = rd->line;
	return line;
}

static int read_file(struct reading *rd, struct error *err)
{
	int line = ini_parse_stream(read_line, rd, take, rd);
	if (ferror(rd->file) || line < 0)
		return error_set(err, EIO, "%s could not be read", rd->cfg->path);
	/* The first thing wrong is told, whoever found it. */
	if (line > 0 && (!err->code || line < rd->bad_line))
		return error_set(err, EINVAL,
				 "%s:%d: neither a [section] nor a 'key = value'",
				 rd->cfg->path, line);
	if (err->code)
		return error_context(err, "%s:%d", rd->cfg->path, rd->bad_line);
	return 0;
}

static int read_stream(struct reading *rd, FILE *file, const char *path,
		       struct error *err)
{
	char *slash, *folder = strdup(path);
	rd->cfg->path = strdup(path);
	if (!folder || !rd->cfg->path) {
		free(folder);
		return no_memory(err);
	}
	slash = strrchr(folder, '/');
	slash[slash == folder] = '\0';
	rd->folder = folder;
	rd->file = file;
	int r = read_file(rd, err);
	rd->folder = NULL;
	rd->file = NULL;
	free(folder);
	return r;
}

static int check_together(const struct config *cfg, struct error *err)
{
	if (!cfg->store || !cfg->fs_user || !cfg->net_user || !cfg->directory)
		return error_set(
		    err, EINVAL,
		    "store, fs-user, net-user and directory may not be empty");
	for (size_t i = 0; i < cfg->listen.count && cfg->listen.count > 1; i++)
		if (strcmp(cfg->listen.item[i], "none") == 0)
			return error_set(err, EINVAL,
					 "'listen' names addresses or none, not both");
	if (!cfg->eab_kid != !cfg->eab_key_file)
		return error_set(err, EINVAL,
				 "eab-kid and eab-key-file go together: give both");
	return 0;
}

int config_set(struct config *cfg, const char *section, const char *name,
	       const char *value, struct error *err)
{
	struct reading rd = {.cfg = cfg, .err = err};
	for (size_t i = 0; i < KEYS; i++)
		if (strcmp(keys[i].section, section) == 0 &&
		    strcmp(keys[i].name, name) == 0)
			return set_key(&rd, &keys[i], value, err);
	return unknown_key(section, name, err);
}

bool config_has_key(const char *name)
{
	for (size_t i = 0; i < KEYS; i++)
		if (strcmp(keys[i].name, name) == 0)
			return true;
	return false;
}

int config_defaults(struct config **result, struct error *err)
{
	int r = 0;
	struct config *cfg = calloc(1, sizeof(*cfg));
	if (!cfg)
		return no_memory(err);
	error_clear(err);
	struct reading rd = {.cfg = cfg, .err = err};
	for (size_t i = 0; i < KEYS && r == 0; i++)
		if (keys[i].initial)
			r = set_key(&rd, &keys[i], keys[i].initial, err);
	if (r < 0) {
		config_free(cfg);
		return r;
	}
	*result = cfg;
	return 0;
}

int config_parse(FILE *file, const char *path, struct config **result, struct error *err)
{
	struct config *cfg = NULL;
	int r = config_defaults(&cfg, err);
	struct reading rd = {.cfg = cfg, .err = err};
	if (r == 0)
		r = read_stream(&rd, file, path, err);
	if (r == 0 && (r = check_together(cfg, err)) < 0)
		error_context(err, "%s", cfg->path);
	if (r < 0) {
		config_free(cfg);
		return r;
	}
	*result = cfg;
	return 0;
}

int config_load(const char *path, struct config **result, struct error *err)
{
	int fd = -1, r = config_text_read(path, &fd, err);
	if (r < 0)
		return r;
	r = config_text_load(fd, result, err);
	close(fd);
	return r;
}

void config_free(struct config *cfg)
{
	if (!cfg)
		return;
	for (size_t i = 0; i < KEYS; i++) {
		void *field = (char *)cfg + keys[i].offset;
		switch (keys[i].type) {
		case TEXT:
		case PATH:
		case COMMAND:
		case URL:
			free(*(char **)field);
			break;
		case MAILS:
		case LISTENERS:
			list_clear(field);
			break;
		case NUMBER:
		case BOOLEAN:
		case LEVEL:
		case KEY_TYPE:
			break;
		}
	}
	free(cfg->path);
	free(cfg);
}
