/* SPDX-License-Identifier: BSD-2-Clause */
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chain/clock.h"
#include "cli/cli.h"
#include "cli/measure.h"
#include "cli/scaling.h"

#define SIGNAL_NS (50 * NS_PER_MS)          /* for a Ctrl-C to reach us as well */
#define EDGE_NS (1 * NS_PER_MS)             /* how exactly the edges of the window are met */
#define GENERATOR_GRACE_NS (3 * NS_PER_SEC) /* from `stop` to SIGKILL */
#define OVERTIME_NS (20 * NS_PER_SEC)       /* past the end it was told, plus its time-out */
#define DRAIN_NS (2 * NS_PER_SEC)           /* for buffers to come home once the load has ended */

#define LITTLE_TOLERANCE 0.05
#define STEAL_MARK_PERCENT 1.0
#define GENERATOR_MARK_PERCENT 90.0
#define CEILING_MARK 0.95

void notes_add(struct notes *notes, const char *format, ...)
{
	va_list ap;

	if (notes->count == NOTES_MAX)
		return;
	va_start(ap, format);
	vsnprintf(notes->text[notes->count++], NOTE_BYTES, format, ap);
	va_end(ap);
}

void progress_say(struct progress *p, const char *format, ...)
{
	va_list ap;

	if (!p || !p->shown || clock_now_ns() - p->last_ns < 200 * NS_PER_MS)
		return;
	p->last_ns = clock_now_ns();
	fprintf(stderr, "\r\033[K[%u/%u] %s: ", p->run, p->runs, p->what);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fflush(stderr);
}

void progress_clear(struct progress *p)
{
	if (p && p->shown)
		fputs("\r\033[K", stderr);
}

bool run_valid(const struct run_outcome *out)
{
	return !out->skipped[0] && !out->invalid.count;
}

/* While a run is under way. */
struct run_state {
	struct deployment d;
	int signals;
	struct progress *progress;
	uint64_t start_ns;          /* of the generator */
	uint64_t next_watch_ns, next_point_ns;
	bool began, ended;          /* the measured part */
	struct layers *layers;      /* NULL: not asked for */
	struct cpu_sample begin, end, point, now;
};

static void give_id(struct run_outcome *out)
{
	uint64_t id = 0;

	if (getrandom(&id, sizeof(id), 0) != sizeof(id))
		id = clock_now_ns() ^ ((uint64_t)getpid() << 40);
	snprintf(out->run_id, sizeof(out->run_id), "%016" PRIx64, id);
}

/* Name and tag of each eBPF program that this process holds: those of the deployment. */
static json_t *held_programs(void)
{
	json_t *tags = json_object();
	struct bpf_prog_info info;
	char path[64], link[64], tag[2 * BPF_TAG_SIZE + 1];
	struct dirent *entry;
	uint32_t size;
	ssize_t n;
	int fd, i;
	DIR *dir = opendir("/proc/self/fd");

	while (dir && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/self/fd/%.20s", entry->d_name);
		n = readlink(path, link, sizeof(link) - 1);
		if (n < 0)
			continue;
		link[n] = '\0';
		fd = atoi(entry->d_name);
		if (strcmp(link, "anon_inode:bpf-prog"))
			continue;
		memset(&info, 0, sizeof(info));
		size = sizeof(info);
		if (bpf_obj_get_info_by_fd(fd, &info, &size))
			continue;
		for (i = 0; i < BPF_TAG_SIZE; i++)
			snprintf(tag + 2 * i, 3, "%02x", info.tag[i]);
		json_object_set_new(tags, info.name, json_string(tag));
	}
	if (dir)
		closedir(dir);
	return tags;
}

