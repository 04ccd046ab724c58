/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "chain/clock.h"
#include "cli/generator.h"

static void generator_child(pid_t parent, const struct loadgen_config *config, int netns,
			    struct generator_shared *shared)
{
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* The parent may have died before the line above took effect. */
	if (getppid() != parent)
		_exit(1);
	prctl(PR_SET_NAME, "perhop-load");
	/*
	 * A Ctrl-C goes to the whole process group: it is our parent that answers it, by `stop`,
	 * so that the answers so far are reported.
	 */
	signal(SIGINT, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (netns >= 0 && setns(netns, CLONE_NEWNET))
		_exit(1);
	/* Nothing of the deployment's is ours: a pool held here would outlive its owners. */
	close_range(STDERR_FILENO + 1, ~0U, 0);
	_exit(loadgen_run(config, &shared->result, &shared->stop) ? 1 : 0);
}

int generator_start(struct generator *g, const struct loadgen_config *config, int netns)
{
	pid_t parent = getpid();

	memset(g, 0, sizeof(*g));
	g->shared = mmap(NULL, sizeof(*g->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (g->shared == MAP_FAILED) {
		g->shared = NULL;
		return -errno;
	}
	g->pid = fork();
	if (g->pid < 0) {
		int error = -errno;

		g->pid = 0;
		generator_end(g);
		return error;
	}
	if (!g->pid)
		generator_child(parent, config, netns, g->shared);
	return 0;
}

bool generator_ended(struct generator *g)
{
	if (g->pid && waitpid(g->pid, &g->status, WNOHANG) == g->pid)
		g->pid = 0;
	return !g->pid;
}

void generator_stop(struct generator *g, uint64_t grace_ns)
{
	const struct timespec step = { .tv_nsec = 2 * NS_PER_MS };
	uint64_t until = clock_now_ns() + grace_ns;

	if (!g->shared)
		return;
	atomic_store(&g->shared->stop, 1);
	while (!generator_ended(g) && clock_now_ns() < until)
		nanosleep(&step, NULL);
	if (!g->pid)
		return;
	kill(g->pid, SIGKILL);
	if (waitpid(g->pid, &g->status, 0) == g->pid)
		g->pid = 0;
}

void generator_end(struct generator *g)
{
	generator_stop(g, 0);
	if (g->shared)
		munmap(g->shared, sizeof(*g->shared));
	g->shared = NULL;
}

uint64_t generator_cpu_ns(const struct generator *g)
{
	struct timespec t;
	clockid_t clock;

	if (!g->pid || clock_getcpuclockid(g->pid, &clock) || clock_gettime(clock, &t))
		return 0;
	return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}
