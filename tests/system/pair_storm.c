/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* pair_storm FOLDER COUNT SECONDS MICROSECONDS HOW DIR...
 *
 * Readers that open certificate and key of DIR, a directory of the mount, by their paths
 * as fast as they can, while another process rotates: every MICROSECONDS it writes the
 * next of COUNT pairs, FOLDER/N.pem (key and chain in one file, N from 0), to
 * combined.pem in the first DIR. The readers read the last one.
 *
 * HOW "stay": three processes of one thread and one of eight, each thread going through
 * all of (cert|fullchain) with privkey in both orders, and beside them a process that
 * reads certificates only and one that reads keys only, which must never get a generation
 * that was superseded before they opened. HOW "behind": the same without those two, for a
 * mount that is behind by design. HOW "move": one process with eight threads, in
 * which each pair's second half is opened by another thread than the first.
 *
 * Prints a line of JSON: pairs read, those that were mixed, failed calls (the first one's
 * errno), stale reads, rotations. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FILE_MAX  32768
#define KNOWN_MAX 4096
#define MOVERS    8u
#define BASKET    256u
#define WARM_UP   256u

/* Shared by all processes. */
struct tally {
	_Atomic uint64_t pairs, mixed, failed, stale, rotations;
	_Atomic int failure;
	_Atomic uint64_t written; /* the last pair whose close has returned, counted on */
	_Atomic bool end;
};

struct bytes {
	size_t size;
	unsigned char data[FILE_MAX];
};

static struct tally *tally;
static const char *folder, *target, *directory;
static unsigned count;
static long period_us;
static EVP_PKEY **pair_key;

static void fail(int code)
{
	int none = 0;

	atomic_compare_exchange_strong(&tally->failure, &none, code);
	atomic_fetch_add(&tally->failed, 1);
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static bool slurp(const char *path, struct bytes *b)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = 1;

	b->size = 0;
	if (fd < 0) {
		fail(errno);
		return false;
	}
	while (got > 0 && b->size < sizeof(b->data)) {
		got = read(fd, b->data + b->size, sizeof(b->data) - b->size);
		b->size += got > 0 ? (size_t)got : 0;
	}
	if (got < 0)
		fail(errno);
	close(fd);
	return got == 0;
}

static bool slurp_named(const char *name, struct bytes *b)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return slurp(path, b);
}

/* The number of the pair that the first certificate or key of `b` belongs to; -1: none.
 */
static int identify(const struct bytes *b)
{
	BIO *bio = BIO_new_mem_buf(b->data, (int)b->size);
	X509 *leaf = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	EVP_PKEY *key = leaf ? X509_get_pubkey(leaf) : NULL;
	int found = -1;

	if (!key) {
		BIO_free(bio);
		bio = BIO_new_mem_buf(b->data, (int)b->size);
		key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	}
	for (unsigned i = 0; key && found < 0 && i < count; i++)
		if (EVP_PKEY_eq(key, pair_key[i]) == 1)
			found = (int)i;
	EVP_PKEY_free(key);
	X509_free(leaf);
	BIO_free(bio);
	return found;
}

/* What was read before is known by its bytes: parsing takes longer than reading. */
struct memory {
	struct bytes seen[KNOWN_MAX / 64];
	int pair[KNOWN_MAX / 64];
	unsigned used;
};

static int pair_of(struct memory *m, const struct bytes *b)
{
	unsigned room = sizeof(m->pair) / sizeof(m->pair[0]), at;

	for (unsigned i = 0; i < m->used; i++)
		if (m->seen[i].size == b->size &&
		    memcmp(m->seen[i].data, b->data, b->size) == 0)
			return m->pair[i];
	at = m->used < room ? m->used++ : (unsigned)rand() % room;
	m->seen[at].size = b->size;
	memcpy(m->seen[at].data, b->data, b->size);
	m->pair[at] = identify(b);
	return m->pair[at];
}

static void compare(struct memory *certs, struct memory *keys, const struct bytes *cert,
		    const struct bytes *key)
{
	int a = pair_of(certs, cert), b = pair_of(keys, key);

	if (a < 0 || b < 0)
		fail(EBADMSG);
	else if (a != b)
		atomic_fetch_add(&tally->mixed, 1);
	atomic_fetch_add(&tally->pairs, 1);
}

