/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/situation.h"

#include "acme/engine.h"
#include "store/due.h"
#include "store/text.h"
#include "store/waiting.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fs/when.h"

#define DAY_S         (24 * 3600)
#define REFUSED_NEW_S DAY_S
/* Nobody here renews a custom certificate: a reminder comes this long before. */
#define CUSTOM_AHEAD_S (14 * DAY_S)

const char *const situation_name[SITUATION_STATES] = {
    [SITUATION_OK] = "ok",
    [SITUATION_ORDERING] = "ordering",
    [SITUATION_ATTENTION] = "attention",
    [SITUATION_FAILING] = "failing",
    [SITUATION_EXPIRED] = "expired",
};

static bool orders_on(const struct config *cfg)
{
	return cfg->directory && cfg->directory[0] && strcmp(cfg->directory, "none") != 0;
}

static bool can_be_ordered(const struct domain *d)
{
	return policy_managed(&d->policy) &&
	       (d->name.kind == NAME_DNS || d->name.kind == NAME_IP);
}

static int read_served(struct txn *txn, struct situation *s, struct error *err)
{
	struct current c;
	int rc = current_get(txn, s->domain.number, &c, err);

	if (rc || c.served == 0)
		return rc;
	rc = generation_get(txn, s->domain.number, c.served, &s->served, err);
	if (rc == -ENOENT) {
		error_clear(err);
		memset(&s->served, 0, sizeof(s->served));
		return 0;
	}
	s->serves = rc == 0;
	return rc;
}

static int read_order(struct txn *txn, struct situation *s, struct error *err)
{
	struct order o = {.key = NULL};
	int rc;

	if (db_entries(txn, DB_ORDERS) == 0)
		return 0;
	rc = order_get(txn, s->domain.number, &o, err);
	if (rc == -ENOENT) {
		error_clear(err);
		return 0;
	}
	if (rc)
		return rc;
	s->ordering = true;
	s->order_state = o.state;
	s->order_s = o.started_s;
	memcpy(s->order_url, o.order_url, sizeof(s->order_url));
	order_clear(&o);
	return 0;
}

static void describe_waiting(struct situation *s, int64_t now_s)
{
	char files[120] = "", until[WHEN_ROOM];
	size_t used = 0, count = 0;
	bool key = s->waits[FILE_PRIVKEY] || s->waits[FILE_COMBINED];
	bool cert = s->waits[FILE_CERT] || s->waits[FILE_FULLCHAIN] ||
		    s->waits[FILE_CHAIN] || s->waits[FILE_COMBINED];

	for (size_t kind = 0; kind < FILE_KINDS; kind++) {
		if (!s->waits[kind])
			continue;
		used += (size_t)snprintf(files + used, sizeof(files) - used, "%s%s",
					 count++ ? ", " : "", file_name[kind]);
	}
	if (count == 0)
		return;
	const char *other = !cert ? "its certificate: write fullchain.pem into the same "
				    "directory"
			    : !key
				? "its key: write privkey.pem into the same directory"
				: "a match: key and certificate do not belong together, "
				  "write the pair anew";
	snprintf(s->waiting, sizeof(s->waiting), "%s %s written and %s for %s (until %s)",
		 files, count > 1 ? "were" : "was", count > 1 ? "wait" : "waits", other,
		 when_both(s->waits_until_s, now_s, until));
}

static int read_waiting(struct txn *txn, struct situation *s, int64_t now_s,
			struct error *err)
{
	struct waiting w;
	int rc;

	if (db_entries(txn, DB_WAITING) == 0)
		return 0;
	memset(&w, 0, sizeof(w));
	rc = waiting_get(txn, s->domain.number, now_s, &w, err);
	if (rc)
		return rc;
	for (size_t kind = 0; kind < FILE_KINDS; kind++) {
		if (!w.file[kind])
			continue;
		s->waits[kind] = true;
		if (s->waits_until_s == 0 ||
		    w.since_s[kind] + WAITING_S < s->waits_until_s)
			s->waits_until_s = w.since_s[kind] + WAITING_S;
	}
	waiting_clear(&w);
	describe_waiting(s, now_s);
	return 0;
}

