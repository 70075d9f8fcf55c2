/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/metrics.h"

#include "fs/situation.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>

static const char *const operation_name[SLOTS_OPCODES] = {
    [FUSE_LOOKUP] = "lookup",
    [FUSE_FORGET] = "forget",
    [FUSE_GETATTR] = "getattr",
    [FUSE_SETATTR] = "setattr",
    [FUSE_READLINK] = "readlink",
    [FUSE_SYMLINK] = "symlink",
    [FUSE_MKNOD] = "mknod",
    [FUSE_MKDIR] = "mkdir",
    [FUSE_UNLINK] = "unlink",
    [FUSE_RMDIR] = "rmdir",
    [FUSE_RENAME] = "rename",
    [FUSE_LINK] = "link",
    [FUSE_OPEN] = "open",
    [FUSE_READ] = "read",
    [FUSE_WRITE] = "write",
    [FUSE_STATFS] = "statfs",
    [FUSE_RELEASE] = "release",
    [FUSE_FSYNC] = "fsync",
    [FUSE_SETXATTR] = "setxattr",
    [FUSE_GETXATTR] = "getxattr",
    [FUSE_LISTXATTR] = "listxattr",
    [FUSE_REMOVEXATTR] = "removexattr",
    [FUSE_FLUSH] = "flush",
    [FUSE_INIT] = "init",
    [FUSE_OPENDIR] = "opendir",
    [FUSE_READDIR] = "readdir",
    [FUSE_RELEASEDIR] = "releasedir",
    [FUSE_FSYNCDIR] = "fsyncdir",
    [FUSE_GETLK] = "getlk",
    [FUSE_SETLK] = "setlk",
    [FUSE_SETLKW] = "setlkw",
    [FUSE_ACCESS] = "access",
    [FUSE_CREATE] = "create",
    [FUSE_INTERRUPT] = "interrupt",
    [FUSE_DESTROY] = "destroy",
    [FUSE_IOCTL] = "ioctl",
    [FUSE_POLL] = "poll",
    [FUSE_BATCH_FORGET] = "batch_forget",
    [FUSE_FALLOCATE] = "fallocate",
    [FUSE_READDIRPLUS] = "readdirplus",
    [FUSE_RENAME2] = "rename2",
    [FUSE_LSEEK] = "lseek",
    [FUSE_COPY_FILE_RANGE] = "copy_file_range",
};

static const char *const worker_name[SLOTS_WORKERS] = {
    [SLOTS_FS] = "fs",
    [SLOTS_NET] = "net",
    [SLOTS_ANNOUNCE] = "announce",
};

/* A family's series must stand together, and all come from one walk: each is gathered in
 * a text of its own. */
enum family { NOT_AFTER, X509_NOT_AFTER, FAILURES, FAMILIES };

struct gathering {
	FILE *out[FAMILIES];
	char *text[FAMILIES];
	size_t size[FAMILIES];
	uint64_t domains[SOURCE_CUSTOM + 1][SITUATION_STATES];
	uint64_t shown, failing_shown;
	int64_t earliest_s; /* INT64_MAX: nothing is served */
};

static int no_memory(struct error *err)
{
	return error_set(err, ENOMEM, "no memory for metrics");
}

static void write_label(FILE *out, const char *value)
{
	for (; *value; value++) {
		if (*value == '\n')
			fputs("\\n", out);
		else if (*value == '\\' || *value == '"')
			fprintf(out, "\\%c", *value);
		else
			fputc(*value, out);
	}
}

static void gather_dates(struct gathering *g, const struct status_context *ctx,
			 const struct situation *s)
{
	FILE *out = g->out[NOT_AFTER], *x509 = g->out[X509_NOT_AFTER];
	int64_t at_s = s->served.info.not_after_s;

	fprintf(out, "certfs_certificate_not_after_timestamp_seconds{domain=\"");
	write_label(out, s->domain.name.text);
	fprintf(out, "\",source=\"");
	write_label(out, source_name(s->served.source));
	fprintf(out, "\"} %" PRId64 "\n", at_s);
	fprintf(x509, "x509_cert_not_after{filepath=\"");
	write_label(x509, ctx->mountpoint ? ctx->mountpoint : "/etc/certs");
	fputc('/', x509);
	write_label(x509, s->domain.name.text);
	fprintf(x509, "/%s\"} %" PRId64 "\n", file_name[FILE_CERT], at_s);
}

static void gather(void *arg, const struct status_context *ctx, const struct situation *s)
{
	struct gathering *g = arg;

	if (s->serves) {
		g->domains[s->served.source][s->state]++;
		if (s->served.info.not_after_s < g->earliest_s)
			g->earliest_s = s->served.info.not_after_s;
		if (g->shown < METRICS_DOMAINS) {
			g->shown++;
			gather_dates(g, ctx, s);
		}
	}
	/* Only those that fail: the few that are looked for must not be cut off by the
	 * many that are well. */
	if (s->domain.failures > 0 && g->failing_shown < METRICS_DOMAINS) {
		g->failing_shown++;
		fprintf(g->out[FAILURES], "certfs_renewal_failures{domain=\"");
		write_label(g->out[FAILURES], s->domain.name.text);
		fprintf(g->out[FAILURES], "\"} %" PRIu32 "\n", s->domain.failures);
	}
}

