/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `perhop audit`: counts copies, context switches, interrupts, protocol tasks and (de)serializations per
 * request and per segment, of a chain that it starts (-d, -w) or of one that runs already (--pid,
 * --cgroup, --port).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/report.h"
#include "chain/clock.h"
#include "cli/audit_plan.h"
#include "cli/cli.h"
#include "cli/host.h"
#include "cli/measure.h"
#include "cli/parse.h"

enum { OPT_MODE = 256, OPT_JSON, OPT_REPS, OPT_THINK, OPT_PID, OPT_CGROUP, OPT_PORT, OPT_URL,
       OPT_SEED, OPT_DETAIL, OPT_NO_COST, OPT_CLOSE };

#define DRAIN_NS (500 * NS_PER_MS)

struct audit_arguments {
	struct dataplane_list dataplanes;
	const char *workload_text;
	struct external external;
	uint64_t requests, reps, concurrency, think_us, seed;
	int mode;
	bool json, detail, no_cost, new_connection;
};

static const struct choice mode_choices[] = {
	{ "isolated", MODE_ISOLATED },
	{ "cross-core", MODE_CROSS_CORE },
	{ "as-scheduled", MODE_AS_SCHEDULED },
	{ NULL, 0 },
};

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "A chain that perhop starts:", 1 },
	{ "dataplane", 'd', "SPEC[,SPEC...]", 0, "Dataplanes, one after another", 1 },
	{ "workload", 'w', "WORKLOAD", 0, "Workload, name[:mode][,key=value...]", 1 },
	{ NULL, 0, NULL, 0, "A chain that runs already:", 2 },
	{ "pid", OPT_PID, "NAME=PID[,...]", 0, "Its processes; NAME/sidecar is NAME's sidecar", 2 },
	{ "cgroup", OPT_CGROUP, "PATH", 0, "All processes of this cgroup", 2 },
	{ "port", OPT_PORT, "PORT", 0, "Clients connect here; without --pid the rest is found from "
	  "there, along its connections", 2 },
	{ "url", OPT_URL, "/PATH", 0, "What to GET (/)", 2 },
	{ NULL, 0, NULL, 0, "How:", 3 },
	{ "requests", 'n', "N", 0, "Requests per repetition (200)", 3 },
	{ "reps", OPT_REPS, "N", 0, "Repetitions, each with its idle baseline (8)", 3 },
	{ "concurrency", 'c', "N", 0, "Concurrent users (1)", 3 },
	{ "think", OPT_THINK, "US", 0, "Think time in microseconds (1000)", 3 },
	{ "mode", OPT_MODE, "isolated|cross-core|as-scheduled", 0, "Where the chain runs: one CPU and "
	  "no preemption, neighbours on different CPUs, or as it comes (isolated)", 3 },
	{ "new-connection", OPT_CLOSE, NULL, 0, "The client connects anew for every request", 3 },
	{ "seed", OPT_SEED, "N", 0, "Of the requests (1)", 3 },
	{ "no-cost", OPT_NO_COST, NULL, 0, "Do not measure what the probes cost", 3 },
	{ "detail", OPT_DETAIL, NULL, 0, "Each component, too", 3 },
	{ "json", OPT_JSON, NULL, 0, "One JSON object per audit on stdout", 3 },
	{ 0 },
};

static void take(const char *name, const char *arg, uint64_t lo, uint64_t hi, uint64_t *out,
		 struct argp_state *state)
{
	struct why why;

	if (parse_count(arg, lo, hi, out, &why))
		argp_error(state, "%s: %s", name, why.text);
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct audit_arguments *a = state->input;
	struct why why;
	uint64_t n = 0;

