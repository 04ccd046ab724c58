/* SPDX-License-Identifier: BSD-2-Clause */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit/place.h"
#include "chain/clock.h"

enum { THREADS_MAX = 1024, GUARD_PRIORITY = 2, WATCH_MS = 100 };

#define POLLING_SHARE 0.05                  /* of a CPU, idle: what sleeps when idle uses 0.001 */

struct placement_saved {
	unsigned threads;
	pid_t guard;
	int guard_pipe;             /* its end tells the guard that we are gone */
	struct {
		pid_t tid;
		int policy;
		struct sched_param param;
		cpu_set_t cpus;
	} was[THREADS_MAX];
};

const char *audit_mode_name(enum audit_mode mode)
{
	static const char *const names[] = { "isolated", "cross-core", "as-scheduled" };

	return names[mode];
}

/* CPUs that this process may use, lowest first. Returns how many of them are in `out`. */
static unsigned usable_cpus(int *out, unsigned room)
{
	cpu_set_t set;
	unsigned n = 0;

	if (sched_getaffinity(0, sizeof(set), &set))
		return 0;
	for (int cpu = 0; cpu < CPU_SETSIZE && n < room; cpu++)
		if (CPU_ISSET((unsigned)cpu, &set))
			out[n++] = cpu;
	return n;
}

int place_client_cpu(enum audit_mode mode)
{
	int cpu[2];

	return mode == MODE_AS_SCHEDULED || usable_cpus(cpu, 2) < 2 ? -1 : cpu[0];
}

/* Depth of a component below the client: neighbours differ by one. */
static unsigned depth_of(const struct plan *p, unsigned id)
{
	for (unsigned depth = 0; depth < AUDIT_COMPONENTS; depth++) {
		unsigned from = AUDIT_NOBODY;

		if (id == p->entry || id <= AUDIT_CLIENT)
			return depth;
		for (unsigned i = 0; i < p->links && !from; i++)
			if (p->link[i].server == id && p->link[i].segment[0])
				from = p->link[i].client;
		for (unsigned c = AUDIT_CLIENT + 1; c < p->components && !from; c++)
			if (p->pair[c][id] && p->pair[c][id] < p->pair[id][c])
				from = c;
		/* A shared-memory chain: each from the one before it. */
		for (unsigned c = AUDIT_CLIENT + 1; c < p->components && !from; c++)
			if (p->pair[c][id])
				from = c;
		if (!from)
			return depth;
		id = from;
	}
	return 0;
}

static int place_thread(struct placement_saved *s, pid_t tid, int cpu)
{
	struct sched_param real_time = { .sched_priority = 1 }, batch = { 0 };
	cpu_set_t set;

	if (s->threads == THREADS_MAX)
		return -ENOSPC;
	s->was[s->threads].tid = tid;
	s->was[s->threads].policy = sched_getscheduler(tid);
	if (s->was[s->threads].policy < 0 ||
	    sched_getparam(tid, &s->was[s->threads].param) ||
	    sched_getaffinity(tid, sizeof(cpu_set_t), &s->was[s->threads].cpus))
		return errno == ESRCH ? 0 : -errno;
	s->threads++;
	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	if (sched_setaffinity(tid, sizeof(set), &set))
		return errno == ESRCH ? 0 : -errno;
	/*
	 * Of equal real-time priority nobody preempts anybody, and neither do the machine's other
	 * processes. SCHED_BATCH has the first property only.
	 */
	if (sched_setscheduler(tid, SCHED_FIFO, &real_time) &&
	    sched_setscheduler(tid, SCHED_BATCH, &batch))
		return errno == ESRCH ? 0 : -errno;
	return 0;
}

