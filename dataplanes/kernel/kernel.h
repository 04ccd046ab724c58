/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of kernel:* share: where everything of a deployment runs and is reached. */
#ifndef PERHOP_KERNEL_H
#define PERHOP_KERNEL_H

#include <netinet/in.h>
#include <stdbool.h>

#include "chain/deploy.h"
#include "dataplanes/kernel/activator.h"
#include "dataplanes/kernel/engine.h"
#include "dataplanes/sure/sidecar/sidecar.h"

enum {
	POD_INGRESS = 0,            /* the ingress's, or perhop's own gateway's */
	POD_BROKER = INSTANCE_MAX,
	POD_ACTIVATOR,              /* all activators' */
	POD_MAX,                    /* 1 … INSTANCE_MAX - 1 are the instances', by their id */

	PORT_POD = 8080,            /* of a pod, whoever answers there */
	PORT_FUNCTION = 8081,       /* of a function behind a sidecar, on its pod's loopback */
	PORT_CALLS = 8081,          /* of the broker: calls between functions */
	PORT_METRICS = 9090,        /* of queue-proxy; and of nginx before gRPC: health */
	PORT_ACTIVATOR = 9000,      /* of the activators' pod: of function 0, 1, … */
};

enum sidecar_kind { SIDECAR_NONE, SIDECAR_NGINX, SIDECAR_QUEUE_PROXY };

struct pod {
	int netns;                  /* network namespace; -1: the host's, or no such pod */
	int reserved_fd;            /* on the host: bound, so that nobody else gets the port; -1 */
	struct sockaddr_in at;      /* where others reach it */
	struct sockaddr_in door;    /* where clients on the host reach its function; no port: nowhere */
	struct sockaddr_in serve;   /* where its function listens: `at`, or behind the sidecar */
	bool sidecar;               /* has been started */
};

struct kernel {
	bool broker;                /* hops go through it (knative), or directly (http) */
	bool grpc;                  /* hops are calls of gRPC */
	bool own_netns;             /* a network namespace per pod */
	bool expose;                /* functions are served on the host's loopback as well */
	int door_fd;                /* an instance's, in its process: listens there; -1 */
	enum sidecar_kind sidecar;
	struct sidecar_config handlers;             /* of each queue-proxy; its key signs requests */
	struct sidecar signer;      /* of handlers.key, where requests enter; elsewhere wiped */
	unsigned workers;           /* of each nginx */
	int node_netns[2];          /* of node a, with a bridge or routes to the pods, and of node b; -1: there is none */
	uint32_t on_b;              /* bit f: function f is on node b */
	int log[2];                 /* pipe: what nginx says; kept for the reports of failures */
	struct pod pod[POD_MAX];
	struct sockaddr_in target[INSTANCE_MAX];    /* pod[].at, as the engine wants it */
	struct sockaddr_in calls;   /* the broker's port for calls */
	struct activator_shared *activators;        /* NULL: pods neither come nor go (scale=none) */
	struct sockaddr_in front[FUNCTION_MAX];     /* with activators: where each is reached */
	int opened[FUNCTION_MAX];   /* eventfd of each: a pod has opened; 0: none */
	struct engine_counters *counters;           /* [INSTANCE_MAX], shared by all processes */
};

/* kernel.c's, where pods.c finds who is on which node. */
extern const struct option_spec kernel_options[];

/* Before pods_make. */
void pods_init(struct kernel *k);

/* Make the pods of `d`, and drop them, also half-made ones. 0 or -errno with d->why. */
int pods_make(struct deployment *d, struct kernel *k);
void pods_drop(struct kernel *k);

/* One instance's pod, during a run; pod_make as pods_make. */
int pod_make(struct deployment *d, struct kernel *k, instance_id id);
void pod_drop(struct deployment *d, struct kernel *k, instance_id id);

/* Activators: after pods_make, before all is dropped, once all pods of the beginning are there. */
int lifecycle_setup(struct deployment *d, struct kernel *k);
void lifecycle_drop(struct kernel *k);
int lifecycle_start(struct deployment *d);
extern const struct scaling_ops kernel_scaling;

#endif
