/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `perhop gate`: fails when this build is worse than a baseline or a base revision. It measures;
 * scripts/gate.py plans and judges, by the records alone.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/gate.h"
#include "cli/measure.h"
#include "cli/parse.h"
#include "cli/spawn.h"

enum { OPT_BASE = 256, OPT_BASELINE, OPT_BUDGET, OPT_TIER, OPT_UPDATE, OPT_JUNIT, OPT_JSON, OPT_MARKDOWN,
       OPT_HISTORY, OPT_RECORDS, OPT_PROGRAM, OPT_BASE_PROGRAM, OPT_EFFECT };

enum { WORKLOADS_MAX = 8, JOBS_MAX = 100000 };

#define PLAN_TIMEOUT_S 120

struct gate_arguments {
	const char *dataplane_text[SPECS_MAX], *workload_text[WORKLOADS_MAX];
	unsigned dataplanes, workloads;
	const char *base, *baseline, *program, *base_program, *records;
	const char *junit, *json, *markdown, *history;
	double budget_min, effect_percent;
	int tier;                   /* 0: what can be done */
	bool update;
};

static const struct choice tier_choices[] = {
	{ "hard", 1 }, { "soft", 2 }, { "both", 3 }, { NULL, 0 },
};

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "Compared with", 1 },
	{ "base", OPT_BASE, "REV", 0, "A revision: built beside this one, and measured in turns with it", 1 },
	{ "baseline", OPT_BASELINE, "FILE|DIR", 0, "Counts kept earlier; of a folder, the file of this kernel's "
	  "class (results/baselines)", 1 },
	{ "program", OPT_PROGRAM, "FILE", 0, "Judge this program (the one that runs)", 1 },
	{ "base-program", OPT_BASE_PROGRAM, "FILE", 0, "The base revision's program, built already", 1 },
	{ NULL, 0, NULL, 0, "What", 2 },
	{ "dataplane", 'd', "SPEC", 0, "Dataplane; may be given several times (those of the baseline, or a "
	  "selection)", 2 },
	{ "workload", 'w', "WORKLOAD", 0, "Workload; may be given several times (likewise)", 2 },
	{ "tier", OPT_TIER, "hard|soft|both", 0, "hard: counts; soft: times, needs a base revision (both if "
	  "there is one)", 2 },
	{ "budget", OPT_BUDGET, "MIN", 0, "Minutes for the soft tier (5), without building", 2 },
	{ "effect", OPT_EFFECT, "PERCENT", 0, "Soft tier: smaller changes are let pass (2)", 2 },
	{ NULL, 0, NULL, 0, "Output, beside the table", 3 },
	{ "junit", OPT_JUNIT, "FILE", 0, "JUnit XML", 3 },
	{ "json", OPT_JSON, "FILE", 0, "Every measure with its verdict", 3 },
	{ "markdown", OPT_MARKDOWN, "FILE", 0, "For a comment on a change", 3 },
	{ "history", OPT_HISTORY, "FILE", 0, "Append one line of JSON: for scripts/gate.py trend", 3 },
	{ "records", OPT_RECORDS, "FILE", 0, "Keep the raw records", 3 },
	{ "update-baseline", OPT_UPDATE, NULL, 0, "Do not judge: measure the hard tier, show what differs from "
	  "the baseline, and write it", 3 },
	{ 0 },
};

static double positive(struct argp_state *state, const char *name, const char *text, double lo, double hi)
{
	struct why why;
	double x = lo;

	if (parse_number(text, lo, hi, &x, &why))
		argp_error(state, "%s: %s", name, why.text);
	return x;
}

static void add_dataplane(struct gate_arguments *a, const char *arg, struct argp_state *state)
{
	struct dataplane_list list = { .count = 0 };
	struct why why;

	if (parse_dataplanes(arg, &list, &why))
		argp_error(state, "-d: %s", why.text);
	for (unsigned i = 0; i < list.count; i++) {
		char *text = strdup(list.at[i].spec.text);

		if (!text || a->dataplanes == SPECS_MAX)
			argp_error(state, "-d: more than %d dataplanes", SPECS_MAX);
		else
			a->dataplane_text[a->dataplanes++] = text;
	}
}

