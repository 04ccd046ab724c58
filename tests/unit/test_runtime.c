/* SPDX-License-Identifier: BSD-2-Clause */
/* The runtime with all functions in this process (the null dataplane), the test as its gateway. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>

#include "chain/clock.h"
#include "chain/codec.h"
#include "chain/runtime.h"

enum { ADD, TWICE, DEEP, RUDE, FAILING, LOST, SLOW, N_FUNCTIONS };
enum { TOPIC_ADD, TOPIC_TWICE, TOPIC_DEEP, TOPIC_RUDE, TOPIC_FAILING, TOPIC_LOST, TOPIC_SLOW,
       N_TOPICS };

/* Appends its mark to the payload and passes it on. */
static enum outcome add(struct invocation *inv)
{
	((char *)inv->payload)[inv->length++] = 'a';
	return FORWARD;
}

/* Calls ADD twice; what it must remember is in its locals. */
static enum outcome twice(struct invocation *inv)
{
	unsigned *sum = inv->locals;

	*sum += inv->length;
	if (inv->step < 2)
		return invocation_call(inv, ADD, inv->step + 1, TYPE_BYTES, inv->step);
	inv->length = (uint32_t)sprintf(inv->payload, "%u", *sum);
	return REPLY;
}

/* Calls itself until the stack is full, then hands the error down. */
static enum outcome deep(struct invocation *inv)
{
	unsigned *mark = inv->locals;

	if (!inv->step) {
		*mark = inv->message->depth;
		return invocation_call(inv, DEEP, 1, TYPE_BYTES, 0);
	}
	if (*mark != inv->message->depth)
		return invocation_fail(inv, STATUS_INTERNAL, "locals of another frame");
	return invocation_return(inv, inv->status, inv->type, inv->length);
}

static enum outcome rude(struct invocation *inv)
{
	inv->length = inv->room + 1;
	return REPLY;
}

static enum outcome failing(struct invocation *inv)
{
	return invocation_fail(inv, 418, "short and stout");
}

static enum outcome lost(struct invocation *inv)
{
	if (!inv->step)
		return invocation_call(inv, 31, 1, TYPE_BYTES, 0);
	return invocation_return(inv, inv->status, inv->type, inv->length);
}

static enum outcome slow(struct invocation *inv)
{
	inv->length = 0;
	return REPLY;
}

static const struct function
	f_add = { .name = "add", .handle = add },
	f_twice = { .name = "twice", .handle = twice, .locals = 4 },
	f_deep = { .name = "deep", .handle = deep, .locals = 100 },
	f_rude = { .name = "rude", .handle = rude },
	f_failing = { .name = "failing", .handle = failing },
	f_lost = { .name = "lost", .handle = lost },
	f_slow = { .name = "slow", .handle = slow, .service_ns = 100000 };

static const struct function *const functions[] = {
	&f_add, &f_twice, &f_deep, &f_rude, &f_failing, &f_lost, &f_slow,
};
static const function_id ids[] = { ADD, TWICE, DEEP, RUDE, FAILING, LOST, SLOW };
static const function_id adds[] = { ADD, ADD, ADD };
static const struct chain chains[] = {
	{ "add", "/add", adds, 3, NULL }, { "twice", "/t", &ids[TWICE], 1, NULL }, { "deep", "/d", &ids[DEEP], 1, NULL },
	{ "rude", "/r", &ids[RUDE], 1, NULL }, { "failing", "/f", &ids[FAILING], 1, NULL },
	{ "lost", "/l", &ids[LOST], 1, NULL }, { "slow", "/s", &ids[SLOW], 1, NULL },
};
static const struct application app = {
	.functions = functions, .n_functions = N_FUNCTIONS, .chains = chains, .n_chains = N_TOPICS,
};

struct bench {
	struct deployment d;
	struct runtime *r;
	unsigned sent, wanted, replies;
	uint16_t topic, status, type;
	char text[128];
};

static void on_reply(void *arg, struct message *m)
{
	struct bench *b = arg;
	size_t n = m->length < sizeof(b->text) - 1 ? m->length : sizeof(b->text) - 1;

	memcpy(b->text, message_payload(m), n);
	b->text[n] = '\0';
	b->status = m->status;
	b->type = m->type;
	assert_int_equal(m->depth, 0);
	assert_int_equal(pool_free(b->d.pool, m, GATEWAY), 0);
	if (++b->replies == b->wanted)
		b->d.board->stop = 1;
}

static void on_turn(void *arg)
{
	struct bench *b = arg;

	while (b->sent < b->wanted) {
		struct message *m = pool_alloc(b->d.pool, GATEWAY);

		if (!m)
			return;
		m->kind = MESSAGE_INVOKE;
		m->topic = b->topic;
		m->function = chains[b->topic].sequence[0];
		m->type = TYPE_BYTES;
		b->sent++;
		assert_int_equal(runtime_dispatch(b->r, m), 0);
	}
}

static int64_t on_due(void *arg)
{
	struct bench *b = arg;

	return b->sent < b->wanted ? 0 : -1;
}

static void on_ready(void *arg, void *data, uint32_t events)
{
	(void)arg, (void)data, (void)events;
	fail();
}

