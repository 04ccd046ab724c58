/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `perhop startup`: how long from the spawn of a function's instance to its first answered request, by
 * the runtime it lives in. The instance is the same code in each, over the same rings in the same shared
 * memory (dataplanes/sure/unikernel/window.h); its first request waits there before it exists.
 *
 *        push request │ spawn ▶ … runtime … ▶ entry ▶ map ▶ configure ▶ first invocation ▶ answer │ pop
 *                     t0                                                                          t1
 */
#ifndef PERHOP_CLI_STARTUP_H
#define PERHOP_CLI_STARTUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "chain/deploy.h"
#include "chain/workload.h"
#include "dataplanes/sure/unikernel/host.h"

enum { STARTUP_MAX = 32 };          /* instances at a time */

/* A deployment without instances yet, and this process as its gateway. */
struct startup_world {
	struct deployment d;
	struct application app;
	const struct workload *workload;
	struct endpoint ep;
	unsigned n;                 /* instances, numbered from 1 */
	bool open, attached;
	/* What a runtime keeps from prepare to clear. */
	int function_fd, initrd_fd;
	const char *kernel;         /* a Linux kernel's image, or NULL */
	pid_t zygote;
	int zygote_in;
	bool container;
	int lifeline;               /* of the guard that removes containers */
	pid_t guard;
	/* Of each instance. */
	pid_t pid[STARTUP_MAX + 1];
	uint64_t spawn_ns[STARTUP_MAX + 1], answer_ns[STARTUP_MAX + 1];     /* CLOCK_MONOTONIC */
	uint64_t spawn_tsc[STARTUP_MAX + 1], answer_tsc[STARTUP_MAX + 1];
};

struct startup_runtime {
	const char *name, *what;
	bool virtual;               /* a machine of its own: its TSC starts with it */
	/* Can it be? false with a sentence. */
	bool (*probe)(const struct startup_world *w, char *why, size_t why_bytes);
	int (*prepare)(struct startup_world *w);    /* optional, before the clock runs */
	pid_t (*spawn)(struct startup_world *w, instance_id id);
	void (*clear)(struct startup_world *w);     /* optional, also after a failure */
};

/* All of them; the last one has no name. */
extern const struct startup_runtime startup_runtimes[];

/* 0, or -errno with a sentence in w->d.why; world_close in any case. */
int world_open(struct startup_world *w, unsigned n, const char *kernel);
void world_close(struct startup_world *w);

/* Put the first request where instance `id` will find it. 0 or -errno. */
int world_ask(struct startup_world *w, instance_id id);

/* Wait until all have answered. 0; -errno with a sentence in w->d.why. */
int world_await(struct startup_world *w, uint64_t timeout_ns);

/* Memory of an instance's process, KiB, from /proc/PID/smaps; false: not to be had. */
struct startup_memory {
	double rss, pss, shared;    /* shared: mapped by others, too */
	double guest;               /* resident RAM of the virtual machine; NaN: there is none */
};
bool world_memory(const struct startup_world *w, instance_id id, struct startup_memory *m);

/* Children of `pid`: the first one, or 0. */
pid_t first_child(pid_t pid);

#endif
