/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/command.h"
#include "fs/exit_status.h"
#include "fs/handover.h"
#include "fs/kept.h"
#include "fs/spawn.h"
#include "fs/supervisor.h"
#include "store/config_text.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

struct arguments {
	const char *conf;
	const char *mountpoint;
	const char
	    *of; /* whose store is mounted once more, read-only; NULL: the default's */
	bool read_only;
	bool foreground;
	bool fake; /* mount(8)'s -f: all but the mount */
};

/* What serve() makes supervisor_options of. */
struct place {
	struct config *cfg, *before;
	int config_fd, before_fd;
	struct error refused;
	const char *mountpoint, *binary;
	char *const *argv;
	const struct handover *handover;
};

/* What mount(8) and fstab put there, and what is so anyhow. */
static const char *const ignored[] = {"defaults",
				      "rw",
				      "nosuid",
				      "nodev",
				      "noexec",
				      "auto",
				      "noauto",
				      "nouser",
				      "nofail",
				      "_netdev",
				      "async",
				      "allow_other",
				      "default_permissions",
				      "relatime",
				      "noatime",
				      "nodiratime",
				      "norelatime",
				      "nostrictatime",
				      "nolazytime",
				      "silent",
				      "loud",
				      "nomand",
				      "noiversion"};

static bool is_ignored(const char *option)
{
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		if (strcmp(option, ignored[i]) == 0)
			return true;
	return strncmp(option, "x-", 2) == 0 || strncmp(option, "X-", 2) == 0 ||
	       strncmp(option, "comment=", strlen("comment=")) == 0;
}

static int usage_error(const char *what, const char *value)
{
	fprintf(
	    stderr,
	    "certfs: %s%s\nusage: certfs mount [-f] [-c FILE] [-o OPTIONS] MOUNTPOINT\n",
	    what, value);
	return EX_USAGE;
}

static int parse_options(struct arguments *a, char *options)
{
	char *rest = options;
	for (char *option; (option = strsep(&rest, ","));) {
		if (*option == '\0' || is_ignored(option))
			continue;
		if (strncmp(option, "conf=", strlen("conf=")) == 0 && option[5] != '\0')
			a->conf = option + strlen("conf=");
		else if (strcmp(option, "ro") == 0)
			a->read_only = true;
		else if (strncmp(option, "of=", strlen("of=")) == 0 && option[3] != '\0')
			a->of = option + strlen("of=");
		else
			return usage_error("unknown mount option: ", option);
	}
	return EX_OK;
}

static int parse(struct arguments *a, int argc, char **argv)
{
	bool helper = strncmp(basename(argv[0]), "mount.", strlen("mount.")) == 0;
	int status = EX_OK;
	optind = 1;
	/* A helper's flags are mount(8)'s: -s -n -v -N -t say nothing to us. */
	for (int opt;
	     status == EX_OK &&
	     (opt = getopt(argc, argv, helper ? "fsnvN:t:o:" : "fc:o:")) != -1;) {
		switch (opt) {
		case 'f':
			a->foreground = !helper;
			a->fake = helper;
			break;
		case 'c':
			a->conf = optarg;
			break;
		case 'o':
			status = parse_options(a, optarg);
			break;
		case '?':
			return usage_error("see certfs --help", "");
		}
	}
	int source = helper && argc - optind == 2 ? 1 : 0;
	if (status == EX_OK && argc - optind - source != 1)
		return usage_error("mount wants one MOUNTPOINT", "");
	if (status == EX_OK)
		a->mountpoint = argv[optind + source];
	return status;
}

static int complain(const struct error *err)
{
	fprintf(stderr, "certfs: %s\n", err->text);
	return exit_status_of(err->code);
}

/* Absolute, without symlinks. realpath(3) doesn't ask a dead mount for anything. */
static int resolve(const char *what, const char *path, char resolved[PATH_MAX],
		   struct error *err)
{
	if (realpath(path, resolved))
		return 0;
	return error_set(err, errno, "%s %s: %s", what, path, strerror(errno));
}