/* Look after signals and components. True when the run must end. */
static bool must_end(struct run_outcome *out, struct run_state *s, uint64_t wait_ns)
{
	uint64_t answered = out->loaded ? out->generator.shared->result.completed : 0;
	double at;

	if (wait_ns > deploy_watch_ns(&s->d))
		wait_ns = deploy_watch_ns(&s->d);
	if (signals_wait_or(s->signals, s->d.scaling_fd, wait_ns)) {
		out->interrupted = true;
		notes_add(&out->invalid, "interrupted");
		return true;
	}
	if (clock_now_ns() < s->next_watch_ns && !s->d.scaling)
		return false;
	s->next_watch_ns = clock_now_ns() + deploy_watch_ns(&s->d);
	if (!deploy_watch(&s->d)) {
		if (s->d.scaling)       /* there may be new components */
			cpu_groups(&out->groups, &s->d);
		return false;
	}
	/* A Ctrl-C reaches the components as well: then their end is no news. */
	if (signals_wait(s->signals, SIGNAL_NS)) {
		out->interrupted = true;
		notes_add(&out->invalid, "interrupted");
		return true;
	}
	at = (double)(clock_now_ns() - s->start_ns) / 1e9;
	if (out->loaded)
		notes_add(&out->invalid, "%s; %.2f s into the load, after %" PRIu64 " answers",
			  s->d.why, at, answered);
	else
		notes_add(&out->invalid, "%s; before any load", s->d.why);
	return true;
}

/* CPU of a deployment that nobody asks for anything. False when the run must end. */
static bool measure_idle(struct run_outcome *out, const struct run_request *rq,
			 struct run_state *s)
{
	uint64_t used[COMPONENT_MAX], until, now;

	/* What start-up left behind (freed pages, timers) is not idle CPU. */
	until = clock_now_ns() + NS_PER_SEC / 2;
	while ((now = clock_now_ns()) < until)
		if (must_end(out, s, until - now))
			return false;
	cpu_sample(&s->begin, &s->d, NULL);
	until = clock_now_ns() + (uint64_t)(rq->idle_s * 1e9);
	while ((now = clock_now_ns()) < until) {
		progress_say(s->progress, "idle, %.0f s left", (double)(until - now) / 1e9);
		if (must_end(out, s, until - now))
			return false;
	}
	cpu_sample(&s->end, &s->d, NULL);
	out->idle_percent = 100.0 * (double)cpu_used(&out->groups, &s->begin, &s->end, used) /
			    (double)(s->end.at_ns - s->begin.at_ns);
	return true;
}

static void add_point(struct run_outcome *out, struct run_state *s)
{
	if (clock_now_ns() < s->next_point_ns)
		return;
	cpu_sample(&s->now, &s->d, &out->generator);
	cpu_series_add(&out->series, &out->groups, &s->point, &s->now, s->start_ns);
	s->point = s->now;
	s->next_point_ns += out->series.step_ms * NS_PER_MS;
}

/* How long to sleep: close to an edge of the measured part little, else until there is work. */
static uint64_t nap(const struct run_request *rq, const struct run_state *s, uint64_t now)
{
	uint64_t ends = s->begin.at_ns + rq->load.duration_ns;
	uint64_t next = s->next_watch_ns < s->next_point_ns ? s->next_watch_ns : s->next_point_ns;
	uint64_t until_next = next > now ? next - now : 0;

	if (!s->began || rq->load.requests || now + 20 * NS_PER_MS > ends)
		return until_next < EDGE_NS ? until_next : EDGE_NS;
	return until_next < 10 * NS_PER_MS ? until_next : 10 * NS_PER_MS;
}

static void say_progress(struct run_outcome *out, const struct run_request *rq,
			 struct run_state *s, uint64_t now)
{
	double total = (double)(rq->load.warmup_ns + rq->load.duration_ns) / 1e9;
	double at = (double)(now - s->start_ns) / 1e9;
	uint64_t answers = out->generator.shared->result.completed;

	if (rq->load.requests)
		progress_say(s->progress, "%.0f s, %" PRIu64 " answers (%" PRIu64 " to measure)",
			     at, answers, rq->load.requests);
	else
		progress_say(s->progress, "%.0f of %.0f s, %" PRIu64 " answers", at, total,
			     answers);
}

static void end_layers(struct run_outcome *out, struct run_state *s)
{
	int err;

	if (!s->layers)
		return;
	err = run_layers_end(s->layers, &s->d, &out->groups, &out->generator, &out->layers);
	out->has_layers = !err && s->ended;
	if (err)
		notes_add(&out->invalid, "CPU by layer could not be read: %s", strerror(-err));
}

