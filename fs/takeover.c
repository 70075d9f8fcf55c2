/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/takeover.h"
#include "fs/kept.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void describe_mount(const struct supervisor *sup, struct handover *h)
{
	handover_init(h);
	snprintf(h->mountpoint, sizeof(h->mountpoint), "%s", sup->mount.point);
	h->device = sup->mount.device;
	h->connection = slots_connection(sup->slots);
	h->folder_mode = sup->mount.mode;
	h->mode_changed = sup->mount.mode_changed;
	readonly_describe(sup->readonly, h);
}

static struct handover_child describe_child(const struct child *c)
{
	struct handover_child h = {.pid = c->pid,
				   .pidfd = c->pid ? c->pidfd : -1,
				   .lifeline_fd = c->lifeline_fd,
				   .ready_fd = c->ready_fd,
				   .reason = {c->reason[0], c->reason[1]},
				   .state = c->state,
				   .deadline_ns = c->deadline_ns,
				   .started_ns = c->started_ns,
				   .window_ns = c->window_ns,
				   .window_deaths = c->window_deaths,
				   .step = c->step,
				   .deaths = c->deaths,
				   .served = c->served,
				   .ever_served = c->ever_served,
				   .hung = c->hung};
	snprintf(h.name, sizeof(h.name), "%s", c->name);
	return h;
}

void supervisor_describe(const struct supervisor *sup, struct handover *h)
{
	const struct supervisor_options *options = sup->options;
	describe_mount(sup, h);
	snprintf(h->binary, sizeof(h->binary), "%s", options->binary);
	h->kept = sup->kept;
	h->again = sup->reload.again;
	h->fuse_fd = sup->mount.fuse_fd;
	h->folder_fd = sup->mount.folder_fd;
	h->slots_fd = sup->slots_fd;
	h->config_fd = sup->config_fd;
	h->link[0] = sup->link[0];
	h->link[1] = sup->link[1];
	h->publish[0] = sup->publish[0];
	h->publish[1] = sup->publish[1];
	h->listeners = (uint32_t)sup->listeners.count;
	for (size_t i = 0; i < sup->listeners.count; i++)
		h->listen_fd[i] = sup->listeners.fd[i];
	_Static_assert(UNREAPED_MAX == HANDOVER_UNREAPED, "room for all");
	for (size_t i = 0; i < UNREAPED_MAX; i++) {
		h->unreaped_pid[i] = sup->unreaped[i].pid;
		h->unreaped_fd[i] = sup->unreaped[i].pidfd;
	}
	_Static_assert(CHILDREN <= HANDOVER_CHILDREN, "room for every child");
	h->children = CHILDREN;
	for (size_t i = 0; i < CHILDREN; i++)
		h->child[i] = describe_child(&sup->child[i]);
}

static struct mount described_mount(const struct supervisor *sup,
				    const struct handover *h)
{
	return (struct mount){.lg = sup->lg,
			      .point = h->mountpoint,
			      .fuse_fd = -1,
			      .folder_fd = -1,
			      .mode = (mode_t)h->folder_mode,
			      .device = (dev_t)h->device,
			      .mode_changed = h->mode_changed != 0,
			      .mounted = true};
}

/* A child that this binary doesn't know has no work here. */
static void end_unknown(struct supervisor *sup, const struct handover_child *h)
{
	if (h->pid == 0)
		return;
	log_warning(sup->lg, NULL, "the %s worker is ended: nobody knows it any more",
		    h->name);
	kill(h->pid, SIGKILL);
	waitid(P_PIDFD, (id_t)h->pidfd, &(siginfo_t){0}, WEXITED);
}

static void resume_child(struct supervisor *sup, const struct handover_child *h)
{
	struct child *c = NULL;
	for (size_t i = 0; i < CHILDREN && !c; i++)
		if (strcmp(sup->child[i].name, h->name) == 0)
			c = &sup->child[i];
	if (!c) {
		end_unknown(sup, h);
		return;
	}
	c->ready_fd = h->ready_fd;
	c->reason[0] = h->reason[0];
	c->reason[1] = h->reason[1];
	c->window_ns = h->window_ns;
	c->window_deaths = h->window_deaths;
	c->step = h->step;
	c->deaths = h->deaths;
	c->ever_served = h->ever_served;
	if (h->pid == 0 || h->state >= STATES)
		return; /* it is started at once */
	c->pid = h->pid;
	c->pidfd = h->pidfd;
	c->lifeline_fd = h->lifeline_fd;
	c->state = (enum state)h->state;
	c->deadline_ns = h->deadline_ns;
	c->started_ns = h->started_ns;
	c->served = h->served;
	c->hung = h->hung;
}

