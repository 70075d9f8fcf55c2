/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "engine_world.h"

#include "acme/jws.h"

#include <errno.h>
#include <openssl/ec.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>

static void new_name_is_ordered_and_served(void **arg)
{
	struct world *w = *arg;
	struct told *t;
	struct seen s;

	make(w, "app.example.com");
	s = look(w, "app.example.com");
	assert_int_equal(s.g.source, SOURCE_SELF_SIGNED);
	turn(w);
	t = need_job(w, "app.example.com");
	assert_int_equal(t->state, ORDER_NEW);
	assert_true(look(w, "app.example.com").ordered);
	assert_int_equal(engine_in_flight(w->e), 1);
	state(w, t, ORDER_PENDING, "https://ca.example.net/order/1");
	assert_int_equal(w->stored, 1);
	assert_int_equal(look(w, "app.example.com").state, ORDER_PENDING);
	w->staged = 0;
	done_for_days(w, t, 90);
	s = look(w, "app.example.com");
	assert_int_equal(s.g.source, SOURCE_MANAGED);
	assert_string_equal(s.g.origin, CA_URL);
	assert_false(s.ordered);
	assert_int_equal(s.d.failures, 0);
	assert_string_equal(s.d.last_error, "");
	assert_int_equal(s.due_s, s.g.info.not_after_s - 30 * DAY);
	assert_int_equal(w->staged, 1);
	assert_int_equal(engine_in_flight(w->e), 0);
	assert_int_equal(engine_next_ms(w->e), 3600 * 1000);
}

static void tokens_live_as_long_as_their_order(void **arg)
{
	const char *token = "DGyRejmCefe7v4NfDGDKfAAA";
	struct world *w = *arg;
	struct told *t;

	make(w, "app.example.com");
	turn(w);
	t = need_job(w, "app.example.com");
	message(w, WIRE_TOKENS, t->id);
	w->m->token = w->m->storage;
	w->m->tokens = 1;
	snprintf(w->m->storage[0].token, TOKEN_MAX, "%s", token);
	snprintf(w->m->storage[0].authorization, 2 * TOKEN_MAX, "%s.thumb", token);
	say(w);
	turn(w);
	assert_int_equal(w->stored, 1);
	assert_int_equal(token_seen(w, token), 0);
	done_for_days(w, t, 90);
	assert_int_equal(token_seen(w, token), -ENOENT);
}

static void custom_certificate_ends_the_order_in_flight(void **arg)
{
	struct act a = {.name = "app.example.com"};
	struct world *w = *arg;
	struct told *t;

	make(w, a.name);
	turn(w);
	t = need_job(w, a.name);
	act(w, custom_in, &a);
	turn(w);
	assert_true(t->dropped);
	assert_false(look(w, a.name).ordered);
	assert_int_equal(engine_in_flight(w->e), 0);
	act(w, uncustom_in, &a);
	turn(w);
	need_job(w, a.name);
}

static void answers_to_a_dropped_order_are_not_its_successors(void **arg)
{
	struct act a = {.name = "app.example.com"};
	struct world *w = *arg;
	struct told *old, *new;

	make(w, a.name);
	turn(w);
	old = need_job(w, a.name);
	act(w, custom_in, &a);
	turn(w);
	act(w, uncustom_in, &a);
	turn(w);
	new = need_job(w, a.name);
	assert_true(new->id != old->id);
	state(w, old, ORDER_PENDING, "https://ca.example.net/order/old");
	assert_int_equal(look(w, a.name).state, ORDER_NEW);
	failed(w, old, WIRE_NEW_ORDER, 0, "too late");
	assert_int_equal(look(w, a.name).d.failures, 0);
	done_for_days(w, new, 90);
	assert_int_equal(look(w, a.name).g.source, SOURCE_MANAGED);
}

static void lost_account_is_made_anew_at_once_but_not_in_a_loop(void **arg)
{
	struct world *w = *arg;
	struct told *t;

	make(w, "app.example.com");
	turn(w);
	t = need_job(w, "app.example.com");
	assert_string_equal(t->kid, "");
	message(w, WIRE_ACCOUNT, t->id);
	snprintf(w->m->kid, sizeof(w->m->kid), "https://ca.example.net/acct/1");
	say(w);
	turn(w);
	assert_int_equal(w->stored, 1);
	engine_restart(w);
	t = need_job(w, "app.example.com");
	assert_string_equal(t->kid, "https://ca.example.net/acct/1");
	failed(w, t, WIRE_NO_ACCOUNT, 0, "the account is gone");
	t = need_job(w, "app.example.com");
	assert_string_equal(t->kid, "");
	failed(w, t, WIRE_NO_ACCOUNT, 0, "the account is gone");
	assert_null(job_for(w, "app.example.com"));
}

