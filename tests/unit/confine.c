/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/confine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Runs `what` in a child that was confined; 0 is what a held promise returns. */
struct trial {
	enum confine_role role;
	int (*what)(void);
};

static char store[] = "/tmp/certfs-confine-XXXXXX";

static int run(struct trial t)
{
	pid_t pid = fork();
	if (pid == 0) {
		struct log lg;
		struct error err;
		log_init(&lg, NULL, LOG_LEVEL_ERROR);
		int fd = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 || fchdir(fd) != 0 ||
		    confine_rest(t.role, t.role == CONFINE_FS ? fd : -1, NULL, &lg,
				 &err) < 0)
			_exit(99);
		_exit(t.what());
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

#define HOLDS(role, what)                                                                \
	do {                                                                             \
		int status_ = run((struct trial){role, what});                           \
		assert_true(WIFEXITED(status_));                                         \
		assert_int_equal(WEXITSTATUS(status_), 0);                               \
	} while (0)

static bool has_landlock(void)
{
	return syscall(444 /* landlock_create_ruleset */, NULL, 0, 1) > 0;
}

static int opens_passwd(void)
{
	int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	return fd < 0 && errno == EACCES ? 0 : 1;
}

static void fs_worker_opens_nothing_outside_the_store(void **state)
{
	(void)state;
	if (!has_landlock())
		skip();
	HOLDS(CONFINE_FS, opens_passwd);
}

static void *thread_main(void *arg)
{
	return arg;
}

static int works_in_store(void)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	pthread_t thread;
	int fd = open("data.mdb", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, 8192) != 0 || pwrite(fd, "x", 1, 0) != 1 ||
	    fdatasync(fd) != 0 || fcntl(fd, F_SETLK, &lock) != 0)
		return 1;
	void *at = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED || msync(at, 8192, MS_SYNC) != 0)
		return 2;
	munmap(at, 8192);
	if (close(fd) != 0 || unlink("data.mdb") != 0)
		return 3;
	if (pthread_create(&thread, NULL, thread_main, NULL) != 0 ||
	    pthread_join(thread, NULL) != 0)
		return 4;
	fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 5;
	close(fd);
	free(malloc(1 << 24));
	return 0;
}

static void fs_worker_does_what_a_database_does(void **state)
{
	(void)state;
	HOLDS(CONFINE_FS, works_in_store);
}

static int refused_sockets(void)
{
	static const int families[] = {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK, AF_PACKET};
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		if (socket(families[i], SOCK_STREAM, 0) >= 0 || errno != EPERM)
			return 1;
	return 0;
}

static void fs_worker_has_no_network(void **state)
{
	(void)state;
	HOLDS(CONFINE_FS, refused_sockets);
}

static int uses_network(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(1)};
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return 1;
	/* Nobody listens there: refused by the machine, not by us. */
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 || errno != ECONNREFUSED)
		return 2;
	close(fd);
	struct addrinfo *found = NULL;
	if (getaddrinfo("localhost", "80", NULL, &found) != 0)
		return 3;
	freeaddrinfo(found);
	fd = open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT)
		return 4;
	if (fd >= 0)
		close(fd);
	return 0;
}

static void net_worker_resolves_and_connects(void **state)
{
	(void)state;
	HOLDS(CONFINE_NET, uses_network);
}

static int refused_bind(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 ||
	    (errno != EPERM && errno != EACCES))
		return 1;
	return listen(fd, 1) == 0 || errno != EPERM ? 2 : 0;
}

static void net_worker_offers_no_service_of_its_own(void **state)
{
	(void)state;
	HOLDS(CONFINE_NET, refused_bind);
}

static int refused_writes(void)
{
	int fd = open("new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	return fd < 0 && errno == EACCES ? 0 : 1;
}

static void net_worker_writes_no_file(void **state)
{
	(void)state;
	if (!has_landlock())
		skip();
	HOLDS(CONFINE_NET, refused_writes);
}

static int refused_calls(void)
{
	if (kill(getppid(), 0) == 0 || errno != EPERM)
		return 1;
#ifndef __SANITIZE_ADDRESS__ /* LeakSanitizer makes processes */
	if (fork() != -1 || errno != EPERM)
		return 2;
#endif
	return chmod(".", 0777) == 0 || errno != EPERM ? 3 : 0;
}

static void nothing_but_what_is_listed_is_done(void **state)
{
	(void)state;
	HOLDS(CONFINE_FS, refused_calls);
	HOLDS(CONFINE_NET, refused_calls);
}

static int runs_a_program(void)
{
	char *const argv[] = {NULL};
	execve("/bin/true", argv, argv);
	return 1;
}

static int mounts(void)
{
	mount("none", "/mnt", "tmpfs", 0, NULL);
	return 1;
}

static int enters_a_namespace(void)
{
	unshare(CLONE_NEWUSER);
	return 1;
}

static void a_taken_over_worker_dies_at_its_first_step(void **state)
{
	(void)state;
	int (*const steps[])(void) = {runs_a_program, mounts, enters_a_namespace};
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		for (int role = CONFINE_FS; role <= CONFINE_NET; role++) {
			int status =
			    run((struct trial){(enum confine_role)role, steps[i]});
			assert_true(WIFSIGNALED(status));
			assert_int_equal(WTERMSIG(status), SIGSYS);
		}
	}
}

static int gives_root_up(void)
{
	struct error err;
	const struct confine_ids ids = {.uid = 65534, .gid = 65534};
	char line[128];
	if (confine_user(&ids, &err) < 0)
		return 1;
	if (getuid() != 65534 || geteuid() != 65534 || getegid() != 65534)
		return 2;
	if (setuid(0) == 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 ||
	    getgroups(0, NULL) != 0)
		return 3;
	int death = 0;
	if (prctl(PR_GET_PDEATHSIG, &death) != 0 || death != SIGKILL)
		return 4;
	FILE *status = fopen("/proc/self/status", "re");
	while (status && fgets(line, sizeof(line), status))
		if (strncmp(line, "Cap", 3) == 0 &&
		    strspn(line + 8, "0\n") != strlen(line + 8))
			return 5;
	return status && fclose(status) == 0 ? 0 : 6;
}

static void no_trace_of_root_is_left(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	pid_t pid = fork();
	if (pid == 0)
		_exit(gives_root_up());
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_missing_user_names_its_command(void **state)
{
	(void)state;
	struct confine_ids ids;
	struct error err;
	assert_int_equal(confine_lookup("certfs-no-such-user", &ids, &err), -ENOENT);
	assert_non_null(strstr(err.text, "useradd"));
	assert_int_equal(confine_lookup("root", &ids, &err), -EPERM);
}

static int setup(void **state)
{
	(void)state;
	return mkdtemp(store) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return rmdir(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(fs_worker_opens_nothing_outside_the_store),
	    cmocka_unit_test(fs_worker_does_what_a_database_does),
	    cmocka_unit_test(fs_worker_has_no_network),
	    cmocka_unit_test(net_worker_resolves_and_connects),
	    cmocka_unit_test(net_worker_offers_no_service_of_its_own),
	    cmocka_unit_test(net_worker_writes_no_file),
	    cmocka_unit_test(nothing_but_what_is_listed_is_done),
	    cmocka_unit_test(a_taken_over_worker_dies_at_its_first_step),
	    cmocka_unit_test(no_trace_of_root_is_left),
	    cmocka_unit_test(a_missing_user_names_its_command),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
