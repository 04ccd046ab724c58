/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A deployment: one workload on one dataplane, running. Starts every process, holds the readiness
 * barrier, watches, restarts, stops.
 *
 * Nothing stays behind, whoever dies: all children live in a PID namespace of the deployment whose
 * init dies with the supervisor (PR_SET_PDEATHSIG), so the kernel ends the rest; network namespaces,
 * veths, tmpfs, memfds, sockmaps and BPF programs have no names, so they end with their holders.
 * Without the privilege for a PID namespace every child carries its own PR_SET_PDEATHSIG.
 */
#ifndef PERHOP_CHAIN_DEPLOY_H
#define PERHOP_CHAIN_DEPLOY_H

#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "chain/dataplane.h"
#include "chain/network.h"
#include "chain/node.h"
#include "chain/pool.h"
#include "chain/route.h"
#include "chain/scaling.h"
#include "chain/workload.h"

enum service_mode { SERVICE_NONE, SERVICE_SLEEP, SERVICE_SPIN };
/*
 * Which CPUs the processes of a chain run on.
 *
 * AUTO packs a chain with a shared pool onto one core as long as its functions have no CPU-bound
 * service time and one instance each; all else is FREE. Left alone, the scheduler sends every wake-up to
 * an idle core, and a hop that could be a switch becomes an inter-processor interrupt and, on an idle
 * core, an exit from halt: tens of µs in a VM (docs/findings.md, `perhop floor`). A second core
 * pays only for what a function computes.
 */
enum placement { PLACE_AUTO, PLACE_FREE, PLACE_SAME_CORE, PLACE_CROSS_CORE };

struct deployment;

enum { DEPLOY_ADAPTERS = 4 };

/* How to deploy; deploy_defaults fills it. */
struct deploy_config {
	struct sockaddr_in listen;  /* where clients connect; port 0: any free one */
	unsigned adapters;          /* protocols besides HTTP, see chain/adapter.h */
	struct {
		const char *name;   /* as adapter_open takes it */
		struct sockaddr_in listen;  /* port 0: any free one */
	} adapter[DEPLOY_ADAPTERS];
	bool control;               /* adapters may be loaded while it runs, see chain/control.h */
	enum service_mode service;
	double service_scale;       /* of the published service times */
	unsigned instances;         /* per function that is not `single` */
	unsigned concurrency;       /* per instance */
	uint32_t backlog;           /* invocations that may wait at an instance besides; then 503 */
	uint32_t pool_buffers;
	uint32_t buffer_bytes;
	uint64_t request_timeout_ns;        /* gateway answers 504 after it; 0: never */
	uint64_t seed;
	enum placement placement;
	struct scaling_config scaling;      /* from the dataplane's options, by deploy_start */
	bool restart;               /* restart instances that die (serve); else deploy_watch reports */
	unsigned start_timeout_ms;  /* readiness barrier */
	/*
	 * Optional: takes the HTTP gateway's place, in its process, until board->stop: what gives the
	 * chain its requests without a client (`perhop surface`). It sets the gateway's line READY.
	 * 0 or -errno.
	 */
	int (*front)(struct deployment *d, void *arg);
	void *front_arg;
	const struct node *pair;    /* node_start_other's: this is node b of that pair; else NULL */
};

enum component_kind { COMPONENT_GATEWAY, COMPONENT_FUNCTION, COMPONENT_SIDECAR, COMPONENT_BROKER,
		      COMPONENT_INGRESS, COMPONENT_INIT,
		      COMPONENT_ACTIVATOR,  /* holds requests until there is an instance */
		      COMPONENT_AUTOSCALER, /* no process: what scaling costs the supervisor */ };

/* A process of the deployment, ours or foreign (nginx). */
struct component {
	char name[48];              /* "gateway", "frontend", "frontend/sidecar", "broker"… */
	enum component_kind kind;
	instance_id instance;       /* it is, or belongs to; INSTANCE_NONE for none */
	pid_t pid;                  /* 0 once it has ended */
	uint64_t gone_cpu_ns;       /* CPU of earlier incarnations */
	int status;                 /* waitpid's, when pid == 0 */
	bool leaving;               /* was told to end: its end is no news */
};

enum { COMPONENT_MAX = 160 };

