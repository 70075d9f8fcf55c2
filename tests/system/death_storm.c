/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* death_storm BOARD READERS DIR...
 *
 * READERS processes that open and read certificate and key of a DIR by their paths as fast
 * as they can, and one process a DIR that watches both files as Go's certwatcher does: it
 * adds its watch anew when a file is removed or replaced, reads the pair at each event, and
 * every ten seconds without one. Someone else writes pairs into the DIRs, whose
 * certificates' serial numbers count on from 1, and notes in BOARD, a file that all of them
 * map, the number of the last write that succeeded. What was seen is noted there too. Ends
 * with its standard input. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILE_MAX    32768
#define DIRS        2
#define READERS_MAX 16
#define NUMBERS     65536
#define WATCHES     65536
#define POLL_MS     10000 /* certwatcher's interval */
#define CHANGES                                                                          \
	(IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_ATTRIB | IN_MODIFY |               \
	 IN_MOVE_SELF | IN_DELETE | IN_DELETE_SELF)

/* test_storm.py has the same. */
struct seen {
	_Atomic uint64_t pairs, mixed, failed, failure; /* the first one's errno */
	_Atomic uint64_t
	    behind;            /* older than a write that had succeeded before the open */
	_Atomic uint64_t back; /* older than what the same reader had read before */
	_Atomic uint64_t last; /* the number read last */
	_Atomic uint64_t events,
	    polled; /* a watcher's: events, news that no event told */
};

struct board {
	_Atomic uint64_t written[DIRS];
	struct seen reader[READERS_MAX], watcher[DIRS];
	_Atomic uint8_t served[DIRS][NUMBERS];
};

struct bytes {
	size_t size;
	unsigned char data[FILE_MAX];
};

/* One reader; what it read last is known by its bytes, since parsing takes longer. */
struct reader {
	const char *directory;
	unsigned dir;
	struct seen *seen;
	struct bytes cert, key, last_cert, last_key;
	uint64_t number; /* of last_cert and last_key */
	bool fits;
};

static struct board *board;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void fail(struct seen *seen, int code)
{
	uint64_t none = 0;

	atomic_compare_exchange_strong(&seen->failure, &none, (uint64_t)code);
	atomic_fetch_add(&seen->failed, 1);
}

static bool slurp(struct reader *r, const char *name, struct bytes *b)
{
	char path[4096];
	ssize_t got = 1;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", r->directory, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	b->size = 0;
	if (fd < 0) {
		fail(r->seen, errno);
		return false;
	}
	while (got > 0 && b->size < sizeof(b->data)) {
		got = read(fd, b->data + b->size, sizeof(b->data) - b->size);
		b->size += got > 0 ? (size_t)got : 0;
	}
	if (got < 0)
		fail(r->seen, errno);
	close(fd);
	return got == 0;
}

static bool same(const struct bytes *a, const struct bytes *b)
{
	return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

static void parse(struct reader *r)
{
	BIO *cert = BIO_new_mem_buf(r->cert.data, (int)r->cert.size);
	BIO *key = BIO_new_mem_buf(r->key.data, (int)r->key.size);
	X509 *leaf = PEM_read_bio_X509(cert, NULL, NULL, NULL);
	EVP_PKEY *private = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);
	EVP_PKEY *public = leaf ? X509_get0_pubkey(leaf) : NULL;

	r->number = 0;
	if (!public || !private ||
	    !ASN1_INTEGER_get_uint64(&r->number, X509_get0_serialNumber(leaf)) ||
	    r->number >= NUMBERS)
		r->number = 0; /* nothing that was written here */
	r->fits = r->number && EVP_PKEY_eq(public, private) == 1;
	EVP_PKEY_free(private);
	X509_free(leaf);
	BIO_free(key);
	BIO_free(cert);
	r->last_cert = r->cert;
	r->last_key = r->key;
}

/* `before`: the last write that had succeeded before the first of the two opens. */
static void judge(struct reader *r, uint64_t before)
{
	struct seen *seen = r->seen;

	if (!same(&r->cert, &r->last_cert) || !same(&r->key, &r->last_key))
		parse(r);
	if (!r->number) {
		fprintf(stderr,
			"%s: neither of what was written: %zu bytes, %zu bytes of "
			"key\n%.*s\n",
			r->directory, r->cert.size, r->key.size, (int)r->cert.size,
			r->cert.data);
		fail(seen, EBADMSG);
		return;
	}
	if (!r->fits)
		atomic_fetch_add(&seen->mixed, 1);
	if (r->number < before)
		atomic_fetch_add(&seen->behind, 1);
	if (r->number < seen->last)
		atomic_fetch_add(&seen->back, 1);
	seen->last = r->number;
	board->served[r->dir][r->number] = 1;
	atomic_fetch_add(&seen->pairs, 1);
}

