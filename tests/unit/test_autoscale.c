/* SPDX-License-Identifier: BSD-2-Clause */
/* The autoscaler against what Knative documents, with synthetic traces. Time is a number here. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "chain/autoscale.h"
#include "chain/clock.h"
#include "chain/scaling.h"

#define S NS_PER_SEC

static const struct autoscale_config knative = {
	.target = 10, .min = 0, .max = 100, .stable_ns = 60 * S, .panic_ns = 6 * S, .grace_ns = 30 * S,
	.panic_threshold = 2, .up_rate = 1000, .down_rate = 2,
};

/* A deployment whose instances are ready at once. */
struct world {
	struct autoscaler a;
	uint64_t now;
	unsigned ready;
	struct autoscale_decision last;
};

static struct world world(const struct autoscale_config *c, unsigned ready)
{
	struct world w = { .now = 1000 * S, .ready = ready };

	autoscale_open(&w.a, c);
	return w;
}

/* `seconds` with `requests` in flight, deciding each 2 s as Knative does. */
static unsigned pass(struct world *w, unsigned seconds, double requests)
{
	for (unsigned i = 0; i < seconds; i += 2) {
		autoscale_observe(&w->a, w->now, w->now + 2 * S, requests);
		w->now += 2 * S;
		w->last = autoscale_decide(&w->a, w->now, w->ready, 0, 0);
		w->ready = w->last.want;
	}
	return w->ready;
}

static void wanted_is_the_average_over_the_stable_window_by_the_target_rounded_up(void **state)
{
	struct world w = world(&knative, 5);

	(void)state;
	assert_int_equal(pass(&w, 60, 45), 5);
	assert_false(w.last.panic);
	assert_in_range((long)(w.last.stable * 100), 4490, 4510);
	assert_int_equal(pass(&w, 60, 51), 6);
	assert_false(w.last.panic);
}

static void a_burst_is_answered_within_the_panic_window_not_the_stable_one(void **state)
{
	struct world w = world(&knative, 1);

	(void)state;
	assert_int_equal(pass(&w, 60, 5), 1);
	pass(&w, 2, 100);                       /* panic average (4 s × 5 + 2 s × 100) / 6 = 37 */
	assert_true(w.last.panic);
	assert_in_range(w.last.want, 3, 4);
	assert_int_equal(pass(&w, 4, 100), 10);
	assert_true(w.last.stable < 20);        /* the stable window alone would want 2 */
}

static void twice_the_target_begins_a_panic_and_less_does_not(void **state)
{
	struct world below = world(&knative, 10), above = world(&knative, 10);

	(void)state;
	pass(&below, 60, 95);
	pass(&above, 60, 95);
	below.ready = above.ready = 10;
	pass(&below, 6, 185);                   /* wants 19 of 10 */
	assert_false(below.last.panic);
	above.ready = 10;
	autoscale_observe(&above.a, above.now, above.now + 6 * S, 195);
	above.now += 6 * S;
	assert_true(autoscale_decide(&above.a, above.now, 10, 0, 0).panic);     /* 20 of 10 */
}

static void nothing_is_taken_away_during_a_panic_and_for_a_stable_window_after(void **state)
{
	struct world w = world(&knative, 1);

	(void)state;
	pass(&w, 60, 5);
	assert_int_equal(pass(&w, 10, 100), 10);
	/* The load has gone; the panic lasts a stable window from its last moment above the threshold. */
	assert_int_equal(pass(&w, 50, 0), 10);
	assert_true(w.last.panic);
	pass(&w, 20, 0);
	assert_false(w.last.panic);
	assert_in_range(w.ready, 0, 9);
}

static void zero_comes_after_an_empty_stable_window_and_the_grace_period(void **state)
{
	struct world w = world(&knative, 1);

	(void)state;
	pass(&w, 60, 3);
	assert_int_equal(pass(&w, 58, 0), 1);   /* still in the window */
	assert_int_equal(pass(&w, 30, 0), 1);   /* empty, but not for 30 s */
	assert_int_equal(pass(&w, 6, 0), 0);
	assert_int_equal(pass(&w, 600, 0), 0);
}

static void a_single_request_begins_the_way_to_zero_anew(void **state)
{
	struct world w = world(&knative, 1);

	(void)state;
	pass(&w, 60, 3);
	pass(&w, 80, 0);
	pass(&w, 2, 0.001);
	assert_int_equal(pass(&w, 86, 0), 1);
	assert_int_equal(pass(&w, 8, 0), 0);
}

static void min_keeps_instances_warm(void **state)
{
	struct autoscale_config warm = knative;
	struct world w;

	(void)state;
	warm.min = 1;
	w = world(&warm, 1);
	pass(&w, 60, 3);
	assert_int_equal(pass(&w, 600, 0), 1);
}

