/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "engine_world.h"

#include <errno.h>

static void nothing_is_ordered_while_a_custom_certificate_is_in_force(void **arg)
{
	struct act a = {.name = "app.example.com"};
	struct world *w = *arg;
	struct seen s;

	make(w, a.name);
	act(w, custom_in, &a);
	turn(w);
	assert_int_equal(w->count, 0);
	s = look(w, a.name);
	assert_int_equal(s.g.source, SOURCE_CUSTOM);
	assert_in_range(s.due_s, s.g.info.not_after_s, s.g.info.not_after_s + 1);
	assert_int_equal(act(w, renew_in, &a), -EPERM);
	turn(w);
	assert_int_equal(w->count, 0);
	clock_turn(w, 61 * DAY);
	turn(w);
	need_job(w, a.name);
}

static void renewal_comes_at_its_time(void **arg)
{
	struct world *w = *arg;
	struct seen s;

	make(w, "app.example.com");
	turn(w);
	done_for_days(w, need_job(w, "app.example.com"), 90);
	clock_turn(w, 59 * DAY);
	turn(w);
	assert_null(job_for(w, "app.example.com"));
	clock_turn(w, 60 * DAY);
	turn(w);
	done_for_days(w, need_job(w, "app.example.com"), 90);
	s = look(w, "app.example.com");
	assert_int_equal(s.g.source, SOURCE_MANAGED);
	assert_true(s.g.info.not_after_s > now(w) + 89 * DAY);
}

static void short_lives_are_renewed_at_their_half(void **arg)
{
	struct world *w = *arg;

	make(w, "app.example.com");
	turn(w);
	done_for_days(w, need_job(w, "app.example.com"), 6);
	clock_turn(w, 3 * DAY - 2 * 3600);
	turn(w);
	assert_null(job_for(w, "app.example.com"));
	clock_turn(w, 3 * DAY);
	turn(w);
	need_job(w, "app.example.com");
}

static void read_in_the_renewal_window_moves_to_the_front(void **arg)
{
	struct act a = {.name = "app.example.com"};
	struct world *w = *arg;

	a.number = make(w, a.name);
	turn(w);
	done_for_days(w, need_job(w, a.name), 90);
	engine_read(w->e, a.number);
	turn(w);
	assert_null(job_for(w, a.name));
	clock_turn(w, 61 * DAY);
	a.to_s = now(w) + 5 * DAY;
	act(w, later_in, &a);
	turn(w);
	assert_null(job_for(w, a.name));
	engine_read(w->e, a.number);
	turn(w);
	failed(w, need_job(w, a.name), WIRE_NEW_ORDER, 0, "no");
	engine_read(w->e, a.number);
	turn(w);
	assert_null(job_for(w, a.name));
}

static void failures_back_off_and_outlive_the_worker(void **arg)
{
	static const int64_t wait[] = {60, 600, 6000, DAY, DAY};
	struct world *w = *arg;
	int64_t offset = 0;
	struct seen s;

	make(w, "app.example.com");
	turn(w);
	for (size_t i = 0; i < 5; i++) {
		failed(w, need_job(w, "app.example.com"), WIRE_NEW_ORDER, 0,
		       "port 80 is closed");
		engine_restart(w);
		s = look(w, "app.example.com");
		assert_false(s.ordered);
		assert_int_equal(s.d.failures, i + 1);
		assert_string_equal(s.d.last_error, "port 80 is closed");
		in_about(s.d.next_try_s - now(w), wait[i], 1);
		assert_null(job_for(w, "app.example.com"));
		assert_true(engine_next_ms(w->e) > 0);
		offset += wait[i] * 12 / 10 + 5;
		clock_turn(w, offset);
		turn(w);
	}
	done_for_days(w, need_job(w, "app.example.com"), 90);
	s = look(w, "app.example.com");
	assert_int_equal(s.d.failures, 0);
	assert_string_equal(s.d.last_error, "");
}

