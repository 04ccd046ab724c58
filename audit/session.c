/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/checks.h"
#include "audit/session.h"
#include "audit/statistics.h"
#include "audit/trace.h"
#include "audit/usdt.h"
#include "chain/clock.h"

enum {
	WARM_REQUESTS = 300,        /* per thread; connections, caches and branch predictors settle */
	SAMPLE_MS = 5,              /* how often /proc is looked at while warming up */
	GRACE_MS = 60,              /* after the last answer: longer than a delayed ACK (40 ms) */
	LEARN_ROUNDS = 8,           /* each may find the next component of a chain */
	TURNS = 5,                  /* probes off and on, so many times each */
	TURN_REQUESTS = 1500,
};

static void nap_ms(unsigned ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

static void say(const struct session *s, const char *what)
{
	if (s->config->say)
		s->config->say(s->config->arg, what);
}

static int watch(const struct session *s)
{
	return s->config->watch ? s->config->watch(s->config->arg) : 0;
}

/* Sleep, looking after the deployment meanwhile. */
static int rest_ms(const struct session *s, unsigned ms)
{
	int err = 0;

	while (ms && !err) {
		unsigned step = ms < 50 ? ms : 50;

		nap_ms(step);
		ms -= step;
		err = watch(s);
	}
	return err;
}

/* A batch of requests, looking after the deployment meanwhile. */
static int batch(const struct session *s, struct client *c, unsigned requests, unsigned think_us,
		 struct client_result *r)
{
	int err = client_go(c, requests, think_us);

	while (!err) {
		err = client_poll(c, 50, r);
		if (err == -EINTR)
			err = 0;
		if (!err)
			err = watch(s);
	}
	return err < 0 ? err : 0;
}

/* ---- Who talks to whom ------------------------------------------------------------------------ */

static int number(struct session *s)
{
	const struct session_config *c = s->config;

	return c->path_length ? plan_sequence(s->plan, c->path, c->path_length) :
				plan_segments(s->plan);
}

static void mark_usdt(struct plan *p)
{
	for (unsigned i = AUDIT_CLIENT + 1; i < p->components; i++)
		if (p->component[i].pids)
			p->component[i].usdt = usdt_has(p->component[i].pid[0], "perhop");
}

/* Warm up; look at the sockets all the while. */
static int discover(struct session *s, struct client *client, struct client_result *r)
{
	int err = client_go(client, WARM_REQUESTS * s->config->client.threads, s->config->think_us);

	while (!err) {
		err = discover_sample(s->plan, &s->config->discover);
		if (err >= 0)
			err = client_poll(client, SAMPLE_MS, r);
		if (err == -EINTR)
			err = 0;
		if (!err)
			err = watch(s);
	}
	if (err < 0)
		return err;
	err = discover_sample(s->plan, &s->config->discover);
	discover_children(s->plan);
	discover_namespaces(s->plan, s->config->client.netns);
	mark_usdt(s->plan);
	return err < 0 ? err : number(s);
}

/* What learning has found. */
struct lesson {
	struct session *s;
	struct sockets *sockets;
	int links;
};

static int learnt(void *arg, const struct audit_seen *seen)
{
	struct lesson *l = arg;
	int n = discover_connection(l->s->plan, l->sockets, &l->s->config->discover, (pid_t)seen->tgid,
				    seen->netns, seen->remote, seen->port);

	if (n > 0)
		l->links += n;
	return n < 0 ? n : 0;
}

/* A batch, in which the probes note connections too short-lived for /proc. How many links came of it. */
static int learn(struct session *s, struct client *client, struct client_result *r)
{
	struct lesson lesson = { .s = s };
	int err = audit_learn(s->audit);

	if (!err)
		err = batch(s, client, WARM_REQUESTS, s->config->think_us, r);
	audit_stop(s->audit);
	if (!err)
		err = discover_open(&lesson.sockets, s->plan, &s->config->discover);
	if (!err)
		err = audit_learnt(s->audit, learnt, &lesson);
	discover_close(lesson.sockets);
	if (err || !lesson.links)
		return err;
	discover_children(s->plan);
	discover_namespaces(s->plan, s->config->client.netns);
	mark_usdt(s->plan);
	err = number(s);
	if (!err)
		err = audit_plan(s->audit, s->plan);
	return err ? err : lesson.links;
}

/* ---- Windows ---------------------------------------------------------------------------------- */

/* Everything else that is read at the edges of a window, as close to them as can be. */
struct edge {
	struct proc_counts proc;
	struct perf_counts perf;
	struct audit_cost cost;
};

/* Scratch of one session. */
struct windows {
	struct audit_counts *before, *idle, *run;
	double idle_ns, run_ns;
	struct edge edge[2];        /* of the last window */
	struct audit_cost idle_cost;
	struct perf *perf;
};

static void subtract(struct audit_counts *from, const struct audit_counts *what)
{
	struct audit_cell *a = &from->cell[0][0][0];
	const struct audit_cell *b = &what->cell[0][0][0];

	for (size_t i = 0; i < sizeof(*from) / sizeof(*a); i++) {
		a[i].n -= b[i].n;
		a[i].sum -= b[i].sum;
	}
}

static void read_edge(const struct session *s, const struct windows *w, struct edge *e, bool first)
{
	if (first && s->audit)
		audit_cost(s->audit, &e->cost);
	if (first && w->perf)
		perf_read(w->perf, &e->perf);
	proc_read(&e->proc, s->plan);
	if (!first && w->perf)
		perf_read(w->perf, &e->perf);
	if (!first && s->audit)
		audit_cost(s->audit, &e->cost);
}

/* What is counted while `body` runs, and for how long. */
static int window(struct session *s, struct windows *w, struct audit_counts *counts, double *ns,
		  int (*body)(struct session *s, void *arg), void *arg)
{
	uint64_t start;
	int err = s->audit ? audit_read(s->audit, w->before) : 0;

	read_edge(s, w, &w->edge[0], true);
	if (!err && s->audit)
		err = audit_start(s->audit);
	start = clock_now_ns();
	if (!err)
		err = body(s, arg);
	*ns = (double)(clock_now_ns() - start);
	if (s->audit)
		audit_stop(s->audit);
	read_edge(s, w, &w->edge[1], false);
	if (s->audit) {
		if (!err)
			err = audit_read(s->audit, counts);
		if (!err)
			subtract(counts, w->before);
	}
	return err;
}

struct load {
	struct client *client;
	struct client_result result;
};

static int load_body(struct session *s, void *arg)
{
	struct load *l = arg;
	int err = batch(s, l->client, s->config->requests, s->config->think_us, &l->result);

	return err ? err : rest_ms(s, GRACE_MS);
}

static int idle_body(struct session *s, void *arg)
{
	return rest_ms(s, *(unsigned *)arg);
}

static size_t cell_index(const struct session *s, unsigned rep, unsigned m, unsigned c, unsigned g)
{
	return (((size_t)rep * M_COUNT + m) * s->components + c) * s->segments + g;
}

/* One repetition's windows become numbers per request. */
static void keep(struct session *s, unsigned rep, const struct windows *w)
{
	double scale = w->idle_ns > 0 ? w->run_ns / w->idle_ns : 0, per = s->config->requests;

	for (unsigned m = 0; m < M_COUNT; m++)
		for (unsigned c = 0; c < s->components; c++)
			for (unsigned g = 0; g < s->segments; g++) {
				const struct audit_cell *run = &w->run->cell[m][c][g];
				const struct audit_cell *idle = &w->idle->cell[m][c][g];
				size_t i = cell_index(s, rep, m, c, g);

				s->n[i] = ((double)run->n - scale * (double)idle->n) / per;
				s->sum[i] = ((double)run->sum - scale * (double)idle->sum) / per;
				s->raw[m][c] += run->n;
			}
}

static void add_proc(struct session *s, const struct proc_counts *a, const struct proc_counts *b)
{
	s->proc.switches += b->switches - a->switches;
	s->proc.net_rx += b->net_rx - a->net_rx;
	s->proc.ipis += b->ipis - a->ipis;
	for (unsigned i = 0; i < AUDIT_COMPONENTS; i++) {
		s->proc.voluntary[i] += b->voluntary[i] - a->voluntary[i];
		s->proc.involuntary[i] += b->involuntary[i] - a->involuntary[i];
		s->proc.cpu_ns[i] += b->cpu_ns[i] - a->cpu_ns[i];
	}
}

static void add_perf(struct session *s, const struct perf_counts *a, const struct perf_counts *b)
{
	for (unsigned k = 0; k < PERF_COUNTERS; k++)
		for (unsigned i = 0; i < AUDIT_COMPONENTS; i++)
			s->perf.value[k][i] += b->value[k][i] - a->value[k][i];
}

/* The window of requests, just closed, goes into the sums. */
static void add_window(struct session *s, const struct windows *w, const struct client_result *r)
{
	const struct edge *a = &w->edge[0], *b = &w->edge[1];
	double scale = w->run_ns / w->idle_ns;

	add_proc(s, &a->proc, &b->proc);
	if (w->perf)
		add_perf(s, &a->perf, &b->perf);
	s->cost_runs += (double)(b->cost.runs - a->cost.runs) - scale * (double)w->idle_cost.runs;
	s->cost_ns += (double)(b->cost.ns - a->cost.ns) - scale * (double)w->idle_cost.ns;
	s->requests += r->requests;
	s->errors += r->errors;
	s->connects += r->connects;
	s->elapsed_ns += r->elapsed_ns;
	s->uniform = s->uniform && r->uniform;
	s->p50_ns[s->reps] = r->p50_ns;
}

static int repeat(struct session *s, struct client *client, struct windows *w)
{
	struct load load = { .client = client };
	unsigned idle_ms = (unsigned)(s->config->requests * (s->config->think_us + 500) / 1000 /
				      s->config->client.threads + GRACE_MS);
	int err = 0, stats = s->audit ? audit_stats() : -1;
	char text[64];

	s->uniform = true;
	for (unsigned rep = 0; rep < s->config->reps && !err; rep++) {
		snprintf(text, sizeof(text), "repetition %u of %u", rep + 1, s->config->reps);
		say(s, text);
		err = window(s, w, w->idle, &w->idle_ns, idle_body, &idle_ms);
		if (err)
			break;
		w->idle_cost.runs = w->edge[1].cost.runs - w->edge[0].cost.runs;
		w->idle_cost.ns = w->edge[1].cost.ns - w->edge[0].cost.ns;
		err = window(s, w, w->run, &w->run_ns, load_body, &load);
		if (err)
			break;
		keep(s, rep, w);
		add_window(s, w, &load.result);
		s->reps++;
		idle_ms = (unsigned)(w->run_ns / 1e6);
	}
	if (stats >= 0)
		close(stats);
	return err;
}

/* ---- Perturbation ----------------------------------------------------------------------------- */

/* The same load with probes off and on, in turns, no think time. The probes are attached before and after. */
static int perturbation(struct session *s, struct client *client)
{
	double rps[2][TURNS], p50[2][TURNS];
	struct client_result r;
	int err = 0;

	say(s, "what the probes cost");
	for (unsigned turn = 0; turn < TURNS && !err; turn++)
		for (unsigned on = 0; on < 2 && !err; on++) {
			if (on)
				err = audit_attach(s->audit);
			else
				audit_detach(s->audit);
			if (!err)
				err = batch(s, client, TURN_REQUESTS / 10, 0, &r);
			if (!err && on)
				err = audit_start(s->audit);
			if (!err)
				err = batch(s, client, TURN_REQUESTS, 0, &r);
			audit_stop(s->audit);
			rps[on][turn] = (double)r.requests * 1e9 / (double)r.elapsed_ns;
			p50[on][turn] = (double)r.p50_ns / 1e3;
		}
	if (err)
		return err;
	s->rps_off = statistics_median(rps[0], TURNS);
	s->rps_on = statistics_median(rps[1], TURNS);
	s->p50_off_us = statistics_median(p50[0], TURNS);
	s->p50_on_us = statistics_median(p50[1], TURNS);
	return 0;
}

/* ---- All of it -------------------------------------------------------------------------------- */

/* Paths of the programs that carry our USDT points, one per file; `binary` ends with NULL. How many. */
static unsigned find_binaries(const struct session *s, char path[][32], const char **binary)
{
	const struct plan *p = s->plan;
	unsigned n = 0;

	for (unsigned i = AUDIT_CLIENT + 1; i < p->components && n < AUDIT_BINARIES; i++) {
		bool known = !p->component[i].usdt;

		for (unsigned k = 0; k < n && !known; k++)
			known = usdt_same_file(binary[k], p->component[i].pid[0]);
		if (known)
			continue;
		snprintf(path[n], sizeof(path[n]), "/proc/%d/exe", p->component[i].pid[0]);
		binary[n] = path[n];
		n++;
	}
	binary[n] = NULL;
	return n;
}

static bool more_binaries(const struct session *s)
{
	char path[AUDIT_BINARIES][32];
	const char *binary[AUDIT_BINARIES + 1];

	return find_binaries(s, path, binary) != s->binaries;
}

/* Load the probes; without them the session goes on with /proc and perf. */
static int open_probes(struct session *s)
{
	char path[AUDIT_BINARIES][32];
	const char *binary[AUDIT_BINARIES + 1];
	int err;

	s->binaries = find_binaries(s, path, binary);
	err = audit_open(&s->audit, binary, s->no_probes, sizeof(s->no_probes));
	if (err) {
		s->audit = NULL;
		return 0;
	}
	err = audit_plan(s->audit, s->plan);
	return err ? err : audit_attach(s->audit);
}

static int allocate(struct session *s, struct windows *w)
{
	size_t cells;

	s->components = s->plan->components;
	s->segments = s->plan->segments;
	cells = (size_t)s->config->reps * M_COUNT * s->components * s->segments;
	s->n = calloc(cells, sizeof(*s->n));
	s->sum = calloc(cells, sizeof(*s->sum));
	w->before = calloc(1, sizeof(*w->before));
	w->idle = calloc(1, sizeof(*w->idle));
	w->run = calloc(1, sizeof(*w->run));
	return s->n && s->sum && w->before && w->idle && w->run ? 0 : -ENOMEM;
}

static void open_perf(struct session *s, struct perf **perf)
{
	const char *why;

	if (perf_open(perf, s->plan))
		*perf = NULL;
	s->has_perf = *perf != NULL;
	for (unsigned i = 0; *perf && i < PERF_COUNTERS; i++) {
		s->perf_has[i] = perf_has(*perf, i, &why);
		snprintf(s->perf_why[i], sizeof(s->perf_why[i]), "%s", why);
	}
}

/* Up to the point where requests can be counted. *step: what it was about when it failed. */
static int prepare(struct session *s, struct client **client, struct placement_saved **placed,
		   const char **step)
{
	struct client_result r;
	int err;

	*step = "starting the client";
	err = client_start(client, &s->config->client);
	if (err)
		return err;
	plan_add_pid(s->plan, AUDIT_CLIENT, client_pid(*client));
	say(s, "warming up");
	*step = "the first requests, to find out who talks to whom";
	err = discover(s, *client, &r);
	if (err)
		return err;
	*step = "loading the probes";
	err = open_probes(s);
	*step = "learning who talks to whom";
	for (unsigned round = 0; !err && s->audit && round < LEARN_ROUNDS; round++) {
		err = learn(s, *client, &r);
		if (!err)
			break;
		err = err < 0 ? err : 0;
	}
	/* A program found just now may be the first with USDT points. */
	if (!err && s->audit && more_binaries(s)) {
		audit_close(s->audit);
		err = open_probes(s);
	}
	if (err)
		return err;
	*step = "placing the components on CPUs";
	s->mode = s->config->polls ? MODE_AS_SCHEDULED : s->config->mode;
	err = place(placed, s->plan, s->mode);
	if (err == -EBUSY) {
		s->mode = MODE_AS_SCHEDULED;
		err = place(placed, s->plan, s->mode);
	}
	if (err)
		return err;
	*step = "warming up";
	return batch(s, *client, WARM_REQUESTS, s->config->think_us, &r);
}

static void finish(struct session *s, struct client *client, struct placement_saved *placed, int err,
		   const char *step, char *why, size_t why_bytes)
{
	char missing[400];

	if (err == -ENOENT) {
		audit_missing(missing, sizeof(missing));
		snprintf(why, why_bytes, "%s: no connection of a client to any component was seen%s%s",
			 step, missing[0] ? "; missing: " : "", missing);
	} else if (err) {
		snprintf(why, why_bytes, "%s: %s", step, strerror(-err));
	}
	place_undo(placed);
	if (s->audit)
		audit_detach(s->audit);
	client_end(client);
}

int session_run(struct session *s, struct plan *plan, const struct session_config *config, char *why,
		size_t why_bytes)
{
	struct placement_saved *placed = NULL;
	struct client *client = NULL;
	struct windows w = { 0 };
	const char *step;
	int err;

	memset(s, 0, sizeof(*s));
	s->config = config;
	s->plan = plan;
	err = prepare(s, &client, &placed, &step);
	if (err)
		goto out;
	open_perf(s, &w.perf);
	step = "measuring";
	err = allocate(s, &w);
	if (!err)
		err = repeat(s, client, &w);
	if (err)
		goto out;
	step = "measuring what the probes cost";
	if (s->audit && config->perturbation)
		err = perturbation(s, client);
	s->cycles_hz = tsc_hz();
	checks_run(s);
out:
	finish(s, client, placed, err, step, why, why_bytes);
	perf_close(w.perf);
	free(w.before);
	free(w.idle);
	free(w.run);
	return err;
}

int session_trace(struct session *s, struct plan *plan, const struct session_config *config,
		  json_t **out, uint64_t *lost, char *why, size_t why_bytes)
{
	struct placement_saved *placed = NULL;
	char path[AUDIT_BINARIES][32];
	const char *binary[AUDIT_BINARIES + 1], *step;
	struct client *client = NULL;
	struct trace *trace = NULL;
	struct client_result r;
	int err;

	memset(s, 0, sizeof(*s));
	s->config = config;
	s->plan = plan;
	err = prepare(s, &client, &placed, &step);
	if (!err && !s->audit) {
		snprintf(why, why_bytes, "%s", s->no_probes);
		finish(s, client, placed, 0, step, why, why_bytes);
		return -EPERM;
	}
	if (err)
		goto out;
	step = "tracing";
	find_binaries(s, path, binary);
	err = trace_open(&trace, s->audit, binary);
	if (!err)
		err = audit_start(s->audit);
	if (!err)
		err = client_go(client, config->requests, config->think_us);
	while (!err) {
		err = trace_collect(trace, 10);
		if (!err)
			err = client_poll(client, 0, &r);
		if (!err)
			err = watch(s);
	}
	audit_stop(s->audit);
	if (err < 0)
		goto out;
	err = trace_collect(trace, 20);
	*out = trace_json(trace_events(trace), plan);
	*lost = trace_lost(trace);
	if (!*out)
		err = -ENOMEM;
out:
	trace_close(trace);
	finish(s, client, placed, err, step, why, why_bytes);
	return err;
}

void session_free(struct session *s)
{
	audit_close(s->audit);
	free(s->n);
	free(s->sum);
	s->audit = NULL;
	s->n = s->sum = NULL;
}

/* ---- Reading it ------------------------------------------------------------------------------- */

double session_n(const struct session *s, unsigned rep, enum audit_metric m, unsigned component,
		 unsigned segment)
{
	return s->n[cell_index(s, rep, m, component, segment)];
}

double session_sum(const struct session *s, unsigned rep, enum audit_metric m, unsigned component,
		   unsigned segment)
{
	return s->sum[cell_index(s, rep, m, component, segment)];
}

double session_segment(const struct session *s, unsigned rep, enum quantity q, unsigned segment)
{
	double total = 0;

	for (unsigned m = 0; m < M_COUNT; m++)
		for (unsigned c = 0; c < s->components; c++)
			if (quantity_has(q, m, c, segment))
				total += session_n(s, rep, m, c, segment);
	return total;
}

double session_column(const struct session *s, unsigned rep, enum quantity q, enum column c)
{
	double total = 0;

	for (unsigned g = 0; g < s->segments; g++)
		if (column_has(c, g ? (int)s->plan->segment[g].class : -1))
			total += session_segment(s, rep, q, g);
	return total;
}

double session_events(const struct session *s)
{
	double total = 0;

	for (unsigned rep = 0; rep < s->reps; rep++)
		for (unsigned m = 0; m < M_COUNT; m++)
			for (unsigned c = 0; c < s->components; c++)
				for (unsigned g = 0; g < s->segments; g++)
					if (c > AUDIT_CLIENT || g)
						total += session_n(s, rep, m, c, g);
	return s->reps ? total / s->reps : 0;
}