static void who_waits_for_the_first_instance_gets_one_at_once(void **state)
{
	struct world w = world(&knative, 0);

	(void)state;
	assert_int_equal(pass(&w, 100, 0), 0);
	assert_int_equal(autoscale_decide(&w.a, w.now + 1, 0, 1, 0).want, 1);
	assert_int_equal(autoscale_decide(&w.a, w.now + 1, 0, 0, 0).want, 0);
}

static void the_rate_of_growth_is_limited_but_one_more_is_always_allowed(void **state)
{
	struct autoscale_config slow = knative;
	struct world w;

	(void)state;
	slow.up_rate = 1.1;                     /* Knative's example: 2 ready, rate 1.1, 3 wanted: 3 */
	w = world(&slow, 2);
	autoscale_observe(&w.a, w.now, w.now + 60 * S, 900);
	assert_int_equal(autoscale_decide(&w.a, w.now + 60 * S, 2, 0, 0).want, 3);
	slow.up_rate = 2;
	w = world(&slow, 4);
	autoscale_observe(&w.a, w.now, w.now + 60 * S, 900);
	assert_int_equal(autoscale_decide(&w.a, w.now + 60 * S, 4, 0, 0).want, 8);
}

static void the_way_down_halves_at_most(void **state)
{
	struct world w = world(&knative, 40);

	(void)state;
	autoscale_observe(&w.a, w.now, w.now + 60 * S, 11);
	assert_int_equal(autoscale_decide(&w.a, w.now + 60 * S, 40, 0, 0).want, 20);
	assert_int_equal(autoscale_decide(&w.a, w.now + 60 * S, 20, 0, 0).want, 10);
}

static void max_is_never_exceeded(void **state)
{
	struct autoscale_config few = knative;
	struct world w;

	(void)state;
	few.max = 4;
	w = world(&few, 1);
	assert_int_equal(pass(&w, 20, 100000), 4);
}

static void before_a_whole_window_the_average_is_over_what_there_is(void **state)
{
	struct world w = world(&knative, 5);

	(void)state;
	autoscale_observe(&w.a, w.now, w.now + 10 * S, 40);
	assert_int_equal(autoscale_decide(&w.a, w.now + 10 * S, 5, 0, 0).want, 4);
}

static void a_gap_in_the_observations_counts_as_nothing(void **state)
{
	struct world w = world(&knative, 5);
	struct autoscale_decision d;

	(void)state;
	autoscale_observe(&w.a, w.now, w.now + 10 * S, 40);
	w.now += 500 * S;
	autoscale_observe(&w.a, w.now, w.now + S, 0);
	d = autoscale_decide(&w.a, w.now + S, 5, 0, 0);
	assert_true(d.stable == 0);
	autoscale_observe(&w.a, w.now, w.now + 3600 * S, 7);    /* longer than the window */
	d = autoscale_decide(&w.a, w.now + 3600 * S, 1, 0, 0);
	assert_in_range((long)(d.stable * 100), 690, 710);
}

