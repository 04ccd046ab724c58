/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `perhop surface`: mechanism x waiting x placement x load, of the chain alone. No client, no HTTP, no load
 * generator: the gateway's process keeps messages in flight through functions that do nothing
 * (inject.h), in a real deployment with all its processes. Where a load generator would compete with a
 * polling dataplane for the same few CPUs, this shows the dataplane.
 *
 * Within a repetition all dataplanes are run one after the other at each load point, so that a ratio
 * compares neighbours of the same second; points and dataplanes come in a new random order each time.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "chain/clock.h"
#include "chain/waiting.h"
#include "cli/cli.h"
#include "cli/host.h"
#include "cli/inject.h"
#include "cli/median.h"
#include "cli/parse.h"

enum {
	OPT_JSON = 256, OPT_REPS, OPT_WAIT, OPT_PLACEMENT, OPT_RATE, OPT_LENGTH, OPT_SIZE, OPT_MS, OPT_SEED,
	REPS = 9, MEASURE_MS = 80, WARM_SHARE = 2, LENGTH = 2, BYTES = 256,
	RATE_IN_FLIGHT = 64,        /* most that a paced point keeps in flight */
	LOADS_MAX = 64, SIZES_MAX = 8,
};

/* How much is in flight, or how often something is sent, and how large it is. */
struct load {
	unsigned in_flight, bytes;
	double rate;                /* 0: closed loop */
};

struct sample {
	unsigned n;
	double rps[MEDIAN_VALUES_MAX], ccr_us[MEDIAN_VALUES_MAX];
	uint64_t failed;            /* requests, all repetitions */
};

struct surface {
	struct dataplane_list dataplanes;
	char why[SPECS_MAX][sizeof(((struct probe_report *)0)->reason)];    /* it cannot run here */
	struct load load[LOADS_MAX];
	enum placement placement[3];
	unsigned loads, placements, reps, length, sizes, bytes[SIZES_MAX];
	uint64_t measure_ns, seed;
	const char *specs, *waits;
	bool json;
	struct injection *injection;
	struct sample *at;          /* [dataplane][placement][load] */
};

static const struct argp_option options[] = {
	{ "dataplane", 'd', "SPEC[,SPEC...]", 0, "Dataplanes with a shared pool (futex,skmsg,uds)", 0 },
	{ "wait", OPT_WAIT, "HOW[,HOW...]", 0,
	  "Each dataplane that does not say how it waits, with each of these (block,spin,adaptive)", 0 },
	{ "placement", OPT_PLACEMENT, "WHERE[,WHERE...]", 0, "same-core, cross-core, free (all three)", 0 },
	{ "concurrency", 'c', "N[,N...]", 0, "Messages in flight, a load point each (1,8,32,128)", 0 },
	{ "rate", OPT_RATE, "R[,R...]", 0, "Also paced: so many requests per second, a point each", 0 },
	{ "length", OPT_LENGTH, "N", 0, "Functions in a row, 1 to 8 (2)", 0 },
	{ "size", OPT_SIZE, "BYTES[,BYTES...]", 0, "Payload, up to 65536; each load point with each (256)", 0 },
	{ "time", 't', "MS", 0, "Measure each point so long, after half of that for warm-up (80)", 0 },
	{ "reps", OPT_REPS, "N", 0, "Repetitions (9)", 0 },
	{ "seed", OPT_SEED, "N", 0, "Of the order (1)", 0 },
	{ "json", OPT_JSON, NULL, 0, "One JSON object on stdout, with every repetition", 0 },
	{ 0 },
};

static uint64_t count_of(struct argp_state *state, const char *option, const char *text, uint64_t lo,
			 uint64_t hi)
{
	struct why why;
	uint64_t n = lo;

	if (parse_count(text, lo, hi, &n, &why))
		argp_error(state, "%s: %s", option, why.text);
	return n;
}

static void add_loads(struct argp_state *state, struct surface *s, const char *text, bool paced)
{
	double value[POINTS_MAX];
	unsigned n = 0;
	struct why why;

	if (parse_numbers(text, 1, paced ? 1e6 : 512, value, &n, &why))
		argp_error(state, "%s: %s", paced ? "--rate" : "-c", why.text);
	for (unsigned i = 0; i < n && s->loads < LOADS_MAX; i++)
		s->load[s->loads++] = paced ? (struct load){ RATE_IN_FLIGHT, 0, value[i] } :
					      (struct load){ (unsigned)value[i], 0, 0 };
}

