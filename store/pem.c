/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/pem.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEGIN      "-----BEGIN "
#define END        "-----END "
#define LINE_BYTES 64

static const unsigned char *find(const unsigned char *at, const unsigned char *end,
				 const char *word)
{
	return memmem(at, (size_t)(end - at), word, strlen(word));
}

/* Does the last line stop in the middle of a "-----BEGIN "? */
static bool ends_in_begin(const unsigned char *data, size_t size)
{
	const unsigned char *line = memrchr(data, '\n', size);
	line = line ? line + 1 : data;
	size_t length = (size_t)(data + size - line);
	return length > 0 && length < strlen(BEGIN) && memcmp(line, BEGIN, length) == 0;
}

enum pem_state pem_state(const void *data, size_t size)
{
	const unsigned char *at = data, *end;
	bool any = false;
	if (size == 0)
		return PEM_EMPTY;
	end = at + size;
	for (;;) {
		const unsigned char *begin = find(at, end, BEGIN);
		if (!begin)
			break;
		const unsigned char *close = find(begin, end, END);
		const unsigned char *dashes =
		    close ? find(close + strlen(END), end, "-----") : NULL;
		if (!dashes)
			return PEM_INCOMPLETE;
		any = true;
		at = dashes + 5;
	}
	/* The dashes of a block's own END line are no beginning. */
	if (at < end && ends_in_begin(at, (size_t)(end - at)))
		return PEM_INCOMPLETE;
	return any ? PEM_WHOLE : PEM_EMPTY;
}

void pem_clear(struct pem *p)
{
	for (size_t i = 0; i < p->certs; i++)
		free(p->cert[i].der);
	secret_free(p->key);
	memset(p, 0, sizeof(*p));
}

int pem_cert_copy(struct pem_cert *to, const struct pem_cert *from, struct error *err)
{
	to->der = malloc(from->size);
	if (!to->der)
		return error_set(err, ENOMEM, "no memory for a certificate");
	memcpy(to->der, from->der, from->size);
	to->size = from->size;
	return 0;
}

/* One file while it is taken apart. */
struct reading {
	struct pem *out;
	const struct pem_place *place;
	bool with_certs; /* there are certificates in it, whatever else there is */
};

/* For the commands in reasons: `name` in the folder that the file was written into. */
struct path {
	char text[300];
};

static const char *path_of(const struct reading *in, const char *name, struct path *path)
{
	const char *dir = in->place->dir;
	snprintf(path->text, sizeof(path->text), "%s%s%s", dir, dir[0] ? "/" : "", name);
	return path->text;
}

/* Where certificates alone go. */
static const char *certs_path(const struct reading *in, struct path *path)
{
	const char *file = in->place->file;
	bool secret =
	    strcmp(file, "privkey.pem") == 0 || strcmp(file, "combined.pem") == 0;
	return path_of(in, secret ? "fullchain.pem" : file, path);
}

static bool is_pkcs12(const unsigned char *data, size_t size)
{
	static const unsigned char version3[] = {0x02, 0x01, 0x03};
	return memmem(data, size < 16 ? size : 16, version3, sizeof(version3));
}

static bool is_pkcs7(const unsigned char *data, size_t size)
{
	static const unsigned char signed_data[] = {0x2a, 0x86, 0x48, 0x86, 0xf7,
						    0x0d, 0x01, 0x07, 0x02};
	return memmem(data, size < 40 ? size : 40, signed_data, sizeof(signed_data));
}

static bool is_der_cert(const unsigned char *data, size_t size)
{
	X509 *cert = d2i_X509(NULL, &data, (long)size);
	X509_free(cert);
	ERR_clear_error();
	return cert;
}

static bool is_der_key(const unsigned char *data, size_t size)
{
	const unsigned char *again = data;
	EVP_PKEY *pkey = d2i_AutoPrivateKey(NULL, &data, (long)size);
	X509_SIG *encrypted = pkey ? NULL : d2i_X509_SIG(NULL, &again, (long)size);
	EVP_PKEY_free(pkey);
	X509_SIG_free(encrypted);
	ERR_clear_error();
	return pkey || encrypted;
}

