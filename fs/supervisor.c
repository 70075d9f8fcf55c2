/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/supervisor.h"
#include "fs/confine.h"
#include "fs/folder.h"
#include "fs/hang.h"
#include "fs/listen.h"
#include "fs/mount.h"
#include "fs/slots.h"
#include "fs/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_MS    UINT64_C(1000000)
#define NS_PER_S     UINT64_C(1000000000)
#define TICK_NS      NS_PER_S
#define DRAIN_NS     (5 * NS_PER_S)
#define REAP_NS      NS_PER_S /* what SIGKILL may take before another worker is started */
#define WINDOW_NS    (10 * NS_PER_S)
#define FREE_DEATHS  3 /* in a window, of workers that had served */
#define BACKOFF_NS   (50 * NS_PER_MS)
#define BACKOFF_MAX  (5 * NS_PER_S)
#define BACKOFF_STEP 16
#define FIRST_DEATHS 3 /* crashes before it ever served that end the daemon */
#define LINK_BUFFER  (4 * 1024 * 1024)
#define UNREAPED_MAX 8

enum state {
	STATE_WAITING,  /* for its back-off */
	STATE_STARTING, /* until it says that it serves */
	STATE_SERVING,
	STATE_DRAINING, /* SIGTERM was sent */
	STATE_KILLED,   /* SIGKILL was sent */
	STATE_DONE,     /* for good */
	STATES
};

enum event {
	EVENT_DUE, /* the state's deadline is over */
	EVENT_READY,
	EVENT_DIED,
	EVENT_HANG,
	EVENT_RELOAD,
	EVENT_STOP,
	EVENTS
};

struct child {
	const char *name;
	enum slots_worker which;
	enum state state;
	pid_t pid;
	int pidfd;
	int ready_fd;
	int reason[2];
	struct spawn spawn;
	uint64_t deadline_ns; /* 0: none */
	uint64_t started_ns;
	uint64_t zombie_ns; /* since when its first thread is seen dead */
	uint64_t window_ns; /* first death of the window */
	uint32_t window_deaths;
	uint32_t step; /* of the back-off */
	uint32_t deaths;
	bool served, ever_served;
	bool hung; /* we killed it */
};

struct unreaped {
	pid_t pid;
	int pidfd;
};

enum { FS, NET, CHILDREN };

struct supervisor {
	const struct supervisor_options *options;
	const struct log *lg;
	struct error *err;
	struct mount mount;
	struct slots *slots;
	struct listeners listeners;
	struct child child[CHILDREN];
	struct unreaped unreaped[UNREAPED_MAX];
	int slots_fd, link[2], signal_fd, timer_fd;
	uint64_t limit_ns;
	uint64_t tick_ns;    /* the next one */
	uint64_t stalled_ns; /* since when requests wait and none is read */
	uint64_t last_unique;
	bool stopping, reloading, announced, watchdog;
	int failed; /* what supervisor_run() returns */
	sigset_t old_mask;
};

static void handle(struct supervisor *sup, struct child *c, enum event event);

static uint64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void enter(struct child *c, enum state state, uint64_t delay_ns)
{
	c->state = state;
	c->deadline_ns = delay_ns ? now_ns() + delay_ns : 0;
}

static void stop(struct supervisor *sup)
{
	if (sup->stopping)
		return;
	sup->stopping = true;
	sd_notify(0, "STOPPING=1");
	handle(sup, &sup->child[FS], EVENT_STOP);
}

static void fail(struct supervisor *sup, const struct error *why)
{
	if (sup->failed || sup->stopping)
		return;
	*sup->err = *why;
	sup->failed = -why->code;
	stop(sup);
}

static void drain_counter(int fd)
{
	uint64_t count;
	while (read(fd, &count, sizeof(count)) < 0 && errno == EINTR)
		continue;
}

/* At once, as long as it is no habit; then at growing intervals, below the hang limit,
 * since every reader waits. */