	switch (key) {
	case 'd':
		if (parse_dataplanes(arg, &a->dataplanes, &why))
			argp_error(state, "-d: %s", why.text);
		return 0;
	case 'w':
		a->workload_text = arg;
		return 0;
	case 'n':
		take("-n", arg, 1, 1000000, &a->requests, state);
		return 0;
	case 'c':
		take("-c", arg, 1, CLIENT_THREADS_MAX, &a->concurrency, state);
		return 0;
	case OPT_REPS:
		take("--reps", arg, 1, SESSION_REPS_MAX, &a->reps, state);
		return 0;
	case OPT_THINK:
		take("--think", arg, 0, 10000000, &a->think_us, state);
		return 0;
	case OPT_SEED:
		take("--seed", arg, 0, UINT64_C(1) << 53, &a->seed, state);
		return 0;
	case OPT_MODE:
		if (parse_choice(arg, mode_choices, &a->mode, &why))
			argp_error(state, "--mode: %s", why.text);
		return 0;
	case OPT_PID:
		a->external.pids = arg;
		return 0;
	case OPT_CGROUP:
		a->external.cgroup = arg;
		return 0;
	case OPT_PORT:
		take("--port", arg, 1, 65535, &n, state);
		a->external.port = (uint16_t)n;
		return 0;
	case OPT_URL:
		if (arg[0] != '/' || strpbrk(arg, " \r\n"))
			argp_error(state, "--url: a path that begins with '/', without spaces");
		a->external.path = arg;
		return 0;
	case OPT_CLOSE:
		a->new_connection = true;
		return 0;
	case OPT_NO_COST:
		a->no_cost = true;
		return 0;
	case OPT_DETAIL:
		a->detail = true;
		return 0;
	case OPT_JSON:
		a->json = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is not expected here", arg);
		return 0;
	case ARGP_KEY_END:
		if (a->external.port && a->dataplanes.count)
			argp_error(state, "either -d, or --port and its like");
		if ((a->external.pids || a->external.cgroup) && !a->external.port)
			argp_error(state, "--port PORT is missing: where do clients connect?");
		if (!a->external.port && (!a->dataplanes.count || !a->workload_text))
			argp_error(state, "-d SPEC and -w WORKLOAD are missing (or --port PORT, for a "
				   "chain that runs already)");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse_option,
	.doc = "Count what a request costs on its way through a chain: copies, context switches, "
	       "interrupts, protocol processing, serialization. Counted by eBPF and perf, per segment "
	       "as in Tables 1 and 2 of the SPRIGHT paper, published numbers beside measured ones.\v"
	       "Examples:\n"
	       "  perhop audit -d kernel:knative -w echo,length=2\n"
	       "  perhop audit -d skmsg -w echo,length=2 --mode cross-core --detail\n"
	       "  perhop audit --port 8080 --url /index.html\n"
	       "  perhop audit --port 8080 --pid ingress=812,broker=815,fn1/sidecar=901,fn1=902\n\n"
	       "Exit codes: 0 measured, and all self-checks hold; 1 a check failed; 2 wrong usage, or "
	       "this machine cannot do it.",
};

/* What the callbacks of a session need. */
struct watcher {
	struct deployment *d;       /* NULL: not ours */
	int signals;
	struct progress *progress;
	bool interrupted;
};

static int on_watch(void *arg)
{
	struct watcher *w = arg;

	if (signals_wait(w->signals, 0)) {
		w->interrupted = true;
		return -EINTR;
	}
	return w->d ? deploy_watch(w->d) : 0;
}

static void on_say(void *arg, const char *what)
{
	struct watcher *w = arg;

	w->progress->last_ns = 0;
	progress_say(w->progress, "%s", what);
}

/* Buffers that are still in use a while after the last answer: leaked. null: no pool of ours. */
static json_t *pool_json(const struct deployment *d)
{
	const uint64_t until = clock_now_ns() + DRAIN_NS;
	const struct pool *p = d ? d->pool : NULL;

	if (!p)
		return json_null();
	while (pool_in_use(p) && clock_now_ns() < until)
		nanosleep(&(struct timespec){ .tv_nsec = 5 * NS_PER_MS }, NULL);
	return json_pack("{s:I, s:I, s:I}", "buffers", (json_int_t)pool_buffers(p), "in_use_after",
			 (json_int_t)pool_in_use(p), "refused", (json_int_t)pool_refused(p));
}

/* Print what came of a session. The exit code. */
static int conclude(const struct audit_arguments *a, const struct session *s,
		    const struct report_subject *subject, const struct deployment *d, json_t *host)
{
	int status = STATUS_DONE;
	json_t *record;

	for (unsigned i = 0; i < s->checks; i++)
		if (s->check[i].verdict == CHECK_FAIL)
			status = STATUS_FAILED;
	if (!a->json) {
		report_text(stdout, s, subject, a->detail);
		fflush(stdout);
		return status;
	}
	record = report_json(s, subject);
	if (!record)
		return STATUS_CANNOT;
	json_object_set_new(record, "pool", pool_json(d));
	json_object_set(record, "host", host);
	return json_line(record) ? STATUS_CANNOT : status;
}

/* Measure what `plan` describes. */
static int measure(const struct audit_arguments *a, struct plan *plan, struct session_config *config,
		   const struct report_subject *subject, struct watcher *w, json_t *host)
{
	struct session *s = calloc(1, sizeof(*s));
	char why[512];
	int err, status;

	if (!s)
		return STATUS_CANNOT;
	config->mode = (enum audit_mode)a->mode;
	config->requests = (unsigned)a->requests;
	config->reps = (unsigned)a->reps;
	config->think_us = (unsigned)a->think_us;
	config->perturbation = !a->no_cost;
	config->client.threads = (unsigned)a->concurrency;
	config->client.new_connection = a->new_connection;
	config->client.seed = a->seed;
	config->client.cpu = place_client_cpu(config->mode);
	config->watch = on_watch;
	config->say = on_say;
	config->arg = w;
	err = session_run(s, plan, config, why, sizeof(why));
	progress_clear(w->progress);
	if (err) {
		fprintf(stderr, "perhop audit: %s: %s\n", subject->dataplane,
			w->interrupted ? "interrupted" : w->d && w->d->why[0] ? w->d->why : why);
		status = w->interrupted || err == -ECHILD ? STATUS_FAILED : STATUS_CANNOT;
	} else {
		status = conclude(a, s, subject, w->d, host);
	}
	session_free(s);
	free(s);
	return status;
}

/* Start one dataplane and audit it. */
static int audit_dataplane(const struct audit_arguments *a, unsigned i, const struct application *app,
			   struct watcher *w, json_t *host)
{
	const struct dataplane_ops *ops = a->dataplanes.at[i].ops;
	const struct spec *spec = &a->dataplanes.at[i].spec;
	struct probe_report report = { .ok = true };
	struct report_subject subject = { .dataplane = spec->text, .workload = a->workload_text };
	struct session_config config = { .client = { .app = app } };
	struct deployment *d = calloc(1, sizeof(*d));
	struct plan *plan = calloc(1, sizeof(*plan));
	struct deploy_config deploy;
	int status = STATUS_CANNOT;

