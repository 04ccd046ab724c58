/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two gRPC endpoints over the loopback, the test between them as both their runtimes: what a caller is told
 * when its callee answers, refuses, is late or gone.
 */
#include "dataplanes/kernel/grpc.h"
#include "tests/unit/test_kernel_bench.h"

enum { PATIENCE_MS = 5000 };    /* for what happens at once, or a deadline after it */

#define SHORT_NS (50 * NS_PER_MS)

/* An endpoint of instance SELF (alpha, who calls) or OTHER (beta, who is called). */
struct end {
	struct engine_counters counters;
	struct pool *pool;
	struct grpc *g;
	instance_id self;
};

struct pair {
	struct board board;
	struct sockaddr_in serve, target[INSTANCE_MAX];
	struct end caller, callee;
	int reserved[2];
};

static void open_end(struct pair *p, struct end *e, instance_id self, uint64_t timeout_ns)
{
	const struct engine_config c = {
		.app = &app, .board = &p->board, .self = self, .servers = CLIENTS, .clients = CLIENTS,
		.listen = self == SELF ? &p->serve : &p->target[OTHER], .target = p->target,
		.body_max = BYTES, .timeout_ns = timeout_ns, .counters = &e->counters,
	};

	e->self = self;
	assert_int_equal(pool_create(&e->pool, BUFFERS, BYTES, 0), 0);
	assert_int_equal(grpc_open(&e->g, &c, -1, e->pool), 0);
}

/* The caller waits `timeout_ns` for an answer, 0: for ever. */
static struct pair *make_pair(uint64_t timeout_ns)
{
	struct pair *p = NULL;

	assert_int_equal(posix_memalign((void **)&p, 64, sizeof(*p)), 0);
	memset(p, 0, sizeof(*p));
	p->board.instances = 3;
	p->board.functions = p->board.topics = 2;
	p->board.line[SELF].function = ALPHA;
	p->board.line[OTHER].function = BETA;
	p->reserved[0] = listener(&p->serve, false);
	p->reserved[1] = listener(&p->target[OTHER], false);
	open_end(p, &p->caller, SELF, timeout_ns);
	open_end(p, &p->callee, OTHER, 0);
	return p;
}

/* Nothing may be left in a pool, whatever a test has done. */
static void drop_pair(struct pair *p)
{
	for (struct end *e = &p->caller; e; e = e == &p->caller ? &p->callee : NULL) {
		if (e->g)
			assert_int_equal(pool_in_use(e->pool), 0);
		grpc_close(e->g);
		pool_destroy(e->pool);
	}
	close(p->reserved[0]);
	close(p->reserved[1]);
	free(p);
}

static struct message *taken(struct end *e)
{
	struct message *m;
	int n;

	if (!e->g)
		return NULL;
	assert_int_equal(grpc_flush(e->g), 0);
	n = grpc_recv(e->g, &m, 1, NS_PER_MS);
	assert_true(n >= 0);
	return n ? m : NULL;
}

/* Both work until `who` has a message for its runtime, or NULL when it has none within `ms`. */
static struct message *next_of(struct pair *p, struct end *who, int ms)
{
	struct end *other = who == &p->caller ? &p->callee : &p->caller;
	const uint64_t end = clock_now_ns() + (uint64_t)ms * NS_PER_MS;
	struct message *m;

	do {
		assert_null(taken(other));
		m = taken(who);
	} while (!m && clock_now_ns() < end);
	return m;
}

/* Both work until the counter has been raised. */
static void until_counted(struct pair *p, const _Atomic uint64_t *counter)
{
	const uint64_t end = clock_now_ns() + PATIENCE_MS * NS_PER_MS;

	while (!atomic_load(counter) && clock_now_ns() < end) {
		assert_null(taken(&p->caller));
		assert_null(taken(&p->callee));
	}
	assert_int_equal(atomic_load(counter), 1);
}

static struct message *call_of(struct pair *p, const char *arguments)
{
	struct message *m = pool_alloc(p->caller.pool, SELF);

	assert_non_null(m);
	m->kind = MESSAGE_CALL;
	m->function = BETA;
	m->topic = 1;
	m->position = 3;
	m->stack[m->depth++] = (struct frame){ .function = ALPHA, .instance = SELF, .step = 7 };
	set_bytes(m, arguments);
	return m;
}

/* Call beta; the message as beta's runtime gets it. */
static struct message *called(struct pair *p, const char *arguments)
{
	struct message *m;

