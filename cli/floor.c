/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `perhop floor`: what this machine charges for the steps that hops are made of, in one run, so that a
 * dataplane can be held against the floor of the same minute.
 *
 * Two processes play ping-pong; half a round trip is one hop. Measurements are interleaved: every
 * mechanism once, then all again, so that a noisy spell hits all alike. Medians with an interval
 * that holds the true median with at least 95 % (order statistics; no assumption about the noise).
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chain/clock.h"
#include "cli/cli.h"
#include "cli/floor.h"
#include "cli/host.h"
#include "cli/median.h"
#include "cli/parse.h"

enum { OPT_JSON = 256, OPT_REPS, REPS_MAX = MEDIAN_VALUES_MAX, REPS = 9, MEASURE_MS = 30, WARM_MS = 10,
       WARM_ROUNDS = 1000,
       ROUNDS_PER_LOOK = 16, PLACES = 4, MECHANISMS_MAX = 32 };

static const char *const place_names[PLACES] = { "alone", "same-core", "cross-core",
						 "cross-core-awake" };

struct sample {
	unsigned n;
	double ns[REPS_MAX], cpu_ns[REPS_MAX];
	char why[128];              /* it could not be measured */
};

struct floor_run {
	unsigned reps;
	bool json;
	const char *only;           /* names to measure, comma-separated; NULL: all */
	int cpu[2];                 /* two CPUs of the affinity set; [1] is -1 when there is one */
	struct sample at[MECHANISMS_MAX][PLACES];
};

