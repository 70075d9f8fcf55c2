/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/command.h"

#include "fs/status_table.h"
#include "store/error.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static int read_all(int fd, char **text, size_t *size)
{
	char piece[16384];
	ssize_t got;
	bool failed;
	int rc = 0;
	FILE *out = open_memstream(text, size);

	if (!out)
		return -ENOMEM;
	/* The size that stat(2) gives may be that of an older page. */
	while ((got = read(fd, piece, sizeof(piece))) != 0) {
		if (got > 0) {
			fwrite(piece, 1, (size_t)got, out);
		} else if (errno != EINTR) {
			rc = -errno;
			break;
		}
	}
	failed = ferror(out) != 0;
	if ((fclose(out) != 0 || failed) && rc == 0)
		rc = -ENOMEM;
	if (rc) {
		free(*text);
		*text = NULL;
	}
	return rc;
}

static int read_file(const char *path, char **text, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int rc;

	if (fd < 0)
		return -errno;
	rc = read_all(fd, text, size);
	close(fd);
	return rc;
}

/* The exit status for what kept `path` from being read. */
static int explain(const struct request *req, const char *domain, const char *path,
		   int rc)
{
	switch (-rc) {
	case ENOENT:
	case ENOTDIR:
		if (domain) {
			fprintf(stderr,
				"certfs: there is no %s in %s: `mkdir %s/%s` makes it "
				"and orders its certificate\n",
				domain, req->mountpoint, req->mountpoint, domain);
			return EX_NOINPUT;
		}
		fprintf(stderr,
			"certfs: no certfs is mounted at %s: mount it with `certfs mount "
			"%s`, or name the place with -m\n",
			req->mountpoint, req->mountpoint);
		return EX_UNAVAILABLE;
	case ENOTCONN:
		fprintf(
		    stderr,
		    "certfs: the certfs that was mounted at %s has died: `certfs mount "
		    "%s` starts it anew\n",
		    req->mountpoint, req->mountpoint);
		return EX_UNAVAILABLE;
	case EACCES:
	case EPERM:
		fprintf(stderr, "certfs: %s may not be read by this user: try as root\n",
			path);
		return EX_NOPERM;
	case ENOMEM:
		fprintf(stderr, "certfs: no memory for %s\n", path);
		return EX_OSERR;
	default:
		fprintf(stderr, "certfs: %s can't be read: %s\n", path, strerror(-rc));
		return EX_UNAVAILABLE;
	}
}

/* A domain is a folder of the mount; nothing else can be reached by its name. */
static bool plain_name(const char *domain)
{
	return domain[0] != '\0' && domain[0] != '.' && !strchr(domain, '/');
}

static int fetch(const struct request *req, const char *domain, char **text, size_t *size)
{
	char path[PATH_MAX];
	int length;
	int rc;

	if (domain && !plain_name(domain))
		return explain(req, domain, domain, -ENOENT);
	length = snprintf(path, sizeof(path), "%s/%s/status.json", req->mountpoint,
			  domain ? domain : ".certfs");
	rc = length >= (int)sizeof(path) ? -ENAMETOOLONG : read_file(path, text, size);
	return rc ? explain(req, domain, path, rc) : EX_OK;
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

static int show(const struct request *req)
{
	char *text = NULL;
	size_t size;
	/* Asked even where one domain is wanted: without it a folder that happens to be
	 * there would be taken for a mount. */
	int rc = fetch(req, NULL, &text, &size);

	if (rc)
		return rc;
	if (req->domains > 0)
		rc = show_domains(req);
	else if (req->json)
		fwrite(text, 1, size, stdout);
	else
		rc = show_all(req, text, size);
	free(text);
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
