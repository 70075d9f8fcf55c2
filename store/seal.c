/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MASTER_SIZE 32
#define NONCE_SIZE  12
#define TAG_SIZE    16

enum form { FORM_PLAIN = 0, FORM_GCM = 1 };

struct seal {
	bool keyed;
	unsigned char master[MASTER_SIZE];
};

/* 32 raw bytes, or 64 hex digits with white space after them. */
static int take_master(struct seal *seal, const unsigned char *data, size_t size)
{
	if (size == MASTER_SIZE) {
		memcpy(seal->master, data, MASTER_SIZE);
		return 0;
	}
	while (size > 0 && strchr(" \r\n", data[size - 1]))
		size--;
	if (size != 2 * MASTER_SIZE)
		return -EINVAL;
	char hex[2 * MASTER_SIZE + 1];
	memcpy(hex, data, size);
	hex[size] = '\0';
	size_t taken = 0;
	int ok = OPENSSL_hexstr2buf_ex(seal->master, MASTER_SIZE, &taken, hex, '\0');
	OPENSSL_cleanse(hex, sizeof(hex));
	return ok && taken == MASTER_SIZE ? 0 : -EINVAL;
}

int seal_open(struct seal **result, const char *key_file, struct error *err)
{
	int r = 0, fd = -1;
	unsigned char data[128];
	struct seal *seal = calloc(1, sizeof(*seal));
	if (!seal)
		return error_set(err, ENOMEM, "no memory for the master key");
	if (!key_file)
		goto out;
	fd = open(key_file, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, data, sizeof(data));
	if (size < 0)
		r = error_set(err, errno, "master-key-file %s: %s", key_file,
			      strerror(errno));
	else if (take_master(seal, data, (size_t)size) < 0)
		r = error_set(err, EINVAL,
			      "master-key-file %s must hold 32 bytes or 64 hex digits",
			      key_file);
	else
		seal->keyed = true;
	OPENSSL_cleanse(data, sizeof(data));
out:
	if (fd >= 0)
		close(fd);
	if (r < 0) {
		seal_close(seal);
		return r;
	}
	*result = seal;
	return 0;
}

void seal_close(struct seal *seal)
{
	if (seal)
		OPENSSL_clear_free(seal, sizeof(*seal));
}

static int encrypt(const struct seal *seal, const struct secret *plain, const void *place,
		   size_t place_size, unsigned char *out)
{
	int n, ok;
	unsigned char *nonce = out, *text = out + NONCE_SIZE;
	unsigned char *tag = text + secret_size(plain);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	const EVP_CIPHER *gcm = EVP_aes_256_gcm();
	ok = ctx && RAND_bytes(nonce, NONCE_SIZE) == 1 &&
	     EVP_EncryptInit_ex2(ctx, gcm, seal->master, nonce, NULL) == 1 &&
	     EVP_EncryptUpdate(ctx, NULL, &n, place, (int)place_size) == 1 &&
	     EVP_EncryptUpdate(ctx, text, &n, secret_data(plain),
			       (int)secret_size(plain)) == 1 &&
	     EVP_EncryptFinal_ex(ctx, text + n, &n) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, tag) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return ok ? 0 : -EIO;
}

int seal_encrypt(const struct seal *seal, const struct secret *plain, const void *place,
		 size_t place_size, struct secret **sealed, struct error *err)
{
	bool keyed = seal && seal->keyed;
	size_t size = 1 + secret_size(plain) + (keyed ? NONCE_SIZE + TAG_SIZE : 0);
	struct secret *out = secret_new(size);
	if (!out)
		return error_set(err, ENOMEM, "no memory to seal a key");
	unsigned char *room = secret_room(out);
	secret_fill(out, size);
	room[0] = keyed ? FORM_GCM : FORM_PLAIN;
	if (!keyed) {
		memcpy(room + 1, secret_data(plain), secret_size(plain));
	} else if (encrypt(seal, plain, place, place_size, room + 1) < 0) {
		secret_free(out);
		return error_set(err, EIO, "sealing a key failed in the crypto library");
	}
	*sealed = out;
	return 0;
}

static int decrypt(const struct seal *seal, const unsigned char *in, const void *place,
		   size_t place_size, struct secret *out)
{
	int n, ok;
	size_t size = secret_size(out);
	const unsigned char *text = in + NONCE_SIZE;
	unsigned char tag[TAG_SIZE];
	memcpy(tag, text + size, TAG_SIZE);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	ok = ctx &&
	     EVP_DecryptInit_ex2(ctx, EVP_aes_256_gcm(), seal->master, in, NULL) == 1 &&
	     EVP_DecryptUpdate(ctx, NULL, &n, place, (int)place_size) == 1 &&
	     EVP_DecryptUpdate(ctx, secret_room(out), &n, text, (int)size) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, tag) == 1 &&
	     EVP_DecryptFinal_ex(ctx, secret_room(out) + n, &n) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return ok ? 0 : -EBADMSG;
}

int seal_decrypt(const struct seal *seal, const void *sealed, size_t size,
		 const void *place, size_t place_size, struct secret **plain,
		 struct error *err)
{
	const unsigned char *in = sealed;
	if (size < 1 || in[0] > FORM_GCM ||
	    (in[0] == FORM_GCM && size < 1 + NONCE_SIZE + TAG_SIZE))
		return error_set(err, EBADMSG, "a stored key is damaged");
	if (in[0] == FORM_PLAIN) {
		*plain = secret_copy(in + 1, size - 1);
		return *plain ? 0 : error_set(err, ENOMEM, "no memory for a key");
	}
	if (!seal || !seal->keyed)
		return error_set(err, EACCES,
				 "keys in this store are sealed and no master-key-file "
				 "is configured");
	size_t length = size - 1 - NONCE_SIZE - TAG_SIZE;
	struct secret *out = secret_new(length);
	if (!out)
		return error_set(err, ENOMEM, "no memory for a key");
	secret_fill(out, length);
	if (decrypt(seal, in + 1, place, place_size, out) < 0) {
		secret_free(out);
		return error_set(
		    err, EBADMSG,
		    "a sealed key does not open: is this the right master-key-file?");
	}
	*plain = out;
	return 0;
}
