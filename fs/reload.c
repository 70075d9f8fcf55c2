/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/reload.h"

#include "fs/child.h"
#include "fs/supervisor_config.h"
#include "store/config_text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#define PROBE_NS (10 * NS_PER_S)
#define RUNNING  "/proc/self/exe"

static void publish_begin(struct supervisor *sup)
{
	struct slots_reload told;
	slots_reload(sup->slots, &told);
	told.begun++;
	slots_set_reload(sup->slots, &told);
}

static void drop_config(struct supervisor *sup)
{
	if (sup->reload.config_fd >= 0)
		close(sup->reload.config_fd);
	sup->reload.config_fd = -1;
}

static void end(struct supervisor *sup, const struct error *why)
{
	if (sup->reload.state == RELOAD_NONE)
		return;
	sup->reload.state = RELOAD_NONE;
	sup->reload.probe.deadline_ns = 0;
	drop_config(sup);
	supervisor_config_tell(sup, why);
	supervisor_config_notify(sup);
	if (why->code)
		log_error(sup->lg, NULL, "not reloaded: %s", why->text);
	else
		log_notice(sup->lg, NULL,
			   "reloaded: all processes run the binary on disk");
	if (sup->reload.again)
		reload_ask(sup);
}

static void end_well(struct supervisor *sup)
{
	end(sup, &(struct error){0});
}

static int start_probe(struct supervisor *sup, struct error *err)
{
	struct child *probe = &sup->reload.probe;
	struct handover h;
	struct error old;
	uint64_t count;
	int fd = -1;
	supervisor_describe(sup, &h);
	int rc = config_text_read(sup->cfg->path, &sup->reload.config_fd, err);
	if (rc == 0)
		rc = handover_write(&h, &fd, err);
	if (rc < 0)
		return rc;
	while (reason_read(probe->reason[0], &old))
		continue;
	while (read(probe->ready_fd, &count, sizeof(count)) > 0)
		continue;
	if (stat(sup->options->binary, &sup->reload.probed) != 0)
		sup->reload.probed = (struct stat){0};
	probe->spawn.fd[0] = fd;
	probe->spawn.fd[CHILD_FD_CONFIG - SPAWN_FIRST_FD] = sup->reload.config_fd;
	rc = spawn_worker(&probe->spawn, &probe->pid, &probe->pidfd, err);
	probe->spawn.fd[0] = -1;
	close(fd);
	if (rc == 0)
		probe->deadline_ns = supervisor_now_ns() + PROBE_NS;
	return rc;
}

void reload_ask(struct supervisor *sup)
{
	struct error why;
	char state[64];
	if (sup->stopping)
		return;
	if (sup->reload.state != RELOAD_NONE || !sup->announced) {
		sup->reload.again = true;
		return;
	}
	sup->reload.again = false;
	sup->reload.state = RELOAD_PROBES;
	publish_begin(sup);
	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		 supervisor_now_ns() / 1000);
	sd_notify(0, state);
	for (size_t i = 0; i < CHILDREN; i++)
		sup->child[i].spawn.binary = sup->options->binary;
	if (start_probe(sup, &why) < 0)
		end(sup, &why);
}

