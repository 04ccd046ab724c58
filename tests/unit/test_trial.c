/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "chain/clock.h"
#include "chain/trial.h"

/* A load: messages per second that come through in each way, and how much a short phase's rate varies. */
struct load {
	double rate[TRIAL_WAYS];
	double noise;               /* of a batch's duration: uniform, ± this share */
	unsigned batch;             /* messages that come at a time */
};

/* Play it for `seconds`; returns the messages that came. */
static double play(struct trial *t, const struct load *l, double seconds, uint64_t *now, uint64_t *random)
{
	uint64_t end = *now + (uint64_t)(seconds * 1e9);
	enum trial_way way = t->best;
	double messages = 0;

	while (*now < end) {
		double u = (double)(random_next(random) >> 11) * 0x1p-53;

		*now += (uint64_t)(l->batch / l->rate[way] * 1e9 * (1 + l->noise * (2 * u - 1)));
		messages += l->batch;
		way = trial_heard(t, *now, l->batch);
		assert_true(way < TRIAL_WAYS);
	}
	return messages;
}

static double best_of(const struct load *l)
{
	double best = 0;

	for (unsigned i = 0; i < TRIAL_WAYS; i++)
		best = l->rate[i] > best ? l->rate[i] : best;
	return best;
}

/* Shapes that were measured: sleeping wins, learning wins, spinning wins, spinning is a disaster. */
static const struct load shapes[] = {
	{ { 43e3, 39e3, 41e3 }, 0.5, 1 },
	{ { 36e3, 90e3, 80e3 }, 0.5, 1 },
	{ { 18e3, 19e3, 420e3 }, 0.5, 1 },
	{ { 1.9e6, 2.6e6, 2.2e3 }, 0.8, 32 },
	{ { 86e3, 140e3, 87 }, 0.5, 1 },
	{ { 4e6, 3.1e6, 3.3e6 }, 0.9, 100 },
};
enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

static void the_best_way_is_found_and_kept(void **state)
{
	uint64_t random = 7;

	(void)state;
	for (unsigned first = 0; first < TRIAL_WAYS; first++) {
		for (unsigned i = 0; i < SHAPES; i++) {
			uint64_t now = NS_PER_SEC;
			struct trial t;
			double got;

			trial_open(&t, (enum trial_way)first);
			(void)play(&t, &shapes[i], 1, &now, &random);
			got = play(&t, &shapes[i], 10, &now, &random) / 10;
			assert_true(got > 0.9 * best_of(&shapes[i]));
		}
	}
}

static void the_cheapest_way_is_played_when_all_bring_the_same(void **state)
{
	const struct load paced = { { 1000, 1000, 1000 }, 0.2, 1 };
	uint64_t now = NS_PER_SEC, random = 3;
	struct trial t;

	(void)state;
	trial_open(&t, WAY_SPIN);
	(void)play(&t, &paced, 3, &now, &random);
	assert_int_equal(t.best, WAY_SLEEP);
	(void)play(&t, &paced, 20, &now, &random);
	assert_int_equal(t.best, WAY_SLEEP);
}

static void another_load_is_noticed(void **state)
{
	uint64_t now = NS_PER_SEC, random = 5;
	struct trial t;
	double got;

	(void)state;
	trial_open(&t, WAY_LEARNED);
	(void)play(&t, &shapes[0], 20, &now, &random);
	assert_int_equal(t.best, WAY_SLEEP);
	(void)play(&t, &shapes[1], 0.5, &now, &random);
	got = play(&t, &shapes[1], 2, &now, &random) / 2;
	assert_true(got > 0.9 * best_of(&shapes[1]));
}

static void trials_become_rare_while_nothing_changes(void **state)
{
	uint64_t now = NS_PER_SEC, random = 9, trying = 0, end;
	struct trial t;

	(void)state;
	trial_open(&t, WAY_LEARNED);
	(void)play(&t, &shapes[1], 30, &now, &random);
	for (end = now + 20 * NS_PER_SEC; now < end;) {
		now += 11000;
		(void)trial_heard(&t, now, 1);
		trying += t.phase ? 11000 : 0;
	}
	assert_true(trying < NS_PER_SEC / 2);   /* of 20 s */
}

/* Minutes without a message, and messages that all bear the same time, are no reason to divide by zero. */
static void silence_and_bursts_do_no_harm(void **state)
{
	uint64_t now = NS_PER_SEC;
	struct trial t;

	(void)state;
	trial_open(&t, WAY_LEARNED);
	for (unsigned i = 0; i < 100000; i++) {
		if (i % 1000 == 0)
			now += 300 * NS_PER_SEC;
		assert_true(trial_heard(&t, now, i % 3) < TRIAL_WAYS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_best_way_is_found_and_kept),
		cmocka_unit_test(the_cheapest_way_is_played_when_all_bring_the_same),
		cmocka_unit_test(another_load_is_noticed),
		cmocka_unit_test(trials_become_rare_while_nothing_changes),
		cmocka_unit_test(silence_and_bursts_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