static int refuse_binary(const struct reading *in, const unsigned char *data, size_t size,
			 struct error *err)
{
	struct path to;
	if (is_pkcs12(data, size))
		return error_set(
		    err, EBADMSG,
		    "this is PKCS#12, not PEM: convert the original with "
		    "'openssl pkcs12 -in ORIGINAL -nodes -out %s' (an old one "
		    "wants -legacy too)",
		    path_of(in, "combined.pem", &to));
	if (is_pkcs7(data, size))
		return error_set(err, EBADMSG,
				 "this is PKCS#7 in DER, not PEM: convert the original "
				 "with 'openssl pkcs7 -inform DER -in ORIGINAL "
				 "-print_certs -out %s'",
				 certs_path(in, &to));
	if (is_der_cert(data, size))
		return error_set(err, EBADMSG,
				 "this is a certificate in DER, not PEM: convert the "
				 "original with 'openssl x509 -inform DER -in ORIGINAL "
				 "-out %s'",
				 certs_path(in, &to));
	if (is_der_key(data, size))
		return error_set(err, EBADMSG,
				 "this is a private key in DER, not PEM: convert the "
				 "original with 'openssl pkey -inform DER -in ORIGINAL "
				 "-out %s'",
				 path_of(in, "privkey.pem", &to));
	return error_set(
	    err, EBADMSG,
	    "this is DER, not PEM, and neither a certificate nor a private "
	    "key: 'openssl asn1parse -inform DER -in ORIGINAL' shows what it "
	    "is");
}

/* No PEM block at all: what is it, and which command makes PEM of it? */
static int refuse_no_block(const struct reading *in, const unsigned char *data,
			   size_t size, struct error *err)
{
	struct path to;
	if (size > 2 && data[0] == 0x30)
		return refuse_binary(in, data, size, err);
	if (size > 2 &&
	    (memcmp(data, "\xff\xfe", 2) == 0 || memcmp(data, "\xfe\xff", 2) == 0))
		return error_set(
		    err, EBADMSG,
		    "this is UTF-16 text, as Windows writes it: convert the "
		    "original with 'iconv -f UTF-16 -t UTF-8 -o %s ORIGINAL'",
		    path_of(in, in->place->file, &to));
	return error_set(err, EBADMSG,
			 "there is no PEM block (-----BEGIN …-----) in it: write the "
			 "certificate, or the key, in PEM");
}

static int refuse_block(const struct reading *in, const char *label, struct error *err)
{
	struct path to;
	if (strcmp(label, "PKCS7") == 0 || strcmp(label, "CMS") == 0)
		return error_set(err, EBADMSG,
				 "this is PKCS#7: convert the original with 'openssl "
				 "pkcs7 -in ORIGINAL -print_certs -out %s'",
				 certs_path(in, &to));
	if (strstr(label, "CERTIFICATE REQUEST"))
		return error_set(err, EBADMSG,
				 "this is a certificate request: write the certificate "
				 "that the CA made of it");
	if (strcmp(label, "PUBLIC KEY") == 0 || strcmp(label, "RSA PUBLIC KEY") == 0)
		return error_set(err, EBADMSG,
				 "this is a public key: write the private key that "
				 "belongs to it");
	return error_set(err, EBADMSG,
			 "a '%.60s' block is neither a certificate nor a private key: "
			 "leave it out",
			 label);
}

static int refuse_encrypted(const struct reading *in, struct error *err)
{
	struct path key, certs;
	if (!in->with_certs)
		return error_set(
		    err, EBADMSG,
		    "the private key has a passphrase, which no server could "
		    "type: take it off with 'openssl pkey -in ORIGINAL -out %s'",
		    path_of(in, "privkey.pem", &key));
	return error_set(
	    err, EBADMSG,
	    "the private key has a passphrase, which no server could type: "
	    "take it off with 'openssl pkey -in ORIGINAL -out %s', and write "
	    "the certificates to %s",
	    path_of(in, "privkey.pem", &key), certs_path(in, &certs));
}

