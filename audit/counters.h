/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Counts that do not come from our eBPF programs: /proc, and perf_event_open. They check the probes,
 * and are all there is on a machine that takes no probes.
 */
#ifndef PERHOP_AUDIT_COUNTERS_H
#define PERHOP_AUDIT_COUNTERS_H

#include "audit/segment.h"

/* /proc, since boot. */
struct proc_counts {
	uint64_t at_ns;             /* CLOCK_MONOTONIC */
	uint64_t switches;          /* /proc/stat ctxt: sched_switch events, all CPUs */
	uint64_t net_rx;            /* /proc/softirqs */
	uint64_t ipis;              /* /proc/interrupts RES + CAL */
	uint64_t voluntary[AUDIT_COMPONENTS], involuntary[AUDIT_COMPONENTS];
	uint64_t cpu_ns[AUDIT_COMPONENTS];  /* /proc/<pid>/schedstat */
};

void proc_read(struct proc_counts *c, const struct plan *p);

/* Counters of perf, one set per component. */
enum perf_counter {
	PERF_SWITCHES,              /* software: context switches */
	PERF_MIGRATIONS,
	PERF_TASK_CLOCK,            /* ns */
	PERF_CYCLES,                /* hardware; absent in most VMs */
	PERF_INSTRUCTIONS,
	PERF_COUNTERS,
};

struct perf_counts {
	uint64_t value[PERF_COUNTERS][AUDIT_COMPONENTS];
};

struct perf;

/* Open what can be opened for every thread of every component. 0, or -errno: nothing at all could. */
int perf_open(struct perf **out, const struct plan *p);
void perf_read(const struct perf *f, struct perf_counts *c);
void perf_close(struct perf *f);

/* Is this counter there? When not, *why says what perf_event_open answered. */
bool perf_has(const struct perf *f, enum perf_counter counter, const char **why);
const char *perf_name(enum perf_counter counter);

/* Rate of the time-stamp counter, Hz: to give CPU time as cycles where none are counted. 0: unknown. */
double tsc_hz(void);

#endif