static uint64_t backoff_ns(const struct supervisor *sup, struct child *c)
{
	uint64_t now = now_ns();
	uint64_t max = sup->limit_ns / 4 < BACKOFF_MAX ? sup->limit_ns / 4 : BACKOFF_MAX;
	if (c->served && (c->window_ns == 0 || now - c->window_ns > WINDOW_NS)) {
		c->window_ns = now;
		c->window_deaths = 0;
		c->step = 0;
	}
	if (c->served && ++c->window_deaths <= FREE_DEATHS)
		return 0;
	uint64_t delay = BACKOFF_NS << c->step;
	if (c->step < BACKOFF_STEP)
		c->step++;
	return delay < max ? delay : max;
}

static void retry(struct supervisor *sup, struct child *c, uint64_t delay_ns)
{
	if (delay_ns > 0)
		log_info(sup->lg, NULL,
			 "the %s worker is started again in %" PRIu64 " ms", c->name,
			 delay_ns / NS_PER_MS);
	enter(c, STATE_WAITING, delay_ns ? delay_ns : 1);
}

static void act_start(struct supervisor *sup, struct child *c)
{
	struct error why;
	drain_counter(c->ready_fd);
	while (reason_read(c->reason[0], &why))
		continue;
	c->served = c->hung = false;
	c->zombie_ns = 0;
	c->started_ns = now_ns();
	if (c == &sup->child[FS])
		sup->stalled_ns = 0;
	if (spawn_worker(&c->spawn, &c->pid, &c->pidfd, &why) < 0) {
		log_error(sup->lg, NULL, "the %s worker can't start: %s", c->name,
			  why.text);
		retry(sup, c, backoff_ns(sup, c));
		return;
	}
	atomic_fetch_add(slots_starts(sup->slots, c->which), 1);
	log_info(sup->lg, NULL, "the %s worker starts pid=%d", c->name, (int)c->pid);
	enter(c, STATE_STARTING, sup->limit_ns);
}

static void act_serve(struct supervisor *sup, struct child *c)
{
	c->served = c->ever_served = true;
	enter(c, STATE_SERVING, 0);
	log_info(sup->lg, NULL, "the %s worker serves pid=%d after_ms=%" PRIu64, c->name,
		 (int)c->pid, (now_ns() - c->started_ns) / NS_PER_MS);
	if (!sup->reloading)
		return;
	if (c == &sup->child[FS]) {
		handle(sup, &sup->child[NET], EVENT_RELOAD);
		return;
	}
	sup->reloading = false;
	sd_notify(0, "READY=1");
	log_notice(sup->lg, NULL, "reloaded: both workers run the binary on disk");
}

static void send_signal(const struct child *c, int number)
{
	syscall(SYS_pidfd_send_signal, c->pidfd, number, NULL, 0);
}

static void act_drain(struct supervisor *sup, struct child *c)
{
	(void)sup;
	send_signal(c, SIGTERM);
	enter(c, STATE_DRAINING, DRAIN_NS);
}

static void act_kill(struct supervisor *sup, struct child *c)
{
	log_warning(sup->lg, NULL, "the %s worker is killed: it %s pid=%d", c->name,
		    c->state == STATE_DRAINING   ? "did not end within 5 s of SIGTERM"
		    : c->state == STATE_STARTING ? "did not begin to serve"
						 : "does not get on",
		    (int)c->pid);
	hang_log_stacks(sup->lg, c->pid);
	send_signal(c, SIGKILL);
	c->hung = true;
	enter(c, STATE_KILLED, REAP_NS);
}

static void act_done(struct supervisor *sup, struct child *c)
{
	(void)sup;
	enter(c, STATE_DONE, 0);
}

/* Whether a worker that never served is a reason to give up: the one who typed `certfs
 * mount` waits for an answer, and a wrong configuration does not mend itself. */
static bool is_fatal(const struct supervisor *sup, struct child *c, const siginfo_t *how,
		     bool with_reason)
{
	if (c->ever_served || sup->announced || sup->stopping)
		return false;
	if (how->si_code == CLD_EXITED && how->si_status == EX_CONFIG)
		return true;
	return c == &sup->child[FS] && (with_reason || c->deaths >= FIRST_DEATHS);
}