static void add_sizes(struct argp_state *state, struct surface *s, const char *text)
{
	double value[POINTS_MAX];
	struct why why;

	if (parse_numbers(text, 1, INJECT_BYTES_MAX, value, &s->sizes, &why))
		argp_error(state, "--size: %s", why.text);
	if (s->sizes > SIZES_MAX)
		argp_error(state, "--size: at most %d", SIZES_MAX);
	for (unsigned i = 0; i < s->sizes && i < SIZES_MAX; i++)
		s->bytes[i] = (unsigned)value[i];
}

static void add_placements(struct argp_state *state, struct surface *s, const char *text)
{
	char copy[64], *save, *word;
	struct why why;
	int value;

	snprintf(copy, sizeof(copy), "%s", text);
	s->placements = 0;
	for (word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		if (parse_choice(word, placement_choices, &value, &why))
			argp_error(state, "--placement: %s", why.text);
		if (value == PLACE_AUTO || s->placements == 3)
			argp_error(state, "--placement: up to three of same-core, cross-core, free");
		s->placement[s->placements++] = (enum placement)value;
	}
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct surface *s = state->input;

	switch (key) {
	case 'd':
		s->specs = arg;
		return 0;
	case OPT_WAIT:
		s->waits = arg;
		return 0;
	case OPT_PLACEMENT:
		add_placements(state, s, arg);
		return 0;
	case 'c':
		add_loads(state, s, arg, false);
		return 0;
	case OPT_RATE:
		add_loads(state, s, arg, true);
		return 0;
	case OPT_LENGTH:
		s->length = (unsigned)count_of(state, "--length", arg, 1, INJECT_LENGTH_MAX);
		return 0;
	case OPT_SIZE:
		add_sizes(state, s, arg);
		return 0;
	case 't':
		s->measure_ns = count_of(state, "-t", arg, 10, 60000) * NS_PER_MS;
		return 0;
	case OPT_REPS:
		s->reps = (unsigned)count_of(state, "--reps", arg, 1, MEDIAN_VALUES_MAX);
		return 0;
	case OPT_SEED:
		s->seed = count_of(state, "--seed", arg, 0, UINT64_C(1) << 53);
		return 0;
	case OPT_JSON:
		s->json = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse_option,
	.doc = "Measure chains of functions that do nothing, without client, HTTP or load generator: throughput "
	       "and CPU per request of the dataplane alone, over how receivers wait, where they run, "
	       "and how many messages are in flight.\v"
	       "Examples:\n"
	       "  perhop surface\n"
	       "  perhop surface -d skmsg,uds --wait block --placement same-core -c 1,32\n"
	       "  perhop surface -d futex,sure:process --wait block --rate 1000 --json\n\n"
	       "Medians over the repetitions; the ratio is to the first dataplane, pair by pair.\n"
	       "Exit codes: 0 measured, 1 a request failed, 2 wrong usage or nothing can run here.",
};

/* ---- What there is to measure ----------------------------------------------------------------- */

/* Each load point with each size. 0, or -EINVAL: too many. */
static int cross_sizes(struct surface *s, struct why *why)
{
	unsigned loads = s->loads;

	if (loads * s->sizes > LOADS_MAX)
		return why_set(why, "more than %d load points", LOADS_MAX);
	for (unsigned z = s->sizes; z-- > 0;)
		for (unsigned l = 0; l < loads; l++) {
			s->load[z * loads + l] = s->load[l];
			s->load[z * loads + l].bytes = s->bytes[z];
		}
	s->loads = loads * s->sizes;
	return 0;
}

/* Each of s->specs, with each of s->waits unless it says itself. */
static int expand(struct surface *s, struct why *why)
{
	struct dataplane_list given = { 0 };
	char waits[64], *save, *wait;
	int err = parse_dataplanes(s->specs, &given, why);

	for (unsigned i = 0; i < given.count && !err; i++) {
		const struct dataplane_ops *ops = given.at[i].ops;
		bool choice = option_find(ops->options, "wait");

		snprintf(waits, sizeof(waits), "%s", s->waits);
		for (wait = strtok_r(waits, ",", &save); wait && !err; wait = strtok_r(NULL, ",", &save)) {
			char text[SPEC_TEXT_MAX];
			bool own = !choice || strstr(given.at[i].spec.text, "wait=");

			/* dpdk has a word less. */
			if (!own && !strstr(option_find(ops->options, "wait")->values, wait))
				continue;
			snprintf(text, sizeof(text), "%s%s%s", given.at[i].spec.text, own ? "" : ",wait=",
				 own ? "" : wait);
			err = parse_dataplanes(text, &s->dataplanes, why);
			if (own)
				break;
		}
	}
	return err;
}

static unsigned probe_all(struct surface *s)
{
	unsigned can = 0;

	for (unsigned i = 0; i < s->dataplanes.count; i++) {
		const struct dataplane_ops *ops = s->dataplanes.at[i].ops;
		const struct spec *spec = &s->dataplanes.at[i].spec;
		struct probe_report report = { 0 };

		ops->probe(spec, &report);
		if (report.ok && !(dataplane_flags(ops, spec) & DP_SHARED_POOL)) {
			report.ok = false;
			snprintf(report.reason, sizeof(report.reason), "it has no shared pool");
		}
		if (!report.ok)
			snprintf(s->why[i], sizeof(s->why[i]), "%s", report.reason);
		can += report.ok;
	}
	return can;
}

static struct sample *sample_at(const struct surface *s, unsigned dataplane, unsigned placement,
				unsigned load)
{
	return &s->at[(dataplane * s->placements + placement) * s->loads + load];
}

/* ---- Measuring -------------------------------------------------------------------------------- */

struct snapshot {
	uint64_t ns, cpu_ns, completed;
};

static struct snapshot look(const struct surface *s, const struct deployment *d)
{
	struct snapshot now = { clock_now_ns(), 0, atomic_load(&s->injection->completed) };

	for (unsigned i = 0; i < d->components; i++)
		now.cpu_ns += deploy_cpu_ns(d, i);
	return now;
}

/* As by default, or larger where the payload asks for it. */
static uint32_t buffer_for(uint32_t payload)
{
	uint32_t bytes = MESSAGE_BUFFER_DEFAULT;

	while (bytes - sizeof(struct message) < payload)
		bytes *= 2;
	return bytes;
}

/* One repetition of one cell. 0, or -errno with the reason printed; -EINTR: a signal. */
static int measure(struct surface *s, unsigned dataplane, unsigned placement, unsigned load, int signals)
{
	struct application app = inject_application(s->length);
	struct sample *out = sample_at(s, dataplane, placement, load);
	struct deployment *d = malloc(sizeof(*d));
	struct deploy_config config;
	struct snapshot a, b;
	uint64_t requests;
	int err;

	if (!d)
		return -ENOMEM;
	deploy_defaults(&config);
	config.placement = s->placement[placement];
	config.buffer_bytes = buffer_for(s->load[load].bytes);
	config.front = inject_main;
	config.front_arg = s->injection;
	s->injection->in_flight = s->load[load].in_flight;
	s->injection->gap_ns = s->load[load].rate ? (uint64_t)(1e9 / s->load[load].rate) : 0;
	s->injection->bytes = s->load[load].bytes;
	atomic_store(&s->injection->completed, 0);
	atomic_store(&s->injection->failed, 0);
	err = deploy_start(d, s->dataplanes.at[dataplane].ops, &s->dataplanes.at[dataplane].spec, &app, &config);
	if (err) {
		fprintf(stderr, "perhop surface: %s: %s\n", s->dataplanes.at[dataplane].spec.text, d->why);
		free(d);
		return err;
	}
	err = signals_wait(signals, s->measure_ns / WARM_SHARE) ? -EINTR : 0;
	a = look(s, d);
	if (!err && signals_wait(signals, s->measure_ns))
		err = -EINTR;
	b = look(s, d);
	if (deploy_watch(d)) {
		fprintf(stderr, "perhop surface: %s: %s\n", s->dataplanes.at[dataplane].spec.text, d->why);
		err = -ECHILD;
	}
	deploy_stop(d);
	free(d);
	if (err)
		return err;
	requests = b.completed - a.completed;
	out->failed += atomic_load(&s->injection->failed);
	out->rps[out->n] = (double)requests / (double)(b.ns - a.ns) * 1e9;
	out->ccr_us[out->n++] = requests ? (double)(b.cpu_ns - a.cpu_ns) / (double)requests / 1e3 : INFINITY;
	return 0;
}

static void shuffle(unsigned *at, unsigned n, uint64_t *random)
{
	for (unsigned i = 0; i < n; i++)
		at[i] = i;
	for (unsigned i = n; i > 1; i--) {
		unsigned j = (unsigned)(random_next(random) % i), tmp = at[i - 1];

		at[i - 1] = at[j];
		at[j] = tmp;
	}
}

static int measure_all(struct surface *s, int signals)
{
	unsigned point[3 * LOADS_MAX], order[SPECS_MAX], points = s->placements * s->loads;
	uint64_t random = s->seed;
	int err = 0;

	for (unsigned rep = 0; rep < s->reps && !err; rep++) {
		shuffle(point, points, &random);
		for (unsigned p = 0; p < points && !err; p++) {
			shuffle(order, s->dataplanes.count, &random);
			for (unsigned i = 0; i < s->dataplanes.count && !err; i++)
				if (!*s->why[order[i]])
					err = measure(s, order[i], point[p] / s->loads, point[p] % s->loads,
						      signals);
		}
		if (isatty(STDERR_FILENO))
			fprintf(stderr, "\rperhop surface: %u of %u repetitions%s", rep + 1, s->reps,
				rep + 1 == s->reps || err ? "\n" : "");
	}
	return err;
}

/* ---- Showing ---------------------------------------------------------------------------------- */

/* RPS over the first dataplane's that ran, pair by pair of the same repetition. */
static struct median ratio(const struct surface *s, unsigned dataplane, unsigned placement, unsigned load)
{
	const struct sample *mine = sample_at(s, dataplane, placement, load), *first = mine;
	double values[MEDIAN_VALUES_MAX];

	for (unsigned i = 0; i < dataplane && first == mine; i++)
		if (!*s->why[i])
			first = sample_at(s, i, placement, load);
	for (unsigned r = 0; r < mine->n; r++)
		values[r] = mine->rps[r] / first->rps[r];
	return median_of(values, mine->n);
}

static void load_name(const struct load *l, char *out, size_t room)
{
	if (l->rate)
		snprintf(out, room, "%g/s", l->rate);
	else
		snprintf(out, room, "%u", l->in_flight);
}

static void print_table(const struct surface *s)
{
	printf("Gateway and %u functions; medians of %u.\n\n%-34s %-11s %7s %6s %12s %10s  %s\n", s->length,
	       s->reps, "dataplane", "placement", "load", "bytes", "RPS", "CCR, µs", "RPS over the first");
	for (unsigned p = 0; p < s->placements; p++) {
		for (unsigned l = 0; l < s->loads; l++) {
			for (unsigned i = 0; i < s->dataplanes.count; i++) {
				const struct sample *at = sample_at(s, i, p, l);
				struct median over;
				char name[32];

				if (*s->why[i])
					continue;
				over = ratio(s, i, p, l);
				load_name(&s->load[l], name, sizeof(name));
				printf("%-34s %-11s %7s %6u %12.0f %10.3f  %.2f", s->dataplanes.at[i].spec.text,
				       choice_name(placement_choices, (int)s->placement[p]), name,
				       s->load[l].bytes, median_of(at->rps, at->n).value, median_of(at->ccr_us, at->n).value,
				       over.value);
				if (isfinite(over.low))
					printf(" [%.2f, %.2f]", over.low, over.high);
				printf("%s\n", at->failed ? "  requests failed" : "");
			}
		}
	}
	for (unsigned i = 0; i < s->dataplanes.count; i++)
		if (*s->why[i])
			printf("%s: skipped: %s\n", s->dataplanes.at[i].spec.text, s->why[i]);
}

static json_t *values_json(const double *value, unsigned n)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < n; i++)
		json_array_append_new(array, json_amount(value[i]));
	return array;
}