static void clean_all(struct situation *s)
{
	text_clean(s->domain.name.text);
	text_clean(s->domain.last_error);
	text_clean(s->domain.refused);
	text_clean(s->served.info.serial);
	text_clean(s->served.info.issuer);
	text_clean(s->served.info.subject);
	text_clean(s->served.info.names);
	text_clean(s->served.info.key_type);
	text_clean(s->served.warning);
	text_clean(s->served.origin);
	text_clean(s->order_url);
}

static void say_do(struct situation *s, enum situation_state state, const char *text,
		   bool repeats)
{
	s->state = state;
	s->repeats = repeats;
	snprintf(s->attention, sizeof(s->attention), "%s", text);
}

/* What keeps a self-signed certificate in service where a better one was wanted. */
static const char *why_self_signed(const struct status_context *ctx,
				   const struct situation *s)
{
	switch (s->domain.name.kind) {
	case NAME_FALLBACK:
		return NULL;
	case NAME_LOCAL:
		return "no public CA can certify a name of a single label: install a "
		       "certificate of your own CA with cp";
	case NAME_WILDCARD:
		return "a wildcard certificate is not ordered: install one with cp";
	case NAME_DNS:
	case NAME_IP:
		break;
	}
	if (!policy_managed(&s->domain.policy))
		return "no certificate is ordered, since policy says managed = no: "
		       "install one with cp, or take that line away";
	if (!orders_on(ctx->cfg))
		return "no certificate is ordered, since [acme] directory is none: "
		       "name a CA there, or install a certificate with cp";
	return NULL;
}

static bool covers(const char *names, const char *name)
{
	char pattern[NAME_MAX_TEXT];

	while (*names) {
		size_t length = strcspn(names, " ");

		if (length < sizeof(pattern)) {
			memcpy(pattern, names, length);
			pattern[length] = '\0';
			if (strcmp(pattern, name) == 0 || name_matches(pattern, name))
				return true;
		}
		names += length + (names[length] == ' ');
	}
	return false;
}

/* A custom certificate is served for aliases too, whatever it was made for. The list of
 * names is cut where it is too long to be kept: then nothing is said. */
static int read_uncovered(struct txn *txn, struct situation *s, struct error *err)
{
	struct name alias[DOMAIN_ALIASES_MAX];
	const char *names = s->served.info.names;
	size_t count;
	int rc = 0;

	if (!s->serves || s->served.source != SOURCE_CUSTOM ||
	    strlen(names) + NAME_MAX_TEXT > sizeof(s->served.info.names))
		return 0;
	rc = domain_aliases(txn, s->domain.number, alias, &count, err);
	for (size_t i = 0; rc == 0 && i < count && !s->uncovered[0]; i++)
		if (!covers(names, alias[i].text))
			snprintf(
			    s->uncovered, sizeof(s->uncovered),
			    "the custom certificate does not cover the alias %s: "
			    "write one that does with cp, or remove the alias with rm",
			    alias[i].text);
	return rc;
}

static void judge_expired(struct situation *s)
{
	const char *error = s->domain.last_error;
	char text[sizeof(s->attention)];

	if (s->served.source == SOURCE_CUSTOM)
		snprintf(text, sizeof(text),
			 "the custom certificate is over: write a new one with cp, or "
			 "remove it with rm so that another is served");
	else if (!policy_managed(&s->domain.policy))
		snprintf(text, sizeof(text),
			 "the certificate is over and not renewed, since policy says "
			 "managed = no: install one with cp, or take that line away");
	else if (error[0])
		snprintf(text, sizeof(text),
			 "the certificate is over and could not be renewed: %s", error);
	else
		snprintf(text, sizeof(text),
			 "the certificate is over: `touch cert.pem` in this directory "
			 "orders a new one at once");
	say_do(s, SITUATION_EXPIRED, text, false);
}