static void log_death(const struct supervisor *sup, const struct child *c,
		      const siginfo_t *how, const struct error *why)
{
	bool clean = how->si_code == CLD_EXITED && how->si_status == 0;
	const char *reason = why->code ? why->text : "";
	if (how->si_code == CLD_EXITED)
		log_line(sup->lg, clean ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, NULL,
			 "the %s worker ended%s%s pid=%d status=%d", c->name,
			 why->code ? ": " : "", reason, (int)c->pid, how->si_status);
	else
		log_error(sup->lg, NULL,
			  "the %s worker was killed by signal %d (%s) pid=%d", c->name,
			  how->si_status, strsignal(how->si_status), (int)c->pid);
}

/* What follows a death, whether it was reaped or not. */
static void bury(struct supervisor *sup, struct child *c, const siginfo_t *how)
{
	struct error why = {0};
	bool with_reason = reason_read(c->reason[0], &why);
	bool was_draining = c->state == STATE_DRAINING;
	bool clean = how->si_code == CLD_EXITED && how->si_status == 0;
	bool outside = clean || (how->si_code == CLD_KILLED &&
				 how->si_status == SIGKILL && !c->hung);

	log_death(sup, c, how, &why);
	if (c == &sup->child[FS])
		slots_blame(sup->slots, outside);
	c->pid = 0;
	c->pidfd = -1;
	c->deaths++;
	if (!with_reason && is_fatal(sup, c, how, false)) {
		int rc = error_set(
		    &why, EIO, "the %s worker dies before it serves (%s %d)", c->name,
		    how->si_code == CLD_EXITED ? "status" : "signal", how->si_status);
		(void)rc;
		with_reason = true;
	}
	if (with_reason && is_fatal(sup, c, how, true)) {
		enter(c, STATE_DONE, 0);
		fail(sup, &why);
		return;
	}
	if (sup->stopping)
		enter(c, STATE_DONE, 0);
	else
		retry(sup, c, was_draining && clean ? 0 : backoff_ns(sup, c));
}

static void act_reap(struct supervisor *sup, struct child *c)
{
	siginfo_t how = {0};
	if (waitid(P_PIDFD, (id_t)c->pidfd, &how, WEXITED) != 0)
		how = (siginfo_t){.si_code = CLD_KILLED, .si_status = SIGKILL};
	close(c->pidfd);
	bury(sup, c, &how);
}

/* A thread of it waits in the kernel where no signal reaches it. Readers don't wait with
 * it: the next worker is started, this one is reaped when it can be. */
static void act_leave(struct supervisor *sup, struct child *c)
{
	siginfo_t how = {.si_code = CLD_KILLED, .si_status = SIGKILL};
	struct unreaped *slot = NULL;
	for (size_t i = 0; i < UNREAPED_MAX && !slot; i++)
		if (sup->unreaped[i].pidfd < 0)
			slot = &sup->unreaped[i];
	if (!slot && !sup->stopping) { /* the machine is ill; more of them won't help */
		enter(c, STATE_KILLED, DRAIN_NS);
		return;
	}
	log_error(
	    sup->lg, NULL,
	    "the dead %s worker can't be reaped, a thread of it waits in the kernel "
	    "pid=%d",
	    c->name, (int)c->pid);
	hang_log_stacks(sup->lg, c->pid);
	if (slot)
		*slot = (struct unreaped){.pid = c->pid, .pidfd = c->pidfd};
	else
		close(c->pidfd);
	bury(sup, c, &how);
}

typedef void action(struct supervisor *sup, struct child *c);

