/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* handover: what a supervisor must know to go on where another one was.
 *
 * A sealed memfd that only supervisors see (a worker could put a lie into the slots). Two
 * kinds of heirs read it: the same process after its exec(2) of a newer binary, which has
 * every descriptor still and the workers as its children; and, from systemd's descriptor
 * store, a process that comes after one that is gone, for which only the mount is still
 * true and no number of a descriptor is. */
#ifndef CERTFS_FS_HANDOVER_H
#define CERTFS_FS_HANDOVER_H

#include "store/config.h"
#include "store/error.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HANDOVER_VERSION  4
#define HANDOVER_CHILDREN 8
#define HANDOVER_UNREAPED 8
#define HANDOVER_READONLY 16
#define HANDOVER_ENV      "CERTFS_HANDOVER" /* "PID:DESCRIPTOR" across exec(2) */

/* -1: no descriptor; pid 0: no process. */
struct handover_child {
	char name[16];
	int32_t pid, pidfd, lifeline_fd, ready_fd, reason[2];
	uint32_t state;
	uint64_t deadline_ns, started_ns, window_ns;
	uint32_t window_deaths, step, deaths;
	uint8_t served, ever_served, hung, reserved;
};

/* A read-only mount. For the heir of a supervisor that is gone no descriptor counts. */
struct handover_readonly {
	char mountpoint[PATH_MAX];
	uint64_t device, connection;
	uint32_t folder_mode, mode_changed;
	int32_t fuse_fd, folder_fd, slots_fd;
};

struct handover {
	uint32_t magic, version;
	uint64_t size;
	/* The mount: the same in every version. */
	char mountpoint[PATH_MAX];
	uint64_t device;     /* st_dev of what is mounted there */
	uint64_t connection; /* slots_connection() */
	uint32_t folder_mode, mode_changed;
	uint32_t readonlys;
	struct handover_readonly readonly[HANDOVER_READONLY];
	/* From here on for exec(2) alone. */
	char binary[PATH_MAX];
	uint32_t kept;  /* systemd has the descriptors too */
	uint32_t again; /* another reload was asked for */
	int32_t fuse_fd, folder_fd, slots_fd, config_fd, link[2], publish[2];
	uint32_t listeners;
	int32_t listen_fd[CONFIG_LIST_MAX];
	int32_t unreaped_pid[HANDOVER_UNREAPED], unreaped_fd[HANDOVER_UNREAPED];
	uint32_t children;
	struct handover_child child[HANDOVER_CHILDREN];
};

/* `h` with magic, version and size set. */
void handover_init(struct handover *h);
int handover_write(const struct handover *h, int *fd, struct error *err);
/* EBADMSG when it is no handover, EPROTO when it is one of another version; of that the
 * mount is there. `mountpoint` is "" where nothing is. */
int handover_read(int fd, struct handover *h, struct error *err);

/* Says whether the descriptors that `h` names stay open over exec(2). */
void handover_pass(const struct handover *h, bool pass);

#endif
