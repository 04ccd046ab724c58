/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of kernel:* share: where everything of a deployment runs and is reached. */
#ifndef PERHOP_KERNEL_H
#define PERHOP_KERNEL_H

#include <netinet/in.h>
#include <stdbool.h>

#include "chain/deploy.h"
#include "dataplanes/kernel/engine.h"

enum {
	POD_INGRESS = 0,            /* the ingress's, or perhop's own gateway's */
	POD_BROKER = INSTANCE_MAX,
	POD_MAX,                    /* 1 … INSTANCE_MAX - 1 are the instances', by their id */

	PORT_POD = 8080,            /* of a pod, whoever answers there */
	PORT_FUNCTION = 8081,       /* of a function behind a sidecar, on its pod's loopback */
	PORT_CALLS = 8081,          /* of the broker: calls between functions */
	PORT_METRICS = 9090,        /* of queue-proxy; and of nginx before gRPC: health */
};

enum sidecar { SIDECAR_NONE, SIDECAR_NGINX, SIDECAR_QUEUE_PROXY };

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
	enum sidecar sidecar;
	unsigned workers;           /* of each nginx */
	int node_netns;             /* holds the bridge; -1 */
	int log[2];                 /* pipe: what nginx says; kept for the reports of failures */
	struct pod pod[POD_MAX];
	struct sockaddr_in target[INSTANCE_MAX];    /* pod[].at, as the engine wants it */
	struct sockaddr_in calls;   /* the broker's port for calls */
	struct engine_counters *counters;           /* [INSTANCE_MAX], shared by all processes */
};

/* Before pods_make. */
void pods_init(struct kernel *k);

/* Make the pods of `d`, and drop them, also half-made ones. 0 or -errno with d->why. */
int pods_make(struct deployment *d, struct kernel *k);
void pods_drop(struct kernel *k);

#endif