static action *const table[STATES][EVENTS] = {
    [STATE_WAITING] = {[EVENT_DUE] = act_start, [EVENT_STOP] = act_done},
    [STATE_STARTING] = {[EVENT_DUE] = act_kill,
			[EVENT_READY] = act_serve,
			[EVENT_DIED] = act_reap,
			[EVENT_RELOAD] = act_drain,
			[EVENT_STOP] = act_drain},
    [STATE_SERVING] = {[EVENT_DIED] = act_reap,
		       [EVENT_HANG] = act_kill,
		       [EVENT_RELOAD] = act_drain,
		       [EVENT_STOP] = act_drain},
    [STATE_DRAINING] = {[EVENT_DUE] = act_kill, [EVENT_DIED] = act_reap},
    [STATE_KILLED] = {[EVENT_DUE] = act_leave, [EVENT_DIED] = act_reap},
};

static void handle(struct supervisor *sup, struct child *c, enum event event)
{
	if (table[c->state][event])
		table[c->state][event](sup, c);
	/* The mount goes when nobody answers any more, the net worker after it. */
	if (sup->stopping && c == &sup->child[FS] && c->state == STATE_DONE) {
		mount_close(&sup->mount);
		handle(sup, &sup->child[NET], EVENT_STOP);
	}
}

static void reload(struct supervisor *sup)
{
	struct error why = {0};
	struct config *next = NULL;
	/* A worker that can't read its configuration would leave the mount without a
	 * server. */
	if (config_load(sup->options->cfg->path, &next, &why) < 0) {
		log_error(sup->lg, NULL, "not reloaded: %s", why.text);
		return;
	}
	config_free(next);
	char state[64];
	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		 now_ns() / 1000);
	sd_notify(0, state);
	sup->reloading = true;
	handle(sup, &sup->child[FS], EVENT_RELOAD);
}

static void on_signal(struct supervisor *sup)
{
	struct signalfd_siginfo got;
	if (read(sup->signal_fd, &got, sizeof(got)) != (ssize_t)sizeof(got))
		return;
	if (got.ssi_signo == SIGHUP) {
		if (!sup->stopping)
			reload(sup);
		return;
	}
	log_info(sup->lg, NULL, "ends on SIG%s", sigabbrev_np((int)got.ssi_signo));
	stop(sup);
}

static void announce(struct supervisor *sup)
{
	const struct child *net = &sup->child[NET];
	if (sup->announced || sup->stopping || sup->child[FS].state != STATE_SERVING ||
	    (net->state != STATE_SERVING && net->deaths == 0))
		return;
	sup->announced = true;
	log_notice(sup->lg, NULL, "serves %s", sup->mount.point);
	char state[256];
	snprintf(state, sizeof(state), "READY=1\nSTATUS=serves %.200s", sup->mount.point);
	sd_notify(0, state);
	if (sup->options->ready_fd >= 0 && write(sup->options->ready_fd, "1", 1) != 1)
		log_warning(sup->lg, NULL, "nobody waits for the mount any more");
}

/* A request that waits in a slot, or a connection that nobody reads from. */
static void look_for_hang(struct supervisor *sup, uint64_t now)
{
	struct child *fs = &sup->child[FS];
	uint32_t opcode;
	uint64_t node;
	if (fs->state != STATE_SERVING)
		return;
	uint64_t age = slots_oldest_ns(sup->slots, &opcode, &node);
	if (age > now - fs->started_ns)
		age = now - fs->started_ns;
	struct pollfd queue = {.fd = sup->mount.fuse_fd, .events = POLLIN};
	bool waiting = slot_busy(slots_big(sup->slots)) ||
		       (poll(&queue, 1, 0) == 1 && (queue.revents & POLLIN));
	uint64_t unique = slots_last_unique(sup->slots);
	if (!waiting || unique != sup->last_unique)
		sup->stalled_ns = 0;
	else if (sup->stalled_ns == 0)
		sup->stalled_ns = now;
	sup->last_unique = unique;
	bool stalled = sup->stalled_ns != 0 && now - sup->stalled_ns > sup->limit_ns;
	if (age <= sup->limit_ns && !stalled)
		return;
	if (stalled)
		log_error(sup->lg, NULL,
			  "requests wait and the fs worker reads none of them");
	else
		log_error(sup->lg, NULL,
			  "a request takes more than %" PRIu64
			  " s opcode=%u node=%" PRIu64,
			  sup->limit_ns / NS_PER_S, opcode, node);
	handle(sup, fs, EVENT_HANG);
}

