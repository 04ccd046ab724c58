/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `perhop compare`: dataplanes side by side, interleaved, with a table that fills while they run.
 *
 * The last dataplane named is what the others are compared with. Each round runs every dataplane at
 * every load point once, in a new random order; after each run the table has the means so far and
 * the ratios with their intervals. What is to be kept goes out as records (--json), which
 * scripts/compare.py reads; this is for watching.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "chain/clock.h"
#include "cli/cli.h"
#include "cli/host.h"
#include "cli/interval.h"
#include "cli/parse.h"
#include "cli/record.h"

enum { OPT_WARMUP = 256, OPT_REPS, OPT_SEED, OPT_PLACEMENT, OPT_JSON };
enum { REPS_MAX = 200, REPS_DEFAULT = 5, TABLE_COLUMNS = 117 };
enum { RPS, P50, P99, CCR, METRICS };

static const char *const titles[METRICS] = { "RPS", "p50 us", "p99 us", "CCR us" };

/* Repetitions of one dataplane at one load point. */
struct sample {
	unsigned n;
	double value[METRICS][REPS_MAX];
};

struct comparison {
	struct dataplane_list dataplanes;
	const struct workload *workload;
	const char *workload_text;
	struct application app;
	double users[POINTS_MAX];
	unsigned points, reps;
	struct run_request common;
	bool json;

	FILE *out;                  /* where the table goes */
	bool live;                  /* `out` is a wide terminal: the table is drawn anew in place */
	unsigned lines;             /* of it that stand there */
	struct sample *samples;     /* [point][dataplane] */
	unsigned done, bad;
	bool stopped;
};

