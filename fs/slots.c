/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/slots.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SLOTS_MAGIC    0x63727466u /* "crtf" */
#define SLOTS_ALL      (1 + SLOTS_SMALL)
#define NS_PER_S       1000000000ull
#define BLAME_AFTER_NS NS_PER_S
#define NOT_TAKEN_UP   1 /* begun_ns of a slot whose worker died */

struct slot_state {
	_Atomic uint64_t begun_ns;
	_Atomic uint32_t deaths;
	uint32_t reserved;
};

/* The first part of the mapping; the big slot's data, the small ones' and the
 * readers' pairs follow at page borders. */
struct slots_head {
	uint32_t magic;
	uint32_t version;
	uint64_t total;
	uint64_t connection;
	uint64_t init_size;
	unsigned char init[SLOT_INIT_SIZE];
	_Atomic uint64_t requests[SLOTS_OPCODES];
	_Atomic uint64_t starts[SLOTS_WORKERS];
	_Atomic uint64_t announce_owes_ns;
	_Atomic int32_t announce_pid;
	_Atomic uint32_t reload_current; /* which of the two holds */
	struct slots_reload reload[2];
	struct slot_state state[SLOTS_ALL]; /* 0: the big one */
};

#define SLOTS_HEAD  ((sizeof(struct slots_head) + 4095) / 4096 * 4096)
#define SLOTS_ENDS  (SLOTS_HEAD + SLOT_BIG_SIZE + (size_t)SLOTS_SMALL * SLOT_SMALL_SIZE)
#define SLOTS_TOTAL (SLOTS_ENDS + SLOTS_PAIRS)

struct slots {
	struct slots_head *head;
};

static uint64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static int map(struct slots **s, int fd, struct error *err)
{
	struct slots *made = calloc(1, sizeof(*made));
	if (!made)
		return error_set(err, ENOMEM, "out of memory");
	void *at = mmap(NULL, SLOTS_TOTAL, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED) {
		free(made);
		return error_set(err, errno, "cannot map the request slots: %s",
				 strerror(errno));
	}
	/* A core file of a worker must not hold what was written to it. */
	madvise(at, SLOTS_TOTAL, MADV_DONTDUMP);
	made->head = at;
	*s = made;
	return 0;
}