static int bench_open(void **state)
{
	static struct bench b;
	static struct board board;

	memset(&b, 0, sizeof(b));
	memset(&board, 0, sizeof(board));
	b.d.ops = dataplane_find("null");
	b.d.app = &app;
	b.d.board = &board;
	b.d.flags = DP_ONE_PROCESS;
	deploy_defaults(&b.d.config);
	b.d.config.pool_buffers = 64;
	b.d.config.concurrency = 4;
	b.d.wake_fd = eventfd(0, EFD_NONBLOCK);
	board.functions = N_FUNCTIONS;
	board.topics = N_TOPICS;
	board.instances = N_FUNCTIONS + 1;
	board.line[GATEWAY].state = INSTANCE_READY;
	for (unsigned f = 0; f < N_FUNCTIONS; f++) {
		board.of[f].count = 1;
		board.of[f].at[0] = (instance_id)(f + 1);
		board.line[f + 1].function = (function_id)f;
		board.line[f + 1].concurrency = 4;
		board.line[f + 1].backlog = 1024;
	}
	for (unsigned t = 0; t < N_TOPICS; t++)
		route_update(&board, (uint16_t)t, chains[t].sequence, chains[t].length);
	*state = &b;
	return pool_create(&b.d.pool, 64, 4096, 0);
}

static int bench_close(void **state)
{
	struct bench *b = *state;
	int left = (int)pool_in_use(b->d.pool);

	pool_destroy(b->d.pool);
	close(b->d.wake_fd);
	return left;            /* a buffer that was not given back fails the test */
}

static void play(struct bench *b, uint16_t topic, unsigned requests)
{
	struct runtime_guest guest = { .arg = b, .reply = on_reply, .ready = on_ready, .turn = on_turn,
				       .due = on_due };

	b->topic = topic;
	b->wanted = requests;
	assert_int_equal(runtime_open(&b->r, &b->d, GATEWAY, &guest), 0);
	assert_int_equal(runtime_loop(b->r), 0);
	runtime_close(b->r);
	assert_int_equal(b->replies, requests);
	for (unsigned i = 0; i <= N_FUNCTIONS; i++)
		assert_int_equal(b->d.board->line[i].load, 0);
}

static void forward_follows_the_sequence_and_ends_at_the_client(void **state)
{
	struct bench *b = *state;

	play(b, TOPIC_ADD, 1);
	assert_string_equal(b->text, "aaa");
	assert_int_equal(b->status, STATUS_OK);
	assert_int_equal(b->d.board->line[ADD + 1].handled, 3);
}

static void a_callee_that_replies_ends_its_callers_too(void **state)
{
	struct bench *b = *state;

	play(b, TOPIC_TWICE, 1);
	assert_string_equal(b->text, "a");
}

static void calls_nest_to_the_limit_and_every_frame_keeps_its_locals(void **state)
{
	struct bench *b = *state;

	play(b, TOPIC_DEEP, 1);
	assert_int_equal(b->type, TYPE_REASON);
	assert_int_equal(b->status, STATUS_INTERNAL);
	assert_string_equal(b->text, "the message cannot be encoded");
	assert_int_equal(b->d.board->line[DEEP + 1].handled, MESSAGE_DEPTH_MAX + 1);
}

static void a_function_that_overruns_its_room_fails_alone(void **state)
{
	struct bench *b = *state;

	play(b, TOPIC_RUDE, 3);
	assert_int_equal(b->status, STATUS_INTERNAL);
}

static void fail_gives_the_client_status_and_reason(void **state)
{
	struct bench *b = *state;

	play(b, TOPIC_FAILING, 1);
	assert_int_equal(b->status, 418);
	assert_string_equal(b->text, "short and stout");
}

static void a_call_to_nobody_is_answered_with_502(void **state)
{
	struct bench *b = *state;

	play(b, TOPIC_LOST, 1);
	assert_int_equal(b->status, STATUS_BAD_GATEWAY);
}

static void sleeping_requests_above_the_concurrency_limit_wait_their_turn(void **state)
{
	struct bench *b = *state;

	b->d.config.service = SERVICE_SLEEP;
	play(b, TOPIC_SLOW, 500);
	assert_int_equal(b->d.board->line[SLOW + 1].handled, 500);
}

static void spun_service_time_is_cpu_time(void **state)
{
	struct bench *b = *state;
	uint64_t before = clock_cpu_ns();

	b->d.config.service = SERVICE_SPIN;
	play(b, TOPIC_SLOW, 20);
	assert_true(clock_cpu_ns() - before >= 20 * f_slow.service_ns);
}

#define BENCH(f) cmocka_unit_test_setup_teardown(f, bench_open, bench_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH(forward_follows_the_sequence_and_ends_at_the_client),
		BENCH(calls_nest_to_the_limit_and_every_frame_keeps_its_locals),
		BENCH(a_function_that_overruns_its_room_fails_alone),
		BENCH(fail_gives_the_client_status_and_reason),
		BENCH(a_call_to_nobody_is_answered_with_502),
		BENCH(sleeping_requests_above_the_concurrency_limit_wait_their_turn),
		BENCH(spun_service_time_is_cpu_time),
		BENCH(a_callee_that_replies_ends_its_callers_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