static void retry_goes_on_with_the_stored_order(void **arg)
{
	struct world *w = *arg;
	struct told *t;

	make(w, "app.example.com");
	turn(w);
	t = need_job(w, "app.example.com");
	state(w, t, ORDER_READY, "https://ca.example.net/order/7");
	failed(w, t, WIRE_RETRY, 0, "the CA does not answer");
	assert_true(look(w, "app.example.com").ordered);
	assert_null(job_for(w, "app.example.com"));
	clock_turn(w, 70);
	turn(w);
	t = need_job(w, "app.example.com");
	assert_int_equal(t->state, ORDER_READY);
	assert_string_equal(t->order_url, "https://ca.example.net/order/7");
}

static void refused_input_is_tried_once_a_day(void **arg)
{
	struct world *w = *arg;

	make(w, "app.example.com");
	turn(w);
	failed(w, need_job(w, "app.example.com"), WIRE_INPUT, 0, "contact refused");
	in_about(look(w, "app.example.com").d.next_try_s - now(w), DAY, 1);
}

static void those_that_fail_together_come_back_apart(void **arg)
{
	struct world *w = *arg;
	int64_t first_s = 0;
	bool apart = false;
	char name[64];

	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "app%d.example.com", i);
		make(w, name);
		turn(w);
		failed(w, need_job(w, name), WIRE_INPUT, 0, "contact refused");
		if (i == 0)
			first_s = look(w, name).d.next_try_s;
		/* The seconds that the test takes are no jitter. */
		apart |= llabs(look(w, name).d.next_try_s - first_s) > 120;
	}
	assert_true(apart);
}

static void retry_after_is_never_undercut(void **arg)
{
	struct world *w = *arg;
	struct seen s;

	make(w, "app.example.com");
	turn(w);
	failed(w, need_job(w, "app.example.com"), WIRE_RETRY, 5 * DAY, "rate limit");
	s = look(w, "app.example.com");
	assert_true(s.d.next_try_s >= now(w) + 5 * DAY - 5);
	clock_turn(w, 5 * DAY - 60);
	turn(w);
	engine_restart(w);
	assert_null(job_for(w, "app.example.com"));
	clock_turn(w, 5 * DAY + 60);
	turn(w);
	need_job(w, "app.example.com");
}

static void name_that_comes_back_uses_its_certificate(void **arg)
{
	struct act a = {.name = "app.example.com"};
	struct world *w = *arg;
	struct seen s;

	make(w, a.name);
	turn(w);
	done_for_days(w, need_job(w, a.name), 90);
	act(w, rmdir_in, &a);
	turn(w);
	assert_int_equal(look(w, a.name).due_s, INT64_MAX);
	clock_turn(w, 10 * DAY);
	make(w, a.name);
	turn(w);
	assert_null(job_for(w, a.name));
	s = look(w, a.name);
	assert_int_equal(s.g.source, SOURCE_MANAGED);
	assert_int_equal(s.due_s, s.g.info.not_after_s - 30 * DAY);
}

static void touch_renews_before_its_time(void **arg)
{
	struct act a = {.name = "app.example.com"};
	struct world *w = *arg;

	make(w, a.name);
	turn(w);
	done_for_days(w, need_job(w, a.name), 90);
	assert_int_equal(act(w, renew_in, &a), 0);
	engine_restart(w);
	failed(w, need_job(w, a.name), WIRE_RETRY, DAY, "busy");
	assert_null(job_for(w, a.name));
	assert_int_equal(act(w, renew_in, &a), 0);
	turn(w);
	need_job(w, a.name);
}