static void read_pair(struct reader *r, unsigned turn)
{
	const char *name = turn & 1 ? "cert.pem" : "fullchain.pem";
	bool key_first = turn & 2;
	uint64_t before = board->written[r->dir];

	if ((!key_first || slurp(r, "privkey.pem", &r->key)) &&
	    slurp(r, name, &r->cert) && (key_first || slurp(r, "privkey.pem", &r->key)))
		judge(r, before);
}

static void read_on(struct reader *r)
{
	for (unsigned turn = 0;; turn++)
		read_pair(r, turn);
}

static const char *const watched[] = {"cert.pem", "privkey.pem"};

static void watch(struct reader *r, int fd, uint8_t which[WATCHES], unsigned file)
{
	char path[4096];
	int wd;

	snprintf(path, sizeof(path), "%s/%s", r->directory, watched[file]);
	wd = inotify_add_watch(fd, path, CHANGES);
	if (wd < 0)
		fail(r->seen, errno);
	else
		which[wd % WATCHES] = (uint8_t)file;
}

/* All events that wait; each is answered as certwatcher answers it. */
static void take_events(struct reader *r, int fd, uint8_t which[WATCHES])
{
	_Alignas(struct inotify_event) char buffer[65536];
	ssize_t size = read(fd, buffer, sizeof(buffer));
	const struct inotify_event *e;

	if (size < 0)
		die("inotify");
	for (ssize_t at = 0; at < size; at += (ssize_t)(sizeof(*e) + e->len)) {
		e = (const void *)(buffer + at);
		if (!(e->mask & CHANGES))
			continue; /* IN_IGNORED: the old file's watch is gone */
		atomic_fetch_add(&r->seen->events, 1);
		if (e->mask & (IN_ATTRIB | IN_DELETE_SELF))
			watch(r, fd, which, which[e->wd % WATCHES]);
		read_pair(r, 1);
	}
}

static void watch_on(struct reader *r)
{
	uint8_t *which = calloc(WATCHES, 1);
	int fd = inotify_init1(IN_CLOEXEC);
	struct pollfd ready = {.fd = fd, .events = POLLIN};

	if (fd < 0 || !which)
		die("inotify");
	for (unsigned i = 0; i < 2; i++)
		watch(r, fd, which, i);
	for (;;) {
		uint64_t last = r->seen->last;

		if (poll(&ready, 1, POLL_MS) > 0) {
			take_events(r, fd, which);
			continue;
		}
		read_pair(r, 1);
		if (last && r->seen->last != last)
			atomic_fetch_add(&r->seen->polled, 1);
	}
}

/* Ends with its parent. */
static pid_t start(void (*run)(struct reader *r), char *directory, unsigned dir,
		   struct seen *seen)
{
	pid_t pid = fork();
	struct reader *r;

	if (pid < 0)
		die("fork");
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	r = calloc(1, sizeof(*r));
	if (!r)
		die("memory");
	r->directory = directory;
	r->dir = dir;
	r->seen = seen;
	run(r);
	exit(0);
}

int main(int argc, char **argv)
{
	unsigned readers, dirs = (unsigned)argc - 3;
	pid_t pid[READERS_MAX + DIRS];
	size_t count = 0;
	int fd, status, bad = 0;
	char byte;

	if (argc < 4 || dirs > DIRS)
		return 2;
	readers = (unsigned)strtoul(argv[2], NULL, 10);
	fd = open(argv[1], O_RDWR | O_CLOEXEC);
	if (fd < 0 || readers > READERS_MAX)
		die(argv[1]);
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (board == MAP_FAILED)
		die("mmap");
	for (unsigned i = 0; i < readers; i++)
		pid[count++] =
		    start(read_on, argv[3 + i % dirs], i % dirs, &board->reader[i]);
	for (unsigned i = 0; i < dirs; i++)
		pid[count++] = start(watch_on, argv[3 + i], i, &board->watcher[i]);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		continue;
	for (size_t i = 0; i < count; i++) {
		kill(pid[i], SIGTERM);
		if (waitpid(pid[i], &status, 0) != pid[i] || !WIFSIGNALED(status) ||
		    WTERMSIG(status) != SIGTERM)
			bad = 1; /* it ended by itself */
	}
	return bad;
}
