/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/child.h"
#include "acme/net.h"
#include "fs/announce.h"
#include "fs/confine.h"
#include "fs/exit_status.h"
#include "fs/handover.h"
#include "fs/landlock.h"
#include "fs/slots.h"
#include "fs/spawn.h"
#include "fs/worker.h"
#include "store/config_text.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

struct child {
	enum confine_role role;
	struct config *cfg;
	struct log lg;
	struct confine_ids ids;
	int store_fd; /* fs */
	bool serves;
};

static int tell_ready(struct error *err)
{
	const uint64_t one = 1;
	if (write(CHILD_FD_READY, &one, sizeof(one)) != (ssize_t)sizeof(one))
		return error_set(err, errno, "cannot tell the supervisor: %s",
				 strerror(errno));
	return 0;
}

/* worker_run() and net_run() call it once they have opened what they need. */
static int confine(void *ctx, struct error *err)
{
	struct child *c = ctx;
	int rc = confine_rest(c->role, c->store_fd, c->cfg->roots_file, &c->lg, err);
	if (rc < 0 || c->role == CONFINE_FS)
		return rc;
	rc = tell_ready(err);
	c->serves = rc == 0;
	return rc;
}

/* It may have died before we asked to die with it. */
static int supervisor_lives(struct error *err)
{
	const char *supervisor = getenv("CERTFS_SUPERVISOR");
	if (!supervisor || strtol(supervisor, NULL, 10) != (long)getppid())
		return error_set(err, ESRCH, "the supervisor is gone");
	return 0;
}

static int drop_root(struct child *c, struct error *err)
{
	int rc = confine_user(&c->ids, err);
	return rc < 0 ? rc : supervisor_lives(err);
}

static gid_t key_group(const struct child *c)
{
	const struct group *group = getgrnam(c->cfg->key_group);
	if (group)
		return group->gr_gid;
	log_warning(
	    &c->lg, NULL,
	    "there is no group %s (key-group in [certfs]): keys are readable by root "
	    "only; make it with: groupadd --system %s",
	    c->cfg->key_group, c->cfg->key_group);
	return 0;
}

/* The worker works in ".": its user need not be able to walk the path. */
static int enter_store(struct child *c, struct error *err)
{
	c->store_fd = open(c->cfg->store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->store_fd < 0 || fchdir(c->store_fd) != 0)
		return error_set(err, errno, "cannot enter the store %s: %s",
				 c->cfg->store, strerror(errno));
	return 0;
}

static size_t count_of(const char *variable, size_t max)
{
	const char *text = getenv(variable);
	unsigned long count = text ? strtoul(text, NULL, 10) : 0;
	return count > max ? max : (size_t)count;
}

static size_t listen_count(void)
{
	return count_of("CERTFS_LISTEN", CONFIG_LIST_MAX);
}

static size_t further_fds(struct further_fds fds[FURTHER_MAX])
{
	size_t count = count_of("CERTFS_READONLY", FURTHER_MAX);
	for (size_t i = 0; i < count; i++)
		fds[i] = (struct further_fds){CHILD_FD_READONLY + 2 * (int)i,
					      CHILD_FD_READONLY + 2 * (int)i + 1};
	return count;
}

static int run_fs(struct child *c, struct error *err)
{
	c->role = CONFINE_FS;
	log_init(&c->lg, "fs", c->cfg->log_level);
	int rc = confine_lookup(c->cfg->fs_user, &c->ids, err);
	gid_t keys = rc == 0 ? key_group(c) : 0;
	if (rc == 0)
		rc = enter_store(c, err);
	if (rc == 0)
		rc = drop_root(c, err);
	if (rc < 0)
		return rc;
	struct further_fds further[FURTHER_MAX];
	const struct worker_options options = {.cfg = c->cfg,
					       .further = further,
					       .further_count = further_fds(further),
					       .mountpoint = getenv("CERTFS_MOUNTPOINT"),
					       .lg = &c->lg,
					       .fuse_fd = CHILD_FD_FUSE,
					       .slots_fd = CHILD_FD_SLOTS,
					       .link_fd = CHILD_FD_LINK,
					       .publish_fd = CHILD_FD_PUBLISH,
					       .ready_fd = CHILD_FD_READY,
					       .lifeline_fd = CHILD_FD_LIFELINE,
					       .key_gid = keys,
					       .confine = confine,
					       .confine_ctx = c};
	return worker_run(&options, err);
}

