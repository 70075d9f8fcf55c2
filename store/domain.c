/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/domain.h"

#include "store/codec.h"
#include "store/domain_record.h"
#include "store/secret.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#define RECORD    1
#define ALIAS_KEY 8

const char *const file_name[FILE_KINDS] = {
    [FILE_CERT] = "cert.pem",           [FILE_CHAIN] = "chain.pem",
    [FILE_FULLCHAIN] = "fullchain.pem", [FILE_PRIVKEY] = "privkey.pem",
    [FILE_COMBINED] = "combined.pem",
};

const char *const page_name[PAGE_KINDS] = {
    [PAGE_POLICY] = "policy",
    [PAGE_STATUS] = "status",
    [PAGE_STATUS_JSON] = "status.json",
};

enum file_kind file_kind_of(const char *name)
{
	enum file_kind kind = FILE_CERT;

	while (kind < FILE_KINDS && strcmp(file_name[kind], name) != 0)
		kind++;
	return kind;
}

bool file_is_secret(enum file_kind kind)
{
	return kind == FILE_PRIVKEY || kind == FILE_COMBINED;
}

uint32_t file_mode(enum file_kind kind, uint32_t mode)
{
	return mode & (file_is_secret(kind) ? 07770 : 07775);
}

uint32_t page_mode(uint32_t mode)
{
	return mode & 07775;
}

static void alias_key(unsigned char *key, uint32_t target, uint32_t number)
{
	struct enc e;

	enc_init(&e, key, ALIAS_KEY);
	enc_be32(&e, target);
	enc_be32(&e, number);
}

int domain_get(struct txn *txn, uint32_t number, struct domain *d, struct error *err)
{
	unsigned char key[ENC_NUMBER_KEY];
	struct db_value v;
	int rc;

	enc_number_key(key, number);
	rc = db_get(txn, DB_DOMAINS, key, sizeof(key), &v, err);
	if (rc == -ENOENT)
		return error_set(err, ENOENT, "there is no domain with the number %u",
				 (unsigned int)number);
	return rc ? rc : domain_record_decode(number, &v, d, err);
}

int domain_find(struct txn *txn, const char *name, struct domain *d, struct error *err)
{
	size_t length = strlen(name);
	struct db_value v;
	uint32_t number;
	struct dec in;
	int rc = -ENOENT;

	if (length > 0 && length < NAME_MAX_TEXT)
		rc = db_get(txn, DB_NAMES, name, length, &v, err);
	if (rc == -ENOENT)
		return error_set(err, ENOENT, "there is no directory %.255s", name);
	if (rc)
		return rc;
	dec_init(&in, v.data, v.size);
	if (dec_u8(&in) != RECORD)
		in.bad = true;
	number = dec_u32(&in);
	if (!dec_done(&in))
		return error_set(err, EIO, "the number of %s in the store is damaged",
				 name);
	return domain_get(txn, number, d, err);
}

static int domain_write(struct txn *txn, const struct domain *d, struct error *err)
{
	unsigned char key[ENC_NUMBER_KEY], record[sizeof(*d) + 128];
	struct enc e;

	enc_init(&e, record, sizeof(record));
	domain_record_encode(&e, d);
	if (e.overflow)
		return error_set(err, EINVAL, "the row of domain %u does not fit",
				 (unsigned int)d->number);
	enc_number_key(key, d->number);
	return db_put(txn, DB_DOMAINS, key, sizeof(key), record, e.size, err);
}

int domain_put(struct txn *txn, const struct domain *d, struct error *err)
{
	unsigned char key[ENC_NUMBER_KEY];
	struct db_value v;
	int rc;

	enc_number_key(key, d->number);
	rc = db_get(txn, DB_DOMAINS, key, sizeof(key), &v, err);
	if (rc == -ENOENT)
		return error_set(err, ENOENT, "there is no domain with the number %u",
				 (unsigned int)d->number);
	return rc ? rc : domain_write(txn, d, err);
}

static int number_draw(struct txn *txn, const struct name *name, uint32_t *number,
		       struct error *err)
{
	uint64_t drawn;
	int rc;

