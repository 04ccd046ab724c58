/* SPDX-License-Identifier: BSD-2-Clause */
/* When requests are made: arrivals, think times, ramp, phases, and the loop around all of it. */
#include "workloads/loadgen/loadgen.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "chain/clock.h"
#include "workloads/loadgen/client.h"

enum {
	USERS_MAX = 1000000,
	EVENTS_MAX = 256,           /* taken from epoll at a time */
	TIMERS_PER_TURN = 64,       /* so that users spawned at once do not hold up answers */
	FILES_BESIDES = 64,         /* descriptors that are not users' connections or lingering */
	TIMER_SLACK_NS = 1000,      /* the default of 50 µs would make every think time late */
	BACKOFF_SHIFT_MAX = 8,
};

static const double RATE_MAX = 1e7;
static const uint64_t STOP_POLL_NS = 20 * NS_PER_MS;
static const uint64_t BACKOFF_NS = NS_PER_MS;   /* 2 ms, doubled by each failure in a row: 256 ms */

void loadgen_fail(struct loadgen *g, int error, const char *format, ...)
{
	struct loadgen_result *r = g->meter.result;
	va_list args;

	if (g->error)
		return;
	g->error = error;
	va_start(args, format);
	vsnprintf(r->why, sizeof(r->why), format, args);
	va_end(args);
}

double loadgen_offered_ceiling(const struct loadgen_config *c)
{
	double think_s = (c->think_lo_ms + (double)c->think_hi_ms) / 2 / 1000;
	double per_action = c->app && c->app->users ? c->app->users->requests_per_action : 0;

	if (c->arrivals != ARRIVALS_CLOSED)
		return c->rate;
	if (per_action <= 0)
		per_action = 1;
	return think_s > 0 ? c->users / think_s * per_action : 0;
}

/* ---- Open loop ------------------------------------------------------------------------------- */

static void draw_arrival(struct loadgen *g)
{
	struct arrivals_clock *a = &g->arrivals;
	double distance = a->period_ns;

	if (g->config->arrivals == ARRIVALS_POISSON) {
		/* Uniform in (0, 1]: its logarithm is finite. */
		double u = ((double)(random_next(&a->random) >> 11) + 1) * 0x1p-53;

		distance *= -log(u);
	}
	a->at_ns += distance;
	a->next_ns = a->start_ns + (uint64_t)a->at_ns;
}

static void miss_arrival(struct loadgen *g)
{
	const struct meter *m = &g->meter;

	if (g->arrivals.next_ns >= m->measured_from_ns && m->measured_from_ns)
		m->result->missed++;
	draw_arrival(g);
}

/*
 * Make the requests that are due, as long as there are connections for them. The others wait: the
 * clock of arrivals stands still at the first of them, which keeps its intended start.
 */
static void arrive(struct loadgen *g, uint64_t now)
{
	struct arrivals_clock *a = &g->arrivals;

	while (a->next_ns <= now && client_may_begin(g)) {
		uint64_t intended = a->next_ns;

		if (now - intended > g->config->timeout_ns) {
			miss_arrival(g);
			continue;
		}
		if (!g->n_idle)
			return;
		draw_arrival(g);
		client_begin(g, g->idle[--g->n_idle], intended, now);
	}
}

/* The measured part is over: what was intended in it and never sent has been missed. */
static void miss_the_rest(struct loadgen *g)
{
	uint64_t end = g->meter.measured_from_ns + g->meter.result->measured_ns;

	if (g->config->arrivals == ARRIVALS_CLOSED || !g->issue_left)
		return;
	while (g->arrivals.next_ns < end)
		miss_arrival(g);
}

/* ---- Closed loop ----------------------------------------------------------------------------- */

static uint64_t draw_think(struct loadgen *g, uint32_t i)
{
	uint64_t lo = g->config->think_lo_ms * NS_PER_MS;
	uint64_t span = g->config->think_hi_ms * NS_PER_MS - lo;
	uint64_t think = lo;

	if (!lo && !span)
		return 0;
	if (span)
		think += random_next(&g->users[i].think_random) % (span + 1);
	if (meter_measuring(&g->meter)) {
		g->meter.think_sum_ns += think;
		g->meter.thinks++;
	}
	return think;
}

static uint64_t backoff(const struct user *u)
{
	unsigned shift = u->failures > BACKOFF_SHIFT_MAX ? BACKOFF_SHIFT_MAX : u->failures;

	return shift ? BACKOFF_NS << shift : 0;
}

