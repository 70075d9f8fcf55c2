/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
/* scripted_ca: a CA for the tests of the ACME client, in a thread, over http on loopback.
 * It knows one order for a.example.com and answers as its script says. */
#ifndef CERTFS_TESTS_SCRIPTED_CA_H
#define CERTFS_TESTS_SCRIPTED_CA_H

#include <stdbool.h>
#include <stddef.h>

struct script {
	/* Requests for this path get this answer: a whole HTTP response, "BASE" in it is
	 * the CA's own address; `times` of them, 0: all. NULL: nothing out of order. */
	const char *path, *answer;
	unsigned times;
	bool endless;                /* the answer's last byte is sent again and again */
	unsigned bad_nonces;         /* that many POSTs are refused with badNonce first */
	const char *order_status;    /* where the order stands at first: "pending" */
	unsigned polls;              /* how often a poll finds nothing new */
	const char *challenge_error; /* JSON: the challenge fails with it */
	const char *chain[2];        /* PEM: default and alternate */
	const char *directory;       /* instead of the usual JSON */
};

/* An answer with a JSON body; its length is told by the connection's end. */
#define JSON(status, headers, body)                                                      \
	"HTTP/1.1 " status                                                               \
	"\r\nContent-Type: application/json\r\nReplay-Nonce: n\r\n" headers              \
	"Connection: close\r\n\r\n" body

struct scripted_ca;

struct scripted_ca *scripted_ca_start(const struct script *script);
/* Ends the thread; counts can be read from now on. */
void scripted_ca_stop(struct scripted_ca *ca);
void scripted_ca_free(struct scripted_ca *ca);
/* "http://127.0.0.1:PORT" */
const char *scripted_ca_base(const struct scripted_ca *ca);
/* How many requests there were for a path; NULL: for any. */
unsigned scripted_ca_count(const struct scripted_ca *ca, const char *path);

#endif