static void look_for_zombie(struct supervisor *sup, struct child *c, uint64_t now)
{
	if (c->pid == 0 || c->state == STATE_KILLED || !hang_is_zombie(c->pid)) {
		c->zombie_ns = 0;
		return;
	}
	if (c->zombie_ns == 0)
		c->zombie_ns = now;
	else if (now - c->zombie_ns >= REAP_NS)
		act_leave(sup, c);
}

static void on_tick(struct supervisor *sup, uint64_t now)
{
	look_for_hang(sup, now);
	for (size_t i = 0; i < CHILDREN; i++)
		look_for_zombie(sup, &sup->child[i], now);
	if (sup->watchdog)
		sd_notify(0, "WATCHDOG=1");
	sup->tick_ns = now + TICK_NS;
}

static void on_timer(struct supervisor *sup)
{
	uint64_t now = now_ns();
	drain_counter(sup->timer_fd);
	for (size_t i = 0; i < CHILDREN; i++)
		if (sup->child[i].deadline_ns != 0 && sup->child[i].deadline_ns <= now)
			handle(sup, &sup->child[i], EVENT_DUE);
	if (sup->tick_ns <= now)
		on_tick(sup, now);
}

static void arm_timer(const struct supervisor *sup)
{
	uint64_t next = sup->tick_ns;
	for (size_t i = 0; i < CHILDREN; i++)
		if (sup->child[i].deadline_ns != 0 && sup->child[i].deadline_ns < next)
			next = sup->child[i].deadline_ns;
	const struct itimerspec at = {.it_value = {.tv_sec = (time_t)(next / NS_PER_S),
						   .tv_nsec = (long)(next % NS_PER_S)}};
	timerfd_settime(sup->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static void on_connection_end(struct supervisor *sup)
{
	struct error why;
	if (mount_ended(&sup->mount, &why) < 0)
		fail(sup, &why);
	log_notice(sup->lg, NULL, "%s was %s from outside", sup->mount.point,
		   sup->failed ? "aborted" : "unmounted");
	stop(sup);
}

enum {
	POLL_FUSE,
	POLL_SIGNAL,
	POLL_TIMER,
	POLL_CHILD,
	POLLS = POLL_CHILD + 2 * CHILDREN + UNREAPED_MAX
};

static void fill(const struct supervisor *sup, struct pollfd polls[POLLS])
{
	int fuse = sup->stopping ? -1 : sup->mount.fuse_fd;
	polls[POLL_FUSE] = (struct pollfd){.fd = fuse}; /* POLLERR comes unasked */
	polls[POLL_SIGNAL] = (struct pollfd){.fd = sup->signal_fd, .events = POLLIN};
	polls[POLL_TIMER] = (struct pollfd){.fd = sup->timer_fd, .events = POLLIN};
	struct pollfd *p = &polls[POLL_CHILD];
	for (size_t i = 0; i < CHILDREN; i++) {
		const struct child *c = &sup->child[i];
		*p++ =
		    (struct pollfd){.fd = c->state == STATE_STARTING ? c->ready_fd : -1,
				    .events = POLLIN};
		*p++ = (struct pollfd){.fd = c->pid ? c->pidfd : -1, .events = POLLIN};
	}
	for (size_t i = 0; i < UNREAPED_MAX; i++)
		*p++ = (struct pollfd){.fd = sup->unreaped[i].pidfd, .events = POLLIN};
}

static void dispatch(struct supervisor *sup, const struct pollfd polls[POLLS])
{
	/* First: a worker ends when its connection does, and isn't started again. */
	if (polls[POLL_FUSE].revents)
		on_connection_end(sup);
	const struct pollfd *p = &polls[POLL_CHILD];
	for (size_t i = 0; i < CHILDREN; i++, p += 2) {
		if (p[0].revents && sup->child[i].state == STATE_STARTING)
			handle(sup, &sup->child[i], EVENT_READY);
		if (p[1].revents && sup->child[i].pidfd == p[1].fd)
			handle(sup, &sup->child[i], EVENT_DIED);
	}
	for (size_t i = 0; i < UNREAPED_MAX; i++) {
		if (!p[i].revents)
			continue;
		waitid(P_PIDFD, (id_t)p[i].fd, &(siginfo_t){0}, WEXITED);
		close(p[i].fd);
		sup->unreaped[i].pidfd = -1;
	}
	if (polls[POLL_SIGNAL].revents)
		on_signal(sup);
	if (polls[POLL_TIMER].revents)
		on_timer(sup);
	announce(sup);
}

static void loop(struct supervisor *sup)
{
	struct pollfd polls[POLLS];
	sup->tick_ns = now_ns() + TICK_NS;
	for (size_t i = 0; i < CHILDREN; i++)
		handle(sup, &sup->child[i], EVENT_DUE);
	while (sup->child[FS].state != STATE_DONE ||
	       sup->child[NET].state != STATE_DONE) {
		arm_timer(sup);
		fill(sup, polls);
		if (poll(polls, POLLS, -1) < 0)
			continue; /* EINTR; ENOMEM passes */
		dispatch(sup, polls);
	}
}

static int open_link(struct supervisor *sup, struct error *err)
{
	const int size = LINK_BUFFER;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sup->link) != 0)
		return error_set(err, errno, "socketpair: %s", strerror(errno));
	for (size_t i = 0; i < 2; i++)
		if (setsockopt(sup->link[i], SOL_SOCKET, SO_SNDBUFFORCE, &size,
			       sizeof(size)) != 0 &&
		    setsockopt(sup->link[i], SOL_SOCKET, SO_SNDBUF, &size,
			       sizeof(size)) != 0)
			return error_set(err, errno, "SO_SNDBUF: %s", strerror(errno));
	return 0;
}

