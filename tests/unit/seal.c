/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/seal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char key_bytes[] = "the bytes of a private key";
static const char hex_key[] =
    "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";

/* Opens a seal with a key file that holds CONTENT; the file is gone afterwards. */
static int open_with(const void *content, size_t size, struct seal **seal,
		     struct error *err)
{
	char path[] = "/tmp/certfs-seal-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, size), (ssize_t)size);
	close(fd);
	int r = seal_open(seal, path, err);
	unlink(path);
	return r;
}

static struct secret *sealed_at(const struct seal *seal, const char *place)
{
	struct error err = {0};
	struct secret *sealed = NULL, *plain = secret_copy(key_bytes, sizeof(key_bytes));
	assert_int_equal(seal_encrypt(seal, plain, place, strlen(place), &sealed, &err),
			 0);
	secret_free(plain);
	return sealed;
}

static int opened_at(const struct seal *seal, const struct secret *sealed,
		     const char *place, struct error *err)
{
	struct secret *plain = NULL;
	int r = seal_decrypt(seal, secret_data(sealed), secret_size(sealed), place,
			     strlen(place), &plain, err);
	if (r == 0) {
		assert_int_equal(secret_size(plain), sizeof(key_bytes));
		assert_memory_equal(secret_data(plain), key_bytes, sizeof(key_bytes));
	} else {
		assert_null(plain);
	}
	secret_free(plain);
	return r;
}

static void sealed_key_opens_at_its_place(void **state)
{
	(void)state;
	struct seal *seal = NULL;
	struct error err = {0};
	assert_int_equal(open_with(hex_key, 64, &seal, &err), 0);
	struct secret *sealed = sealed_at(seal, "7/1");
	assert_null(memmem(secret_data(sealed), secret_size(sealed), key_bytes, 8));
	assert_int_equal(opened_at(seal, sealed, "7/1", &err), 0);
	secret_free(sealed);
	seal_close(seal);
}

static void sealed_key_opens_at_no_other_place(void **state)
{
	(void)state;
	struct seal *seal = NULL;
	struct error err = {0};
	assert_int_equal(open_with(hex_key, 64, &seal, &err), 0);
	struct secret *sealed = sealed_at(seal, "7/1");
	assert_int_equal(opened_at(seal, sealed, "7/2", &err), -EBADMSG);
	assert_int_equal(opened_at(seal, sealed, "", &err), -EBADMSG);
	secret_free(sealed);
	seal_close(seal);
}

static void changed_byte_is_noticed_wherever_it_is(void **state)
{
	(void)state;
	struct seal *seal = NULL;
	struct error err = {0};
	assert_int_equal(open_with(hex_key, 64, &seal, &err), 0);
	struct secret *sealed = sealed_at(seal, "7/1");
	for (size_t i = 1; i < secret_size(sealed); i++) {
		secret_room(sealed)[i] ^= 1;
		assert_int_equal(opened_at(seal, sealed, "7/1", &err), -EBADMSG);
		secret_room(sealed)[i] ^= 1;
	}
	assert_int_equal(opened_at(seal, sealed, "7/1", &err), 0);
	secret_free(sealed);
	seal_close(seal);
}

static void cut_key_is_damaged(void **state)
{
	(void)state;
	struct seal *seal = NULL;
	struct error err = {0};
	assert_int_equal(open_with(hex_key, 64, &seal, &err), 0);
	struct secret *sealed = sealed_at(seal, "7/1");
	while (secret_size(sealed) > 0) {
		secret_resize(sealed, secret_size(sealed) - 1);
		assert_int_equal(opened_at(seal, sealed, "7/1", &err), -EBADMSG);
	}
	secret_free(sealed);
	seal_close(seal);
}

static void two_seals_of_one_key_differ(void **state)
{
	(void)state;
	struct seal *seal = NULL;
	struct error err = {0};
	assert_int_equal(open_with(hex_key, 64, &seal, &err), 0);
	struct secret *a = sealed_at(seal, "7/1"), *b = sealed_at(seal, "7/1");
	assert_memory_not_equal(secret_data(a), secret_data(b), secret_size(a));
	secret_free(a);
	secret_free(b);
	seal_close(seal);
}

