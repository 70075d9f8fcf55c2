/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* cheapest FILE MOUNTPOINT: a FUSE filesystem that holds one file, fullchain.pem, with
 * what is in FILE, and does nothing that it need not. All but OPEN (and the RELEASE after
 * it) comes from the kernel's caches: this is what an open costs that asks a server at
 * all. */
#include "fs/compat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME    "fullchain.pem"
#define INO     2
#define TIMEOUT 86400.0

struct content {
	char data[65536];
	size_t size;
};

static int attributes(fuse_req_t req, fuse_ino_t ino, struct stat *st)
{
	const struct content *c = fuse_req_userdata(req);

	memset(st, 0, sizeof(*st));
	st->st_ino = ino;
	st->st_mode = ino == INO ? S_IFREG | 0644 : S_IFDIR | 0755;
	st->st_nlink = 1;
	st->st_size = ino == INO ? (off_t)c->size : 0;
	return ino == INO || ino == FUSE_ROOT_ID ? 0 : ENOENT;
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = {
	    .ino = INO, .attr_timeout = TIMEOUT, .entry_timeout = TIMEOUT};

	if (parent != FUSE_ROOT_ID || strcmp(name, NAME) != 0) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	attributes(req, INO, &entry.attr);
	fuse_reply_entry(req, &entry);
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;
	int code = attributes(req, ino, &st);

	(void)fi;
	if (code)
		fuse_reply_err(req, code);
	else
		fuse_reply_attr(req, &st, TIMEOUT);
}

static void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fi->keep_cache = 1;
	fi->noflush = 1;
	fuse_reply_open(req, fi);
}

static void on_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	const struct content *c = fuse_req_userdata(req);
	size_t at = (size_t)off < c->size ? (size_t)off : c->size;

	(void)ino;
	(void)fi;
	fuse_reply_buf(req, c->data + at, size < c->size - at ? size : c->size - at);
}

static const struct fuse_lowlevel_ops operations = {
    .lookup = on_lookup, .getattr = on_getattr, .open = on_open, .read = on_read};

static int content_read(struct content *c, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size;

	if (fd < 0)
		return -errno;
	size = read(fd, c->data, sizeof(c->data));
	c->size = size > 0 ? (size_t)size : 0;
	close(fd);
	return size < 0 ? -errno : 0;
}

static int serve(struct content *c, char *program, const char *mountpoint)
{
	char *argv[] = {program, (char *)"-oallow_other,default_permissions", NULL};
	struct fuse_args args = FUSE_ARGS_INIT(2, argv);
	struct fuse_session *session =
	    fuse_session_new(&args, &operations, sizeof(operations), c);
	int rc = session ? 0 : -EPROTO;

	if (rc == 0 && (fuse_set_signal_handlers(session) != 0 ||
			fuse_session_mount(session, mountpoint) != 0))
		rc = -EPROTO;
	if (rc == 0) {
		rc = fuse_session_loop(session);
		fuse_session_unmount(session);
	}
	if (session)
		fuse_session_destroy(session);
	fuse_opt_free_args(&args);
	return rc < 0 ? rc : 0;
}

int main(int argc, char **argv)
{
	struct content *c = calloc(1, sizeof(*c));
	int rc = -ENOMEM;

	if (argc != 3) {
		fprintf(stderr, "usage: cheapest FILE MOUNTPOINT\n");
		free(c);
		return 64;
	}
	if (c)
		rc = content_read(c, argv[1]);
	if (rc == 0)
		rc = serve(c, argv[0], argv[2]);
	if (rc < 0)
		fprintf(stderr, "cheapest: %s: %s\n", argv[2], strerror(-rc));
	free(c);
	return rc < 0 ? 1 : 0;
}