struct deployment {
	const struct dataplane_ops *ops;
	struct spec spec;
	const struct application *app;
	struct deploy_config config;
	struct board *board;        /* shared by all processes */
	struct pool *pool;          /* DP_SHARED_POOL; else NULL */
	struct node *node;          /* one of two nodes; NULL: the only one */
	struct network network;     /* between the client and the deployment */
	int listen_fd;              /* bound and listening where clients come in: network_listen_netns */
	struct sockaddr_in address; /* where it listens */
	struct {
		char name[32];              /* as the adapter calls itself */
		int so_fd, listen_fd;       /* -1: not open, or unloaded since */
		struct sockaddr_in address;
	} adapter[DEPLOY_ADAPTERS];
	int control_fd;             /* -1: none */
	struct component component[COMPONENT_MAX];
	unsigned components;
	int pidns_fd, home_pidns_fd;        /* -1 without a PID namespace */
	int lifeline_fd;            /* closed by the supervisor's end: init goes with it */
	bool set_up;                /* ops->setup was called, so teardown must be */
	unsigned restarts;          /* instances that died and were started again */
	uint32_t flags;             /* enum dataplane_flags, as configured */
	struct scaling *scaling;    /* NULL: instances neither come nor go */
	int scaling_fd;             /* eventfd: deploy_watch has something to do at once */
	int wake_fd;                /* eventfd: wakes the gateway when the board has changed */
	void *priv;                 /* the dataplane's, made by setup */
	char why[512];              /* the sentence that goes with the last error */
};

void deploy_defaults(struct deploy_config *c);

/*
 * Start `app` on `spec`. On 0, every component is ready and d->address answers. On -errno d->why
 * says what failed; everything started has been stopped. `d` is the caller's; deploy_stop ends it.
 */
int deploy_start(struct deployment *d, const struct dataplane_ops *ops, const struct spec *spec,
		 const struct application *app, const struct deploy_config *config);

/*
 * Look after the children without blocking; call it every ≤ deploy_watch_ns, and when d->scaling_fd is
 * readable. Restarts or reports the dead, starts and ends instances as the load asks for.
 * 0: all well (or restarted); -ECHILD: a component ended and is not to be restarted: d->why names it.
 */
int deploy_watch(struct deployment *d);
uint64_t deploy_watch_ns(const struct deployment *d);

/* Stop everything and free everything. Idempotent; safe after a failed start. */
void deploy_stop(struct deployment *d);

/*
 * For a dataplane's hooks (parent): fork a child of the deployment, in its PID namespace, with
 * PR_SET_PDEATHSIG, default signals and `name` as its comm. Returns 0 in the child, the pid in the
 * parent (already listed as a component), or -errno.
 */
pid_t deploy_fork(struct deployment *d, const char *name, enum component_kind kind,
		  instance_id instance);

/* deploy_fork and exec `argv` after `before(arg)` (may be NULL) has returned 0 in the child. */
pid_t deploy_exec(struct deployment *d, const char *name, enum component_kind kind,
		  instance_id instance, char *const argv[], int (*before)(void *arg), void *arg);

/* What `config` asks for, AUTO decided for a dataplane with `flags`: never PLACE_AUTO. */
enum placement deploy_placement(const struct deploy_config *config, uint32_t flags);

/* Why the last hook failed, for the user; a sentence without a newline. Returns `error`. */
int deploy_error(struct deployment *d, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * The processes of the deployment, those of its other node included: how many, and the i-th one. Names
 * are unique; the other node's end in @b.
 */
unsigned deploy_components(const struct deployment *d);
const struct component *deploy_component(const struct deployment *d, unsigned i);

/* CPU time of component `i` so far, all its threads and earlier incarnations, ns; 0 when unknown. */
uint64_t deploy_cpu_ns(const struct deployment *d, unsigned i);

/* ---- For chain/scaling.c ------------------------------------------------------------------------- */

/* Start the instance that line `id` is for. 0 or -errno with d->why. Readiness shows on the board. */
int deploy_instance_start(struct deployment *d, instance_id id);

/* Signal all processes of instance `id`, whose end is from now on expected; have they all ended? */
void deploy_instance_end(struct deployment *d, instance_id id, int sig);
bool deploy_instance_ended(const struct deployment *d, instance_id id);

/* Is `id` among the instances that there are from the beginning? */
bool deploy_begins(const struct deployment *d, instance_id id);

/* The board has changed: let the gateway look at it. */
void deploy_wake_gateway(struct deployment *d);

/* Function name of an instance ("gateway" for GATEWAY). */
const char *deploy_instance_name(const struct deployment *d, instance_id id);

#endif
