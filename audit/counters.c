/* SPDX-License-Identifier: BSD-2-Clause */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include "audit/counters.h"
#include "chain/clock.h"

enum { THREADS_MAX = 512 };

/* ---- /proc ------------------------------------------------------------------------------------ */

/* Sum of the numbers that follow the colon of a line. */
static uint64_t sum_of_line(const char *line)
{
	const char *at = strchr(line, ':');
	uint64_t sum = 0;
	char *end;

	for (at = at ? at + 1 : ""; *at; at = end) {
		uint64_t x = strtoull(at, &end, 10);

		if (end == at)
			break;
		sum += x;
	}
	return sum;
}

static void read_machine(struct proc_counts *c)
{
	char line[8192];
	FILE *f = fopen("/proc/stat", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "ctxt %" SCNu64, &c->switches) == 1)
			break;
	if (f)
		fclose(f);
	f = fopen("/proc/softirqs", "re");
	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, "NET_RX:"))
			c->net_rx = sum_of_line(line);
	if (f)
		fclose(f);
	f = fopen("/proc/interrupts", "re");
	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, " RES:") || strstr(line, " CAL:") || !strncmp(line, "RES:", 4) ||
		    !strncmp(line, "CAL:", 4))
			c->ipis += sum_of_line(line);
	if (f)
		fclose(f);
}

static void read_thread(struct proc_counts *c, unsigned id, pid_t pid, const char *tid)
{
	char path[96], line[256];
	uint64_t x;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%.20s/status", pid, tid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "voluntary_ctxt_switches: %" SCNu64, &x) == 1)
			c->voluntary[id] += x;
		else if (sscanf(line, "nonvoluntary_ctxt_switches: %" SCNu64, &x) == 1)
			c->involuntary[id] += x;
	}
	if (f)
		fclose(f);
	snprintf(path, sizeof(path), "/proc/%d/task/%.20s/schedstat", pid, tid);
	f = fopen(path, "re");
	if (f && fscanf(f, "%" SCNu64, &x) == 1)
		c->cpu_ns[id] += x;
	if (f)
		fclose(f);
}

/* Call `each` for all threads of all components but the client. */
static void for_each_thread(const struct plan *p,
			    void (*each)(void *arg, unsigned id, pid_t pid, const char *tid), void *arg)
{
	for (unsigned i = AUDIT_CLIENT + 1; i < p->components; i++)
		for (unsigned k = 0; k < p->component[i].pids; k++) {
			struct dirent *entry;
			char path[64];
			DIR *dir;

			snprintf(path, sizeof(path), "/proc/%d/task", p->component[i].pid[k]);
			dir = opendir(path);
			while (dir && (entry = readdir(dir)))
				if (entry->d_name[0] != '.')
					each(arg, i, p->component[i].pid[k], entry->d_name);
			if (dir)
				closedir(dir);
		}
}

static void add_thread(void *arg, unsigned id, pid_t pid, const char *tid)
{
	read_thread(arg, id, pid, tid);
}

void proc_read(struct proc_counts *c, const struct plan *p)
{
	memset(c, 0, sizeof(*c));
	c->at_ns = clock_now_ns();
	read_machine(c);
	for_each_thread(p, add_thread, c);
}

/* ---- perf ------------------------------------------------------------------------------------- */

struct perf {
	unsigned threads;
	unsigned component[THREADS_MAX];
	int fd[THREADS_MAX][PERF_COUNTERS];
	int error[PERF_COUNTERS];           /* of the first open that failed */
	bool has[PERF_COUNTERS];
};

static const struct {
	uint32_t type;
	uint64_t config;
	const char *name;
} counters[PERF_COUNTERS] = {
	[PERF_SWITCHES] = { PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CONTEXT_SWITCHES, "context-switches" },
	[PERF_MIGRATIONS] = { PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_MIGRATIONS, "cpu-migrations" },
	[PERF_TASK_CLOCK] = { PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK, "task-clock" },
	[PERF_CYCLES] = { PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, "cycles" },
	[PERF_INSTRUCTIONS] = { PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS, "instructions" },
};

const char *perf_name(enum perf_counter counter)
{
	return counters[counter].name;
}

static void open_thread(void *arg, unsigned id, pid_t pid, const char *tid)
{
	struct perf *f = arg;

	(void)pid;
	if (f->threads == THREADS_MAX)
		return;
	f->component[f->threads] = id;
	for (unsigned i = 0; i < PERF_COUNTERS; i++) {
		struct perf_event_attr attr = {
			.size = sizeof(attr),
			.type = counters[i].type,
			.config = counters[i].config,
		};
		long fd = syscall(SYS_perf_event_open, &attr, atoi(tid), -1, -1, PERF_FLAG_FD_CLOEXEC);

		f->fd[f->threads][i] = (int)fd;
		if (fd >= 0)
			f->has[i] = true;
		else if (!f->error[i])
			f->error[i] = errno;
	}
	f->threads++;
}

int perf_open(struct perf **out, const struct plan *p)
{
	struct perf *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	for_each_thread(p, open_thread, f);
	for (unsigned i = 0; i < PERF_COUNTERS; i++)
		if (f->has[i]) {
			*out = f;
			return 0;
		}
	perf_close(f);
	return -ENOTSUP;
}

void perf_read(const struct perf *f, struct perf_counts *c)
{
	uint64_t x;

	memset(c, 0, sizeof(*c));
	for (unsigned t = 0; t < f->threads; t++)
		for (unsigned i = 0; i < PERF_COUNTERS; i++)
			if (f->fd[t][i] >= 0 && read(f->fd[t][i], &x, sizeof(x)) == sizeof(x))
				c->value[i][f->component[t]] += x;
}

void perf_close(struct perf *f)
{
	if (!f)
		return;
	for (unsigned t = 0; t < f->threads; t++)
		for (unsigned i = 0; i < PERF_COUNTERS; i++)
			if (f->fd[t][i] >= 0)
				close(f->fd[t][i]);
	free(f);
}

bool perf_has(const struct perf *f, enum perf_counter counter, const char **why)
{
	*why = f->has[counter] ? "" : strerror(f->error[counter]);
	return f->has[counter];
}

double tsc_hz(void)
{
#if defined(__x86_64__)
	struct timespec wait = { .tv_nsec = 20 * NS_PER_MS };
	uint64_t ns = clock_now_ns(), cycles = __rdtsc();

	nanosleep(&wait, NULL);
	cycles = __rdtsc() - cycles;
	ns = clock_now_ns() - ns;
	return (double)cycles * 1e9 / (double)ns;
#else
	return 0;
#endif
}