	if (name->kind == NAME_FALLBACK) {
		*number = DOMAIN_FALLBACK;
		return 0;
	}
	rc = db_count(txn, "domain", &drawn, err);
	if (rc)
		return rc;
	if (drawn > UINT32_MAX - DOMAIN_FALLBACK - 1)
		return error_set(err, ENOSPC, "all numbers for domains are used up");
	*number = (uint32_t)drawn + DOMAIN_FALLBACK;
	return 0;
}

static const char listed[] = "listed";

static int listing_changes(struct txn *txn, int64_t now_s, struct error *err)
{
	unsigned char record[16];
	struct enc e;

	enc_init(&e, record, sizeof(record));
	enc_u8(&e, RECORD);
	enc_i64(&e, now_s);
	return db_put(txn, DB_META, listed, sizeof(listed) - 1, record, e.size, err);
}

int domain_listed_s(struct txn *txn, int64_t *at_s, struct error *err)
{
	struct db_value v;
	struct dec d;
	int rc = db_get(txn, DB_META, listed, sizeof(listed) - 1, &v, err);

	*at_s = 0;
	if (rc == -ENOENT) {
		error_clear(err);
		return 0;
	}
	if (rc)
		return rc;
	dec_init(&d, v.data, v.size);
	(void)dec_u8(&d);
	*at_s = dec_i64(&d);
	return 0;
}

static int domain_new(struct txn *txn, const struct name *name, int64_t now_s,
		      struct domain *d, struct error *err)
{
	unsigned char record[8];
	struct enc e;
	int rc;

	memset(d, 0, sizeof(*d));
	d->name = *name;
	d->created_s = now_s;
	rc = number_draw(txn, name, &d->number, err);
	if (rc)
		return rc;
	enc_init(&e, record, sizeof(record));
	enc_u8(&e, RECORD);
	enc_u32(&e, d->number);
	return db_put(txn, DB_NAMES, name->text, strlen(name->text), record, e.size, err);
}

/* The row of `name`, made where there is none; EEXIST when it is installed. Owners, modes,
 * times and the policy are those of a new directory: whoever had the name before has no claim on
 * what its next owner puts there. */
static int domain_take(struct txn *txn, const struct name *name, int64_t now_s,
		       struct domain *d, struct error *err)
{
	int rc = domain_find(txn, name->text, d, err);

	if (rc == -ENOENT) {
		error_clear(err);
		rc = domain_new(txn, name, now_s, d, err);
	} else if (rc == 0 && d->installed) {
		rc = error_set(err, EEXIST, "%s is there already", name->text);
	}
	if (rc == 0)
		rc = listing_changes(txn, now_s, err);
	if (rc)
		return rc;
	d->installed = true;
	d->target = 0;
	d->changed_s = now_s;
	d->dir = owner_keep;
	d->times_gen = 0;
	d->remove_custom_s = 0;
	for (int i = 0; i < FILE_KINDS; i++) {
		d->file[i] = owner_keep;
		d->mtime_s[i] = 0;
	}
	for (int i = 0; i < PAGE_KINDS; i++)
		d->page[i] = owner_keep;
	memset(&d->policy, 0, sizeof(d->policy));
	d->refused[0] = '\0';
	d->refused_s = 0;
	return 0;
}

static int has_generations(struct txn *txn, uint32_t number, bool *has, struct error *err)
{
	struct db_cursor *cursor = NULL;
	unsigned char key[ENC_NUMBER_KEY];
	struct db_value found, value;
	int rc = db_cursor_open(txn, DB_GENERATIONS, &cursor, err);

	if (rc)
		return rc;
	enc_number_key(key, number);
	rc = db_seek(cursor, key, sizeof(key), &found, &value);
	*has = rc == 0 && found.size > sizeof(key) &&
	       memcmp(found.data, key, sizeof(key)) == 0;
	if (rc == -ENOENT)
		rc = 0;
	else if (rc)
		rc = error_set(err, -rc, "cannot read the generations of domain %u",
			       (unsigned int)number);
	db_cursor_close(cursor);
	return rc;
}

int domain_install(struct txn *txn, const struct name *name, uint32_t uid, uint32_t gid,
		   int64_t now_s, struct domain *d, bool *back, struct error *err)
{
	int rc = domain_take(txn, name, now_s, d, err);

	if (rc)
		return rc;
	d->dir.uid = uid;
	d->dir.gid = gid;
	rc = has_generations(txn, d->number, back, err);
	return rc ? rc : domain_write(txn, d, err);
}