/* A good generation is there, and a renewal runs. */
static struct told *renewing(struct world *w, struct seen *before)
{
	make(w, "app.example.com");
	turn(w);
	done_for_days(w, need_job(w, "app.example.com"), 90);
	clock_turn(w, 61 * DAY);
	turn(w);
	*before = look(w, "app.example.com");
	return need_job(w, "app.example.com");
}

static void old_one_stays(struct world *w, const struct seen *before)
{
	struct seen s = look(w, "app.example.com");

	assert_int_equal(s.c.served, before->c.served);
	assert_false(s.ordered);
	assert_int_equal(s.d.failures, 1);
	assert_true(s.d.last_error[0] != '\0');
	assert_true(s.d.next_try_s > now(w));
	assert_null(job_for(w, "app.example.com"));
}

static void chain_of_another_key_is_refused(void **arg)
{
	struct world *w = *arg;
	struct seen before;
	struct told *t = renewing(w, &before);
	EVP_PKEY *other = EVP_EC_gen("P-256");
	char *chain =
	    issue(w, t, other, "DNS:app.example.com", now(w) - 60, now(w) + 90 * DAY);

	done(w, t, chain);
	free(chain);
	EVP_PKEY_free(other);
	old_one_stays(w, &before);
}

static void chain_of_another_name_is_refused(void **arg)
{
	struct world *w = *arg;
	struct seen before;
	struct told *t = renewing(w, &before);
	char *chain =
	    issue(w, t, NULL, "DNS:mail.example.com", now(w) - 60, now(w) + 90 * DAY);

	done(w, t, chain);
	free(chain);
	old_one_stays(w, &before);
	assert_non_null(
	    strstr(look(w, "app.example.com").d.last_error, "mail.example.com"));
}

static void rubbish_for_a_chain_is_refused(void **arg)
{
	struct world *w = *arg;
	struct seen before;

	done(w, renewing(w, &before), "<html>busy</html>");
	old_one_stays(w, &before);
}

static void restarted_engine_goes_on_with_its_orders(void **arg)
{
	struct world *w = *arg;
	struct told *t;

	make(w, "app.example.com");
	turn(w);
	state(w, need_job(w, "app.example.com"), ORDER_PROCESSING,
	      "https://ca.example.net/order/9");
	engine_restart(w);
	assert_int_equal(w->hellos, 2);
	assert_int_equal(w->count, 2);
	t = need_job(w, "app.example.com");
	assert_int_equal(t->state, ORDER_PROCESSING);
	assert_string_equal(t->order_url, "https://ca.example.net/order/9");
	/* The request is for the key that is stored, not for a new one. */
	done_for_days(w, t, 90);
	assert_int_equal(look(w, "app.example.com").g.source, SOURCE_MANAGED);
}

static void restarted_net_worker_gets_its_orders_again(void **arg)
{
	struct world *w = *arg;

	make(w, "a.example.com");
	make(w, "b.example.com");
	turn(w);
	assert_int_equal(w->count, 2);
	message(w, WIRE_READY, 0);
	say(w);
	turn(w);
	assert_int_equal(w->hellos, 2);
	assert_int_equal(w->count, 4);
	need_job(w, "a.example.com");
	need_job(w, "b.example.com");
	assert_int_equal(engine_in_flight(w->e), 2);
}

static void say_tokens(struct world *w, uint32_t job, size_t count)
{
	message(w, WIRE_TOKENS, job);
	w->m->token = w->m->storage;
	w->m->tokens = count;
	for (size_t i = 0; i < count; i++) {
		char token[TOKEN_MAX];

		snprintf(token, sizeof(token), "token-of-job-%u-of-22-characters-%03zu",
			 job, i);
		snprintf(w->m->storage[i].token, TOKEN_MAX, "%s", token);
		snprintf(w->m->storage[i].authorization, 2 * TOKEN_MAX, "%s.thumb",
			 token);
	}
	say(w);
	turn(w);
}

static void new_net_worker_is_told_what_the_ca_may_ask_for(void **arg)
{
	struct world *w = *arg;

	make(w, "a.example.com");
	make(w, "b.example.com");
	turn(w);
	assert_int_equal(w->answers, 1);
	assert_int_equal(w->answer_tokens, 0);
	say_tokens(w, need_job(w, "a.example.com")->id, WIRE_TOKENS_MAX);
	say_tokens(w, need_job(w, "b.example.com")->id, 1);
	message(w, WIRE_READY, 0);
	say(w);
	turn(w);
	assert_int_equal(w->hellos, 2);
	assert_int_equal(w->answers, 2);
	assert_true(w->answers_over);
	assert_int_equal(w->answer_tokens, WIRE_TOKENS_MAX + 1);
	assert_non_null(strstr(w->answer.authorization, w->answer.token));
}

