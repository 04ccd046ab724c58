/* SPDX-License-Identifier: BSD-2-Clause */
/* The load generator against a server that answers, and misbehaves, as it is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "chain/clock.h"
#include "tests/unit/test_loadgen_server.h"
#include "workloads/loadgen/loadgen.h"

enum { TRACED_USERS = 8, TRACED_REQUESTS = 20 };

/* What the users ask for, and what they have seen. The generator runs in this process. */
static struct play {
	const char *method;
	const char *const *paths;
	unsigned n_paths;
	unsigned users_seen;        /* users that have made a request */
	uint64_t trace[TRACED_USERS][TRACED_REQUESTS];
	uint64_t answers, bodies_wrong;
	uint64_t stop_after;        /* answers */
	bool refuse;                /* the model takes no answer for a success */
	unsigned action;            /* requests without think time between them; 0: 1 */
	unsigned traced;            /* so many requests are due at once, the next in an hour */
	bool broken;                /* the model cannot write a request */
	_Atomic uint32_t stop;
} play;

struct player {
	unsigned number, requests;  /* number from 1: 0 is "not yet" */
};

static int play_next(void *user, uint64_t *random, struct user_request *rq)
{
	struct player *p = user;
	uint64_t draw = random_next(random);
	unsigned path = (unsigned)(draw % play.n_paths);

	if (play.broken)
		return -EIO;
	if (!p->number)
		p->number = ++play.users_seen;
	if (p->number <= TRACED_USERS && p->requests < TRACED_REQUESTS)
		play.trace[p->number - 1][p->requests] = draw;
	p->requests++;
	rq->more = play.action && p->requests % play.action;
	if (play.traced)
		rq->due_ns = p->requests < play.traced ? 1 : 3600 * NS_PER_SEC;
	rq->chain = path;
	rq->length = (size_t)snprintf(rq->out, rq->room, "%s %s HTTP/1.1\r\nHost: test\r\n\r\n",
				      play.method, play.paths[path]);
	return 0;
}

static void play_response(void *user, const char *head, size_t head_length, const char *body,
			  size_t body_length, unsigned status, bool *ok)
{
	(void)user;
	assert_true(head_length > 12 && !memcmp(head, "HTTP/1.", 7));
	assert_int_equal(*ok, status >= 200 && status < 400);
	if (status == 200 && (body_length != 5 || memcmp(body, "hello", 5)))
		play.bodies_wrong++;
	if (play.refuse)
		*ok = false;
	if (++play.answers == play.stop_after)
		play.stop = 1;
}

static const struct user_model model = {
	.user_bytes = sizeof(struct player),
	.next = play_next,
	.response = play_response,
};

static const struct chain chains[TOPIC_MAX];
static const struct application app = { .chains = chains, .n_chains = TOPIC_MAX, .users = &model };
static struct loadgen_result result;

/* A configuration that asks `server` for `paths`; the caller changes what it is about. */
static struct loadgen_config configure(const struct server *server, const char *const *paths,
				       unsigned n_paths)
{
	memset(&play, 0, sizeof(play));
	play.method = "GET";
	play.paths = paths;
	play.n_paths = n_paths;
	return (struct loadgen_config){
		.target = server->address,
		.app = &app,
		.users = 4,
		.requests = 200,
		.timeout_ns = 20 * NS_PER_SEC,
		.keep_alive = true,
		.seed = 42,
	};
}

static void run(const struct loadgen_config *c)
{
	assert_int_equal(loadgen_run(c, &result, &play.stop), 0);
	assert_int_equal(result.phase, 3);
	assert_int_equal(result.requests, result.errors + result.response.count);
	assert_int_equal(result.response.count, result.service.count);
	assert_true(result.service.sum <= result.response.sum);
}

/* Values counted at or above the bucket of `ns`. */
static uint64_t at_least(const struct histogram *h, uint64_t ns)
{
	uint64_t lo, hi, n = 0;

	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		histogram_bounds(i, &lo, &hi);
		if (lo >= ns)
			n += h->bucket[i];
	}
	return n;
}

#define PATHS(...) (const char *const[]){ __VA_ARGS__ }, \
		   sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *)

