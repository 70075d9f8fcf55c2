/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HANDOVER_MAGIC 0x63727468u /* "crth" */

void handover_init(struct handover *h)
{
	memset(h, 0, sizeof(*h));
	h->magic = HANDOVER_MAGIC;
	h->version = HANDOVER_VERSION;
	h->size = sizeof(*h);
	h->fuse_fd = h->folder_fd = h->slots_fd = h->link[0] = h->link[1] = -1;
	h->config_fd = h->publish[0] = h->publish[1] = -1;
	for (size_t i = 0; i < HANDOVER_UNREAPED; i++)
		h->unreaped_fd[i] = -1;
}

int handover_write(const struct handover *h, int *fd, struct error *err)
{
	int made = memfd_create("certfs-handover", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (made < 0)
		return error_set(err, errno, "memfd_create: %s", strerror(errno));
	if (pwrite(made, h, sizeof(*h), 0) != (ssize_t)sizeof(*h) ||
	    fcntl(made, F_ADD_SEALS,
		  F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
		int rc = error_set(err, errno, "cannot write what is handed over: %s",
				   strerror(errno));
		close(made);
		return rc;
	}
	*fd = made;
	return 0;
}

static bool is_text(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static bool is_whole(const struct handover *h)
{
	bool whole = is_text(h->binary, sizeof(h->binary)) &&
		     h->readonlys <= HANDOVER_READONLY &&
		     h->listeners <= CONFIG_LIST_MAX && h->children <= HANDOVER_CHILDREN;
	for (size_t i = 0; whole && i < h->children; i++)
		whole = is_text(h->child[i].name, sizeof(h->child[i].name));
	for (size_t i = 0; whole && i < h->readonlys; i++)
		whole =
		    is_text(h->readonly[i].mountpoint, sizeof(h->readonly[i].mountpoint));
	return whole;
}

static int check(const struct handover *h, size_t size, struct error *err)
{
	if (size < offsetof(struct handover, readonlys) || h->magic != HANDOVER_MAGIC ||
	    !is_text(h->mountpoint, sizeof(h->mountpoint)))
		return error_set(err, EBADMSG, "what was handed over isn't certfs'");
	if (h->version != HANDOVER_VERSION)
		return error_set(err, EPROTO,
				 "the running supervisor hands over in version %u, this "
				 "certfs knows %u: unmount and mount again",
				 h->version, HANDOVER_VERSION);
	if (size != sizeof(*h) || h->size != sizeof(*h) || !is_whole(h))
		return error_set(err, EBADMSG, "what was handed over is damaged");
	return 0;
}

int handover_read(int fd, struct handover *h, struct error *err)
{
	memset(h, 0, sizeof(*h));
	ssize_t got = pread(fd, h, sizeof(*h), 0);
	int rc = got < 0
		     ? error_set(err, errno, "what was handed over: %s", strerror(errno))
		     : check(h, (size_t)got, err);
	if (rc < 0 && rc != -EPROTO)
		memset(h, 0, sizeof(*h));
	if (rc < 0)
		h->readonlys = 0;
	return rc;
}

static void pass_fd(int fd, bool pass)
{
	if (fd >= 0)
		fcntl(fd, F_SETFD, pass ? 0 : FD_CLOEXEC);
}

void handover_pass(const struct handover *h, bool pass)
{
	pass_fd(h->fuse_fd, pass);
	pass_fd(h->folder_fd, pass);
	pass_fd(h->slots_fd, pass);
	pass_fd(h->config_fd, pass);
	pass_fd(h->link[0], pass);
	pass_fd(h->link[1], pass);
	pass_fd(h->publish[0], pass);
	pass_fd(h->publish[1], pass);
	for (size_t i = 0; i < h->readonlys; i++) {
		pass_fd(h->readonly[i].fuse_fd, pass);
		pass_fd(h->readonly[i].folder_fd, pass);
		pass_fd(h->readonly[i].slots_fd, pass);
	}
	for (size_t i = 0; i < h->listeners; i++)
		pass_fd(h->listen_fd[i], pass);
	for (size_t i = 0; i < HANDOVER_UNREAPED; i++)
		pass_fd(h->unreaped_fd[i], pass);
	for (size_t i = 0; i < h->children; i++) {
		pass_fd(h->child[i].pidfd, pass);
		pass_fd(h->child[i].lifeline_fd, pass);
		pass_fd(h->child[i].ready_fd, pass);
		pass_fd(h->child[i].reason[0], pass);
		pass_fd(h->child[i].reason[1], pass);
	}
}
