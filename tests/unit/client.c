/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "acme/jws.h"
#include "client_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define JOBS_MAX 8

static void order_goes_from_nothing_to_a_certificate(void **state)
{
	struct world *w = world_new(&(struct script){.polls = 1});
	char thumbprint[44], want[2 * TOKEN_MAX];
	struct error err;

	(void)state;
	world_begin(w, 1);
	world_until_over(w, 1);
	assert_string_equal(w->steps,
			    "account pending tokens ready processing valid done");
	assert_int_equal(jws_thumbprint(w->jwk, thumbprint, &err), 0);
	snprintf(want, sizeof(want), "tokentokentokentokentoken.%s", thumbprint);
	assert_string_equal(w->authorization, want);
	assert_false(w->token_there);
	world_free(w);
}

static void fewest_requests_are_seven_for_an_order(void **state)
{
	struct world *w = world_new(&(struct script){0});
	unsigned before;

	(void)state;
	world_begin(w, 1);
	world_until_over(w, 1);
	scripted_ca_stop(w->ca);
	before = scripted_ca_count(w->ca, "/dir") + scripted_ca_count(w->ca, "/nonce") +
		 scripted_ca_count(w->ca, "/account");
	assert_int_equal(before, 3);
	assert_int_equal(scripted_ca_count(w->ca, NULL) - before, 7);
	world_free(w);
}

static void fewest_requests_are_four_when_it_comes_back_ready(void **state)
{
	struct world *w = world_new(&(struct script){.order_status = "ready"});

	(void)state;
	world_begin(w, 1);
	world_until_over(w, 1);
	scripted_ca_stop(w->ca);
	assert_string_equal(w->steps, "account ready processing valid done");
	assert_int_equal(scripted_ca_count(w->ca, NULL), 3 + 4);
	assert_int_equal(scripted_ca_count(w->ca, "/z/1"), 0);
	world_free(w);
}

static void bad_nonce_is_retried_with_the_answers_nonce(void **state)
{
	struct world *w = world_new(&(struct script){.bad_nonces = 20});

	(void)state;
	world_begin(w, 1);
	world_until_over(w, 1);
	assert_int_equal(w->done, 1);
	scripted_ca_stop(w->ca);
	assert_int_equal(scripted_ca_count(w->ca, "/nonce"), 1);
	world_free(w);
}

static void bad_nonce_for_ever_ends(void **state)
{
	struct world *w = world_new(&(struct script){.bad_nonces = 400});

	(void)state;
	world_begin(w, 1);
	world_until_over(w, 1);
	assert_int_equal(w->failed, 1);
	assert_int_equal(w->failure.verdict, WIRE_RETRY);
	assert_non_null(strstr(w->failure.type, "badNonce"));
	scripted_ca_stop(w->ca);
	assert_int_equal(scripted_ca_count(w->ca, "/account"), 21);
	world_free(w);
}

static void second_order_needs_no_directory_account_or_nonce(void **state)
{
	struct world *w = world_new(&(struct script){.order_status = "ready"});

	(void)state;
	world_begin(w, 1);
	world_until_over(w, 1);
	world_begin(w, 2);
	world_until_over(w, 2);
	assert_int_equal(w->done, 2);
	scripted_ca_stop(w->ca);
	assert_int_equal(scripted_ca_count(w->ca, "/dir"), 1);
	assert_int_equal(scripted_ca_count(w->ca, "/account"), 1);
	assert_int_equal(scripted_ca_count(w->ca, "/nonce"), 1);
	world_free(w);
}

static void orders_side_by_side_make_one_account(void **state)
{
	struct world *w = world_new(&(struct script){.order_status = "ready"});

	(void)state;
	for (uint32_t job = 1; job <= JOBS_MAX; job++)
		world_begin(w, job);
	world_until_over(w, JOBS_MAX);
	assert_int_equal(w->done, JOBS_MAX);
	scripted_ca_stop(w->ca);
	assert_int_equal(scripted_ca_count(w->ca, "/account"), 1);
	assert_int_equal(scripted_ca_count(w->ca, "/dir"), 1);
	world_free(w);
}