/* The first alias of `number` with a number > *alias, into it. -ENOENT at the end. */
static int alias_seek(struct db_cursor *cursor, uint32_t number, uint32_t *alias)
{
	struct db_value found, value;
	unsigned char key[ALIAS_KEY];
	uint32_t target;
	struct dec d;
	int rc;

	if (*alias == UINT32_MAX)
		return -ENOENT;
	alias_key(key, number, *alias + 1);
	rc = db_seek(cursor, key, sizeof(key), &found, &value);
	if (rc)
		return rc;
	dec_init(&d, found.data, found.size);
	target = dec_be32(&d);
	if (target != number)
		return -ENOENT;
	*alias = dec_be32(&d);
	return dec_done(&d) ? 0 : -EIO;
}

/* The same, its name into `name`. err is not set at the end. */
static int alias_next(struct txn *txn, struct db_cursor *cursor, uint32_t number,
		      uint32_t *alias, struct name *name, struct error *err)
{
	struct domain d;
	int rc = alias_seek(cursor, number, alias);

	if (rc == -ENOENT)
		return rc;
	if (rc)
		return error_set(err, -rc, "cannot read the aliases of domain %u",
				 (unsigned int)number);
	rc = domain_get(txn, *alias, &d, err);
	if (rc == -ENOENT)
		return error_set(err, EIO,
				 "an alias of domain %u has no row: the store is damaged",
				 (unsigned int)number);
	if (rc == 0)
		*name = d.name;
	return rc;
}

int domain_aliases(struct txn *txn, uint32_t number, struct name *out, size_t *count,
		   struct error *err)
{
	struct db_cursor *cursor = NULL;
	uint32_t alias = 0;
	int rc = db_cursor_open(txn, DB_ALIASES, &cursor, err);

	*count = 0;
	if (rc)
		return rc;
	while (*count < DOMAIN_ALIASES_MAX) {
		rc = alias_next(txn, cursor, number, &alias, &out[*count], err);
		if (rc)
			break;
		(*count)++;
	}
	db_cursor_close(cursor);
	return rc == -ENOENT ? 0 : rc;
}

int domain_digest(struct txn *txn, uint32_t number, unsigned char *digest,
		  struct error *err)
{
	struct name *aliases = NULL;
	struct secret *text = NULL;
	struct domain d;
	size_t count;
	int rc = domain_get(txn, number, &d, err);

	if (rc)
		return rc;
	aliases = calloc(DOMAIN_ALIASES_MAX, sizeof(*aliases));
	text = secret_new((DOMAIN_ALIASES_MAX + 1) * NAME_MAX_TEXT);
	if (!aliases || !text) {
		rc = error_set(err, ENOMEM, "no memory for the aliases of %s",
			       d.name.text);
		goto out;
	}
	rc = domain_aliases(txn, number, aliases, &count, err);
	if (rc)
		goto out;
	/* The terminating NUL of each keeps "a" + "bc" from being "ab" + "c". */
	rc = secret_append(text, d.name.text, strlen(d.name.text) + 1);
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = secret_append(text, aliases[i].text, strlen(aliases[i].text) + 1);
	if (rc)
		rc = error_set(err, -rc, "the names of %s do not fit", d.name.text);
	else
		SHA256(secret_data(text), secret_size(text), digest);
out:
	secret_free(text);
	free(aliases);
	return rc;
}

/* How many there are, and the name of the first. */
static int aliases_count(struct txn *txn, uint32_t number, size_t *count,
			 struct name *first, struct error *err)
{
	struct db_cursor *cursor = NULL;
	struct name name;
	uint32_t alias = 0;
	int rc = db_cursor_open(txn, DB_ALIASES, &cursor, err);

	*count = 0;
	if (rc)
		return rc;
	while ((rc = alias_next(txn, cursor, number, &alias, &name, err)) == 0) {
		if ((*count)++ == 0)
			*first = name;
	}
	db_cursor_close(cursor);
	return rc == -ENOENT ? 0 : rc;
}