	assert_int_equal(grpc_send(p->caller.g, OTHER, call_of(p, arguments)), 0);
	m = next_of(p, &p->callee, PATIENCE_MS);
	assert_non_null(m);
	return m;
}

/* Beta's runtime answers the call that `m` is with `status` and `text`. */
static void answer(struct pair *p, struct message *m, uint16_t status, uint16_t type, const char *text)
{
	m->kind = MESSAGE_ANSWER;
	m->status = status;
	m->depth = 0;
	set_bytes(m, text);
	m->type = type;
	assert_int_equal(grpc_send(p->callee.g, GATEWAY, m), 0);
}

/* The caller is resumed with this, at the step where it had called. */
static void resumed(struct pair *p, uint16_t status, uint16_t type, const char *text)
{
	struct message *m = next_of(p, &p->caller, PATIENCE_MS);

	assert_non_null(m);
	assert_int_equal(m->kind, MESSAGE_ANSWER);
	assert_int_equal(m->function, ALPHA);
	assert_int_equal(m->depth, 1);
	assert_int_equal(m->stack[0].step, 7);
	assert_int_equal(m->status, status);
	assert_int_equal(m->type, type);
	if (text) {
		assert_int_equal(m->length, strlen(text));
		assert_memory_equal(message_payload(m), text, m->length);
	}
	assert_int_equal(pool_free(p->caller.pool, m, SELF), 0);
}

static void an_answered_call_resumes_with_its_frames(void **state)
{
	struct pair *p = make_pair(0);
	struct message *m = called(p, "arguments");

	(void)state;
	assert_int_equal(m->kind, MESSAGE_CALL);
	assert_int_equal(m->function, BETA);
	assert_int_equal(m->topic, 1);
	assert_int_equal(m->position, 3);
	assert_int_equal(m->length, 9);
	assert_memory_equal(message_payload(m), "arguments", 9);
	answer(p, m, 201, TYPE_BYTES, "hi");
	resumed(p, 201, TYPE_BYTES, "hi");
	/* The next one takes the same connection. */
	answer(p, called(p, "again"), 200, TYPE_BYTES, "");
	resumed(p, 200, TYPE_BYTES, "");
	assert_int_equal(atomic_load(&p->caller.counters.connects), 1);
	assert_int_equal(atomic_load(&p->callee.counters.accepts), 1);
	drop_pair(p);
}

static void a_functions_status_and_reason_reach_its_caller_exactly(void **state)
{
	static const uint16_t statuses[] = { 400, 404, 409, 418, 422, 429, 499, 500, 501, 503, 504, 599 };
	struct pair *p = make_pair(0);

	(void)state;
	for (unsigned i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		answer(p, called(p, "x"), statuses[i], TYPE_REASON, "50 % of caf\xc3\xa9s");
		resumed(p, statuses[i], TYPE_REASON, "50 % of caf\xc3\xa9s");
	}
	assert_int_equal(atomic_load(&p->caller.counters.broken), 0);
	drop_pair(p);
}

/* As `called`, with a deadline: on a machine that has just stood still it may pass before beta has the call. */
static struct message *called_in_time(struct pair *p)
{
	for (int i = 0; i < 50; i++) {
		struct message *m = NULL, *early = NULL;

		assert_int_equal(grpc_send(p->caller.g, OTHER, call_of(p, "arguments")), 0);
		while (!m && !early) {
			early = taken(&p->caller);
			m = taken(&p->callee);
		}
		if (!early)
			return m;
		assert_int_equal(early->status, STATUS_GATEWAY_TIMEOUT);
		assert_int_equal(pool_free(p->caller.pool, early, SELF), 0);
		for (; m || (m = next_of(p, &p->callee, 20)); m = NULL)
			assert_int_equal(pool_free(p->callee.pool, m, OTHER), 0);
	}
	fail_msg("no call arrives within its deadline");
	return NULL;
}

static void a_late_callee_is_a_504_and_its_answer_finds_nobody(void **state)
{
	struct pair *p = make_pair(SHORT_NS);

	(void)state;
	for (uint64_t n = 1; n <= 2; n++) {
		struct message *m = called_in_time(p);

		resumed(p, STATUS_GATEWAY_TIMEOUT, TYPE_REASON, NULL);
		/* The callee is told, too. */
		assert_null(next_of(p, &p->callee, 20));
		answer(p, m, 200, TYPE_BYTES, "too late");
		assert_int_equal(atomic_load(&p->callee.counters.aborted), n);
		assert_null(next_of(p, &p->caller, 20));
	}
	/* The connection stays as good as before. */
	assert_int_equal(atomic_load(&p->caller.counters.connects), 1);
	drop_pair(p);
}

