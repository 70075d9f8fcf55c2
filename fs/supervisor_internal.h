/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* supervisor_internal: what the supervisor knows, for the files that it is made of:
 * supervisor.c is the table and the loop, supervisor_setup.c opens and closes,
 * supervisor_config.c knows which configuration is in force, reload.c renews, takeover.c
 * goes on where another one was. */
#ifndef CERTFS_FS_SUPERVISOR_INTERNAL_H
#define CERTFS_FS_SUPERVISOR_INTERNAL_H

#include "fs/handover.h"
#include "fs/listen.h"
#include "fs/mount.h"
#include "fs/readonly.h"
#include "fs/remains.h"
#include "fs/slots.h"
#include "fs/spawn.h"
#include "fs/supervisor.h"

#include <signal.h>
#include <stdint.h>
#include <sys/stat.h>

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

enum state {
	STATE_WAITING,  /* for its back-off */
	STATE_STARTING, /* until it says that it serves */
	STATE_SERVING,
	STATE_DRAINING, /* SIGTERM was sent */
	STATE_KILLED,   /* SIGKILL was sent */
	STATE_DONE,     /* for good */
	STATES
};

struct child {
	const char *name;
	enum slots_worker which;
	enum state state;
	pid_t pid;
	int pidfd;
	int lifeline_fd; /* -1: none, or it has told */
	int ready_fd;
	int reason[2];
	struct spawn spawn;
	uint64_t deadline_ns; /* 0: none */
	uint64_t started_ns;
	struct remains_look look;
	uint64_t window_ns; /* first death of the window */
	uint32_t window_deaths;
	uint32_t step; /* of the back-off: deaths since it last served */
	uint32_t deaths;
	bool served, ever_served;
	bool hung;       /* we killed it */
	bool unattended; /* nobody waits for it */
};

enum { FS, NET, ANNOUNCE, CHILDREN };

struct reload {
	enum reload_state { RELOAD_NONE, RELOAD_PROBES, RELOAD_RENEWS } state;
	bool again;         /* asked for once more */
	int config_fd;      /* what the probe reads; -1: none */
	struct child probe; /* pid 0: none; without a state */
	struct stat probed; /* the binary */
	size_t turn;        /* the child that is renewed */
	uint64_t turn_ns;   /* since when */
};

struct supervisor {
	const struct supervisor_options *options;
	const struct log *lg;
	struct error *err;
	struct mount mount;
	struct slots *slots;
	struct readonly readonly[READONLY_MAX];
	struct listeners listeners;
	struct child child[CHILDREN];
	struct unreaped unreaped[UNREAPED_MAX];
	const struct config *cfg; /* ours; the workers': supervisor_config.h */
	int config_fd, config_before_fd;
	struct error refused; /* why what stands on disk isn't in force; code 0: it is */
	int slots_fd, link[2], publish[2], signal_fd, timer_fd;
	uint64_t limit_ns;
	uint64_t tick_ns;    /* the next one */
	uint64_t stalled_ns; /* since when requests wait and none is read */
	uint64_t last_unique;
	struct reload reload;
	bool stopping, announced, watchdog;
	bool kept;    /* systemd has the descriptors too */
	bool leaving; /* the mount to the next supervisor */
	int failed;   /* what supervisor_run() returns */
	sigset_t old_mask;
};

/* Everything that needs no decision: users, store, sockets, slots, the mount. What was
 * opened before a failure is closed by supervisor_clear(). */
void supervisor_init(struct supervisor *sup, const struct supervisor_options *options,
		     struct error *err);
int supervisor_prepare(struct supervisor *sup, struct error *err);
void supervisor_clear(struct supervisor *sup);

/* Which read-only mounts the next fs worker gets. ENOMEM. */
int supervisor_pass_readonly(struct supervisor *sup, struct error *err);
/* What the process after exec(2) must know. */
void supervisor_describe(const struct supervisor *sup, struct handover *h);

/* A process with a lifeline, where it is the fs worker. */
int supervisor_start(struct supervisor *sup, struct child *c, struct error *err);
void supervisor_cut_lifeline(struct child *c);

uint64_t supervisor_now_ns(void);
/* Drains the child, so that another one is started. */
void supervisor_renew(struct supervisor *sup, struct child *c);
/* Takes the mount away, or leaves it to the next supervisor. */
void supervisor_unmount(struct supervisor *sup);

#endif
