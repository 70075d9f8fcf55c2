/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "acme/problem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TYPE "urn:ietf:params:acme:error:"

static struct http_response answer(uint32_t status, const char *body)
{
	return (struct http_response){.status = status,
				      .body = body,
				      .size = strlen(body),
				      .content_type = "application/problem+json",
				      .location = "",
				      .nonce = ""};
}

static struct wire_failure failure_of(uint32_t status, const char *type, bool begun)
{
	struct http_response r;
	struct wire_failure f;
	char body[256];

	snprintf(body, sizeof(body),
		 "{\"type\":\"" TYPE "%s\",\"detail\":\"the cause.\"}", type);
	r = answer(status, body);
	problem_from_response(&r, "placing the order", begun, &f);
	return f;
}

static void each_type_has_its_verdict(void **state)
{
	static const struct {
		const char *type;
		uint32_t status;
		enum wire_verdict first, begun;
	} known[] = {
	    {"accountDoesNotExist", 400, WIRE_NO_ACCOUNT, WIRE_NO_ACCOUNT},
	    {"rejectedIdentifier", 400, WIRE_INPUT, WIRE_INPUT},
	    {"invalidContact", 400, WIRE_INPUT, WIRE_INPUT},
	    {"badCSR", 400, WIRE_INPUT, WIRE_INPUT},
	    {"userActionRequired", 403, WIRE_INPUT, WIRE_INPUT},
	    {"externalAccountRequired", 403, WIRE_INPUT, WIRE_INPUT},
	    {"malformed", 400, WIRE_INPUT, WIRE_NEW_ORDER},
	    {"serverInternal", 500, WIRE_RETRY, WIRE_RETRY},
	    {"badNonce", 400, WIRE_RETRY, WIRE_RETRY},
	    {"rateLimited", 429, WIRE_RETRY, WIRE_RETRY},
	    {"caa", 403, WIRE_NEW_ORDER, WIRE_NEW_ORDER},
	    {"connection", 400, WIRE_NEW_ORDER, WIRE_NEW_ORDER},
	    {"dns", 400, WIRE_NEW_ORDER, WIRE_NEW_ORDER},
	    {"unauthorized", 403, WIRE_INPUT, WIRE_NEW_ORDER},
	    {"neverHeardOf", 400, WIRE_INPUT, WIRE_NEW_ORDER},
	    {"neverHeardOf", 503, WIRE_RETRY, WIRE_RETRY},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct wire_failure f = failure_of(known[i].status, known[i].type, false);

		assert_int_equal(f.verdict, known[i].first);
		assert_non_null(strstr(f.type, known[i].type));
		assert_memory_equal(f.text, "placing the order: the cause", 28);
		f = failure_of(known[i].status, known[i].type, true);
		assert_int_equal(f.verdict, known[i].begun);
		assert_int_equal(f.http_status, known[i].status);
	}
}

static void retry_after_is_handed_on(void **state)
{
	struct http_response r =
	    answer(429, "{\"type\":\"" TYPE "rateLimited\",\"detail\":\"d\"}");
	struct wire_failure f;

	(void)state;
	r.retry_after_s = 3600;
	problem_from_response(&r, "x", true, &f);
	assert_true(f.retry_after_s == 3600);
	assert_int_equal(f.verdict, WIRE_RETRY);
}

static void paused_account_is_for_a_person(void **state)
{
	struct http_response r = answer(
	    429,
	    "{\"type\":\"" TYPE "rateLimited\",\"detail\":\"Your account is temporarily "
	    "prevented from requesting certificates for a.example. Please visit: "
	    "https://ca.example/unpause?x=1\"}");
	struct wire_failure f;

	(void)state;
	problem_from_response(&r, "placing the order", false, &f);
	assert_int_equal(f.verdict, WIRE_INPUT);
	assert_non_null(strstr(f.text, "https://ca.example/unpause?x=1"));
	assert_non_null(strstr(f.text, "visits that page"));
}

static void challenge_that_was_not_reached_names_address_cause_and_remedy(void **state)
{
	json_t *e = json_pack("{s:s,s:s}", "type", TYPE "connection", "detail",
			      "192.0.2.7: Fetching: Connection refused");
	struct wire_failure f;

	(void)state;
	problem_from_challenge(e, "app.example.com", "abcdefghijklmnop", &f);
	assert_int_equal(f.verdict, WIRE_NEW_ORDER);
	assert_string_equal(
	    f.text, "the CA could not reach "
		    "http://app.example.com/.well-known/acme-challenge/abcdefgh…: "
		    "192.0.2.7: Fetching: Connection refused; let port 80 of this name "
		    "reach this server");
	json_decref(e);
}

