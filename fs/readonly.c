/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/readonly.h"
#include "fs/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OFFER_MAGIC   0x63726f66u /* "crof" */
#define OFFER_VERSION 1u
#define REPLY_MAX_MS  60000

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void readonly_init(struct readonly all[READONLY_MAX])
{
	for (size_t i = 0; i < READONLY_MAX; i++)
		all[i] = (struct readonly){.mount = {.fuse_fd = -1, .folder_fd = -1},
					   .slots_fd = -1};
}

void readonly_close(struct readonly *r, bool leave)
{
	if (r->mount.fuse_fd < 0)
		return;
	if (leave)
		mount_leave(&r->mount);
	else
		mount_close(&r->mount);
	slots_unmap(r->slots);
	r->slots = NULL;
	close_fd(r->slots_fd);
	r->slots_fd = -1;
}

void readonly_ended(struct readonly *r)
{
	/* Nothing is looked at and nothing unmounted: another one may be at this place by now,
	 * with the same device number, whose requests wait for us. Should it have been aborted,
	 * the next mount there takes the dead one away. */
	log_notice(r->mount.lg, NULL, "%s was unmounted, or aborted, from outside",
		   r->point);
	readonly_close(r, true);
}

static void describe(const struct readonly *r, struct handover_readonly *h)
{
	*h = (struct handover_readonly){.device = r->mount.device,
					.connection = slots_connection(r->slots),
					.folder_mode = r->mount.mode,
					.mode_changed = r->mount.mode_changed,
					.fuse_fd = r->mount.fuse_fd,
					.folder_fd = r->mount.folder_fd,
					.slots_fd = r->slots_fd};
	snprintf(h->mountpoint, sizeof(h->mountpoint), "%s", r->mount.point);
}

void readonly_describe(const struct readonly all[READONLY_MAX], struct handover *h)
{
	h->readonlys = 0;
	for (size_t i = 0; i < READONLY_MAX; i++)
		if (all[i].mount.fuse_fd >= 0)
			describe(&all[i], &h->readonly[h->readonlys++]);
}

/* The descriptors of `h` become the place's. EPROTO: the slots are of another version, or
 * another mount's. */
static int place(struct readonly *r, const struct handover_readonly *h,
		 const struct log *lg, struct error *err)
{
	struct slots *slots = NULL;
	int rc = slots_map(&slots, h->slots_fd, err);
	if (rc == 0 && slots_connection(slots) != h->connection) {
		slots_unmap(slots);
		rc = error_set(err, EPROTO, "the request slots are another mount's");
	}
	if (rc < 0)
		return rc;
	snprintf(r->point, sizeof(r->point), "%s", h->mountpoint);
	r->mount = (struct mount){.lg = lg,
				  .point = r->point,
				  .fuse_fd = h->fuse_fd,
				  .folder_fd = h->folder_fd,
				  .mode = (mode_t)h->folder_mode,
				  .device = (dev_t)h->device,
				  .read_only = true,
				  .mode_changed = h->mode_changed != 0,
				  .mounted = true};
	r->slots = slots;
	r->slots_fd = h->slots_fd;
	r->stalled_ns = r->last_unique = 0;
	return 0;
}

static void close_all(const struct handover_readonly *h)
{
	close_fd(h->fuse_fd);
	close_fd(h->folder_fd);
	close_fd(h->slots_fd);
}

void readonly_resume(struct readonly all[READONLY_MAX], const struct handover *h,
		     const struct log *lg)
{
	struct error why;
	for (size_t i = 0; i < h->readonlys; i++) {
		if (place(&all[i], &h->readonly[i], lg, &why) == 0)
			continue;
		log_error(lg, NULL, "the read-only mount at %s is lost: %s",
			  h->readonly[i].mountpoint, why.text);
		close_all(&h->readonly[i]);
	}
}