static void a_deadline_travels_with_the_call(void **state)
{
	struct pair *p = make_pair(SHORT_NS);
	struct message *m = called_in_time(p);
	const uint64_t before = atomic_load(&p->callee.counters.timeouts);
	const uint64_t end = clock_now_ns() + PATIENCE_MS * NS_PER_MS;

	/* The callee ends it by itself: the caller does not run, so no RST_STREAM comes. */
	(void)state;
	while (atomic_load(&p->callee.counters.timeouts) == before && clock_now_ns() < end)
		assert_null(taken(&p->callee));
	assert_int_equal(atomic_load(&p->callee.counters.timeouts), before + 1);
	assert_int_equal(pool_free(p->callee.pool, m, OTHER), 0);
	/* DEADLINE_EXCEEDED from there or from its own clock, it is a 504. */
	resumed(p, STATUS_GATEWAY_TIMEOUT, TYPE_REASON, NULL);
	drop_pair(p);
}

static void calls_above_the_callees_streams_wait_for_one(void **state)
{
	struct pair *p = make_pair(0);
	struct message *m[CLIENTS];

	(void)state;
	for (int i = 0; i < CLIENTS; i++)
		m[i] = called(p, "x");
	/* The caller has no more of its own: it is told at once, and keeps the message. */
	{
		struct message *more = call_of(p, "one too many");

		assert_int_equal(grpc_send(p->caller.g, OTHER, more), -EAGAIN);
		assert_memory_equal(message_payload(more), "one too many", 12);
		assert_int_equal(pool_free(p->caller.pool, more, SELF), 0);
	}
	for (int i = 0; i < CLIENTS; i++) {
		answer(p, m[i], 200, TYPE_BYTES, "ok");
		resumed(p, 200, TYPE_BYTES, "ok");
	}
	answer(p, called(p, "now"), 200, TYPE_BYTES, "ok");
	resumed(p, 200, TYPE_BYTES, "ok");
	drop_pair(p);
}

static void a_callee_without_buffers_is_unavailable_to_its_caller(void **state)
{
	struct pair *p = make_pair(0);
	struct message *held[BUFFERS];

	(void)state;
	for (int i = 0; i < BUFFERS; i++) {
		held[i] = pool_alloc(p->callee.pool, OTHER);
		assert_non_null(held[i]);
	}
	assert_int_equal(grpc_send(p->caller.g, OTHER, call_of(p, "x")), 0);
	resumed(p, STATUS_UNAVAILABLE, TYPE_REASON, NULL);
	until_counted(p, &p->callee.counters.refused);
	for (int i = 0; i < BUFFERS; i++)
		assert_int_equal(pool_free(p->callee.pool, held[i], OTHER), 0);
	answer(p, called(p, "again"), 200, TYPE_BYTES, "ok");
	resumed(p, 200, TYPE_BYTES, "ok");
	drop_pair(p);
}

static void a_callee_that_dies_is_a_502_and_one_that_is_gone_likewise(void **state)
{
	struct pair *p = make_pair(0);
	struct message *m = called(p, "arguments");

	(void)state;
	assert_int_equal(pool_free(p->callee.pool, m, OTHER), 0);
	grpc_close(p->callee.g);
	p->callee.g = NULL;
	resumed(p, STATUS_BAD_GATEWAY, TYPE_REASON, NULL);
	/* Nobody listens: not even a connection. */
	assert_int_equal(grpc_send(p->caller.g, OTHER, call_of(p, "x")), 0);
	resumed(p, STATUS_BAD_GATEWAY, TYPE_REASON, NULL);
	drop_pair(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answered_call_resumes_with_its_frames),
		cmocka_unit_test(a_functions_status_and_reason_reach_its_caller_exactly),
		cmocka_unit_test(a_late_callee_is_a_504_and_its_answer_finds_nobody),
		cmocka_unit_test(a_deadline_travels_with_the_call),
		cmocka_unit_test(calls_above_the_callees_streams_wait_for_one),
		cmocka_unit_test(a_callee_without_buffers_is_unavailable_to_its_caller),
		cmocka_unit_test(a_callee_that_dies_is_a_502_and_one_that_is_gone_likewise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