	if (!d || !plan)
		goto out;
	dataplane_probe(ops, spec, &report);
	if (!report.ok) {
		fprintf(stderr, "perhop audit: %s: %s\n", spec->text, report.reason);
		goto out;
	}
	deploy_defaults(&deploy);
	deploy.seed = a->seed;
	deploy.placement = PLACE_FREE;          /* the audit places the components itself */
	if (deploy_start(d, ops, spec, app, &deploy)) {
		fprintf(stderr, "perhop audit: %s: %s\n", spec->text, d->why);
		goto out;
	}
	w->d = d;
	config.client.target = d->address;
	config.client.netns = d->network.client;
	config.discover.entry_port = ntohs(d->address.sin_port);
	plan_of_deployment(plan, &config, d);
	subject.shared_pool = d->flags & DP_SHARED_POOL;
	subject.forwarded = d->network.gateway_pod;
	subject.accelerated = d->network.accel;
	subject.table = published_for(d);
	status = measure(a, plan, &config, &subject, w, host);
	w->d = NULL;
	deploy_stop(d);
out:
	free(plan);
	free(d);
	return status;
}

static int audit_external(const struct audit_arguments *a, struct watcher *w, json_t *host)
{
	struct report_subject subject = { .dataplane = "external", .workload = a->external.path };
	struct plan *plan = calloc(1, sizeof(*plan));
	struct session_config config = { .client = { .path = a->external.path, .netns = -1 } };
	char why[512];
	int status = STATUS_CANNOT;

	if (plan && !plan_of_external(plan, &config, &a->external, why, sizeof(why)))
		status = measure(a, plan, &config, &subject, w, host);
	else
		fprintf(stderr, "perhop audit: %s\n", plan ? why : "out of memory");
	free(plan);
	return status;
}

int audit_main(int argc, char **argv)
{
	struct audit_arguments a = {
		.requests = 200, .reps = 8, .concurrency = 1, .think_us = 1000, .seed = 1,
		.mode = MODE_ISOLATED, .external.path = "/",
	};
	struct progress progress = { .shown = isatty(STDERR_FILENO), .runs = 1 };
	struct watcher w = { .progress = &progress };
	const struct workload *workload;
	int status = STATUS_DONE, one;
	struct application app;
	json_t *host;
	char why[256];

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	w.signals = signals_open();
	host = a.json ? host_json() : NULL;
	if (!a.dataplanes.count) {
		progress.run = 1;
		snprintf(progress.what, sizeof(progress.what), "port %u", a.external.port);
		status = audit_external(&a, &w, host);
		json_decref(host);
		return status;
	}
	if (application_open(&app, &workload, a.workload_text, why, sizeof(why))) {
		fprintf(stderr, "perhop audit: -w: %s\n", why);
		json_decref(host);
		return STATUS_CANNOT;
	}
	if (app.users && app.users->protocol) {
		fprintf(stderr, "perhop audit: -w: its client speaks HTTP only\n");
		json_decref(host);
		if (workload->release)
			workload->release(&app);
		return STATUS_CANNOT;
	}
	progress.runs = a.dataplanes.count;
	for (unsigned i = 0; i < a.dataplanes.count && !w.interrupted; i++) {
		progress.run = i + 1;
		snprintf(progress.what, sizeof(progress.what), "%.150s", a.dataplanes.at[i].spec.text);
		if (i && !a.json)
			printf("\n");
		one = audit_dataplane(&a, i, &app, &w, host);
		status = one > status ? one : status;
	}
	if (workload->release)
		workload->release(&app);
	json_decref(host);
	return status;
}