static int open_waits(struct supervisor *sup, struct error *err)
{
	sigset_t mask;
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) != 0)
		return error_set(err, errno, "sigprocmask: %s", strerror(errno));
	signal(SIGPIPE, SIG_IGN);
	sup->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	sup->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (sup->signal_fd < 0 || sup->timer_fd < 0)
		return error_set(err, errno, "cannot wait for events: %s",
				 strerror(errno));
	return 0;
}

static int child_init(struct supervisor *sup, struct child *c, const char *kind,
		      struct error *err)
{
	const struct config *cfg = sup->options->cfg;
	c->ready_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->ready_fd < 0 || pipe2(c->reason, O_CLOEXEC | O_NONBLOCK) != 0)
		return error_set(err, errno, "cannot make a pipe: %s", strerror(errno));
	int rc = spawn_env_init(&c->spawn.env, err);
	if (rc == 0)
		rc = spawn_env_add(&c->spawn.env, err, "CERTFS_CHILD=%s", kind);
	if (rc == 0)
		rc = spawn_env_add(&c->spawn.env, err, "CERTFS_CONF=%s",
				   cfg->path ? cfg->path : "");
	if (rc == 0)
		rc = spawn_env_add(&c->spawn.env, err, "CERTFS_LISTEN=%zu",
				   sup->listeners.count);
	if (rc == 0)
		rc = spawn_env_add(&c->spawn.env, err, "CERTFS_SUPERVISOR=%d",
				   (int)getpid());
	c->spawn.binary = sup->options->binary;
	c->spawn.reason_fd = c->reason[1];
	return rc;
}

/* In the order of child.h. */
static int children_init(struct supervisor *sup, struct error *err)
{
	struct child *fs = &sup->child[FS], *net = &sup->child[NET];
	int rc = child_init(sup, fs, "fs", err);
	if (rc == 0)
		rc = child_init(sup, net, "net", err);
	if (rc < 0)
		return rc;
	const int fs_fd[] = {sup->mount.fuse_fd, sup->slots_fd, sup->link[0],
			     fs->ready_fd, fs->reason[1]};
	const int net_fd[] = {-1, -1, sup->link[1], net->ready_fd, net->reason[1]};
	fs->spawn.title = "certfs: fs";
	net->spawn.title = "certfs: net";
	memcpy(fs->spawn.fd, fs_fd, sizeof(fs_fd));
	memcpy(net->spawn.fd, net_fd, sizeof(net_fd));
	fs->spawn.fds = net->spawn.fds = sizeof(net_fd) / sizeof(net_fd[0]);
	for (size_t i = 0; i < sup->listeners.count; i++)
		net->spawn.fd[net->spawn.fds++] = sup->listeners.fd[i];
	return 0;
}