static json_t *cell_json(const struct surface *s, unsigned i, unsigned p, unsigned l)
{
	const struct sample *at = sample_at(s, i, p, l);
	const struct dataplane_ops *ops = s->dataplanes.at[i].ops;
	const struct spec *spec = &s->dataplanes.at[i].spec;
	json_t *wait = option_find(ops->options, "wait") ?
			       json_text(spec_value(spec, ops->options, "wait")) : json_null();
	char label[SPEC_TEXT_MAX];

	spec_label(spec, ops->modes, label, sizeof(label));
	return json_pack("{s:s,s:s,s:o,s:s,s:i,s:o,s:o,s:o,s:o,s:I,s:o}", "spec", spec->text, "dataplane", label,
			 "wait", wait, "placement", choice_name(placement_choices, (int)s->placement[p]),
			 "payload_bytes", (int)s->load[l].bytes, "in_flight", s->load[l].rate ? json_null() : json_integer(s->load[l].in_flight),
			 "rate", s->load[l].rate ? json_real(s->load[l].rate) : json_null(), "rps",
			 values_json(at->rps, at->n), "ccr_us", values_json(at->ccr_us, at->n), "failed",
			 (json_int_t)at->failed, "skipped", json_text(*s->why[i] ? s->why[i] : NULL));
}