void loadgen_next(struct loadgen *g, uint32_t i, uint64_t now)
{
	uint64_t pause = backoff(&g->users[i]), think;

	if (g->config->arrivals == ARRIVALS_CLOSED && g->users[i].due_ns) {
		/* A trace does not wait: what is late keeps the start that was intended. */
		uint64_t due = g->users[i].first_ns + g->users[i].due_ns;

		if (due <= now && !pause) {
			client_begin(g, i, due, now);
			return;
		}
		timers_add(&g->timers, due > now + pause ? due : now + pause, i);
		return;
	}
	if (g->config->arrivals == ARRIVALS_CLOSED) {
		think = g->users[i].more ? 0 : draw_think(g, i);
		if (think > pause)
			pause = think;
		if (!pause) {
			client_begin(g, i, now, now);
			return;
		}
	} else if (!pause) {
		g->idle[g->n_idle++] = i;
		arrive(g, now);
		return;
	}
	timers_add(&g->timers, now + pause, i);
}

/* ---- The loop -------------------------------------------------------------------------------- */

static void start(struct loadgen *g, uint64_t now)
{
	const struct loadgen_config *c = g->config;

	g->issue_left = UINT64_MAX;
	if (c->arrivals == ARRIVALS_CLOSED) {
		uint64_t gap = c->spawn_per_sec ? NS_PER_SEC / c->spawn_per_sec : 0;

		for (uint32_t i = 0; i < c->users; i++)
			timers_add(&g->timers, now + i * gap, i);
		return;
	}
	for (uint32_t i = c->users; i-- > 0;)
		g->idle[g->n_idle++] = i;
	g->arrivals.start_ns = now;
	g->arrivals.period_ns = (double)NS_PER_SEC / c->rate;
	draw_arrival(g);
}

/*
 * `requests` counts what completes in the measured part. What is in flight when that starts is
 * part of it, so that in the end the last one completed is the last one sent.
 */
static void limit_requests(struct loadgen *g)
{
	const struct meter *m = &g->meter;
	uint64_t have = m->result->requests + m->in_flight;

	if (m->limit && g->issue_left == UINT64_MAX && meter_measuring(m))
		g->issue_left = m->limit > have ? m->limit - have : 0;
}

static void run_timers(struct loadgen *g, uint64_t now)
{
	struct timer t;

	for (int n = 0; n < TIMERS_PER_TURN && timers_take(&g->timers, now, &t); n++) {
		if (g->config->arrivals == ARRIVALS_CLOSED)
			client_begin(g, t.user, t.due_ns, now);
		else
			g->idle[g->n_idle++] = t.user;
	}
	if (g->config->arrivals != ARRIVALS_CLOSED)
		arrive(g, now);
}

/* When the loop must turn even if nothing comes in. */
static uint64_t next_turn(const struct loadgen *g, uint64_t now)
{
	const struct meter *m = &g->meter;
	uint64_t next = now + STOP_POLL_NS;
	uint64_t phase = m->phase == PHASE_WARMUP ? m->warmup_ends_ns : m->ends_ns;
	uint64_t expiry = client_next_expiry(g);

	if (expiry < next)
		next = expiry;
	if (m->phase == PHASE_DONE)
		return next;
	if (phase < next)
		next = phase;
	if (timers_next(&g->timers) < next)
		next = timers_next(&g->timers);
	if (g->n_idle && g->issue_left && g->arrivals.next_ns < next)
		next = g->arrivals.next_ns;
	return next;
}

static void wait_for_events(struct loadgen *g, uint64_t now)
{
	struct epoll_event events[EVENTS_MAX];
	uint64_t next = next_turn(g, now);
	uint64_t ns = next > now ? next - now : 0;
	struct timespec wait = { (time_t)(ns / NS_PER_SEC), (long)(ns % NS_PER_SEC) };
	int n = epoll_pwait2(g->epoll_fd, events, EVENTS_MAX, &wait, NULL);

	if (n < 0 && errno != EINTR)
		loadgen_fail(g, -errno, "epoll_pwait2: %s", strerror(errno));
	for (int i = 0; i < n && !g->error; i++)
		client_ready(g, events[i].data.u64, events[i].events);
}

static bool stopped(const _Atomic uint32_t *stop)
{
	return stop && atomic_load_explicit(stop, memory_order_relaxed);
}