/* Where the daemon's log goes: a file stays what it is; else the journal; a terminal or a
 * pipe is left alone, for whoever reads it waits for its end. */
static void redirect_log(void)
{
	struct stat st;
	char stream[64];
	if (getenv("JOURNAL_STREAM") ||
	    (fstat(STDERR_FILENO, &st) == 0 && S_ISREG(st.st_mode)))
		return;
	int fd = sd_journal_stream_fd("certfs", 6 /* informational */, 0);
	if (fd >= 0 && fstat(fd, &st) == 0) {
		snprintf(stream, sizeof(stream), "%llu:%llu",
			 (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
		setenv("JOURNAL_STREAM", stream, 1);
	} else {
		fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	}
	if (fd < 0)
		return;
	dup2(fd, STDERR_FILENO);
	close(fd);
}

static void leave_terminal(void)
{
	setsid();
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		close(null);
	}
	redirect_log();
}

static void place_clear(struct place *at)
{
	config_free(at->cfg);
	config_free(at->before);
	/* After serve() they were the supervisor's. */
	if (at->config_fd >= 0)
		close(at->config_fd);
	if (at->before_fd >= 0)
		close(at->before_fd);
}

static int serve(struct place *at, int ready_fd, struct error *err)
{
	struct log lg;
	log_init(&lg, "supervisor", at->cfg->log_level);
	const struct supervisor_options options = {.cfg = at->cfg,
						   .config_fd = at->config_fd,
						   .before = at->before,
						   .before_fd = at->before_fd,
						   .refused = &at->refused,
						   .lg = &lg,
						   .mountpoint = at->mountpoint,
						   .binary = at->binary,
						   .argv = at->argv,
						   .ready_fd = ready_fd,
						   .handover = at->handover};
	if (chdir("/") != 0)
		return error_set(err, errno, "chdir: %s", strerror(errno));
	at->config_fd = at->before_fd = -1;
	if (at->refused.code)
		log_error(&lg, NULL,
			  "goes on with the configuration that was in force before: %s",
			  at->refused.text);
	int rc = supervisor_run(&options, err);
	/* In the foreground without a journal the caller's complaint says it. */
	if (rc < 0 && (ready_fd >= 0 || lg.journal))
		log_error(&lg, NULL, "certfs ends: %s", err->text);
	return rc;
}

/* "1" from the pipe: it serves. Else the reason, or nothing where it died. */
static int wait_for_daemon(int fd, const char *mountpoint, struct error *err)
{
	struct error why;
	char *at = (char *)&why;
	size_t held = 0;
	for (ssize_t got = 1; got > 0 && held < sizeof(why); held += (size_t)got) {
		do
			got = read(fd, at + held, sizeof(why) - held);
		while (got < 0 && errno == EINTR);
		if (got <= 0)
			break;
		if (held == 0 && at[0] == '1' && got == 1)
			return 0;
	}
	if (held != sizeof(why))
		return error_set(err, EIO, "the daemon for %s died before it served",
				 mountpoint);
	why.text[sizeof(why.text) - 1] = '\0';
	*err = why;
	return -why.code;
}

/* In both processes; `*daemon` is true in the one that served. */
static int daemonize(struct place *at, bool *daemon, struct error *err)
{
	int ready[2];
	struct stat st;
	if (pipe2(ready, O_CLOEXEC) != 0)
		return error_set(err, errno, "pipe: %s", strerror(errno));
	pid_t pid = fork();
	if (pid < 0) {
		int rc = error_set(err, errno, "fork: %s", strerror(errno));
		close(ready[0]);
		close(ready[1]);
		return rc;
	}
	if (pid == 0) {
		*daemon = true;
		close(ready[0]);
		leave_terminal();
		int rc = serve(at, ready[1], err);
		if (rc < 0)
			reason_write(ready[1], err);
		close(ready[1]);
		return rc;
	}
	close(ready[1]);
	int rc = wait_for_daemon(ready[0], at->mountpoint, err);
	close(ready[0]);
	if (rc == 0 && stat(at->mountpoint, &st) != 0)
		return error_set(err, errno, "%s does not answer: %s", at->mountpoint,
				 strerror(errno));
	return rc;
}

/* With the "mount" that main() took away from before it. */
static char *const *full_argv(char **argv)
{
	return strcmp(argv[0], "mount") == 0 ? argv - 1 : argv;
}

/* The one on disk; with what systemd kept for us (kept.h) to fall back on. */
static int load_config(struct place *at, const char *conf, struct error *err)
{
	struct error why;
	at->before_fd = kept_take_config();
	if (at->before_fd >= 0 &&
	    config_text_load(at->before_fd, &at->before, &why) < 0) {
		close(at->before_fd);
		at->before_fd = -1;
	}
	int rc = config_text_read(conf, &at->config_fd, err);
	if (rc == 0)
		rc = config_text_load(at->config_fd, &at->cfg, err);
	bool same =
	    rc == 0 && at->before && config_text_same(at->config_fd, at->before_fd);
	if (at->before && (rc < 0 || same)) {
		if (rc < 0)
			at->refused = *err;
		config_free(at->cfg);
		if (at->config_fd >= 0)
			close(at->config_fd);
		at->cfg = at->before;
		at->config_fd = at->before_fd;
		at->before = NULL;
		at->before_fd = -1;
		rc = 0;
	}
	return rc;
}

bool command_resume(char **argv, int *status)
{
	struct error err = {0};
	struct place at = {.config_fd = -1, .before_fd = -1, .argv = argv};
	struct handover h;
	const char *text = getenv(HANDOVER_ENV);
	char *end = NULL;
	long pid = text ? strtol(text, &end, 10) : 0;
	if (!text || pid != (long)getpid() || *end != ':')
		return false;
	int fd = (int)strtol(end + 1, NULL, 10);
	unsetenv(HANDOVER_ENV);
	int rc = handover_read(fd, &h, &err);
	close(fd);
	/* Of another version, which hands nothing over, all is 0. */
	at.config_fd = rc == 0 ? h.config_fd : -1;
	if (rc == 0)
		rc = config_text_load(at.config_fd, &at.cfg, &err);
	at.mountpoint = h.mountpoint;
	at.binary = h.binary;
	at.handover = &h;
	if (rc == 0)
		rc = serve(&at, -1, &err);
	place_clear(&at);
	*status = rc < 0 ? complain(&err) : EX_OK;
	return true;
}

int command_mount(int argc, char **argv)
{
	struct arguments a = {0};
	struct error err = {0};
	bool daemon = false;
	char mountpoint[PATH_MAX], binary[PATH_MAX];
	struct place at = {.config_fd = -1,
			   .before_fd = -1,
			   .mountpoint = mountpoint,
			   .binary = binary,
			   .argv = full_argv(argv)};
	int status = parse(&a, argc, argv);
	if (status != EX_OK)
		return status;
	if (geteuid() != 0 && !a.fake) {
		fputs("certfs: only root can mount certfs\n", stderr);
		return EX_NOPERM;
	}
	int rc = resolve("cannot mount at", a.mountpoint, mountpoint, &err);
	if (rc == 0 && a.read_only && !a.fake)
		return command_readonly(a.of ? a.of : "/etc/certs", mountpoint);
	if (rc == 0)
		rc = resolve("the running program", "/proc/self/exe", binary, &err);
	if (rc == 0 && load_config(&at, a.conf, &err) < 0) {
		complain(&err);
		place_clear(&at);
		return EX_CONFIG;
	}
	if (rc == 0 && !a.fake)
		rc = a.foreground ? serve(&at, -1, &err) : daemonize(&at, &daemon, &err);
	place_clear(&at);
	if (daemon)
		return exit_status_of(-rc);
	return rc < 0 ? complain(&err) : EX_OK;
}