static int print_json(const struct surface *s)
{
	json_t *cells = json_array();

	for (unsigned i = 0; i < s->dataplanes.count; i++)
		for (unsigned p = 0; p < s->placements; p++)
			for (unsigned l = 0; l < s->loads; l++)
				json_array_append_new(cells, cell_json(s, i, p, l));
	return json_line(json_pack("{s:i,s:s,s:i,s:i,s:I,s:o,s:o}", "schema_version", 1, "kind", "surface",
				   "length", (int)s->length, "reps", (int)s->reps, "measured_ms", (json_int_t)(s->measure_ns / NS_PER_MS), "cells",
				   cells, "host", host_json()));
}

static bool any_failed(const struct surface *s)
{
	for (unsigned i = 0; i < s->dataplanes.count * s->placements * s->loads; i++)
		if (s->at[i].failed)
			return true;
	return false;
}

/* Exit code. */
static int measure_and_show(struct surface *s)
{
	int signals, err;
	struct why why;

	if (cross_sizes(s, &why) || expand(s, &why)) {
		fprintf(stderr, "perhop surface: %s\n", why.text);
		return STATUS_CANNOT;
	}
	if (!probe_all(s)) {
		for (unsigned i = 0; i < s->dataplanes.count; i++)
			fprintf(stderr, "perhop surface: %s: %s\n", s->dataplanes.at[i].spec.text, s->why[i]);
		return STATUS_CANNOT;
	}
	s->at = calloc(s->dataplanes.count * s->placements * s->loads, sizeof(*s->at));
	s->injection = mmap(NULL, sizeof(*s->injection), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	signals = signals_open();
	if (!s->at || s->injection == MAP_FAILED || signals < 0)
		return STATUS_CANNOT;
	err = measure_all(s, signals);
	if (err)
		return err == -EINTR ? STATUS_CANNOT : STATUS_FAILED;
	if (s->json)
		err = print_json(s);
	else
		print_table(s);
	return err || any_failed(s) ? STATUS_FAILED : STATUS_DONE;
}

int surface_main(int argc, char **argv)
{
	struct surface *s = calloc(1, sizeof(*s));
	int status;

	if (!s)
		return STATUS_CANNOT;
	*s = (struct surface){
		.placement = { PLACE_SAME_CORE, PLACE_CROSS_CORE, PLACE_FREE },
		.placements = 3, .reps = REPS, .length = LENGTH, .sizes = 1, .bytes = { BYTES },
		.measure_ns = MEASURE_MS * NS_PER_MS, .seed = 1,
		.specs = "futex,skmsg,uds", .waits = "block,spin,adaptive",
	};
	status = argp_parse(&argp, argc, argv, 0, NULL, s) ? STATUS_CANNOT : STATUS_DONE;
	if (!status && !s->loads)
		for (unsigned i = 0; i < 4; i++)
			s->load[s->loads++] = (struct load){ .in_flight = (const unsigned[]){ 1, 8, 32, 128 }[i] };
	if (!status)
		status = measure_and_show(s);
	free(s->at);
	free(s);
	return status;
}