static void init(struct supervisor *sup, const struct supervisor_options *options,
		 struct error *err)
{
	uint64_t watchdog_us;
	*sup = (struct supervisor){.options = options, .lg = options->lg, .err = err};
	sup->slots_fd = sup->signal_fd = sup->timer_fd = sup->link[0] = sup->link[1] = -1;
	sup->mount = (struct mount){.fuse_fd = -1, .folder_fd = -1};
	for (size_t i = 0; i < CHILDREN; i++)
		sup->child[i] =
		    (struct child){.pidfd = -1, .ready_fd = -1, .reason = {-1, -1}};
	sup->child[FS].name = "fs";
	sup->child[FS].which = SLOTS_FS;
	sup->child[NET].name = "net";
	sup->child[NET].which = SLOTS_NET;
	for (size_t i = 0; i < UNREAPED_MAX; i++)
		sup->unreaped[i].pidfd = -1;
	sup->limit_ns = hang_limit_s(options->cfg->hang_limit_s) * NS_PER_S;
	sup->watchdog = sd_watchdog_enabled(0, &watchdog_us) > 0;
	sigprocmask(SIG_SETMASK, NULL, &sup->old_mask);
	prctl(PR_SET_NAME, "certfs", 0, 0, 0);
}

static int prepare(struct supervisor *sup, struct error *err)
{
	const struct config *cfg = sup->options->cfg;
	struct confine_ids fs_user, net_user;
	if (geteuid() != 0)
		return error_set(err, EPERM, "only root can mount certfs");
	int rc = confine_lookup(cfg->fs_user, &fs_user, err);
	if (rc == 0)
		rc = confine_lookup(cfg->net_user, &net_user, err);
	if (rc == 0)
		rc = folder_prepare(cfg->store, &fs_user, err);
	if (rc == 0)
		rc = open_waits(sup, err);
	if (rc == 0)
		rc = listen_open(&sup->listeners, &cfg->listen, sup->lg, err);
	if (rc == 0)
		rc = open_link(sup, err);
	if (rc == 0)
		rc = slots_create(&sup->slots, &sup->slots_fd, err);
	if (rc == 0)
		rc = mount_open(&sup->mount, sup->options->mountpoint, sup->slots,
				sup->lg, err);
	if (rc == 0)
		rc = children_init(sup, err);
	return rc;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void clear(struct supervisor *sup)
{
	mount_close(&sup->mount);
	listen_close(&sup->listeners);
	slots_unmap(sup->slots);
	for (size_t i = 0; i < CHILDREN; i++) {
		close_fd(sup->child[i].ready_fd);
		close_fd(sup->child[i].reason[0]);
		close_fd(sup->child[i].reason[1]);
		spawn_env_clear(&sup->child[i].spawn.env);
	}
	for (size_t i = 0; i < UNREAPED_MAX; i++)
		close_fd(sup->unreaped[i].pidfd);
	close_fd(sup->slots_fd);
	close_fd(sup->link[0]);
	close_fd(sup->link[1]);
	close_fd(sup->signal_fd);
	close_fd(sup->timer_fd);
	sigprocmask(SIG_SETMASK, &sup->old_mask, NULL);
}

int supervisor_run(const struct supervisor_options *options, struct error *err)
{
	struct supervisor sup;
	init(&sup, options, err);
	int rc = prepare(&sup, err);
	if (rc == 0) {
		loop(&sup);
		rc = sup.failed;
	}
	clear(&sup);
	return rc;
}