/* From the generator's start to its end. */
static void watch_load(struct run_outcome *out, const struct run_request *rq, struct run_state *s)
{
	struct loadgen_result *r = &out->generator.shared->result;
	uint64_t limit = rq->load.warmup_ns + rq->load.duration_ns + rq->load.timeout_ns +
			 OVERTIME_NS;
	uint64_t now;
	uint32_t phase;

	if (rq->load.spawn_per_sec)
		limit += rq->load.users * NS_PER_SEC / rq->load.spawn_per_sec;
	cpu_sample(&s->point, &s->d, &out->generator);
	s->begin = s->point;
	s->next_point_ns = s->start_ns + out->series.step_ms * NS_PER_MS;
	for (;;) {
		now = clock_now_ns();
		phase = atomic_load_explicit(&r->phase, memory_order_acquire);
		if (phase >= 2 && !s->began) {
			cpu_sample(&s->begin, &s->d, &out->generator);
			run_layers_begin(s->layers);
			s->began = true;
		}
		if (phase == 3) {
			cpu_sample(&s->end, &s->d, &out->generator);
			s->ended = true;
			break;
		}
		/* It may have finished between the two looks. */
		if (generator_ended(&out->generator) && atomic_load(&r->phase) != 3)
			break;
		if (!rq->load.requests && now - s->start_ns > limit) {
			notes_add(&out->invalid, "the load generator did not end in time");
			break;
		}
		add_point(out, s);
		say_progress(out, rq, s, now);
		if (must_end(out, s, nap(rq, s, now)))
			break;
	}
	end_layers(out, s);
	if (s->began && !s->ended)
		cpu_sample(&s->end, &s->d, &out->generator);
	/* What is in flight may be answered, so that the server sees no broken connections. */
	now = clock_now_ns();
	while (s->ended && !generator_ended(&out->generator) &&
	       clock_now_ns() - now < rq->load.timeout_ns + NS_PER_SEC)
		if (must_end(out, s, EDGE_NS))
			break;
	generator_stop(&out->generator, GENERATOR_GRACE_NS);
}

static void check_generator(struct run_outcome *out)
{
	const struct generator *g = &out->generator;
	const struct loadgen_result *r = &g->shared->result;

	if (out->invalid.count)
		return;
	if (r->error)
		notes_add(&out->invalid, "the load generator failed: %s",
			  r->why[0] ? r->why : strerror(-r->error));
	else if (WIFSIGNALED(g->status))
		notes_add(&out->invalid, "the load generator was killed by signal %d (%s)",
			  WTERMSIG(g->status), strsignal(WTERMSIG(g->status)));
	else if (WIFEXITED(g->status) && WEXITSTATUS(g->status))
		notes_add(&out->invalid, "the load generator ended with exit code %d",
			  WEXITSTATUS(g->status));
}

/*
 * Little's law, N = X R: the time average of requests in flight must be their rate times their mean
 * time in flight. It holds exactly when what the two edges of the window cut off is put right: part
 * of the time of those that began before it, and of those that have not ended with it.
 *
 *            |<------ window ------>|
 *     ====---+======                |        - earlier: in R, not in N
 *            |   =========          |
 *            |              ========+--      + unfinished: in N, not in R
 *
 * In an open loop requests may wait for a connection before they count as in flight: not judged.
 */
static void check_little(struct run_outcome *out, const struct run_request *rq)
{
	const struct loadgen_result *r = &out->generator.shared->result;

	uint64_t inside = r->residence_ns + r->unfinished_ns - r->earlier_ns;

	if (!r->measured_ns || !r->requests || !inside)
		return;
	out->little_n = (double)r->in_flight_ns / (double)r->measured_ns;
	out->little_x = (double)r->requests / out->measured_s;
	out->little_r = (double)inside / (double)r->requests / 1e9;
	out->little_ratio = out->little_n / (out->little_x * out->little_r);
	if (rq->load.arrivals != ARRIVALS_CLOSED)
		return;
	out->little = fabs(out->little_ratio - 1) <= LITTLE_TOLERANCE ? LITTLE_HOLDS :
									LITTLE_BROKEN;
	if (out->little == LITTLE_BROKEN)
		notes_add(&out->invalid, "Little's law does not hold: %.3f requests in flight, but "
			  "rate x latency is %.3f", out->little_n, out->little_x * out->little_r);
}

