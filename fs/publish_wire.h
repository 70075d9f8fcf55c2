/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* publish_wire: what the fs worker and announce say to each other, one message a packet.
 *
 * Announce says HERE (epoch 0) when it starts. The fs worker says HELLO with an epoch of its
 * own, when it starts and whenever announce is new, and announce answers HERE with that epoch.
 * With a HELLO all that was said before is forgotten, and messages of another epoch are
 * ignored: both may be replaced at any time while packets of the one before still lie in the
 * socket. Then:
 *
 *   NAMES    fs -> announce   rename these files of a domain; `sequence` names the job
 *   DONE     announce -> fs   the job is over; `result` is 0 or an errno
 *   CHANGED  fs -> announce   the hook is to be told of a domain; `sequence` grows
 *   HOOK     announce -> fs   the hook ran for all CHANGED up to `sequence`; `result` is 0, or
 *                             1 and `text` says what went wrong
 *
 * A message has one size, whatever it says. The decoder trusts no peer: what it lets through
 * is of a known version and type, and a name is that of a folder, never a path. */
#ifndef CERTFS_FS_PUBLISH_WIRE_H
#define CERTFS_FS_PUBLISH_WIRE_H

#include "store/domain.h"
#include "store/error.h"

#include <stddef.h>
#include <stdint.h>

#define PUBLISH_VERSION 1
#define PUBLISH_TEXT    512
#define PUBLISH_SIZE    (24 + PUBLISH_TEXT)
#define PUBLISH_FILES   ((1u << FILE_KINDS) - 1)

enum publish_type {
	PUBLISH_HERE = 1,
	PUBLISH_HELLO,
	PUBLISH_NAMES,
	PUBLISH_DONE,
	PUBLISH_CHANGED,
	PUBLISH_HOOK,
	PUBLISH_TYPES
};

struct publish_message {
	enum publish_type type;
	uint64_t epoch;
	uint64_t sequence;
	uint32_t result;
	uint8_t files; /* NAMES: bit i is enum file_kind i */
	char text
	    [PUBLISH_TEXT]; /* NAMES, CHANGED: the domain's folder; HOOK: a sentence */
};

void publish_encode(const struct publish_message *m, unsigned char out[PUBLISH_SIZE]);
/* EPROTO with the reason. */
int publish_decode(const unsigned char *data, size_t size, struct publish_message *m,
		   struct error *err);

/* One packet, without waiting: 0, -EAGAIN (no room), another -errno. */
int publish_send(int fd, const struct publish_message *m);
/* 1: a message; 0: none is there (what could not be decoded was skipped, and is in `err`);
 * -errno, -ECONNRESET at the end. */
int publish_receive(int fd, struct publish_message *m, struct error *err);

#endif