static void dropped_account_maker_hands_over(void **state)
{
	struct world *w = world_new(&(struct script){.order_status = "ready"});

	(void)state;
	world_begin(w, 1);
	world_begin(w, 2);
	w->mute = true;
	while (!w->head)
		world_turn(w);
	w->m.type = WIRE_DROP;
	w->m.job = w->head->job;
	client_message(w->client, &w->m);
	w->mute = false;
	world_until_over(w, 1);
	assert_int_equal(w->done, 1);
	assert_int_equal(client_next_ms(w->client), -1);
	world_free(w);
}

static void nothing_is_acted_on_before_it_is_stored(void **state)
{
	struct world *w = world_new(&(struct script){0});

	(void)state;
	strcpy(w->m.work.kid, "http://127.0.0.1/a/1");
	world_begin(w, 1);
	/* The order is placed; its state isn't stored, so nobody asks for more. */
	while (!strstr(w->steps, "pending")) {
		w->mute = w->head && w->head->type == WIRE_STATE;
		world_turn(w);
		w->mute = w->head && w->head->type == WIRE_STATE;
		if (w->head && !w->mute)
			world_turn(w);
	}
	scripted_ca_stop(w->ca);
	assert_int_equal(scripted_ca_count(w->ca, "/order"), 1);
	assert_int_equal(scripted_ca_count(w->ca, "/z/1"), 0);
	world_free(w);
}

static void resume(enum order_state from, const char *order_status, const char *steps)
{
	struct world *w = world_new(&(struct script){.order_status = order_status});
	struct wire_job *j = &w->m.work;
	const char *base = scripted_ca_base(w->ca);

	strcpy(j->kid, "http://127.0.0.1/a/1");
	j->state = from;
	snprintf(j->order_url, sizeof(j->order_url), "%s/o/1", base);
	snprintf(j->finalize_url, sizeof(j->finalize_url), "%s/f/1", base);
	if (from == ORDER_VALID)
		snprintf(j->certificate_url, sizeof(j->certificate_url), "%s/cert/1",
			 base);
	world_begin(w, 1);
	world_until_over(w, 1);
	assert_string_equal(w->steps, steps);
	scripted_ca_stop(w->ca);
	assert_int_equal(scripted_ca_count(w->ca, "/order"), 0);
	world_free(w);
}

static void stored_order_goes_on_where_it_was(void **state)
{
	(void)state;
	resume(ORDER_PENDING, "pending", "tokens ready processing valid done");
	resume(ORDER_READY, "ready", "processing valid done");
	resume(ORDER_PROCESSING, "processing", "valid done");
	resume(ORDER_VALID, "valid", "done");
}

static void stored_order_that_went_on_meanwhile_is_caught_up_with(void **state)
{
	(void)state;
	resume(ORDER_PENDING, "ready", "ready processing valid done");
	resume(ORDER_PENDING, "valid", "valid done");
	resume(ORDER_READY, "processing", "valid done");
	resume(ORDER_READY, "valid", "valid done");
	/* The finalize was never heard. */
	resume(ORDER_PROCESSING, "ready", "ready processing valid done");
}

static void order_that_is_dead_is_begun_anew(void **state)
{
	struct wire_failure f =
	    world_failure(&(struct script){.order_status = "invalid"}, ORDER_PENDING);

	(void)state;
	assert_int_equal(f.verdict, WIRE_NEW_ORDER);
	f = world_failure(
	    &(struct script){.path = "/o/1",
			     .answer =
				 "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"},
	    ORDER_READY);
	assert_int_equal(f.verdict, WIRE_NEW_ORDER);
	assert_int_equal(f.http_status, 404);
}

static void failed_challenge_says_what_to_do(void **state)
{
	struct wire_failure f = world_failure(
	    &(struct script){.challenge_error =
				 "{\"type\":\"urn:ietf:params:acme:error:connection\","
				 "\"detail\":\"Connection refused\"}"},
	    ORDER_NEW);

	(void)state;
	assert_int_equal(f.verdict, WIRE_NEW_ORDER);
	assert_string_equal(
	    f.text, "the CA could not reach "
		    "http://a.example.com/.well-known/acme-challenge/tokentok…: "
		    "Connection refused; let port 80 of this name reach this server");
}