static void add_marks(struct run_outcome *out, bool emulated)
{
	const struct loadgen_result *r = &out->generator.shared->result;

	if (emulated)
		notes_add(&out->marks, "emulated: functions ran on an emulated CPU; its times are not to "
			  "be judged");
	if (out->steal_percent > STEAL_MARK_PERCENT)
		notes_add(&out->marks, "steal: %.1f %% of CPU time was stolen by the hypervisor",
			  out->steal_percent);
	if (out->generator_percent > GENERATOR_MARK_PERCENT)
		notes_add(&out->marks, "generator: the load generator used %.0f %% of a core, so "
			  "the RPS may be its limit and not the chain's", out->generator_percent);
	if (out->ceiling_rps > 0 && out->rps >= CEILING_MARK * out->ceiling_rps)
		notes_add(&out->marks, "ceiling: %.5g RPS is what %.5g RPS of offered load allow; "
			  "it is not the dataplane's capacity", out->rps, out->ceiling_rps);
	if (out->has_layers)
		notes_add(&out->marks, "layers: the CPU was sampled by layer, which costs some of it; compare "
			  "performance by runs without");
	if (r->missed)
		notes_add(&out->marks, "missed: %" PRIu64 " intended sends were never made",
			  r->missed);
	if (r->errors)
		notes_add(&out->marks, "errors: %" PRIu64 " of %" PRIu64 " answers were errors%s%s",
			  r->errors, r->requests, r->first_error[0] ? ", the first: " : "",
			  r->first_error);
	if (out->has_pool && out->pool_in_use_after)
		notes_add(&out->marks, "pool: %u buffers were still in use after the load",
			  out->pool_in_use_after);
}

/* From samples and the generator's results to the numbers of a record. */
static void evaluate(struct run_outcome *out, const struct run_request *rq,
		     const struct run_state *s)
{
	const struct loadgen_result *r = &out->generator.shared->result;
	uint64_t good = r->requests > r->errors ? r->requests - r->errors : 0;
	uint64_t used, generator;
	double wall = (double)(s->end.at_ns - s->begin.at_ns);

	out->measured_s = (double)r->measured_ns / 1e9;
	if (s->began && wall > 0) {
		out->wall_s = wall / 1e9;
		used = cpu_used(&out->groups, &s->begin, &s->end, out->used_ns);
		/* Once it has been reaped its clock is gone; its own count is the same. */
		generator = s->end.generator_ns > s->begin.generator_ns ?
			    s->end.generator_ns - s->begin.generator_ns : r->cpu_ns;
		out->generator_percent = 100.0 * (double)generator / wall;
		out->node_percent = 100.0 * ((double)(s->end.busy_ns - s->begin.busy_ns) -
					     (double)generator) / wall;
		/* Ticks of 10 ms against nanoseconds: a short idle window may come out below 0. */
		if (out->node_percent < 0)
			out->node_percent = 0;
		if (s->end.total_ns > s->begin.total_ns)
			out->steal_percent = 100.0 *
					     (double)(s->end.steal_ns - s->begin.steal_ns) /
					     (double)(s->end.total_ns - s->begin.total_ns);
		if (good)
			out->ccr_us = (double)used / 1e3 / (double)good;
	}
	if (good && out->measured_s > 0)
		out->rps = (double)good / out->measured_s;
	else if (!out->invalid.count)
		notes_add(&out->invalid, "not one request succeeded: %" PRIu64 " answers, %" PRIu64
			  " errors%s%s", r->requests, r->errors,
			  r->first_error[0] ? ", the first: " : "", r->first_error);
	check_little(out, rq);
	add_marks(out, dataplane_flags(rq->ops, rq->spec) & DP_EMULATED);
}

/* The state of the pool once the load has gone: nothing may stay in use. */
static void check_pool(struct run_outcome *out, const struct run_state *s)
{
	const struct timespec step = { .tv_nsec = 5 * NS_PER_MS };
	uint64_t until = clock_now_ns() + DRAIN_NS;
	const struct pool *p = s->d.pool;

	if (!p)
		return;
	/* What a dead component held stays held: no use waiting for that. */
	while (pool_in_use(p) && !out->invalid.count && clock_now_ns() < until)
		nanosleep(&step, NULL);
	out->has_pool = true;
	out->pool_buffers = pool_buffers(p);
	out->pool_buffer_bytes = pool_buffer_bytes(p);
	out->pool_page_kib = pool_page_kib(p);
	out->pool_in_use_after = pool_in_use(p);
	out->pool_refused = pool_refused(p);
}

