/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/status_table.h"

#include "fs/when.h"

#include <inttypes.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#define WIDTH      80
#define LAST_LEAST 12 /* the last column is not cut below this */
#define CELL_ROOM  320

enum column { DOMAIN, STATE, SERVES, UNTIL, NEXT, COLUMNS };

static const char *const title[COLUMNS] = {"DOMAIN", "STATE", "SERVES", "UNTIL", "NEXT"};

struct table {
	FILE *out;
	bool colour;
	size_t width; /* of a line */
	size_t column[COLUMNS];
};

struct row {
	char cell[COLUMNS][CELL_ROOM];
};

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* Copies one character of `*text`, as a terminal may be sent it, to `out` (MB_LEN_MAX + 1
 * bytes); its width. */
static size_t take_char(const char **text, char *out)
{
	wchar_t wide;
	mbstate_t state = {0};
	size_t length = mbrtowc(&wide, *text, strlen(*text), &state);
	int width;

	if (length == 0 || length > strlen(*text)) {
		/* No locale for UTF-8 here, or no UTF-8. */
		length = 1;
		width = -1;
	} else {
		width = wcwidth(wide);
	}
	if (width < 0)
		memcpy(out, "?", 2);
	else
		snprintf(out, 8, "%.*s", (int)length, *text);
	*text += length;
	return width < 0 ? 1 : (size_t)width;
}

static size_t text_width(const char *text)
{
	char one[8];
	size_t width = 0;

	while (*text)
		width += take_char(&text, one);
	return width;
}

/* At most `room` columns of `text`, the last of them an ellipsis where it was longer. */
static size_t put_text(FILE *out, const char *text, size_t room)
{
	char one[8];
	size_t used = 0, width;
	bool cut = text_width(text) > room;

	while (*text) {
		width = take_char(&text, one);
		if (cut && used + width + 1 > room) {
			fputs("…", out);
			return used + 1;
		}
		fputs(one, out);
		used += width;
	}
	return used;
}

static void put_spaces(FILE *out, size_t count)
{
	while (count-- > 0)
		fputc(' ', out);
}

/* `text` in lines that fit; the first begins at column `at`, the others are indented. */
static void put_wrapped(const struct table *t, const char *text, size_t at, size_t indent)
{
	char word[CELL_ROOM];
	size_t length, width;

	while (*text) {
		text += strspn(text, " ");
		length = strcspn(text, " ");
		if (length == 0)
			break;
		snprintf(word, sizeof(word), "%.*s", (int)length, text);
		width = text_width(word);
		if (at > indent && at + 1 + width > t->width) {
			fputc('\n', t->out);
			put_spaces(t->out, indent);
			at = indent;
		} else if (at > indent) {
			fputc(' ', t->out);
			at++;
		}
		at += put_text(t->out, word, SIZE_MAX);
		/* A word that is longer than `word` goes on in the next round. */
		text += strlen(word);
	}
	fputc('\n', t->out);
}

static void fill_until(const json_t *serves, int64_t now_s, char *cell)
{
	char utc[WHEN_ROOM], away[WHEN_ROOM];
	const char *left;
	int64_t at_s;

	cell[0] = '\0';
	if (!when_parse(text_of(serves, "not_after"), &at_s))
		return;
	when_utc(at_s, utc);
	when_away(at_s, now_s, away);
	left = strncmp(away, "in ", 3) == 0 ? away + 3 : away;
	snprintf(cell, CELL_ROOM, "%.10s (%s)", utc, left);
}

static void fill_next(const json_t *next, char *cell)
{
	char utc[WHEN_ROOM];
	int64_t at_s;

	if (when_parse(text_of(next, "at"), &at_s))
		snprintf(cell, CELL_ROOM, "%.10s %.240s", when_utc(at_s, utc),
			 text_of(next, "what"));
	else
		snprintf(cell, CELL_ROOM, "%.300s", text_of(next, "what"));
}

static void fill(struct row *row, const json_t *json, int64_t now_s)
{
	const json_t *serves = json_object_get(json, "serves");
	const char *source = text_of(serves, "source");

	/* The clock of certfs, which may be set otherwise than this process'. */
	(void)when_parse(text_of(json, "now"), &now_s);
	snprintf(row->cell[DOMAIN], CELL_ROOM, "%.300s", text_of(json, "domain"));
	snprintf(row->cell[STATE], CELL_ROOM, "%.60s", text_of(json, "state"));
	/* "self-signed fallback": the first word says it. */
	snprintf(row->cell[SERVES], CELL_ROOM, "%.*s", (int)strcspn(source, " "), source);
	fill_until(serves, now_s, row->cell[UNTIL]);
	fill_next(json_object_get(json, "next"), row->cell[NEXT]);
}

static const char *colour_of(const char *state)
{
	if (strcmp(state, "failing") == 0 || strcmp(state, "expired") == 0)
		return "\033[31m";
	if (strcmp(state, "attention") == 0)
		return "\033[33m";
	return "";
}

static void put_row(const struct table *t, const char *const cell[COLUMNS],
		    const char *colour)
{
	size_t at = 0, used;

	for (size_t i = 0; i < NEXT; i++) {
		bool coloured = i == STATE && t->colour && colour[0];
		if (coloured)
			fputs(colour, t->out);
		used = put_text(t->out, cell[i], SIZE_MAX);
		if (coloured)
			fputs("\033[0m", t->out);
		if (i + 1 < NEXT || cell[NEXT][0])
			put_spaces(t->out, t->column[i] + 2 - used);
		at += t->column[i] + 2;
	}
	put_text(t->out, cell[NEXT],
		 at + LAST_LEAST < t->width ? t->width - at : LAST_LEAST);
	fputc('\n', t->out);
}