static void unreachable_ca_is_tried_again(void **state)
{
	struct world *w = world_new(&(struct script){0});

	(void)state;
	snprintf(w->m.work.directory, URL_MAX, "%s/dir", scripted_ca_base(w->ca));
	scripted_ca_stop(w->ca);
	world_begin(w, 1);
	world_until_over(w, 1);
	assert_int_equal(w->failure.verdict, WIRE_RETRY);
	assert_int_equal(w->failure.http_status, 0);
	assert_non_null(strstr(w->failure.text, "check this host's way to the CA"));
	world_free(w);
}

static void directory_that_is_no_https_address_is_not_asked(void **state)
{
	struct world *w = world_new(&(struct script){0});

	(void)state;
	strcpy(w->m.work.directory, "http://ca.example/dir");
	world_begin(w, 1);
	world_until_over(w, 1);
	assert_int_equal(w->failure.verdict, WIRE_INPUT);
	assert_non_null(
	    strstr(w->failure.text, "http://ca.example/dir is no https address"));
	world_free(w);
}

static void retry_after_reaches_the_engine(void **state)
{
	struct wire_failure f = world_failure(
	    &(struct script){.path = "/order",
			     .answer = "HTTP/1.1 429 Slow\r\nRetry-After: 3600\r\n"
				       "Content-Length: 0\r\n\r\n"},
	    ORDER_NEW);

	(void)state;
	assert_int_equal(f.verdict, WIRE_RETRY);
	assert_true(f.retry_after_s == 3600);
	/* And where a poll is to wait longer than a job may take. */
	f = world_failure(
	    &(struct script){.path = "/c/1",
			     .answer = JSON("200 OK", "Retry-After: 7200\r\n", "{}")},
	    ORDER_NEW);
	assert_int_equal(f.verdict, WIRE_RETRY);
	assert_true(f.retry_after_s == 7200);
}

static void directory_is_asked_for_again_after_a_failure_of_the_ca(void **state)
{
	struct world *w = world_new(
	    &(struct script){.path = "/order",
			     .answer = "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
			     .times = 1,
			     .order_status = "ready"});

	(void)state;
	world_begin(w, 1);
	world_until_over(w, 1);
	assert_int_equal(w->failed, 1);
	world_begin(w, 1);
	world_until_over(w, 2);
	assert_int_equal(w->done, 1);
	scripted_ca_stop(w->ca);
	assert_int_equal(scripted_ca_count(w->ca, "/dir"), 2);
	world_free(w);
}

#define GONE                                                                             \
	"HTTP/1.1 400 Bad\r\n"                                                           \
	"Content-Type: application/problem+json\r\n"                                     \
	"Replay-Nonce: n\r\n"                                                            \
	"Connection: close\r\n\r\n"                                                      \
	"{\"type\":\"urn:ietf:params:acme:error:accountDoesNotExist\"}"

static void account_that_is_gone_is_made_anew(void **state)
{
	struct world *w = world_new(&(struct script){
	    .path = "/order", .answer = GONE, .times = 1, .order_status = "ready"});

	(void)state;
	world_begin(w, 1);
	world_until_over(w, 1);
	assert_int_equal(w->failure.verdict, WIRE_NO_ACCOUNT);
	world_begin(w, 1);
	world_until_over(w, 2);
	assert_int_equal(w->done, 1);
	scripted_ca_stop(w->ca);
	assert_int_equal(scripted_ca_count(w->ca, "/account"), 2);
	world_free(w);
}

#define DIRECTORY(meta)                                                                  \
	"{\"newNonce\":\"BASE/nonce\","                                                  \
	"\"newAccount\":\"BASE/account\","                                               \
	"\"newOrder\":\"BASE/order\","                                                   \
	"\"meta\":" meta "}"

static void terms_are_not_agreed_to_unasked(void **state)
{
	struct wire_failure f =
	    world_failure(&(struct script){.directory = DIRECTORY(
					       "{\"termsOfService\":\"https://ca/t\"}")},
			  ORDER_NEW);

	(void)state;
	assert_int_equal(f.verdict, WIRE_INPUT);
	assert_non_null(strstr(f.text, "https://ca/t"));
	assert_non_null(strstr(f.text, "agree-terms = yes"));
}