/* TRUSTED CERTIFICATE has OpenSSL's trust data behind the certificate; it is left out. */
static int add_cert(struct pem *out, const unsigned char *der, long size, bool trusted,
		    struct error *err)
{
	int r = 0;
	const unsigned char *p = der;
	unsigned char *copy = NULL;
	if (out->certs == PEM_CERTS_MAX)
		return error_set(err, EFBIG,
				 "there are more than %d certificates in it: write the "
				 "server's own and its intermediates, and no others",
				 PEM_CERTS_MAX);
	X509 *cert = trusted ? d2i_X509_AUX(NULL, &p, size) : d2i_X509(NULL, &p, size);
	int length = cert && p == der + size ? i2d_X509(cert, &copy) : -1;
	if (length <= 0) {
		r = error_set(err, EBADMSG,
			      "certificate %zu in it does not parse: it is damaged, copy "
			      "it again from where it came",
			      out->certs + 1);
		goto out;
	}
	out->cert[out->certs].der = malloc((size_t)length);
	if (!out->cert[out->certs].der) {
		r = error_set(err, ENOMEM, "no memory for a certificate");
		goto out;
	}
	memcpy(out->cert[out->certs].der, copy, (size_t)length);
	out->cert[out->certs++].size = (size_t)length;
out:
	OPENSSL_free(copy);
	X509_free(cert);
	return r;
}

static int key_to_pkcs8(EVP_PKEY *pkey, struct secret **key, struct error *err)
{
	int r = 0;
	unsigned char *der = NULL;
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(pkey);
	int size = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : -1;
	*key = size > 0 ? secret_copy(der, (size_t)size) : NULL;
	if (!*key)
		r = error_set(err, EBADMSG, "the private key can't be written as PKCS#8");
	if (size > 0)
		OPENSSL_clear_free(der, (size_t)size);
	PKCS8_PRIV_KEY_INFO_free(info);
	return r;
}

static int add_key(struct pem *out, const unsigned char *der, long size,
		   struct error *err)
{
	const unsigned char *p = der;
	if (out->key)
		return error_set(err, EBADMSG,
				 "there are two private keys in it: leave out the one "
				 "that is not the certificate's");
	EVP_PKEY *pkey = d2i_AutoPrivateKey(NULL, &p, size);
	if (!pkey)
		return error_set(err, EBADMSG,
				 "the private key does not parse: it is damaged, copy it "
				 "again from where it came");
	int r = key_to_pkcs8(pkey, &out->key, err);
	EVP_PKEY_free(pkey);
	return r;
}

static int add_block(const struct reading *in, const char *label, const char *header,
		     const unsigned char *der, long size, struct error *err)
{
	size_t length = strlen(label);
	if (strcmp(label, "CERTIFICATE") == 0 || strcmp(label, "X509 CERTIFICATE") == 0)
		return add_cert(in->out, der, size, false, err);
	if (strcmp(label, "TRUSTED CERTIFICATE") == 0)
		return add_cert(in->out, der, size, true, err);
	if (strcmp(label, "EC PARAMETERS") == 0)
		return 0;
	if (strcmp(label, "ENCRYPTED PRIVATE KEY") == 0 || strstr(header, "ENCRYPTED"))
		return refuse_encrypted(in, err);
	if (length >= 11 && strcmp(label + length - 11, "PRIVATE KEY") == 0)
		return add_key(in->out, der, size, err);
	return refuse_block(in, label, err);
}

/* OpenSSL wants its lines plain: blanks at line ends and a byte order mark are taken
 * away. */
static BIO *cleaned(const unsigned char *data, size_t size, struct secret **copy)
{
	size_t to = 0;
	*copy = secret_new(size);
	if (!*copy)
		return NULL;
	unsigned char *out = secret_room(*copy);
	if (size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
		data += 3;
		size -= 3;
	}
	for (size_t i = 0; i < size; i++) {
		if (data[i] == '\n')
			while (to > 0 && strchr(" \t\r", out[to - 1]))
				to--;
		out[to++] = data[i];
	}
	secret_fill(*copy, to);
	return BIO_new_mem_buf(out, (int)to);
}