static void judge(const struct status_context *ctx, struct situation *s)
{
	const struct domain *d = &s->domain;
	int64_t left_s = s->served.info.not_after_s - ctx->now_s;
	int64_t lifetime_s = s->served.info.not_after_s - s->served.info.not_before_s;
	bool fallback =
	    s->served.source == SOURCE_SELF_SIGNED || s->served.source == SOURCE_WILDCARD;
	const char *why =
	    s->served.source == SOURCE_SELF_SIGNED ? why_self_signed(ctx, s) : NULL;

	if (!s->serves)
		say_do(s, SITUATION_FAILING,
		       "the store has no certificate for this directory: rmdir and mkdir "
		       "it, or install one with cp",
		       false);
	else if (left_s < 0)
		judge_expired(s);
	else if (d->failures > 0)
		say_do(s, SITUATION_FAILING,
		       d->last_error[0] ? d->last_error
					: "orders fail, the reason stands in "
					  ".certfs/events and in the log",
		       d->last_error[0] != '\0');
	else if (s->waiting[0])
		say_do(s, SITUATION_ATTENTION, s->waiting, true);
	else if (d->refused[0] && ctx->now_s - d->refused_s < REFUSED_NEW_S)
		say_do(s, SITUATION_ATTENTION, d->refused, true);
	else if (fallback && d->last_error[0])
		say_do(s, SITUATION_ATTENTION, d->last_error, true);
	else if (why)
		say_do(s, SITUATION_ATTENTION, why, false);
	else if (s->uncovered[0])
		say_do(s, SITUATION_ATTENTION, s->uncovered, false);
	else if (s->served.source == SOURCE_CUSTOM &&
		 left_s <
		     (CUSTOM_AHEAD_S < lifetime_s / 3 ? CUSTOM_AHEAD_S : lifetime_s / 3))
		say_do(s, SITUATION_ATTENTION,
		       "the custom certificate ends soon and is not renewed by itself: "
		       "write a new one with cp, or remove it with rm",
		       false);
	else if (s->served.warning[0])
		say_do(s, SITUATION_ATTENTION, s->served.warning, true);
	else if (fallback && s->ordering)
		s->state = SITUATION_ORDERING;
}

static void say_next(struct situation *s, int64_t at_s, const char *text)
{
	s->next_s = at_s;
	snprintf(s->next, sizeof(s->next), "%s", text);
}

static void foresee_fallback(const struct status_context *ctx, struct situation *s,
			     int64_t due_s)
{
	if (!can_be_ordered(&s->domain) || !orders_on(ctx->cfg)) {
		if (s->domain.name.kind == NAME_FALLBACK || due_s == 0)
			say_next(s, s->served.info.not_after_s - 30 * DAY_S,
				 "the fallback is made anew");
		else
			say_next(s, due_s, "the fallback is looked at again");
	} else if (s->domain.last_error[0]) {
		say_next(s, due_s, "an order is thought of again");
	} else {
		say_next(s, due_s, "a certificate is ordered");
	}
}

static int foresee(const struct status_context *ctx, struct txn *txn, struct situation *s,
		   struct error *err)
{
	const struct domain *d = &s->domain;
	int64_t due_s;
	int rc = due_get(txn, d->number, &due_s, err);

	if (rc)
		return rc;
	if (due_s == INT64_MAX)
		due_s = 0;
	if (s->serves && s->served.source == SOURCE_MANAGED && orders_on(ctx->cfg) &&
	    policy_managed(&d->policy))
		s->renew_s = engine_renew_at_s(policy_before_days(&d->policy, ctx->cfg),
					       &s->served);
	if (!s->serves)
		say_next(s, 0, "nothing");
	else if (s->served.source == SOURCE_CUSTOM && d->remove_custom_s)
		say_next(s, d->remove_custom_s,
			 "the custom certificate is taken away, since it was unlinked");
	else if (s->served.source == SOURCE_CUSTOM)
		say_next(s, s->served.info.not_after_s, "the custom certificate ends");
	else if (d->failures > 0 && d->next_try_s > ctx->now_s)
		say_next(s, d->next_try_s, "next try");
	else if (s->ordering)
		say_next(s, 0, "the order is in progress");
	else if (d->failures > 0)
		say_next(s, 0, "next try as soon as there is a place");
	else if (s->renew_s)
		say_next(s, s->renew_s, "renewal is due");
	else if (s->served.source == SOURCE_MANAGED)
		say_next(s, s->served.info.not_after_s,
			 policy_managed(&d->policy)
			     ? "the certificate ends; [acme] directory is none"
			     : "the certificate ends; policy says managed = no");
	else
		foresee_fallback(ctx, s, due_s);
	return 0;
}

