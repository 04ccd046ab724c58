/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <x86intrin.h>

#include "chain/clock.h"
#include "cli/cli.h"
#include "cli/host.h"
#include "cli/median.h"
#include "cli/parse.h"
#include "cli/startup.h"

enum { OPT_JSON = 256, OPT_KERNEL, REPS = 5, ANSWER_S = 60 };

/* Parts of the way, ms; those of instances that start at a time are averaged. */
enum phase { SPAWN, BOOT, MAP, CONFIGURE, INVOKE, PHASES };

static const char *const phase_names[PHASES] = { "spawn", "boot", "map", "configure", "invoke" };

struct arguments {
	char names[256];            /* of runtimes, joined by ','; "": all */
	const char *kernel;
	char found[256];            /* a kernel that was */
	uint64_t parallel, reps;
	bool json;
};

/* What the repetitions gave, one value each. */
struct series {
	unsigned n;
	double all_ms[MEDIAN_VALUES_MAX];   /* first spawn to last answer */
	double each_ms[MEDIAN_VALUES_MAX];  /* median over instances: its own spawn to its answer */
	double phase_ms[PHASES][MEDIAN_VALUES_MAX];
	double rss[MEDIAN_VALUES_MAX], pss[MEDIAN_VALUES_MAX], shared[MEDIAN_VALUES_MAX],
		guest[MEDIAN_VALUES_MAX];
	char why[512];              /* "": it ran */
	bool failed, emulated;
};

static const struct argp_option options[] = {
	{ "runtime", 'r', "NAME[,NAME...]", 0, "Runtimes (all of those below)", 0 },
	{ "parallel", 'p', "N", 0, "Instances to start at a time, up to 32 (1)", 0 },
	{ "reps", 'n', "N", 0, "Repetitions, interleaved (5)", 0 },
	{ "kernel", OPT_KERNEL, "FILE", 0, "Linux kernel for `linux` (the newest in /boot)", 0 },
	{ "json", OPT_JSON, NULL, 0, "One JSON object per runtime on stdout", 0 },
	{ 0 },
};

static bool chosen(const struct arguments *a, const char *name)
{
	size_t n = strlen(name);

	for (const char *at = a->names; *at; at += *at == ',') {
		size_t word = strcspn(at, ",");

		if (word == n && !memcmp(at, name, n))
			return true;
		at += word;
	}
	return !a->names[0];
}

