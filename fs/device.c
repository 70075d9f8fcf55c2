/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/device.h"

#include "fs/alias.h"
#include "fs/attributes.h"
#include "fs/change.h"
#include "fs/file.h"
#include "fs/held.h"
#include "fs/rename.h"
#include "fs/tree.h"
#include "fs/work.h"

#include <errno.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void fs_refuse(fuse_req_t req, const struct error *err)
{
	log_notice(fs_of(req)->lg, NULL, "refused: %s", err->text);
	fuse_reply_err(req, err->code);
}

int64_t fs_now_us(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t fs_now_ms(void)
{
	return fs_now_us() / 1000;
}

void device_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	conn->max_write = SLOT_MAX_WRITE;
	conn->want |= conn->capable & FUSE_CAP_PARALLEL_DIROPS;
	/* After an OPEN that truncates, the kernel takes the inode's size for 0 until it
	 * has asked for its attributes (fs/fuse/file.c, fuse_truncate_update_attr), and
	 * drops the answer to a question that overlapped with one (fs/fuse/inode.c,
	 * fuse_change_attributes): a reader of the pair that is still served found it
	 * empty. Of a truncation that comes as a SETATTR it takes the size that it is told.
	 */
	conn->want &= ~(unsigned)(FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_WRITEBACK_CACHE |
				  FUSE_CAP_SPLICE_READ);
}

void device_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	(void)ino;
	(void)nlookup;
	fuse_reply_none(req); /* node ids say themselves what they mean */
}

void device_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	(void)count;
	(void)forgets;
	fuse_reply_none(req);
}

static void on_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent,
		    const char *name)
{
	(void)ino;
	(void)new_parent;
	(void)name;
	fuse_reply_err(req, EPERM); /* st_nlink is always 1 */
}

static void on_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		     dev_t dev)
{
	(void)parent;
	(void)name;
	(void)mode;
	(void)dev;
	fuse_reply_err(req, EPERM);
}

/* getxattr and its kin are left out: libfuse answers ENOSYS and the kernel asks no more.
 */
const struct fuse_lowlevel_ops device_operations = {
    .init = device_init,
    .lookup = tree_lookup,
    .forget = device_forget,
    .forget_multi = device_forget_multi,
    .getattr = tree_getattr,
    .setattr = attributes_set,
    .readlink = tree_readlink,
    .mknod = on_mknod,
    .mkdir = change_mkdir,
    .unlink = change_unlink,
    .rmdir = change_rmdir,
    .symlink = alias_symlink,
    .rename = rename_request,
    .link = on_link,
    .open = file_open,
    .read = file_read,
    .write = file_write,
    .flush = file_flush,
    .release = file_release,
    .fsync = file_fsync,
    .create = file_create,
    .opendir = tree_opendir,
    .readdir = tree_readdir,
    .readdirplus = tree_readdirplus,
    .statfs = tree_statfs,
};

/* libfuse handles what is in `slot`; what has to wait was copied by work_item(). */
static void process(struct fs *fs, struct slot_ref slot, size_t small, size_t size)
{
	const struct fuse_in_header *in = (const void *)slot.data;
	struct fuse_buf buf = {.size = size, .mem = slot.data};
	uint32_t opcode = in->opcode;
	slot_begin(slot);
	if (opcode < SLOTS_OPCODES)
		atomic_fetch_add_explicit(slots_requests(fs->slots, opcode), 1,
					  memory_order_relaxed);
	fs->request = slot;
	fs->unique = in->unique;
	fs->request_small = small;
	fuse_session_process_buf(fs->session, &buf);
}

