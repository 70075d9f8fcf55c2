/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/x509.h"

#include "store/text.h"
#include "store/x509_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int x509_crypto_error(struct error *err, const char *what)
{
	char text[160] = "no reason was given";
	unsigned long code = ERR_peek_last_error();
	if (code)
		ERR_error_string_n(code, text, sizeof(text));
	ERR_clear_error();
	return error_set(err, EIO, "%s failed in the crypto library: %s", what, text);
}

X509 *x509_load(const struct pem_cert *cert)
{
	const unsigned char *p = cert->der;
	return d2i_X509(NULL, &p, (long)cert->size);
}

EVP_PKEY *x509_load_key(const struct secret *key)
{
	const unsigned char *p = secret_data(key);
	return d2i_AutoPrivateKey(NULL, &p, (long)secret_size(key));
}

bool key_type_parse(const char *text, enum key_type *type)
{
	static const char *const names[] = {"p256", "p384", "rsa2048", "rsa3072",
					    "rsa4096"};
	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(text, names[i]) == 0) {
			*type = (enum key_type)i;
			return true;
		}
	return false;
}

static EVP_PKEY *generate(enum key_type type)
{
	switch (type) {
	case KEY_P256:
		return EVP_EC_gen("P-256");
	case KEY_P384:
		return EVP_EC_gen("P-384");
	case KEY_RSA2048:
		return EVP_RSA_gen(2048);
	case KEY_RSA3072:
		return EVP_RSA_gen(3072);
	case KEY_RSA4096:
		return EVP_RSA_gen(4096);
	}
	return NULL;
}

int x509_key_new(enum key_type type, struct secret **key, struct error *err)
{
	unsigned char *der = NULL;
	int size = -1;
	EVP_PKEY *pkey = generate(type);
	PKCS8_PRIV_KEY_INFO *info = pkey ? EVP_PKEY2PKCS8(pkey) : NULL;
	if (info)
		size = i2d_PKCS8_PRIV_KEY_INFO(info, &der);
	*key = size > 0 ? secret_copy(der, (size_t)size) : NULL;
	if (size > 0)
		OPENSSL_clear_free(der, (size_t)size);
	PKCS8_PRIV_KEY_INFO_free(info);
	EVP_PKEY_free(pkey);
	return *key ? 0 : x509_crypto_error(err, "making a private key");
}

void x509_describe_key(EVP_PKEY *pkey, char *out, size_t room)
{
	char group[64] = "";
	int bits = EVP_PKEY_get_bits(pkey);
	if (EVP_PKEY_is_a(pkey, "EC")) {
		EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL);
		int nid = OBJ_txt2nid(group);
		const char *nist = nid != NID_undef ? EC_curve_nid2nist(nid) : NULL;
		snprintf(out, room, "ECDSA %s", nist ? nist : group);
	} else if (EVP_PKEY_is_a(pkey, "RSA")) {
		snprintf(out, room, "RSA %d", bits);
	} else if (EVP_PKEY_is_a(pkey, "RSA-PSS")) {
		snprintf(out, room, "RSA-PSS %d", bits);
	} else {
		const char *name = EVP_PKEY_get0_type_name(pkey);
		if (name && strcasecmp(name, "ED25519") == 0)
			name = "Ed25519";
		else if (name && strcasecmp(name, "ED448") == 0)
			name = "Ed448";
		snprintf(out, room, "%s", name ? name : "unknown");
	}
}

int x509_check_strength(EVP_PKEY *pkey, struct error *err)
{
	char type[64];
	int bits = EVP_PKEY_get_bits(pkey);
	x509_describe_key(pkey, type, sizeof(type));
	bool rsa = EVP_PKEY_is_a(pkey, "RSA") || EVP_PKEY_is_a(pkey, "RSA-PSS");
	bool ec = EVP_PKEY_is_a(pkey, "EC");
	if (rsa && bits < 2048)
		return error_set(err, EKEYREJECTED,
				 "the key is too weak: %s, at least RSA 2048 is needed; "
				 "make a new key and have the certificate issued for it",
				 type);
	if (ec && bits < 256)
		return error_set(err, EKEYREJECTED,
				 "the key is too weak: %s, at least P-256 is needed; "
				 "make a new key and have the certificate issued for it",
				 type);
	if (!rsa && !ec && !EVP_PKEY_is_a(pkey, "ED25519") &&
	    !EVP_PKEY_is_a(pkey, "ED448"))
		return error_set(
		    err, EKEYREJECTED,
		    "a key of type %s is used by no TLS server: RSA, ECDSA, Ed25519 are",
		    type);
	return 0;
}

