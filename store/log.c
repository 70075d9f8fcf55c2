/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/log.h"

#include "store/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048

static const char *const level_name[] = {"error", "warning", "notice", "info", "debug"};
static const int level_priority[] = {3, 4, 5, 6, 7}; /* syslog's numbers */

/* JOURNAL_STREAM is "DEVICE:INODE" of the stream (systemd.exec(5)). */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat st;
	if (!stream || sscanf(stream, "%" SCNuMAX ":%" SCNuMAX, &device, &inode) != 2)
		return false;
	return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device &&
	       st.st_ino == inode;
}

void log_init(struct log *lg, const char *process, enum log_level level)
{
	lg->level = level;
	lg->process = process;
	lg->journal = stderr_is_journal();
}

bool log_level_parse(const char *text, enum log_level *level)
{
	for (unsigned i = 0; i < sizeof(level_name) / sizeof(*level_name); i++)
		if (strcmp(text, level_name[i]) == 0) {
			*level = (enum log_level)i;
			return true;
		}
	return false;
}

static void to_journal(const struct log *lg, enum log_level level, const char *domain,
		       const char *text)
{
	char fields[4][LINE_MAX_BYTES + 64];
	struct iovec iov[4];
	int count = 0;
	snprintf(fields[count++], sizeof(fields[0]), "MESSAGE=%s", text);
	snprintf(fields[count++], sizeof(fields[0]), "PRIORITY=%d",
		 level_priority[level]);
	snprintf(fields[count++], sizeof(fields[0]), "SYSLOG_IDENTIFIER=certfs%s%s",
		 lg->process ? "-" : "", lg->process ? lg->process : "");
	if (domain)
		snprintf(fields[count++], sizeof(fields[0]), "CERTFS_DOMAIN=%s", domain);
	for (int i = 0; i < count; i++)
		iov[i] =
		    (struct iovec){.iov_base = fields[i], .iov_len = strlen(fields[i])};
	sd_journal_sendv(iov, count);
}

static void to_stderr(const struct log *lg, enum log_level level, const char *domain,
		      const char *text)
{
	char line[LINE_MAX_BYTES + 512], when[32];
	time_t now = time(NULL);
	struct tm tm;
	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	int length = snprintf(line, sizeof(line), "%s certfs%s%s%s %s: %s%s%s\n", when,
			      lg->process ? "[" : "", lg->process ? lg->process : "",
			      lg->process ? "]" : "", level_name[level], text,
			      domain ? " domain=" : "", domain ? domain : "");
	if (length > 0) {
		/* A log that can't be written has nobody to be told. */
		ssize_t written = write(STDERR_FILENO, line, (size_t)length);
		(void)written;
	}
}

void log_line(const struct log *lg, enum log_level level, const char *domain,
	      const char *format, ...)
{
	char text[LINE_MAX_BYTES], where[256];
	if (level > lg->level)
		return;
	va_list args;
	va_start(args, format);
	int length = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (length < 0)
		return;
	text_clean(text);
	if (domain) {
		snprintf(where, sizeof(where), "%s", domain);
		text_clean(where);
	}
	if (lg->journal)
		to_journal(lg, level, domain ? where : NULL, text);
	else
		to_stderr(lg, level, domain ? where : NULL, text);
}
