/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/status.h"

#include "acme/url.h"
#include "fs/settings.h"
#include "fs/situation.h"
#include "fs/when.h"
#include "store/event.h"
#include "store/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS_SHOWN 10

static int no_memory(struct error *err)
{
	return error_set(err, ENOMEM, "no memory for a status page");
}

static void write_issuer(FILE *out, const struct generation *g)
{
	const char *issuer = g->info.issuer[0] ? g->info.issuer : "an unnamed issuer";

	if (g->source != SOURCE_MANAGED) {
		fprintf(out, "%s (%s)", issuer, g->origin);
		return;
	}
	if (!url_host_below(g->origin, "letsencrypt.org"))
		fprintf(out, "%s (%s)", issuer, g->origin);
	else if (url_host_below(g->origin, "acme-v02.api.letsencrypt.org"))
		fprintf(out, "Let's Encrypt (%s)", issuer);
	else
		fprintf(out, "Let's Encrypt's test CA (%s), which no browser trusts",
			issuer);
}

static void write_head(FILE *out, const struct situation *s)
{
	const struct generation *g = &s->served;

	if (!s->serves) {
		fprintf(out, "%s serves nothing.\n", s->domain.name.text);
		return;
	}
	fprintf(out, "%s serves a ", s->domain.name.text);
	switch (g->source) {
	case SOURCE_SELF_SIGNED:
		fprintf(out, "self-signed fallback, which browsers warn of");
		break;
	case SOURCE_WILDCARD:
		fprintf(out, "wildcard fallback from ");
		write_issuer(out, g);
		break;
	case SOURCE_MANAGED:
	case SOURCE_CUSTOM:
		fprintf(out, "%s certificate from ", source_name(g->source));
		write_issuer(out, g);
		break;
	}
	fprintf(out, ", generation %" PRIu32 ".\n", g->gen);
}

static void write_served(FILE *out, const struct situation *s, int64_t now_s)
{
	const struct cert_info *info = &s->served.info;
	char when[WHEN_ROOM];

	if (!s->serves)
		return;
	fprintf(out, "valid until: %s\n", when_both(info->not_after_s, now_s, when));
	fprintf(out, "valid from: %s\n", when_utc(info->not_before_s, when));
	fprintf(out, "installed: %s\n", when_both(s->served.installed_s, now_s, when));
}

static void write_next(FILE *out, const struct situation *s, int64_t now_s)
{
	char when[WHEN_ROOM];

	if (s->attention[0] && !s->repeats)
		fprintf(out, "to do: %s\n", s->attention);
	fprintf(out, "next: %s", s->next);
	if (s->next_s > now_s)
		fprintf(out, " %s", when_both(s->next_s, now_s, when));
	else if (s->next_s)
		fprintf(out, " now");
	if (s->state == SITUATION_OK || s->state == SITUATION_ORDERING)
		fprintf(out, "; nothing to do");
	fputc('\n', out);
	if (s->ordering)
		fprintf(out, "order: %s, begun %s%s%s\n",
			order_state_name(s->order_state),
			when_both(s->order_s, now_s, when), s->order_url[0] ? ", " : "",
			s->order_url);
}

static void write_troubles(FILE *out, const struct situation *s, int64_t now_s)
{
	const struct domain *d = &s->domain;
	char at[WHEN_ROOM], since[WHEN_ROOM], next[WHEN_ROOM];

	if (d->last_error[0] && d->failures > 0) {
		fprintf(out, "last error: %s (%s, %" PRIu32 " failure%s since %s",
			d->last_error, when_utc(d->last_error_s, at), d->failures,
			d->failures == 1 ? "" : "s", when_utc(d->failed_s, since));
		if (d->next_try_s > now_s)
			fprintf(out, ", next try %s", when_utc(d->next_try_s, next));
		fprintf(out, ")\n");
	} else if (d->last_error[0]) {
		fprintf(out, "last error: %s (%s)\n", d->last_error,
			when_utc(d->last_error_s, at));
	}
	if (d->refused[0])
		fprintf(out, "refused: %s (%s; what was served before still is)\n",
			d->refused, when_utc(d->refused_s, at));
	if (s->waiting[0])
		fprintf(out, "waiting: %s\n", s->waiting);
	if (s->served.warning[0])
		fprintf(out, "warning: %s\n", s->served.warning);
}

static void write_details(FILE *out, const struct situation *s)
{
	const struct cert_info *info = &s->served.info;

	if (!s->serves)
		return;
	fprintf(out, "key: %s\n", info->key_type);
	fprintf(out, "names: %s\n", info->names);
	fprintf(out, "serial: %s\n", info->serial);
	fprintf(out, "sha256: ");
	for (size_t i = 0; i < sizeof(info->sha256); i++)
		fprintf(out, "%02x", (unsigned int)info->sha256[i]);
	fputc('\n', out);
}

static void write_aliases(FILE *out, const struct name *alias, size_t count)
{
	if (count == 0)
		return;
	fprintf(out, "aliases:");
	for (size_t i = 0; i < count; i++)
		fprintf(out, " %s", alias[i].text);
	fputc('\n', out);
}

/* What is told of one directory: its situation and its aliases. */
struct telling {
	struct situation s;
	struct name alias[DOMAIN_ALIASES_MAX];
	size_t aliases;
};