static int run_net(struct child *c, struct error *err)
{
	c->role = CONFINE_NET;
	log_init(&c->lg, "net", c->cfg->log_level);
	int listen_fds[CONFIG_LIST_MAX];
	size_t count = listen_count();
	sigset_t term;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	int rc = confine_lookup(c->cfg->net_user, &c->ids, err);
	if (rc == 0)
		rc = drop_root(c, err);
	if (rc < 0)
		return rc;
	if (chdir("/") != 0)
		return error_set(err, errno, "chdir: %s", strerror(errno));
	int signal_fd = signalfd(-1, &term, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signal_fd < 0)
		return error_set(err, errno, "signalfd: %s", strerror(errno));
	for (size_t i = 0; i < count; i++)
		listen_fds[i] = CHILD_FD_LISTEN + (int)i;
	const struct net_options options = {.cfg = c->cfg,
					    .lg = &c->lg,
					    .link_fd = CHILD_FD_LINK,
					    .signal_fd = signal_fd,
					    .listen_fds = listen_fds,
					    .listen_count = count,
					    .confine = confine,
					    .confine_ctx = c};
	rc = net_run(&options, err);
	close(signal_fd);
	return rc;
}

/* Root it stays: rename(2) in the mount and the hook's work ask for it. */
static int run_announce(struct child *c, struct error *err)
{
	log_init(&c->lg, "announce", c->cfg->log_level);
	if (prctl(PR_SET_DUMPABLE, SANITIZED, 0, 0, 0) != 0 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		return error_set(err, errno, "prctl: %s", strerror(errno));
	int rc = supervisor_lives(err);
	if (rc < 0)
		return rc;
	if (chdir("/") != 0)
		return error_set(err, errno, "chdir: %s", strerror(errno));
	const struct announce_options options = {.cfg = c->cfg,
						 .lg = &c->lg,
						 .mountpoint =
						     getenv("CERTFS_MOUNTPOINT"),
						 .link_fd = CHILD_FD_PUBLISH,
						 .ready_fd = CHILD_FD_READY};
	return announce_run(&options, err);
}

static int run_probe(struct child *c, struct error *err)
{
	struct confine_ids ids;
	struct handover h;
	struct slots *slots = NULL;
	int rc = confine_lookup(c->cfg->fs_user, &ids, err);
	if (rc == 0)
		rc = confine_lookup(c->cfg->net_user, &ids, err);
	if (rc == 0)
		rc = handover_read(CHILD_FD_HANDOVER, &h, err);
	if (rc == 0)
		rc = slots_map(&slots, CHILD_FD_SLOTS, err);
	if (rc < 0)
		return rc;
	slots_unmap(slots);
	return tell_ready(err);
}

static const struct {
	const char *kind, *title;
	int (*run)(struct child *c, struct error *err);
} kinds[] = {{"fs", "certfs: fs", run_fs},
	     {"net", "certfs: net", run_net},
	     {"announce", "certfs: announce", run_announce},
	     {"probe", "certfs: probe", run_probe}};

static int run(struct child *c, const char *kind, struct error *err)
{
	size_t which = 0, count = sizeof(kinds) / sizeof(kinds[0]);
	while (which < count && strcmp(kinds[which].kind, kind) != 0)
		which++;
	if (which == count)
		return error_set(err, EINVAL, "CERTFS_CHILD=%s: there is no such worker",
				 kind);
	/* 15 bytes are kept of it. */
	prctl(PR_SET_NAME, kinds[which].title, 0, 0, 0);
	int rc = config_text_load(CHILD_FD_CONFIG, &c->cfg, err);
	close(CHILD_FD_CONFIG);
	if (rc < 0)
		return rc;
	/* While openssl.cnf can still be read. */
	if (OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL) != 1)
		return error_set(err, EINVAL,
				 "OpenSSL can't be initialised: see openssl.cnf");
	return kinds[which].run(c, err);
}

bool child_main(int *exit_status)
{
	const char *kind = getenv("CERTFS_CHILD");
	if (!kind)
		return false;
	struct error err = {0};
	struct child c = {.store_fd = -1};
	sigset_t term;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	signal(SIGPIPE, SIG_IGN);
	/* exec(2)'s dup2(2) took the flag away, and no process shall inherit them. */
	int last = CHILD_FD_LISTEN + (int)listen_count();
	if (last < CHILD_FD_READONLY + 2 * (int)count_of("CERTFS_READONLY", FURTHER_MAX))
		last =
		    CHILD_FD_READONLY + 2 * (int)count_of("CERTFS_READONLY", FURTHER_MAX);
	for (int fd = CHILD_FD_FUSE; fd < last; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	int rc = run(&c, kind, &err);
	if (rc < 0)
		reason_write(CHILD_FD_REASON, &err);
	config_free(c.cfg);
	if (c.store_fd >= 0)
		close(c.store_fd);
	/* What isn't there was named by the configuration: trying again is no help. */
	*exit_status = rc == -ENOENT ? EX_CONFIG : exit_status_of(-rc);
	return true;
}