int x509_check_key(const struct secret *key, struct error *err)
{
	EVP_PKEY *pkey = x509_load_key(key);
	if (!pkey)
		return error_set(err, EBADMSG, "the private key does not parse");
	int r = x509_check_strength(pkey, err);
	EVP_PKEY_free(pkey);
	return r;
}

int64_t x509_time_s(const ASN1_TIME *time)
{
	int days = 0, seconds = 0;
	ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
	int ok = epoch && ASN1_TIME_diff(&days, &seconds, epoch, time);
	ASN1_TIME_free(epoch);
	return ok ? (int64_t)days * 86400 + seconds : 0;
}

/* The CN, else the O, of a distinguished name, printable. */
static void name_text(const X509_NAME *name, char *out, size_t room)
{
	unsigned char *utf8 = NULL;
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	if (at < 0)
		at = X509_NAME_get_index_by_NID(name, NID_organizationName, -1);
	out[0] = '\0';
	if (at < 0)
		return;
	int size = ASN1_STRING_to_UTF8(
	    &utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
	if (size > 0) {
		size_t length = (size_t)size < room ? (size_t)size : room - 1;
		memcpy(out, utf8, length);
		out[length] = '\0';
	}
	OPENSSL_free(utf8);
	text_clean(out);
}

bool x509_san_text(const GENERAL_NAME *san, char *out, size_t room)
{
	int type;
	const ASN1_STRING *value = GENERAL_NAME_get0_value(san, &type);
	const unsigned char *data = value ? ASN1_STRING_get0_data(value) : NULL;
	int size = value ? ASN1_STRING_length(value) : 0;
	if (type == GEN_DNS && size > 0 && (size_t)size < room &&
	    !memchr(data, '\0', (size_t)size)) {
		memcpy(out, data, (size_t)size);
		out[size] = '\0';
		return true;
	}
	if (type == GEN_IPADD && (size == 4 || size == 16))
		return inet_ntop(size == 4 ? AF_INET : AF_INET6, data, out,
				 (socklen_t)room);
	return false;
}

static void names_text(X509 *cert, char *out, size_t room)
{
	GENERAL_NAMES *sans = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	size_t at = 0;
	out[0] = '\0';
	for (int i = 0; i < sk_GENERAL_NAME_num(sans); i++) {
		char name[NAME_MAX_TEXT];
		if (!x509_san_text(sk_GENERAL_NAME_value(sans, i), name, sizeof(name)))
			continue;
		text_clean(name);
		if (at + strlen(name) + 2 > room)
			break;
		at += (size_t)snprintf(out + at, room - at, "%s%s", at ? " " : "", name);
	}
	GENERAL_NAMES_free(sans);
}

int x509_info(const struct pem_cert *leaf, struct cert_info *info, struct error *err)
{
	memset(info, 0, sizeof(*info));
	X509 *cert = x509_load(leaf);
	EVP_PKEY *pkey = cert ? X509_get0_pubkey(cert) : NULL;
	if (!pkey) {
		X509_free(cert);
		ERR_clear_error();
		return error_set(err, EBADMSG, "the certificate does not parse");
	}
	info->not_before_s = x509_time_s(X509_get0_notBefore(cert));
	info->not_after_s = x509_time_s(X509_get0_notAfter(cert));
	SHA256(leaf->der, leaf->size, info->sha256);
	const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
	const unsigned char *bytes = ASN1_STRING_get0_data(serial);
	for (int i = 0; i < ASN1_STRING_length(serial) && i < 31; i++)
		snprintf(info->serial + 2 * i, 3, "%02x", bytes[i]);
	name_text(X509_get_issuer_name(cert), info->issuer, sizeof(info->issuer));
	name_text(X509_get_subject_name(cert), info->subject, sizeof(info->subject));
	names_text(cert, info->names, sizeof(info->names));
	x509_describe_key(pkey, info->key_type, sizeof(info->key_type));
	X509_free(cert);
	return 0;
}

/* subjectAltName of all the names, as an extension's value. */
static GENERAL_NAMES *sans_of(const struct name *names, size_t count)
{
	GENERAL_NAMES *sans = GENERAL_NAMES_new();
	for (size_t i = 0; sans && i < count; i++) {
		char identifier[NAME_MAX_TEXT] = "fallback.invalid";
		name_identifier(&names[i], identifier);
		GENERAL_NAME *san = a2i_GENERAL_NAME(
		    NULL, NULL, NULL, names[i].kind == NAME_IP ? GEN_IPADD : GEN_DNS,
		    identifier, 0);
		if (!san || sk_GENERAL_NAME_push(sans, san) <= 0) {
			GENERAL_NAME_free(san);
			GENERAL_NAMES_free(sans);
			return NULL;
		}
	}
	return sans;
}

int x509_csr(const struct secret *key, const struct name *names, size_t count,
	     unsigned char **der, size_t *size, struct error *err)
{
	int r = 0, length;
	unsigned char *bytes = NULL;
	STACK_OF(X509_EXTENSION) *extensions = NULL;
	EVP_PKEY *pkey = x509_load_key(key);
	X509_REQ *req = X509_REQ_new();
	GENERAL_NAMES *sans = sans_of(names, count);
	if (!pkey || !req || !sans ||
	    X509V3_add1_i2d(&extensions, NID_subject_alt_name, sans, 0,
			    X509V3_ADD_DEFAULT) != 1 ||
	    X509_REQ_add_extensions(req, extensions) != 1 ||
	    X509_REQ_set_pubkey(req, pkey) != 1 ||
	    X509_REQ_sign(req, pkey, EVP_sha256()) <= 0 ||
	    (length = i2d_X509_REQ(req, &bytes)) <= 0) {
		r = x509_crypto_error(err, "making a certificate request");
		goto out;
	}
	*der = malloc((size_t)length);
	*size = (size_t)length;
	if (*der)
		memcpy(*der, bytes, *size);
	else
		r = error_set(err, ENOMEM, "no memory for a certificate request");
out:
	OPENSSL_free(bytes);
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	GENERAL_NAMES_free(sans);
	X509_REQ_free(req);
	EVP_PKEY_free(pkey);
	return r;
}

static bool add_text_extension(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	bool ok = extension && X509_add_ext(cert, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return ok;
}

static bool set_serial(X509 *cert)
{
	BIGNUM *number = BN_new();
	bool ok = number &&
		  BN_rand(number, 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
		  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
	BN_free(number);
	return ok;
}

static X509 *build_self_signed(EVP_PKEY *pkey, GENERAL_NAMES *sans, int64_t now_s,
			       int days)
{
	X509 *cert = X509_new();
	if (cert && X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
	    ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)now_s - 3600) &&
	    ASN1_TIME_set(X509_getm_notAfter(cert),
			  (time_t)now_s + (time_t)days * 86400) &&
	    X509_set_pubkey(cert, pkey) == 1 &&
	    /* RFC 5280 §4.2.1.6: critical where the subject is empty */
	    X509_add1_ext_i2d(cert, NID_subject_alt_name, sans, 1, X509V3_ADD_DEFAULT) ==
		1 &&
	    add_text_extension(cert, NID_basic_constraints, "critical,CA:FALSE") &&
	    add_text_extension(cert, NID_key_usage, "critical,digitalSignature") &&
	    add_text_extension(cert, NID_ext_key_usage, "serverAuth") &&
	    X509_sign(cert, pkey, EVP_sha256()) > 0)
		return cert;
	X509_free(cert);
	return NULL;
}

int x509_self_sign(const struct secret *key, const struct name *name,
		   const struct name *aliases, size_t alias_count, int64_t now_s,
		   int days, struct pair *out, struct error *err)
{
	int r = 0, size = -1;
	unsigned char *der = NULL;
	X509 *cert = NULL;
	EVP_PKEY *pkey = NULL;
	GENERAL_NAMES *sans = NULL;
	struct name *names = calloc(alias_count + 1, sizeof(*names));
	memset(out, 0, sizeof(*out));
	if (!names)
		return error_set(err, ENOMEM, "no memory for a self-signed certificate");
	names[0] = *name;
	if (alias_count > 0)
		memcpy(names + 1, aliases, alias_count * sizeof(*names));
	pkey = x509_load_key(key);
	sans = sans_of(names, alias_count + 1);
	if (pkey && sans)
		cert = build_self_signed(pkey, sans, now_s, days);
	if (cert)
		size = i2d_X509(cert, &der);
	if (size <= 0) {
		r = x509_crypto_error(err, "making a self-signed certificate");
		goto out;
	}
	out->leaf.der = malloc((size_t)size);
	out->key = secret_copy(secret_data(key), secret_size(key));
	if (!out->leaf.der || !out->key) {
		pair_clear(out);
		r = error_set(err, ENOMEM, "no memory for a self-signed certificate");
		goto out;
	}
	memcpy(out->leaf.der, der, (size_t)size);
	out->leaf.size = (size_t)size;
out:
	OPENSSL_free(der);
	X509_free(cert);
	GENERAL_NAMES_free(sans);
	EVP_PKEY_free(pkey);
	free(names);
	return r;
}
