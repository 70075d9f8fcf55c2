/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/metrics.h"
#include "fs/settings.h"
#include "fs/situation.h"
#include "fs/when.h"
#include "store/event.h"
#include "store/hook_failure.h"
#include "store/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS_LISTED 1000

const char *const control_name[CONTROL_FILES] = {
    [CONTROL_STATUS_JSON] = "status.json",
    [CONTROL_METRICS] = "metrics",
    [CONTROL_EVENTS] = "events",
    [CONTROL_CONFIG] = "config",
};

static int no_memory(struct error *err)
{
	return error_set(err, ENOMEM, "no memory for a file of .certfs");
}

/* Which domains are listed: only their numbers, and no more of a state than have room. */
struct census {
	uint64_t total;
	uint64_t by_state[SITUATION_STATES], by_source[SOURCE_CUSTOM + 1];
	uint32_t *number[SITUATION_STATES]; /* STATUS_LISTED places each */
	size_t listed[SITUATION_STATES];
};

static void census_clear(struct census *c)
{
	for (size_t i = 0; i < SITUATION_STATES; i++)
		free(c->number[i]);
}

static void count(void *arg, const struct status_context *ctx, const struct situation *s)
{
	struct census *c = arg;

	(void)ctx;
	c->total++;
	c->by_state[s->state]++;
	if (s->serves)
		c->by_source[s->served.source]++;
	if (c->listed[s->state] < STATUS_LISTED)
		c->number[s->state][c->listed[s->state]++] = s->domain.number;
}

static int census_take(const struct status_context *ctx, struct txn *txn,
		       struct census *c, struct error *err)
{
	memset(c, 0, sizeof(*c));
	for (size_t i = 0; i < SITUATION_STATES; i++) {
		c->number[i] = calloc(STATUS_LISTED, sizeof(*c->number[i]));
		if (!c->number[i])
			return no_memory(err);
	}
	return situation_each(ctx, txn, count, c, err);
}

static json_t *counts_json(const struct census *c, bool of_states)
{
	json_t *counts = json_object();
	bool failed = !counts;

	for (size_t i = 0; of_states && i < SITUATION_STATES; i++)
		failed |=
		    json_object_set_new(counts, situation_name[i],
					json_integer((json_int_t)c->by_state[i])) < 0;
	for (size_t i = SOURCE_SELF_SIGNED; !of_states && i <= SOURCE_CUSTOM; i++)
		failed |=
		    json_object_set_new(counts, source_name((enum source)i),
					json_integer((json_int_t)c->by_source[i])) < 0;
	if (!failed)
		return counts;
	json_decref(counts);
	return NULL;
}

/* One row is a tree at a time: 10,000 of them would take many times the memory that their
 * text does. */
static int write_row(FILE *out, const struct status_context *ctx, struct txn *txn,
		     uint32_t number, bool first, struct error *err)
{
	struct situation s;
	struct domain d;
	json_t *row;
	int rc = domain_get(txn, number, &d, err);

	if (rc == 0)
		rc = situation_read(ctx, txn, &d, &s, err);
	if (rc)
		return rc;
	row = situation_json(&s);
	fputs(first ? "\n" : ",\n", out);
	if (!row || json_dumpf(row, out, JSON_COMPACT | JSON_PRESERVE_ORDER) < 0)
		rc = no_memory(err);
	json_decref(row);
	return rc;
}

static int write_rows(FILE *out, const struct status_context *ctx, struct txn *txn,
		      const struct census *c, uint64_t *rows, struct error *err)
{
	int rc = 0;

	*rows = 0;
	for (size_t state = SITUATION_STATES; rc == 0 && state-- > 0;)
		for (size_t i = 0; rc == 0 && i < c->listed[state]; i++) {
			if (*rows == STATUS_LISTED)
				return 0;
			rc = write_row(out, ctx, txn, c->number[state][i], *rows == 0,
				       err);
			(*rows)++;
		}
	return rc;
}

/* What went wrong when the hook ran last; null: nothing. */
static json_t *hook_json(struct txn *txn)
{
	struct hook_failure f;
	struct error ignored;

	if (hook_failure_get(txn, &f, &ignored) < 0)
		return json_null();
	text_clean(f.text);
	return json_pack("{s:o, s:s}", "failed_at", situation_time_json(f.at_s), "text",
			 f.text);
}

