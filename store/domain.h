/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* domain: the rows that mkdir, rmdir, ln -s, chmod, chown and a write of policy make.
 *
 * A domain has a number, given once and never again, that node ids and all other tables
 * use. rmdir marks the row as not installed and keeps everything below it, so that the
 * name's certificate is used again when the name comes back. An alias (a symlink beside
 * the directories) is a row of its own with `target` set. Number 0 is the mount itself;
 * DOMAIN_FALLBACK is `fallback/`. Listing by number neither repeats nor loses what did not
 * change while it was read. */
#ifndef CERTFS_STORE_DOMAIN_H
#define CERTFS_STORE_DOMAIN_H

#include "store/db.h"
#include "store/name.h"
#include "store/policy.h"

#include <stdint.h>

#define DOMAIN_FALLBACK 1
/* with the name itself: 100 in a certificate, Let's Encrypt's limit */
#define DOMAIN_ALIASES_MAX 99

/* The served files. FILE_KINDS are the kinds, also the indexes of every table of them. */
enum file_kind {
	FILE_CERT,
	FILE_CHAIN,
	FILE_FULLCHAIN,
	FILE_PRIVKEY,
	FILE_COMBINED,
	FILE_KINDS
};
extern const char *const file_name[FILE_KINDS]; /* "cert.pem", … */
/* FILE_KINDS when `name` is none of them. */
enum file_kind file_kind_of(const char *name);
bool file_is_secret(enum file_kind kind); /* privkey, combined */

/* The bits of `mode` that a served file may have: a key is never for everybody, and nothing
 * is everybody's to write. */
uint32_t file_mode(enum file_kind kind, uint32_t mode);

/* The other files that every directory has. */
enum page_kind { PAGE_POLICY, PAGE_STATUS, PAGE_STATUS_JSON, PAGE_KINDS };
extern const char *const page_name[PAGE_KINDS]; /* "policy", … */
uint32_t page_mode(uint32_t mode);              /* as file_mode() */

/* uid, gid or mode that nobody has set: the default is in force */
#define OWNER_KEEP UINT32_MAX

struct owner {
	uint32_t uid, gid, mode; /* mode: 07777 bits, or OWNER_KEEP each */
};

struct domain {
	uint32_t number;
	struct name name;
	bool installed;
	uint32_t target; /* an alias: the number it points to; 0: a directory */
	int64_t created_s, changed_s;
	struct owner dir;
	struct owner file[FILE_KINDS];
	struct owner page[PAGE_KINDS];
	struct policy policy;
	/* utimens of served files: in force while `times_gen` is the generation served */
	uint32_t times_gen;
	int64_t mtime_s[FILE_KINDS]; /* 0: the install time */
	/* what the engine knows of it */
	uint32_t failures;  /* in a row */
	int64_t failed_s;   /* when the row of failures began; 0: none */
	int64_t next_try_s; /* 0: none planned */
	/* of the last failure, with its remedy; "" when all is well */
	char last_error[400];
	int64_t last_error_s;
	/* why the last written file was refused; "" after a success */
	char refused[400];
	int64_t refused_s;
	uint32_t reminders; /* mails that went unheeded */
	/* rm of a custom certificate takes effect then, unless its files are created anew:
	 * an unlink and a create within seconds are one replacement. 0: nothing is planned. */
	int64_t remove_custom_s;
};

/* By number / by name (installed or not). ENOENT. */
int domain_get(struct txn *txn, uint32_t number, struct domain *d, struct error *err);
int domain_find(struct txn *txn, const char *name, struct domain *d, struct error *err);
/* Writes the row (domain.number must exist already). */
int domain_put(struct txn *txn, const struct domain *d, struct error *err);

/* Makes the directory `name`, or installs it again. EEXIST when it is installed. *back is set
 * when the name was here before and has generations. */
int domain_install(struct txn *txn, const struct name *name, uint32_t uid, uint32_t gid,
		   int64_t now_s, struct domain *d, bool *back, struct error *err);
/* EBUSY while aliases point to it (names one), EPERM for `fallback`. */
int domain_retire(struct txn *txn, uint32_t number, int64_t now_s, struct error *err);

/* An alias: EEXIST, ENOENT (no such directory), ELOOP (target is an alias), EMLINK (too
 * many). domain_unalias() takes it away. */
int domain_alias(struct txn *txn, const struct name *name, uint32_t target, int64_t now_s,
		 struct domain *d, struct error *err);
int domain_unalias(struct txn *txn, uint32_t number, int64_t now_s, struct error *err);
/* Names of the aliases of `number`; `out` has DOMAIN_ALIASES_MAX places. */
int domain_aliases(struct txn *txn, uint32_t number, struct name *out, size_t *count,
		   struct error *err);
/* SHA-256 of the name and its aliases: tells whether the aliases have changed since. */
#define DOMAIN_DIGEST 32
int domain_digest(struct txn *txn, uint32_t number, unsigned char *digest,
		  struct error *err);

/* The first installed row (directory or alias) with a number > `after`. -ENOENT at the end
 * (err is not set then). */
int domain_next(struct txn *txn, uint32_t after, struct domain *d, struct error *err);

/* When a name last came into the listing of the mount or left it; 0: never. */
int domain_listed_s(struct txn *txn, int64_t *at_s, struct error *err);

#endif
