/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/kept.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#define NAME_FUSE     "fuse"
#define NAME_SLOTS    "slots"
#define NAME_HANDOVER "handover"
#define NAME_LISTEN   "listen"
#define NAME_CONFIG   "config"
#define NAME_RO_FUSE  "ro-fuse-"
#define NAME_RO_SLOTS "ro-slots-"

/* Who polls /dev/fuse is woken by every request, which would be process 1. A connection that
 * has ended stays there until the next supervisor has looked at it (mount_adopt). */
#define UNWATCHED "FDPOLL=0\n"

#define MANAGER    "org.freedesktop.systemd1"
#define UNITS      "/org/freedesktop/systemd1/unit"
#define PRIVATE    "unix:path=/run/systemd/private"
#define ASK_MAX_US 2000000

static int put(const char *state, int fd, struct error *err)
{
	int rc = sd_pid_notify_with_fds(0, 0, state, &fd, 1);
	return rc < 0 ? error_set(err, -rc, "cannot hand a descriptor to systemd: %s",
				  strerror(-rc))
		      : rc;
}

static int put_readonly(const struct kept_readonly *r, struct error *err)
{
	char fuse[80], slots[80];
	snprintf(fuse, sizeof(fuse),
		 "FDSTORE=1\n" UNWATCHED "FDNAME=" NAME_RO_FUSE "%016" PRIx64,
		 r->connection);
	snprintf(slots, sizeof(slots), "FDSTORE=1\nFDNAME=" NAME_RO_SLOTS "%016" PRIx64,
		 r->connection);
	int rc = put(slots, r->slots_fd, err);
	return rc > 0 ? put(fuse, r->fuse_fd, err) : rc;
}

bool kept_put(const struct kept *kept, struct error *err)
{
	error_clear(err);
	/* The one that is there already tells of other mounts. */
	sd_notify(0, "FDSTOREREMOVE=1\nFDNAME=" NAME_HANDOVER);
	for (size_t i = 0; i < kept->readonlys; i++) {
		kept_drop_readonly(kept->readonly[i].connection);
		if (put_readonly(&kept->readonly[i], err) <= 0)
			return false;
	}
	return put("FDSTORE=1\nFDNAME=" NAME_HANDOVER, kept->handover_fd, err) > 0 &&
	       put("FDSTORE=1\nFDNAME=" NAME_SLOTS, kept->slots_fd, err) > 0 &&
	       put("FDSTORE=1\n" UNWATCHED "FDNAME=" NAME_FUSE, kept->fuse_fd, err) > 0;
}

/* Without it the next supervisor has to bind the address itself. */
void kept_put_listener(int fd)
{
	struct error ignored;
	int rc = put("FDSTORE=1\nFDNAME=" NAME_LISTEN, fd, &ignored);
	(void)rc;
}

void kept_put_config(int fd)
{
	struct error ignored;
	sd_notify(0, "FDSTOREREMOVE=1\nFDNAME=" NAME_CONFIG);
	int rc = put("FDSTORE=1\nFDNAME=" NAME_CONFIG, fd, &ignored);
	(void)rc;
}

static void take(int *place, int fd)
{
	if (*place >= 0)
		close(*place);
	*place = fd;
}

static struct kept_readonly *readonly_of(struct kept *kept, uint64_t connection)
{
	for (size_t i = 0; i < kept->readonlys; i++)
		if (kept->readonly[i].connection == connection)
			return &kept->readonly[i];
	if (kept->readonlys == HANDOVER_READONLY)
		return NULL;
	kept->readonly[kept->readonlys] = (struct kept_readonly){connection, -1, -1};
	return &kept->readonly[kept->readonlys++];
}

static void take_readonly(struct kept *kept, const char *name, int fd)
{
	bool fuse = strncmp(name, NAME_RO_FUSE, strlen(NAME_RO_FUSE)) == 0;
	const char *prefix = fuse ? NAME_RO_FUSE : NAME_RO_SLOTS;
	if (strncmp(name, prefix, strlen(prefix)) != 0)
		return;
	struct kept_readonly *r =
	    readonly_of(kept, strtoull(name + strlen(prefix), NULL, 16));
	if (r)
		take(fuse ? &r->fuse_fd : &r->slots_fd, fd);
	else
		close(fd);
}