static void words_of_another_epoch_are_ignored(void **arg)
{
	struct world *w = *arg;
	struct told *t;

	make(w, "app.example.com");
	turn(w);
	t = need_job(w, "app.example.com");
	message(w, WIRE_READY, 0);
	say(w);
	engine_run(w->e, POLLIN);
	message(w, WIRE_HELLO_ACK, 0)->epoch = 12345;
	say(w);
	message(w, WIRE_FAILED, t->id)->failure.verdict = WIRE_NEW_ORDER;
	say(w);
	engine_run(w->e, POLLIN);
	assert_int_equal(engine_in_flight(w->e), 0);
	turn(w);
	assert_int_equal(look(w, "app.example.com").d.failures, 0);
	need_job(w, "app.example.com");
}

static void twenty_orders_run_together(void **arg)
{
	struct world *w = *arg;
	char name[64];

	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "app%d.example.com", i);
		make(w, name);
	}
	turn(w);
	assert_int_equal(w->count, 20);
	assert_int_equal(engine_in_flight(w->e), 20);
	for (size_t i = 20; i-- > 0;)
		done_for_days(w, &w->told[i], 90);
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "app%d.example.com", i);
		assert_int_equal(look(w, name).g.source, SOURCE_MANAGED);
	}
}

static void orders_beyond_the_limit_wait_without_a_loop(void **arg)
{
	struct world *w = *arg;
	char name[64];

	w->cfg.orders_at_once = 3;
	engine_restart(w);
	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "app%d.example.com", i);
		make(w, name);
	}
	turn(w);
	assert_int_equal(w->count, 3);
	assert_true(engine_next_ms(w->e) > 0);
	done_for_days(w, &w->told[1], 90);
	assert_int_equal(w->count, 4);
	assert_int_equal(engine_in_flight(w->e), 3);
	engine_restart(w);
	assert_int_equal(w->count, 7);
	for (int i = 0; i < 9; i++) {
		size_t at = 4 + (size_t)i;

		assert_true(at < w->count);
		done_for_days(w, &w->told[at], 90);
	}
	assert_int_equal(w->count, 13);
	assert_int_equal(engine_in_flight(w->e), 0);
}

static void sign_request(struct world *w, uint32_t job, enum wire_sign kind,
			 const char *header, const char *payload, char **input)
{
	struct error err = {.code = 0};

	ok(jws_input(header, payload, input, &err), &err);
	message(w, WIRE_SIGN, job);
	w->m->sign.request = 77;
	w->m->sign.kind = kind;
	w->m->bytes = (const unsigned char *)*input;
	w->m->size = strlen(*input);
	w->signature_size = 0;
	say(w);
	turn(w);
}

static void requests_to_the_ca_are_signed(void **arg)
{
	struct world *w = *arg;
	struct told *t;
	char *input;

	make(w, "app.example.com");
	turn(w);
	t = need_job(w, "app.example.com");
	sign_request(w, t->id, WIRE_SIGN_ACCOUNT,
		     "{\"alg\":\"ES256\",\"nonce\":\"n\","
		     "\"url\":\"https://CA.example.net:443/new-order\"}",
		     "{}", &input);
	free(input);
	assert_int_equal(w->signature_size, 64);
	sign_request(w, t->id, WIRE_SIGN_ACCOUNT,
		     "{\"alg\":\"ES256\",\"url\":\"https://ca.example.net/order/1\"}", "",
		     &input);
	free(input);
	assert_int_equal(w->signature_size, 64);
}

static void refuse(struct world *w, enum wire_sign kind, const char *header,
		   const char *payload)
{
	struct told *t;
	char *input;

	make(w, "app.example.com");
	turn(w);
	t = need_job(w, "app.example.com");
	sign_request(w, t->id, kind, header, payload, &input);
	free(input);
	assert_int_equal(w->signature_size, 0);
	assert_true(t->dropped);
	assert_int_equal(look(w, "app.example.com").d.failures, 1);
}

static void request_to_a_foreign_url_is_not_signed(void **arg)
{
	refuse(*arg, WIRE_SIGN_ACCOUNT,
	       "{\"alg\":\"ES256\",\"url\":\"https://ca.example.net.evil.example/x\"}",
	       "{}");
}