void takeover_resume(struct supervisor *sup)
{
	const struct handover *h = sup->options->handover;
	sup->mount = described_mount(sup, h);
	sup->mount.point = sup->options->mountpoint;
	sup->mount.fuse_fd = h->fuse_fd;
	sup->mount.folder_fd = h->folder_fd;
	sup->slots_fd = h->slots_fd;
	sup->link[0] = h->link[0];
	sup->link[1] = h->link[1];
	sup->publish[0] = h->publish[0];
	sup->publish[1] = h->publish[1];
	sup->listeners.count = h->listeners;
	for (size_t i = 0; i < h->listeners; i++)
		sup->listeners.fd[i] = h->listen_fd[i];
	for (size_t i = 0; i < UNREAPED_MAX; i++)
		sup->unreaped[i] = (struct unreaped){.pid = h->unreaped_pid[i],
						     .pidfd = h->unreaped_fd[i]};
	for (size_t i = 0; i < h->children; i++)
		resume_child(sup, &h->child[i]);
	readonly_resume(sup->readonly, h, sup->lg);
	handover_pass(h, false);
	sup->kept = h->kept != 0;
	sup->announced = true;
	sup->reload.state = RELOAD_RENEWS;
	sup->reload.again = h->again != 0;
}

/* Whether what systemd kept can be gone on with. */
static int adopt(struct supervisor *sup, const struct kept *kept,
		 const struct handover *h, struct error *err)
{
	struct slots *slots = NULL;
	size_t init_size = 0;
	struct mount mount = described_mount(sup, h);
	mount.point = sup->options->mountpoint;
	mount.fuse_fd = kept->fuse_fd;
	if (strcmp(h->mountpoint, sup->options->mountpoint) != 0)
		return error_set(err, ENOENT, "it was mounted at %s", h->mountpoint);
	int rc = mount_adopt(&mount, err);
	if (rc == 0)
		rc = slots_map(&slots, kept->slots_fd, err);
	if (rc < 0)
		return rc;
	slots_init(slots, &init_size);
	if (slots_connection(slots) != h->connection || init_size == 0) {
		slots_unmap(slots);
		return error_set(err, EPROTO, "the request slots are another mount's");
	}
	slots_blame(slots, true);
	atomic_store(slots_announce_pid(slots), 0);
	atomic_store(slots_announce_owes_ns(slots), 0);
	sup->mount = mount;
	sup->slots = slots;
	sup->slots_fd = kept->slots_fd;
	return 0;
}

/* Those of the read-only mounts that can be gone on with; whatever is left is closed. */
static void adopt_readonly(struct supervisor *sup, const struct kept *kept,
			   const struct handover *h, bool taken)
{
	size_t places = 0;
	for (size_t i = 0; i < kept->readonlys; i++) {
		const struct kept_readonly *k = &kept->readonly[i];
		const struct handover_readonly *known = NULL;
		for (size_t j = 0; taken && j < h->readonlys && !known; j++)
			if (h->readonly[j].connection == k->connection)
				known = &h->readonly[j];
		if (known && k->fuse_fd >= 0 && k->slots_fd >= 0) {
			if (readonly_adopt(&sup->readonly[places], known, k->fuse_fd,
					   k->slots_fd, sup->lg))
				places++;
			continue;
		}
		kept_drop_readonly(k->connection);
		close_fd(k->fuse_fd);
		close_fd(k->slots_fd);
	}
}

bool takeover_kept(struct supervisor *sup)
{
	struct handover h;
	struct kept kept;
	struct error why;
	if (!kept_take(&kept))
		return false;
	bool taken = handover_read(kept.handover_fd, &h, &why) == 0 &&
		     adopt(sup, &kept, &h, &why) == 0;
	close_fd(kept.handover_fd);
	adopt_readonly(sup, &kept, &h, taken);
	if (taken) {
		sup->kept = true;
		log_notice(sup->lg, NULL, "goes on with the mount at %s", h.mountpoint);
		return true;
	}
	log_warning(sup->lg, NULL, "mounts anew: what systemd kept can't be used: %s",
		    why.text);
	kept_drop();
	if (h.mountpoint[0]) {
		struct mount old = described_mount(sup, &h);
		old.mounted = mount_is_at(&old);
		mount_close(&old);
	}
	close_fd(kept.fuse_fd);
	close_fd(kept.slots_fd);
	return false;
}

void takeover_keep(struct supervisor *sup)
{
	struct handover h;
	struct error why = {0};
	struct kept kept = {.fuse_fd = sup->mount.fuse_fd, .slots_fd = sup->slots_fd};
	for (size_t i = 0; i < READONLY_MAX; i++) {
		const struct readonly *r = &sup->readonly[i];
		if (r->mount.fuse_fd >= 0)
			kept.readonly[kept.readonlys++] = (struct kept_readonly){
			    slots_connection(r->slots), r->mount.fuse_fd, r->slots_fd};
	}
	describe_mount(sup, &h);
	if (handover_write(&h, &kept.handover_fd, &why) == 0) {
		sup->kept = kept_put(&kept, &why);
		close(kept.handover_fd);
	}
	if (why.code)
		log_warning(sup->lg, NULL, "%s", why.text);
}

void takeover_keep_listeners(const struct supervisor *sup)
{
	for (size_t i = 0;
	     sup->kept && !sup->listeners.inherited && i < sup->listeners.count; i++)
		kept_put_listener(sup->listeners.fd[i]);
}

void supervisor_unmount(struct supervisor *sup)
{
	for (size_t i = 0; i < READONLY_MAX; i++)
		readonly_close(&sup->readonly[i], sup->leaving);
	if (sup->leaving) {
		mount_leave(&sup->mount);
		kept_drop_listeners(); /* the configuration may name others by now */
		return;
	}
	mount_close(&sup->mount);
	if (sup->kept)
		kept_drop();
	sup->kept = false;
}