static void load_deployment(struct run_outcome *out, const struct run_request *rq,
			    struct run_state *s)
{
	struct loadgen_config load = rq->load;
	int error;

	load.app = rq->app;
	load.target = rq->app->users && rq->app->users->protocol ? s->d.adapter[0].address : s->d.address;
	out->ceiling_rps = loadgen_offered_ceiling(&load);
	error = cpu_series_init(&out->series, load.warmup_ns + load.duration_ns, out->groups.count);
	if (!error)
		error = generator_start(&out->generator, &load, s->d.network.client);
	if (error) {
		notes_add(&out->invalid, "the load generator could not be started: %s",
			  strerror(-error));
		return;
	}
	out->loaded = true;
	s->start_ns = clock_now_ns();
	if (s->d.scaling)
		scaling_origin(s->d.scaling, s->start_ns);
	watch_load(out, rq, s);
	if (s->d.scaling)
		out->scaling = scaling_json(&s->d, s->start_ns);
	check_generator(out);
	check_pool(out, s);
	evaluate(out, rq, s);
}

/* The protocol that the users speak. False: this dataplane cannot have it. */
static bool add_adapter(struct run_outcome *out, const struct run_request *rq, struct deploy_config *deploy)
{
	if (!rq->app->users || !rq->app->users->protocol)
		return true;
	if (dataplane_flags(rq->ops, rq->spec) & DP_OWN_INGRESS) {
		snprintf(out->skipped, sizeof(out->skipped), "its ingress speaks HTTP only; events of other "
			 "protocols would need a bridge in front of it");
		return false;
	}
	deploy->adapters = 1;
	deploy->adapter[0].name = "mqtt";
	deploy->adapter[0].listen = (struct sockaddr_in){ .sin_family = AF_INET,
							  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	return true;
}

void run_measure(struct run_outcome *out, const struct run_request *rq, int signals,
		 struct progress *progress)
{
	struct probe_report report = { .ok = true };
	struct deploy_config deploy = rq->deploy;
	struct run_state *s;
	char why[256];
	int error;

	memset(out, 0, sizeof(*out));
	give_id(out);
	clock_gettime(CLOCK_REALTIME, &out->started);
	out->rps = out->ccr_us = out->node_percent = out->generator_percent = NAN;
	out->steal_percent = out->idle_percent = NAN;
	dataplane_probe(rq->ops, rq->spec, &report);
	if (!report.ok) {
		snprintf(out->skipped, sizeof(out->skipped), "%s",
			 report.reason[0] ? report.reason : "it cannot run on this machine");
		return;
	}
	if (!add_adapter(out, rq, &deploy))
		return;
	s = calloc(1, sizeof(*s));
	if (!s) {
		notes_add(&out->invalid, "out of memory");
		return;
	}
	s->signals = signals;
	s->progress = progress;
	progress_say(progress, "starting");
	error = deploy_start(&s->d, rq->ops, rq->spec, rq->app, &deploy);
	if (error == -ENOTSUP) {
		snprintf(out->skipped, sizeof(out->skipped), "%.255s", s->d.why);
		free(s);
		return;
	}
	if (error) {
		out->interrupted = signals_wait(signals, 0);
		notes_add(&out->invalid, "the deployment did not start: %s",
			  s->d.why[0] ? s->d.why : strerror(-error));
		free(s);
		return;
	}
	cpu_groups(&out->groups, &s->d);
	out->bpf_tags = held_programs();
	if (rq->layers && layers_open(&s->layers, why, sizeof(why)))
		notes_add(&out->invalid, "%s", why);
	else if (rq->idle_s <= 0 || measure_idle(out, rq, s))
		load_deployment(out, rq, s);
	layers_close(s->layers);
	deploy_stop(&s->d);
	free(s);
}

void run_release(struct run_outcome *out)
{
	generator_end(&out->generator);
	cpu_series_free(&out->series);
	json_decref(out->scaling);
	json_decref(out->bpf_tags);
	out->scaling = out->bpf_tags = NULL;
}
