/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/child.h"
#include "fs/confine.h"
#include "fs/folder.h"
#include "fs/hang.h"
#include "fs/lifeline.h"
#include "fs/supervisor_config.h"
#include "fs/supervisor_internal.h"
#include "fs/takeover.h"
#include "store/db_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define LINK_BUFFER    (4 * 1024 * 1024)
#define PUBLISH_BUFFER (256 * 1024)

static int open_link(int link[2], int size, struct error *err)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) != 0)
		return error_set(err, errno, "socketpair: %s", strerror(errno));
	for (size_t i = 0; i < 2; i++)
		if (setsockopt(link[i], SOL_SOCKET, SO_SNDBUFFORCE, &size,
			       sizeof(size)) != 0 &&
		    setsockopt(link[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) != 0)
			return error_set(err, errno, "SO_SNDBUF: %s", strerror(errno));
	return 0;
}

static int open_waits(struct supervisor *sup, struct error *err)
{
	sigset_t mask;
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGUSR1);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) != 0)
		return error_set(err, errno, "sigprocmask: %s", strerror(errno));
	signal(SIGPIPE, SIG_IGN);
	sup->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	sup->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (sup->signal_fd < 0 || sup->timer_fd < 0)
		return error_set(err, errno, "cannot wait for events: %s",
				 strerror(errno));
	return 0;
}

static int child_init(struct supervisor *sup, struct child *c, const char *kind,
		      struct error *err)
{
	if (c->ready_fd < 0) /* else it came over exec(2) */
		c->ready_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->ready_fd < 0 ||
	    (c->reason[0] < 0 && pipe2(c->reason, O_CLOEXEC | O_NONBLOCK) != 0))
		return error_set(err, errno, "cannot make a pipe: %s", strerror(errno));
	int rc = spawn_env_init(&c->spawn.env, err);
	if (rc == 0)
		rc = spawn_env_add(&c->spawn.env, err, "CERTFS_CHILD=%s", kind);
	if (rc == 0)
		rc = spawn_env_add(&c->spawn.env, err, "CERTFS_MOUNTPOINT=%s",
				   sup->options->mountpoint);
	if (rc == 0)
		rc = spawn_env_add(&c->spawn.env, err, "CERTFS_LISTEN=%zu",
				   sup->listeners.count);
	if (rc == 0)
		rc = spawn_env_add(&c->spawn.env, err, "CERTFS_SUPERVISOR=%d",
				   (int)getpid());
	c->spawn.binary = sup->options->binary;
	c->spawn.reason_fd = c->reason[1];
	return rc;
}

#define FS_FDS 8 /* before those of the read-only mounts */

int supervisor_pass_readonly(struct supervisor *sup, struct error *err)
{
	struct spawn *s = &sup->child[FS].spawn;
	s->fds = FS_FDS;
	for (size_t i = 0; i < READONLY_MAX; i++) {
		if (sup->readonly[i].mount.fuse_fd < 0)
			continue;
		s->fd[s->fds++] = sup->readonly[i].mount.fuse_fd;
		s->fd[s->fds++] = sup->readonly[i].slots_fd;
	}
	return spawn_env_add(&s->env, err, "CERTFS_READONLY=%zu", (s->fds - FS_FDS) / 2);
}

