/* SPDX-License-Identifier: BSD-2-Clause */
/* `perhop run`: dataplanes x load points x repetitions, interleaved, one record each. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chain/clock.h"
#include "cli/cli.h"
#include "cli/host.h"
#include "cli/parse.h"
#include "cli/record.h"
#include "cli/table.h"

enum {
	OPT_RATE = 256, OPT_ARRIVALS, OPT_THINK, OPT_CLOSE, OPT_SPAWN, OPT_SERVICE, OPT_SCALE,
	OPT_WARMUP, OPT_REPS, OPT_SEED, OPT_WAIT, OPT_PLACEMENT, OPT_INSTANCES, OPT_LIMIT, OPT_IDLE,
	OPT_TIMEOUT, OPT_LABEL, OPT_JSON, OPT_LAYERS, OPT_BUFFER,
};

enum { OPEN_CONNECTIONS_DEFAULT = 64, DURATION_DEFAULT_S = 10, BUFFER_KIB_MAX = 2048 };

struct plan {
	struct dataplane_list dataplanes;
	const struct workload *workload;
	struct application app;
	double users[POINTS_MAX], rate[POINTS_MAX];
	unsigned n_users, n_rates;
	unsigned reps;
	struct run_request common;
	bool think_model, json;
	const char *wait, *workload_text;
	int arrivals;               /* enum arrivals; ARRIVALS_CLOSED: not given */
};

/* One thing to do: cells of a repetition are shuffled. */
struct cell {
	unsigned dataplane, users, rate;
};

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "What runs", 1 },
	{ "dataplane", 'd', "SPEC[,SPEC...]", 0,
	  "Dataplanes, name[:mode][,key=value...]; may be "
	  "given several times. `perhop list` shows them.",
	  1 },
	{ "workload", 'w', "WORKLOAD[:CHAIN]", 0, "Workload, with options as for a dataplane", 1 },
	{ "service", OPT_SERVICE, "none|sleep|spin", 0,
	  "How functions spend their service time "
	  "(default none: only their own code)",
	  1 },
	{ "service-scale", OPT_SCALE, "X", 0, "Factor on the published service times (1)", 1 },
	{ "instances", OPT_INSTANCES, "N", 0, "Instances of each function (1)", 1 },
	{ "limit", OPT_LIMIT, "N", 0, "Requests an instance handles at a time (32)", 1 },
	{ "buffer", OPT_BUFFER, "KIB", 0, "Size of the pool's buffers, a power of two: the largest message and "
	  "384 bytes must fit into one (64)", 1 },
	{ "wait", OPT_WAIT, "HOW", 0, "How receivers wait, for all dataplanes that have the choice",
	  1 },
	{ "placement", OPT_PLACEMENT, "auto|free|same-core|cross-core", 0,
	  "Which cores instances run on (auto: one core for a chain with a shared pool, "
	  "unless service=spin or --instances)",
	  1 },
	{ NULL, 0, NULL, 0, "Load", 2 },
	{ "concurrency", 'c', "N[,N...]", 0,
	  "Users (closed loop), or most connections (open loop); "
	  "a list makes a load point of each (1; open loop 64)",
	  2 },
	{ "rate", OPT_RATE, "R[,R...]", 0, "Open loop: so many requests per second", 2 },
	{ "arrivals", OPT_ARRIVALS, "poisson|constant", 0, "Open loop: their spacing (poisson)",
	  2 },
	{ "think", OPT_THINK, "MS|LO:HI|model|none", 0,
	  "Closed loop: a user's pause between "
	  "requests, ms; model: the workload's own (none)",
	  2 },
	{ "spawn", OPT_SPAWN, "N", 0, "Closed loop: start N users per second (all at once)", 2 },
	{ "close", OPT_CLOSE, NULL, 0, "A new connection for each request", 2 },
	{ "timeout", OPT_TIMEOUT, "SEC", 0, "A request without an answer after it is an error (10)",
	  2 },
	{ NULL, 0, NULL, 0, "How long", 3 },
	{ "time", 't', "SEC", 0, "Measure so long (10)", 3 },
	{ "requests", 'n', "N", 0, "Measure so many requests instead", 3 },
	{ "warmup", OPT_WARMUP, "SEC", 0, "Load before the measured part (1)", 3 },
	{ "idle", OPT_IDLE, "SEC", 0, "Before the load, measure CPU without any so long", 3 },
	{ "layers", OPT_LAYERS, NULL, 0, "Sample where the CPU is (user code, host and pod stack, netfilter, "
	  "softirq…); a pass of its own, for it costs some CPU", 3 },
	{ "reps", OPT_REPS, "N", 0, "Repetitions; each runs all cells in a new random order (1)",
	  3 },
	{ "seed", OPT_SEED, "N", 0, "Of all that is random (1)", 3 },
	{ NULL, 0, NULL, 0, "Output", 4 },
	{ "json", OPT_JSON, NULL, 0, "One record per line on stdout, see results/schema.json", 4 },
	{ "label", OPT_LABEL, "TEXT", 0, "Text to keep in each record", 4 },
	{ 0 },
};

