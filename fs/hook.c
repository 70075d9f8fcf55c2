/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/hook.h"

#include "store/text.h"
#include "store/words.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DOMAINS_MAX   (100 * 1024)
#define LINES_MAX     100 /* of its output, a run */
#define LINE_MAX_SIZE 400
#define TERM_MS       2000 /* from SIGTERM to SIGKILL */
#define GRACE_MS      2000 /* for a run to end by itself when announce ends */

enum stage { STAGE_NONE, STAGE_RUNS, STAGE_TERM, STAGE_KILL };

struct run {
	enum stage stage;
	pid_t pid;
	int pidfd, out_fd;
	uint64_t sequence;
	int64_t until_ms; /* of the stage */
	bool late;
	size_t lines, held;
	char line[LINE_MAX_SIZE + 1];
};

struct hook {
	struct hook_options o;
	char **argv; /* NULL: no program */
	char *domain[HOOK_CHANGES_MAX];
	size_t domains;
	uint64_t sequence; /* the last one that was added */
	int64_t due_ms;
	struct run run;
};

static int64_t now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int hook_new(struct hook **result, const struct hook_options *options, struct error *err)
{
	struct hook *h = calloc(1, sizeof(*h));
	if (!h)
		return error_set(err, ENOMEM, "no memory for the hook");
	h->o = *options;
	h->run.pidfd = h->run.out_fd = -1;
	int r = options->cfg->on_change
		    ? words_command(options->cfg->on_change, &h->argv, err)
		    : 0;
	if (r < 0) {
		free(h);
		return r;
	}
	*result = h;
	return 0;
}

static void clear_domains(struct hook *h)
{
	for (size_t i = 0; i < h->domains; i++)
		free(h->domain[i]);
	h->domains = 0;
}

void hook_forget(struct hook *h)
{
	clear_domains(h);
	h->sequence = h->run.sequence = 0;
}

void hook_add(struct hook *h, const char *domain, uint64_t sequence)
{
	if (h->domains == 0)
		h->due_ms = now_ms() + (int64_t)h->o.cfg->hook_delay_s * 1000;
	h->sequence = sequence;
	for (size_t i = 0; i < h->domains; i++)
		if (strcmp(h->domain[i], domain) == 0)
			return;
	char *copy = h->domains < HOOK_CHANGES_MAX ? strdup(domain) : NULL;
	if (copy)
		h->domain[h->domains++] = copy;
	else
		log_error(h->o.lg, domain, "no room to tell the hook of %s", domain);
}

/* Its standard input: a file of its own, so that nobody waits for a program that reads
 * nothing. */
static int list_open(const struct hook *h, struct error *err)
{
	int fd = memfd_create("certfs-domains", MFD_CLOEXEC);
	if (fd < 0)
		return error_set(err, errno, "memfd_create: %s", strerror(errno));
	for (size_t i = 0; i < h->domains; i++)
		if (dprintf(fd, "%s\n", h->domain[i]) < 0) {
			int r = error_set(err, errno, "its input: %s", strerror(errno));
			close(fd);
			return r;
		}
	lseek(fd, 0, SEEK_SET);
	return fd;
}

struct environment {
	char *item[8];
	size_t count;
	bool failed;
};

static void env_add(struct environment *env, const char *name, const char *value)
{
	char *item = NULL;
	if (!value || env->failed)
		return;
	if (asprintf(&item, "%s=%s", name, value) < 0)
		env->failed = true;
	else
		env->item[env->count++] = item;
}

static void env_clear(struct environment *env)
{
	for (size_t i = 0; i < env->count; i++)
		free(env->item[i]);
}

static void env_make(struct environment *env, const struct hook *h)
{
	const char *path = getenv("PATH");
	char *domains = malloc(DOMAINS_MAX + 1);
	size_t used = 0, i;
	memset(env, 0, sizeof(*env));
	env->failed = !domains;
	for (i = 0; domains && i < h->domains; i++) {
		size_t length = strlen(h->domain[i]);
		if (used + length + 1 > DOMAINS_MAX)
			break;
		if (i > 0)
			domains[used++] = ' ';
		memcpy(domains + used, h->domain[i], length);
		used += length;
	}
	if (domains)
		domains[used] = '\0';
	env_add(env, "PATH", path && *path ? path : "/usr/sbin:/usr/bin:/sbin:/bin");
	env_add(env, "LANG", getenv("LANG"));
	env_add(env, "TZ", getenv("TZ"));
	env_add(env, "CERTFS_MOUNTPOINT", h->o.mountpoint);
	env_add(env, "CERTFS_DOMAINS", domains);
	env_add(env, "CERTFS_DOMAINS_TRUNCATED", i < h->domains ? "1" : NULL);
	free(domains);
}

