/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/confine.h"
#include "fs/landlock.h"

#include <errno.h>
#include <grp.h>
#include <linux/fuse.h>
#include <linux/prctl.h>
#include <linux/sockios.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

int confine_lookup(const char *user, struct confine_ids *ids, struct error *err)
{
	errno = 0;
	const struct passwd *pw = getpwnam(user);
	if (!pw && errno != 0 && errno != ENOENT && errno != ESRCH)
		return error_set(err, errno, "cannot look up the user %s: %s", user,
				 strerror(errno));
	if (!pw)
		return error_set(
		    err, ENOENT,
		    "there is no user %s; make it with: useradd --system "
		    "--user-group --no-create-home --shell /usr/sbin/nologin %s",
		    user, user);
	if (pw->pw_uid == 0)
		return error_set(err, EPERM,
				 "the user %s is root, which no worker may be", user);
	ids->uid = pw->pw_uid;
	ids->gid = pw->pw_gid;
	return 0;
}

static int drop_capabilities(struct error *err)
{
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	cap_t none = cap_init();
	if (!none)
		return error_set(err, ENOMEM, "out of memory");
	int failed = cap_set_proc(none) != 0 ? errno : 0;
	cap_free(none);
	if (failed)
		return error_set(err, failed, "cannot drop capabilities: %s",
				 strerror(failed));
	return 0;
}

static int drop_bounding_set(struct error *err)
{
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0)
			return error_set(err, errno,
					 "cannot drop capability %lu for good: %s", cap,
					 strerror(errno));
	return 0;
}

int confine_user(const struct confine_ids *ids, struct error *err)
{
	int rc = drop_bounding_set(err);
	if (rc < 0)
		return rc;
	if (setgroups(0, NULL) != 0 || setresgid(ids->gid, ids->gid, ids->gid) != 0 ||
	    setresuid(ids->uid, ids->uid, ids->uid) != 0)
		return error_set(err, errno, "cannot become uid %u, gid %u: %s",
				 (unsigned int)ids->uid, (unsigned int)ids->gid,
				 strerror(errno));
	rc = drop_capabilities(err);
	if (rc < 0)
		return rc;
	if (setresuid(0, 0, 0) == 0)
		return error_set(err, EPERM, "root was not given up");
	/* LeakSanitizer looks at its own process with ptrace(2). */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_DUMPABLE, SANITIZED, 0, 0, 0) != 0)
		return error_set(err, errno, "prctl: %s", strerror(errno));
	/* Last: a change of user takes the setting away (kernel/cred.c, commit_creds). */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		return error_set(err, errno, "prctl: %s", strerror(errno));
	return 0;
}

static const char *const allowed[] = {
    /* files */
    "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev",
    "preadv2", "pwritev2", "open", "openat", "openat2", "close", "close_range", "stat",
    "lstat", "fstat", "newfstatat", "fstatat64", "stat64", "lstat64", "fstat64", "statx",
    "statfs", "fstatfs", "statfs64", "fstatfs64", "access", "faccessat", "faccessat2",
    "readlink", "readlinkat", "getdents64", "getdents", "lseek", "_llseek", "fcntl",
    "fcntl64", "flock", "ftruncate", "ftruncate64", "fallocate", "fadvise64", "fsync",
    "fdatasync", "sync_file_range", "unlink", "unlinkat", "rename", "renameat",
    "renameat2", "mkdir", "mkdirat", "rmdir", "getcwd", "umask", "splice", "vmsplice",
    "tee", "pipe", "pipe2", "dup", "dup2", "dup3", "memfd_create", "inotify_init1",
    "inotify_add_watch", "inotify_rm_watch",
    /* waiting */
    "poll", "ppoll", "select", "pselect6", "epoll_create1", "epoll_create", "epoll_ctl",
    "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd2", "timerfd_create",
    "timerfd_settime", "timerfd_gettime", "signalfd4", "nanosleep", "clock_nanosleep",
    "pidfd_open",
    /* memory, threads, signals */
    "brk", "mmap", "mmap2", "munmap", "mremap", "mprotect", "madvise", "msync", "mlock",
    "mlock2", "munlock", "mincore", "futex", "futex_waitv", "futex_time64",
    "set_robust_list", "get_robust_list", "rseq", "membarrier", "set_tid_address",
    "sched_yield", "sched_getaffinity", "sched_getparam", "sched_getscheduler", "getcpu",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "rt_sigsuspend",
    "rt_sigtimedwait", "sigaltstack", "sigreturn", "restart_syscall", "pause", "exit",
    "exit_group", "arch_prctl", "riscv_flush_icache",
    /* who and when */
    "clock_gettime", "clock_getres", "gettimeofday", "time", "clock_gettime64", "times",
    "getpid", "gettid", "getppid", "getpgrp", "getuid", "geteuid", "getgid", "getegid",
    "getresuid", "getresgid", "getrandom", "uname", "sysinfo", "getrlimit", "ugetrlimit",
    "getrusage", "capget",
    /* sockets that are there */
    "sendmsg", "recvmsg", "sendto", "recvfrom", "send", "recv", "sendmmsg", "recvmmsg",
    "getsockopt", "setsockopt", "shutdown", "getsockname", "getpeername"};

