/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The load generator as a child process: it dies with us, results come through shared memory, and
 * its CPU has a clock of its own.
 */
#ifndef PERHOP_CLI_GENERATOR_H
#define PERHOP_CLI_GENERATOR_H

#include <sys/types.h>

#include "workloads/loadgen/loadgen.h"

struct generator_shared {
	_Atomic uint32_t stop;
	struct loadgen_result result;
};

struct generator {
	pid_t pid;                  /* 0: not running */
	int status;                 /* waitpid's, once it has ended */
	struct generator_shared *shared;
};

/*
 * Start it, in network namespace `netns` (-1: here); `config` is copied by the fork. 0 or -errno.
 * generator_end must follow.
 */
int generator_start(struct generator *g, const struct loadgen_config *config, int netns);

/* Has it ended? Does not block. */
bool generator_ended(struct generator *g);

/* Ask it to stop, wait up to `grace_ns`, then kill it. The results stay readable. */
void generator_stop(struct generator *g, uint64_t grace_ns);

/* Stop it if need be and free the results. */
void generator_end(struct generator *g);

/* CPU time it has used so far, ns; 0 when unknown. */
uint64_t generator_cpu_ns(const struct generator *g);

#endif