int device_open(struct fs *fs, struct error *err)
{
	char *argv[] = {(char *)"certfs", NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	char path[32];
	size_t size;
	const void *init = slots_init(fs->slots, &size);
	if (!init || size == 0)
		return error_set(err, EPROTO, "the kernel's FUSE_INIT is missing");
	fs->session =
	    fuse_session_new(&args, fs->operations, sizeof(*fs->operations), fs);
	fuse_opt_free_args(&args);
	snprintf(path, sizeof(path), "/dev/fd/%d", fs->fuse_fd);
	if (!fs->session || fuse_session_mount(fs->session, path) != 0)
		return error_set(err, EPROTO, "libfuse refused the connection");
	struct fuse_buf buf = {.size = size, .mem = malloc(size)};
	if (!buf.mem)
		return error_set(err, ENOMEM, "no memory for FUSE_INIT");
	memcpy(buf.mem, init, size);
	fuse_session_process_buf(fs->session, &buf);
	free(buf.mem);
	if (fuse_session_exited(fs->session))
		return error_set(err, EPROTO,
				 "libfuse can't speak this kernel's FUSE protocol");
	return 0;
}

/* A request that killed worker after worker is answered for them all. */
static bool blamed(struct fs *fs, struct slot_ref slot)
{
	uint64_t unique = slot_unique(slot);
	if (atomic_load(slot.deaths) < SLOT_DEATHS)
		return false;
	const struct fuse_in_header *in = (const void *)slot.data;
	struct fuse_out_header out = {
	    .len = sizeof(out), .error = -EIO, .unique = unique};
	log_error(
	    fs->lg, NULL,
	    "request %u of node %llx has ended %d workers and is answered with an error",
	    in->opcode, (unsigned long long)in->nodeid, SLOT_DEATHS);
	/* ENOENT: whoever waited is gone. */
	ssize_t written = write(fs->fuse_fd, &out, sizeof(out));
	(void)written;
	slot_clear(slot);
	return true;
}

static void replay_slot(struct fs *fs, struct slot_ref slot, size_t small)
{
	if (!slot_busy(slot) || blamed(fs, slot))
		return;
	const struct fuse_in_header *in = (const void *)slot.data;
	process(fs, slot, small, in->len);
	/* A small slot is cleared once its item is answered, unless nothing was handed
	 * on. */
	if (small == SLOTS_SMALL || !work_holds(fs->work, small))
		slot_clear(slot);
}

void device_replay(struct fs *fs)
{
	fs->replaying = true;
	for (size_t i = 0; i < SLOTS_SMALL; i++)
		replay_slot(fs, slots_small(fs->slots, i), i);
	replay_slot(fs, slots_big(fs->slots), SLOTS_SMALL);
	fs->replaying = false;
}

/* Scratch files that nobody asks for any more go nevertheless: there may be keys in them. */
static int wait_ms(struct fs *fs)
{
	int held_ms = held_wait_ms(fs->held);
	int ms = fs->read_only ? -1 : scratch_wait_ms(fs->scratch, clock_now_s(fs->clk));
	return ms >= 0 && (held_ms < 0 || ms < held_ms) ? ms : held_ms;
}

static int wait_for_more(struct fs *fs, int stop_fd)
{
	struct pollfd fds[] = {{.fd = fs->fuse_fd, .events = POLLIN},
			       {.fd = stop_fd, .events = POLLIN}};
	int got = poll(fds, 2, wait_ms(fs));
	if (got < 0 && errno != EINTR)
		return -errno;
	if (got == 0) {
		held_retry(fs);
		scratch_expire(fs->scratch, clock_now_s(fs->clk));
	}
	return 0;
}

static bool is_set(int eventfd)
{
	struct pollfd fd = {.fd = eventfd, .events = POLLIN};
	return poll(&fd, 1, 0) == 1;
}

int device_run(struct fs *fs, struct error *err)
{
	return device_run_until(fs, -1, err);
}

int device_run_until(struct fs *fs, int done_fd, struct error *err)
{
	struct slot_ref slot = slots_big(fs->slots);
	int stop_fd = done_fd < 0 ? work_stop_fd(fs->work) : done_fd;
	while (done_fd < 0 ? !work_stopping(fs->work) : !is_set(done_fd)) {
		int r = 0;
		ssize_t size = read(fs->fuse_fd, slot.data, slot.size);
		if (size > 0) {
			process(fs, slot, SLOTS_SMALL, (size_t)size);
			slot_clear(slot);
			held_retry(fs);
		} else if (size < 0 && errno == EAGAIN) {
			r = wait_for_more(fs, stop_fd);
		} else if (size == 0 || errno == ENODEV) {
			return error_set(err, ENODEV, "the mount was taken away");
		} else if (errno != EINTR && errno != ENOENT) {
			r = -errno; /* ENOENT: the request was interrupted before it was
				       read */
		}
		if (r < 0)
			return error_set(err, -r, "reading /dev/fuse: %s", strerror(-r));
	}
	return 0;
}
