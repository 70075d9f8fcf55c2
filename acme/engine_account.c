/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "acme/engine_internal.h"
#include "acme/jws.h"
#include "acme/url.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EAB_FILE_MAX 1024

void engine_account_contact(const struct config *cfg, char *out, size_t capacity)
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < cfg->contact.count; i++) {
		const char *item = cfg->contact.item[i];
		const char *scheme = strncmp(item, "mailto:", 7) == 0 ? "" : "mailto:";
		size_t need = (used > 0) + strlen(scheme) + strlen(item);

		if (used + need >= capacity)
			return; /* whole addresses or none */
		snprintf(out + used, capacity - used, "%s%s%s", used > 0 ? "," : "",
			 scheme, item);
		used += need;
	}
}

static int account_make(struct txn *txn, void *arg, struct error *err)
{
	struct account *a = arg;

	return account_put(txn, a, err);
}

int engine_account_load(struct engine *e, struct error *err)
{
	struct account a = {.key = NULL};
	struct txn *txn = NULL;
	int rc;

	if (e->account.key)
		return 0;
	rc = db_read_begin(e->db, &txn, err);
	if (rc)
		return rc;
	rc = account_get(txn, e->cfg->directory, &a, err);
	db_read_end(txn);
	if (rc == -ENOENT) {
		error_clear(err);
		snprintf(a.directory, sizeof(a.directory), "%s", e->cfg->directory);
		engine_account_contact(e->cfg, a.contact, sizeof(a.contact));
		rc = x509_key_new(KEY_P256, &a.key, err);
		/* On disk before anyone hears of it: a key that is lost after newAccount
		 * is an account that nobody can use. */
		if (rc == 0)
			rc = db_update(e->db, account_make, &a, err);
	}
	if (rc == 0)
		rc = jws_jwk(a.key, e->jwk, sizeof(e->jwk), err);
	if (rc) {
		account_clear(&a);
		return rc;
	}
	e->account = a;
	return 0;
}

static int eab_decode(struct engine *e, char *text, struct error *err)
{
	unsigned char *key = NULL;
	size_t size = 0;
	int rc;

	text[strcspn(text, " \t\r\n=")] = '\0';
	rc = jws_base64url_decode(text, &key, &size, err);
	if (rc)
		return error_context(err, "the key of the external account (%s)",
				     e->cfg->eab_key_file);
	if (size > 0)
		e->eab_key = secret_copy(key, size);
	explicit_bzero(key, size);
	free(key);
	if (size == 0)
		return error_set(err, EINVAL, "%s holds no key of an external account",
				 e->cfg->eab_key_file);
	return e->eab_key ? 0 : error_set(err, ENOMEM, "no memory for a key");
}

