/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* clock: what time it is, for everything that has a date.
 *
 * Certificates, due times and back-off are wall-clock times in seconds since 1970. The
 * clock is the system's plus an offset that a file may hold (configuration `[certfs]
 * clock-offset-file`: a decimal number of seconds, which may be changed while certfs runs),
 * so that an administrator can rehearse an expiry. The file is opened once, before
 * privileges are dropped, and read again by clock_refresh(); clock_fd() becomes readable
 * when the file was changed or the system's clock was set (timerfd with
 * TFD_TIMER_CANCEL_ON_SET), so that sleepers re-plan. */
#ifndef CERTFS_STORE_CLOCK_H
#define CERTFS_STORE_CLOCK_H

#include "store/error.h"
#include "store/log.h"

#include <stdint.h>

struct clock;

/* `offset_file` may be NULL. Fails with the file's errno. */
int clock_open(struct clock **clk, const char *offset_file, struct error *err);
void clock_close(struct clock *clk);

/* Seconds since 1970. Callable from any thread. */
int64_t clock_now_s(const struct clock *clk);

/* A descriptor for poll(2): readable when the time was changed under our feet, and then
 * clock_refresh() must be called, which takes in the new offset and re-arms. An offset
 * that does not parse is logged and the old one stays. */
int clock_fd(const struct clock *clk);
void clock_refresh(struct clock *clk, const struct log *lg);

#endif