static void all_times_scaled_alike_decide_alike(void **state)
{
	static const double trace[] = { 5, 5, 100, 40, 0, 0, 0, 7, 300, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
	struct autoscale_config fast = knative;
	struct autoscaler slow_one, fast_one;
	uint64_t t = 600 * S;
	unsigned slow_ready = 1, fast_ready = 1, seen = 0;

	(void)state;
	fast.stable_ns /= 50;
	fast.panic_ns /= 50;
	fast.grace_ns /= 50;
	autoscale_open(&slow_one, &knative);
	autoscale_open(&fast_one, &fast);
	for (unsigned i = 0; i < 20 * 6; i++, t += 2 * S) {
		autoscale_observe(&slow_one, t, t + 2 * S, trace[i / 6]);
		autoscale_observe(&fast_one, t / 50, (t + 2 * S) / 50, trace[i / 6]);
		slow_ready = autoscale_decide(&slow_one, t + 2 * S, slow_ready, 0, 0).want;
		fast_ready = autoscale_decide(&fast_one, (t + 2 * S) / 50, fast_ready, 0, 0).want;
		assert_int_equal(fast_ready, slow_ready);
		seen |= 1u << (slow_ready < 31 ? slow_ready : 31);
	}
	assert_true(seen & 1 && seen & ~3u);    /* it went to zero, and beyond one */
}

static void prewarming_begins_ahead_of_each_burst_and_not_before_the_first(void **state)
{
	const uint64_t o = 7 * S;

	(void)state;
	assert_false(autoscale_prewarm(o, o, 240 * S, 20 * S));
	assert_false(autoscale_prewarm(o + 219 * S, o, 240 * S, 20 * S));
	assert_true(autoscale_prewarm(o + 220 * S, o, 240 * S, 20 * S));
	assert_true(autoscale_prewarm(o + 240 * S - 1, o, 240 * S, 20 * S));
	assert_false(autoscale_prewarm(o + 240 * S, o, 240 * S, 20 * S));
	assert_true(autoscale_prewarm(o + 465 * S, o, 240 * S, 20 * S));
	assert_false(autoscale_prewarm(o - 1, o, 240 * S, 20 * S));
	assert_false(autoscale_prewarm(o + 230 * S, o, 0, 20 * S));
}

static void prewarmed_instances_outlive_the_empty_window_until_the_grace_period(void **state)
{
	struct world w = world(&knative, 0);

	(void)state;
	pass(&w, 100, 0);
	assert_int_equal(autoscale_decide(&w.a, w.now, 0, 0, 1).want, 1);
	w.ready = 1;
	assert_int_equal(pass(&w, 28, 0), 1);
	assert_int_equal(pass(&w, 6, 0), 0);
}

static const struct option_spec options[] = { SCALING_OPTIONS("none|load|zero"), SCALING_ZERO_OPTIONS,
					      { 0 } };

static void options_are_read_as_knative_spells_them(void **state)
{
	struct scaling_config c;
	struct spec s;
	char why[256];

	(void)state;
	assert_int_equal(spec_parse(&s, "x,scale=zero,grace=30s,stable=2m,panic=500ms,target=22.5,"
				    "time_scale=0.5,cold_delay_ms=1500", why, sizeof(why)), 0);
	assert_int_equal(spec_check(&s, options, why, sizeof(why)), 0);
	assert_int_equal(scaling_parse(&c, &s, options, why, sizeof(why)), 0);
	assert_int_equal(c.mode, SCALE_ZERO);
	assert_true(c.stable_s == 120 && c.panic_s == 0.5 && c.grace_s == 30 && c.target == 22.5);
	assert_int_equal(scaling_ns(&c, c.grace_s), 15 * S);
	assert_int_equal(scaling_ns(&c, c.cold_delay_s), 750 * NS_PER_MS);
	assert_int_equal(spec_parse(&s, "x", why, sizeof(why)), 0);
	assert_int_equal(scaling_parse(&c, &s, options, why, sizeof(why)), 0);
	assert_int_equal(c.mode, SCALE_NONE);
	assert_int_equal(scaling_parse(&c, &s, NULL, why, sizeof(why)), 0);
	assert_int_equal(c.mode, SCALE_NONE);
}

static void options_that_make_no_sense_are_refused_with_a_sentence(void **state)
{
	static const char *const bad[] = { "x,stable=-1s", "x,grace=soon", "x,stable=0s",
					   "x,panic=90s", "x,target=0", "x,target=nan", "x,time_scale=0",
					   "x,prewarm=300s", "x,tick=0s", "x,grace=1h", "x,stable=nan" };
	struct scaling_config c;
	struct spec s;
	char why[256];

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		why[0] = '\0';
		assert_int_equal(spec_parse(&s, bad[i], why, sizeof(why)), 0);
		assert_int_equal(scaling_parse(&c, &s, options, why, sizeof(why)), -EINVAL);
		assert_true(why[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wanted_is_the_average_over_the_stable_window_by_the_target_rounded_up),
		cmocka_unit_test(a_burst_is_answered_within_the_panic_window_not_the_stable_one),
		cmocka_unit_test(twice_the_target_begins_a_panic_and_less_does_not),
		cmocka_unit_test(nothing_is_taken_away_during_a_panic_and_for_a_stable_window_after),
		cmocka_unit_test(zero_comes_after_an_empty_stable_window_and_the_grace_period),
		cmocka_unit_test(a_single_request_begins_the_way_to_zero_anew),
		cmocka_unit_test(min_keeps_instances_warm),
		cmocka_unit_test(who_waits_for_the_first_instance_gets_one_at_once),
		cmocka_unit_test(the_rate_of_growth_is_limited_but_one_more_is_always_allowed),
		cmocka_unit_test(the_way_down_halves_at_most),
		cmocka_unit_test(max_is_never_exceeded),
		cmocka_unit_test(before_a_whole_window_the_average_is_over_what_there_is),
		cmocka_unit_test(a_gap_in_the_observations_counts_as_nothing),
		cmocka_unit_test(all_times_scaled_alike_decide_alike),
		cmocka_unit_test(prewarming_begins_ahead_of_each_burst_and_not_before_the_first),
		cmocka_unit_test(prewarmed_instances_outlive_the_empty_window_until_the_grace_period),
		cmocka_unit_test(options_are_read_as_knative_spells_them),
		cmocka_unit_test(options_that_make_no_sense_are_refused_with_a_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