static void external_account_is_asked_for_and_bound(void **state)
{
	const struct script script = {.directory =
					  DIRECTORY("{\"externalAccountRequired\":true}"),
				      .order_status = "ready"};
	struct wire_failure f = world_failure(&script, ORDER_NEW);
	struct world *w;

	(void)state;
	assert_int_equal(f.verdict, WIRE_INPUT);
	assert_non_null(strstr(f.text, "eab-kid"));
	w = world_new(&script);
	strcpy(w->m.work.eab_kid, "kid-1");
	world_begin(w, 1);
	world_until_over(w, 1);
	assert_int_equal(w->done, 1);
	assert_true(w->eab_signed);
	world_free(w);
}

static void alternate_chain(const char *preferred, unsigned fetched)
{
	struct world *w = world_new(&(struct script){.order_status = "ready"});

	strcpy(w->m.work.preferred_chain, preferred);
	world_begin(w, 1);
	world_until_over(w, 1);
	assert_int_equal(w->done, 1);
	scripted_ca_stop(w->ca);
	assert_int_equal(scripted_ca_count(w->ca, "/cert/2"), fetched);
	world_free(w);
}

static void preferred_chain_is_looked_for_only_where_the_default_is_another(void **state)
{
	(void)state;
	alternate_chain("", 0);
	alternate_chain("Root A", 0);
	alternate_chain("Root B", 1);
	alternate_chain("Root C", 1);
}

static void hello_drops_all_jobs(void **state)
{
	struct world *w = world_new(&(struct script){0});

	(void)state;
	world_begin(w, 1);
	world_begin(w, 2);
	while (!w->token_there)
		world_turn(w);
	w->m.type = WIRE_HELLO;
	client_message(w->client, &w->m);
	assert_int_equal(client_next_ms(w->client), -1);
	assert_false(w->token_there);
	assert_int_equal(w->done + w->failed, 0);
	world_free(w);
}

static void answers_for_jobs_that_are_gone_are_ignored(void **state)
{
	struct world *w = world_new(&(struct script){0});

	(void)state;
	for (int type = WIRE_DROP; type <= WIRE_SIGNATURE; type++) {
		w->m.type = (enum wire_type)type;
		w->m.job = 99;
		client_message(w->client, &w->m);
	}
	assert_int_equal(client_next_ms(w->client), -1);
	assert_null(w->head);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(order_goes_from_nothing_to_a_certificate),
	    cmocka_unit_test(fewest_requests_are_seven_for_an_order),
	    cmocka_unit_test(fewest_requests_are_four_when_it_comes_back_ready),
	    cmocka_unit_test(bad_nonce_is_retried_with_the_answers_nonce),
	    cmocka_unit_test(bad_nonce_for_ever_ends),
	    cmocka_unit_test(second_order_needs_no_directory_account_or_nonce),
	    cmocka_unit_test(orders_side_by_side_make_one_account),
	    cmocka_unit_test(dropped_account_maker_hands_over),
	    cmocka_unit_test(nothing_is_acted_on_before_it_is_stored),
	    cmocka_unit_test(stored_order_goes_on_where_it_was),
	    cmocka_unit_test(stored_order_that_went_on_meanwhile_is_caught_up_with),
	    cmocka_unit_test(order_that_is_dead_is_begun_anew),
	    cmocka_unit_test(failed_challenge_says_what_to_do),
	    cmocka_unit_test(unreachable_ca_is_tried_again),
	    cmocka_unit_test(directory_that_is_no_https_address_is_not_asked),
	    cmocka_unit_test(retry_after_reaches_the_engine),
	    cmocka_unit_test(directory_is_asked_for_again_after_a_failure_of_the_ca),
	    cmocka_unit_test(account_that_is_gone_is_made_anew),
	    cmocka_unit_test(terms_are_not_agreed_to_unasked),
	    cmocka_unit_test(external_account_is_asked_for_and_bound),
	    cmocka_unit_test(
		preferred_chain_is_looked_for_only_where_the_default_is_another),
	    cmocka_unit_test(hello_drops_all_jobs),
	    cmocka_unit_test(answers_for_jobs_that_are_gone_are_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