static int gather_all(struct gathering *g, const struct status_context *ctx,
		      struct txn *txn, struct error *err)
{
	g->earliest_s = INT64_MAX;
	for (size_t i = 0; i < FAMILIES; i++) {
		g->out[i] = open_memstream(&g->text[i], &g->size[i]);
		if (!g->out[i])
			return no_memory(err);
	}
	return situation_each(ctx, txn, gather, g, err);
}

/* Ends the texts; true when they are whole. */
static bool gathering_end(struct gathering *g)
{
	bool whole = true;

	for (size_t i = 0; i < FAMILIES; i++) {
		if (!g->out[i]) {
			whole = false;
			continue;
		}
		if (ferror(g->out[i]))
			whole = false;
		if (fclose(g->out[i]) != 0)
			whole = false;
		g->out[i] = NULL;
	}
	return whole;
}

static void write_family(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_domains(FILE *out, const struct gathering *g)
{
	write_family(out, "certfs_domains", "gauge",
		     "Directories by the source of what they serve and by state.");
	for (size_t source = SOURCE_SELF_SIGNED; source <= SOURCE_CUSTOM; source++)
		for (size_t state = 0; state < SITUATION_STATES; state++) {
			fprintf(out, "certfs_domains{source=\"");
			write_label(out, source_name((enum source)source));
			fprintf(out, "\",state=\"%s\"} %" PRIu64 "\n",
				situation_name[state], g->domains[source][state]);
		}
}

static void write_dates(FILE *out, const struct gathering *g)
{
	if (g->earliest_s != INT64_MAX) {
		write_family(out, "certfs_earliest_not_after_timestamp_seconds", "gauge",
			     "When the first certificate of all that are served ends.");
		fprintf(out, "certfs_earliest_not_after_timestamp_seconds %" PRId64 "\n",
			g->earliest_s);
	}
	write_family(out, "certfs_certificate_not_after_timestamp_seconds", "gauge",
		     "When the certificate that is served ends; at most 10000 domains.");
	fwrite(g->text[NOT_AFTER], 1, g->size[NOT_AFTER], out);
	write_family(out, "x509_cert_not_after", "gauge",
		     "The same under the name that other exporters' dashboards ask for.");
	fwrite(g->text[X509_NOT_AFTER], 1, g->size[X509_NOT_AFTER], out);
	write_family(out, "certfs_renewal_failures", "gauge",
		     "Orders that failed in a row, of domains whose orders fail.");
	fwrite(g->text[FAILURES], 1, g->size[FAILURES], out);
}

static void write_slots(FILE *out, struct slots *slots)
{
	if (!slots)
		return;
	write_family(out, "certfs_requests_total", "counter",
		     "FUSE requests by operation.");
	for (uint32_t i = 0; i < SLOTS_OPCODES; i++)
		if (operation_name[i])
			fprintf(out,
				"certfs_requests_total{operation=\"%s\"} %" PRIu64 "\n",
				operation_name[i], atomic_load(slots_requests(slots, i)));
	write_family(out, "certfs_worker_starts_total", "counter",
		     "How often a worker process was started.");
	for (int i = 0; i < SLOTS_WORKERS; i++)
		fprintf(out, "certfs_worker_starts_total{worker=\"%s\"} %" PRIu64 "\n",
			worker_name[i],
			atomic_load(slots_starts(slots, (enum slots_worker)i)));
}

/* By the order in which they were mounted. */
static void write_readonly(FILE *out, const struct status_context *ctx)
{
	if (ctx->readonly_count == 0)
		return;
	write_family(out, "certfs_readonly_requests_total", "counter",
		     "FUSE requests of the read-only mounts by operation.");
	for (size_t at = 0; at < ctx->readonly_count; at++)
		for (uint32_t i = 0; i < SLOTS_OPCODES; i++)
			if (operation_name[i])
				fprintf(
				    out,
				    "certfs_readonly_requests_total{mount=\"%zu\","
				    "operation=\"%s\"} %" PRIu64 "\n",
				    at, operation_name[i],
				    atomic_load(slots_requests(ctx->readonly[at], i)));
}

static void write_store(FILE *out, const struct status_context *ctx, struct txn *txn)
{
	write_family(out, "certfs_orders_in_flight", "gauge",
		     "Orders that were begun and are not through.");
	fprintf(out, "certfs_orders_in_flight %" PRIu64 "\n", db_entries(txn, DB_ORDERS));
	if (ctx->usage.mapped == 0)
		return;
	write_family(out, "certfs_store_used_bytes", "gauge",
		     "Bytes of the store in use.");
	fprintf(out, "certfs_store_used_bytes %" PRIu64 "\n", ctx->usage.used);
}

int metrics_write(FILE *out, const struct status_context *ctx, struct txn *txn,
		  struct error *err)
{
	struct gathering g;
	bool whole;
	int rc;

	memset(&g, 0, sizeof(g));
	rc = gather_all(&g, ctx, txn, err);
	whole = gathering_end(&g);
	if (rc)
		goto out;
	if (!whole) {
		rc = no_memory(err);
		goto out;
	}
	write_family(out, "certfs_build_info", "gauge", "The version that is running.");
	fprintf(out, "certfs_build_info{version=\"%s\"} 1\n", CERTFS_VERSION);
	write_domains(out, &g);
	write_dates(out, &g);
	write_slots(out, ctx->slots);
	write_readonly(out, ctx);
	write_store(out, ctx, txn);
out:
	for (size_t i = 0; i < FAMILIES; i++)
		free(g.text[i]);
	return rc;
}