int engine_eab_read(struct engine *e, struct error *err)
{
	char text[EAB_FILE_MAX + 1];
	ssize_t n;
	int fd, rc;

	if (!e->cfg->eab_key_file || e->cfg->eab_key_file[0] == '\0') {
		if (e->cfg->eab_kid && e->cfg->eab_kid[0])
			return error_set(err, EINVAL,
					 "[acme] eab-kid is set and eab-key-file is not: "
					 "both come from the CA");
		return 0;
	}
	fd = open(e->cfg->eab_key_file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return error_set(
		    err, errno,
		    "cannot read the key of the external account, %s: %s%s%s%s",
		    e->cfg->eab_key_file, strerror(errno),
		    errno == EACCES ? " (the user " : "",
		    errno == EACCES ? e->cfg->fs_user : "",
		    errno == EACCES ? " must be able to read it)" : "");
	n = read(fd, text, sizeof(text) - 1);
	rc = n < 0 ? errno : 0;
	close(fd);
	if (rc)
		return error_set(err, rc,
				 "cannot read the key of the external account, %s: %s",
				 e->cfg->eab_key_file, strerror(rc));
	text[n] = '\0';
	rc = eab_decode(e, text, err);
	explicit_bzero(text, sizeof(text));
	return rc;
}

bool engine_eab_missing(const struct engine *e)
{
	return e->eab_error[0] != '\0' && e->account.kid[0] == '\0';
}

/* One part of a signing input as JSON; NULL when it is none. */
static json_t *part_json(const char *text, size_t size)
{
	struct error why = {.code = 0};
	unsigned char *data = NULL;
	size_t data_size = 0;
	json_t *json = NULL;
	char *copy = strndup(text, size);

	if (copy && jws_base64url_decode(copy, &data, &data_size, &why) == 0)
		json = json_loadb((const char *)data, data_size, JSON_REJECT_DUPLICATES,
				  NULL);
	free(data);
	free(copy);
	return json;
}

static int header_check(const struct engine *e, enum wire_sign kind, const json_t *header,
			struct error *err)
{
	const char *alg = json_string_value(json_object_get(header, "alg"));
	const char *url = json_string_value(json_object_get(header, "url"));
	const char *kid = json_string_value(json_object_get(header, "kid"));
	const char *want = kind == WIRE_SIGN_EAB ? "HS256" : "ES256";

	if (!alg || strcmp(alg, want) != 0)
		return error_set(err, EPERM, "its algorithm is %s, not %s",
				 alg ? alg : "missing", want);
	if (!url || !url_same_origin(url, e->cfg->directory))
		return error_set(err, EPERM, "it is for %.200s, which is not on %.200s",
				 url ? url : "no URL", e->cfg->directory);
	if (kind == WIRE_SIGN_EAB &&
	    (!kid || !e->cfg->eab_kid || strcmp(kid, e->cfg->eab_kid) != 0))
		return error_set(err, EPERM, "it names another external account");
	return 0;
}

/* What an external account vouches for is the account's own key, or anyone's. */
static int eab_payload_check(const struct engine *e, const char *text, size_t size,
			     struct error *err)
{
	json_t *payload = part_json(text, size);
	json_t *own = json_loads(e->jwk, JSON_REJECT_DUPLICATES, NULL);
	bool same = payload && own && json_equal(payload, own);

	json_decref(payload);
	json_decref(own);
	if (!same)
		return error_set(err, EPERM,
				 "an external account is to be bound to another key");
	return 0;
}

static int input_check(const struct engine *e, enum wire_sign kind, const char *input,
		       size_t size, struct error *err)
{
	const char *dot = memchr(input, '.', size);
	unsigned char *payload = NULL;
	size_t payload_size;
	json_t *header;
	char *text;
	int rc;

	if (!dot || memchr(input, '\0', size))
		return error_set(err, EPERM, "it is no JWS signing input");
	header = part_json(input, (size_t)(dot - input));
	if (!json_is_object(header))
		rc = error_set(err, EPERM, "its protected header is no JSON object");
	else
		rc = header_check(e, kind, header, err);
	json_decref(header);
	if (rc)
		return rc;
	dot++;
	size -= (size_t)(dot - input);
	if (kind == WIRE_SIGN_EAB)
		return eab_payload_check(e, dot, size, err);
	if (size == 0)
		return 0; /* POST-as-GET (RFC 8555 §6.3) */
	text = strndup(dot, size);
	if (!text)
		return error_set(err, ENOMEM, "no memory to check what is to be signed");
	rc = jws_base64url_decode(text, &payload, &payload_size, err);
	free(payload);
	free(text);
	return rc;
}

int engine_sign(struct engine *e, enum wire_sign kind, const unsigned char *input,
		size_t size, unsigned char *out, size_t *out_size, struct error *err)
{
	int rc = engine_account_load(e, err);

	if (rc == 0)
		rc = input_check(e, kind, (const char *)input, size, err);
	if (rc)
		return rc;
	switch (kind) {
	case WIRE_SIGN_ACCOUNT:
		*out_size = 64;
		return jws_sign_es256(e->account.key, input, size, out, err);
	case WIRE_SIGN_EAB:
		if (!e->eab_key)
			return error_set(err, EPERM,
					 "no external account is configured ([acme] "
					 "eab-kid, eab-key-file)");
		*out_size = 32;
		return jws_sign_hs256(e->eab_key, input, size, out, err);
	}
	return error_set(err, EPERM, "a signature of an unknown kind");
}
