/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* fill_store STORE COUNT: installs the directories d000000.example.com and on, without
 * certificates: enough for listings, and done in a second. */
#include "store/db.h"
#include "store/domain.h"

#include <stdio.h>
#include <stdlib.h>

#define BATCH 1000

struct range {
	unsigned long from, to;
};

static int install(struct txn *txn, void *arg, struct error *err)
{
	const struct range *range = arg;
	int rc = 0;

	for (unsigned long i = range->from; i < range->to && rc == 0; i++) {
		char text[NAME_MAX_TEXT];
		struct name name;
		struct domain d;
		bool back;

		snprintf(text, sizeof(text), "d%06lu.example.com", i);
		rc = name_parse(text, &name, err);
		if (rc == 0)
			rc = domain_install(txn, &name, 0, 0, 1, &d, &back, err);
	}
	return rc;
}

int main(int argc, char **argv)
{
	struct db_options options = {.map_size = 0};
	struct error err = {.code = 0};
	struct db *db = NULL;
	unsigned long count;
	int rc;

	if (argc != 3) {
		fprintf(stderr, "usage: fill_store STORE COUNT\n");
		return 64;
	}
	count = strtoul(argv[2], NULL, 10);
	rc = db_open(&db, argv[1], &options, &err);
	for (unsigned long i = 0; i < count && rc == 0; i += BATCH) {
		struct range range = {i, i + BATCH < count ? i + BATCH : count};
		rc = db_update(db, install, &range, &err);
	}
	if (rc)
		fprintf(stderr, "fill_store: %s\n", err.text);
	db_close(db);
	return rc ? 1 : 0;
}
