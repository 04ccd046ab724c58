/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `perhop verify`: the oracle. One user sends the same requests, in order, to the workload on each
 * dataplane; the SHA-256 over all answers must be the same.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/measure.h"
#include "cli/parse.h"
#include "chain/clock.h"

enum { OPT_SEED = 256, OPT_JSON, REQUESTS_DEFAULT = 200 };

struct verify_arguments {
	struct dataplane_list dataplanes;
	const char *workload_text;
	uint64_t seed, requests;
	bool json;
};

/* What one dataplane answered. */
struct verdict {
	char text[SPEC_TEXT_MAX];
	char digest[65];            /* "" when it did not run to the end */
	char why[NOTE_BYTES];
	uint64_t requests, errors;
	bool skipped, interrupted;
};

static const struct argp_option options[] = {
	{ "workload", 'w', "WORKLOAD", 0, "Workload, name[:mode][,key=value...]", 0 },
	{ "dataplane", 'd', "SPEC[,SPEC...]", 0, "Dataplanes (all, with all modes)", 0 },
	{ "requests", 'n', "N", 0, "Requests to send to each (200)", 0 },
	{ "seed", OPT_SEED, "N", 0, "Of the requests (1)", 0 },
	{ "json", OPT_JSON, NULL, 0, "One JSON object on stdout", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct verify_arguments *a = state->input;
	struct why why;

	switch (key) {
	case 'w':
		a->workload_text = arg;
		return 0;
	case 'd':
		if (parse_dataplanes(arg, &a->dataplanes, &why))
			argp_error(state, "-d: %s", why.text);
		return 0;
	case 'n':
		if (parse_count(arg, 1, 100000000, &a->requests, &why))
			argp_error(state, "-n: %s", why.text);
		return 0;
	case OPT_SEED:
		if (parse_count(arg, 0, UINT64_C(1) << 53, &a->seed, &why))
			argp_error(state, "--seed: %s", why.text);
		return 0;
	case OPT_JSON:
		a->json = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is not expected here; the workload follows -w", arg);
		return 0;
	case ARGP_KEY_END:
		if (!a->workload_text)
			argp_error(state,
				   "-w WORKLOAD is missing; `perhop list` shows what there is");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse_option,
	.doc = "Check that the same requests get the same answers, byte by byte, on every "
	       "dataplane.\v"
	       "Examples:\n"
	       "  perhop verify -w boutique\n"
	       "  perhop verify -w echo,length=3 -d null,skmsg -n 1000 --seed 7\n\n"
	       "Exit codes: 0 all agree, 1 they differ or one failed, 2 wrong usage, or fewer than "
	       "two "
	       "can run here.",
};

/* Every dataplane in every mode. */
static int all_dataplanes(struct dataplane_list *list, struct why *why)
{
	char text[2 * SPEC_NAME_MAX + 2];
	int error = 0;

	for (unsigned i = 0; dataplanes[i] && !error; i++) {
		const char *at = dataplanes[i]->modes ? dataplanes[i]->modes : "";
		size_t n;

		do {
			n = strcspn(at, "|");
			snprintf(text, sizeof(text), "%s%s%.*s", dataplanes[i]->name, n ? ":" : "",
				 (int)n, at);
			error = parse_dataplanes(text, list, why);
			at += n + (at[n] == '|');
		} while (*at && !error);
	}
	return error;
}

static void ask(struct verdict *v, const struct verify_arguments *a, unsigned i,
		const struct workload *workload, const struct application *app, int signals,
		struct progress *progress)
{
	struct run_request rq = {
		.ops = a->dataplanes.at[i].ops,
		.spec = &a->dataplanes.at[i].spec,
		.workload = workload,
		.app = app,
		.load = { .users = 1, .requests = a->requests, .timeout_ns = 10 * NS_PER_SEC,
			  .keep_alive = true, .seed = a->seed, .digest = true },
	};
	struct run_outcome *out = malloc(sizeof(*out));

	snprintf(v->text, sizeof(v->text), "%s", rq.spec->text);
	if (!out) {
		snprintf(v->why, sizeof(v->why), "out of memory");
		return;
	}
	deploy_defaults(&rq.deploy);
	rq.deploy.seed = a->seed;
	progress->run = i + 1;
	snprintf(progress->what, sizeof(progress->what), "%.150s", v->text);
	run_measure(out, &rq, signals, progress);
	progress_clear(progress);
	v->skipped = out->skipped[0] != '\0';
	v->interrupted = out->interrupted;
	if (v->skipped)
		snprintf(v->why, sizeof(v->why), "%s", out->skipped);
	else if (out->invalid.count)
		snprintf(v->why, sizeof(v->why), "%s", out->invalid.text[0]);
	if (out->loaded) {
		const struct loadgen_result *r = &out->generator.shared->result;

		v->requests = r->requests;
		v->errors = r->errors;
		for (int b = 0; run_valid(out) && b < 32; b++)
			snprintf(v->digest + 2 * b, 3, "%02x", r->sha256[b]);
	}
	run_release(out);
	free(out);
}

static json_t *verdict_json(const struct verdict *v)
{
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "dataplane", v->text, "digest",
			 json_text(v->digest[0] ? v->digest : NULL), "requests",
			 v->skipped ? json_null() : json_integer((json_int_t)v->requests), "errors",
			 v->skipped ? json_null() : json_integer((json_int_t)v->errors), "skipped",
			 json_text(v->skipped ? v->why : NULL), "failed",
			 json_text(!v->skipped && v->why[0] ? v->why : NULL));
}

/* Compare, print, and say what to exit with. */
static int conclude(const struct verify_arguments *a, const struct verdict *v, unsigned n,
		    const char *workload)
{
	unsigned i, ran = 0, failed = 0, differ = 0;
	const char *first = NULL;
	json_t *list = json_array();

	for (i = 0; i < n; i++) {
		ran += !v[i].skipped;
		failed += !v[i].skipped && !v[i].digest[0];
		if (v[i].digest[0] && !first)
			first = v[i].digest;
		differ += v[i].digest[0] && strcmp(v[i].digest, first);
		json_array_append_new(list, verdict_json(&v[i]));
		if (a->json)
			continue;
		if (v[i].digest[0])
			printf("%-24s %s  %" PRIu64 " answers, %" PRIu64 " errors\n", v[i].text,
			       v[i].digest, v[i].requests, v[i].errors);
		else
			printf("%-24s %s: %s\n", v[i].text, v[i].skipped ? "skipped" : "FAILED",
			       v[i].why);
	}
	if (a->json) {
		json_line(json_pack("{s:s, s:I, s:I, s:b, s:o}", "workload", workload, "seed",
				    (json_int_t)a->seed, "requests", (json_int_t)a->requests,
				    "agree", (int)(ran >= 2 && !failed && !differ), "dataplanes",
				    list));
	} else {
		json_decref(list);
		printf("%s: %s\n", workload,
		       failed ? "not all ran to the end" : differ ? "the answers DIFFER" :
		       ran < 2 ? "fewer than two dataplanes could run: nothing to compare" :
		       "all agree");
		fflush(stdout);
	}
	return failed || differ ? STATUS_FAILED : ran < 2 ? STATUS_CANNOT : STATUS_DONE;
}

int verify_main(int argc, char **argv)
{
	struct verify_arguments a = { .seed = 1, .requests = REQUESTS_DEFAULT };
	struct progress progress = { .shown = isatty(STDERR_FILENO) };
	struct verdict *v = calloc(SPECS_MAX, sizeof(*v));
	const struct workload *workload;
	struct application app = { 0 };
	struct why why;
	int status = STATUS_CANNOT, signals;
	unsigned i = 0;

	if (!v || argp_parse(&argp, argc, argv, 0, NULL, &a))
		goto out;
	if (!a.dataplanes.count && all_dataplanes(&a.dataplanes, &why)) {
		fprintf(stderr, "perhop verify: %s\n", why.text);
		goto out;
	}
	if (application_open(&app, &workload, a.workload_text, why.text, sizeof(why.text))) {
		fprintf(stderr, "perhop verify: -w: %s\n", why.text);
		goto out;
	}
	signals = signals_open();
	progress.runs = a.dataplanes.count;
	while (i < a.dataplanes.count && (!i || !v[i - 1].interrupted)) {
		ask(&v[i], &a, i, workload, &app, signals, &progress);
		i++;
	}
	status = conclude(&a, v, i, app.spec.text);
	if (workload->release)
		workload->release(&app);
	close(signals);
out:
	free(v);
	return status;
}