static void without_the_master_key_nothing_sealed_opens(void **state)
{
	(void)state;
	struct seal *seal = NULL, *none = NULL, *other = NULL;
	struct error err = {0};
	char other_key[32] = "another key of exactly 32 bytes";
	assert_int_equal(open_with(hex_key, 64, &seal, &err), 0);
	assert_int_equal(open_with(other_key, 32, &other, &err), 0);
	assert_int_equal(seal_open(&none, NULL, &err), 0);
	struct secret *sealed = sealed_at(seal, "7/1");
	assert_int_equal(opened_at(none, sealed, "7/1", &err), -EACCES);
	assert_int_equal(opened_at(NULL, sealed, "7/1", &err), -EACCES);
	assert_int_equal(opened_at(other, sealed, "7/1", &err), -EBADMSG);
	secret_free(sealed);
	seal_close(seal);
	seal_close(none);
	seal_close(other);
}

static void key_stored_without_a_master_key_opens_with_one(void **state)
{
	(void)state;
	struct seal *seal = NULL, *none = NULL;
	struct error err = {0};
	assert_int_equal(open_with(hex_key, 64, &seal, &err), 0);
	assert_int_equal(seal_open(&none, NULL, &err), 0);
	struct secret *plain = sealed_at(none, "7/1");
	assert_int_equal(opened_at(seal, plain, "7/1", &err), 0);
	assert_int_equal(opened_at(none, plain, "7/1", &err), 0);
	secret_free(plain);
	seal_close(seal);
	seal_close(none);
}

static void hex_and_raw_are_the_same_master_key(void **state)
{
	(void)state;
	struct seal *hex = NULL, *raw = NULL;
	struct error err = {0};
	unsigned char bytes[32];
	char line[66];
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)i;
	memcpy(line, hex_key, 64);
	line[64] = '\n';
	assert_int_equal(open_with(line, 65, &hex, &err), 0);
	assert_int_equal(open_with(bytes, sizeof(bytes), &raw, &err), 0);
	struct secret *sealed = sealed_at(hex, "7/1");
	assert_int_equal(opened_at(raw, sealed, "7/1", &err), 0);
	secret_free(sealed);
	seal_close(hex);
	seal_close(raw);
}

static void master_key_of_another_size_is_refused(void **state)
{
	(void)state;
	struct error err = {0};
	static const size_t size[] = {0, 1, 31, 33, 63, 66, 128, 200};
	char bytes[200];
	memset(bytes, 'a', sizeof(bytes));
	for (size_t i = 0; i < sizeof(size) / sizeof(*size); i++) {
		struct seal *seal = NULL;
		assert_int_equal(open_with(bytes, size[i], &seal, &err), -EINVAL);
		assert_null(seal);
		assert_non_null(strstr(err.text, "32 bytes or 64 hex digits"));
	}
	memset(bytes, 'g', 64);
	struct seal *seal = NULL;
	assert_int_equal(open_with(bytes, 64, &seal, &err), -EINVAL);
}

static void missing_master_key_names_its_file(void **state)
{
	(void)state;
	struct error err = {0};
	struct seal *seal = NULL;
	assert_int_equal(seal_open(&seal, "/nonexistent/master.key", &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/master.key"));
	seal_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sealed_key_opens_at_its_place),
	    cmocka_unit_test(sealed_key_opens_at_no_other_place),
	    cmocka_unit_test(changed_byte_is_noticed_wherever_it_is),
	    cmocka_unit_test(cut_key_is_damaged),
	    cmocka_unit_test(two_seals_of_one_key_differ),
	    cmocka_unit_test(without_the_master_key_nothing_sealed_opens),
	    cmocka_unit_test(key_stored_without_a_master_key_opens_with_one),
	    cmocka_unit_test(hex_and_raw_are_the_same_master_key),
	    cmocka_unit_test(master_key_of_another_size_is_refused),
	    cmocka_unit_test(missing_master_key_names_its_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