static error_t parse_output(int key, char *arg, struct gate_arguments *a)
{
	switch (key) {
	case OPT_JUNIT:
		a->junit = arg;
		return 0;
	case OPT_JSON:
		a->json = arg;
		return 0;
	case OPT_MARKDOWN:
		a->markdown = arg;
		return 0;
	case OPT_HISTORY:
		a->history = arg;
		return 0;
	case OPT_RECORDS:
		a->records = arg;
		return 0;
	case OPT_UPDATE:
		a->update = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct gate_arguments *a = state->input;
	struct why why;

	switch (key) {
	case OPT_BASE:
		a->base = arg;
		return 0;
	case OPT_BASELINE:
		a->baseline = arg;
		return 0;
	case OPT_PROGRAM:
		a->program = arg;
		return 0;
	case OPT_BASE_PROGRAM:
		a->base_program = arg;
		return 0;
	case 'd':
		add_dataplane(a, arg, state);
		return 0;
	case 'w':
		if (a->workloads == WORKLOADS_MAX)
			argp_error(state, "-w: more than %d workloads", WORKLOADS_MAX);
		a->workload_text[a->workloads++] = arg;
		return 0;
	case OPT_TIER:
		if (parse_choice(arg, tier_choices, &a->tier, &why))
			argp_error(state, "--tier: %s", why.text);
		return 0;
	case OPT_BUDGET:
		a->budget_min = positive(state, "--budget", arg, 0.1, 24 * 60);
		return 0;
	case OPT_EFFECT:
		a->effect_percent = positive(state, "--effect", arg, 0.1, 100);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is not expected here", arg);
		return 0;
	case ARGP_KEY_END:
		if (a->base && a->base_program)
			argp_error(state, "either --base or --base-program");
		if (a->tier > 1 && !a->base && !a->base_program)
			argp_error(state, "the soft tier needs --base REV: times are only compared side by side");
		if (a->update && (a->base || a->base_program))
			argp_error(state, "--update-baseline measures this build alone");
		return 0;
	default:
		return parse_output(key, arg, a);
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse_option,
	.doc = "Fail when this build is worse than a baseline, or than a base revision. The hard tier compares "
	       "counts, which do not flake: copies, protocol work, serializations, connections, system calls, "
	       "wake-ups, buffers in use, instructions, size. The soft tier runs both builds in turns and compares "
	       "CPU time and latency with what the same build differs from itself.\v"
	       "Examples:\n"
	       "  perhop gate                                 the committed baseline\n"
	       "  perhop gate --base origin/main --budget 10 --junit gate.xml\n"
	       "  perhop gate --base HEAD~5 -d skmsg -w echo,length=2 --tier soft\n"
	       "  perhop gate --update-baseline\n\n"
	       "Exit codes: 0 no regression; 1 a regression; 2 wrong usage, or something could not be measured or "
	       "decided, with the reason. docs/ci.md has recipes.",
};

/* ---- The plan --------------------------------------------------------------------------------- */

/* Kernels of one class take the same path through the network stack: "linux-6.18-x86_64". */
static void kernel_class(char *out, size_t room)
{
	struct utsname u;
	unsigned major = 0, minor = 0;

	if (uname(&u) || sscanf(u.release, "%u.%u", &major, &minor) != 2)
		snprintf(out, room, "unknown");
	else
		snprintf(out, room, "linux-%u.%u-%.16s", major, minor, u.machine);
}

/* Of a folder, the file of this class. */
static void baseline_path(const struct gate_arguments *a, const char *class, char *out, size_t room)
{
	struct stat st;

	if (!stat(a->baseline, &st) && S_ISREG(st.st_mode))
		snprintf(out, room, "%s", a->baseline);
	else if (strlen(a->baseline) > 5 && !strcmp(a->baseline + strlen(a->baseline) - 5, ".json"))
		snprintf(out, room, "%s", a->baseline);
	else
		snprintf(out, room, "%s/%s.json", a->baseline, class);
}

static json_t *texts(const char *const *text, unsigned n)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < n; i++)
		json_array_append_new(list, json_text(text[i]));
	return list;
}

