/* SPDX-License-Identifier: BSD-2-Clause */
/* `perhop doctor`: what this machine offers, what follows from it, and how to change it. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/doctor.h"

enum { OPT_JSON = 256 };

static const struct argp_option options[] = {
	{ "json", OPT_JSON, NULL, 0, "One JSON object on stdout", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	bool *json = state->input;

	switch (key) {
	case OPT_JSON:
		*json = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is not expected here: doctor takes no arguments", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse_option,
	.doc = "Check what this machine offers to perhop: one line per check, with what a "
	       "shortcoming "
	       "means and how to mend it. Changes nothing.\v"
	       "Examples:\n"
	       "  perhop doctor\n"
	       "  perhop doctor --json | jq '.checks[] | select(.health != \"ok\")'\n\n"
	       "Exit codes: 0 nothing that is needed is missing (warnings are allowed), 1 "
	       "something is.",
};

static const char *const health_names[] = { "ok", "warn", "missing" };

static void print_finding(const char *name, const struct finding *f)
{
	printf("%-8s %-20s %s\n", health_names[f->health], name, f->found);
	if (f->means[0])
		printf("%29s means: %s\n", "", f->means);
	if (f->fix[0])
		printf("%29s fix:   %s\n", "", f->fix);
	fflush(stdout);
}

static json_t *finding_json(const char *name, const struct finding *f)
{
	return json_pack("{s:s, s:s, s:o, s:o, s:o}", "check", name, "health",
			 health_names[f->health], "found", json_text(f->found), "means",
			 json_text(f->means[0] ? f->means : NULL), "fix",
			 json_text(f->fix[0] ? f->fix : NULL));
}

struct report {
	bool json;
	json_t *list;
	unsigned count[3];
};

static void report_finding(struct report *r, const char *name, const struct finding *f)
{
	r->count[f->health]++;
	if (r->json)
		json_array_append_new(r->list, finding_json(name, f));
	else
		print_finding(name, f);
}

/* The dataplanes know best what they need. */
static void check_dataplane(struct report *r, const struct dataplane_ops *ops, const char *mode,
			    size_t n)
{
	char text[2 * SPEC_NAME_MAX + 2];
	struct probe_report probe = { 0 };
	struct finding f = { 0 };
	struct spec spec;

	snprintf(text, sizeof(text), "%s%s%.*s", ops->name, n ? ":" : "", (int)n, mode);
	if (!spec_parse(&spec, text, probe.reason, sizeof(probe.reason)))
		ops->probe(&spec, &probe);
	f.health = probe.ok ? HEALTH_OK : HEALTH_MISSING;
	snprintf(f.found, sizeof(f.found), "%s%s%s", probe.ok ? "can run" : "cannot run",
		 probe.reason[0] ? ": " : "", probe.reason);
	if (!probe.ok)
		snprintf(f.means, sizeof(f.means), "runs of %s are skipped with this reason", text);
	report_finding(r, text, &f);
}

int doctor_main(int argc, char **argv)
{
	struct report r = { 0 };
	struct finding f;

	if (argp_parse(&argp, argc, argv, 0, NULL, &r.json))
		return STATUS_CANNOT;
	r.list = json_array();
	for (size_t i = 0; i < doctor_checks_count; i++) {
		memset(&f, 0, sizeof(f));
		doctor_checks[i].run(&f);
		report_finding(&r, doctor_checks[i].name, &f);
	}
	for (unsigned i = 0; dataplanes[i]; i++) {
		const char *at = dataplanes[i]->modes ? dataplanes[i]->modes : "";

		do {
			size_t n = strcspn(at, "|");

			check_dataplane(&r, dataplanes[i], at, n);
			at += n + (at[n] == '|');
		} while (*at);
	}
	if (r.json) {
		json_line(json_pack("{s:o, s:i, s:i, s:i}", "checks", r.list, "ok",
				    (int)r.count[HEALTH_OK], "warn", (int)r.count[HEALTH_WARN],
				    "missing", (int)r.count[HEALTH_MISSING]));
	} else {
		json_decref(r.list);
		printf("%u ok, %u warnings, %u missing\n", r.count[HEALTH_OK], r.count[HEALTH_WARN],
		       r.count[HEALTH_MISSING]);
	}
	return r.count[HEALTH_MISSING] ? STATUS_FAILED : STATUS_DONE;
}