static int setup(void **state)
{
	struct server *s = malloc(sizeof(*s));

	*state = s;
	return s ? server_start(s) : -1;
}

static int teardown(void **state)
{
	server_stop(*state);
	free(*state);
	return 0;
}

/* ---- Counting -------------------------------------------------------------------------------- */

static void a_number_of_requests_is_kept_exactly_here_and_at_the_server(void **state)
{
	static const unsigned users[] = { 1, 7, 32 }, requests[] = { 1, 5, 100, 1000 };
	struct server *s = *state;

	for (unsigned i = 0; i < 3; i++) {
		for (unsigned j = 0; j < 4; j++) {
			struct loadgen_config c = configure(s, PATHS("/ok"));

			c.users = users[i];
			c.requests = requests[j];
			s->log->requests = 0;
			run(&c);
			assert_int_equal(result.requests, requests[j]);
			assert_int_equal(result.completed, requests[j]);
			assert_int_equal(s->log->requests, requests[j]);
			assert_int_equal(result.errors, 0);
			assert_int_equal(result.unfinished, 0);
		}
	}
}

static void a_number_of_requests_after_a_warm_up_counts_measured_ones_only(void **state)
{
	struct loadgen_config c = configure(*state, PATHS("/ok"));

	c.warmup_ns = 100 * NS_PER_MS;
	c.requests = 500;
	run(&c);
	assert_int_equal(result.requests, 500);
	assert_true(result.completed > 500);
}

static void every_kind_of_sound_answer_is_understood(void **state)
{
	struct loadgen_config c = configure(*state, PATHS("/ok", "/chunked", "/empty", "/moved",
							  "/interim", "/close", "/eof", "/trickle",
							  "/silent", "/surplus"));

	run(&c);
	assert_int_equal(result.errors, 0);
	assert_int_equal(play.answers, 200);
	assert_int_equal(play.bodies_wrong, 0);
}

static void an_answer_to_head_has_no_body(void **state)
{
	struct loadgen_config c = configure(*state, PATHS("/head"));

	play.method = "HEAD";
	run(&c);
	assert_int_equal(result.errors, 0);
	assert_int_equal(play.bodies_wrong, 200);
	assert_int_equal(result.connects, c.users);
}

static void errors_are_counted_by_status_and_by_chain(void **state)
{
	struct loadgen_config c = configure(*state, PATHS("/ok", "/missing", "/failed"));

	run(&c);
	assert_int_equal(result.errors, result.errors_by_status[4] + result.errors_by_status[5]);
	assert_int_equal(result.chain_errors[0], 0);
	assert_int_equal(result.chain_errors[1], result.errors_by_status[4]);
	assert_int_equal(result.chain_errors[2], result.errors_by_status[5]);
	assert_true(result.chain_errors[1] && result.chain_errors[2]);
	assert_int_equal(result.chain_service[0].count, result.response.count);
	assert_int_equal(result.chain_service[1].count, 0);
	assert_int_equal(result.connects, c.users);     /* an error status keeps the connection */
	assert_string_equal(result.first_error, "");
}

static void the_user_model_may_refuse_an_answer(void **state)
{
	struct loadgen_config c = configure(*state, PATHS("/ok"));

	play.refuse = true;
	run(&c);
	assert_int_equal(result.errors, 200);
	assert_int_equal(result.errors_by_status[2], 200);
}

static void the_series_accounts_for_every_request(void **state)
{
	struct loadgen_config c = configure(*state, PATHS("/ok", "/missing"));
	uint64_t requests = 0, errors = 0;

	c.requests = 0;
	c.warmup_ns = 100 * NS_PER_MS;
	c.duration_ns = 350 * NS_PER_MS;
	run(&c);
	assert_int_equal(result.series_step_ms, 100);
	assert_true(result.series_points >= 4);
	for (unsigned i = 0; i < result.series_points; i++) {
		requests += result.series[i].requests;
		errors += result.series[i].errors;
		assert_int_equal(result.series[i].users, c.users);
		assert_true(result.series[i].p50_us <= result.series[i].p99_us);
	}
	assert_true(requests && requests <= result.completed);  /* less the last, short step */
	assert_true(errors && errors < requests);
	assert_true(result.completed > result.requests);
}