bool readonly_adopt(struct readonly *r, const struct handover_readonly *h, int fuse_fd,
		    int slots_fd, const struct log *lg)
{
	struct error why;
	struct handover_readonly mine = *h;
	mine.fuse_fd = fuse_fd;
	mine.slots_fd = slots_fd;
	mine.folder_fd = -1;
	int rc = place(r, &mine, lg, &why);
	if (rc < 0) {
		close_all(&mine);
	} else {
		rc = mount_adopt(&r->mount, &why);
		if (rc < 0)
			readonly_close(r, false);
		else
			slots_blame(r->slots, true);
	}
	if (rc < 0)
		log_warning(lg, NULL, "the read-only mount at %s is lost: %s",
			    h->mountpoint, why.text);
	return rc == 0;
}

/* A descriptor of another process. */
static int fetch(int pidfd, int theirs, int *mine, struct error *err)
{
	*mine = theirs < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, theirs, 0);
	if (theirs < 0 || *mine >= 0)
		return 0;
	if (errno == EPERM || errno == ENOSYS)
		return error_set(
		    err, errno,
		    "pidfd_getfd(2) is forbidden here, without which no "
		    "mount is taken over: have the container's seccomp filter "
		    "allow it");
	return error_set(err, errno, "cannot take over a descriptor: %s",
			 strerror(errno));
}

/* A memfd or a pipe of another process; where pidfd_getfd(2) is forbidden too, so that this can
 * be told. */
static int fetch_plain(pid_t pid, int pidfd, int theirs, int flags, int *mine,
		       struct error *err)
{
	char path[64];
	int rc = fetch(pidfd, theirs, mine, err);
	if (rc != -EPERM && rc != -ENOSYS)
		return rc;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, theirs);
	*mine = open(path, flags | O_CLOEXEC | O_NONBLOCK);
	if (*mine < 0)
		return rc;
	error_clear(err);
	return 0;
}

static int read_offer(int fd, struct readonly_offer *offer, struct error *err)
{
	if (pread(fd, offer, sizeof(*offer), 0) != (ssize_t)sizeof(*offer) ||
	    offer->magic != OFFER_MAGIC)
		return error_set(err, EBADMSG, "SIGUSR1 came without a mount");
	if (offer->version != OFFER_VERSION ||
	    !memchr(offer->mount.mountpoint, '\0', sizeof(offer->mount.mountpoint)))
		return error_set(err, EPROTO,
				 "the running certfs is of another version than this "
				 "one: `certfs reload` renews it");
	return 0;
}

static int take_all(struct readonly *r, int pidfd, const struct readonly_offer *offer,
		    const struct log *lg, struct error *err)
{
	struct handover_readonly mine = offer->mount;
	mine.fuse_fd = mine.folder_fd = mine.slots_fd = -1;
	int rc = fetch(pidfd, offer->mount.fuse_fd, &mine.fuse_fd, err);
	if (rc == 0)
		rc = fetch(pidfd, offer->mount.folder_fd, &mine.folder_fd, err);
	if (rc == 0)
		rc = fetch(pidfd, offer->mount.slots_fd, &mine.slots_fd, err);
	if (rc == 0)
		rc = place(r, &mine, lg, err);
	if (rc < 0)
		close_all(&mine);
	return rc;
}

static struct readonly *free_place(struct readonly all[READONLY_MAX])
{
	for (size_t i = 0; i < READONLY_MAX; i++)
		if (all[i].mount.fuse_fd < 0)
			return &all[i];
	return NULL;
}

