/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/when.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define MINUTE_S 60
#define HOUR_S   3600
#define DAY_S    (24 * 3600)

/* A certificate may hold any date, and RFC 3339 ends with the year 9999. */
static bool calendar(int64_t at_s, struct tm *tm)
{
	time_t at = (time_t)at_s;

	return gmtime_r(&at, tm) && tm->tm_year >= -1900 && tm->tm_year <= 9999 - 1900;
}

const char *when_utc(int64_t at_s, char *out)
{
	struct tm tm;

	if (!calendar(at_s, &tm) ||
	    strftime(out, WHEN_ROOM, "%Y-%m-%d %H:%M UTC", &tm) == 0)
		snprintf(out, WHEN_ROOM, "%s", at_s < 0 ? "long ago" : "after 9999");
	return out;
}

const char *when_away(int64_t at_s, int64_t now_s, char *out)
{
	static const struct {
		int64_t until_s, unit_s;
		const char *name;
	} step[] = {
	    {2 * HOUR_S, MINUTE_S, "minute"},
	    {2 * DAY_S, HOUR_S, "hour"},
	    {INT64_MAX, DAY_S, "day"},
	};
	size_t i = 0;
	int64_t away_s, count;

	if (__builtin_sub_overflow(at_s, now_s, &away_s) || away_s == INT64_MIN)
		away_s = at_s < now_s ? -INT64_MAX : INT64_MAX;
	bool past = away_s < 0;
	if (past)
		away_s = -away_s;
	if (away_s < MINUTE_S) {
		snprintf(out, WHEN_ROOM, "now");
		return out;
	}
	while (away_s >= step[i].until_s && step[i].unit_s != DAY_S)
		i++;
	count = away_s / step[i].unit_s;
	snprintf(out, WHEN_ROOM, "%s%" PRId64 " %s%s%s", past ? "" : "in ", count,
		 step[i].name, count == 1 ? "" : "s", past ? " ago" : "");
	return out;
}

const char *when_both(int64_t at_s, int64_t now_s, char *out)
{
	char utc[WHEN_ROOM], away[WHEN_ROOM];

	snprintf(out, WHEN_ROOM, "%.24s (%.36s)", when_utc(at_s, utc),
		 when_away(at_s, now_s, away));
	return out;
}

const char *when_rfc3339(int64_t at_s, char *out)
{
	struct tm tm;

	if (!calendar(at_s, &tm) ||
	    strftime(out, WHEN_ROOM, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(out, WHEN_ROOM, "%s",
			 at_s < 0 ? "0000-01-01T00:00:00Z" : "9999-12-31T23:59:59Z");
	return out;
}

bool when_parse(const char *text, int64_t *at_s)
{
	struct tm tm = {.tm_isdst = 0};
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);

	if (!end || *end != '\0')
		return false;
	*at_s = (int64_t)timegm(&tm);
	return true;
}
