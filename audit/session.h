/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The protocol of an audit: warm up and see who talks to whom; then, for each repetition, an idle window
 * and a window of exactly N requests, both of the same length; then the same load with probes on and
 * off, in turns, for what the probes themselves cost.
 */
#ifndef PERHOP_AUDIT_SESSION_H
#define PERHOP_AUDIT_SESSION_H

#include <jansson.h>

#include "audit/audit.h"
#include "audit/client.h"
#include "audit/counters.h"
#include "audit/discover.h"
#include "audit/place.h"
#include "audit/quantity.h"

enum { SESSION_REPS_MAX = 64, SESSION_PATH_MAX = 32, SESSION_CHECKS_MAX = 16 };

struct session_config {
	enum audit_mode mode;
	unsigned requests;          /* per repetition */
	unsigned reps;
	unsigned think_us;
	struct client_config client;
	struct discover_options discover;
	unsigned path[SESSION_PATH_MAX];    /* components that hand descriptors on, in order… */
	unsigned path_length;               /* …0: links tell the order */
	bool perturbation;          /* measure it */
	bool polls;                 /* components may burn CPU while idle: leave them where they are */
	int (*watch)(void *arg);    /* called every ≤ 100 ms; an error ends the session. May be NULL */
	void *arg;
	void (*say)(void *arg, const char *what);   /* progress; may be NULL */
};

struct session_check {
	const char *name;
	enum { CHECK_PASS, CHECK_FAIL, CHECK_SKIPPED } verdict;
	char text[256];
};

struct session {
	const struct session_config *config;
	struct plan *plan;          /* the caller's */
	struct audit *audit;        /* NULL: the kernel takes no probes from us; see no_probes */
	char no_probes[512];
	unsigned binaries;          /* programs with our USDT points */
	enum audit_mode mode;       /* as it was done: pollers are left as they are scheduled */
	unsigned reps;
	/* [rep][metric][component][segment], dense; per request, idle baseline taken off */
	double *n, *sum;
	unsigned components, segments;
	/* Sums over all windows of requests, as counted, for the cross-checks. */
	uint64_t raw[M_COUNT][AUDIT_COMPONENTS];
	struct proc_counts proc;    /* differences */
	bool has_perf;
	bool perf_has[PERF_COUNTERS];
	char perf_why[PERF_COUNTERS][64];
	struct perf_counts perf;    /* differences */
	uint64_t requests, errors, elapsed_ns, p50_ns[SESSION_REPS_MAX];
	bool uniform;               /* all requests were the same, byte by byte */
	uint64_t connects;          /* by the client: more than its threads means lost keep-alives */
	double cost_runs, cost_ns;  /* of our programs in the windows of requests, idle taken off */
	/* Perturbation: medians over the turns. 0: not measured. */
	double rps_off, rps_on, p50_off_us, p50_on_us;
	double cycles_hz;           /* TSC */
	struct session_check check[SESSION_CHECKS_MAX];
	unsigned checks;
};

/*
 * Run it. The plan has components and pids; links and segments are found. 0, or -errno with a sentence
 * in `why`. session_free in any case.
 */
int session_run(struct session *s, struct plan *plan, const struct session_config *config, char *why,
		size_t why_bytes);
void session_free(struct session *s);

/*
 * Trace config->requests requests instead of counting them: *out is the trace file, a new reference.
 * *lost: events that found no room. Otherwise as session_run; -EPERM when the kernel takes no probes.
 */
int session_trace(struct session *s, struct plan *plan, const struct session_config *config,
		  json_t **out, uint64_t *lost, char *why, size_t why_bytes);

/* Value of one repetition, per request. */
double session_n(const struct session *s, unsigned rep, enum audit_metric m, unsigned component,
		 unsigned segment);
double session_sum(const struct session *s, unsigned rep, enum audit_metric m, unsigned component,
		   unsigned segment);

/* A quantity in one repetition: of a segment, or of a column of the table. */
double session_segment(const struct session *s, unsigned rep, enum quantity q, unsigned segment);
double session_column(const struct session *s, unsigned rep, enum quantity q, enum column c);

/* Events of the chain that were counted, per request: at least so many program runs did it cost. */
double session_events(const struct session *s);


#endif
