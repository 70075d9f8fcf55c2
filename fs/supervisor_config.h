/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* supervisor_config: which configuration the workers get.
 *
 * The one in force is a text in the supervisor's hands (config_text.h), and a worker that is
 * started gets that: what somebody makes of the file meanwhile counts at the next reload or
 * restart. One that comes into force does so on trial. The one before it is kept until
 * everything serves with the new one, and is in force again when that doesn't come to
 * pass. So the mount goes on living over a restart with a wrong configuration, and log,
 * `systemctl status` and `certfs status` tell what is wrong with it. */
#ifndef CERTFS_FS_SUPERVISOR_CONFIG_H
#define CERTFS_FS_SUPERVISOR_CONFIG_H

#include "fs/supervisor_internal.h"

/* Gives `fd`, which is the supervisor's from now on, to the workers that will start. */
void supervisor_config_try(struct supervisor *sup, int fd);
/* Everything serves with it: it stays, and systemd keeps it for the next supervisor. */
void supervisor_config_keep(struct supervisor *sup);
/* The one before is in force again, because of `why`. False: there is none. */
bool supervisor_config_back(struct supervisor *sup, const struct error *why);
/* What stands on disk is not what all run with, because of `why`; code 0: it is. */
void supervisor_config_tell(struct supervisor *sup, const struct error *why);
/* sd_notify(3): it serves, and whether it does so with what stands on disk. */
void supervisor_config_notify(const struct supervisor *sup);
/* The descriptors, into the children's. */
void supervisor_config_pass(struct supervisor *sup);
void supervisor_config_clear(struct supervisor *sup);

#endif
