/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/x509_internal.h"

#include "store/text.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The certificates of one file while they are put in order. */
struct bag {
	X509 *cert[2 * PEM_CERTS_MAX];
	const struct pem_cert *from[2 * PEM_CERTS_MAX];
	bool used[2 * PEM_CERTS_MAX];
	size_t count;
	size_t leaf;
};

void pair_clear(struct pair *p)
{
	free(p->leaf.der);
	for (size_t i = 0; i < p->chain_size; i++)
		free(p->chain[i].der);
	secret_free(p->key);
	memset(p, 0, sizeof(*p));
}

static void bag_clear(struct bag *bag)
{
	for (size_t i = 0; i < bag->count; i++)
		X509_free(bag->cert[i]);
	ERR_clear_error();
}

static bool same(const struct pem_cert *a, const struct pem_cert *b)
{
	return a->size == b->size && memcmp(a->der, b->der, a->size) == 0;
}

/* Loads all, leaving duplicates out. */
static int bag_fill(struct bag *bag, const struct pem_cert *certs, size_t count,
		    struct error *err)
{
	memset(bag, 0, sizeof(*bag));
	if (count == 0)
		return error_set(err, EBADMSG, "there is no certificate in it");
	if (count > 2 * PEM_CERTS_MAX)
		return error_set(err, EFBIG, "there are more than %d certificates",
				 2 * PEM_CERTS_MAX);
	for (size_t i = 0; i < count; i++) {
		bool seen = false;
		for (size_t j = 0; j < bag->count; j++)
			seen |= same(&certs[i], bag->from[j]);
		if (seen)
			continue;
		X509 *cert = x509_load(&certs[i]);
		if (!cert || !X509_get0_pubkey(cert)) {
			X509_free(cert);
			return error_set(err, EBADMSG, "certificate %zu does not parse",
					 i + 1);
		}
		bag->from[bag->count] = &certs[i];
		bag->cert[bag->count++] = cert;
	}
	return 0;
}

static bool is_ca(X509 *cert)
{
	return X509_check_ca(cert) == 1;
}

static bool has_key(X509 *cert, EVP_PKEY *pkey)
{
	return EVP_PKEY_eq(X509_get0_pubkey(cert), pkey) == 1;
}

/* With a key the leaf is the certificate of that key, else the first that is no CA. */
static int find_leaf(struct bag *bag, EVP_PKEY *pkey, struct error *err)
{
	for (size_t i = 0; i < bag->count; i++)
		if (pkey ? has_key(bag->cert[i], pkey) : !is_ca(bag->cert[i])) {
			bag->leaf = i;
			return 0;
		}
	if (pkey)
		return error_set(
		    err, EKEYREJECTED,
		    "the private key belongs to another certificate: write the "
		    "certificate and the key that were made together");
	return error_set(
	    err, EKEYREJECTED,
	    "there are only certificates of CAs in it: write the server's own "
	    "certificate (`openssl req -x509` makes one of a CA, unless it is given "
	    "-addext "
	    "basicConstraints=critical,CA:FALSE)");
}

static void describe_time(int64_t when_s, char *out, size_t room)
{
	time_t t = (time_t)when_s;
	struct tm tm;
	if (!gmtime_r(&t, &tm) || strftime(out, room, "%Y-%m-%d %H:%M UTC", &tm) == 0)
		snprintf(out, room, "an unknown time");
}

static int check_time(X509 *leaf, int64_t now_s, struct error *err)
{
	char when[40];
	int64_t from = x509_time_s(X509_get0_notBefore(leaf));
	int64_t until = x509_time_s(X509_get0_notAfter(leaf));
	if (now_s > until) {
		describe_time(until, when, sizeof(when));
		return error_set(err, EKEYEXPIRED,
				 "the certificate expired on %s: write the one that "
				 "follows it",
				 when);
	}
	if (now_s < from) {
		describe_time(from, when, sizeof(when));
		return error_set(err, EKEYREJECTED,
				 "the certificate is not valid before %s: install it "
				 "then, or set this "
				 "machine's clock",
				 when);
	}
	return 0;
}

