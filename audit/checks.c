/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "audit/checks.h"

/*
 * Tolerances. Two readers of the same event differ only at the window's two edges: the counters are read
 * some microseconds before it opens and after it closes. So: an absolute part per window, and a small
 * relative one.
 */
#define TOLERANCE_TASKS 0.005               /* switches of our tasks */
#define TOLERANCE_MACHINE 0.05              /* counters of the whole machine, which we disturb by reading */
#define EDGE_TASKS 4.0                      /* events per window */
#define EDGE_MACHINE 60.0
#define PERTURBATION_LIMIT 0.5              /* of RPS at concurrency 1 without think time */
#define UNATTRIBUTED_LIMIT 0.005            /* of all copies and frames */

bool checks_agree(double a, double b, double relative, double absolute)
{
	double gap = fabs(a - b), larger = fmax(fabs(a), fabs(b));

	return gap <= absolute || gap <= relative * larger;
}

__attribute__((format(printf, 4, 5)))
static void note(struct session *s, const char *name, int verdict, const char *format, ...)
{
	struct session_check *c;
	va_list ap;

	if (s->checks == SESSION_CHECKS_MAX)
		return;
	c = &s->check[s->checks++];
	c->name = name;
	c->verdict = verdict;
	va_start(ap, format);
	vsnprintf(c->text, sizeof(c->text), format, ap);
	va_end(ap);
}

static double raw(const struct session *s, enum audit_metric m)
{
	double total = 0;

	for (unsigned c = 0; c < s->components; c++)
		total += (double)s->raw[m][c];
	return total;
}

static double switches_out(const struct session *s, unsigned c)
{
	return (double)(s->raw[M_SWITCH_OUT_VOLUNTARY][c] + s->raw[M_SWITCH_OUT_INVOLUNTARY][c]);
}

/* Per component, eBPF against another reader of the same switches. */
static void check_switches(struct session *s, const char *name, const char *other,
			   const uint64_t *a, const uint64_t *b)
{
	double edge = EDGE_TASKS * s->reps, ours = 0, theirs = 0;
	const char *worst = NULL;

	for (unsigned c = AUDIT_CLIENT + 1; c < s->components; c++) {
		double x = switches_out(s, c), y = (double)(a[c] + (b ? b[c] : 0));

		ours += x;
		theirs += y;
		if (!checks_agree(x, y, TOLERANCE_TASKS, edge))
			worst = s->plan->component[c].name;
	}
	note(s, name, worst ? CHECK_FAIL : CHECK_PASS, "eBPF %.0f, %s %.0f%s%s", ours, other, theirs,
	     worst ? "; they differ for " : "", worst ? worst : "");
}

static void check_machine(struct session *s, const char *name, const char *other, double ours,
			  double theirs)
{
	bool agree = checks_agree(ours, theirs, TOLERANCE_MACHINE, EDGE_MACHINE * s->reps);

	note(s, name, agree ? CHECK_PASS : CHECK_FAIL, "eBPF %.0f, %s %.0f", ours, other, theirs);
}

/* The same number in every repetition, in every segment. */
static void check_variance(struct session *s, const char *name, enum quantity q)
{
	char text[2 * PLAN_NAME + 8];

	if (!s->uniform) {
		note(s, name, CHECK_SKIPPED, "the workload's requests differ from one another");
		return;
	}
	if (s->config->client.threads > 1) {
		note(s, name, CHECK_SKIPPED, "with concurrent requests, one receive may take two");
		return;
	}
	for (unsigned g = 1; g < s->segments; g++)
		for (unsigned rep = 1; rep < s->reps; rep++) {
			double a = session_segment(s, 0, q, g), b = session_segment(s, rep, q, g);

			if (fabs(a - b) < 1e-9)
				continue;
			plan_segment_text(s->plan, g, text, sizeof(text));
			note(s, name, CHECK_FAIL, "segment %u (%s): %.4f and %.4f",
			     s->plan->segment[g].number, text, a, b);
			return;
		}
	note(s, name, s->reps > 1 ? CHECK_PASS : CHECK_SKIPPED, "%u repetitions", s->reps);
}

static void check_attribution(struct session *s)
{
	double lost = 0, all = 0;

	for (unsigned rep = 0; rep < s->reps; rep++) {
		lost += session_segment(s, rep, QUANTITY_COPIES, 0) +
			session_segment(s, rep, QUANTITY_PROTOCOL, 0);
		all += session_column(s, rep, QUANTITY_COPIES, COLUMN_ROUND_TRIP) +
		       session_column(s, rep, QUANTITY_PROTOCOL, COLUMN_ROUND_TRIP);
	}
	note(s, "attribution", lost <= UNATTRIBUTED_LIMIT * all ? CHECK_PASS : CHECK_FAIL,
	     "%.2f %% of copies and frames belong to no segment", all > 0 ? 100 * lost / all : 0);
}

static void check_perturbation(struct session *s)
{
	double loss = s->rps_off > 0 ? 1 - s->rps_on / s->rps_off : 0;
	double runs = s->cost_runs / (double)s->requests, ns = s->cost_ns / (double)s->requests;
	char programs[96] = "the rest of the machine is too busy to tell what the programs took";

	if (s->rps_off <= 0) {
		note(s, "perturbation", CHECK_SKIPPED, "not measured");
		return;
	}
	/* Every event that was counted took a program; fewer than that only comes of a noisy baseline. */
	if (runs >= session_events(s) && ns > 0)
		snprintf(programs, sizeof(programs), "%.0f program runs and %.1f us per request", runs,
			 ns / 1e3);
	note(s, "perturbation", loss <= PERTURBATION_LIMIT ? CHECK_PASS : CHECK_FAIL,
	     "RPS %.0f without probes, %.0f with (%+.0f %%); p50 %.0f and %.0f us; %.0f events "
	     "counted per request; %s", s->rps_off, s->rps_on, -100 * loss, s->p50_off_us,
	     s->p50_on_us, session_events(s), programs);
}

void checks_run(struct session *s)
{
	note(s, "answers", s->errors ? CHECK_FAIL : CHECK_PASS, "%" PRIu64 " of %" PRIu64
	     " requests failed", s->errors, s->requests);
	if (!s->audit) {
		note(s, "probes", CHECK_SKIPPED, "%s", s->no_probes);
		return;
	}
	check_switches(s, "switches = /proc", "/proc/*/status", s->proc.voluntary,
		       s->proc.involuntary);
	if (s->has_perf && s->perf_has[PERF_SWITCHES])
		check_switches(s, "switches = perf", "perf", s->perf.value[PERF_SWITCHES], NULL);
	else
		note(s, "switches = perf", CHECK_SKIPPED, "perf_event_open: %s",
		     s->has_perf ? s->perf_why[PERF_SWITCHES] : "refused");
	check_machine(s, "all switches = /proc", "/proc/stat", raw(s, M_SWITCH_EVENTS),
		      (double)s->proc.switches);
	check_machine(s, "NET_RX = /proc", "/proc/softirqs", raw(s, M_SOFTIRQ_NET_RX),
		      (double)s->proc.net_rx);
	check_machine(s, "IPIs = /proc", "/proc/interrupts", raw(s, M_IPI_TAKEN),
		      (double)s->proc.ipis);
	check_variance(s, "copies: no variance", QUANTITY_COPIES);
	check_variance(s, "protocol: no variance", QUANTITY_PROTOCOL);
	check_attribution(s);
	check_perturbation(s);
}