/* Every word must be a runtime's name. */
static bool names_are_known(const char *names)
{
	for (const char *at = names; *at; at += *at == ',') {
		size_t word = strcspn(at, ",");
		bool known = false;

		for (unsigned i = 0; startup_runtimes[i].name; i++)
			known |= strlen(startup_runtimes[i].name) == word &&
				 !memcmp(startup_runtimes[i].name, at, word);
		if (!known)
			return false;
		at += word;
	}
	return true;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;
	struct why why;

	switch (key) {
	case 'r':
		snprintf(a->names, sizeof(a->names), "%s", arg);
		if (strlen(arg) >= sizeof(a->names) || !names_are_known(arg))
			argp_error(state, "-r: '%s' is not a list of runtimes; there are zygote, process, "
				   "namespaces, runc, unikernel, warm, linux", arg);
		return 0;
	case 'p':
		if (parse_count(arg, 1, STARTUP_MAX, &a->parallel, &why))
			argp_error(state, "-p: %s", why.text);
		return 0;
	case 'n':
		if (parse_count(arg, 1, MEDIAN_VALUES_MAX, &a->reps, &why))
			argp_error(state, "-n: %s", why.text);
		return 0;
	case OPT_KERNEL:
		a->kernel = arg;
		return 0;
	case OPT_JSON:
		a->json = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is not expected here", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse_option,
	.doc = "Measure the time from the spawn of a function's instance to its first answered request, by "
	       "the runtime that it lives in, and its memory.\v"
	       "Runtimes:\n"
	       "  zygote      a process forked from a warm one\n"
	       "  process     fork and exec of a static program\n"
	       "  namespaces  the same in six namespaces of its own\n"
	       "  runc        a container\n"
	       "  unikernel   our library OS in QEMU\n"
	       "  warm        the same, QEMU forked from one that has been loaded before\n"
	       "  linux       a Linux kernel in QEMU, the program as its init\n\n"
	       "Exit codes: 0 measured or skipped with the reason, 1 a runtime failed, 2 wrong usage, or "
	       "none can run here.",
};

/* ---- One repetition --------------------------------------------------------------------------- */

static double ms_of_tsc(const struct startup_world *w, uint64_t ticks)
{
	const struct sure_plane *p = w->d.priv;

	return (double)ticks / (double)p->unikernel->tsc_khz;
}

static uint64_t stamp(const struct startup_world *w, instance_id id, enum unikernel_phase phase)
{
	const struct sure_plane *p = w->d.priv;

	return atomic_load(&unikernel_page(p->unikernel, id)->stamp[phase]);
}

/*
 * A process stamps with the host's TSC. A virtual machine's own TSC starts with it: what its stamps do not
 * cover is the time before it ran.
 */
static void add_phases(struct series *s, const struct startup_world *w, bool virtual, instance_id id)
{
	const uint64_t entry = stamp(w, id, UNIKERNEL_ENTRY), first = stamp(w, id, UNIKERNEL_FIRST);
	const uint64_t ends[] = { stamp(w, id, UNIKERNEL_MAPPED), stamp(w, id, UNIKERNEL_CONFIGURED),
				  first };
	uint64_t at = entry;

	if (virtual) {
		s->phase_ms[SPAWN][s->n] += ms_of_tsc(w, w->answer_tsc[id] - w->spawn_tsc[id] - first) / w->n;
		s->phase_ms[BOOT][s->n] += ms_of_tsc(w, entry) / w->n;
	} else {
		s->phase_ms[SPAWN][s->n] += ms_of_tsc(w, entry - w->spawn_tsc[id]) / w->n;
		s->phase_ms[BOOT][s->n] = NAN;
	}
	for (unsigned i = 0; i < 3; i++) {
		s->phase_ms[MAP + i][s->n] += ms_of_tsc(w, ends[i] - at) / w->n;
		at = ends[i];
	}
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void add_sample(struct series *s, const struct startup_world *w, bool virtual)
{
	struct startup_memory memory = { NAN, NAN, NAN, NAN };
	double each[STARTUP_MAX] = { 0 };
	uint64_t last = 0;

	for (instance_id id = 1; id <= w->n; id++) {
		each[id - 1] = (double)(w->answer_ns[id] - w->spawn_ns[id]) / 1e6;
		last = w->answer_ns[id] > last ? w->answer_ns[id] : last;
		add_phases(s, w, virtual, id);
	}
	qsort(each, w->n, sizeof(*each), by_value);
	s->each_ms[s->n] = w->n % 2 ? each[w->n / 2] : (each[w->n / 2] + each[w->n / 2 - 1]) / 2;
	s->all_ms[s->n] = (double)(last - w->spawn_ns[1]) / 1e6;
	if (!world_memory(w, 1, &memory))
		memory = (struct startup_memory){ NAN, NAN, NAN, NAN };
	s->rss[s->n] = memory.rss;
	s->pss[s->n] = memory.pss;
	s->shared[s->n] = memory.shared;
	s->guest[s->n] = memory.guest;
	s->n++;
}

static int start_all(const struct startup_runtime *r, struct startup_world *w)
{
	int err = 0;

	for (instance_id id = 1; id <= w->n && !err; id++)
		err = world_ask(w, id);
	if (err)
		return deploy_error(&w->d, err, "cannot ask: %s", strerror(-err));
	err = r->prepare ? r->prepare(w) : 0;
	if (err)
		return deploy_error(&w->d, err, "cannot prepare: %s", strerror(-err));
	for (instance_id id = 1; id <= w->n; id++) {
		w->spawn_ns[id] = clock_now_ns();
		w->spawn_tsc[id] = __rdtsc();
		w->pid[id] = r->spawn(w, id);
		if (w->pid[id] < 0)
			return deploy_error(&w->d, -errno, "cannot spawn: %s", strerror(errno));
	}
	return world_await(w, ANSWER_S * NS_PER_SEC);
}

static void repeat(const struct startup_runtime *r, const struct arguments *a, struct series *s)
{
	struct startup_world *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return;
	err = world_open(w, (unsigned)a->parallel, a->kernel);
	if (!err && !r->probe(w, s->why, sizeof(s->why))) {
		world_close(w);
		free(w);
		return;
	}
	if (!err) {
		s->emulated = r->virtual && w->d.flags & DP_EMULATED;
		err = start_all(r, w);
	}
	if (!err)
		add_sample(s, w, r->virtual);
	if (r->clear && w->open)
		r->clear(w);
	if (err) {
		snprintf(s->why, sizeof(s->why), "%s", w->d.why);
		s->failed = true;
	}
	world_close(w);
	free(w);
}

/* ---- Output ----------------------------------------------------------------------------------- */

static json_t *values_json(const double *values, unsigned n)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < n; i++)
		json_array_append_new(list, json_amount(values[i]));
	return list;
}

static double middle(const double *values, unsigned n)
{
	return median_of(values, n).value;
}