static bool covers(GENERAL_NAMES *sans, const struct name *name)
{
	char identifier[NAME_MAX_TEXT], text[NAME_MAX_TEXT];
	if (!name_identifier(name, identifier))
		return true;
	for (int i = 0; i < sk_GENERAL_NAME_num(sans); i++) {
		const GENERAL_NAME *san = sk_GENERAL_NAME_value(sans, i);
		if (!x509_san_text(san, text, sizeof(text)))
			continue;
		bool ip = san->type == GEN_IPADD;
		if (ip != (name->kind == NAME_IP))
			continue;
		if (ip ? strcmp(text, identifier) == 0 : name_matches(text, identifier))
			return true;
	}
	return false;
}

static void list_sans(GENERAL_NAMES *sans, char *out, size_t room)
{
	size_t at = 0;
	for (int i = 0; i < sk_GENERAL_NAME_num(sans); i++) {
		char text[NAME_MAX_TEXT];
		if (!x509_san_text(sk_GENERAL_NAME_value(sans, i), text, sizeof(text)))
			continue;
		if (at + strlen(text) + 8 > room) {
			snprintf(out + at, room - at, ", …");
			return;
		}
		at += (size_t)snprintf(out + at, room - at, "%s%s", at ? ", " : "", text);
	}
}

static int check_names(X509 *leaf, const struct name *name, const struct name *aliases,
		       size_t alias_count, struct error *err)
{
	int r = 0;
	char got[200] = "no name at all";
	GENERAL_NAMES *sans = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	if (!sans && name->kind != NAME_FALLBACK)
		return error_set(
		    err, EKEYREJECTED,
		    "the certificate has no subjectAltName, and its common name alone is "
		    "accepted by no client: have it issued with a SAN for %s",
		    name->text);
	list_sans(sans, got, sizeof(got));
	text_clean(got);
	if (!covers(sans, name))
		r = error_set(
		    err, EKEYREJECTED,
		    "the certificate is for %s, this directory is %s: write one "
		    "that is for it",
		    got, name->text);
	for (size_t i = 0; i < alias_count && r == 0; i++)
		if (!covers(sans, &aliases[i]))
			r = error_set(err, EKEYREJECTED,
				      "the certificate is for %s and not for %s, which "
				      "is an alias of %s: have one issued for both, or "
				      "take the alias away with rm",
				      got, aliases[i].text, name->text);
	GENERAL_NAMES_free(sans);
	return r;
}

static int check_leaf(X509 *leaf, const struct name *name, const struct name *aliases,
		      size_t alias_count, int64_t now_s, struct error *err)
{
	if (is_ca(leaf))
		return error_set(
		    err, EKEYREJECTED,
		    "the certificate is a CA's: write the server's own certificate "
		    "(`openssl req -x509` makes one of a CA, unless it is given -addext "
		    "basicConstraints=critical,CA:FALSE)");
	int r = x509_check_strength(X509_get0_pubkey(leaf), err);
	if (r == 0)
		r = check_names(leaf, name, aliases, alias_count, err);
	if (r == 0)
		r = check_time(leaf, now_s, err);
	return r;
}

/* By its signature: people give a CA and its server the same subject. */
static bool self_signed(X509 *cert)
{
	return X509_self_signed(cert, 1) == 1;
}

/* Is `issuer` the one that signed `cert`? By name, key identifier and signature. */
static bool issued_by(X509 *cert, X509 *issuer)
{
	return X509_check_issued(issuer, cert) == X509_V_OK &&
	       X509_verify(cert, X509_get0_pubkey(issuer)) == 1;
}

/* The issuer of `at` among those that are not used yet; bag->count: none. A root's twin that
 * another CA has signed goes before the root: whoever knows the one needs no other, and who
 * does not know it needs the twin. */
static size_t issuer_of(const struct bag *bag, size_t at)
{
	size_t found = bag->count;
	for (size_t i = 0; i < bag->count; i++) {
		if (bag->used[i] || !issued_by(bag->cert[at], bag->cert[i]))
			continue;
		if (!self_signed(bag->cert[i]))
			return i;
		if (found == bag->count)
			found = i;
	}
	return found;
}

/* Follows issuers from the leaf; `order` gets their places. A self-signed root ends the
 * chain and is left out: a client has it or will not believe it. */