int situation_read(const struct status_context *ctx, struct txn *txn,
		   const struct domain *d, struct situation *s, struct error *err)
{
	int rc;

	memset(s, 0, sizeof(*s));
	s->domain = *d;
	rc = read_served(txn, s, err);
	if (rc == 0)
		rc = read_order(txn, s, err);
	if (rc == 0)
		rc = read_waiting(txn, s, ctx->now_s, err);
	if (rc == 0)
		rc = read_uncovered(txn, s, err);
	if (rc)
		return rc;
	clean_all(s);
	judge(ctx, s);
	return foresee(ctx, txn, s, err);
}

int situation_each(const struct status_context *ctx, struct txn *txn,
		   situation_seen *seen, void *arg, struct error *err)
{
	struct situation s;
	struct domain d;
	uint32_t after = 0;
	int rc;

	while ((rc = domain_next(txn, after, &d, err)) == 0) {
		after = d.number;
		if (d.target)
			continue;
		rc = situation_read(ctx, txn, &d, &s, err);
		if (rc)
			return rc;
		seen(arg, ctx, &s);
	}
	return rc == -ENOENT ? 0 : rc;
}

json_t *situation_time_json(int64_t at_s)
{
	char text[WHEN_ROOM];

	return at_s ? json_string(when_rfc3339(at_s, text)) : json_null();
}

static json_t *names_json(const char *text)
{
	json_t *names = json_array();

	while (names && *text) {
		size_t length = strcspn(text, " ");
		if (length && json_array_append_new(names, json_stringn(text, length))) {
			json_decref(names);
			return NULL;
		}
		text += length;
		text += strspn(text, " ");
	}
	return names;
}

static json_t *served_json(const struct situation *s)
{
	const struct cert_info *info = &s->served.info;
	char sha256[2 * sizeof(info->sha256) + 1];

	if (!s->serves)
		return json_null();
	for (size_t i = 0; i < sizeof(info->sha256); i++)
		snprintf(sha256 + 2 * i, 3, "%02x", (unsigned int)info->sha256[i]);
	return json_pack(
	    "{s:s, s:I, s:o, s:o, s:o, s:s, s:s, s:s, s:s, s:o, s:s, s:s?}", "source",
	    source_name(s->served.source), "generation", (json_int_t)s->served.gen,
	    "installed_at", situation_time_json(s->served.installed_s), "not_before",
	    situation_time_json(info->not_before_s), "not_after",
	    situation_time_json(info->not_after_s), "issuer", info->issuer, "subject",
	    info->subject, "serial", info->serial, "sha256", sha256, "names",
	    names_json(info->names), "key_type", info->key_type, "warning",
	    s->served.warning[0] ? s->served.warning : NULL);
}

json_t *situation_json(const struct situation *s)
{
	const struct domain *d = &s->domain;
	json_t *error = json_null(), *refused = json_null();

	if (d->last_error[0] || d->failures > 0)
		error = json_pack("{s:s, s:o, s:I, s:o}", "text", d->last_error, "at",
				  situation_time_json(d->last_error_s), "failures",
				  (json_int_t)d->failures, "since",
				  situation_time_json(d->failed_s));
	if (d->refused[0])
		refused = json_pack("{s:s, s:o}", "text", d->refused, "at",
				    situation_time_json(d->refused_s));
	return json_pack(
	    "{s:s, s:o, s:s, s:s?, s:{s:s, s:o}, s:o, s:o}", "domain", d->name.text,
	    "serves", served_json(s), "state", situation_name[s->state], "attention",
	    s->attention[0] ? s->attention : NULL, "next", "what", s->next, "at",
	    situation_time_json(s->next_s), "error", error, "refused", refused);
}