static void request_to_another_port_is_not_signed(void **arg)
{
	refuse(*arg, WIRE_SIGN_ACCOUNT,
	       "{\"alg\":\"ES256\",\"url\":\"https://ca.example.net:8443/x\"}", "{}");
}

static void request_with_a_user_in_its_url_is_not_signed(void **arg)
{
	refuse(*arg, WIRE_SIGN_ACCOUNT,
	       "{\"alg\":\"ES256\",\"url\":\"https://ca.example.net@evil.example/x\"}",
	       "{}");
}

static void what_is_no_signing_input_is_not_signed(void **arg)
{
	refuse(*arg, WIRE_SIGN_ACCOUNT, "[\"https://ca.example.net/\"]", "{}");
}

/* Writes the key file of an external account and starts the engine with it. */
static void eab_configure(struct world *w, const char *key)
{
	char path[96];
	FILE *f;

	snprintf(path, sizeof(path), "%s/eab", w->dir);
	f = fopen(path, "we");
	assert_non_null(f);
	fprintf(f, "%s\n", key);
	assert_int_equal(fclose(f), 0);
	w->cfg.eab_kid = strdup("kid-1");
	w->cfg.eab_key_file = strdup(path);
	engine_restart(w);
}

static void external_account_vouches_for_the_own_key_only(void **arg)
{
	const char *header = "{\"alg\":\"HS256\",\"kid\":\"kid-1\","
			     "\"url\":\"https://ca.example.net/new-account\"}";
	struct world *w = *arg;
	struct error err = {.code = 0};
	struct account a = {.key = NULL};
	struct txn *txn;
	struct told *t;
	char jwk[512], *input;

	eab_configure(w, "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0");
	make(w, "app.example.com");
	turn(w);
	t = need_job(w, "app.example.com");
	ok(db_read_begin(w->db, &txn, &err), &err);
	ok(account_get(txn, CA_URL, &a, &err), &err);
	db_read_end(txn);
	ok(jws_jwk(a.key, jwk, sizeof(jwk), &err), &err);
	account_clear(&a);
	sign_request(w, t->id, WIRE_SIGN_EAB, header, jwk, &input);
	free(input);
	assert_int_equal(w->signature_size, 32);
	sign_request(w, t->id, WIRE_SIGN_EAB, header,
		     "{\"kty\":\"EC\",\"crv\":\"P-256\"}", &input);
	free(input);
	assert_int_equal(w->signature_size, 0);
	assert_true(t->dropped);
}

static void what_the_ca_refused_is_tried_again_once_the_account_is_configured(void **arg)
{
	struct world *w = *arg;

	make(w, "app.example.com");
	turn(w);
	failed(w, need_job(w, "app.example.com"), WIRE_INPUT, 0,
	       "an external account is required");
	engine_restart(w);
	assert_null(job_for(w, "app.example.com"));
	eab_configure(w, "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0");
	turn(w);
	need_job(w, "app.example.com");
}

static void unreadable_external_account_is_said_and_serves_on(void **arg)
{
	struct world *w = *arg;
	struct seen s;

	log_init(&w->lg, "unit", LOG_LEVEL_ERROR);
	eab_configure(w, "!!!");
	make(w, "app.example.com");
	turn(w);
	assert_int_equal(w->count, 0);
	s = look(w, "app.example.com");
	assert_int_equal(s.g.source, SOURCE_SELF_SIGNED);
	assert_non_null(strstr(s.d.last_error, "external account"));
	assert_true(engine_next_ms(w->e) > 0);
}

static void rmdir_ends_the_order_in_flight(void **arg)
{
	struct act a = {.name = "app.example.com"};
	struct world *w = *arg;
	struct told *t;

	make(w, a.name);
	turn(w);
	t = need_job(w, a.name);
	act(w, rmdir_in, &a);
	turn(w);
	assert_true(t->dropped);
	assert_false(look(w, a.name).ordered);
}

static void alias_is_ordered_with_its_name(void **arg)
{
	struct act a = {.name = "app.example.com", .other = "www.example.com"};
	struct world *w = *arg;
	struct told *t;
	struct seen s;

	make(w, a.name);
	turn(w);
	t = need_job(w, a.name);
	act(w, alias_in, &a);
	turn(w);
	assert_true(t->dropped);
	t = need_job(w, "app.example.com www.example.com");
	assert_int_equal(engine_in_flight(w->e), 1);
	done_for_days(w, t, 90);
	s = look(w, a.name);
	assert_int_equal(s.g.source, SOURCE_MANAGED);
	a.other = "api.example.com";
	act(w, alias_in, &a);
	turn(w);
	for (size_t i = 0; i < w->count; i++)
		t = w->told[i].over ? t : &w->told[i];
	assert_non_null(strstr(t->names, "api.example.com"));
	assert_int_equal(look(w, a.name).c.served, s.c.served);
}