int slots_create(struct slots **s, int *fd, struct error *err)
{
	int rc = 0;
	int made = memfd_create("certfs-slots", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (made < 0)
		return error_set(err, errno, "cannot make the request slots: %s",
				 strerror(errno));
	/* Sealed: a worker that shrank the file would kill the supervisor with SIGBUS. */
	if (ftruncate(made, (off_t)SLOTS_TOTAL) != 0 ||
	    fcntl(made, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
		rc = error_set(err, errno, "cannot size the request slots: %s",
			       strerror(errno));
		goto out;
	}
	rc = map(s, made, err);
	if (rc < 0)
		goto out;
	struct slots_head *head = (*s)->head;
	head->version = SLOTS_VERSION;
	head->total = SLOTS_TOTAL;
	if (getrandom(&head->connection, sizeof(head->connection), 0) !=
	    (ssize_t)sizeof(head->connection)) {
		rc = error_set(err, errno, "getrandom: %s", strerror(errno));
		slots_unmap(*s);
		*s = NULL;
		goto out;
	}
	head->magic = SLOTS_MAGIC;
	*fd = made;
	made = -1;
out:
	if (made >= 0)
		close(made);
	return rc;
}

int slots_map(struct slots **s, int fd, struct error *err)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return error_set(err, errno, "request slots: %s", strerror(errno));
	if (st.st_size != (off_t)SLOTS_TOTAL)
		return error_set(
		    err, EPROTO,
		    "the request slots are of another version of certfs (%lld "
		    "bytes, not %zu): unmount and mount again",
		    (long long)st.st_size, (size_t)SLOTS_TOTAL);
	struct slots *mapped = NULL;
	int rc = map(&mapped, fd, err);
	if (rc < 0)
		return rc;
	const struct slots_head *head = mapped->head;
	if (head->magic != SLOTS_MAGIC || head->version != SLOTS_VERSION ||
	    head->total != SLOTS_TOTAL) {
		rc = error_set(
		    err, EPROTO,
		    "the request slots are of version %u, this certfs knows %u: "
		    "unmount and mount again",
		    head->version, SLOTS_VERSION);
		slots_unmap(mapped);
		return rc;
	}
	*s = mapped;
	return 0;
}

void slots_unmap(struct slots *s)
{
	if (!s)
		return;
	munmap(s->head, SLOTS_TOTAL);
	free(s);
}

uint64_t slots_connection(const struct slots *s)
{
	return s->head->connection;
}

void slots_set_init(struct slots *s, const void *data, size_t size)
{
	if (size > SLOT_INIT_SIZE)
		size = SLOT_INIT_SIZE;
	memcpy(s->head->init, data, size);
	s->head->init_size = size;
}

const void *slots_init(const struct slots *s, size_t *size)
{
	uint64_t held = s->head->init_size;
	*size = held > SLOT_INIT_SIZE ? SLOT_INIT_SIZE : (size_t)held;
	return s->head->init;
}

static unsigned char *slot_data(const struct slots *s, size_t which)
{
	unsigned char *base = (unsigned char *)s->head + SLOTS_HEAD;
	return which == 0 ? base : base + SLOT_BIG_SIZE + (which - 1) * SLOT_SMALL_SIZE;
}

static struct slot_ref slot_at(struct slots *s, size_t which)
{
	return (struct slot_ref){
	    .data = slot_data(s, which),
	    .size = which == 0 ? SLOT_BIG_SIZE : SLOT_SMALL_SIZE,
	    .begun_ns = &s->head->state[which].begun_ns,
	    .deaths = &s->head->state[which].deaths,
	};
}

struct slot_ref slots_big(struct slots *s)
{
	return slot_at(s, 0);
}

struct slot_ref slots_small(struct slots *s, size_t index)
{
	return slot_at(s, 1 + index % SLOTS_SMALL);
}

/* The kernel writes `len` of the big slot while other processes look at it. */
static uint32_t *len_of(struct slot_ref slot)
{
	return (uint32_t *)(void *)slot.data;
}

static const struct fuse_in_header *header_of(struct slot_ref slot)
{
	return (const struct fuse_in_header *)(const void *)slot.data;
}

static bool filled_by_kernel(struct slot_ref slot)
{
	return slot.size == SLOT_BIG_SIZE;
}

bool slot_busy(struct slot_ref slot)
{
	if (filled_by_kernel(slot))
		return __atomic_load_n(len_of(slot), __ATOMIC_ACQUIRE) != 0;
	return atomic_load(slot.begun_ns) != 0;
}

uint64_t slot_unique(struct slot_ref slot)
{
	return header_of(slot)->unique;
}

int slot_copy(struct slot_ref to, struct slot_ref from)
{
	uint32_t len = __atomic_load_n(len_of(from), __ATOMIC_ACQUIRE);
	if (len < sizeof(struct fuse_in_header) || len > to.size || len > from.size)
		return -EMSGSIZE;
	uint64_t begun = atomic_load(from.begun_ns);
	memcpy(to.data + sizeof(len), from.data + sizeof(len), len - sizeof(len));
	__atomic_store_n(len_of(to), len, __ATOMIC_RELEASE);
	atomic_store(to.deaths, atomic_load(from.deaths));
	atomic_store(to.begun_ns, begun != 0 ? begun : now_ns());
	return 0;
}

void slot_clear(struct slot_ref slot)
{
	atomic_store(slot.deaths, 0);
	/* A small slot is free at this store: nothing of it may be touched afterwards. */
	atomic_store(slot.begun_ns, 0);
	if (filled_by_kernel(slot))
		__atomic_store_n(len_of(slot), 0, __ATOMIC_RELEASE);
}

void slot_begin(struct slot_ref slot)
{
	atomic_store(slot.begun_ns, now_ns());
}

uint64_t slots_oldest_ns(struct slots *s, uint32_t *opcode, uint64_t *node)
{
	uint64_t oldest = 0;
	uint64_t now = now_ns();
	*opcode = 0;
	*node = 0;
	for (size_t i = 0; i < SLOTS_ALL; i++) {
		struct slot_ref slot = slot_at(s, i);
		uint64_t begun = atomic_load(slot.begun_ns);
		if (begun <= NOT_TAKEN_UP || !slot_busy(slot))
			continue;
		uint64_t age = now > begun ? now - begun : 1;
		if (age <= oldest)
			continue;
		oldest = age;
		*opcode = header_of(slot)->opcode;
		*node = header_of(slot)->nodeid;
	}
	return oldest;
}

uint64_t slots_last_unique(struct slots *s)
{
	return __atomic_load_n(&header_of(slots_big(s))->unique, __ATOMIC_RELAXED);
}

void slots_blame(struct slots *s, bool killed_from_outside)
{
	uint64_t now = now_ns();
	for (size_t i = 0; i < SLOTS_ALL; i++) {
		struct slot_ref slot = slot_at(s, i);
		uint64_t begun = atomic_load(slot.begun_ns);
		if (!slot_busy(slot)) {
			if (begun != 0 || atomic_load(slot.deaths) != 0)
				slot_clear(slot);
			continue;
		}
		bool taken_up = begun > NOT_TAKEN_UP;
		bool old = taken_up && now > begun && now - begun >= BLAME_AFTER_NS;
		if (taken_up && (old || !killed_from_outside))
			atomic_fetch_add(slot.deaths, 1);
		atomic_store(slot.begun_ns, NOT_TAKEN_UP);
	}
}

void *slots_pairs(struct slots *s)
{
	return (unsigned char *)s->head + SLOTS_ENDS;
}

_Atomic uint64_t *slots_requests(struct slots *s, uint32_t opcode)
{
	return &s->head->requests[opcode < SLOTS_OPCODES ? opcode : 0];
}

_Atomic uint64_t *slots_starts(struct slots *s, enum slots_worker worker)
{
	return &s->head->starts[worker];
}

_Atomic int32_t *slots_announce_pid(struct slots *s)
{
	return &s->head->announce_pid;
}

_Atomic uint64_t *slots_announce_owes_ns(struct slots *s)
{
	return &s->head->announce_owes_ns;
}

/* The one that holds is never written to: a supervisor that dies in between leaves
 * nothing half told. */
void slots_set_reload(struct slots *s, const struct slots_reload *reload)
{
	uint32_t next = (atomic_load(&s->head->reload_current) + 1) % 2;
	s->head->reload[next] = *reload;
	atomic_store(&s->head->reload_current, next);
}

void slots_reload(const struct slots *s, struct slots_reload *reload)
{
	uint32_t at, tries = 0;
	do {
		at = atomic_load(&s->head->reload_current);
		*reload = s->head->reload[at % 2];
	} while (atomic_load(&s->head->reload_current) != at && ++tries < 3);
	reload->error[sizeof(reload->error) - 1] = '\0';
}
