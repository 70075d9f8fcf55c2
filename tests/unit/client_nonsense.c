/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "client_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ORDER(status, value, rest)                                                       \
	"{\"status\":" status ",\"identifiers\":[{\"type\":\"dns\",\"value\":\"" value   \
	"\"}]"                                                                           \
	",\"finalize\":\"BASE/f/1\"" rest "}"
#define AUTHZ(challenges)                                                                \
	"{\"status\":\"pending\",\"identifier\":{\"type\":\"dns\",\"value\":\"a."        \
	"example.com\"},"                                                                \
	"\"challenges\":" challenges "}"
#define CREATED "Location: BASE/o/1\r\n"

static const struct {
	const char *path, *answer, *text;
	enum wire_verdict verdict;
} nonsense[] = {
    {"/dir", "HTTP/1.1 200 OK\r\n\r\n", "of type ''", WIRE_RETRY},
    {"/dir", "no HTTP at all\r\n\r\n", "directory", WIRE_RETRY},
    {"/dir", "", "directory", WIRE_RETRY},
    {"/dir", JSON("200 OK", "Content-Length: 1000\r\n", "{"), "directory", WIRE_RETRY},
    {"/dir", JSON("200 OK", "", "{"), "no JSON", WIRE_RETRY},
    {"/dir", JSON("200 OK", "", "[]"), "no JSON object", WIRE_RETRY},
    {"/dir", JSON("200 OK", "", "{\"newNonce\":\"BASE/n\",\"newAccount\":\"BASE/a\"}"),
     "'newOrder'", WIRE_RETRY},
    {"/dir", JSON("200 OK", "", "{\"newNonce\":7}"), "'newNonce' is no text", WIRE_RETRY},
    {"/dir", JSON("200 OK", "", "{\"newNonce\":\"http://ca.example/n\"}"),
     "no https address", WIRE_RETRY},
    {"/dir",
     "HTTP/1.1 301 Moved\r\nLocation: https://new.example/dir\r\nContent-Length: "
     "0\r\n\r\n",
     "https://new.example/dir", WIRE_RETRY},
    {"/dir", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>", "text/html",
     WIRE_RETRY},
    {"/nonce", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "nonce", WIRE_RETRY},
    {"/nonce", "HTTP/1.1 200 OK\r\nReplay-Nonce: \"x\"\r\nContent-Length: 0\r\n\r\n",
     "nonce", WIRE_RETRY},
    {"/account", JSON("201 Created", "", "{\"status\":\"valid\"}"),
     "address of the account", WIRE_RETRY},
    {"/account", JSON("200 OK", "Location: BASE/a/1\r\n", "{\"status\":\"deactivated\"}"),
     "deactivated", WIRE_INPUT},
    {"/account", JSON("200 OK", "Location: ftp://x/y\r\n", "{\"status\":\"valid\"}"),
     "address of the account", WIRE_RETRY},
    {"/order", JSON("201 Created", "", ORDER("\"pending\"", "a.example.com", "")),
     "address of the order", WIRE_RETRY},
    {"/order", JSON("201 Created", CREATED, ORDER("7", "a.example.com", "")),
     "'status' is no text", WIRE_RETRY},
    {"/order", JSON("201 Created", CREATED, ORDER("\"odd\"", "a.example.com", "")), "odd",
     WIRE_RETRY},
    {"/order", JSON("201 Created", CREATED, ORDER("\"pending\"", "b.example.com", "")),
     "b.example.com, asked for was a.example.com", WIRE_RETRY},
    {"/order",
     JSON("201 Created", CREATED, "{\"status\":\"pending\",\"identifiers\":[]}"),
     "not for a.example.com", WIRE_RETRY},
    {"/order", JSON("201 Created", CREATED, ORDER("\"pending\"", "a.example.com", "")),
     "'authorizations'", WIRE_RETRY},
    {"/order",
     JSON("201 Created", CREATED,
	  ORDER("\"pending\"", "a.example.com", ",\"authorizations\":[7]")),
     "'authorizations'", WIRE_RETRY},
    {"/order",
     JSON("201 Created", CREATED,
	  ORDER("\"valid\"", "a.example.com", ",\"authorizations\":[\"BASE/z/1\"]")),
     "'certificate'", WIRE_RETRY},
    {"/order", "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "status 503",
     WIRE_RETRY},
    {"/z/1", JSON("200 OK", "", AUTHZ("7")), "'challenges'", WIRE_RETRY},
    {"/z/1", JSON("200 OK", "", AUTHZ("[7,null,{\"type\":\"dns-01\"}]")), "no http-01",
     WIRE_RETRY},
    {"/z/1", JSON("200 OK", "", AUTHZ("[{\"type\":\"http-01\",\"token\":\"short\"}]")),
     "token", WIRE_RETRY},
    {"/z/1",
     JSON("200 OK", "",
	  AUTHZ("[{\"type\":\"http-01\",\"token\":\"../../../../../../etc/passwd\"}]")),
     "token", WIRE_RETRY},
    {"/z/1",
     JSON("200 OK", "",
	  "{\"status\":\"valid\",\"identifier\":{\"type\":\"dns\",\"value\":\"b.example."
	  "com\"}}"),
     "b.example.com", WIRE_RETRY},
    {"/z/1",
     JSON("200 OK", "",
	  "{\"status\":\"expired\",\"identifier\":{\"type\":\"dns\",\"value\":\"a."
	  "example.com\"},"
	  "\"challenges\":[]}"),
     "expired", WIRE_NEW_ORDER},
    {"/c/1", "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "status 500", WIRE_RETRY},
    {"/f/1", "HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n", "status 400",
     WIRE_NEW_ORDER},
    {"/cert/1", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhello", "text/plain",
     WIRE_NEW_ORDER},
    {"/cert/1",
     "HTTP/1.1 200 OK\r\nContent-Type: application/pem-certificate-chain\r\n\r\nhello",
     "fetching the certificate", WIRE_NEW_ORDER},
    {"/cert/1",
     "HTTP/1.1 200 OK\r\nContent-Type: application/pem-certificate-chain\r\n\r\n",
     "fetching the certificate", WIRE_NEW_ORDER},
    {"/cert/1", "HTTP/1.1 404 Gone\r\nContent-Length: 0\r\n\r\n", "no longer",
     WIRE_NEW_ORDER},
};

static void nonsense_ends_with_a_reason(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		struct wire_failure f =
		    world_failure(&(struct script){.path = nonsense[i].path,
						   .answer = nonsense[i].answer},
				  ORDER_NEW);

		if (!strstr(f.text, nonsense[i].text) || f.verdict != nonsense[i].verdict)
			fail_msg("case %zu (%s): verdict %d, %s", i, nonsense[i].path,
				 (int)f.verdict, f.text);
	}
}

static void endless_answer_is_cut(void **state)
{
	static const char *const paths[] = {"/dir", "/order", "/z/1", "/cert/1"};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct wire_failure f = world_failure(
		    &(struct script){
			.path = paths[i],
			.answer = JSON("200 OK", "Location: BASE/o/1\r\n", "{\"a\":\" "),
			.endless = true},
		    ORDER_NEW);

		assert_true(f.verdict == WIRE_RETRY || f.verdict == WIRE_NEW_ORDER);
		assert_non_null(strstr(f.text, "longer than"));
	}
	assert_int_equal(
	    world_failure(&(struct script){.path = "/dir",
					   .answer = "HTTP/1.1 200 OK\r\nX: aaaa",
					   .endless = true},
			  ORDER_NEW)
		.verdict,
	    WIRE_RETRY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nonsense_ends_with_a_reason),
	    cmocka_unit_test(endless_answer_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