static const struct argp_option options[] = {
	{ "workload", 'w', "WORKLOAD[:CHAIN]", 0, "What they run", 1 },
	{ "concurrency", 'c', "N[,N...]", 0, "Connections, no think time; a list makes a load point "
	  "of each (32)", 1 },
	{ "placement", OPT_PLACEMENT, "auto|free|same-core|cross-core", 0,
	  "Which cores instances run on (auto)", 1 },
	{ "time", 't', "SEC", 0, "Measure so long in each run (2)", 2 },
	{ "warmup", OPT_WARMUP, "SEC", 0, "Load before the measured part (0.5)", 2 },
	{ "reps", OPT_REPS, "N", 0, "Rounds (5); no interval below 3", 2 },
	{ "seed", OPT_SEED, "N", 0, "Of the order and of the load (1)", 2 },
	{ "json", OPT_JSON, NULL, 0, "One record per line on stdout; the table goes to stderr", 3 },
	{ 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct comparison *c = state->input;
	struct loadgen_config *load = &c->common.load;
	struct why why = { "" };
	double seconds = 0;
	uint64_t count = 0;
	int choice = 0, error = 0;

	switch (key) {
	case 'w':
		c->workload_text = arg;
		return 0;
	case 'c':
		error = parse_numbers(arg, 1, 100000, c->users, &c->points, &why);
		for (unsigned i = 0; !error && i < c->points; i++)
			if (c->users[i] != floor(c->users[i]))
				error = why_set(&why, "'%g' is not a whole number", c->users[i]);
		break;
	case OPT_PLACEMENT:
		error = parse_choice(arg, placement_choices, &choice, &why);
		c->common.deploy.placement = (enum placement)choice;
		break;
	case 't':
		error = parse_number(arg, 0.1, 86400, &seconds, &why);
		load->duration_ns = (uint64_t)(seconds * 1e9);
		break;
	case OPT_WARMUP:
		error = parse_number(arg, 0, 86400, &seconds, &why);
		load->warmup_ns = (uint64_t)(seconds * 1e9);
		break;
	case OPT_REPS:
		error = parse_count(arg, 1, REPS_MAX, &count, &why);
		c->reps = (unsigned)count;
		break;
	case OPT_SEED:
		/* Readers of JSON keep whole numbers up to 2^53. */
		error = parse_count(arg, 0, UINT64_C(1) << 53, &c->common.deploy.seed, &why);
		break;
	case OPT_JSON:
		c->json = true;
		return 0;
	case ARGP_KEY_ARG:
		error = parse_dataplanes(arg, &c->dataplanes, &why);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	if (error)
		argp_error(state, "%s: %s", arg, why.text);
	return error;
}

static const struct argp argp = {
	.options = options,
	.parser = parse_option,
	.args_doc = "DATAPLANE... BASELINE",
	.doc = "Run dataplanes in turns and print, while they run, what each does and its ratio to "
	       "the last one named.\v"
	       "Examples:\n"
	       "  perhop compare skmsg kernel:http -w boutique\n"
	       "  perhop compare skmsg,wait=adaptive futex uds -w echo,length=4 -c 1,32 --reps 10\n"
	       "  perhop compare skmsg kernel:http -w boutique --json >runs.jsonl\n"
	       "  scripts/compare.py runs.jsonl --a skmsg --b kernel:http\n\n"
	       "Values are means over the rounds; latency is response time. An interval is 99 %, "
	       "Welch's t on the log of the ratio. CCR is the CPU time of all components per "
	       "request.\n\n"
	       "Exit codes: 0 every run is valid, 1 a run failed or is invalid, or it was "
	       "interrupted, 2 wrong usage, or a dataplane cannot run here.",
};

static struct sample *sample_at(struct comparison *c, unsigned point, unsigned dataplane)
{
	return &c->samples[point * c->dataplanes.count + dataplane];
}

static double mean_of(const struct sample *s, unsigned metric)
{
	double sum = 0;

	for (unsigned i = 0; i < s->n; i++)
		sum += s->value[metric][i];
	return s->n ? sum / s->n : NAN;
}

static void print_means(struct comparison *c, const char *name, const struct sample *s)
{
	char text[16];

	fprintf(c->out, "%-28.28s %3u", name, s->n);
	for (unsigned m = 0; m < METRICS; m++)
		fprintf(c->out, " %21s", amount_text(mean_of(s, m), text));
	fputc('\n', c->out);
	c->lines++;
}

static void print_ratios(struct comparison *c, const struct sample *s, const struct sample *base)
{
	char text[48], low[16], high[16];
	struct ratio r;

	fprintf(c->out, "%32s", "ratio ");
	for (unsigned m = 0; m < METRICS; m++) {
		r = ratio_of_means(s->value[m], s->n, base->value[m], base->n);
		if (!isfinite(r.value))
			snprintf(text, sizeof(text), "-");
		else if (!isfinite(r.low))
			snprintf(text, sizeof(text), "%.3gx", r.value);
		else
			snprintf(text, sizeof(text), "%.3gx [%s, %s]", r.value,
				 amount_text(r.low, low), amount_text(r.high, high));
		fprintf(c->out, " %21s", text);
	}
	fputc('\n', c->out);
	c->lines++;
}

static void print_point(struct comparison *c, unsigned point)
{
	unsigned base = c->dataplanes.count - 1;

	fprintf(c->out, "\nc = %-24g %3s", c->users[point], "n");
	for (unsigned m = 0; m < METRICS; m++)
		fprintf(c->out, " %21s", titles[m]);
	fputc('\n', c->out);
	c->lines += 2;
	for (unsigned d = 0; d < c->dataplanes.count; d++) {
		print_means(c, c->dataplanes.at[d].spec.text, sample_at(c, point, d));
		if (d != base)
			print_ratios(c, sample_at(c, point, d), sample_at(c, point, base));
	}
}

/* Draw the table, on a terminal over the one that stands there. */
static void print_table(struct comparison *c)
{
	if (c->live && c->lines)
		fprintf(c->out, "\033[%uA\033[J", c->lines);
	c->lines = 0;
	for (unsigned p = 0; p < c->points; p++)
		print_point(c, p);
	fflush(c->out);
}

static void keep(struct sample *s, const struct run_outcome *out)
{
	const struct histogram *h = &out->generator.shared->result.response;

	s->value[RPS][s->n] = out->rps;
	s->value[P50][s->n] = (double)histogram_quantile(h, 0.5) / 1e3;
	s->value[P99][s->n] = (double)histogram_quantile(h, 0.99) / 1e3;
	s->value[CCR][s->n] = out->ccr_us;
	s->n++;
}

/* A line about one run; only where the table is not drawn anew. */
static void print_run(const struct comparison *c, const char *name, unsigned users,
		      const struct run_outcome *out)
{
	char rps[16], ccr[16];

	if (out->skipped[0])
		fprintf(c->out, "%-28s c = %-4u skipped: %s\n", name, users, out->skipped);
	else if (!run_valid(out))
		fprintf(c->out, "%-28s c = %-4u INVALID: %s\n", name, users, out->invalid.text[0]);
	else
		fprintf(c->out, "%-28s c = %-4u %10s RPS %10s us of CPU per request\n", name, users,
			amount_text(out->rps, rps), amount_text(out->ccr_us, ccr));
	fflush(c->out);
}

static void run_one(struct comparison *c, unsigned cell, unsigned rep, int signals,
		    struct progress *progress, json_t *host)
{
	unsigned point = cell / c->dataplanes.count, plane = cell % c->dataplanes.count;
	struct run_request rq = c->common;
	struct run_outcome *out = malloc(sizeof(*out));
	bool fine;

	if (!out) {
		c->bad++;
		return;
	}
	rq.ops = c->dataplanes.at[plane].ops;
	rq.spec = &c->dataplanes.at[plane].spec;
	rq.rep = rep;
	rq.load.users = (unsigned)c->users[point];
	rq.load.seed = rq.deploy.seed;
	snprintf(progress->what, sizeof(progress->what), "round %u of %u: %s, c=%u", rep + 1,
		 c->reps, rq.spec->text, rq.load.users);
	run_measure(out, &rq, signals, progress);
	progress_clear(progress);
	fine = !out->skipped[0] && run_valid(out) && out->loaded;
	if (fine)
		keep(sample_at(c, point, plane), out);
	c->bad += !fine;
	c->done++;
	c->stopped |= out->interrupted;
	if (c->json)
		c->stopped |= json_line(record_json(&rq, out, host)) != 0;
	if (c->live)
		print_table(c);
	if (!c->live || !fine)
		print_run(c, rq.spec->text, rq.load.users, out);
	if (c->live && !fine)
		c->lines++;
	run_release(out);
	free(out);
}

/* Fisher-Yates: drift of the machine then hits all alike. */
static void shuffle(unsigned *cells, unsigned count, uint64_t *random)
{
	for (unsigned i = count; i > 1; i--) {
		unsigned j = (unsigned)(random_next(random) % i), cell = cells[i - 1];

		cells[i - 1] = cells[j];
		cells[j] = cell;
	}
}

static int run_rounds(struct comparison *c)
{
	unsigned count = c->points * c->dataplanes.count, *cells;
	struct progress progress = { .shown = isatty(STDERR_FILENO), .runs = count * c->reps };
	uint64_t random = c->common.deploy.seed;
	json_t *host = c->json ? host_json() : NULL;
	int signals = signals_open();

	cells = calloc(count, sizeof(*cells));
	c->samples = calloc(count, sizeof(*c->samples));
	if (signals < 0 || !cells || !c->samples) {
		fprintf(stderr, "perhop compare: %s\n", strerror(signals < 0 ? -signals : ENOMEM));
		c->bad++;
		goto out;
	}
	for (unsigned i = 0; i < count; i++)
		cells[i] = i;
	fprintf(c->out, "%s, %u rounds of %u runs, each %g s after %g s; ratios to %s\n",
		c->workload_text, c->reps, count, (double)c->common.load.duration_ns / 1e9,
		(double)c->common.load.warmup_ns / 1e9,
		c->dataplanes.at[c->dataplanes.count - 1].spec.text);
	for (unsigned rep = 0; rep < c->reps; rep++) {
		shuffle(cells, count, &random);
		for (unsigned i = 0; i < count && !c->stopped; i++) {
			progress.run++;
			run_one(c, cells[i], rep, signals, &progress, host);
		}
	}
	if (!c->live)
		print_table(c);
out:
	if (signals >= 0)
		close(signals);
	json_decref(host);
	free(c->samples);
	free(cells);
	return c->bad || c->stopped ? STATUS_FAILED : STATUS_DONE;
}

/* A terminal on which no line of the table wraps: only there can it be drawn over. */
static bool is_wide_terminal(FILE *f)
{
	struct winsize size = { 0 };

	return isatty(fileno(f)) && !ioctl(fileno(f), TIOCGWINSZ, &size) &&
	       size.ws_col > TABLE_COLUMNS;
}

/* What must hold before anything runs: 0, or STATUS_CANNOT with a message. */
static int check(struct comparison *c)
{
	struct probe_report report;
	struct why why;

	if (c->dataplanes.count < 2 || !c->workload_text) {
		fprintf(stderr, "perhop compare: %s; `perhop compare --help` has examples\n",
			c->workload_text ? "it takes two dataplanes" : "-w WORKLOAD is missing");
		return STATUS_CANNOT;
	}
	if (application_open(&c->app, &c->workload, c->workload_text, why.text, sizeof(why.text))) {
		fprintf(stderr, "perhop compare: -w: %s\n", why.text);
		return STATUS_CANNOT;
	}
	for (unsigned i = 0; i < c->dataplanes.count; i++) {
		memset(&report, 0, sizeof(report));
		c->dataplanes.at[i].ops->probe(&c->dataplanes.at[i].spec, &report);
		if (report.ok)
			continue;
		fprintf(stderr, "perhop compare: %s cannot run here: %s\n",
			c->dataplanes.at[i].spec.text, report.reason);
		return STATUS_CANNOT;
	}
	if (!c->points)
		c->users[c->points++] = 32;
	c->common.app = &c->app;
	c->common.workload = c->workload;
	c->out = c->json ? stderr : stdout;
	c->live = is_wide_terminal(c->out);
	return 0;
}

int compare_main(int argc, char **argv)
{
	struct comparison *c = calloc(1, sizeof(*c));
	int status;

	if (!c)
		return STATUS_CANNOT;
	c->reps = REPS_DEFAULT;
	deploy_defaults(&c->common.deploy);
	c->common.deploy.seed = 1;
	c->common.load.keep_alive = true;
	c->common.load.arrivals = ARRIVALS_CLOSED;
	c->common.load.duration_ns = 2 * NS_PER_SEC;
	c->common.load.warmup_ns = NS_PER_SEC / 2;
	c->common.load.timeout_ns = 10 * NS_PER_SEC;
	c->common.label = "compare";
	status = argp_parse(&argp, argc, argv, 0, NULL, c) ? STATUS_CANNOT : check(c);
	if (!status)
		status = run_rounds(c);
	if (c->workload && c->workload->release)
		c->workload->release(&c->app);
	free(c);
	return status;
}
