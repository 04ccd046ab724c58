/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the chain runs during an audit: how many switches and IPIs a hop takes depends on it. */
#ifndef PERHOP_AUDIT_PLACE_H
#define PERHOP_AUDIT_PLACE_H

#include "audit/segment.h"

enum audit_mode {
	/*
	 * All components on one CPU, SCHED_FIFO of one priority (SCHED_BATCH without the right to it):
	 * a wake-up never preempts. The least that can be, which is what the paper counts.
	 */
	MODE_ISOLATED,
	/* Neighbours on different CPUs, otherwise likewise: every hop wakes another CPU. */
	MODE_CROSS_CORE,
	MODE_AS_SCHEDULED,          /* as the scheduler likes */
};

struct placement_saved;

/*
 * Put the components in their places. What was before comes back with place_undo, which also frees;
 * and, should this process be killed, by a guard that outlives it just for that.
 * 0; -ENODEV: cross-core needs two CPUs; -EBUSY: a component polls, see place_polls; or -errno.
 */
int place(struct placement_saved **out, const struct plan *p, enum audit_mode mode);
void place_undo(struct placement_saved *s);

/*
 * Does any component use CPU though nobody asks it for anything? Watches for 100 ms. A poller must not be
 * given real-time priority: it would keep everything else off its CPU, the audit included.
 */
bool place_polls(const struct plan *p);

/* The CPU for the client, away from the chain when there is another; -1: any. */
int place_client_cpu(enum audit_mode mode);

const char *audit_mode_name(enum audit_mode mode);

#endif