static void challenge_without_a_reason_still_says_what_to_do(void **state)
{
	struct wire_failure f;

	(void)state;
	problem_from_challenge(NULL, "2001:db8::1", "", &f);
	assert_int_equal(f.verdict, WIRE_NEW_ORDER);
	assert_non_null(strstr(f.text, "http://[2001:db8::1]/"));
	assert_non_null(strstr(f.text, "no reason"));
}

static void first_subproblem_explains_a_compound(void **state)
{
	struct http_response r = answer(
	    403, "{\"type\":\"" TYPE "compound\",\"detail\":\"several\",\"subproblems\":["
		 "{\"type\":\"" TYPE "caa\",\"detail\":\"CAA record forbids\"}]}");
	struct wire_failure f;

	(void)state;
	problem_from_response(&r, "x", true, &f);
	assert_string_equal(f.type, TYPE "caa");
	assert_non_null(strstr(f.text, "CAA record forbids"));
	assert_int_equal(f.verdict, WIRE_NEW_ORDER);
}

static void long_cause_is_cut_and_the_remedy_stays(void **state)
{
	char body[8192] = "{\"type\":\"" TYPE "dns\",\"detail\":\"";
	struct http_response r;
	struct wire_failure f;
	size_t n = strlen(body), end;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		memcpy(body + n, "ä", 2);
		n += 2;
	}
	strcpy(body + n, "\"}");
	for (int shift = 0; shift < 2; shift++) {
		r = answer(400, body);
		problem_from_response(&r, shift ? "xy" : "x", true, &f);
		end = strlen(f.text);
		assert_true(end < sizeof(f.text));
		assert_non_null(strstr(f.text, "ä; let the A and AAAA records"));
		assert_null(strchr(f.text, '?'));
	}
}

static void control_characters_do_not_get_through(void **state)
{
	struct http_response r =
	    answer(400, "{\"type\":\"a\\nb\",\"detail\":\"one\\ntwo\\u001b[31m\"}");
	struct wire_failure f;

	(void)state;
	problem_from_response(&r, "x", true, &f);
	assert_null(strpbrk(f.text, "\n\x1b"));
	assert_null(strchr(f.type, '\n'));
}

static void what_is_no_problem_document_is_told_by_its_status(void **state)
{
	static const char *const bodies[] = {"",
					     "<html>",
					     "[]",
					     "{",
					     "{\"type\":7,\"detail\":[]}",
					     "null",
					     "{\"subproblems\":[3]}"};
	struct wire_failure f;

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct http_response r = answer(502, bodies[i]);

		problem_from_response(&r, "reading the order", true, &f);
		assert_int_equal(f.verdict, WIRE_RETRY);
		assert_string_equal(f.text,
				    "reading the order: the CA answered with status 502 "
				    "and no reason");
		r.content_type = "text/html";
		assert_false(problem_is(&r, "badNonce"));
	}
}

static void redirect_names_where_to(void **state)
{
	struct http_response r = answer(301, "");
	struct wire_failure f;

	(void)state;
	r.location = "https://new.example/dir";
	problem_from_response(&r, "reading the CA's directory", false, &f);
	assert_int_equal(f.verdict, WIRE_RETRY);
	assert_non_null(strstr(f.text, "https://new.example/dir"));
	assert_non_null(strstr(f.text, "directory in [acme]"));
}

static void order_that_is_invalid_is_begun_anew(void **state)
{
	json_t *e =
	    json_pack("{s:s,s:s}", "type", TYPE "serverInternal", "detail", "oops");
	struct wire_failure f;

	(void)state;
	problem_from_order(e, "the order", &f);
	assert_int_equal(f.verdict, WIRE_NEW_ORDER);
	json_object_set_new(e, "type", json_string(TYPE "unauthorized"));
	problem_from_order(e, "the order", &f);
	assert_non_null(strstr(f.text, "another server answers on port 80"));
	problem_from_order(NULL, "the order", &f);
	assert_int_equal(f.verdict, WIRE_NEW_ORDER);
	assert_string_equal(f.text, "the order: the CA gives no reason");
	json_decref(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_type_has_its_verdict),
	    cmocka_unit_test(retry_after_is_handed_on),
	    cmocka_unit_test(paused_account_is_for_a_person),
	    cmocka_unit_test(
		challenge_that_was_not_reached_names_address_cause_and_remedy),
	    cmocka_unit_test(challenge_without_a_reason_still_says_what_to_do),
	    cmocka_unit_test(first_subproblem_explains_a_compound),
	    cmocka_unit_test(long_cause_is_cut_and_the_remedy_stays),
	    cmocka_unit_test(control_characters_do_not_get_through),
	    cmocka_unit_test(what_is_no_problem_document_is_told_by_its_status),
	    cmocka_unit_test(redirect_names_where_to),
	    cmocka_unit_test(order_that_is_invalid_is_begun_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