int domain_retire(struct txn *txn, uint32_t number, int64_t now_s, struct error *err)
{
	struct name alias;
	struct domain d;
	size_t count;
	int rc;

	if (number == DOMAIN_FALLBACK)
		return error_set(err, EPERM,
				 "fallback is what is served when nothing else is "
				 "valid, and cannot be removed");
	rc = domain_get(txn, number, &d, err);
	if (rc)
		return rc;
	if (!d.installed)
		return error_set(err, ENOENT, "there is no directory %s", d.name.text);
	if (d.target)
		return error_set(err, ENOTDIR, "%s is an alias: remove it with rm",
				 d.name.text);
	rc = aliases_count(txn, number, &count, &alias, err);
	if (rc)
		return rc;
	if (count > 0)
		return error_set(err, EBUSY,
				 "%s is an alias of %s: remove it first with rm",
				 alias.text, d.name.text);
	d.installed = false;
	d.changed_s = now_s;
	rc = listing_changes(txn, now_s, err);
	return rc ? rc : domain_write(txn, &d, err);
}

static int alias_target_check(struct txn *txn, const struct name *name, uint32_t target,
			      struct error *err)
{
	struct name first;
	struct domain t;
	size_t count;
	int rc = domain_get(txn, target, &t, err);

	if (rc)
		return rc;
	if (!t.installed)
		return error_set(err, ENOENT, "there is no directory %s", t.name.text);
	if (t.target)
		return error_set(err, ELOOP,
				 "%s is an alias itself: point %s at the directory",
				 t.name.text, name->text);
	rc = aliases_count(txn, target, &count, &first, err);
	if (rc)
		return rc;
	if (count >= DOMAIN_ALIASES_MAX)
		return error_set(
		    err, EMLINK,
		    "%s has %d aliases, and a certificate holds no more names: make "
		    "another directory",
		    t.name.text, DOMAIN_ALIASES_MAX);
	return 0;
}

int domain_alias(struct txn *txn, const struct name *name, uint32_t target, int64_t now_s,
		 struct domain *d, struct error *err)
{
	const unsigned char record = RECORD;
	unsigned char key[ALIAS_KEY];
	int rc = alias_target_check(txn, name, target, err);

	if (rc)
		return rc;
	rc = domain_take(txn, name, now_s, d, err);
	if (rc)
		return rc;
	d->target = target;
	alias_key(key, target, d->number);
	rc = db_put(txn, DB_ALIASES, key, sizeof(key), &record, sizeof(record), err);
	return rc ? rc : domain_write(txn, d, err);
}

int domain_unalias(struct txn *txn, uint32_t number, int64_t now_s, struct error *err)
{
	unsigned char key[ALIAS_KEY];
	struct domain d;
	int rc = domain_get(txn, number, &d, err);

	if (rc)
		return rc;
	if (!d.installed)
		return error_set(err, ENOENT, "there is no alias %s", d.name.text);
	if (!d.target)
		return error_set(err, EISDIR, "%s is a directory, no alias", d.name.text);
	alias_key(key, d.target, number);
	rc = db_del(txn, DB_ALIASES, key, sizeof(key), err);
	if (rc)
		return rc;
	d.installed = false;
	d.target = 0;
	d.changed_s = now_s;
	rc = listing_changes(txn, now_s, err);
	return rc ? rc : domain_write(txn, &d, err);
}

int domain_next(struct txn *txn, uint32_t after, struct domain *d, struct error *err)
{
	struct db_cursor *cursor = NULL;
	unsigned char from[ENC_NUMBER_KEY];
	struct db_value key, value;
	struct dec in;
	int rc;

	if (after == UINT32_MAX)
		return -ENOENT;
	rc = db_cursor_open(txn, DB_DOMAINS, &cursor, err);
	if (rc)
		return rc;
	enc_number_key(from, after + 1);
	rc = db_seek(cursor, from, sizeof(from), &key, &value);
	while (rc == 0 && value.size > 1 && ((const unsigned char *)value.data)[1] == 0)
		rc = db_next(cursor, &key, &value);
	if (rc == 0) {
		dec_init(&in, key.data, key.size);
		rc = domain_record_decode(dec_be32(&in), &value, d, err);
	} else if (rc != -ENOENT) {
		rc = error_set(err, -rc, "cannot read the table of domains");
	}
	db_cursor_close(cursor);
	return rc;
}