bool readonly_take(struct readonly all[READONLY_MAX], const struct signalfd_siginfo *from,
		   const struct log *lg)
{
	struct readonly_offer offer = {.reply_fd = -1};
	struct readonly *r = free_place(all);
	struct error why = {0};
	pid_t pid = (pid_t)from->ssi_pid;
	int memfd = -1, reply = -1, pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	int rc = pidfd < 0
		     ? error_set(&why, errno, "pidfd_open: %s", strerror(errno))
		     : fetch_plain(pid, pidfd, from->ssi_int, O_RDONLY, &memfd, &why);
	if (rc == 0)
		rc = read_offer(memfd, &offer, &why);
	if (rc == 0)
		rc = fetch_plain(pid, pidfd, offer.reply_fd, O_WRONLY, &reply, &why);
	if (rc == 0 && !r)
		rc = error_set(&why, EMFILE, "there are %d read-only mounts already",
			       READONLY_MAX);
	if (rc == 0)
		rc = take_all(r, pidfd, &offer, lg, &why);
	if (rc < 0)
		log_warning(lg, NULL, "no read-only mount was taken over: %s", why.text);
	else
		log_notice(lg, NULL, "serves %s too, read-only", r->point);
	if (reply >= 0)
		reason_write(reply, &why);
	close_fd(reply);
	close_fd(memfd);
	close_fd(pidfd);
	return rc == 0;
}

static int make_offer(const struct readonly *r, int reply_fd, int *fd, struct error *err)
{
	struct readonly_offer offer = {
	    .magic = OFFER_MAGIC, .version = OFFER_VERSION, .reply_fd = reply_fd};
	describe(r, &offer.mount);
	*fd = memfd_create("certfs-offer", MFD_CLOEXEC);
	if (*fd < 0 || pwrite(*fd, &offer, sizeof(offer), 0) != (ssize_t)sizeof(offer))
		return error_set(err, errno, "memfd_create: %s", strerror(errno));
	return 0;
}

static int send_offer(int pidfd, int offer_fd, struct error *err)
{
	siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_QUEUE};
	info.si_pid = getpid();
	info.si_uid = getuid();
	info.si_value.sival_int = offer_fd;
	if (syscall(SYS_pidfd_send_signal, pidfd, SIGUSR1, &info, 0) != 0)
		return error_set(err, errno, "the supervisor can't be asked: %s",
				 strerror(errno));
	return 0;
}

static int hear_reply(int fd, int pidfd, struct error *err)
{
	struct pollfd wait[] = {{.fd = fd, .events = POLLIN},
				{.fd = pidfd, .events = POLLIN}};
	struct error why;
	int got;
	do
		got = poll(wait, 2, REPLY_MAX_MS);
	while (got < 0 && errno == EINTR);
	if (read(fd, &why, sizeof(why)) != (ssize_t)sizeof(why))
		return error_set(err, ETIMEDOUT, "the supervisor gave no answer");
	if (why.code == 0)
		return 0;
	why.text[sizeof(why.text) - 1] = '\0';
	*err = why;
	return -why.code;
}

/* The other end of the pipe is the supervisor's too by then, and each closes its own. */
static int hand_over(const struct readonly *r, int pidfd, struct error *err)
{
	int reply[2] = {-1, -1}, offer = -1, rc;
	if (pipe2(reply, O_CLOEXEC | O_NONBLOCK) != 0)
		return error_set(err, errno, "cannot make a pipe: %s", strerror(errno));
	rc = make_offer(r, reply[1], &offer, err);
	if (rc == 0)
		rc = send_offer(pidfd, offer, err);
	if (rc == 0)
		rc = hear_reply(reply[0], pidfd, err);
	close_fd(offer);
	close_fd(reply[0]);
	close_fd(reply[1]);
	return rc;
}

int readonly_mount(const char *point, int pidfd, const struct log *lg, struct error *err)
{
	struct readonly r = {.mount = {.fuse_fd = -1, .folder_fd = -1}, .slots_fd = -1};
	int rc = mount_check(&r.mount, point, lg, err);
	if (rc < 0)
		return rc;
	r.mount.read_only = true;
	rc = slots_create(&r.slots, &r.slots_fd, err);
	if (rc == 0)
		rc = mount_open(&r.mount, r.slots, err);
	if (rc == 0)
		rc = hand_over(&r, pidfd, err);
	if (r.mount.fuse_fd < 0) { /* mount_open() has closed it */
		slots_unmap(r.slots);
		close_fd(r.slots_fd);
	}
	readonly_close(&r, rc == 0);
	return rc;
}
