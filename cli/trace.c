/* SPDX-License-Identifier: BSD-2-Clause */
/* `perhop trace`: the life of a request across all processes, as a file for Perfetto. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/audit_plan.h"
#include "cli/cli.h"
#include "cli/measure.h"
#include "cli/parse.h"

enum { OPT_MODE = 256, OPT_SEED };

struct trace_arguments {
	struct dataplane_list dataplanes;
	const char *workload_text, *output;
	uint64_t requests, seed;
	int mode;
};

static const struct choice mode_choices[] = {
	{ "isolated", MODE_ISOLATED },
	{ "cross-core", MODE_CROSS_CORE },
	{ "as-scheduled", MODE_AS_SCHEDULED },
	{ NULL, 0 },
};

static const struct argp_option options[] = {
	{ "dataplane", 'd', "SPEC", 0, "Dataplane, name[:mode][,key=value...]", 0 },
	{ "workload", 'w', "WORKLOAD", 0, "Workload, name[:mode][,key=value...]", 0 },
	{ "requests", 'n', "N", 0, "Requests to trace, after a warm-up (1)", 0 },
	{ "mode", OPT_MODE, "isolated|cross-core|as-scheduled", 0, "Where the chain runs "
	  "(as-scheduled)", 0 },
	{ "output", 'o', "FILE", 0, "Write there (standard output)", 0 },
	{ "seed", OPT_SEED, "N", 0, "Of the requests (1)", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct trace_arguments *a = state->input;
	struct why why;

	switch (key) {
	case 'd':
		if (parse_dataplanes(arg, &a->dataplanes, &why))
			argp_error(state, "-d: %s", why.text);
		if (a->dataplanes.count > 1)
			argp_error(state, "-d: trace one dataplane at a time");
		return 0;
	case 'w':
		a->workload_text = arg;
		return 0;
	case 'n':
		if (parse_count(arg, 1, 1000, &a->requests, &why))
			argp_error(state, "-n: %s", why.text);
		return 0;
	case 'o':
		a->output = arg;
		return 0;
	case OPT_MODE:
		if (parse_choice(arg, mode_choices, &a->mode, &why))
			argp_error(state, "--mode: %s", why.text);
		return 0;
	case OPT_SEED:
		if (parse_count(arg, 0, UINT64_C(1) << 53, &a->seed, &why))
			argp_error(state, "--seed: %s", why.text);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is not expected here", arg);
		return 0;
	case ARGP_KEY_END:
		if (!a->dataplanes.count || !a->workload_text)
			argp_error(state, "-d SPEC and -w WORKLOAD are missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse_option,
	.doc = "Trace a request across all processes of a chain: who ran when and for which step, how "
	       "long it queued, copies, stack traversals, context switches, serialization. The file is "
	       "Chrome's trace JSON: open it at ui.perfetto.dev or in chrome://tracing.\v"
	       "Examples:\n"
	       "  perhop trace -d skmsg -w echo,length=2 -o skmsg.json\n"
	       "  perhop trace -d kernel:knative -w boutique -n 3 -o knative.json\n\n"
	       "Exit codes: 0 traced, 1 it failed or events were lost, 2 wrong usage, or this machine "
	       "cannot do it.",
};

/* The deployment, and the descriptor that tells of signals. */
struct watcher {
	struct deployment *d;
	int signals;
};

static int on_watch(void *arg)
{
	struct watcher *w = arg;

	return signals_wait(w->signals, 0) ? -EINTR : deploy_watch(w->d);
}

static int write_file(const struct trace_arguments *a, const json_t *trace)
{
	FILE *f = a->output ? fopen(a->output, "we") : stdout;
	int err = 0;

	if (!f || json_dumpf(trace, f, JSON_COMPACT) || fputc('\n', f) == EOF || fflush(f))
		err = -EIO;
	if (f && f != stdout && fclose(f))
		err = -EIO;
	if (err)
		fprintf(stderr, "perhop trace: cannot write %s\n",
			a->output ? a->output : "to standard output");
	return err;
}

static int trace_deployment(const struct trace_arguments *a, struct deployment *d,
			    const struct application *app, struct watcher *w)
{
	struct session_config config = {
		.mode = (enum audit_mode)a->mode, .requests = (unsigned)a->requests, .think_us = 1000,
		.client = { .app = app, .target = d->address, .threads = 1, .seed = a->seed,
			    .netns = d->network.client },
		.discover = { .entry_port = ntohs(d->address.sin_port) },
		.watch = on_watch, .arg = w,
	};
	struct session *s = calloc(1, sizeof(*s));
	struct plan *plan = calloc(1, sizeof(*plan));
	int status = STATUS_CANNOT, err = -ENOMEM;
	json_t *trace = NULL;
	uint64_t lost = 0;
	char why[512] = "out of memory";

	if (s && plan) {
		config.client.cpu = place_client_cpu(config.mode);
		plan_of_deployment(plan, &config, d);
		err = session_trace(s, plan, &config, &trace, &lost, why, sizeof(why));
		session_free(s);
	}
	if (err)
		fprintf(stderr, "perhop trace: %s\n", d->why[0] ? d->why : why);
	else if (!write_file(a, trace))
		status = lost ? STATUS_FAILED : STATUS_DONE;
	if (lost)
		fprintf(stderr, "perhop trace: %llu events were lost: trace fewer requests\n",
			(unsigned long long)lost);
	json_decref(trace);
	free(plan);
	free(s);
	return status;
}

int trace_main(int argc, char **argv)
{
	struct trace_arguments a = { .requests = 1, .seed = 1, .mode = MODE_AS_SCHEDULED };
	struct deployment *d = calloc(1, sizeof(*d));
	struct watcher w = { .d = d };
	const struct workload *workload;
	struct deploy_config deploy;
	struct application app;
	int status = STATUS_CANNOT;
	char why[256];

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	w.signals = signals_open();
	if (!d || application_open(&app, &workload, a.workload_text, why, sizeof(why))) {
		fprintf(stderr, "perhop trace: -w: %s\n", d ? why : "out of memory");
		free(d);
		return STATUS_CANNOT;
	}
	if (app.users && app.users->protocol) {
		fprintf(stderr, "perhop trace: -w: its client speaks HTTP only\n");
		free(d);
		if (workload->release)
			workload->release(&app);
		return STATUS_CANNOT;
	}
	deploy_defaults(&deploy);
	deploy.seed = a.seed;
	if (deploy_start(d, a.dataplanes.at[0].ops, &a.dataplanes.at[0].spec, &app, &deploy)) {
		fprintf(stderr, "perhop trace: %s\n", d->why);
	} else {
		status = trace_deployment(&a, d, &app, &w);
		deploy_stop(d);
	}
	if (workload->release)
		workload->release(&app);
	free(d);
	return status;
}