static void *staying_reader(void *arg)
{
	struct memory *certs = calloc(1, sizeof(*certs)),
		      *keys = calloc(1, sizeof(*keys));
	struct bytes *cert = malloc(sizeof(*cert)), *key = malloc(sizeof(*key));
	unsigned turn = (unsigned)(uintptr_t)arg;

	if (!certs || !keys || !cert || !key)
		die("memory");
	for (; !tally->end; turn++) {
		const char *name = turn & 1 ? "cert.pem" : "fullchain.pem";
		bool first = turn & 2;
		bool read = (!first || slurp_named("privkey.pem", key)) &&
			    slurp_named(name, cert) &&
			    (first || slurp_named("privkey.pem", key));

		if (read)
			compare(certs, keys, cert, key);
	}
	free(certs);
	free(keys);
	free(cert);
	free(key);
	return NULL;
}

static void read_in_threads(unsigned threads)
{
	pthread_t thread[MOVERS];

	for (unsigned i = 0; i < threads; i++)
		if (pthread_create(&thread[i], NULL, staying_reader,
				   (void *)(uintptr_t)i))
			die("thread");
	for (unsigned i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
}

static void read_one_half(const char *name)
{
	struct memory *known = calloc(1, sizeof(*known));
	struct bytes *b = malloc(sizeof(*b));

	if (!known || !b)
		die("memory");
	while (!tally->end) {
		uint64_t before = tally->written, after;
		int pair;

		if (!slurp_named(name, b))
			continue;
		after = tally->written;
		pair = pair_of(known, b);
		if (pair < 0)
			fail(EBADMSG);
		/* Between what was current before the open, and the one in the making. */
		else if (after - before + 1 < count &&
			 ((uint64_t)pair + count - before % count) % count >
			     after - before + 1)
			atomic_fetch_add(&tally->stale, 1);
		atomic_fetch_add(&tally->pairs, 1);
	}
	free(known);
	free(b);
}

/* Halves on their way from one thread to the next. */
struct basket {
	pthread_mutex_t lock;
	struct bytes *half[BASKET];
	pthread_t owner[BASKET];
	unsigned used, reserved;
};

static struct bytes *take_of_another(struct basket *k)
{
	struct bytes *half = NULL;

	pthread_mutex_lock(&k->lock);
	for (unsigned i = 0; i < k->used && !half; i++) {
		if (pthread_equal(k->owner[i], pthread_self()))
			continue;
		half = k->half[i];
		k->used--;
		memmove(&k->half[i], &k->half[i + 1], (k->used - i) * sizeof(k->half[0]));
		memmove(&k->owner[i], &k->owner[i + 1],
			(k->used - i) * sizeof(k->owner[0]));
	}
	pthread_mutex_unlock(&k->lock);
	return half;
}

/* Every half that is read is handed on: there must be room for it before. */
static bool reserve(struct basket *k)
{
	bool room;

	pthread_mutex_lock(&k->lock);
	room = k->used + k->reserved < MOVERS / 2;
	k->reserved += room;
	pthread_mutex_unlock(&k->lock);
	return room;
}

static void hand_on(struct basket *k, struct bytes *half)
{
	pthread_mutex_lock(&k->lock);
	k->reserved--;
	k->owner[k->used] = pthread_self();
	k->half[k->used++] = half;
	pthread_mutex_unlock(&k->lock);
}

static void *moving_reader(void *arg)
{
	struct basket *k = arg;
	struct memory *certs = calloc(1, sizeof(*certs)),
		      *keys = calloc(1, sizeof(*keys));
	struct bytes *key = malloc(sizeof(*key)), *cert;

	if (!certs || !keys || !key)
		die("memory");
	while (!tally->end) {
		cert = take_of_another(k);
		if (cert) {
			if (slurp_named("privkey.pem", key))
				compare(certs, keys, cert, key);
			free(cert);
			continue;
		}
		if (!reserve(k)) {
			sched_yield();
			continue;
		}
		cert = malloc(sizeof(*cert));
		if (!cert)
			die("memory");
		if (!slurp_named("cert.pem", cert))
			break; /* counted as failed */
		hand_on(k, cert);
	}
	free(certs);
	free(keys);
	free(key);
	return NULL;
}

static void read_moving(void)
{
	struct basket k = {.lock = PTHREAD_MUTEX_INITIALIZER};
	pthread_t thread[MOVERS];

	for (unsigned i = 0; i < MOVERS; i++)
		if (pthread_create(&thread[i], NULL, moving_reader, &k))
			die("thread");
	for (unsigned i = 0; i < MOVERS; i++)
		pthread_join(thread[i], NULL);
	for (unsigned i = 0; i < k.used; i++)
		free(k.half[i]);
}

static void put(const struct bytes *b)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/combined.pem", target);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0 || write(fd, b->data, b->size) != (ssize_t)b->size || close(fd) != 0)
		fail(errno);
}

