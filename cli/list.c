/* SPDX-License-Identifier: BSD-2-Clause */
/* `perhop list`: what there is, with which options, and whether it can run here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chain/network.h"
#include "cli/cli.h"

struct list_arguments {
	bool json;
};

enum { OPT_JSON = 256 };

static const struct argp_option options[] = {
	{ "json", OPT_JSON, NULL, 0, "One JSON object on stdout", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct list_arguments *a = state->input;

	switch (key) {
	case OPT_JSON:
		a->json = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is not expected here: list takes no arguments", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse_option,
	.doc = "Show every dataplane and workload with modes and options, and whether it can run "
	       "here.\v"
	       "Examples:\n"
	       "  perhop list\n"
	       "  perhop list --json | jq '.dataplanes[] | select(.ok) | .name'\n\n"
	       "Exit code: 0.",
};

/* Take the next word of "a|b|c" into `out`; false at the end. */
static bool next_mode(const char **at, char *out, size_t room)
{
	size_t n = strcspn(*at, "|");

	if (!n)
		return false;
	snprintf(out, room, "%.*s", (int)n, *at);
	*at += n + ((*at)[n] == '|');
	return true;
}

/* Ask the dataplane whether `text` can run here. */
static void probe(const struct dataplane_ops *ops, const char *text, struct probe_report *report)
{
	struct spec spec;

	memset(report, 0, sizeof(*report));
	if (spec_parse(&spec, text, report->reason, sizeof(report->reason)))
		return;
	ops->probe(&spec, report);
}

static json_t *options_json(const struct option_spec *o)
{
	json_t *list = json_array();

	for (; o && o->key; o++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "key", o->key,
						      "values", o->values, "default", o->fallback,
						      "help", o->help));
	return list;
}

static json_t *report_json(const char *text, const struct probe_report *report)
{
	return json_pack("{s:s, s:b, s:o}", "spec", text, "ok", (int)report->ok, "reason",
			 json_text(report->reason[0] ? report->reason : NULL));
}

static json_t *dataplane_json(const struct dataplane_ops *ops)
{
	const char *at = ops->modes ? ops->modes : "";
	json_t *o = json_object(), *modes = json_array();
	char mode[SPEC_NAME_MAX], text[2 * SPEC_NAME_MAX + 2];
	struct probe_report report;

	probe(ops, ops->name, &report);
	json_object_set_new(o, "name", json_string(ops->name));
	json_object_set_new(o, "summary", json_text(ops->summary));
	json_object_set_new(o, "ok", json_boolean(report.ok));
	json_object_set_new(o, "reason", json_text(report.reason[0] ? report.reason : NULL));
	while (next_mode(&at, mode, sizeof(mode))) {
		snprintf(text, sizeof(text), "%s:%s", ops->name, mode);
		probe(ops, text, &report);
		json_array_append_new(modes, report_json(text, &report));
	}
	json_object_set_new(o, "modes", modes);
	json_object_set_new(o, "options", options_json(ops->options));
	return o;
}

/* Functions with their service times and chains with their sequences, of a workload as configured. */
static void add_application(json_t *list, const char *text)
{
	json_t *functions = json_array(), *chains = json_array(), *sequence;
	const struct workload *found = NULL;
	struct application app = { 0 };
	char why[256];

	if (!application_open(&app, &found, text, why, sizeof(why))) {
		for (unsigned i = 0; i < app.n_functions; i++)
			json_array_append_new(functions, json_pack(
				"{s:s, s:I}", "name", app.functions[i]->name, "service_ns",
				(json_int_t)app.functions[i]->service_ns));
		for (unsigned i = 0; i < app.n_chains; i++) {
			sequence = json_array();
			for (unsigned k = 0; k < app.chains[i].length; k++)
				json_array_append_new(sequence, json_string(
					app.functions[app.chains[i].sequence[k]]->name));
			json_array_append_new(chains, json_pack("{s:s, s:s, s:o}", "name",
								app.chains[i].name, "path",
								app.chains[i].path, "sequence",
								sequence));
		}
	}
	if (found && found->release)
		found->release(&app);
	json_array_append_new(list, json_pack("{s:s, s:o, s:o}", "spec", text, "functions",
					      functions, "chains", chains));
}

