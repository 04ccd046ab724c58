/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instances that come and go during a run: chain/autoscale.h decides how many, this does it. Part of the
 * supervisor; deploy_watch calls it.
 *
 *             begin                 due                    ready, settled
 *      OFF ──────────> DELAYED ─────────────> STARTING ──────────────────> UP
 *       ^               (cold_delay, a model)   raise, fork, wait           │ drain: takes nothing new
 *       │                                                                   v
 *       └────────────── ENDING <────────────────────────────────────── DRAINING
 *         all reaped, lower    no request left, and the termination delay over: SIGTERM
 *
 * No request is lost on the way: an instance in DRAINING keeps what it has; it is told to end only when it
 * has nothing (board: see route_pick; an activator: its own count), and ends after a whole turn.
 */
#ifndef PERHOP_CHAIN_SCALING_H
#define PERHOP_CHAIN_SCALING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chain/message.h"
#include "chain/spec.h"

struct deployment;
struct application;

enum scale_mode {
	SCALE_NONE,                 /* as many instances as the deployment began with */
	SCALE_LOAD,                 /* by load, at least one: kept warm */
	SCALE_ZERO,                 /* by load, none when there is none */
};

/* Options of a dataplane whose instances may come and go; scaling_parse reads them. */
#define SCALING_OPTIONS(modes) \
	{ "scale", modes, "none", "instances by load: load keeps one at least, zero none when idle" }, \
	{ "max_scale", "1..63", "4", "scale: instances of a function at most (of a stateful one: one)" }, \
	{ "target", "TEXT", "auto", "scale: requests per instance to aim for; auto: 70 % of --limit" }, \
	{ "stable", "TEXT", "60s", "scale: window whose average counts (30s, 500ms)" }, \
	{ "panic", "TEXT", "6s", "scale: window in which twice the target starts a panic" }, \
	{ "tick", "TEXT", "2s", "scale: time between two decisions" }, \
	{ "time_scale", "TEXT", "1", "scale: factor on all of these times" }

/* The rest of them, where there may be none. */
#define SCALING_ZERO_OPTIONS \
	{ "grace", "TEXT", "30s", "scale=zero: the last instance stays so long when idle" }, \
	{ "terminate", "TEXT", "0s", "scale: an instance stays so long, without requests, before it ends" }, \
	{ "prewarm", "TEXT", "0s", "scale=zero: start one of each so long before each period ends" }, \
	{ "period", "TEXT", "240s", "scale=zero: time between bursts, for prewarm" }, \
	{ "queue", "1..10000", "1024", "scale=zero: requests that may wait for a function's instances" }, \
	{ "cold_delay_ms", "0..600000", "0", \
	  "scale: MODEL of image pull and runtime creation, a wait before each cold start" }

/* As asked; times in s before `time_scale`. */
struct scaling_config {
	enum scale_mode mode;
	unsigned max;
	unsigned queue;
	double target;              /* 0: 70 % of the concurrency limit */
	double stable_s, panic_s, tick_s, grace_s, terminate_s, prewarm_s, period_s;
	double cold_delay_s;
	double time_scale;
};

/* From the options above, where `options` has them (else SCALE_NONE). 0, or -EINVAL with a sentence. */
int scaling_parse(struct scaling_config *c, const struct spec *spec, const struct option_spec *options,
		  char *why, size_t why_bytes);

/* Scaled time, ns. */
uint64_t scaling_ns(const struct scaling_config *c, double seconds);

/* What the activator of a dataplane that picks instances itself has to say of a function. */
struct demand {
	uint64_t area;              /* requests × ns in flight or waiting, up to now; only grows */
	unsigned waiting;           /* for an instance, now */
};

/* A dataplane's part in it, all in the parent; all optional. */
struct scaling_ops {
	/* Before instance `id` is started during a run: make what its process needs. 0 or -errno. */
	int (*raise)(struct deployment *d, instance_id id);
	/* The instance is ready. Does everything before it (a sidecar) take requests? 0, -EAGAIN, -errno. */
	int (*settled)(struct deployment *d, instance_id id);
	/* Requests may go to it (open), or may not any more. */
	void (*admit)(struct deployment *d, instance_id id, bool open);
	/* Requests it has; NULL: the board's load. */
	unsigned (*busy)(struct deployment *d, instance_id id);
	/* Demand for a function; NULL: the board's loads. */
	void (*demand)(struct deployment *d, function_id f, uint64_t now_ns, struct demand *out);
	/* All its processes have ended: undo raise. */
	void (*lower)(struct deployment *d, instance_id id);
};

/* ---- What happened, for the record --------------------------------------------------------------- */

/* Times of a cold start, ns since the one before; sum: from the decision to the first request let in. */
enum cold_phase {
	COLD_DELAY,                 /* the model's wait */
	COLD_NETWORK,               /* namespace, veth, address */
	COLD_SPAWN,                 /* fork of the function, exec of its sidecar */
	COLD_FUNCTION,              /* until the function is ready */
	COLD_SIDECAR,               /* until the pod answers through its sidecar */
	COLD_PHASES,
};

struct cold_start {
	instance_id instance;
	function_id function;
	const char *cause;          /* "request", "load", "prewarm" */
	uint64_t at_ns;             /* CLOCK_MONOTONIC, of the decision */
	uint64_t ns[COLD_PHASES];
	bool done;                  /* it got so far that requests were let in */
};

struct scale_step {             /* the number of instances has changed */
	uint64_t at_ns;
	function_id function;
	uint16_t up;                /* instances with a process: starting, ready or ending */
	uint16_t ready;             /* of these, such as take requests */
};

struct scaling_history {
	struct cold_start *cold;
	struct scale_step *step;
	unsigned colds, steps;
	unsigned ends;              /* instances that were taken away */
	uint64_t dropped;           /* entries that found no room */
};

/* ---- For chain/deploy.c --------------------------------------------------------------------------- */

struct scaling;

/* Instances of `f` that lines are needed for, and how many of them begin. */
unsigned scaling_lines(const struct scaling_config *c, const struct application *app, function_id f,
		       unsigned instances);

/* Watch and scale d's instances, all ready, from now on. 0 or -ENOMEM. */
int scaling_open(struct scaling **out, struct deployment *d);
void scaling_close(struct scaling *s);

/*
 * A process of instance `id` has died that is not started again by itself (a sidecar): the others are ended, too,
 * and a new instance starts when it is asked for. 0.
 */
int scaling_lost(struct scaling *s, instance_id id);

/* Do what is due. 0, or -errno with d->why: a start has failed. */
int scaling_watch(struct scaling *s);

/* ns until scaling_watch has something to do, at most. */
uint64_t scaling_next_ns(const struct scaling *s);

/* Pre-warming counts from `ns` (CLOCK_MONOTONIC) on: when the load begins. */
void scaling_origin(struct scaling *s, uint64_t ns);

const struct scaling_history *scaling_history(const struct scaling *s);

#endif