/* After fork(2), until execve(2). */
static void in_child(char *const argv[], char *const env[], int in_fd, int out_fd,
		     int failed_fd)
{
	sigset_t none;
	sigemptyset(&none);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	umask(022);
	/* The first three may be among those that are put there. */
	int in = fcntl(in_fd, F_DUPFD_CLOEXEC, 10),
	    out = fcntl(out_fd, F_DUPFD_CLOEXEC, 10);
	int failed = fcntl(failed_fd, F_DUPFD_CLOEXEC, 10);
	close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	if (in >= 0 && out >= 0 && failed >= 0 && dup2(in, STDIN_FILENO) >= 0 &&
	    dup2(out, STDOUT_FILENO) >= 0 && dup2(out, STDERR_FILENO) >= 0 &&
	    chdir("/") == 0)
		execve(argv[0], argv, env);
	int why = errno;
	while (write(failed, &why, sizeof(why)) < 0 && errno == EINTR)
		continue;
	_exit(127);
}

static int reap(struct run *run, siginfo_t *how)
{
	int r;
	do
		r = waitid(P_PIDFD, (id_t)run->pidfd, how, WEXITED);
	while (r < 0 && errno == EINTR);
	close(run->pidfd);
	run->pidfd = -1;
	run->stage = STAGE_NONE;
	return r;
}

/* The program is running, or execve(2)'s reason is known. */
static int fork_it(struct hook *h, int in_fd, int out_fd, char *const env[],
		   struct error *err)
{
	int failed[2], why = 0;
	if (pipe2(failed, O_CLOEXEC) != 0)
		return error_set(err, errno, "pipe: %s", strerror(errno));
	pid_t pid = fork();
	if (pid == 0)
		in_child(h->argv, env, in_fd, out_fd, failed[1]);
	int forked = pid < 0 ? errno : 0;
	close(failed[1]);
	while (pid > 0 && read(failed[0], &why, sizeof(why)) < 0 && errno == EINTR)
		continue;
	close(failed[0]);
	if (pid < 0)
		return error_set(err, forked, "fork: %s", strerror(forked));
	long pidfd = syscall(SYS_pidfd_open, pid, 0);
	if (why == 0 && pidfd < 0) {
		why = errno;
		kill(pid, SIGKILL);
	}
	if (why) {
		if (pidfd >= 0)
			close((int)pidfd);
		waitpid(pid, NULL, 0);
		return error_set(err, why, "%s can't be started: %s", h->argv[0],
				 strerror(why));
	}
	h->run.pid = pid;
	h->run.pidfd = (int)pidfd;
	return 0;
}

static int start(struct hook *h, struct error *err)
{
	int out[2] = {-1, -1}, in_fd = list_open(h, err), r = in_fd;
	struct environment env;
	env_make(&env, h);
	if (r >= 0 && env.failed)
		r = error_set(err, ENOMEM, "no memory for the hook's environment");
	if (r >= 0 && pipe2(out, O_CLOEXEC) != 0)
		r = error_set(err, errno, "pipe: %s", strerror(errno));
	if (r >= 0)
		r = fork_it(h, in_fd, out[1], env.item, err);
	if (r >= 0) {
		fcntl(out[0], F_SETFL, O_NONBLOCK);
		h->run.out_fd = out[0];
		out[0] = -1;
	}
	env_clear(&env);
	if (in_fd >= 0)
		close(in_fd);
	if (out[0] >= 0)
		close(out[0]);
	if (out[1] >= 0)
		close(out[1]);
	return r < 0 ? r : 0;
}

static void say_line(struct hook *h)
{
	struct run *run = &h->run;
	run->line[run->held] = '\0';
	run->held = 0;
	if (run->line[0] == '\0' || run->lines > LINES_MAX)
		return;
	text_clean(run->line);
	if (run->lines++ < LINES_MAX)
		log_info(h->o.lg, NULL, "hook: %s", run->line);
	else
		log_info(h->o.lg, NULL, "hook: the rest of its output is left out");
}

static void take_output(struct hook *h)
{
	struct run *run = &h->run;
	char buffer[4096];
	ssize_t got;
	while (run->out_fd >= 0) {
		got = read(run->out_fd, buffer, sizeof(buffer));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EAGAIN)
			return;
		for (ssize_t i = 0; i < got; i++) {
			if (buffer[i] == '\n' || run->held == LINE_MAX_SIZE)
				say_line(h);
			if (buffer[i] != '\n')
				run->line[run->held++] = buffer[i];
		}
		if (got > 0)
			return; /* a program that writes on and on is no reason to stay */
		close(run->out_fd);
		run->out_fd = -1;
	}
}

static void end_output(struct hook *h)
{
	struct run *run = &h->run;
	for (int i = 0; i < 64 && run->out_fd >= 0; i++) /* what a pipe holds */
		take_output(h);
	if (run->held > 0)
		say_line(h);
	/* What it left in the background may hold the other end for ever. */
	if (run->out_fd >= 0)
		close(run->out_fd);
	run->out_fd = -1;
}

static void enter(struct hook *h, enum stage stage, int64_t ms)
{
	h->run.stage = stage;
	h->run.until_ms = now_ms() + ms;
}

