/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* config: /etc/certfs.conf, an INI file (libinih), as one struct.
 *
 * Every key has a default, so an absent file is a full configuration. An unknown section or
 * key, a bad value, a key given twice is an error with file, line and the nearest valid
 * key. Relative paths are taken from the folder of the configuration file. Secrets (the
 * EAB key, the master key) stand in files of their own, named here, never in this file. */
#ifndef CERTFS_STORE_CONFIG_H
#define CERTFS_STORE_CONFIG_H

#include "store/error.h"
#include "store/log.h"
#include "store/x509.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CONFIG_LIST_MAX   16
#define CONFIG_BEFORE_MAX 365 /* days */

struct config_list {
	char *item[CONFIG_LIST_MAX];
	size_t count;
};

struct config {
	char *path; /* as loaded, absolute; NULL for defaults */

	/* [certfs] */
	char *store;              /* store = /var/lib/certfs */
	char *key_group;          /* key-group = ssl-cert: group of keys (0640) */
	char *fs_user;            /* fs-user = certfs: owns the store */
	char *net_user;           /* net-user = certfs-net */
	enum log_level log_level; /* log-level = info */
	/* hang-limit = 20: a worker that holds a request longer is replaced */
	uint32_t hang_limit_s;
	uint32_t keep; /* keep = 10: generations kept for each name (1..1000) */
	/* master-key-file = : 32 bytes that seal keys in the store */
	char *master_key_file;
	char *clock_offset_file; /* clock-offset-file = */

	/* [acme] */
	char *directory; /* directory = Let's Encrypt's; "none" orders nothing */
	struct config_list contact; /* contact = admin@example.com, … */
	bool agree_terms;           /* agree-terms = yes */
	/* roots-file = : PEM roots for the CA's own TLS; default: the system's */
	char *roots_file;
	char *eab_kid;          /* eab-kid = */
	char *eab_key_file;     /* eab-key-file = : base64url HMAC key */
	enum key_type key_type; /* key-type = p256 */
	/* preferred-chain = : issuer CN of the wanted chain's top */
	char *preferred_chain;
	uint32_t orders_at_once; /* orders-at-once = 50 (1..1000) */
	uint32_t timeout_s;      /* timeout = 30: of one HTTP request */

	/* [http-01] */
	struct config_list listen; /* listen = 0.0.0.0:80 [::]:80 ; "none" */

	/* [hook] */
	char *on_change;       /* on-change = : a program and its arguments (words.h) */
	uint32_t hook_delay_s; /* delay = 3: changes within it make one run (0..3600) */
	uint32_t hook_limit_s; /* time-limit = 60: of one run (1..3600) */

	/* [renewal] */
	uint32_t before_days; /* before = 30 */
	uint32_t reminders;   /* reminders = 30: unheeded, then the fallback is served */
};

/* Reads `path`; NULL or an absent default file gives the defaults, an absent file that was
 * named is ENOENT. EINVAL: "certfs.conf:12: unknown key 'contcat' in [acme], did you mean
 * 'contact'?". */
int config_load(const char *path, struct config **cfg, struct error *err);
/* The same of an open file, which is called `path` (absolute). */
int config_parse(FILE *file, const char *path, struct config **cfg, struct error *err);
/* What an empty file stands for. */
int config_defaults(struct config **cfg, struct error *err);
void config_free(struct config *cfg);
/* Sets one key as a line of the file does: EINVAL with the reason. */
int config_set(struct config *cfg, const char *section, const char *name,
	       const char *value, struct error *err);
/* A key of any section. */
bool config_has_key(const char *name);

#define CONFIG_DEFAULT_PATH "/etc/certfs.conf"

#endif
