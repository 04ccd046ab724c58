/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "chain/route.h"

static struct board *board(void)
{
	static struct board b;

	memset(&b, 0, sizeof(b));
	b.functions = 3;
	b.topics = 2;
	b.instances = 4;
	b.of[0].count = 2;
	b.of[0].at[0] = 1;
	b.of[0].at[1] = 2;
	b.of[1].count = 1;
	b.of[1].at[0] = 3;
	for (int i = 1; i < 4; i++) {
		b.line[i].concurrency = 2;
		b.line[i].backlog = 3;
		b.line[i].state = INSTANCE_READY;
	}
	return &b;
}

static void a_sequence_may_visit_a_function_again_and_leave_it_elsewhere(void **state)
{
	static const function_id ch1[] = { 0, 1, 0, 0, 2 };         /* the shape of Table 4's Ch-1 */
	struct board *b = board();

	(void)state;
	assert_int_equal(route_update(b, 0, ch1, 5), 0);
	assert_int_equal(route_next(b, 0, 0, 0, 0), 1);
	assert_int_equal(route_next(b, 0, 1, 1, 0), 0);
	assert_int_equal(route_next(b, 0, 0, 2, 0), 0);
	assert_int_equal(route_next(b, 0, 0, 3, 0), 2);
	assert_int_equal(route_next(b, 0, 2, 4, 0), FUNCTION_NONE);
}

static void a_position_that_does_not_fit_its_function_leads_nowhere(void **state)
{
	static const function_id seq[] = { 0, 1 };
	struct board *b = board();

	(void)state;
	assert_int_equal(route_update(b, 0, seq, 2), 0);
	assert_int_equal(route_next(b, 0, 1, 0, 0), FUNCTION_NONE);
	assert_int_equal(route_next(b, 0, 0, 250, 0), FUNCTION_NONE);
	assert_int_equal(route_next(b, 9, 0, 0, 0), FUNCTION_NONE);
	assert_int_equal(route_update(b, 0, seq, 0), -EINVAL);
	assert_int_equal(route_update(b, 0, (function_id[]){ 7 }, 1), -EINVAL);
	assert_int_equal(route_update(b, TOPIC_MAX, seq, 2), -EINVAL);
}

static void load_goes_where_most_capacity_is_left(void **state)
{
	struct board *b = board();
	int why, n[4] = { 0 };

	(void)state;
	for (int i = 0; i < 4; i++)
		n[route_pick(b, 0, &why)]++;
	assert_int_equal(n[1], 2);
	assert_int_equal(n[2], 2);
	route_done(b, 2);
	assert_int_equal(route_pick(b, 0, &why), 2);
}

static void a_full_backlog_pushes_back_and_a_dead_function_says_so(void **state)
{
	struct board *b = board();
	int why;

	(void)state;
	for (int i = 0; i < 2 + 3; i++)
		assert_int_equal(route_pick(b, 1, &why), 3);
	assert_int_equal(route_pick(b, 1, &why), INSTANCE_NONE);
	assert_int_equal(why, -EAGAIN);
	route_done(b, 3);
	assert_int_equal(route_pick(b, 1, &why), 3);
	b->line[3].state = INSTANCE_DEAD;
	assert_int_equal(route_pick(b, 1, &why), INSTANCE_NONE);
	assert_int_equal(why, -EPIPE);
	assert_int_equal(route_pick(b, 2, &why), INSTANCE_NONE);
	assert_int_equal(route_pick(b, 99, &why), INSTANCE_NONE);
}

static void load_never_falls_below_zero(void **state)
{
	struct board *b = board();

	(void)state;
	route_done(b, 1);
	route_done(b, 1);
	assert_int_equal(b->line[1].load, 0);
}

/* A message whose sender was killed does not arrive: nobody else would lower what it had raised. */
static void what_is_lost_on_its_way_no_longer_counts_as_load(void **state)
{
	struct board *b = board();
	struct message m = { .kind = MESSAGE_CALL, .depth = 1, .stack = { { .function = 1, .instance = 3 } } };

	(void)state;
	b->line[1].load = b->line[2].load = b->line[3].load = 1;
	route_lost(b, &m, 1);               /* called 1, from 3 */
	route_unwind(b, &m);
	assert_int_equal(b->line[1].load, 0);
	assert_int_equal(b->line[3].load, 0);
	m.kind = MESSAGE_ANSWER;            /* an answer to 3: counted once, with its frame */
	b->line[3].load = 2;
	route_lost(b, &m, 3);
	route_unwind(b, &m);
	assert_int_equal(b->line[3].load, 1);
	route_lost(b, &m, 2);               /* to 2 in place of 3, which had died and begun anew */
	assert_int_equal(b->line[2].load, 0);
	m.kind = MESSAGE_REPLY;
	b->line[GATEWAY].load = 1;
	route_lost(b, &m, GATEWAY);
	assert_int_equal(b->line[GATEWAY].load, 1);
	route_lost(b, &m, INSTANCE_NONE);   /* whoever held it has died: its line begins anew */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sequence_may_visit_a_function_again_and_leave_it_elsewhere),
		cmocka_unit_test(a_position_that_does_not_fit_its_function_leads_nowhere),
		cmocka_unit_test(load_goes_where_most_capacity_is_left),
		cmocka_unit_test(a_full_backlog_pushes_back_and_a_dead_function_says_so),
		cmocka_unit_test(load_never_falls_below_zero),
		cmocka_unit_test(what_is_lost_on_its_way_no_longer_counts_as_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
