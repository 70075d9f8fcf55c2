/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "acme/client_internal.h"
#include "acme/url.h"
#include "store/pem.h"
#include "store/x509.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void chain_forget(struct job *job)
{
	free(job->chain);
	job->chain = NULL;
	for (size_t i = 0; i < job->alternates; i++)
		free(job->alternate[i]);
	job->alternates = 0;
}

/* Is it a chain, and does its topmost certificate come from `preferred` ("": any)? */
static int chain_check(const struct http_response *response, const char *preferred,
		       bool *matches, struct error *err)
{
	struct cert_info info;
	struct pem pem;
	int r;

	if (response->error.code || response->size > WIRE_CHAIN_MAX)
		return error_set(err, EPROTO,
				 "the certificate's chain is longer than %d bytes",
				 WIRE_CHAIN_MAX);
	if (strcmp(response->content_type, "application/pem-certificate-chain") != 0)
		return error_set(err, EPROTO,
				 "the answer is of type '%.60s', not "
				 "application/pem-certificate-chain",
				 response->content_type);
	r = pem_parse(response->body, response->size, &pem, err);
	if (r < 0)
		return r;
	if (pem.certs == 0)
		r = error_set(err, EPROTO, "the answer holds no certificate");
	else if (pem.key)
		r = error_set(err, EPROTO, "the answer holds a private key");
	else if (*preferred)
		r = x509_info(&pem.cert[pem.certs - 1], &info, err);
	*matches = r == 0 && (*preferred == '\0' || strcmp(info.issuer, preferred) == 0);
	pem_clear(&pem);
	return r;
}

static void alternate_ask(struct job *job, size_t index);

static void alternate_seen(struct job *job, const struct http_response *response,
			   size_t index)
{
	bool matches = false;
	struct error err;
	int r;

	if (response->status == 200)
		r = chain_check(response, job->work.preferred_chain, &matches, &err);
	else
		r = error_set(&err, EPROTO, "status %u", response->status);
	if (r < 0)
		log_warning(job->client->lg, NULL,
			    "an alternate chain could not be fetched, the others are "
			    "looked at: %s",
			    err.text);
	if (r == 0 && matches)
		job_done(job, response->body, response->size);
	else
		alternate_ask(job, index + 1);
}

static void alternate_ask(struct job *job, size_t index)
{
	if (index < job->alternates) {
		call_start(job, job->alternate[index], "",
			   "application/pem-certificate-chain", alternate_seen, index);
		return;
	}
	log_notice(job->client->lg, NULL,
		   "the CA offers no chain from \"%s\" (preferred-chain in [acme]): its "
		   "own choice is taken",
		   job->work.preferred_chain);
	job_done(job, job->chain, job->chain_size);
}

/* Keeps the default chain and looks at the others. */
static void alternates_begin(struct job *job, const struct http_response *response)
{
	job->chain = malloc(response->size + 1);
	if (!job->chain) {
		job_fail_memory(job);
		return;
	}
	memcpy(job->chain, response->body, response->size + 1);
	job->chain_size = response->size;
	for (size_t i = 0; response->link_alternate[i]; i++) {
		const char *url = response->link_alternate[i];

		if (strlen(url) < URL_MAX &&
		    url_same_origin(url, job->work.certificate_url)) {
			job->alternate[job->alternates] = strdup(url);
			if (job->alternate[job->alternates])
				job->alternates++;
		}
	}
	alternate_ask(job, 0);
}

static void chain_seen(struct job *job, const struct http_response *response,
		       size_t index)
{
	const char *what = "fetching the certificate";
	struct wire_failure f;
	bool matches = false;
	struct error err;

	(void)index;
	if (job_lost(response)) {
		job_fail_lost(
		    job, response,
		    "the CA no longer has the certificate; a new order is placed");
		return;
	}
	if (response->status != 200) {
		job_fail_response(job, what, response);
		return;
	}
	if (chain_check(response, job->work.preferred_chain, &matches, &err) < 0) {
		/* It would be the same the next time. */
		problem_set(&f, WIRE_NEW_ORDER, "%s: %.300s", what, err.text);
		f.http_status = response->status;
		ca_distrust(job->ca);
		job_fail(job, &f);
		return;
	}
	if (matches)
		job_done(job, response->body, response->size);
	else
		alternates_begin(job, response);
}

void chain_fetch(struct job *job)
{
	call_start(job, job->work.certificate_url, "",
		   "application/pem-certificate-chain", chain_seen, 0);
}