/* In the order of child.h. */
static int children_init(struct supervisor *sup, struct error *err)
{
	struct child *fs = &sup->child[FS], *net = &sup->child[NET];
	struct child *announce = &sup->child[ANNOUNCE];
	struct child *probe = &sup->reload.probe;
	int rc = child_init(sup, fs, "fs", err);
	if (rc == 0)
		rc = child_init(sup, net, "net", err);
	if (rc == 0)
		rc = child_init(sup, announce, "announce", err);
	if (rc == 0)
		rc = child_init(sup, probe, "probe", err);
	if (rc < 0)
		return rc;
	const int fs_fd[] = {
	    sup->mount.fuse_fd, sup->slots_fd,   sup->link[0], fs->ready_fd,
	    fs->reason[1],      sup->publish[0], -1,           -1};
	const int net_fd[] = {-1, -1, sup->link[1], net->ready_fd, net->reason[1], -1,
			      -1, -1};
	const int announce_fd[] = {
	    -1, -1, -1, announce->ready_fd, announce->reason[1], sup->publish[1], -1, -1};
	const int probe_fd[] = {
	    -1, sup->slots_fd, -1, probe->ready_fd, probe->reason[1], -1, -1, -1};
	probe->spawn.title = "certfs: probe";
	probe->spawn.only_absent = true;
	memcpy(probe->spawn.fd, probe_fd, sizeof(probe_fd));
	probe->spawn.fds = sizeof(probe_fd) / sizeof(probe_fd[0]);
	fs->spawn.title = "certfs: fs";
	net->spawn.title = "certfs: net";
	announce->spawn.title = "certfs: announce";
	memcpy(fs->spawn.fd, fs_fd, sizeof(fs_fd));
	memcpy(net->spawn.fd, net_fd, sizeof(net_fd));
	memcpy(announce->spawn.fd, announce_fd, sizeof(announce_fd));
	fs->spawn.fds = net->spawn.fds = announce->spawn.fds =
	    sizeof(net_fd) / sizeof(net_fd[0]);
	for (size_t i = 0; i < sup->listeners.count; i++)
		net->spawn.fd[net->spawn.fds++] = sup->listeners.fd[i];
	_Static_assert(sizeof(fs_fd) / sizeof(fs_fd[0]) == FS_FDS, "as child.h says");
	supervisor_config_pass(sup);
	return supervisor_pass_readonly(sup, err);
}