static int place_process(struct placement_saved *s, pid_t pid, int cpu)
{
	struct dirent *entry;
	char path[64];
	int err = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while (!err && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			err = place_thread(s, atoi(entry->d_name), cpu);
	closedir(dir);
	return err;
}

static void restore(const struct placement_saved *s)
{
	for (unsigned i = 0; i < s->threads; i++) {
		sched_setscheduler(s->was[i].tid, s->was[i].policy, &s->was[i].param);
		sched_setaffinity(s->was[i].tid, sizeof(cpu_set_t), &s->was[i].cpus);
	}
}

/* The guard's life: wait until the other end of the pipe closes, then put everything back. */
static void guard_main(const struct placement_saved *s, int pipe_end)
{
	/* Above what it guards, or it might never run. */
	struct sched_param above = { .sched_priority = GUARD_PRIORITY };
	char byte;

	prctl(PR_SET_NAME, "audit-guard");
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	sched_setscheduler(0, SCHED_FIFO, &above);
	while (read(pipe_end, &byte, 1) < 0 && errno == EINTR)
		;
	restore(s);
	_exit(0);
}

static int guard_start(struct placement_saved *s)
{
	int ends[2], err;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	s->guard = fork();
	if (s->guard < 0) {
		err = -errno;
		close(ends[0]);
		close(ends[1]);
		return err;
	}
	if (!s->guard) {
		close_range(3, (unsigned)ends[0] - 1, 0);
		close_range((unsigned)ends[0] + 1, ~0U, 0);
		guard_main(s, ends[0]);
	}
	close(ends[0]);
	s->guard_pipe = ends[1];
	return 0;
}

/* CPU time of a component so far, ns. */
static uint64_t cpu_of(const struct plan_component *c)
{
	uint64_t total = 0, ns;
	char path[64];
	FILE *f;

	for (unsigned k = 0; k < c->pids; k++) {
		snprintf(path, sizeof(path), "/proc/%d/schedstat", c->pid[k]);
		f = fopen(path, "re");
		if (f && fscanf(f, "%" SCNu64, &ns) == 1)
			total += ns;
		if (f)
			fclose(f);
	}
	return total;
}

bool place_polls(const struct plan *p)
{
	const struct timespec wait = { .tv_nsec = WATCH_MS * NS_PER_MS };
	uint64_t before[AUDIT_COMPONENTS];

	for (unsigned i = AUDIT_CLIENT + 1; i < p->components; i++)
		before[i] = cpu_of(&p->component[i]);
	nanosleep(&wait, NULL);
	for (unsigned i = AUDIT_CLIENT + 1; i < p->components; i++)
		if ((double)(cpu_of(&p->component[i]) - before[i]) >
		    POLLING_SHARE * WATCH_MS * NS_PER_MS)
			return true;
	return false;
}

int place(struct placement_saved **out, const struct plan *p, enum audit_mode mode)
{
	struct placement_saved *s;
	int cpu[CPU_SETSIZE], err = 0;
	unsigned cpus;

	*out = NULL;
	if (mode == MODE_AS_SCHEDULED)
		return 0;
	if (place_polls(p))
		return -EBUSY;
	cpus = usable_cpus(cpu, CPU_SETSIZE);
	if (!cpus || (mode == MODE_CROSS_CORE && cpus < 2))
		return -ENODEV;
	/* Shared with the guard, which is there before the first thread is moved. */
	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s == MAP_FAILED)
		return -errno;
	err = guard_start(s);
	if (err) {
		munmap(s, sizeof(*s));
		return err;
	}
	for (unsigned i = AUDIT_CLIENT + 1; !err && i < p->components; i++)
		for (unsigned k = 0; !err && k < p->component[i].pids; k++)
			err = place_process(s, p->component[i].pid[k], mode == MODE_ISOLATED ?
					    cpu[cpus - 1] : cpu[(depth_of(p, i) + 1) % 2]);
	if (err)
		place_undo(s);
	else
		*out = s;
	return err;
}

/* The guard does it; it is there for that. */
void place_undo(struct placement_saved *s)
{
	if (!s)
		return;
	close(s->guard_pipe);
	waitpid(s->guard, NULL, 0);
	munmap(s, sizeof(*s));
}