void reload_overdue(struct supervisor *sup)
{
	sup->reload.probe.deadline_ns = 0;
	sup->reload.probe.hung = true;
	kill(sup->reload.probe.pid, SIGKILL);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Returns only when it did not come to it. */
static int exec_self(struct supervisor *sup, struct error *err)
{
	struct handover h;
	char text[32];
	int fd = -1;
	supervisor_describe(sup, &h);
	int rc = handover_write(&h, &fd, err);
	if (rc < 0)
		return rc;
	log_info(sup->lg, NULL, "the supervisor goes on as %s", sup->options->binary);
	snprintf(text, sizeof(text), "%d:%d", (int)getpid(), fd);
	if (setenv(HANDOVER_ENV, text, 1) != 0) {
		close(fd);
		return error_set(err, ENOMEM, "out of memory");
	}
	/* Their numbers mean something else by now. */
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	handover_pass(&h, true);
	fcntl(fd, F_SETFD, 0);
	execv(sup->options->binary, sup->options->argv);
	rc = error_set(err, errno, "the supervisor can't become %s: %s",
		       sup->options->binary, strerror(errno));
	handover_pass(&h, false);
	unsetenv(HANDOVER_ENV);
	close(fd);
	return rc;
}

static void all_are_new(struct supervisor *sup)
{
	struct stat running, disk;
	struct error why = {0};
	supervisor_config_keep(sup);
	if (stat(RUNNING, &running) != 0 || stat(sup->options->binary, &disk) != 0 ||
	    same_file(&running, &disk)) {
		end_well(sup);
		return;
	}
	/* Replaced once more: what wasn't probed isn't run. */
	if (!same_file(&disk, &sup->reload.probed)) {
		sup->reload.again = true;
		end_well(sup);
		return;
	}
	if (exec_self(sup, &why) < 0)
		end(sup, &why);
}

/* The next one, and those before it that nobody waits for. */
static void renew(struct supervisor *sup)
{
	size_t *turn = &sup->reload.turn;
	for (; *turn < CHILDREN; (*turn)++) {
		struct child *c = &sup->child[*turn];
		if (c->state != STATE_DONE && !c->unattended)
			break;
		supervisor_renew(sup, c);
	}
	sup->reload.turn_ns = supervisor_now_ns();
	if (*turn < CHILDREN)
		supervisor_renew(sup, &sup->child[*turn]);
	else
		all_are_new(sup);
}

void reload_probed(struct supervisor *sup)
{
	struct child *probe = &sup->reload.probe;
	const char *binary = sup->options->binary;
	struct error why = {0};
	siginfo_t how = {0};
	uint64_t count = 0;
	int rc = 0;
	waitid(P_PIDFD, (id_t)probe->pidfd, &how, WEXITED);
	close(probe->pidfd);
	probe->pidfd = -1;
	probe->pid = 0;
	bool hung = probe->hung;
	probe->hung = false;
	probe->deadline_ns = 0;
	if (sup->reload.state != RELOAD_PROBES)
		return;
	bool answered = read(probe->ready_fd, &count, sizeof(count)) > 0;
	if (how.si_code == CLD_EXITED && how.si_status == 0 && answered) {
		sup->reload.state = RELOAD_RENEWS;
		sup->reload.turn = 0;
		supervisor_config_try(sup, sup->reload.config_fd);
		sup->reload.config_fd = -1;
		renew(sup);
		return;
	}
	if (hung)
		rc = error_set(&why, ETIMEDOUT, "%s does not answer within %d s", binary,
			       (int)(PROBE_NS / NS_PER_S));
	else if (!reason_read(probe->reason[0], &why))
		rc = error_set(&why, EPROTO,
			       "%s can't take over: it ended without an answer (%s %d)",
			       binary, how.si_code == CLD_EXITED ? "status" : "signal",
			       how.si_status);
	(void)rc;
	end(sup, &why);
}

void reload_served(struct supervisor *sup, const struct child *c)
{
	if (sup->reload.state != RELOAD_RENEWS || c != &sup->child[sup->reload.turn])
		return;
	sup->reload.turn++;
	renew(sup);
}

void reload_failed(struct supervisor *sup, const struct child *c, const struct error *why)
{
	struct error err = *why;
	if (sup->stopping || sup->reload.state != RELOAD_RENEWS ||
	    c != &sup->child[sup->reload.turn] || c->started_ns < sup->reload.turn_ns)
		return;
	for (size_t i = 0; i < CHILDREN; i++)
		sup->child[i].spawn.binary = RUNNING;
	supervisor_config_back(sup, &err);
	/* Those of two versions might not understand each other. */
	for (size_t i = 0; i < sup->reload.turn; i++)
		supervisor_renew(sup, &sup->child[i]);
	if (!err.code && error_set(&err, EIO, "it died before it served") == 0)
		return;
	error_context(&err, "the new %s worker", c->name);
	end(sup, &err);
}

void reload_ready(struct supervisor *sup)
{
	if (sup->reload.state != RELOAD_NONE)
		end_well(sup);
	else if (sup->reload.again)
		reload_ask(sup);
}