static const struct argp_option options[] = {
	{ "json", OPT_JSON, NULL, 0, "One JSON object on stdout", 0 },
	{ "reps", OPT_REPS, "N", 0, "Measure everything N times (9)", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct floor_run *run = state->input;
	struct why why;
	uint64_t n;

	switch (key) {
	case OPT_JSON:
		run->json = true;
		return 0;
	case OPT_REPS:
		if (parse_count(arg, 1, REPS_MAX, &n, &why))
			argp_error(state, "--reps: %s", why.text);
		run->reps = (unsigned)n;
		return 0;
	case ARGP_KEY_ARG:
		run->only = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse_option,
	.args_doc = "[NAME[,NAME...]]",
	.doc = "Measure the floor of this machine: a system call, a context switch, a cache line from one "
	       "core to the other, and one hop (one way, 16 bytes) by futex, eventfd, Unix socket, shared "
	       "ring, and through perhop's own dataplanes, on one core and across two.\v"
	       "Examples:\n"
	       "  perhop floor\n"
	       "  perhop floor ring-spin,futex-spin --reps 25\n"
	       "  perhop floor --json | jq '.hops[] | [.name, .placement, .ns.median]'\n\n"
	       "cross-core-awake keeps idle CPUs from halting (/dev/cpu_dma_latency, needs root); under a "
	       "hypervisor waking a halted one costs tens of microseconds, whatever the mechanism.\n"
	       "Exit codes: 0 measured, 2 wrong usage.",
};

/* ---- One measurement -------------------------------------------------------------------------- */

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* Both sides' way in: pinned, joined, and waiting for the other. 0 or -errno. */
static int begin(const struct floor_mechanism *m, struct floor_link *l, int side, int cpu)
{
	int err;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_TIMERSLACK, 1);
	pin(cpu);
	err = m->join ? m->join(l, side) : 0;
	if (err)
		l->error = err;
	atomic_fetch_add(&l->ready, 1);
	while (atomic_load(&l->ready) < 2)
		usleep(50);
	return l->error;
}

static _Noreturn void pong(const struct floor_mechanism *m, struct floor_link *l, int cpu)
{
	uint64_t cpu_ns;
	bool last;

	if (begin(m, l, 1, cpu))
		_exit(1);
	cpu_ns = clock_cpu_ns();
	do {
		m->recv(l, 1);
		last = atomic_load_explicit(&l->stop, memory_order_relaxed);
		if (last)
			l->cpu_ns[1] = clock_cpu_ns() - cpu_ns;
		m->send(l, 1);
	} while (!last);
	_exit(0);
}

static _Noreturn void ping(const struct floor_mechanism *m, struct floor_link *l, int cpu)
{
	uint64_t start = clock_now_ns(), cpu_ns, rounds = 0;

	if (begin(m, l, 0, cpu))
		_exit(1);
	for (; l->warm < WARM_ROUNDS && m->recv && clock_now_ns() - start < WARM_MS * NS_PER_MS;
	     l->warm++) {
		m->send(l, 0);
		m->recv(l, 0);
	}
	cpu_ns = clock_cpu_ns();
	start = clock_now_ns();
	do {
		for (int i = 0; i < ROUNDS_PER_LOOK; i++) {
			m->send(l, 0);
			if (m->recv)
				m->recv(l, 0);
		}
		rounds += ROUNDS_PER_LOOK;
	} while (clock_now_ns() - start < MEASURE_MS * NS_PER_MS);
	l->wall_ns = clock_now_ns() - start;
	l->cpu_ns[0] = clock_cpu_ns() - cpu_ns;
	l->rounds = rounds;
	atomic_store(&l->stop, 1);
	m->send(l, 0);
	if (m->recv)
		m->recv(l, 0);
	_exit(0);
}

/* Processes of their own, so that a dataplane can do there what it can do once (EAL). */
static void measure(const struct floor_mechanism *m, const int cpu[2], struct sample *s)
{
	struct floor_link *l = mmap(NULL, sizeof(*l), PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid[2] = { 0 };
	int status, err;
	double hops;

	if (l == MAP_FAILED)
		return;
	l->fd[0] = l->fd[1] = -1;
	l->spec = m->spec;
	err = m->open(l);
	if (err)
		goto out;
	if (!m->recv)
		atomic_store(&l->ready, 1);
	for (int side = 0; side < (m->recv ? 2 : 1); side++) {
		pid[side] = fork();
		if (!pid[side] && side)
			pong(m, l, cpu[1]);
		if (!pid[side])
			ping(m, l, cpu[0]);
	}
	for (int side = 0; side < 2; side++)
		if (pid[side] > 0 && waitpid(pid[side], &status, 0) == pid[side] && status)
			err = l->error ? l->error : -EIO;
	if (err || !l->rounds)
		goto out;
	hops = (double)l->rounds * (m->recv ? 2 : 1);
	s->ns[s->n] = (double)l->wall_ns / hops;
	/* The other side's CPU time includes the warm-up. */
	s->cpu_ns[s->n++] = ((double)l->cpu_ns[0] + (double)l->cpu_ns[1] * (double)l->rounds /
			     (double)(l->rounds + l->warm)) / hops;
out:
	if (err)
		snprintf(s->why, sizeof(s->why), "%s", strerror(-err));
	m->close(l);
	munmap(l, sizeof(*l));
}

/* ---- All of them ------------------------------------------------------------------------------ */

static bool wanted(const struct floor_run *run, const char *name)
{
	size_t n = strlen(name);

	for (const char *at = run->only; at; at = strchr(at, ','), at += at != NULL)
		if (!strncmp(at, name, n) && (!at[n] || at[n] == ','))
			return true;
	return !run->only;
}

/* Can it run here? Says why not in every place. */
static bool possible(struct floor_run *run, unsigned i)
{
	const struct floor_mechanism *m = &floor_mechanisms[i];
	const struct dataplane_ops *ops;
	struct probe_report report = { 0 };
	struct spec spec;

	if (!m->spec)
		return true;
	if (dataplane_open(&spec, &ops, m->spec, report.reason, sizeof(report.reason)))
		report.ok = false;
	else
		ops->probe(&spec, &report);
	if (!report.ok)
		for (unsigned p = 0; p < PLACES; p++)
			snprintf(run->at[i][p].why, sizeof(run->at[i][p].why), "%.120s",
				 report.reason);
	return report.ok;
}

static void measure_all(struct floor_run *run)
{
	bool can[MECHANISMS_MAX];
	int awake;

	for (unsigned i = 0; floor_mechanisms[i].name; i++)
		can[i] = wanted(run, floor_mechanisms[i].name) && possible(run, i);
	for (unsigned rep = 0; rep < run->reps; rep++) {
		for (unsigned i = 0; floor_mechanisms[i].name; i++) {
			for (unsigned p = 0; p < PLACES; p++) {
				int cpu[2] = { run->cpu[0], run->cpu[p >= FLOOR_CROSS_CORE] };

				if (!can[i] || !(floor_mechanisms[i].places & 1u << p) || cpu[1] < 0)
					continue;
				awake = -1;
				if (p == FLOOR_CROSS_AWAKE) {
					awake = open("/dev/cpu_dma_latency", O_RDWR | O_CLOEXEC);
					if (awake < 0 ||
					    write(awake, &(int32_t){ 0 }, sizeof(int32_t)) < 0)
						continue;
				}
				measure(&floor_mechanisms[i], cpu, &run->at[i][p]);
				if (awake >= 0)
					close(awake);
			}
		}
	}
}

/* ---- Statistics ------------------------------------------------------------------------------- */

/* This one's time over its floor's, pair by pair of the same repetition. */
static struct median ratio(const struct floor_run *run, unsigned i, unsigned place)
{
	const struct sample *mine = &run->at[i][place], *other;
	double values[REPS_MAX];
	unsigned n;

	for (unsigned f = 0; floor_mechanisms[i].floor && floor_mechanisms[f].name; f++) {
		if (strcmp(floor_mechanisms[f].name, floor_mechanisms[i].floor))
			continue;
		other = &run->at[f][place];
		n = mine->n < other->n ? mine->n : other->n;
		for (unsigned r = 0; r < n; r++)
			values[r] = mine->ns[r] / other->ns[r];
		return median_of(values, n);
	}
	return (struct median){ NAN, NAN, NAN };
}

/* ---- Showing ---------------------------------------------------------------------------------- */

static void print_table(const struct floor_run *run)
{
	printf("One way, 16 bytes, nanoseconds; medians of %u with 95 %% intervals.\n\n"
	       "%-15s %-17s %8s %19s %8s  %s\n", run->reps, "name", "placement", "ns", "interval",
	       "CPU ns", "over its floor");
	for (unsigned i = 0; floor_mechanisms[i].name; i++) {
		for (unsigned p = 0; p < PLACES; p++) {
			const struct sample *s = &run->at[i][p];
			struct median ns = median_of(s->ns, s->n), cpu = median_of(s->cpu_ns, s->n);
			struct median over = ratio(run, i, p);

			if (!(floor_mechanisms[i].places & 1u << p) || (!s->n && !s->why[0]))
				continue;
			printf("%-15s %-17s ", floor_mechanisms[i].name, place_names[p]);
			if (!s->n) {
				printf("skipped: %s\n", s->why);
				continue;
			}
			printf("%8.0f ", ns.value);
			if (isfinite(ns.low))
				printf("[%7.0f, %8.0f]", ns.low, ns.high);
			else
				printf("%19s", "-");
			printf(" %8.0f", cpu.value);
			if (isfinite(over.value))
				printf("  %.2f [%.2f, %.2f] x %s", over.value, over.low, over.high,
				       floor_mechanisms[i].floor);
			putchar('\n');
		}
	}
}

static int print_json(const struct floor_run *run)
{
	json_t *hops = json_array();

	for (unsigned i = 0; floor_mechanisms[i].name; i++) {
		const struct floor_mechanism *m = &floor_mechanisms[i];

		for (unsigned p = 0; p < PLACES; p++) {
			const struct sample *s = &run->at[i][p];

			if (!(m->places & 1u << p) || (!s->n && !s->why[0]))
				continue;
			json_array_append_new(hops, json_pack(
				"{s:s,s:s,s:s,s:o,s:i,s:o,s:o,s:o,s:o,s:o}", "name", m->name, "what",
				m->what, "placement", place_names[p], "spec", json_text(m->spec), "reps",
				(int)s->n, "ns", median_json(median_of(s->ns, s->n)), "cpu_ns",
				median_json(median_of(s->cpu_ns, s->n)), "floor",
				json_text(m->floor), "over_floor", median_json(ratio(run, i, p)),
				"skipped", json_text(s->n ? NULL : s->why)));
		}
	}
	return json_line(json_pack("{s:i,s:s,s:i,s:o,s:o}", "schema_version", 1, "kind", "floor",
				   "payload_bytes", 16, "hops", hops, "host", host_json()));
}

int floor_main(int argc, char **argv)
{
	struct floor_run *run = calloc(1, sizeof(*run));
	cpu_set_t may;
	int found = 0, status = STATUS_DONE;

	if (!run)
		return STATUS_CANNOT;
	run->reps = REPS;
	run->cpu[0] = run->cpu[1] = -1;
	if (argp_parse(&argp, argc, argv, 0, NULL, run)) {
		free(run);
		return STATUS_CANNOT;
	}
	if (!sched_getaffinity(0, sizeof(may), &may))
		for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++)
			if (CPU_ISSET(cpu, &may))
				run->cpu[found++] = cpu;
	measure_all(run);
	if (run->json)
		status = print_json(run) ? STATUS_FAILED : STATUS_DONE;
	else
		print_table(run);
	free(run);
	return status;
}