static void loop(struct loadgen *g, const _Atomic uint32_t *stop)
{
	uint64_t now = clock_now_ns();
	bool ended = false;

	meter_open(&g->meter, g->config, g->meter.result, now);
	start(g, now);
	for (;; now = clock_now_ns()) {
		meter_turn(&g->meter, now);
		if (g->error || stopped(stop)) {
			meter_end(&g->meter, now);
			miss_the_rest(g);
			return;
		}
		if (g->meter.phase == PHASE_DONE) {
			if (!ended)
				miss_the_rest(g);
			ended = true;
			/* Drained, at most for the timeout: the server sees no broken connections. */
			if (!g->meter.in_flight)
				return;
		} else {
			limit_requests(g);
			run_timers(g, now);
		}
		client_expire(g, now);
		wait_for_events(g, now);
	}
}

/* ---- Setting up ------------------------------------------------------------------------------ */

static const char *unsound(const struct loadgen_config *c)
{
	bool open = c->arrivals != ARRIVALS_CLOSED;

	if (!c->app || !c->app->users || !c->app->users->next)
		return "the workload has no user model";
	if (!c->app->n_chains || c->app->n_chains > TOPIC_MAX)
		return "the workload has no chains, or too many";
	if (c->target.sin_family != AF_INET || !c->target.sin_port)
		return "no target address";
	if (!c->users || c->users > USERS_MAX)
		return "users must be 1 to 1,000,000";
	if (open && !(c->rate > 0 && c->rate <= RATE_MAX))
		return "an open loop needs a rate of up to 10,000,000 per second";
	if (c->think_lo_ms > c->think_hi_ms)
		return "think time: the lower bound is above the upper";
	if (!c->timeout_ns)
		return "requests need a timeout";
	if (!c->duration_ns && !c->requests)
		return "neither a duration nor a number of requests";
	if (c->app->users->protocol && !c->keep_alive)
		return "a new connection for each request is HTTP's: MQTT's clients stay connected";
	if (c->digest && (open || c->users != 1 || c->warmup_ns))
		return "a digest needs one user in a closed loop, without warm-up";
	return NULL;
}

/*
 * Every user may hold a connection: ask for as many files. Without the privilege to exceed the
 * hard limit that is all there is, and users who think lose their connection to those who need
 * one. Staying LINGER_MAX below it also leaves room to a server that is under the same limit.
 * Returns how many connections there may be.
 */
static uint32_t raise_files(unsigned users)
{
	rlim_t need = (rlim_t)users + LINGER_MAX + FILES_BESIDES;
	struct rlimit limit, wanted;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return users;
	wanted.rlim_cur = need;
	wanted.rlim_max = limit.rlim_max > need ? limit.rlim_max : need;
	if (limit.rlim_cur >= need || !setrlimit(RLIMIT_NOFILE, &wanted))
		return users + LINGER_MAX;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	need = LINGER_MAX + FILES_BESIDES;
	return limit.rlim_cur > 2 * need ? (uint32_t)(limit.rlim_cur - need) : need;
}

static int open_all(struct loadgen *g)
{
	int r = client_open(g);

	if (r)
		return r;
	r = timers_open(&g->timers, g->config->users);
	if (r)
		return r;
	g->idle = calloc(g->config->users, sizeof(*g->idle));
	if (!g->idle)
		return -ENOMEM;
	g->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (g->epoll_fd < 0)
		return -errno;
	return g->config->digest ? digest_open(&g->digest) : 0;
}

static void close_all(struct loadgen *g)
{
	client_close(g);
	timers_close(&g->timers);
	digest_close(g->digest);
	free(g->idle);
	if (g->epoll_fd >= 0)
		close(g->epoll_fd);
	free(g);
}

int loadgen_run(const struct loadgen_config *config, struct loadgen_result *result,
		const _Atomic uint32_t *stop)
{
	int slack = prctl(PR_GET_TIMERSLACK);
	struct loadgen *g;
	int r;

	memset(result, 0, sizeof(*result));
	if (unsound(config)) {
		snprintf(result->why, sizeof(result->why), "%s", unsound(config));
		return result->error = -EINVAL;
	}
	g = calloc(1, sizeof(*g));
	if (!g)
		return result->error = -ENOMEM;
	g->config = config;
	g->model = config->app->users;
	g->meter.result = result;
	g->epoll_fd = -1;
	g->n_conns = raise_files(config->users);
	r = open_all(g);
	if (r) {
		loadgen_fail(g, r, "cannot start: %s", strerror(-r));
		goto out;
	}
	prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS);
	loop(g, stop);
	prctl(PR_SET_TIMERSLACK, slack);
	if (!g->error && g->digest && digest_sum(g->digest, result->sha256))
		loadgen_fail(g, -EIO, "SHA-256 failed");
out:
	result->error = g->error;
	r = g->error;
	close_all(g);
	return r;
}