static int telling_read(const struct status_context *ctx, struct txn *txn,
			uint32_t number, struct telling **telling, struct error *err)
{
	struct telling *t = calloc(1, sizeof(*t));
	struct domain d;
	int rc;

	if (!t)
		return no_memory(err);
	rc = domain_get(txn, number, &d, err);
	if (rc == 0)
		rc = situation_read(ctx, txn, &d, &t->s, err);
	if (rc == 0)
		rc = domain_aliases(txn, number, t->alias, &t->aliases, err);
	if (rc) {
		free(t);
		return rc;
	}
	*telling = t;
	return 0;
}

int status_page(const struct status_context *ctx, struct txn *txn, uint32_t number,
		char **text, size_t *size, struct error *err)
{
	struct telling *t = NULL;
	FILE *out;
	bool failed;
	int rc = telling_read(ctx, txn, number, &t, err);

	if (rc)
		return rc;
	*text = NULL;
	out = open_memstream(text, size);
	if (!out) {
		free(t);
		return no_memory(err);
	}
	write_head(out, &t->s);
	write_served(out, &t->s, ctx->now_s);
	write_next(out, &t->s, ctx->now_s);
	write_troubles(out, &t->s, ctx->now_s);
	write_details(out, &t->s);
	write_aliases(out, t->alias, t->aliases);
	free(t);
	failed = ferror(out) != 0;
	if (fclose(out) == 0 && !failed)
		return 0;
	free(*text);
	*text = NULL;
	return no_memory(err);
}

static int events_json(struct txn *txn, uint32_t number, json_t *list, struct error *err)
{
	struct event newest[EVENTS_SHOWN], *e;
	size_t count;
	int rc = event_of(txn, number, newest, EVENTS_SHOWN, &count, err);

	for (e = newest; rc == 0 && e < newest + count; e++) {
		text_clean(e->text);
		if (json_array_append_new(
			list,
			json_pack("{s:o, s:s, s:s}", "at", situation_time_json(e->at_s),
				  "kind", event_kind_name(e->kind), "text", e->text)))
			rc = no_memory(err);
	}
	return rc;
}

static json_t *waiting_json(const struct situation *s)
{
	json_t *list = json_array();

	for (size_t kind = 0; list && kind < FILE_KINDS; kind++) {
		if (!s->waits[kind] ||
		    json_array_append_new(list, json_string(file_name[kind])) == 0)
			continue;
		json_decref(list);
		list = NULL;
	}
	return list;
}

static json_t *aliases_json(const struct name *alias, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < count; i++) {
		if (json_array_append_new(list, json_string(alias[i].text)) == 0)
			continue;
		json_decref(list);
		list = NULL;
	}
	return list;
}

static json_t *order_json(const struct situation *s)
{
	if (!s->ordering)
		return json_null();
	return json_pack("{s:s, s:o, s:s?}", "state", order_state_name(s->order_state),
			 "since", situation_time_json(s->order_s), "url",
			 s->order_url[0] ? s->order_url : NULL);
}

int status_json(const struct status_context *ctx, struct txn *txn, uint32_t number,
		char **text, size_t *size, struct error *err)
{
	json_t *root = NULL, *more, *events = json_array();
	struct telling *t = NULL;
	int rc = events ? telling_read(ctx, txn, number, &t, err) : no_memory(err);

	*text = NULL;
	if (rc == 0)
		rc = events_json(txn, number, events, err);
	if (rc)
		goto out;
	root = situation_json(&t->s);
	more = json_pack("{s:o, s:o, s:o, s:o, s:o, s:O}", "now",
			 situation_time_json(ctx->now_s), "renew_at",
			 situation_time_json(t->s.renew_s), "order", order_json(&t->s),
			 "waiting", waiting_json(&t->s), "aliases",
			 aliases_json(t->alias, t->aliases), "events", events);
	if (root && more && json_object_update(root, more) == 0)
		*text = json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	json_decref(more);
	if (!*text) {
		rc = no_memory(err);
		goto out;
	}
	*size = strlen(*text);
	/* People read it with cat. */
	char *ended = realloc(*text, *size + 2);
	if (!ended) {
		free(*text);
		*text = NULL;
		rc = no_memory(err);
		goto out;
	}
	memcpy(ended + *size, "\n", 2);
	*text = ended;
	*size += 1;
out:
	json_decref(root);
	json_decref(events);
	free(t);
	return rc;
}

int status_policy(const struct status_context *ctx, struct txn *txn, uint32_t number,
		  char **text, size_t *size, struct error *err)
{
	struct domain d;
	bool failed;
	FILE *out;
	int rc = domain_get(txn, number, &d, err);

	if (rc)
		return rc;
	*text = NULL;
	out = open_memstream(text, size);
	if (!out)
		return no_memory(err);
	fprintf(
	    out,
	    "# What is in force for %s. A line `key = value` sets it for this name "
	    "alone;\n"
	    "# without a value, or without the line, what stands in brackets holds.\n",
	    d.name.text);
	settings_write_policy(out, &d.policy, ctx->cfg, ctx->defaults);
	failed = ferror(out) != 0;
	if (fclose(out) == 0 && !failed)
		return 0;
	free(*text);
	*text = NULL;
	return no_memory(err);
}