static void clock_may_be_set_back_and_forth(void **arg)
{
	struct world *w = *arg;
	struct seen s;

	make(w, "app.example.com");
	make(w, "fails.example.com");
	turn(w);
	done_for_days(w, need_job(w, "app.example.com"), 90);
	s = look(w, "app.example.com");
	/* Ten years ahead: all is over, and what fails there waits there. */
	clock_turn(w, 3650 * (int64_t)DAY);
	turn(w);
	failed(w, need_job(w, "fails.example.com"), WIRE_NEW_ORDER, 0, "no");
	failed(w, need_job(w, "app.example.com"), WIRE_NEW_ORDER, 0, "no");
	assert_true(look(w, "app.example.com").g.info.not_before_s > 0);
	/* Back: the certificate is good again, and nobody waits for ten years. */
	clock_turn(w, 0);
	turn(w);
	assert_int_equal(look(w, "app.example.com").c.served, s.c.served);
	in_about(look(w, "fails.example.com").d.next_try_s - now(w), 60, 2);
	assert_null(job_for(w, "fails.example.com"));
	clock_turn(w, 75);
	turn(w);
	need_job(w, "fails.example.com");
	assert_null(job_for(w, "app.example.com"));
	assert_true(engine_next_ms(w->e) > 0);
}

static void clock_that_is_behind_takes_no_good_certificate_away(void **arg)
{
	struct world *w = *arg;
	uint32_t managed;

	make(w, "app.example.com");
	turn(w);
	done_for_days(w, need_job(w, "app.example.com"), 90);
	managed = look(w, "app.example.com").c.served;
	clock_turn(w, -2 * DAY);
	turn(w);
	assert_int_equal(look(w, "app.example.com").c.served, managed);
	assert_null(job_for(w, "app.example.com"));
	engine_restart(w);
	assert_int_equal(look(w, "app.example.com").c.served, managed);
	clock_turn(w, 0);
	turn(w);
	assert_int_equal(look(w, "app.example.com").c.served, managed);
}

static void clock_set_back_while_nothing_ran_is_noticed(void **arg)
{
	struct world *w = *arg;

	clock_turn(w, 3650 * (int64_t)DAY);
	make(w, "app.example.com");
	turn(w);
	failed(w, need_job(w, "app.example.com"), WIRE_NEW_ORDER, 0, "no");
	clock_turn(w, 0);
	engine_restart(w);
	in_about(look(w, "app.example.com").d.next_try_s - now(w), 60, 2);
	clock_turn(w, 75);
	turn(w);
	need_job(w, "app.example.com");
}

static void late_certificate_is_not_renewed_in_a_loop(void **arg)
{
	struct world *w = *arg;
	struct told *t;
	char *chain;

	make(w, "app.example.com");
	turn(w);
	t = need_job(w, "app.example.com");
	chain = issue(w, t, NULL, NULL, now(w) - 80 * DAY, now(w) + 9 * DAY);
	done(w, t, chain);
	free(chain);
	assert_null(job_for(w, "app.example.com"));
	clock_turn(w, 3 * DAY + 60);
	turn(w);
	need_job(w, "app.example.com");
}

#define promise(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    promise(nothing_is_ordered_while_a_custom_certificate_is_in_force),
	    promise(renewal_comes_at_its_time),
	    promise(short_lives_are_renewed_at_their_half),
	    promise(read_in_the_renewal_window_moves_to_the_front),
	    promise(failures_back_off_and_outlive_the_worker),
	    promise(retry_goes_on_with_the_stored_order),
	    promise(refused_input_is_tried_once_a_day),
	    promise(those_that_fail_together_come_back_apart),
	    promise(retry_after_is_never_undercut),
	    promise(name_that_comes_back_uses_its_certificate),
	    promise(touch_renews_before_its_time),
	    promise(clock_may_be_set_back_and_forth),
	    promise(clock_that_is_behind_takes_no_good_certificate_away),
	    promise(clock_set_back_while_nothing_ran_is_noticed),
	    promise(late_certificate_is_not_renewed_in_a_loop),
	};

	return cmocka_run_group_tests_name("engine_time", tests, NULL, NULL);
}