/* Write plan.json: all that gate.py is to know beyond the records. 0 or -EIO. */
static int write_plan(struct gate *g, const struct gate_arguments *a)
{
	const bool base = a->base || a->base_program;
	const char *against = a->baseline && (!base || a->update) ? a->baseline : NULL, *from = a->base;
	char path[PATH_MAX], file[PATH_MAX] = "", class[48];
	json_t *plan, *kept = NULL;
	int err;

	kernel_class(class, sizeof(class));
	if (against) {
		baseline_path(a, class, file, sizeof(file));
		kept = json_load_file(file, 0, NULL);
		from = json_string_value(json_object_get(kept, "commit"));
	}
	plan = json_pack("{s:i, s:s, s:s, s:o, s:o, s:b, s:b, s:i, s:o, s:o, s:f, s:f, s:b, s:I, s:o, s:o}",
			 "schema_version", 1, "kind", "gate-plan", "kernel_class", class,
			 "baseline", file[0] ? json_text(file) : json_null(),
			 "base", json_text(a->base ? a->base : a->base_program), "has_base", (int)base,
			 "same_program", (int)(base && gate_same(g->head, g->base)),
			 "tier", a->tier ? a->tier : base ? 3 : 1,
			 "dataplanes", texts(a->dataplane_text, a->dataplanes),
			 "workloads", texts(a->workload_text, a->workloads),
			 "budget_s", a->budget_min * 60, "effect", a->effect_percent / 100,
			 "update", (int)a->update, "started", (json_int_t)time(NULL),
			 "commits", from ? gate_commits(g, from) : json_array(),
			 "from", json_text(from));
	json_decref(kept);
	if (!plan)
		return -EIO;
	snprintf(path, sizeof(path), "%s/plan.json", g->folder);
	err = json_dump_file(plan, path, JSON_INDENT(1));
	json_decref(plan);
	return err ? -EIO : 0;
}

/* ---- Doing it --------------------------------------------------------------------------------- */

/* scripts/gate.py: beside the build folder of this program. */
static int find_script(struct gate *g)
{
	char self[PATH_MAX], *slash;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0)
		return -ENOENT;
	self[n] = '\0';
	snprintf(g->head, sizeof(g->head), "%s", self);
	for (unsigned up = 0; up < 2; up++) {
		slash = strrchr(self, '/');
		if (!slash)
			return -ENOENT;
		*slash = '\0';
	}
	snprintf(g->script, sizeof(g->script), "%.4000s/scripts/gate.py", self);
	return access(g->script, R_OK) ? -errno : 0;
}

/* Do what `text` asks for, a job a line. How many, or -errno. */
static int do_jobs(struct gate *g, char *text, struct progress *progress)
{
	char *rest = text, *line;
	int done = 0, err = 0;

	while (!err && rest && (line = strsep(&rest, "\n"))) {
		json_t *job = line[0] ? json_loads(line, 0, NULL) : NULL;
		const char *what, *side;

		if (line[0] && !job)
			return -EBADMSG;
		if (!job)
			continue;
		if (!json_unpack(job, "{s:s, s:s}", "what", &what, "side", &side))
			progress_say(progress, "%s of %s, measurement %u", what, side, g->jobs + 1);
		err = gate_job(g, job);
		json_decref(job);
		done++;
	}
	return err ? err : done;
}