/* ---- Connections ----------------------------------------------------------------------------- */

static void keep_alive_makes_one_connection_per_user(void **state)
{
	struct server *s = *state;
	struct loadgen_config c = configure(s, PATHS("/ok"));

	run(&c);
	assert_int_equal(result.connects, c.users);
	assert_int_equal(s->log->connections, c.users);
	assert_int_equal(s->log->closes_asked, 0);
}

static void without_keep_alive_every_request_asks_to_close_and_has_its_own_connection(void **state)
{
	struct server *s = *state;
	struct loadgen_config c = configure(s, PATHS("/ok", "/chunked"));

	c.keep_alive = false;
	run(&c);
	assert_int_equal(result.errors, 0);
	assert_int_equal(result.connects, 200);
	assert_int_equal(s->log->connections, 200);
	assert_int_equal(s->log->closes_asked, 200);
}

static void a_get_whose_kept_connection_was_just_closed_is_asked_again(void **state)
{
	struct loadgen_config c = configure(*state, PATHS("/stale"));

	run(&c);
	assert_int_equal(result.errors, 0);
	assert_int_equal(play.answers, 200);
	assert_true(result.repeated > 0);
}

static void a_post_is_never_sent_twice(void **state)
{
	struct server *s = *state;
	struct loadgen_config c = configure(s, PATHS("/stale"));

	play.method = "POST";
	c.requests = 20;
	run(&c);
	assert_int_equal(result.repeated, 0);
	assert_int_equal(s->log->requests, 20);
	assert_true(result.errors > 0);
	assert_int_equal(result.errors, result.errors_by_status[0]);
}

