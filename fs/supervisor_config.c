/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/supervisor_config.h"

#include "fs/child.h"
#include "fs/kept.h"

#include <errno.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void supervisor_config_pass(struct supervisor *sup)
{
	for (size_t i = 0; i < CHILDREN; i++)
		sup->child[i].spawn.fd[CHILD_FD_CONFIG - SPAWN_FIRST_FD] = sup->config_fd;
}

void supervisor_config_try(struct supervisor *sup, int fd)
{
	/* What is on trial still has not shown what it is good for. */
	if (sup->config_before_fd < 0)
		sup->config_before_fd = sup->config_fd;
	else
		close_fd(&sup->config_fd);
	sup->config_fd = fd;
	supervisor_config_pass(sup);
}

void supervisor_config_keep(struct supervisor *sup)
{
	close_fd(&sup->config_before_fd);
	if (sup->kept)
		kept_put_config(sup->config_fd);
}

bool supervisor_config_back(struct supervisor *sup, const struct error *why)
{
	if (sup->config_before_fd < 0)
		return false;
	close_fd(&sup->config_fd);
	sup->config_fd = sup->config_before_fd;
	sup->config_before_fd = -1;
	supervisor_config_pass(sup);
	sup->refused = *why;
	return true;
}

void supervisor_config_tell(struct supervisor *sup, const struct error *why)
{
	struct slots_reload told;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	slots_reload(sup->slots, &told);
	told.ended = told.begun;
	told.at_s = now.tv_sec;
	told.code = why->code;
	snprintf(told.error, sizeof(told.error), "%s", why->code ? why->text : "");
	slots_set_reload(sup->slots, &told);
	sup->refused = *why;
}

void supervisor_config_notify(const struct supervisor *sup)
{
	char state[256 + sizeof(sup->refused.text)];
	snprintf(state, sizeof(state), "READY=1\nSTATUS=serves %.200s%s%s",
		 sup->mount.point,
		 sup->refused.code ? ", not with what stands on disk: " : "",
		 sup->refused.code ? sup->refused.text : "");
	sd_notify(0, state);
}

void supervisor_config_clear(struct supervisor *sup)
{
	close_fd(&sup->config_fd);
	close_fd(&sup->config_before_fd);
}