static void names_that_no_ca_certifies_are_not_ordered(void **arg)
{
	struct act a = {.name = "intranet"};
	struct world *w = *arg;

	make(w, "intranet");
	make(w, "wildcard_.example.com");
	make(w, "192.0.2.1");
	make(w, "app.internal");
	turn(w);
	assert_int_equal(act(w, renew_in, &a), -EPERM);
	/* A CA of one's own certifies what it likes. */
	assert_int_equal(w->count, 2);
	need_job(w, "192.0.2.1");
	need_job(w, "app.internal");
}

static void lets_encrypt_is_asked_for_what_it_certifies(void **arg)
{
	struct world *w = *arg;

	make(w, "192.0.2.1");
	make(w, "app.internal");
	free(w->cfg.directory);
	w->cfg.directory = strdup("https://acme-v02.api.letsencrypt.org/directory");
	engine_restart(w);
	assert_int_equal(w->count, 0);
	make(w, "app.certfs-example.org");
	turn(w);
	need_job(w, "app.certfs-example.org");
	assert_non_null(strstr(look(w, "192.0.2.1").d.last_error, "shortlived"));
	assert_null(job_for(w, "app.internal"));
}

static void another_ca_is_asked_once_it_is_configured(void **arg)
{
	struct world *w = *arg;

	free(w->cfg.directory);
	w->cfg.directory = strdup("none");
	engine_restart(w);
	make(w, "app.example.com");
	turn(w);
	assert_int_equal(w->count, 0);
	free(w->cfg.directory);
	w->cfg.directory = strdup(CA_URL);
	engine_restart(w);
	need_job(w, "app.example.com");
}

/* No file may grow: the store can't write. Returns what was in force before. */
static struct rlimit disk_full(void)
{
	struct rlimit old, none;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	return old;
}

static void full_disk_asks_nothing_of_the_ca(void **arg)
{
	struct world *w = *arg;
	struct rlimit old;
	struct told *t;

	signal(SIGXFSZ, SIG_IGN);
	make(w, "app.example.com");
	turn(w);
	t = need_job(w, "app.example.com");
	state(w, t, ORDER_PENDING, "https://ca.example.net/order/1");
	assert_int_equal(w->stored, 1);
	old = disk_full();
	state(w, t, ORDER_READY, "https://ca.example.net/order/1");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(w->stored, 1);
	assert_true(t->dropped);
	assert_int_equal(w->count, 1);
	assert_int_equal(engine_in_flight(w->e), 0);
	assert_in_range(engine_next_ms(w->e), 1, 10000);
	/* Once there is room, from where it was. */
	engine_restart(w);
	t = need_job(w, "app.example.com");
	assert_int_equal(t->state, ORDER_PENDING);
}

#define promise(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    promise(full_disk_asks_nothing_of_the_ca),
	    promise(new_name_is_ordered_and_served),
	    promise(tokens_live_as_long_as_their_order),
	    promise(custom_certificate_ends_the_order_in_flight),
	    promise(answers_to_a_dropped_order_are_not_its_successors),
	    promise(lost_account_is_made_anew_at_once_but_not_in_a_loop),
	    promise(chain_of_another_key_is_refused),
	    promise(chain_of_another_name_is_refused),
	    promise(rubbish_for_a_chain_is_refused),
	    promise(restarted_engine_goes_on_with_its_orders),
	    promise(restarted_net_worker_gets_its_orders_again),
	    promise(new_net_worker_is_told_what_the_ca_may_ask_for),
	    promise(words_of_another_epoch_are_ignored),
	    promise(twenty_orders_run_together),
	    promise(orders_beyond_the_limit_wait_without_a_loop),
	    promise(requests_to_the_ca_are_signed),
	    promise(request_to_a_foreign_url_is_not_signed),
	    promise(request_to_another_port_is_not_signed),
	    promise(request_with_a_user_in_its_url_is_not_signed),
	    promise(what_is_no_signing_input_is_not_signed),
	    promise(external_account_vouches_for_the_own_key_only),
	    promise(what_the_ca_refused_is_tried_again_once_the_account_is_configured),
	    promise(unreadable_external_account_is_said_and_serves_on),
	    promise(rmdir_ends_the_order_in_flight),
	    promise(alias_is_ordered_with_its_name),
	    promise(names_that_no_ca_certifies_are_not_ordered),
	    promise(lets_encrypt_is_asked_for_what_it_certifies),
	    promise(another_ca_is_asked_once_it_is_configured),
	};

	return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