static void many_users_share_few_files(void **state)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child) {
		struct rlimit few = { 40, 40 };
		struct loadgen_config c = configure(*state, PATHS("/ok"));
		bool good;

		c.users = 400;
		c.think_lo_ms = 100;
		c.think_hi_ms = 300;
		c.spawn_per_sec = 2000;
		c.requests = 1000;
		setrlimit(RLIMIT_NOFILE, &few);
		good = !loadgen_run(&c, &result, NULL) && result.requests == 1000 &&
		       result.response.count > 500 && play.users_seen == 400;
		_exit(good ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	/* Whether files go down that far may depend on what the test runner has open. */
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void two_thousand_users_are_spawned_and_think(void **state)
{
	struct loadgen_config c = configure(*state, PATHS("/ok"));

	c.users = 2000;
	c.spawn_per_sec = 10000;
	c.think_lo_ms = 50;
	c.think_hi_ms = 150;
	c.requests = 8000;
	run(&c);
	assert_int_equal(result.errors, 0);
	assert_int_equal(play.users_seen, 2000);
	assert_true(result.think_mean_ms > 97 && result.think_mean_ms < 103);
}

/* ---- A server that misbehaves ---------------------------------------------------------------- */

static void a_misbehaving_server_gives_transport_errors_and_never_wedges_a_user(void **state)
{
	static const char *const paths[] = { "/truncated", "/cut", "/garbage", "/mute", "/reset",
					     "/oversized", "/upgrade", "/smuggle", "/big",
					     "/flood" };

	for (unsigned i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		struct loadgen_config c = configure(*state, &paths[i], 1);

		c.requests = 12;
		run(&c);
		assert_int_equal(result.errors, 12);
		assert_int_equal(result.errors_by_status[0], 12);
		assert_int_equal(result.timeouts, 0);
		assert_int_equal(play.answers, 0);
		assert_true(result.first_error[0]);
	}
}

static void good_requests_succeed_beside_failing_ones(void **state)
{
	struct loadgen_config c = configure(*state, PATHS("/ok", "/reset", "/chunked", "/garbage"));

	run(&c);
	assert_int_equal(result.chain_errors[0] + result.chain_errors[2], 0);
	assert_int_equal(result.chain_service[0].count + result.chain_service[2].count,
			 play.answers);
	assert_true(play.answers > 0 && result.errors > 0);
}

static void silence_is_a_timeout_per_request(void **state)
{
	struct loadgen_config c = configure(*state, PATHS("/never"));

	c.timeout_ns = 30 * NS_PER_MS;
	c.requests = 12;
	run(&c);
	assert_int_equal(result.timeouts, 12);
	assert_int_equal(result.errors_by_status[0], 12);
}

static void a_refused_connection_is_an_error_and_backs_off(void **state)
{
	struct server *s = *state;
	struct loadgen_config c = configure(s, PATHS("/ok"));
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t length = sizeof(c.target);

	c.target.sin_port = 0;          /* bound, but nobody listens */
	assert_int_equal(bind(fd, (struct sockaddr *)&c.target, sizeof(c.target)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&c.target, &length), 0);
	c.requests = 0;
	c.duration_ns = 400 * NS_PER_MS;
	run(&c);
	assert_true(result.errors >= c.users);
	assert_int_equal(result.errors, result.errors_by_status[0]);
	/* 2 + 4 + … + 256 ms are more than 400: at most 8 attempts of each user. */
	assert_true(result.errors <= 8 * c.users);
	assert_string_equal(result.first_error, "Connection refused");
	close(fd);
}

static void a_server_that_dies_ends_neither_the_run_nor_the_process(void **state)
{
	struct server *s = *state;
	struct loadgen_config c = configure(s, PATHS("/ok"));

	s->log->exit_at = 100;
	c.requests = 0;
	c.duration_ns = 300 * NS_PER_MS;
	run(&c);
	assert_true(result.response.count >= 99 - c.users && result.response.count < 100);
	assert_true(result.errors >= c.users);
}

/* ---- The end --------------------------------------------------------------------------------- */

static void the_run_ends_by_duration_and_drains_no_longer_than_the_timeout(void **state)
{
	struct loadgen_config c = configure(*state, PATHS("/never"));

	c.requests = 0;
	c.duration_ns = 50 * NS_PER_MS;
	c.timeout_ns = 150 * NS_PER_MS;
	run(&c);
	assert_int_equal(result.requests, 0);
	assert_int_equal(result.unfinished, c.users);
	assert_int_equal(result.completed, c.users);    /* timed out while draining: in no record */
}

static void stop_ends_the_run_at_once(void **state)
{
	struct loadgen_config c = configure(*state, PATHS("/ok", "/never"));

	play.stop_after = 1;
	c.users = 64;
	c.requests = 0;
	c.duration_ns = 3600 * NS_PER_SEC;
	c.timeout_ns = 3600 * NS_PER_SEC;
	run(&c);
	assert_true(play.answers >= 1);
}

static void an_unsound_configuration_is_refused_with_a_sentence(void **state)
{
	struct loadgen_config good = configure(*state, PATHS("/ok")), c;

#define REFUSED(change)                                                                            \
	do {                                                                                       \
		c = good;                                                                          \
		change;                                                                            \
		assert_int_equal(loadgen_run(&c, &result, NULL), -EINVAL);                         \
		assert_int_equal(result.error, -EINVAL);                                           \
		assert_true(result.why[0]);                                                        \
	} while (0)
	REFUSED(c.app = NULL);
	REFUSED(c.users = 0);
	REFUSED(c.target.sin_port = 0);
	REFUSED(c.arrivals = ARRIVALS_POISSON);
	REFUSED((c.arrivals = ARRIVALS_CONSTANT, c.rate = NAN));
	REFUSED(c.think_lo_ms = 5);
	REFUSED(c.timeout_ns = 0);
	REFUSED(c.requests = 0);
	REFUSED(c.digest = true);
#undef REFUSED
	play.broken = true;
	assert_int_equal(loadgen_run(&good, &result, NULL), -EIO);
	assert_true(result.why[0]);
}

/* ---- Latency and load ------------------------------------------------------------------------ */

static void one_stall_of_200_ms_shows_in_every_response_it_delayed(void **state)
{
	struct server *s = *state;
	struct loadgen_config c = configure(s, PATHS("/ok"));

	s->log->stall_at = 300;
	c.arrivals = ARRIVALS_CONSTANT;
	c.rate = 1000;
	c.users = 1;
	c.requests = 1000;
	run(&c);
	assert_int_equal(result.errors, 0);
	/*
	 * 200 requests were due during the stall; those of its first 100 ms waited for 100 ms or
	 * more. Seen from the send, there is one slow request, and 0.1 % of samples hide in no
	 * percentile.
	 */
	assert_true(at_least(&result.response, 100 * NS_PER_MS) >= 95);
	assert_true(at_least(&result.service, 100 * NS_PER_MS) <= 10);
	assert_true(histogram_quantile(&result.response, 0.99) >= 150 * NS_PER_MS);
	assert_true(result.late >= 150);
}

static void littles_law_holds_in_a_closed_loop(void **state)
{
	struct loadgen_config c = configure(*state, PATHS("/ok", "/chunked", "/close"));
	double n, x, r, edges;

	c.users = 8;
	c.requests = 0;
	c.warmup_ns = 100 * NS_PER_MS;
	c.duration_ns = NS_PER_SEC;
	run(&c);
	n = (double)result.in_flight_ns / (double)result.measured_ns;
	x = (double)result.requests / (double)result.measured_ns;
	r = histogram_mean(&result.response);
	assert_int_equal(result.errors, 0);
	assert_true(fabs(n - c.users) <= 0.02 * c.users);
	/* What is under way at an edge of the window counts as a whole or not at all. */
	edges = (double)histogram_quantile(&result.response, 1) / (double)result.measured_ns;
	assert_true(fabs(x * r - c.users) <= (0.02 + edges) * c.users);
	assert_true(fabs((double)result.residence_ns / (double)result.in_flight_ns - 1) <= 0.02);
}

static void the_integral_of_requests_in_flight_is_the_sum_of_their_response_times(void **state)
{
	static const enum arrivals kinds[] = { ARRIVALS_CLOSED, ARRIVALS_CONSTANT,
					       ARRIVALS_POISSON };

	for (unsigned i = 0; i < 3; i++) {
		struct loadgen_config c = configure(*state, PATHS("/ok", "/reset", "/never"));

		c.arrivals = kinds[i];
		c.rate = 2000;
		c.think_hi_ms = 3;
		c.requests = 120;       /* from the first request to the last, nothing is cut off */
		c.timeout_ns = 20 * NS_PER_MS;
		run(&c);
		assert_int_equal(result.in_flight_ns, result.residence_ns);
	}
}

static void with_the_edges_of_the_measured_part_put_right_the_sums_are_equal(void **state)
{
	static const enum arrivals kinds[] = { ARRIVALS_CLOSED, ARRIVALS_CONSTANT,
					       ARRIVALS_POISSON };

	for (unsigned i = 0; i < 3; i++) {
		struct loadgen_config c = configure(*state, PATHS("/ok", "/chunked", "/never"));

		c.arrivals = kinds[i];
		c.rate = 2000;
		c.requests = 0;
		c.warmup_ns = 130 * NS_PER_MS;
		c.duration_ns = 200 * NS_PER_MS;
		c.timeout_ns = 30 * NS_PER_MS;
		run(&c);
		assert_true(result.unfinished > 0);
		assert_true(result.in_flight_ns ==
			    result.residence_ns - result.earlier_ns + result.unfinished_ns);
	}
}

static void arrivals_that_find_no_connection_are_counted_as_missed(void **state)
{
	struct server *s = *state;
	struct loadgen_config c = configure(s, PATHS("/never"));

	c.arrivals = ARRIVALS_CONSTANT;
	c.rate = 1000;
	c.users = 4;
	c.requests = 0;
	c.duration_ns = 500 * NS_PER_MS;
	c.timeout_ns = 700 * NS_PER_MS;
	run(&c);
	assert_int_equal(s->log->open_peak, 4);
	assert_int_equal(result.requests, 0);
	assert_int_equal(result.unfinished, 4);
	/* Every arrival is accounted for: 500, and those due while the loop noticed the end. */
	assert_true(result.missed + 4 >= 499);
	assert_true((double)(result.missed + 4) <= 1 + (double)result.measured_ns / 1e6);
}

static void the_rate_of_an_open_loop_is_the_rate_asked_for(void **state)
{
	static const enum arrivals kinds[] = { ARRIVALS_CONSTANT, ARRIVALS_POISSON };

	for (unsigned i = 0; i < 2; i++) {
		struct loadgen_config c = configure(*state, PATHS("/ok"));
		double wanted, tolerance;

		c.arrivals = kinds[i];
		c.rate = 2000;
		c.users = 64;
		c.requests = 0;
		c.duration_ns = 500 * NS_PER_MS;
		run(&c);
		wanted = c.rate * (double)result.measured_ns / 1e9;
		/* Poisson: five standard deviations. */
		tolerance = kinds[i] == ARRIVALS_POISSON ? 5 * sqrt(wanted) : 2;
		assert_true(fabs((double)(result.requests + result.missed + result.unfinished) -
				 wanted) <= tolerance);
	}
}

static void the_ceiling_is_users_by_mean_think_time(void **state)
{
	static const struct user_model model_of_actions = { .requests_per_action = 2.5 };
	static const struct application actions = { .users = &model_of_actions };
	struct loadgen_config c = configure(*state, PATHS("/ok"));

	c.users = 12000;                /* SPRIGHT §4.2: 12K users, 1–10 s */
	c.think_lo_ms = 1000;
	c.think_hi_ms = 10000;
	assert_true(fabs(loadgen_offered_ceiling(&c) - 2181.8) < 0.1);
	c.app = &actions;
	assert_true(fabs(loadgen_offered_ceiling(&c) - 2.5 * 2181.8) < 0.1);
	c.think_lo_ms = c.think_hi_ms = 0;
	assert_true(loadgen_offered_ceiling(&c) == 0);
	c.arrivals = ARRIVALS_POISSON;
	c.rate = 77;
	assert_true(loadgen_offered_ceiling(&c) == 77);
}

static void a_closed_loop_with_think_time_stays_under_its_ceiling(void **state)
{
	struct loadgen_config c = configure(*state, PATHS("/ok"));

	c.users = 50;
	c.think_lo_ms = 10;
	c.think_hi_ms = 30;
	c.requests = 0;
	c.warmup_ns = 100 * NS_PER_MS;
	c.duration_ns = 500 * NS_PER_MS;
	run(&c);
	/* 5 standard deviations of the number of thinks in the interval. */
	assert_true((double)result.requests <=
		    loadgen_offered_ceiling(&c) * (double)result.measured_ns / 1e9 +
			    5 * sqrt((double)result.requests));
}

static void users_think_between_actions_and_not_within_them(void **state)
{
	struct loadgen_config c = configure(*state, PATHS("/ok"));

	play.action = 100;
	c.users = 1;
	c.think_lo_ms = c.think_hi_ms = 3600 * 1000;
	c.requests = 0;
	c.duration_ns = 300 * NS_PER_MS;
	run(&c);
	assert_true(result.requests > 1 && result.requests <= 100);
	assert_true(result.think_mean_ms == 0 || result.requests == 100);
}

static void a_trace_is_replayed_in_its_own_time_and_what_is_late_counts_as_late(void **state)
{
	struct loadgen_config c = configure(*state, PATHS("/ok"));

	play.traced = 50;
	c.users = 1;
	c.think_lo_ms = c.think_hi_ms = 1;
	c.requests = 0;
	c.duration_ns = 300 * NS_PER_MS;
	run(&c);
	assert_int_equal(result.requests, 50);
	/* All were due when the first was: each waited for all before it. */
	assert_true(result.response.sum > 10 * result.service.sum);
	c.think_lo_ms = c.think_hi_ms = 0;      /* a run without think times has none of these */
	c.requests = 200;
	run(&c);
	assert_int_equal(result.requests, 200);
}

/* ---- The same again -------------------------------------------------------------------------- */

static void the_same_seed_gives_every_user_the_same_requests(void **state)
{
	static uint64_t first[TRACED_USERS][TRACED_REQUESTS];
	struct loadgen_config c = configure(*state, PATHS("/ok", "/chunked", "/moved"));

	c.users = TRACED_USERS;
	c.think_lo_ms = c.think_hi_ms = 1;      /* so that every user makes enough of them */
	c.requests = TRACED_USERS * TRACED_REQUESTS * 2;
	run(&c);
	memcpy(first, play.trace, sizeof(first));
	configure(*state, PATHS("/failed"));
	c.think_hi_ms = 2;
	c.keep_alive = false;
	run(&c);
	assert_memory_equal(first, play.trace, sizeof(first));
	configure(*state, PATHS("/ok"));
	c.seed++;
	run(&c);
	assert_memory_not_equal(first, play.trace, sizeof(first));
}

static void digest_of(struct loadgen_config c, unsigned char sha256[32])
{
	c.users = 1;
	c.digest = true;
	c.requests = 50;
	run(&c);
	memcpy(sha256, result.sha256, 32);
}

static void the_digest_depends_on_the_answers_and_not_on_their_framing(void **state)
{
	unsigned char a[32], b[32];

	digest_of(configure(*state, PATHS("/ok")), a);
	digest_of(configure(*state, PATHS("/chunked")), b);
	assert_memory_equal(a, b, 32);
	digest_of(configure(*state, PATHS("/eof")), b);
	assert_memory_equal(a, b, 32);
	digest_of(configure(*state, PATHS("/interim")), b);
	assert_memory_equal(a, b, 32);
	digest_of(configure(*state, PATHS("/ok", "/empty")), b);
	assert_memory_not_equal(a, b, 32);
	digest_of(configure(*state, PATHS("/truncated", "/ok")), b);
	assert_memory_not_equal(a, b, 32);
	digest_of(configure(*state, PATHS("/moved")), b);
	assert_memory_not_equal(a, b, 32);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_number_of_requests_is_kept_exactly_here_and_at_the_server),
		TEST(a_number_of_requests_after_a_warm_up_counts_measured_ones_only),
		TEST(every_kind_of_sound_answer_is_understood),
		TEST(an_answer_to_head_has_no_body),
		TEST(errors_are_counted_by_status_and_by_chain),
		TEST(the_user_model_may_refuse_an_answer),
		TEST(the_series_accounts_for_every_request),
		TEST(keep_alive_makes_one_connection_per_user),
		TEST(without_keep_alive_every_request_asks_to_close_and_has_its_own_connection),
		TEST(a_get_whose_kept_connection_was_just_closed_is_asked_again),
		TEST(a_post_is_never_sent_twice),
		TEST(many_users_share_few_files),
		TEST(two_thousand_users_are_spawned_and_think),
		TEST(a_misbehaving_server_gives_transport_errors_and_never_wedges_a_user),
		TEST(good_requests_succeed_beside_failing_ones),
		TEST(silence_is_a_timeout_per_request),
		TEST(a_refused_connection_is_an_error_and_backs_off),
		TEST(a_server_that_dies_ends_neither_the_run_nor_the_process),
		TEST(the_run_ends_by_duration_and_drains_no_longer_than_the_timeout),
		TEST(stop_ends_the_run_at_once),
		TEST(an_unsound_configuration_is_refused_with_a_sentence),
		TEST(one_stall_of_200_ms_shows_in_every_response_it_delayed),
		TEST(littles_law_holds_in_a_closed_loop),
		TEST(the_integral_of_requests_in_flight_is_the_sum_of_their_response_times),
		TEST(with_the_edges_of_the_measured_part_put_right_the_sums_are_equal),
		TEST(users_think_between_actions_and_not_within_them),
		TEST(a_trace_is_replayed_in_its_own_time_and_what_is_late_counts_as_late),
		TEST(arrivals_that_find_no_connection_are_counted_as_missed),
		TEST(the_rate_of_an_open_loop_is_the_rate_asked_for),
		TEST(the_ceiling_is_users_by_mean_think_time),
		TEST(a_closed_loop_with_think_time_stays_under_its_ceiling),
		TEST(the_same_seed_gives_every_user_the_same_requests),
		TEST(the_digest_depends_on_the_answers_and_not_on_their_framing),
	};

	return cmocka_run_group_tests_name("loadgen", tests, NULL, NULL);
}
