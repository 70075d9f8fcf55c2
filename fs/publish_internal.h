/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* The parts of publish among themselves; nobody else includes this.
 *
 *   publish.c         what is owed, the jobs, the link to announce
 *   publish_switch.c  the transactions, and the requests of announce */
#ifndef CERTFS_FS_PUBLISH_INTERNAL_H
#define CERTFS_FS_PUBLISH_INTERNAL_H

#include "fs/hook.h"
#include "fs/publish.h"
#include "fs/publish_wire.h"
#include "store/owed.h"

#include <pthread.h>

#define PUBLISH_JOBS     8 /* told to announce at a time, which does one after the other */
#define PUBLISH_NOTED    4096 /* domains remembered; a walk over the rows finds more */
#define PUBLISH_DONE_MAX 256

struct job {
	uint32_t number; /* 0: the place is free */
	uint32_t gen;
	uint64_t serial;         /* of its row (owed.h) */
	uint64_t sequence;       /* its round's number on the link */
	uint64_t changed_serial; /* of the switch; 0: the caches were told */
	int64_t late_ms;         /* for the round, or for another try of the store */
	uint8_t names;           /* of the last round */
	uint8_t files;           /* of this one */
	bool sent;
	bool staged;   /* it was when the job began */
	bool switched; /* `gen` is served */
	bool over;     /* announce has done with it, well or not */
	size_t round, rounds;
	struct owed_before before[OWED_MAX + 1]; /* one a round */
	char name[NAME_MAX_TEXT];
};

struct tell {
	uint32_t number;
	uint64_t serial, sequence;
};

struct done {
	enum done_what { DONE_TOLD, DONE_HOOKED, DONE_DROPPED } what;
	uint32_t number, gen;
	uint64_t serial; /* DONE_TOLD: of the generation's mark */
};

struct shown {
	uint32_t number, before, gen;
	bool switched;
};

struct publish {
	struct fs *fs;
	int link_fd;
	bool closed;
	uint64_t epoch, sequence;
	bool hello_sent, here; /* announce has answered this epoch's HELLO */
	bool away; /* it did not get on: nothing waits for it until it speaks */
	bool heard, full;
	struct job job[PUBLISH_JOBS];
	uint32_t noted[PUBLISH_NOTED]; /* a ring */
	size_t noted_first, noted_count;
	bool walking, walk_again; /* over the rows */
	uint32_t walk_from;
	struct tell
	    tell[HOOK_CHANGES_MAX]; /* a ring: for the hook, which has not run since */
	size_t tell_first, tell_count, told; /* `told` of them were sent */
	int64_t tell_ms; /* when the next one can be sent; 0: once there is room */
	struct done done[PUBLISH_DONE_MAX]; /* to be noted in the rows */
	size_t done_count;
	bool hook_news, hook_failed;
	char hook_text[400];
	/* For the device thread. */
	pthread_mutex_t lock;
	struct shown shown[PUBLISH_JOBS];
	_Atomic unsigned shown_count;
};

/* Lets the device thread see the jobs as they are now. */
void publish_show_jobs(struct publish *p);

/* Serves what is staged for these domains; the log says so. */
struct switching {
	uint32_t number;
	uint64_t serial; /* as current_switch(); 0: nothing was staged */
};
int publish_switch_all(struct fs *fs, struct switching *s, size_t count,
		       struct error *err);
/* Notes what is done with in the rows, and what the hook came to. */
void publish_commit(struct publish *p);

#endif