static json_t *reload_json(const struct slots_reload *reload)
{
	char error[ERROR_TEXT_MAX];
	snprintf(error, sizeof(error), "%s", reload->error);
	text_clean(error);
	return json_pack("{s:I, s:I, s:o, s:i, s:s?}", "begun", (json_int_t)reload->begun,
			 "count", (json_int_t)reload->ended, "at",
			 situation_time_json(reload->at_s), "code", (int)reload->code,
			 "error", reload->code ? error : NULL);
}

/* What `certfs reload` asks for. */
static json_t *supervisor_json(const struct status_context *ctx)
{
	struct slots_reload reload;
	if (!ctx->slots)
		return json_null();
	slots_reload(ctx->slots, &reload);
	return json_pack("{s:i, s:o}", "pid", (int)reload.supervisor, "reload",
			 reload_json(&reload));
}

static int write_status(FILE *out, const struct status_context *ctx, struct txn *txn,
			struct error *err)
{
	struct census c;
	char *head = NULL;
	uint64_t rows;
	json_t *root = NULL;
	int rc = census_take(ctx, txn, &c, err);

	if (rc)
		goto out;
	root = json_pack("{s:s, s:o, s:o, s:I, s:o, s:o, s:I, s:o}", "version",
			 CERTFS_VERSION, "now", situation_time_json(ctx->now_s),
			 "supervisor", supervisor_json(ctx), "domains",
			 (json_int_t)c.total, "by_state", counts_json(&c, true),
			 "by_source", counts_json(&c, false), "orders_in_flight",
			 (json_int_t)db_entries(txn, DB_ORDERS), "hook", hook_json(txn));
	head = root ? json_dumps(root, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_EMBED)
		    : NULL;
	if (!head) {
		rc = no_memory(err);
		goto out;
	}
	fprintf(out, "{%s,\"listed\":[", head);
	rc = write_rows(out, ctx, txn, &c, &rows, err);
	fprintf(out, "],\"left_out\":%" PRIu64 "}\n", c.total - rows);
out:
	free(head);
	json_decref(root);
	census_clear(&c);
	return rc;
}

static int write_event(FILE *out, struct txn *txn, struct event *e, struct error *err)
{
	struct domain d;
	char at[WHEN_ROOM];
	int rc;

	d.name.text[0] = '\0';
	if (e->number) {
		rc = domain_get(txn, e->number, &d, err);
		if (rc == -ENOENT)
			error_clear(err);
		else if (rc)
			return rc;
	}
	text_clean(e->text);
	text_clean(d.name.text);
	fprintf(out, "%s %s %s %s\n", when_rfc3339(e->at_s, at), event_kind_name(e->kind),
		d.name.text[0] ? d.name.text : "-", e->text);
	return 0;
}

static int write_events(FILE *out, struct txn *txn, struct error *err)
{
	struct event e;
	uint64_t newest = event_newest(txn);
	uint64_t after = newest > EVENTS_LISTED ? newest - EVENTS_LISTED : 0;
	int rc;

	while ((rc = event_next(txn, after, &e, err)) == 0) {
		after = e.sequence;
		rc = write_event(out, txn, &e, err);
		if (rc)
			return rc;
	}
	return rc == -ENOENT ? 0 : rc;
}

int status_control(const struct status_context *ctx, struct txn *txn,
		   enum status_control which, char **text, size_t *size,
		   struct error *err)
{
	FILE *out;
	bool failed;
	int rc = 0;

	*text = NULL;
	out = open_memstream(text, size);
	if (!out)
		return no_memory(err);
	switch (which) {
	case CONTROL_STATUS_JSON:
		rc = write_status(out, ctx, txn, err);
		break;
	case CONTROL_METRICS:
		rc = metrics_write(out, ctx, txn, err);
		break;
	case CONTROL_EVENTS:
		rc = write_events(out, txn, err);
		break;
	case CONTROL_CONFIG:
		settings_write(out, ctx->cfg);
		break;
	case CONTROL_FILES:
		rc = error_set(err, EINVAL, "there is no such file in .certfs");
		break;
	}
	failed = ferror(out) != 0;
	if ((fclose(out) != 0 || failed) && rc == 0)
		rc = no_memory(err);
	if (rc) {
		free(*text);
		*text = NULL;
	}
	return rc;
}