static int print_json(const struct startup_runtime *r, const struct arguments *a, const struct series *s)
{
	json_t *phases = json_object();

	for (unsigned i = 0; i < PHASES; i++)
		json_object_set_new(phases, phase_names[i], json_amount(middle(s->phase_ms[i], s->n)));
	return json_line(json_pack(
		"{s:i,s:s,s:s,s:s,s:i,s:i,s:b,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "schema_version",
		1, "kind", "startup", "runtime", r->name, "what", r->what, "parallel", (int)a->parallel,
		"reps", (int)s->n, "emulated", (int)s->emulated, "all_ms",
		median_json(median_of(s->all_ms, s->n)), "each_ms",
		median_json(median_of(s->each_ms, s->n)), "all_ms_values", values_json(s->all_ms, s->n),
		"phases_ms", phases, "rss_kib", json_amount(middle(s->rss, s->n)), "pss_kib",
		json_amount(middle(s->pss, s->n)), "shared_kib", json_amount(middle(s->shared, s->n)),
		"guest_kib", json_amount(middle(s->guest, s->n)), "skipped",
		json_text(s->why[0] ? s->why : NULL), "host", host_json()));
}

static void print_amount(double v)
{
	if (isnan(v))
		printf(" %8s", "-");
	else
		printf(" %8.*f", v < 10 ? 2 : v < 100 ? 1 : 0, v);
}

static void print_row(const struct startup_runtime *r, const struct series *s)
{
	printf("%-11s", r->name);
	if (!s->n) {
		printf(" %s: %s\n", s->failed ? "FAILED" : "skipped", s->why);
		return;
	}
	print_amount(middle(s->all_ms, s->n));
	print_amount(middle(s->each_ms, s->n));
	for (unsigned i = 0; i < PHASES; i++)
		print_amount(middle(s->phase_ms[i], s->n));
	print_amount(middle(s->rss, s->n) / 1024);
	print_amount(middle(s->pss, s->n) / 1024);
	print_amount(middle(s->shared, s->n) / 1024);
	print_amount(middle(s->guest, s->n) / 1024);
	printf("%s%s%s\n", s->emulated ? "  emulated" : "", s->failed ? "  FAILED in part: " : "", s->why);
}

static void print_head(const struct arguments *a)
{
	printf("%u instance%s of a function that answers 256 bytes, medians of %u repetitions\n\n",
	       (unsigned)a->parallel, a->parallel > 1 ? "s at a time" : "", (unsigned)a->reps);
	printf("%-11s %8s %8s | %-42s | %s\n", "", "all", "each", "mean of each: phases, ms",
	       "MiB of one: memory");
	printf("%-11s %8s %8s %8s %8s %8s %8s %8s %8s %8s %8s %8s\n", "runtime", "ms", "ms", "spawn", "boot",
	       "map", "config", "invoke", "RSS", "PSS", "shared", "guest");
}

static void find_kernel(struct arguments *a)
{
	glob_t g;

	if (a->kernel || glob("/boot/vmlinuz-*", 0, NULL, &g))
		return;
	if (g.gl_pathc && !access(g.gl_pathv[g.gl_pathc - 1], R_OK)) {
		snprintf(a->found, sizeof(a->found), "%s", g.gl_pathv[g.gl_pathc - 1]);
		a->kernel = a->found;
	}
	globfree(&g);
}

int startup_main(int argc, char **argv)
{
	struct arguments a = { .parallel = 1, .reps = REPS };
	struct series *series;
	int status = STATUS_DONE;
	bool any = false;

	if (argp_parse(&argp, argc, argv, 0, NULL, &a))
		return STATUS_CANNOT;
	find_kernel(&a);
	series = calloc(16, sizeof(*series));
	if (!series)
		return STATUS_CANNOT;
	for (uint64_t rep = 0; rep < a.reps; rep++)
		for (unsigned i = 0; startup_runtimes[i].name; i++)
			if (chosen(&a, startup_runtimes[i].name) && !series[i].why[0])
				repeat(&startup_runtimes[i], &a, &series[i]);
	if (!a.json)
		print_head(&a);
	for (unsigned i = 0; startup_runtimes[i].name; i++) {
		if (!chosen(&a, startup_runtimes[i].name))
			continue;
		if (series[i].failed)
			status = STATUS_FAILED;
		any |= series[i].n || series[i].failed;
		if (!a.json)
			print_row(&startup_runtimes[i], &series[i]);
		else if (print_json(&startup_runtimes[i], &a, &series[i]))
			status = STATUS_FAILED;
	}
	for (unsigned i = 0; !any && startup_runtimes[i].name; i++)
		if (chosen(&a, startup_runtimes[i].name))
			fprintf(stderr, "perhop startup: %s: %s\n", startup_runtimes[i].name, series[i].why);
	free(series);
	return any ? status : STATUS_CANNOT;
}