static void measure(struct table *t, const json_t *listed, int64_t now_s, struct row *row)
{
	size_t index, width;
	json_t *json;

	for (size_t i = 0; i < COLUMNS; i++)
		t->column[i] = text_width(title[i]);
	json_array_foreach(listed, index, json)
	{
		fill(row, json, now_s);
		for (size_t i = 0; i < COLUMNS; i++) {
			width = text_width(row->cell[i]);
			if (width > t->column[i])
				t->column[i] = width;
		}
	}
}

static void put_rows(const struct table *t, const json_t *listed, int64_t now_s,
		     struct row *row)
{
	const char *cell[COLUMNS];
	size_t index;
	json_t *json;

	put_row(t, title, "");
	json_array_foreach(listed, index, json)
	{
		fill(row, json, now_s);
		for (size_t i = 0; i < COLUMNS; i++)
			cell[i] = row->cell[i];
		put_row(t, cell, colour_of(row->cell[STATE]));
	}
}

static void put_attention(const struct table *t, const json_t *listed)
{
	size_t index, at;
	json_t *json;
	bool first = true;

	json_array_foreach(listed, index, json)
	{
		const char *attention = text_of(json, "attention");
		if (attention[0] == '\0')
			continue;
		if (first)
			fputs("\nNeeds attention\n", t->out);
		first = false;
		fputs("  ", t->out);
		at = 2 + put_text(t->out, text_of(json, "domain"), SIZE_MAX);
		fputs(" (", t->out);
		at += 2 + put_text(t->out, text_of(json, "state"), SIZE_MAX);
		fputs("):", t->out);
		put_wrapped(t, attention, at + 2, 4);
	}
}

static void put_hook(const struct table *t, const json_t *root)
{
	const json_t *hook = json_object_get(root, "hook");
	const char *at = json_string_value(json_object_get(hook, "failed_at"));
	const char *text = json_string_value(json_object_get(hook, "text"));

	if (!at || !text)
		return;
	fputs("The on-change hook failed at ", t->out);
	put_text(t->out, at, SIZE_MAX);
	fputs(": ", t->out);
	put_text(t->out, text, SIZE_MAX);
	fputc('\n', t->out);
}

/* What runs isn't what stands on disk: a restart or a reload was in vain. */
static void put_reload(const struct table *t, const json_t *root)
{
	const json_t *reload =
	    json_object_get(json_object_get(root, "supervisor"), "reload");
	const char *at = json_string_value(json_object_get(reload, "at"));
	const char *error = json_string_value(json_object_get(reload, "error"));

	if (!at || !error)
		return;
	fputs("What stands on disk is not in force, since ", t->out);
	put_text(t->out, at, SIZE_MAX);
	fputs(": ", t->out);
	put_text(t->out, error, SIZE_MAX);
	fputs("; mend it, then: certfs reload\n", t->out);
}

static void put_counts(const struct table *t, const json_t *root)
{
	const json_t *domains = json_object_get(root, "domains");
	json_int_t left_out = json_integer_value(json_object_get(root, "left_out"));
	json_int_t orders = json_integer_value(json_object_get(root, "orders_in_flight"));
	json_t *by_state = json_object_get(root, "by_state"), *count;
	const char *state;
	bool first = true;

	if (!json_is_integer(domains))
		return;
	fprintf(t->out, "\n%" JSON_INTEGER_FORMAT " domain%s",
		json_integer_value(domains), json_integer_value(domains) == 1 ? "" : "s");
	json_object_foreach(by_state, state, count)
	{
		if (json_integer_value(count) == 0)
			continue;
		fprintf(t->out, "%s%" JSON_INTEGER_FORMAT " ", first ? ": " : ", ",
			json_integer_value(count));
		put_text(t->out, state, SIZE_MAX);
		first = false;
	}
	if (orders)
		fprintf(t->out, "; %" JSON_INTEGER_FORMAT " order%s in flight", orders,
			orders == 1 ? "" : "s");
	fputc('\n', t->out);
	if (left_out)
		fprintf(t->out, "%" JSON_INTEGER_FORMAT " more are not listed.\n",
			left_out);
	put_hook(t, root);
	put_reload(t, root);
}

static void set_up(struct table *t, FILE *out)
{
	const char *terminal = getenv("TERM");
	const char *no_colour = getenv("NO_COLOR");
	struct winsize size;

	memset(t, 0, sizeof(*t));
	t->out = out;
	t->width = WIDTH;
	if (!isatty(fileno(out)))
		return;
	t->colour =
	    !(no_colour && no_colour[0]) && terminal && strcmp(terminal, "dumb") != 0;
	if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > WIDTH)
		t->width = size.ws_col;
}

bool status_table(FILE *out, const json_t *root)
{
	const json_t *listed = json_object_get(root, "listed");
	struct row *row = malloc(sizeof(*row));
	int64_t now_s = (int64_t)time(NULL);
	struct table t;
	/* Widths are of UTF-8, whatever LANG says: certfs writes nothing else. */
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	locale_t before = (locale_t)0;

	if (!row) {
		if (utf8)
			freelocale(utf8);
		return false;
	}
	if (utf8)
		before = uselocale(utf8);
	set_up(&t, out);
	(void)when_parse(text_of(root, "now"), &now_s);
	measure(&t, listed, now_s, row);
	put_rows(&t, listed, now_s, row);
	put_attention(&t, listed);
	put_counts(&t, root);
	if (utf8) {
		uselocale(before);
		freelocale(utf8);
	}
	free(row);
	return true;
}