void supervisor_init(struct supervisor *sup, const struct supervisor_options *options,
		     struct error *err)
{
	uint64_t watchdog_us;
	*sup = (struct supervisor){.options = options,
				   .lg = options->lg,
				   .err = err,
				   .cfg = options->cfg,
				   .config_fd = options->config_fd,
				   .config_before_fd = options->before_fd,
				   .reload = {.config_fd = -1}};
	if (options->refused)
		sup->refused = *options->refused;
	sup->slots_fd = sup->signal_fd = sup->timer_fd = -1;
	sup->link[0] = sup->link[1] = sup->publish[0] = sup->publish[1] = -1;
	sup->mount = (struct mount){.fuse_fd = -1, .folder_fd = -1};
	readonly_init(sup->readonly);
	const struct child none = {
	    .pidfd = -1, .lifeline_fd = -1, .ready_fd = -1, .reason = {-1, -1}};
	for (size_t i = 0; i < CHILDREN; i++)
		sup->child[i] = none;
	sup->reload.probe = none;
	sup->child[FS].name = "fs";
	sup->child[FS].which = SLOTS_FS;
	sup->child[NET].name = "net";
	sup->child[NET].which = SLOTS_NET;
	sup->child[ANNOUNCE].name = "announce";
	sup->child[ANNOUNCE].which = SLOTS_ANNOUNCE;
	sup->child[ANNOUNCE].unattended = true;
	for (size_t i = 0; i < UNREAPED_MAX; i++)
		sup->unreaped[i].pidfd = -1;
	sup->limit_ns = hang_limit_s(options->cfg->hang_limit_s) * NS_PER_S;
	sup->watchdog = sd_watchdog_enabled(0, &watchdog_us) > 0;
	sigprocmask(SIG_SETMASK, NULL, &sup->old_mask);
	prctl(PR_SET_NAME, "certfs", 0, 0, 0);
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* The fs worker alone has a lifeline: nobody waits for the others. */
int supervisor_start(struct supervisor *sup, struct child *c, struct error *err)
{
	int held = -1;
	int *passed = &c->spawn.fd[CHILD_FD_LIFELINE - SPAWN_FIRST_FD];
	if (c == &sup->child[FS] && lifeline_open(&c->lifeline_fd, &held, err) < 0)
		return -err->code;
	*passed = held;
	int rc = spawn_worker(&c->spawn, &c->pid, &c->pidfd, err);
	*passed = -1;
	close_fd(held);
	if (rc < 0)
		supervisor_cut_lifeline(c);
	return rc;
}

void supervisor_cut_lifeline(struct child *c)
{
	close_fd(c->lifeline_fd);
	c->lifeline_fd = -1;
}

static int mount_anew(struct supervisor *sup, struct error *err)
{
	int rc = slots_create(&sup->slots, &sup->slots_fd, err);
	if (rc == 0)
		rc = mount_open(&sup->mount, sup->slots, err);
	if (rc == 0)
		takeover_keep(sup);
	return rc;
}

static void introduce(struct supervisor *sup)
{
	struct slots_reload told;
	slots_reload(sup->slots, &told);
	told.supervisor = getpid();
	if (!sup->options->handover)
		told.begun = told.ended; /* one that its supervisor did not outlive */
	slots_set_reload(sup->slots, &told);
	if (!sup->options->handover && (sup->refused.code || told.code))
		supervisor_config_tell(sup, &sup->refused);
}

/* What the configuration asks of this machine. */
static int heed_config(struct supervisor *sup, bool adopted, struct error *err)
{
	const struct config *cfg = sup->cfg;
	struct confine_ids fs_user, net_user;
	int rc = confine_lookup(cfg->fs_user, &fs_user, err);
	if (rc == 0)
		rc = confine_lookup(cfg->net_user, &net_user, err);
	if (rc == 0)
		rc = folder_prepare(cfg->store, &fs_user, err);
	/* Before the sockets, which another certfs would have as well. */
	if (rc == 0 && !adopted)
		rc = db_folder_check(cfg->store, err);
	if (rc == 0)
		rc = listen_open(&sup->listeners, &cfg->listen, sup->lg, err);
	return rc;
}

static int heed_one(struct supervisor *sup, bool adopted, struct error *err)
{
	int rc = heed_config(sup, adopted, err);
	if (rc == 0 || !supervisor_config_back(sup, err))
		return rc;
	log_error(sup->lg, NULL,
		  "goes on with the configuration that was in force before: %s",
		  err->text);
	sup->cfg = sup->options->before;
	return heed_config(sup, adopted, err);
}

static int prepare_anew(struct supervisor *sup, struct error *err)
{
	bool adopted = takeover_kept(sup);
	int rc = adopted
		     ? 0
		     : mount_check(&sup->mount, sup->options->mountpoint, sup->lg, err);
	if (rc == 0)
		rc = open_waits(sup, err);
	if (rc == 0)
		rc = heed_one(sup, adopted, err);
	if (rc == 0)
		rc = open_link(sup->link, LINK_BUFFER, err);
	if (rc == 0)
		rc = open_link(sup->publish, PUBLISH_BUFFER, err);
	if (rc == 0 && !adopted)
		rc = mount_anew(sup, err);
	if (rc == 0)
		takeover_keep_listeners(sup);
	if (rc == 0)
		rc = children_init(sup, err);
	return rc;
}

static int prepare_resumed(struct supervisor *sup, struct error *err)
{
	takeover_resume(sup);
	int rc = open_waits(sup, err);
	if (rc == 0)
		rc = slots_map(&sup->slots, sup->slots_fd, err);
	if (rc == 0)
		rc = children_init(sup, err);
	return rc;
}

int supervisor_prepare(struct supervisor *sup, struct error *err)
{
	if (geteuid() != 0)
		return error_set(err, EPERM, "only root can mount certfs");
	int rc =
	    sup->options->handover ? prepare_resumed(sup, err) : prepare_anew(sup, err);
	if (rc == 0)
		introduce(sup);
	return rc;
}

static void child_clear(struct child *c)
{
	supervisor_cut_lifeline(c);
	close_fd(c->ready_fd);
	close_fd(c->reason[0]);
	close_fd(c->reason[1]);
	spawn_env_clear(&c->spawn.env);
}

static void end_probe(const struct child *probe)
{
	if (probe->pid == 0)
		return;
	kill(probe->pid, SIGKILL);
	waitid(P_PIDFD, (id_t)probe->pidfd, &(siginfo_t){0}, WEXITED);
	close(probe->pidfd);
}

void supervisor_clear(struct supervisor *sup)
{
	supervisor_unmount(sup);
	end_probe(&sup->reload.probe);
	listen_close(&sup->listeners);
	slots_unmap(sup->slots);
	for (size_t i = 0; i < CHILDREN; i++)
		child_clear(&sup->child[i]);
	child_clear(&sup->reload.probe);
	for (size_t i = 0; i < UNREAPED_MAX; i++)
		close_fd(sup->unreaped[i].pidfd);
	supervisor_config_clear(sup);
	close_fd(sup->reload.config_fd);
	close_fd(sup->slots_fd);
	close_fd(sup->link[0]);
	close_fd(sup->link[1]);
	close_fd(sup->publish[0]);
	close_fd(sup->publish[1]);
	close_fd(sup->signal_fd);
	close_fd(sup->timer_fd);
	sigprocmask(SIG_SETMASK, &sup->old_mask, NULL);
}