/* libcurl with its resolver's threads, and the http-01 listener. bind(2) and listen(2)
 * are not here: the listening sockets were inherited. */
static const char *const allowed_net[] = {"connect", "accept", "accept4"};

/* What no honest worker ever asks for: whoever does has taken the process over. */
static const char *const deadly[] = {"execve",
				     "execveat",
				     "process_vm_readv",
				     "process_vm_writev",
				     "mount",
				     "umount",
				     "umount2",
				     "mount_setattr",
				     "move_mount",
				     "open_tree",
				     "open_tree_attr",
				     "fsopen",
				     "fsconfig",
				     "fsmount",
				     "fspick",
				     "init_module",
				     "finit_module",
				     "delete_module",
				     "kexec_load",
				     "kexec_file_load",
				     "bpf",
				     "perf_event_open",
				     "open_by_handle_at",
				     "userfaultfd",
				     "setns",
				     "unshare",
				     "pivot_root",
				     "chroot",
				     "keyctl",
				     "add_key",
				     "request_key",
				     "reboot",
				     "swapon",
				     "swapoff",
				     "iopl",
				     "ioperm",
				     "acct",
				     "settimeofday",
				     "clock_settime",
				     "syslog",
				     "pidfd_getfd",
				     "kcmp"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct rules {
	scmp_filter_ctx filter;
	int failed; /* the first failure, -errno */
};

/* A name that this libseccomp or this machine doesn't know needs no rule: the default
 * refuses its call as well. */
static void rule(struct rules *r, uint32_t action, const char *name, unsigned int count,
		 const struct scmp_arg_cmp *arg)
{
	int number = seccomp_syscall_resolve_name(name);
	if (r->failed || number == __NR_SCMP_ERROR)
		return;
	r->failed = seccomp_rule_add_array(r->filter, action, number, count, arg);
}

static void rules_of_names(struct rules *r, uint32_t action, const char *const *names,
			   size_t count)
{
	for (size_t i = 0; i < count; i++)
		rule(r, action, names[i], 0, NULL);
}

static void allow_argument(struct rules *r, const char *name, unsigned int index,
			   uint64_t value)
{
	const struct scmp_arg_cmp is = {.arg = index,
					.op = SCMP_CMP_MASKED_EQ,
					.datum_a = 0xffffffff,
					.datum_b = value};
	rule(r, SCMP_ACT_ALLOW, name, 1, &is);
}

static void rules_of_threads(struct rules *r)
{
	/* The flags of clone3(2) stand in memory, where no filter sees them. ENOSYS makes
	 * the C library use clone(2), which is for threads only. */
	rule(r, SCMP_ACT_ERRNO(ENOSYS), "clone3", 0, NULL);
	const struct scmp_arg_cmp thread = {.arg = 0,
					    .op = SCMP_CMP_MASKED_EQ,
					    .datum_a = CLONE_THREAD,
					    .datum_b = CLONE_THREAD};
	rule(r, SCMP_ACT_ALLOW, "clone", SANITIZED ? 0 : 1, &thread);
	allow_argument(r, "tgkill", 0, (uint64_t)getpid()); /* abort(3) */
	allow_argument(r, "prlimit64", 0, 0);               /* its own */
	if (SANITIZED) {
		rule(r, SCMP_ACT_ALLOW, "prctl", 0, NULL);
		rule(r, SCMP_ACT_ALLOW, "ptrace", 0, NULL);
		rule(r, SCMP_ACT_ALLOW, "wait4", 0, NULL);
		rule(r, SCMP_ACT_ALLOW, "personality", 0, NULL);
		return;
	}
	rule(r, SCMP_ACT_KILL_PROCESS, "ptrace", 0, NULL);
	allow_argument(r, "prctl", 0, PR_SET_NAME);
	allow_argument(r, "prctl", 0, PR_GET_NAME);
	allow_argument(r, "prctl", 0, PR_GET_DUMPABLE);
	allow_argument(r, "prctl", 0, 0x53564d41); /* PR_SET_VMA, which malloc uses */
}

static void rules_of_role(struct rules *r, enum confine_role role, const struct log *lg)
{
	static const uint64_t ioctls[] = {TCGETS, FIONREAD, FIONBIO, FIOCLEX};
	for (size_t i = 0; i < COUNT(ioctls); i++)
		allow_argument(r, "ioctl", 1, ioctls[i]);
	switch (role) {
	case CONFINE_FS:
		allow_argument(r, "ioctl", 1, FUSE_DEV_IOC_CLONE);
		/* sd_journal_sendv() opens its socket at its first line. */
		if (lg->journal)
			allow_argument(r, "socket", 0, AF_UNIX);
		break;
	case CONFINE_NET:
		rules_of_names(r, SCMP_ACT_ALLOW, allowed_net, COUNT(allowed_net));
		allow_argument(r, "socket", 0, AF_UNIX); /* nss, the journal */
		allow_argument(r, "socket", 0, AF_INET);
		allow_argument(r, "socket", 0, AF_INET6);
		allow_argument(r, "socket", 0, AF_NETLINK);  /* getaddrinfo(3) */
		allow_argument(r, "socketpair", 0, AF_UNIX); /* libcurl's wake-up */
		allow_argument(r, "ioctl", 1, SIOCGIFINDEX);
		allow_argument(r, "ioctl", 1, SIOCGIFNAME);
		allow_argument(r, "ioctl", 1, SIOCOUTQ);
		break;
	}
}

static int filter_calls(enum confine_role role, const struct log *lg, struct error *err)
{
	struct rules r = {.filter = seccomp_init(SCMP_ACT_ERRNO(EPERM))};
	if (!r.filter)
		return error_set(err, ENOMEM, "cannot make a seccomp filter");
	/* A binary tree instead of a chain: a call pays for its place in the filter. */
	(void)seccomp_attr_set(r.filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	r.failed = seccomp_attr_set(r.filter, SCMP_FLTATR_CTL_TSYNC, 1);
	rules_of_names(&r, SCMP_ACT_ALLOW, allowed, COUNT(allowed));
	rules_of_names(&r, SCMP_ACT_KILL_PROCESS, deadly, COUNT(deadly));
	rules_of_threads(&r);
	rules_of_role(&r, role, lg);
	if (!r.failed)
		r.failed = seccomp_load(r.filter);
	seccomp_release(r.filter);
	if (r.failed)
		return error_set(err, -r.failed, "cannot load the seccomp filter: %s",
				 strerror(-r.failed));
	return 0;
}

int confine_rest(enum confine_role role, int store_fd, const char *roots_file,
		 const struct log *lg, struct error *err)
{
	/* seccomp and Landlock both ask for it; in a worker confine_user() did it. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return error_set(err, errno, "prctl: %s", strerror(errno));
	/* First: the filter does not let landlock_restrict_self(2) through. */
	int rc = landlock_confine(role, store_fd, roots_file, lg, err);
	if (rc < 0)
		return rc;
	return filter_calls(role, lg, err);
}