/* Parse helpers that end with a usage error. */
static uint64_t arg_count(struct argp_state *state, const char *option, const char *text,
			  uint64_t lo, uint64_t hi)
{
	struct why why;
	uint64_t value = lo;

	if (parse_count(text, lo, hi, &value, &why))
		argp_error(state, "%s: %s", option, why.text);
	return value;
}

static double arg_number(struct argp_state *state, const char *option, const char *text, double lo,
			 double hi)
{
	struct why why;
	double value = lo;

	if (parse_number(text, lo, hi, &value, &why))
		argp_error(state, "%s: %s", option, why.text);
	return value;
}

static int arg_choice(struct argp_state *state, const char *option, const char *text,
		      const struct choice *choices)
{
	struct why why;
	int value = 0;

	if (parse_choice(text, choices, &value, &why))
		argp_error(state, "%s: %s", option, why.text);
	return value;
}

static uint64_t seconds(double s)
{
	return (uint64_t)(s * 1e9);
}

static error_t parse_load(int key, char *arg, struct argp_state *state, struct plan *p)
{
	struct loadgen_config *load = &p->common.load;
	struct why why;
	unsigned i;

	switch (key) {
	case 'c':
		if (parse_numbers(arg, 1, 100000, p->users, &p->n_users, &why))
			argp_error(state, "-c: %s", why.text);
		for (i = 0; i < p->n_users; i++)
			if (p->users[i] != floor(p->users[i]))
				argp_error(state, "-c: '%g' is not a whole number", p->users[i]);
		return 0;
	case OPT_RATE:
		if (parse_numbers(arg, 0.001, 1e8, p->rate, &p->n_rates, &why))
			argp_error(state, "--rate: %s", why.text);
		return 0;
	case OPT_ARRIVALS:
		p->arrivals = arg_choice(state, "--arrivals", arg, arrivals_choices);
		return 0;
	case OPT_THINK:
		if (parse_think(arg, &load->think_lo_ms, &load->think_hi_ms, &p->think_model, &why))
			argp_error(state, "--think: %s", why.text);
		return 0;
	case OPT_CLOSE:
		load->keep_alive = false;
		return 0;
	case OPT_SPAWN:
		load->spawn_per_sec = (unsigned)arg_count(state, "--spawn", arg, 0, 1000000);
		return 0;
	case OPT_TIMEOUT:
		load->timeout_ns = seconds(arg_number(state, "--timeout", arg, 0.001, 3600));
		return 0;
	case 't':
		load->duration_ns = seconds(arg_number(state, "-t", arg, 0.1, 86400));
		return 0;
	case 'n':
		load->requests = arg_count(state, "-n", arg, 1, UINT64_C(1000000000000));
		return 0;
	case OPT_WARMUP:
		load->warmup_ns = seconds(arg_number(state, "--warmup", arg, 0, 86400));
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct plan *p = state->input;
	struct deploy_config *deploy = &p->common.deploy;
	struct why why;

	switch (key) {
	case 'd':
		if (parse_dataplanes(arg, &p->dataplanes, &why))
			argp_error(state, "-d: %s", why.text);
		return 0;
	case 'w':
		p->workload_text = arg;
		return 0;
	case OPT_SERVICE:
		deploy->service = (enum service_mode)arg_choice(state, "--service", arg,
								service_choices);
		return 0;
	case OPT_SCALE:
		deploy->service_scale = arg_number(state, "--service-scale", arg, 0, 1e6);
		return 0;
	case OPT_INSTANCES:
		deploy->instances = (unsigned)arg_count(state, "--instances", arg, 1,
							INSTANCE_MAX - 1);
		return 0;
	case OPT_LIMIT:
		deploy->concurrency = (unsigned)arg_count(state, "--limit", arg, 1, 65535);
		return 0;
	case OPT_BUFFER:
		deploy->buffer_bytes = (uint32_t)arg_count(state, "--buffer", arg, 4, BUFFER_KIB_MAX) << 10;
		if (deploy->buffer_bytes & (deploy->buffer_bytes - 1))
			argp_error(state, "--buffer: '%s' is not a power of two", arg);
		return 0;
	case OPT_WAIT:
		p->wait = arg;
		return 0;
	case OPT_PLACEMENT:
		deploy->placement = (enum placement)arg_choice(state, "--placement", arg,
							       placement_choices);
		return 0;
	case OPT_IDLE:
		p->common.idle_s = arg_number(state, "--idle", arg, 0.1, 3600);
		return 0;
	case OPT_LAYERS:
		p->common.layers = true;
		return 0;
	case OPT_REPS:
		p->reps = (unsigned)arg_count(state, "--reps", arg, 1, 10000);
		return 0;
	case OPT_SEED:
		/* Readers of JSON keep whole numbers up to 2^53. */
		deploy->seed = arg_count(state, "--seed", arg, 0, UINT64_C(1) << 53);
		return 0;
	case OPT_LABEL:
		if (strlen(arg) > 200)
			argp_error(state, "--label: more than 200 bytes");
		p->common.label = arg;
		return 0;
	case OPT_JSON:
		p->json = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state,
			   "'%s' is not expected here; dataplanes follow -d, the workload -w", arg);
		return EINVAL;
	default:
		return parse_load(key, arg, state, p);
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse_option,
	.doc = "Deploy a workload on one or more dataplanes, load it, and report RPS, latency "
	       "and CPU per request (CCR).\v"
	       "Examples:\n"
	       "  perhop run -d null,skmsg -w boutique -c 32 -t 10\n"
	       "  perhop run -d kernel:knative,sidecar=nginx -d skmsg -w boutique:ch1 -c 1,8,32 "
	       "--reps 5 --json > runs.jsonl\n"
	       "  perhop run -d skmsg -w echo,length=3 --rate 5000 --arrivals poisson -t 30\n"
	       "  perhop run -d kernel:http -w boutique -c 4000 --think model --spawn 200 -t 60\n\n"
	       "Service time runs from the write of a request to the last byte of its answer; "
	       "response "
	       "time from the moment the request was due, so that a slow server cannot hide its "
	       "queue. "
	       "CCR is the CPU time of all components, the load generator excluded, per successful "
	       "request.\n\n"
	       "Exit codes: 0 every run is valid, 1 a run failed or is invalid, 2 wrong usage, or "
	       "none "
	       "of the dataplanes can run here. A dataplane that cannot run beside others that can "
	       "is "
	       "reported as skipped, with the reason.",
};

/* Fill what depends on other options; ends with a usage error. 0 or STATUS_CANNOT. */
static int complete(struct plan *p)
{
	struct loadgen_config *load = &p->common.load;
	struct why why;
	unsigned i;
	int error;

	if (!p->dataplanes.count || !p->workload_text) {
		fprintf(stderr, "perhop run: %s is missing; `perhop list` shows what there is, "
			"`perhop run --help` has examples\n",
			p->dataplanes.count ? "-w WORKLOAD" : "-d DATAPLANE");
		return STATUS_CANNOT;
	}
	if (application_open(&p->app, &p->workload, p->workload_text, why.text, sizeof(why.text))) {
		fprintf(stderr, "perhop run: -w: %s\n", why.text);
		return STATUS_CANNOT;
	}
	for (i = 0; p->wait && i < p->dataplanes.count; i++) {
		error = spec_default(&p->dataplanes.at[i].spec, p->dataplanes.at[i].ops->options,
				     "wait", p->wait, &why);
		if (error == -ENOENT)
			fprintf(stderr,
				"perhop run: %s has no choice of how to wait; --wait does not "
				"change it\n",
				p->dataplanes.at[i].spec.text);
		else if (error) {
			fprintf(stderr, "perhop run: --wait: %s\n", why.text);
			return STATUS_CANNOT;
		}
	}
	if (p->arrivals && !p->n_rates) {
		fprintf(stderr, "perhop run: --arrivals needs --rate\n");
		return STATUS_CANNOT;
	}
	if (p->n_rates && (load->think_hi_ms || p->think_model || load->spawn_per_sec)) {
		fprintf(stderr,
			"perhop run: --think and --spawn belong to the closed loop (-c without "
			"--rate)\n");
		return STATUS_CANNOT;
	}
	if (load->requests && load->duration_ns) {
		fprintf(stderr, "perhop run: -t and -n exclude each other\n");
		return STATUS_CANNOT;
	}
	if (!load->requests && !load->duration_ns)
		load->duration_ns = DURATION_DEFAULT_S * NS_PER_SEC;
	if (!p->n_users)
		p->users[p->n_users++] = p->n_rates ? OPEN_CONNECTIONS_DEFAULT : 1;
	load->arrivals = ARRIVALS_CLOSED;
	if (p->n_rates)
		load->arrivals = p->arrivals ? (enum arrivals)p->arrivals : ARRIVALS_POISSON;
	if (!p->n_rates)
		p->n_rates = 1;
	if (p->think_model && p->app.users) {
		load->think_lo_ms = p->app.users->think_lo_ms;
		load->think_hi_ms = p->app.users->think_hi_ms;
	}
	return 0;
}

static struct cell *make_cells(const struct plan *p, unsigned *count)
{
	struct cell *cells;
	unsigned d, u, r, n = 0;

	*count = p->dataplanes.count * p->n_users * p->n_rates;
	cells = calloc(*count, sizeof(*cells));
	for (d = 0; cells && d < p->dataplanes.count; d++)
		for (u = 0; u < p->n_users; u++)
			for (r = 0; r < p->n_rates; r++)
				cells[n++] = (struct cell){ d, u, r };
	return cells;
}

/* Fisher-Yates: drift of the machine then hits all cells alike. */
static void shuffle(struct cell *cells, unsigned count, uint64_t *random)
{
	struct cell tmp;
	unsigned i, j;

	for (i = count; i > 1; i--) {
		j = (unsigned)(random_next(random) % i);
		tmp = cells[i - 1];
		cells[i - 1] = cells[j];
		cells[j] = tmp;
	}
}

struct tally {
	unsigned ran, skipped, bad;
	bool interrupted, broken_pipe;
	struct table table;
	json_t *host;
};

static void run_cell(const struct plan *p, const struct cell *cell, unsigned rep, int signals,
		     struct progress *progress, struct tally *tally)
{
	struct run_request rq = p->common;
	struct run_outcome *out = malloc(sizeof(*out));
	struct why why;

	if (!out) {
		tally->bad++;
		return;
	}
	rq.ops = p->dataplanes.at[cell->dataplane].ops;
	rq.spec = &p->dataplanes.at[cell->dataplane].spec;
	rq.workload = p->workload;
	rq.app = &p->app;
	rq.rep = rep;
	rq.load.users = (unsigned)p->users[cell->users];
	rq.load.rate = p->rate[cell->rate];
	rq.load.seed = rq.deploy.seed;
	/* Checked when the spec was read. */
	(void)scaling_parse(&rq.deploy.scaling, rq.spec, rq.ops->options, why.text, sizeof(why.text));
	snprintf(progress->what, sizeof(progress->what), "%.100s, c=%u, rep %u", rq.spec->text,
		 rq.load.users, rep);
	run_measure(out, &rq, signals, progress);
	progress_clear(progress);
	tally->skipped += out->skipped[0] != '\0';
	tally->ran += !out->skipped[0];
	tally->bad += !out->skipped[0] && !run_valid(out);
	tally->interrupted |= out->interrupted;
	if (p->json)
		tally->broken_pipe |= json_line(record_json(&rq, out, tally->host)) != 0;
	else
		table_add(&tally->table,
			  (cell->dataplane * p->n_users + cell->users) * p->n_rates + cell->rate,
			  &rq, out);
	fflush(stdout);
	/* Records go to a file or a program: a person must see failures all the same. */
	for (unsigned i = 0; p->json && i < out->invalid.count; i++)
		fprintf(stderr, "perhop run: %s: %s\n", rq.spec->text, out->invalid.text[i]);
	if (p->json && out->skipped[0])
		fprintf(stderr, "perhop run: %s: skipped: %s\n", rq.spec->text, out->skipped);
	run_release(out);
	free(out);
}

static int run_plan(struct plan *p)
{
	struct tally tally = { .host = p->json ? host_json() : NULL };
	struct progress progress = { .shown = isatty(STDERR_FILENO) };
	uint64_t random = p->common.deploy.seed;
	struct cell *cells;
	unsigned count, rep, i;
	int signals = signals_open();

	cells = make_cells(p, &count);
	if (signals < 0 || !cells) {
		fprintf(stderr, "perhop run: %s\n", strerror(signals < 0 ? -signals : ENOMEM));
		free(cells);
		return STATUS_CANNOT;
	}
	progress.runs = count * p->reps;
	if (!p->json) {
		p->common.app = &p->app;
		p->common.workload = p->workload;
		table_head(&p->common);
	}
	for (rep = 0; rep < p->reps; rep++) {
		shuffle(cells, count, &random);
		for (i = 0; i < count && !tally.interrupted && !tally.broken_pipe; i++) {
			progress.run++;
			run_cell(p, &cells[i], rep, signals, &progress, &tally);
		}
	}
	if (!p->json)
		table_medians(&tally.table);
	table_free(&tally.table);
	json_decref(tally.host);
	free(cells);
	close(signals);
	if (tally.bad || tally.broken_pipe)
		return STATUS_FAILED;
	return tally.ran ? STATUS_DONE : STATUS_CANNOT;
}

int run_main(int argc, char **argv)
{
	struct plan *p = calloc(1, sizeof(*p));
	int status;

	if (!p)
		return STATUS_CANNOT;
	p->reps = 1;
	deploy_defaults(&p->common.deploy);
	p->common.deploy.seed = 1;
	p->common.load.keep_alive = true;
	p->common.load.warmup_ns = NS_PER_SEC;
	p->common.load.timeout_ns = 10 * NS_PER_SEC;
	if (argp_parse(&argp, argc, argv, 0, NULL, p)) {
		free(p);
		return STATUS_CANNOT;
	}
	status = complete(p);
	if (!status)
		status = run_plan(p);
	if (p->workload && p->workload->release)
		p->workload->release(&p->app);
	free(p);
	return status;
}
