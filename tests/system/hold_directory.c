/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* hold_directory DIR: holds the lock that the kernel has of the directory, as somebody does
 * who reads it, until standard input ends, and says "held" on standard output once it does.
 * Others can read it meanwhile; whoever wants to change it, or to tell its caches something,
 * waits in the kernel where no signal reaches him. The reader's memory is a page that comes
 * when we say so (userfaultfd(2)). */
#include <dirent.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct reader {
	int dir;
	void *page;
	size_t size;
};

static void *read_directory(void *arg)
{
	struct reader *r = arg;
	if (syscall(SYS_getdents64, r->dir, r->page, r->size) < 0)
		perror("hold_directory: getdents64");
	return NULL;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* A descriptor that tells who misses the page. */
static int watch(const struct reader *r)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register missing = {
	    .range = {.start = (uintptr_t)r->page, .len = r->size},
	    .mode = UFFDIO_REGISTER_MODE_MISSING};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) != 0 ||
	    ioctl(fd, UFFDIO_REGISTER, &missing) != 0)
		die("hold_directory: userfaultfd");
	return fd;
}

int main(int argc, char **argv)
{
	struct reader r = {.size = (size_t)sysconf(_SC_PAGESIZE)};
	struct uffd_msg missed;
	pthread_t thread;

	if (argc != 2) {
		fprintf(stderr, "usage: hold_directory DIR\n");
		return 64;
	}
	r.dir = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r.page = mmap(NULL, r.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	if (r.dir < 0 || r.page == MAP_FAILED)
		die(argv[1]);
	int fd = watch(&r);
	if (pthread_create(&thread, NULL, read_directory, &r) != 0)
		die("hold_directory: thread");
	if (read(fd, &missed, sizeof(missed)) != (ssize_t)sizeof(missed))
		die("hold_directory: page");
	puts("held");
	fflush(stdout);
	while (getchar() != EOF)
		;
	struct uffdio_zeropage give = {
	    .range = {.start = (uintptr_t)r.page, .len = r.size}};
	if (ioctl(fd, UFFDIO_ZEROPAGE, &give) != 0)
		die("hold_directory: page");
	pthread_join(thread, NULL);
	close(fd);
	close(r.dir);
	return 0;
}
