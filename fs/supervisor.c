/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/hang.h"
#include "fs/kept.h"
#include "fs/reload.h"
#include "fs/supervisor_config.h"
#include "fs/supervisor_internal.h"
#include "fs/takeover.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS      NS_PER_S
#define DRAIN_NS     (5 * NS_PER_S)
#define WINDOW_NS    (10 * NS_PER_S)
#define FREE_DEATHS  3 /* in a window, of workers that had served */
#define BACKOFF_NS   (50 * NS_PER_MS)
#define BACKOFF_MAX  (5 * NS_PER_S)
#define BACKOFF_STEP 16
#define SERVED_MAX   (500 * NS_PER_MS)
#define FIRST_DEATHS 3 /* crashes before it ever served that end the daemon */

enum event {
	EVENT_DUE, /* the state's deadline is over */
	EVENT_READY,
	EVENT_DIED,
	EVENT_LEFT, /* it died but for a thread in the kernel (remains.h) */
	EVENT_HANG,
	EVENT_RELOAD,
	EVENT_STOP,
	EVENTS
};

static void handle(struct supervisor *sup, struct child *c, enum event event);

uint64_t supervisor_now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static uint64_t now_ns(void)
{
	return supervisor_now_ns();
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
	handle(sup, &sup->child[ANNOUNCE], EVENT_STOP);
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

static uint64_t grown_ns(uint32_t step, uint64_t max_ns)
{
	uint64_t delay = BACKOFF_NS << (step < BACKOFF_STEP ? step : BACKOFF_STEP);
	return delay < max_ns ? delay : max_ns;
}

/* One that dies before it serves is not mended by haste: the intervals grow, but stay below
 * the hang limit. One that had served is started again at once, or after half a second when
 * that is a habit: it answers what waits before it dies of something once more, while a
 * longer pause would delay every reader, and save little. */
static uint64_t backoff_ns(const struct supervisor *sup, struct child *c)
{
	uint64_t now = now_ns();
	uint64_t max = sup->limit_ns / 4 < BACKOFF_MAX ? sup->limit_ns / 4 : BACKOFF_MAX;
	if (!c->served)
		return grown_ns(c->step++, max);
	if (c->window_ns == 0 || now - c->window_ns > WINDOW_NS) {
		c->window_ns = now;
		c->window_deaths = 0;
	}
	if (++c->window_deaths <= FREE_DEATHS)
		return 0;
	return grown_ns(c->window_deaths - FREE_DEATHS - 1,
			SERVED_MAX < max ? SERVED_MAX : max);
}

static void retry(struct supervisor *sup, struct child *c, uint64_t delay_ns)
{
	if (delay_ns > 0)
		log_info(sup->lg, NULL,
			 "the %s worker is started again in %" PRIu64 " ms", c->name,
			 delay_ns / NS_PER_MS);
	enter(c, STATE_WAITING, delay_ns ? delay_ns : 1);
}

static void forget_stalls(struct supervisor *sup)
{
	sup->stalled_ns = 0;
	for (size_t i = 0; i < READONLY_MAX; i++)
		sup->readonly[i].stalled_ns = 0;
}

static void act_start(struct supervisor *sup, struct child *c)
{
	struct error why;
	drain_counter(c->ready_fd);
	while (reason_read(c->reason[0], &why))
		continue;
	c->served = c->hung = false;
	c->started_ns = now_ns();
	if (c == &sup->child[FS])
		forget_stalls(sup);
	if (supervisor_start(sup, c, &why) < 0) {
		log_error(sup->lg, NULL, "the %s worker can't start: %s", c->name,
			  why.text);
		retry(sup, c, backoff_ns(sup, c));
		return;
	}
	atomic_fetch_add(slots_starts(sup->slots, c->which), 1);
	if (c == &sup->child[ANNOUNCE])
		atomic_store(slots_announce_pid(sup->slots), (int32_t)c->pid);
	log_info(sup->lg, NULL, "the %s worker starts pid=%d", c->name, (int)c->pid);
	enter(c, STATE_STARTING, sup->limit_ns);
}

static void act_serve(struct supervisor *sup, struct child *c)
{
	c->served = c->ever_served = true;
	c->step = 0;
	enter(c, STATE_SERVING, 0);
	log_info(sup->lg, NULL, "the %s worker serves pid=%d after_ms=%" PRIu64, c->name,
		 (int)c->pid, (now_ns() - c->started_ns) / NS_PER_MS);
	reload_served(sup, c);
}

static void send_signal(const struct child *c, int number)
{
	syscall(SYS_pidfd_send_signal, c->pidfd, number, NULL, 0);
}

static void act_drain(struct supervisor *sup, struct child *c)
{
	(void)sup;
	send_signal(c, SIGTERM);
	send_signal(c, SIGCONT); /* one that was stopped ends as well */
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
	enter(c, STATE_KILLED, REMAINS_NS);
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
	if (c->ever_served || sup->announced || sup->stopping ||
	    c == &sup->child[ANNOUNCE])
		return false;
	if (how->si_code == CLD_EXITED && how->si_status == EX_CONFIG)
		return true;
	return c == &sup->child[FS] && (with_reason || c->deaths >= FIRST_DEATHS);
}

static void log_death(const struct supervisor *sup, const struct child *c,
		      const siginfo_t *how, const struct error *why)
{
	/* Of a worker whose connection is over an error is expected. */
	bool clean = how->si_code == CLD_EXITED &&
		     (how->si_status == 0 || (sup->stopping && why->code == ENODEV));
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

static void blame(const struct supervisor *sup, bool outside)
{
	slots_blame(sup->slots, outside);
	for (size_t i = 0; i < READONLY_MAX; i++)
		if (sup->readonly[i].mount.fuse_fd >= 0)
			slots_blame(sup->readonly[i].slots, outside);
}

/* It doesn't do; the one that was in force before did. */
static bool go_back(struct supervisor *sup, struct child *c, const struct error *why)
{
	if (!supervisor_config_back(sup, why))
		return false;
	log_error(sup->lg, NULL,
		  "goes on with the configuration that was in force before: %s",
		  why->text);
	supervisor_config_tell(sup, why);
	for (size_t i = 0; i < CHILDREN; i++) {
		sup->child[i].deaths = 0;
		if (&sup->child[i] != c)
			supervisor_renew(sup, &sup->child[i]);
	}
	retry(sup, c, 0);
	return true;
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
		blame(sup, outside);
	else if (c == &sup->child[ANNOUNCE])
		atomic_store(slots_announce_pid(sup->slots), 0);
	c->pid = 0;
	c->pidfd = -1;
	supervisor_cut_lifeline(c);
	c->look = (struct remains_look){0};
	c->deaths++;
	if (!c->served)
		reload_failed(sup, c, &why);
	if (!with_reason && is_fatal(sup, c, how, false)) {
		int rc = error_set(
		    &why, EIO, "the %s worker dies before it serves (%s %d)", c->name,
		    how->si_code == CLD_EXITED ? "status" : "signal", how->si_status);
		(void)rc;
		with_reason = true;
	}
	if (with_reason && is_fatal(sup, c, how, true)) {
		if (go_back(sup, c, &why))
			return;
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
	bool notifies = remains_of(c->pid, &how) == REMAINS_NOTIFIES;
	if (!remains_keep(sup->unreaped, c->pid, c->pidfd)) {
		if (!sup->stopping) { /* the machine is ill; more of them won't help */
			enter(c, STATE_KILLED, DRAIN_NS);
			return;
		}
		close(c->pidfd);
	}
	log_line(sup->lg, notifies ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, NULL,
		 "the dead %s worker can't be reaped yet, a %s of it waits in the kernel "
		 "pid=%d",
		 c->name, notifies ? "notification" : "thread", (int)c->pid);
	if (!notifies)
		hang_log_stacks(sup->lg, c->pid);
	bury(sup, c, &how);
}

typedef void action(struct supervisor *sup, struct child *c);

static action *const table[STATES][EVENTS] = {
    [STATE_WAITING] = {[EVENT_DUE] = act_start, [EVENT_STOP] = act_done},
    [STATE_STARTING] = {[EVENT_DUE] = act_kill,
			[EVENT_READY] = act_serve,
			[EVENT_DIED] = act_reap,
			[EVENT_LEFT] = act_leave,
			[EVENT_RELOAD] = act_drain,
			[EVENT_STOP] = act_drain},
    [STATE_SERVING] = {[EVENT_DIED] = act_reap,
		       [EVENT_LEFT] = act_leave,
		       [EVENT_HANG] = act_kill,
		       [EVENT_RELOAD] = act_drain,
		       [EVENT_STOP] = act_drain},
    [STATE_DRAINING] =
	{[EVENT_DUE] = act_kill, [EVENT_DIED] = act_reap, [EVENT_LEFT] = act_leave},
    [STATE_KILLED] =
	{[EVENT_DUE] = act_leave, [EVENT_DIED] = act_reap, [EVENT_LEFT] = act_leave},
};

/* What ends next when `c` has ended. */
static void go_on_stopping(struct supervisor *sup, const struct child *c)
{
	/* Announce works in the mount. The mount goes when nobody answers any more, the
	 * net worker after it. */
	if (!sup->stopping || c->state != STATE_DONE)
		return;
	if (c == &sup->child[ANNOUNCE]) {
		handle(sup, &sup->child[FS], EVENT_STOP);
	} else if (c == &sup->child[FS]) {
		supervisor_unmount(sup);
		handle(sup, &sup->child[NET], EVENT_STOP);
	}
}

static void handle(struct supervisor *sup, struct child *c, enum event event)
{
	if (table[c->state][event])
		table[c->state][event](sup, c);
	go_on_stopping(sup, c);
}

void supervisor_renew(struct supervisor *sup, struct child *c)
{
	handle(sup, c, EVENT_RELOAD);
}

/* The mounts that the next fs worker gets are others than this one's. */
static void readonly_changed(struct supervisor *sup, bool renew)
{
	struct error why;
	if (supervisor_pass_readonly(sup, &why) < 0)
		log_error(sup->lg, NULL, "%s", why.text);
	if (sup->kept)
		takeover_keep(sup);
	if (renew)
		supervisor_renew(sup, &sup->child[FS]);
}

static void on_signal(struct supervisor *sup)
{
	struct signalfd_siginfo got;
	if (read(sup->signal_fd, &got, sizeof(got)) != (ssize_t)sizeof(got))
		return;
	if (got.ssi_signo == SIGHUP) {
		reload_ask(sup);
		return;
	}
	if (got.ssi_signo == SIGUSR1) {
		if (readonly_take(sup->readonly, &got, sup->lg))
			readonly_changed(sup, true);
		return;
	}
	sup->leaving = sup->kept && !sup->stopping && kept_for_restart();
	log_info(sup->lg, NULL, "ends on SIG%s%s", sigabbrev_np((int)got.ssi_signo),
		 sup->leaving ? ", the mount stays for the next supervisor" : "");
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
	supervisor_config_keep(sup);
	supervisor_config_notify(sup);
	if (sup->options->ready_fd >= 0 && write(sup->options->ready_fd, "1", 1) != 1)
		log_warning(sup->lg, NULL, "nobody waits for the mount any more");
	reload_ready(sup);
}

/* A request that waits in a slot, or a connection that nobody reads from. */
static bool hangs(const struct supervisor *sup, struct slots *slots, int fuse_fd,
		  uint64_t *stalled_ns, uint64_t *last_unique, uint64_t now)
{
	const struct child *fs = &sup->child[FS];
	uint32_t opcode;
	uint64_t node;
	uint64_t age = slots_oldest_ns(slots, &opcode, &node);
	if (age > now - fs->started_ns)
		age = now - fs->started_ns;
	struct pollfd queue = {.fd = fuse_fd, .events = POLLIN};
	bool waiting = slot_busy(slots_big(slots)) ||
		       (poll(&queue, 1, 0) == 1 && (queue.revents & POLLIN));
	uint64_t unique = slots_last_unique(slots);
	if (!waiting || unique != *last_unique)
		*stalled_ns = 0;
	else if (*stalled_ns == 0)
		*stalled_ns = now;
	*last_unique = unique;
	bool stalled = *stalled_ns != 0 && now - *stalled_ns > sup->limit_ns;
	if (stalled)
		log_error(sup->lg, NULL,
			  "requests wait and the fs worker reads none of them");
	else if (age > sup->limit_ns)
		log_error(sup->lg, NULL,
			  "a request takes more than %" PRIu64
			  " s opcode=%u node=%" PRIu64,
			  sup->limit_ns / NS_PER_S, opcode, node);
	return stalled || age > sup->limit_ns;
}

static void look_for_hang(struct supervisor *sup, uint64_t now)
{
	if (sup->child[FS].state != STATE_SERVING)
		return;
	bool found = hangs(sup, sup->slots, sup->mount.fuse_fd, &sup->stalled_ns,
			   &sup->last_unique, now);
	for (size_t i = 0; i < READONLY_MAX; i++) {
		struct readonly *r = &sup->readonly[i];
		if (r->mount.fuse_fd >= 0)
			found |= hangs(sup, r->slots, r->mount.fuse_fd, &r->stalled_ns,
				       &r->last_unique, now);
	}
	if (found)
		handle(sup, &sup->child[FS], EVENT_HANG);
}

/* Nobody waits for announce; but what it was told stays undone. */
static void look_for_idle_announce(struct supervisor *sup, uint64_t now)
{
	struct child *announce = &sup->child[ANNOUNCE];
	uint64_t since = atomic_load(slots_announce_owes_ns(sup->slots));
	if (since == 0 || announce->state != STATE_SERVING)
		return;
	if (since < announce->started_ns)
		since = announce->started_ns;
	if (now > since && now - since > sup->limit_ns)
		handle(sup, announce, EVENT_HANG);
}

/* Where no lifeline told. */
static void look_for_zombie(struct child *c, uint64_t now)
{
	siginfo_t how;
	if (c->pid == 0 || c->look.begun_ns != 0 ||
	    remains_of(c->pid, &how) == REMAINS_ALIVE)
		return;
	send_signal(c, SIGKILL); /* not all of it may have been told */
	remains_begin(&c->look, now);
}

static void on_tick(struct supervisor *sup, uint64_t now)
{
	look_for_hang(sup, now);
	look_for_idle_announce(sup, now);
	for (size_t i = 0; i < CHILDREN; i++)
		look_for_zombie(&sup->child[i], now);
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
	for (size_t i = 0; i < CHILDREN; i++) {
		struct child *c = &sup->child[i];
		if (c->look.next_ns != 0 && c->look.next_ns <= now &&
		    remains_look(&c->look, c->pid, now))
			handle(sup, c, EVENT_LEFT);
	}
	const struct child *probe = &sup->reload.probe;
	if (probe->deadline_ns != 0 && probe->deadline_ns <= now)
		reload_overdue(sup);
	if (sup->tick_ns <= now)
		on_tick(sup, now);
}

static uint64_t sooner(uint64_t next_ns, uint64_t other_ns)
{
	return other_ns != 0 && other_ns < next_ns ? other_ns : next_ns;
}

static void arm_timer(const struct supervisor *sup)
{
	uint64_t next = sup->tick_ns;
	for (size_t i = 0; i < CHILDREN; i++) {
		next = sooner(next, sup->child[i].deadline_ns);
		next = sooner(next, sup->child[i].look.next_ns);
	}
	next = sooner(next, sup->reload.probe.deadline_ns);
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

/* The connection is looked at and not waited for: whoever waits there is woken by every
 * request, which doubles what an open costs. The worker waits there, and its end is an
 * event of ours; where there is none, the timer ticks. */
static bool connection_is_over(const struct supervisor *sup, int fuse_fd)
{
	struct pollfd fuse = {.fd = fuse_fd}; /* POLLERR comes unasked */
	return !sup->stopping && fuse_fd >= 0 && poll(&fuse, 1, 0) == 1;
}

enum {
	POLL_SIGNAL,
	POLL_TIMER,
	POLL_PROBE,
	POLL_CHILD,
	POLLS = POLL_CHILD + 3 * CHILDREN + UNREAPED_MAX
};

static void fill(const struct supervisor *sup, struct pollfd polls[POLLS])
{
	polls[POLL_SIGNAL] = (struct pollfd){.fd = sup->signal_fd, .events = POLLIN};
	polls[POLL_TIMER] = (struct pollfd){.fd = sup->timer_fd, .events = POLLIN};
	polls[POLL_PROBE] = (struct pollfd){
	    .fd = sup->reload.probe.pid ? sup->reload.probe.pidfd : -1, .events = POLLIN};
	struct pollfd *p = &polls[POLL_CHILD];
	for (size_t i = 0; i < CHILDREN; i++) {
		const struct child *c = &sup->child[i];
		*p++ =
		    (struct pollfd){.fd = c->state == STATE_STARTING ? c->ready_fd : -1,
				    .events = POLLIN};
		*p++ = (struct pollfd){.fd = c->pid ? c->pidfd : -1, .events = POLLIN};
		*p++ = (struct pollfd){.fd = c->lifeline_fd}; /* POLLHUP comes unasked */
	}
	for (size_t i = 0; i < UNREAPED_MAX; i++)
		*p++ = (struct pollfd){.fd = sup->unreaped[i].pidfd, .events = POLLIN};
}

static void look_for_ends(struct supervisor *sup)
{
	for (size_t i = 0; i < READONLY_MAX; i++) {
		if (!connection_is_over(sup, sup->readonly[i].mount.fuse_fd))
			continue;
		kept_drop_readonly(slots_connection(sup->readonly[i].slots));
		readonly_ended(&sup->readonly[i]);
		readonly_changed(sup, false);
	}
}

static void dispatch(struct supervisor *sup, const struct pollfd polls[POLLS])
{
	/* First: a worker ends when its connection does, and isn't started again. */
	if (connection_is_over(sup, sup->mount.fuse_fd))
		on_connection_end(sup);
	const struct pollfd *p = &polls[POLL_CHILD];
	for (size_t i = 0; i < CHILDREN; i++, p += 3) {
		struct child *c = &sup->child[i];
		if (p[0].revents && c->state == STATE_STARTING)
			handle(sup, c, EVENT_READY);
		if (p[1].revents && c->pidfd == p[1].fd)
			handle(sup, c, EVENT_DIED);
		if (p[2].revents && c->lifeline_fd == p[2].fd) {
			supervisor_cut_lifeline(c);
			remains_begin(&c->look, now_ns());
		}
	}
	for (size_t i = 0; i < UNREAPED_MAX; i++)
		if (p[i].revents && sup->unreaped[i].pidfd == p[i].fd)
			remains_reap(&sup->unreaped[i]);
	look_for_ends(sup);
	if (polls[POLL_PROBE].revents)
		reload_probed(sup);
	if (polls[POLL_SIGNAL].revents)
		on_signal(sup);
	if (polls[POLL_TIMER].revents)
		on_timer(sup);
	announce(sup);
}

static bool all_done(const struct supervisor *sup)
{
	for (size_t i = 0; i < CHILDREN; i++)
		if (sup->child[i].state != STATE_DONE)
			return false;
	return true;
}

static void loop(struct supervisor *sup)
{
	struct pollfd polls[POLLS];
	sup->tick_ns = now_ns() + TICK_NS;
	/* Those that an exec(2) left as they were go on. */
	for (size_t i = 0; i < CHILDREN; i++)
		if (sup->child[i].state == STATE_WAITING && !sup->child[i].deadline_ns)
			handle(sup, &sup->child[i], EVENT_DUE);
	if (sup->announced)
		reload_ready(sup);
	while (!all_done(sup)) {
		arm_timer(sup);
		fill(sup, polls);
		if (poll(polls, POLLS, -1) < 0)
			continue; /* EINTR; ENOMEM passes */
		dispatch(sup, polls);
	}
}

int supervisor_run(const struct supervisor_options *options, struct error *err)
{
	struct supervisor sup;
	supervisor_init(&sup, options, err);
	int rc = supervisor_prepare(&sup, err);
	if (rc == 0) {
		loop(&sup);
		rc = sup.failed;
	}
	supervisor_clear(&sup);
	return rc;
}
