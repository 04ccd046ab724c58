/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The engine: loads the probes that this kernel takes, attaches them, opens and closes the window in
 * which they count, and reads the cells. Everything it loads is held by file descriptors alone, nothing
 * is pinned: it is gone with this process, however that ends.
 *
 *     audit_open → audit_plan (again whenever links or pids change) → audit_attach
 *                → { audit_start … audit_stop → audit_read } … → audit_detach → audit_close
 */
#ifndef PERHOP_AUDIT_AUDIT_H
#define PERHOP_AUDIT_AUDIT_H

#include "audit/probe.h"
#include "audit/segment.h"

enum { AUDIT_HOOKS = 64, AUDIT_BINARIES = 8, AUDIT_PROBES = 7 };

/* What became of a hook. */
struct hook_state {
	const struct probe *probe;
	const struct hook *hook;
	bool attached;              /* or would be: it has been, for trial, before a detach */
	bool served;                /* not needed: another hook of its kind is attached */
	char reason[160];           /* why it is not attached */
	uint32_t id;                /* of the eBPF program; 0: none */
};

/* Sums over all CPUs since audit_open. [metric][component][segment] */
struct audit_counts {
	struct audit_cell cell[M_COUNT][AUDIT_COMPONENTS][AUDIT_SEGMENTS];
};

/* Work that the probes themselves did, by the kernel's own statistics. */
struct audit_cost {
	uint64_t runs, ns;
};

struct audit;

/*
 * Load what can be loaded. `binaries`: paths of programs that may carry our USDT points, NULL-ended.
 * 0; -EPERM with a sentence in `why` that names the missing capability; or -errno with one.
 */
int audit_open(struct audit **out, const char *const *binaries, char *why, size_t why_bytes);

/* Tell the probes the components, links and segments of `p`. 0 or -errno. */
int audit_plan(struct audit *a, const struct plan *p);

/* Hook up everything that was loaded, or take it off. Hooks that fail are marked so. 0 or -errno. */
int audit_attach(struct audit *a);
void audit_detach(struct audit *a);

/* Open the window; close it. Counting starts and stops within nanoseconds on every CPU. 0 or -errno. */
int audit_start(struct audit *a);
int audit_stop(struct audit *a);

/*
 * Open the window in order to learn: connections of components that are no link of the plan are noted,
 * however short they live. audit_stop ends it. 0 or -errno.
 */
int audit_learn(struct audit *a);

/* Call `each` for every connection noted, and forget it. The first error of `each` ends it. */
int audit_learnt(struct audit *a, int (*each)(void *arg, const struct audit_seen *seen), void *arg);

/* Read all cells: large, so give it memory of your own. 0 or -errno. */
int audit_read(const struct audit *a, struct audit_counts *counts);

/* Runs and time of all our programs so far; needs audit_stats. 0 or -errno. */
int audit_cost(const struct audit *a, struct audit_cost *cost);

/* Turn the kernel's statistics of eBPF programs on (they cost ~20 ns per run). A fd to close, or -errno. */
int audit_stats(void);

/* All hooks with what became of them; `count` is set. */
const struct hook_state *audit_hooks(const struct audit *a, unsigned *count);

/* Highest tier in use. */
enum probe_tier audit_tier(const struct audit *a);

/* Name of a tier, "T0"… */
const char *audit_tier_name(enum probe_tier tier);

/* fd of a shared map by its name, for `perhop trace`, or -ENOENT. */
int audit_map(const struct audit *a, const char *name);

/* Make `object`, not loaded yet, use the shared maps. 0 or -errno. */
int audit_share(const struct audit *a, struct bpf_object *object);

/* Detach, unload, free. NULL is fine. */
void audit_close(struct audit *a);

/* What this process lacks for eBPF tracing, as a sentence; "" when nothing is known to be missing. */
void audit_missing(char *out, size_t room);

#endif