bool kept_take(struct kept *kept)
{
	char **names = NULL;
	*kept = (struct kept){.fuse_fd = -1, .slots_fd = -1, .handover_fd = -1};
	int count = sd_listen_fds_with_names(0, &names);
	for (int i = 0; i < count; i++) {
		int fd = SD_LISTEN_FDS_START + i;
		if (strcmp(names[i], NAME_FUSE) == 0)
			take(&kept->fuse_fd, fd);
		else if (strcmp(names[i], NAME_SLOTS) == 0)
			take(&kept->slots_fd, fd);
		else if (strcmp(names[i], NAME_HANDOVER) == 0)
			take(&kept->handover_fd, fd);
		else
			take_readonly(kept, names[i], fd);
		free(names[i]);
	}
	free(names);
	return kept->fuse_fd >= 0 || kept->slots_fd >= 0 || kept->handover_fd >= 0;
}

int kept_take_config(void)
{
	char **names = NULL;
	int found = -1, count = sd_listen_fds_with_names(0, &names);
	for (int i = 0; i < count; i++) {
		if (strcmp(names[i], NAME_CONFIG) == 0)
			take(&found, SD_LISTEN_FDS_START + i);
		free(names[i]);
	}
	free(names);
	return found;
}

void kept_drop_readonly(uint64_t connection)
{
	char state[80];
	snprintf(state, sizeof(state),
		 "FDSTOREREMOVE=1\nFDNAME=" NAME_RO_FUSE "%016" PRIx64, connection);
	sd_notify(0, state);
	snprintf(state, sizeof(state),
		 "FDSTOREREMOVE=1\nFDNAME=" NAME_RO_SLOTS "%016" PRIx64, connection);
	sd_notify(0, state);
}

void kept_drop_listeners(void)
{
	sd_notify(0, "FDSTOREREMOVE=1\nFDNAME=" NAME_LISTEN);
}

void kept_drop(void)
{
	kept_drop_listeners();
	sd_notify(0, "FDSTOREREMOVE=1\nFDNAME=" NAME_CONFIG);
	sd_notify(0, "FDSTOREREMOVE=1\nFDNAME=" NAME_FUSE);
	sd_notify(0, "FDSTOREREMOVE=1\nFDNAME=" NAME_SLOTS);
	sd_notify(0, "FDSTOREREMOVE=1\nFDNAME=" NAME_HANDOVER);
}

/* The bus first; where it has no daemon (an early boot, a small container) systemd
 * itself.
 */
static int open_bus(sd_bus **bus)
{
	if (sd_bus_open_system(bus) >= 0)
		return 0;
	sd_bus *made = NULL;
	int rc = sd_bus_new(&made);
	if (rc >= 0)
		rc = sd_bus_set_address(made, PRIVATE);
	if (rc >= 0)
		rc = sd_bus_start(made);
	if (rc < 0) {
		sd_bus_unref(made);
		return rc;
	}
	*bus = made;
	return 0;
}

/* The type of the job that systemd runs for the unit; NULL: there is none. */
static char *job_type(sd_bus *bus, const char *unit)
{
	sd_bus_message *reply = NULL;
	const char *job;
	uint32_t id;
	char *type = NULL;
	if (sd_bus_get_property(bus, MANAGER, unit, MANAGER ".Unit", "Job", NULL, &reply,
				"(uo)") >= 0 &&
	    sd_bus_message_read(reply, "(uo)", &id, &job) >= 0 && id != 0 &&
	    sd_bus_get_property_string(bus, MANAGER, job, MANAGER ".Job", "JobType", NULL,
				       &type) < 0)
		type = NULL;
	sd_bus_message_unref(reply);
	return type;
}

bool kept_for_restart(void)
{
	sd_bus *bus = NULL;
	char *unit = NULL, *path = NULL, *type = NULL;
	uint32_t held = 0;
	bool restarts = false;
	if (sd_pid_get_unit(0, &unit) < 0 || open_bus(&bus) < 0)
		goto out;
	sd_bus_set_method_call_timeout(bus, ASK_MAX_US);
	if (sd_bus_path_encode(UNITS, unit, &path) < 0 ||
	    sd_bus_get_property_trivial(bus, MANAGER, path, MANAGER ".Service",
					"NFileDescriptorStore", NULL, 'u', &held) < 0)
		goto out;
	type = job_type(bus, path);
	restarts = held >= KEPT_FDS && type && strcmp(type, "restart") == 0;
out:
	free(type);
	free(path);
	free(unit);
	sd_bus_flush_close_unref(bus);
	return restarts;
}