static size_t follow(struct bag *bag, size_t *order, bool *complete)
{
	size_t length = 0, at = bag->leaf;
	bag->used[at] = true;
	*complete = self_signed(bag->cert[at]);
	while (!*complete) {
		at = issuer_of(bag, at);
		if (at == bag->count)
			break;
		bag->used[at] = true;
		if (self_signed(bag->cert[at]))
			*complete = true;
		else
			order[length++] = at;
	}
	return length;
}

static int refuse_stranger(const struct bag *bag, struct error *err)
{
	for (size_t i = 0; i < bag->count; i++) {
		struct cert_info info;
		/* A root or a cross-signed twin of what is used does no harm. */
		if (bag->used[i] || self_signed(bag->cert[i]))
			continue;
		bool twin = false;
		for (size_t j = 0; j < bag->count; j++)
			twin |= bag->used[j] &&
				has_key(bag->cert[j], X509_get0_pubkey(bag->cert[i]));
		if (twin)
			continue;
		int r = x509_info(bag->from[i], &info, err);
		if (r < 0)
			return r;
		return error_set(
		    err, EKEYREJECTED,
		    "the certificate '%s' in it is no part of the chain: leave it out",
		    info.subject[0] ? info.subject : info.names);
	}
	return 0;
}

static int build(struct bag *bag, const struct secret *key, struct pair *out,
		 struct error *err)
{
	size_t order[2 * PEM_CERTS_MAX];
	bool complete;
	size_t length = follow(bag, order, &complete);
	int r = refuse_stranger(bag, err);
	if (r == 0 && length > PEM_CERTS_MAX)
		r = error_set(err, EFBIG, "the chain is longer than %d", PEM_CERTS_MAX);
	if (r == 0)
		r = pem_cert_copy(&out->leaf, bag->from[bag->leaf], err);
	for (size_t i = 0; i < length && r == 0; i++) {
		r = pem_cert_copy(&out->chain[i], bag->from[order[i]], err);
		if (r == 0)
			out->chain_size++;
	}
	if (r == 0 && !(out->key = secret_copy(secret_data(key), secret_size(key))))
		r = error_set(err, ENOMEM, "no memory for a key");
	if (r == 0 && length == 0 && !complete)
		snprintf(out->warning, sizeof(out->warning),
			 "there is no intermediate certificate with it: clients "
			 "that don't have it will refuse the connection; write "
			 "fullchain.pem or chain.pem");
	return r;
}

int x509_pair(const struct pem_cert *certs, size_t count, const struct secret *key,
	      const struct name *name, const struct name *aliases, size_t alias_count,
	      int64_t now_s, struct pair *out, struct error *err)
{
	struct bag bag;
	EVP_PKEY *pkey = NULL;
	memset(out, 0, sizeof(*out));
	int r = bag_fill(&bag, certs, count, err);
	if (r < 0)
		goto out;
	pkey = x509_load_key(key);
	if (!pkey) {
		r = error_set(err, EBADMSG, "the private key does not parse");
		goto out;
	}
	r = x509_check_strength(pkey, err);
	if (r == 0)
		r = find_leaf(&bag, pkey, err);
	if (r == 0)
		r = check_leaf(bag.cert[bag.leaf], name, aliases, alias_count, now_s,
			       err);
	if (r == 0)
		r = build(&bag, key, out, err);
	if (r < 0)
		pair_clear(out);
out:
	EVP_PKEY_free(pkey);
	bag_clear(&bag);
	return r;
}

int x509_check_certs(const struct pem_cert *certs, size_t count, const struct name *name,
		     const struct name *aliases, size_t alias_count, int64_t now_s,
		     struct error *err)
{
	struct bag bag;
	int r = bag_fill(&bag, certs, count, err);
	if (r == 0)
		r = find_leaf(&bag, NULL, err);
	if (r == 0)
		r = check_leaf(bag.cert[bag.leaf], name, aliases, alias_count, now_s,
			       err);
	bag_clear(&bag);
	return r;
}

bool x509_key_fits(const struct pem_cert *certs, size_t count, const struct secret *key)
{
	struct bag bag;
	struct error ignored;
	bool fits = false;
	EVP_PKEY *pkey = x509_load_key(key);
	if (bag_fill(&bag, certs, count, &ignored) == 0 && pkey)
		fits = find_leaf(&bag, pkey, &ignored) == 0;
	bag_clear(&bag);
	EVP_PKEY_free(pkey);
	return fits;
}