/* Ask for jobs and do them, until there are none. */
static int measure(struct gate *g, char *why, size_t why_bytes)
{
	struct progress progress = { .shown = isatty(STDERR_FILENO), .run = 1, .runs = 1, .what = "gate" };
	char *const argv[] = { "/usr/bin/python3", g->script, "next", g->folder, NULL };
	int n = 1;

	while (n > 0 && g->jobs < JOBS_MAX) {
		struct spawned s;

		n = spawn_run(&s, argv, g->signals, PLAN_TIMEOUT_S);
		if (!n && s.status)
			n = -EIO;
		if (n < 0)
			snprintf(why, why_bytes, "%.100s: %s", g->script, s.why[0] ? s.why : strerror(-n));
		else
			n = s.text ? do_jobs(g, s.text, &progress) : 0;
		if (n < 0 && !why[0])
			snprintf(why, why_bytes, "%s", n == -EINTR ? "interrupted" : strerror(-n));
		spawn_free(&s);
	}
	progress_clear(&progress);
	return n;
}

/* The verdict: gate.py's output is ours, and so is its exit code. */
static int judge(struct gate *g, const struct gate_arguments *a, char *why, size_t why_bytes)
{
	char *argv[16] = { "/usr/bin/python3", g->script, a->update ? "update" : "verdict", g->folder };
	const struct {
		const char *option, *value;
	} outputs[] = {
		{ "--junit", a->junit }, { "--json", a->json }, { "--markdown", a->markdown },
		{ "--history", a->history }, { "--records", a->records },
	};
	struct spawned s;
	unsigned n = 4;
	int err;

	for (size_t i = 0; i < sizeof(outputs) / sizeof(outputs[0]); i++)
		if (outputs[i].value) {
			argv[n++] = (char *)outputs[i].option;
			argv[n++] = (char *)outputs[i].value;
		}
	argv[n] = NULL;
	err = spawn_run(&s, argv, g->signals, PLAN_TIMEOUT_S);
	if (!err && s.text)
		fputs(s.text, stdout);
	/* 1 is also what Python ends with after an exception: a verdict comes with a table. */
	if (!err && (s.status < 0 || s.status > STATUS_CANNOT || !s.text || !s.text[0]))
		err = -EIO;
	if (err)
		snprintf(why, why_bytes, "%.100s: %s", g->script, s.why[0] ? s.why : strerror(-err));
	err = err ? err : s.status;
	spawn_free(&s);
	return fflush(stdout) ? -EIO : err;
}

static int run_gate(struct gate *g, const struct gate_arguments *a, char *why, size_t why_bytes)
{
	int err = gate_open(g, why, why_bytes);

	if (!err && a->base)
		err = gate_build(g, a->base, why, why_bytes);
	if (!err)
		err = write_plan(g, a);
	if (!err)
		err = measure(g, why, why_bytes);
	return err ? err : judge(g, a, why, why_bytes);
}

int gate_main(int argc, char **argv)
{
	struct gate_arguments a = { .budget_min = 5, .effect_percent = 2, .baseline = "results/baselines" };
	struct gate *g = calloc(1, sizeof(*g));
	char why[640] = "";
	int err;

	if (!g || argp_parse(&argp, argc, argv, 0, NULL, &a)) {
		free(g);
		return STATUS_CANNOT;
	}
	g->signals = signals_open();
	err = find_script(g);
	if (err)
		snprintf(why, sizeof(why), "%.500s: %s; the gate runs from a build in its source tree", g->script,
			 strerror(-err));
	if (a.program && !realpath(a.program, g->head))
		err = -errno;
	if (a.base_program && !realpath(a.base_program, g->base))
		err = -errno;
	if (!err)
		err = run_gate(g, &a, why, sizeof(why));
	gate_close(g);
	close(g->signals);
	free(g);
	for (unsigned i = 0; i < a.dataplanes; i++)
		free((char *)a.dataplane_text[i]);
	if (err >= 0)
		return err;
	fprintf(stderr, "perhop gate: %s\n", why[0] ? why : strerror(-err));
	return STATUS_CANNOT;
}