static int next_block(BIO *bio, const struct reading *in, bool *end, struct error *err)
{
	char *label = NULL, *header = NULL;
	unsigned char *der = NULL;
	long size = 0;
	int r = 0;
	ERR_clear_error();
	if (PEM_read_bio_ex(bio, &label, &header, &der, &size, PEM_FLAG_SECURE) != 1) {
		*end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
		ERR_clear_error();
		return *end
			   ? 0
			   : error_set(
				 err, EBADMSG,
				 "a block in it is damaged (its Base64 or its END line): "
				 "copy it again from where it came");
	}
	r = add_block(in, label, header, der, size, err);
	OPENSSL_secure_free(label);
	OPENSSL_secure_free(header);
	OPENSSL_secure_clear_free(der, (size_t)size);
	ERR_clear_error();
	return r;
}

int pem_check_size(size_t size, struct error *err)
{
	if (size <= PEM_FILE_MAX)
		return 0;
	return error_set(
	    err, EFBIG,
	    "a file of more than 1 MiB is no certificate: write the server's "
	    "own, its intermediates and the key, and nothing else");
}

/* What can be said of a file as a whole. */
static int check_whole(const struct reading *in, const void *data, size_t size,
		       struct error *err)
{
	int r = pem_check_size(size, err);
	if (r < 0)
		return r;
	if (!data || size == 0)
		return error_set(err, EBADMSG, "it is empty: write it whole");
	enum pem_state state = pem_state(data, size);
	if (state == PEM_EMPTY)
		return refuse_no_block(in, data, size, err);
	if (memchr(data, '\0', size))
		return error_set(
		    err, EBADMSG,
		    "there are NUL bytes in it, which no PEM file has: it is "
		    "damaged, copy it again from where it came");
	if (state == PEM_INCOMPLETE)
		return error_set(
		    err, EBADMSG,
		    "it ends in the middle of a block: it was cut off, write "
		    "it again, whole");
	return 0;
}

int pem_parse_at(const struct pem_place *place, const void *data, size_t size,
		 struct pem *out, struct error *err)
{
	static const char cert[] = "CERTIFICATE-----";
	struct reading in = {.out = out, .place = place};
	bool end = false;
	struct secret *copy = NULL;
	BIO *bio = NULL;
	memset(out, 0, sizeof(*out));
	int r = check_whole(&in, data, size, err);
	if (r < 0)
		return r;
	in.with_certs = memmem(data, size, cert, strlen(cert));
	bio = cleaned(data, size, &copy);
	if (!bio)
		r = error_set(err, ENOMEM, "no memory for a file");
	else
		do
			r = next_block(bio, &in, &end, err);
		while (r == 0 && !end);
	if (r == 0 && out->certs == 0 && !out->key)
		r = error_set(err, EBADMSG,
			      "there is neither a certificate nor a key in it: the "
			      "parameters alone are of no use");
	if (r < 0)
		pem_clear(out);
	BIO_free(bio);
	secret_free(copy);
	return r;
}

int pem_parse(const void *data, size_t size, struct pem *out, struct error *err)
{
	static const struct pem_place nowhere = {.dir = "", .file = "fullchain.pem"};
	return pem_parse_at(&nowhere, data, size, out, err);
}

size_t pem_text_size(size_t der_size)
{
	size_t base64 = (der_size + 2) / 3 * 4;
	return base64 + base64 / LINE_BYTES + 1 + 80; /* 80: both lines of dashes */
}

static int write_block(struct secret *out, const char *label, const void *der,
		       size_t size)
{
	int r = -ENOMEM;
	BUF_MEM *text = NULL;
	BIO *bio = BIO_new(BIO_s_secmem());
	if (bio && PEM_write_bio(bio, label, "", der, (long)size) > 0 &&
	    BIO_get_mem_ptr(bio, &text) > 0)
		r = secret_append(out, text->data, text->length);
	BIO_free(bio);
	return r;
}

int pem_write_cert(struct secret *out, const void *der, size_t size)
{
	return write_block(out, "CERTIFICATE", der, size);
}

int pem_write_key(struct secret *out, const struct secret *pkcs8)
{
	return write_block(out, "PRIVATE KEY", secret_data(pkcs8), secret_size(pkcs8));
}
