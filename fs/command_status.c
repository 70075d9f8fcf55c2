/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/command.h"

#include "fs/mounted.h"
#include "fs/status_table.h"
#include "store/error.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

static const char usage[] =
    "Usage: certfs status [-m MOUNTPOINT] [--json] [DOMAIN…]\n"
    "\n"
    "  certfs status                     every domain, what needs attention first\n"
    "  certfs status app.example.com     one domain\n"
    "  certfs status --json | jq .       the same for a program\n"
    "\n"
    "  -m, --mountpoint=DIR  where certfs is mounted (/etc/certs)\n"
    "  -j, --json            print status.json as it is\n"
    "  -h, --help            this page\n";

struct request {
	const char *mountpoint;
	bool json;
	char **domain;
	int domains;
};

/* A domain is a folder of the mount; nothing else can be reached by its name. */
static bool plain_name(const char *domain)
{
	return domain[0] != '\0' && domain[0] != '.' && !strchr(domain, '/');
}

static int fetch(const struct request *req, const char *domain, char **text, size_t *size)
{
	if (domain && !plain_name(domain))
		return mounted_explain(req->mountpoint, domain, domain, -ENOENT);
	return mounted_status(req->mountpoint, domain, text, size);
}

static int parse(const char *text, size_t size, const char *what, json_t **json)
{
	json_error_t why;

	*json = json_loadb(text, size, 0, &why);
	if (json_is_object(*json))
		return EX_OK;
	json_decref(*json);
	*json = NULL;
	fprintf(stderr, "certfs: status.json of %s does not parse: %s\n", what,
		why.text[0] ? why.text : "no object");
	return EX_DATAERR;
}

static int show_all(const struct request *req, char *text, size_t size)
{
	json_t *root;
	int rc = parse(text, size, req->mountpoint, &root);

	if (rc)
		return rc;
	if (!status_table(stdout, root))
		rc = EX_OSERR;
	json_decref(root);
	return rc;
}

static int show_domains(const struct request *req)
{
	char *text = NULL;
	size_t size;
	json_t *rows = json_array(), *row;
	json_t *root = rows ? json_pack("{s:O}", "listed", rows) : NULL;
	int rc = root ? EX_OK : EX_OSERR;

	for (int i = 0; rc == EX_OK && i < req->domains; i++) {
		rc = fetch(req, req->domain[i], &text, &size);
		if (rc)
			break;
		if (req->json) {
			fwrite(text, 1, size, stdout);
		} else {
			rc = parse(text, size, req->domain[i], &row);
			if (rc == EX_OK && json_array_append_new(rows, row) != 0)
				rc = EX_OSERR;
		}
		free(text);
		text = NULL;
	}
	if (rc == EX_OK && !req->json && !status_table(stdout, root))
		rc = EX_OSERR;
	json_decref(root);
	json_decref(rows);
	return rc;
}

static int show_whole(const struct request *req)
{
	char *text = NULL;
	size_t size;
	int rc = fetch(req, NULL, &text, &size);

	if (rc)
		return rc;
	if (req->json)
		fwrite(text, 1, size, stdout);
	else
		rc = show_all(req, text, size);
	free(text);
	return rc;
}

/* A folder that happens to be there is no mount. The page itself is not read: it tells of
 * all domains, and takes its time. */
static int find_mount(const struct request *req)
{
	char path[PATH_MAX];
	struct stat st;
	int length =
	    snprintf(path, sizeof(path), "%s/.certfs/status.json", req->mountpoint);
	int rc = length >= (int)sizeof(path) ? -ENAMETOOLONG : 0;

	if (rc == 0 && stat(path, &st) != 0)
		rc = -errno;
	return rc ? mounted_explain(req->mountpoint, NULL, path, rc) : EX_OK;
}

static int show(const struct request *req)
{
	int rc = find_mount(req);

	if (rc)
		return rc;
	rc = req->domains > 0 ? show_domains(req) : show_whole(req);
	if (fflush(stdout) != 0 && rc == EX_OK) {
		fprintf(stderr, "certfs: the status can't be written: %s\n",
			strerror(errno));
		rc = EX_OSERR;
	}
	return rc;
}

int command_status(int argc, char **argv)
{
	static const struct option options[] = {
	    {"mountpoint", required_argument, NULL, 'm'},
	    {"json", no_argument, NULL, 'j'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	struct request req = {.mountpoint = "/etc/certs"};
	int option;

	optind = 0; /* main() has read options of its own */
	while ((option = getopt_long(argc, argv, "m:jh", options, NULL)) != -1) {
		switch (option) {
		case 'm':
			req.mountpoint = optarg;
			break;
		case 'j':
			req.json = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return EX_OK;
		default:
			fputs(usage, stderr);
			return EX_USAGE;
		}
	}
	req.domain = argv + optind;
	req.domains = argc - optind;
	return show(&req);
}