static json_t *workload_json(const struct workload *w)
{
	const char *at = w->modes ? w->modes : "";
	json_t *modes = json_array(), *applications = json_array();
	char mode[SPEC_NAME_MAX], text[2 * SPEC_NAME_MAX + 2];

	if (!*at)
		add_application(applications, w->name);
	while (next_mode(&at, mode, sizeof(mode))) {
		json_array_append_new(modes, json_string(mode));
		snprintf(text, sizeof(text), "%s:%s", w->name, mode);
		add_application(applications, text);
	}
	return json_pack("{s:s, s:s, s:o, s:o, s:o}", "name", w->name, "summary", w->summary,
			 "modes", modes, "options", options_json(w->options), "applications",
			 applications);
}

static int list_json(void)
{
	json_t *planes = json_array(), *loads = json_array();

	for (unsigned i = 0; dataplanes[i]; i++)
		json_array_append_new(planes, dataplane_json(dataplanes[i]));
	for (unsigned i = 0; workloads[i]; i++)
		json_array_append_new(loads, workload_json(workloads[i]));
	return json_line(json_pack("{s:o, s:o, s:o}", "dataplanes", planes, "common_options",
				   options_json(network_options), "workloads", loads));
}

static void print_options(const struct option_spec *o)
{
	for (; o && o->key; o++)
		printf("      %s=%s  (%s) %s\n", o->key, o->values, o->fallback, o->help);
}

static void print_report(const char *text, const struct probe_report *report)
{
	printf("    %-18s %s%s%s\n", text, report->ok ? "can run" : "cannot run",
	       report->reason[0] ? ": " : "", report->reason);
}

/* What a dataplane promises in each value of its option `gate`; its default when it has none. */
static void print_promises(const struct dataplane_ops *ops)
{
	const struct option_spec *o = ops->options;
	char value[SPEC_NAME_MAX], text[3 * SPEC_NAME_MAX], why[256];
	struct spec spec;
	const char *at;

	while (o && o->key && strcmp(o->key, "gate"))
		o++;
	if (!ops->promises || !o || !o->key)
		return;
	for (at = o->values; next_mode(&at, value, sizeof(value));) {
		snprintf(text, sizeof(text), "%s,gate=%s", ops->name, value);
		if (!spec_parse(&spec, text, why, sizeof(why)))
			printf("      gate=%s promises %s\n", value, ops->promises(&spec));
	}
}

static void print_dataplane(const struct dataplane_ops *ops)
{
	const char *at = ops->modes ? ops->modes : "";
	char mode[SPEC_NAME_MAX], text[2 * SPEC_NAME_MAX + 2];
	struct probe_report report;

	printf("  %s: %s\n", ops->name, ops->summary);
	if (!*at) {
		probe(ops, ops->name, &report);
		print_report(ops->name, &report);
	}
	while (next_mode(&at, mode, sizeof(mode))) {
		snprintf(text, sizeof(text), "%s:%s", ops->name, mode);
		probe(ops, text, &report);
		print_report(text, &report);
	}
	print_options(ops->options);
	print_promises(ops);
}

int list_main(int argc, char **argv)
{
	struct list_arguments a = { 0 };

	if (argp_parse(&argp, argc, argv, 0, NULL, &a))
		return STATUS_CANNOT;
	if (a.json)
		return list_json() ? STATUS_FAILED : STATUS_DONE;
	printf("Dataplanes: -d name[:mode][,key=value...]\n");
	for (unsigned i = 0; dataplanes[i]; i++)
		print_dataplane(dataplanes[i]);
	printf("  every dataplane takes\n");
	print_options(network_options);
	printf("\nWorkloads: -w name[:mode][,key=value...]\n");
	for (unsigned i = 0; workloads[i]; i++) {
		printf("  %s: %s\n", workloads[i]->name, workloads[i]->summary);
		if (workloads[i]->modes && workloads[i]->modes[0])
			printf("    modes: %s\n", workloads[i]->modes);
		print_options(workloads[i]->options);
	}
	return fflush(stdout) ? STATUS_FAILED : STATUS_DONE;
}
