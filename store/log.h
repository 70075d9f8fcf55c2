/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* log: events as lines, to the journal or to stderr.
 *
 * One line, one fact: a sentence that says what happened and, where there is something to
 * do, what; then key=value pairs. The domain is a field of its own, since it is what
 * people grep for. Text that came from outside (a CA's words, a file's subject) is
 * cleaned (text.h), so that no input forges a line. No line ever holds a secret or a whole
 * PEM.
 *
 * When stderr is the journal's stream (JOURNAL_STREAM names it) lines are sent with
 * sd_journal_sendv and the fields PRIORITY, CERTFS_DOMAIN, SYSLOG_IDENTIFIER; else they go
 * to stderr as "2026-03-01T12:00:00Z certfs[fs] notice: SENTENCE domain=...". A line is
 * written with one write(2): processes do not tear each other's lines. Thread-safe. */
#ifndef CERTFS_STORE_LOG_H
#define CERTFS_STORE_LOG_H

#include <stdbool.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_NOTICE,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};

struct log {
	enum log_level level; /* lines above it are not written */
	/* "supervisor", "fs", "net", "announce", or NULL for a command */
	const char *process;
	bool journal;
};

/* Sets up `lg`; finds out whether stderr is the journal. `process` is kept, not copied. */
void log_init(struct log *lg, const char *process, enum log_level level);

/* Parses "error", "warning", "notice", "info", "debug". False when it is none of them. */
bool log_level_parse(const char *text, enum log_level *level);

/* `domain` may be NULL. */
void log_line(const struct log *lg, enum log_level level, const char *domain,
	      const char *format, ...) __attribute__((format(printf, 4, 5)));

#define log_error(lg, domain, ...)   log_line(lg, LOG_LEVEL_ERROR, domain, __VA_ARGS__)
#define log_warning(lg, domain, ...) log_line(lg, LOG_LEVEL_WARNING, domain, __VA_ARGS__)
#define log_notice(lg, domain, ...)  log_line(lg, LOG_LEVEL_NOTICE, domain, __VA_ARGS__)
#define log_info(lg, domain, ...)    log_line(lg, LOG_LEVEL_INFO, domain, __VA_ARGS__)
#define log_debug(lg, domain, ...)                                                       \
	do {                                                                             \
		if ((lg)->level >= LOG_LEVEL_DEBUG)                                      \
			log_line(lg, LOG_LEVEL_DEBUG, domain, __VA_ARGS__);              \
	} while (0)

#endif