static void rotate(void)
{
	struct bytes *pair = calloc(count, sizeof(*pair));
	struct timespec next;
	char path[4096];

	for (unsigned i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%u.pem", folder, i);
		if (!pair || !slurp(path, &pair[i]))
			die(path);
	}
	/* What a process does with its readers shows only once it has done it. */
	while (tally->pairs < WARM_UP && !tally->end)
		sched_yield();
	clock_gettime(CLOCK_MONOTONIC, &next);
	while (!tally->end) {
		put(&pair[(tally->written + 1) % count]);
		atomic_fetch_add(&tally->written, 1);
		atomic_fetch_add(&tally->rotations, 1);
		next.tv_nsec += period_us % 1000000 * 1000;
		next.tv_sec += period_us / 1000000 + next.tv_nsec / 1000000000;
		next.tv_nsec %= 1000000000;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
	free(pair);
}

static void load_keys(void)
{
	char path[4096];

	pair_key = calloc(count, sizeof(EVP_PKEY *));
	for (unsigned i = 0; pair_key && i < count; i++) {
		FILE *in;

		snprintf(path, sizeof(path), "%s/%u.pem", folder, i);
		in = fopen(path, "re");
		pair_key[i] = in ? PEM_read_PrivateKey(in, NULL, NULL, NULL) : NULL;
		if (!pair_key[i])
			die(path);
		fclose(in);
	}
}

/* A child that runs `what` of them; ends with its parent. */
static void start(int what)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid > 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	switch (what) {
	case 'r':
		rotate();
		break;
	case 'c':
		read_one_half("cert.pem");
		break;
	case 'k':
		read_one_half("privkey.pem");
		break;
	case 'm':
		read_moving();
		break;
	default:
		read_in_threads((unsigned)(what - '0'));
	}
	exit(0);
}

int main(int argc, char **argv)
{
	const char *what = "8111ckr";
	int status, bad = 0;

	if (argc < 7)
		return 2;
	folder = argv[1];
	count = (unsigned)strtoul(argv[2], NULL, 10);
	period_us = strtol(argv[4], NULL, 10);
	if (strcmp(argv[5], "move") == 0)
		what = "mr";
	else if (strcmp(argv[5], "behind") == 0)
		what = "8111r";
	target = argv[6];
	directory = argv[argc - 1];
	tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (tally == MAP_FAILED)
		die("mmap");
	load_keys();
	for (const char *w = what; *w; w++)
		start(*w);
	sleep((unsigned)strtoul(argv[3], NULL, 10));
	tally->end = true;
	while (wait(&status) > 0)
		bad |= status;
	for (unsigned i = 0; i < count; i++)
		EVP_PKEY_free(pair_key[i]);
	free(pair_key);
	printf("{\"pairs\": %" PRIu64 ", \"mixed\": %" PRIu64 ", \"failed\": %" PRIu64
	       ", \"errno\": %d, \"stale\": %" PRIu64 ", \"rotations\": %" PRIu64 "}\n",
	       tally->pairs, tally->mixed, tally->failed, tally->failure, tally->stale,
	       tally->rotations);
	return bad ? 1 : 0;
}