static void begin(struct hook *h)
{
	struct error err;
	h->run = (struct run){.sequence = h->sequence, .pidfd = -1, .out_fd = -1};
	size_t count = h->domains;
	int r = h->argv ? start(h, &err) : 0;
	clear_domains(h);
	if (r < 0) {
		log_error(h->o.lg, NULL, "the on-change hook did not run: %s", err.text);
		h->o.ended(h->o.ctx, h->run.sequence, err.text);
		return;
	}
	if (!h->argv) {
		h->o.ended(h->o.ctx, h->run.sequence, NULL);
		return;
	}
	log_info(h->o.lg, NULL, "the on-change hook runs for %zu domain%s pid=%d", count,
		 count == 1 ? "" : "s", (int)h->run.pid);
	enter(h, STAGE_RUNS, (int64_t)h->o.cfg->hook_limit_s * 1000);
}

static void signal_group(const struct run *run, int number)
{
	kill(-run->pid, number);
}

static void on_end(struct hook *h)
{
	struct run *run = &h->run;
	siginfo_t how = {0};
	char text[200] = "";
	/* Before it is reaped: its number, and its group's, are its own until then. */
	if (run->stage != STAGE_RUNS)
		signal_group(run, SIGKILL);
	reap(run, &how);
	end_output(h);
	if (run->late)
		snprintf(text, sizeof(text),
			 "it took longer than %u s (time-limit) and was ended",
			 h->o.cfg->hook_limit_s);
	else if (how.si_code == CLD_EXITED && how.si_status != 0)
		snprintf(text, sizeof(text), "it ended with status %d", how.si_status);
	else if (how.si_code != CLD_EXITED)
		snprintf(text, sizeof(text), "it was killed by signal %d (%s)",
			 how.si_status, strsignal(how.si_status));
	if (text[0])
		log_error(h->o.lg, NULL, "the on-change hook failed: %s", text);
	else
		log_info(h->o.lg, NULL, "the on-change hook ran well");
	h->o.ended(h->o.ctx, run->sequence, text[0] ? text : NULL);
}

static void on_late(struct hook *h)
{
	switch (h->run.stage) {
	case STAGE_RUNS:
		h->run.late = true;
		signal_group(&h->run, SIGTERM);
		enter(h, STAGE_TERM, TERM_MS);
		break;
	case STAGE_TERM:
	case STAGE_KILL:
		signal_group(&h->run, SIGKILL);
		enter(h, STAGE_KILL, TERM_MS);
		break;
	case STAGE_NONE:
		break;
	}
}

void hook_polls(const struct hook *h, struct pollfd polls[HOOK_POLLS])
{
	bool runs = h->run.stage != STAGE_NONE;
	polls[0] = (struct pollfd){.fd = runs ? h->run.pidfd : -1, .events = POLLIN};
	polls[1] = (struct pollfd){.fd = runs ? h->run.out_fd : -1, .events = POLLIN};
}

int hook_next_ms(const struct hook *h)
{
	int64_t at_ms = h->run.until_ms;
	if (h->run.stage == STAGE_NONE) {
		if (h->domains == 0)
			return -1;
		at_ms = h->due_ms;
	}
	int64_t left = at_ms - now_ms();
	return left < 0 ? 0 : (int)left;
}

static bool is_over(const struct run *run)
{
	struct pollfd end = {.fd = run->pidfd, .events = POLLIN};
	return poll(&end, 1, 0) == 1 && end.revents;
}

void hook_turn(struct hook *h)
{
	if (h->run.stage != STAGE_NONE) {
		take_output(h);
		if (is_over(&h->run))
			on_end(h);
		else if (h->run.until_ms <= now_ms())
			on_late(h);
	}
	if (h->run.stage == STAGE_NONE && h->domains > 0 && h->due_ms <= now_ms())
		begin(h);
}

/* Until it is over, at most so long. */
static bool wait_for_end(struct hook *h, int64_t ms)
{
	int64_t until_ms = now_ms() + ms;
	for (int64_t left = ms; left > 0; left = until_ms - now_ms()) {
		struct pollfd polls[HOOK_POLLS];
		hook_polls(h, polls);
		if (poll(polls, HOOK_POLLS, (int)left) < 0 && errno != EINTR)
			return false;
		take_output(h);
		if (is_over(&h->run))
			return true;
	}
	return false;
}

void hook_free(struct hook *h)
{
	siginfo_t how = {0};
	if (!h)
		return;
	if (h->run.stage != STAGE_NONE) {
		if (!wait_for_end(h, GRACE_MS)) {
			log_notice(h->o.lg, NULL,
				   "the on-change hook is ended; it runs again later");
			signal_group(&h->run, SIGTERM);
			if (!wait_for_end(h, TERM_MS / 2))
				signal_group(&h->run, SIGKILL);
			wait_for_end(h, TERM_MS / 2);
			signal_group(&h->run, SIGKILL);
			reap(&h->run, &how);
			end_output(h);
		} else {
			on_end(h);
		}
	}
	clear_domains(h);
	free(h->argv);
	free(h);
}
