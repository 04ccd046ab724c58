/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The chain interface: what a dataplane is. One table of small hooks, mostly optional, in the
 * manner of fio's ioengine_ops. dataplanes/skeleton/ explains each hook; dataplanes/null/ is the
 * smallest that works.
 *
 *   parent     probe → setup → (fork the gateway and the instances) → … → teardown
 *   children   attach → { recv → function → send … → flush → arm → sleep on poll_fd } → detach
 *
 * A dataplane moves messages between endpoints. It knows nothing of workloads, load or audit.
 * The hot path (send, flush, recv, arm) allocates nothing and logs nothing.
 */
#ifndef PERHOP_CHAIN_DATAPLANE_H
#define PERHOP_CHAIN_DATAPLANE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "chain/message.h"
#include "chain/spec.h"

#define DATAPLANE_VERSION 1

enum dataplane_flags {
	DP_SHARED_POOL = 1 << 0,    /* messages stay in one shared pool; only descriptors move */
	DP_ZERO_COPY = 1 << 1,      /* no payload copy within the chain */
	DP_POLLING = 1 << 2,        /* may burn CPU while idle */
	DP_NEEDS_ROOT = 1 << 3,
	DP_ONE_PROCESS = 1 << 4,    /* gateway and all functions in one process */
	DP_OWN_INGRESS = 1 << 5,    /* brings its own ingress: no perhop gateway is started */
	DP_INTER_NODE = 1 << 6,
	DP_SMALL_PAGES = 1 << 7,    /* the pool is of 4 KiB pages: buffers are protected one by one */
	DP_ZEROED = 1 << 8,         /* the pool gives out buffers without old bytes */
	DP_PICKS = 1 << 9,          /* picks the instance itself: send's `to` is INSTANCE_NONE */
	DP_EMULATED = 1 << 10,      /* functions run on an emulated CPU: times say nothing */
};

struct deployment;
struct dataplane_ops;
struct peer_stack;
struct scaling_ops;
struct user_call;

/* One process's place in a deployment: the gateway's or a function instance's. */
struct endpoint {
	struct deployment *deployment;
	instance_id self;
	struct pool *pool;          /* messages come from here: the chain's pool, or a private one */
	int poll_fd;                /* readable when recv may have something; -1: none, poll recv */
	bool poll_bell;             /* poll_fd is an eventfd that is only written, while arm is in force:
				     * watched for edges, never read; recv is cheap and asked every turn */
	bool direct;                /* set by attach: nothing is to be done around functions, `call` is left out */
	void *priv;                 /* the dataplane's own */
};

/* Why a dataplane can or cannot run here; filled by ops->probe, shown by `perhop list`. */
struct probe_report {
	bool ok;
	char reason[256];           /* one sentence; when ok, may note a limitation, else "" */
};

struct dataplane_ops {
	uint32_t version;           /* DATAPLANE_VERSION */
	const char *name, *summary;
	const char *modes;          /* "" or "knative|http": what may follow the colon; first = default */
	uint32_t flags;
	uint32_t (*flags_of)(const struct spec *spec);  /* optional: flags that depend on the mode */
	const struct option_spec *options;

	/* Can `spec` run on this machine? Cheap, changes nothing, called at any time. */
	void (*probe)(const struct spec *spec, struct probe_report *report);

	/* Parent, once, before any child exists: make what all endpoints share. 0 or -errno. */
	int (*setup)(struct deployment *d);

	/*
	 * Parent, optional, just after instance `id` (or the gateway) was forked, and again after a
	 * restart: start what belongs to it (a sidecar). 0 or -errno.
	 */
	int (*started)(struct deployment *d, instance_id id);

	/*
	 * Parent, optional, once all endpoints are ready and before the barrier opens: start what
	 * needs them (an ingress). 0 or -errno.
	 */
	int (*opened)(struct deployment *d);

	/*
	 * Child, optional, first thing after fork: enter the place where this endpoint lives
	 * (network namespace, cgroup). 0 or -errno.
	 */
	int (*enter)(struct deployment *d, instance_id id);

	/*
	 * Parent, optional, each time the deployment is looked after: 0, or -errno when instance `id`, whose
	 * process is there, has stopped working. It is then killed, and treated as any that has died.
	 */
	int (*watch)(struct deployment *d, instance_id id);

	/*
	 * The next three, all optional, are for a dataplane that does not trust the functions it runs.
	 * They keep user code and the runtime, which share a process, apart.
	 *
	 * Child, an instance's only: run body(d, id), the instance's whole life from `enter` on, where
	 * the dataplane wants it (a stack that functions cannot reach). Returns what body returns.
	 */
	int (*live)(struct deployment *d, instance_id id,
		    int (*body)(struct deployment *d, instance_id id));

	/*
	 * Child: `bytes` zeroed bytes, 64-byte aligned, for the runtime's own state, which functions
	 * must not reach. Never freed: it goes with the process. NULL: no memory.
	 */
	void *(*reserve)(struct deployment *d, size_t bytes);

	/*
	 * Child, unless ep->direct: called in place of user_call_run(c), which it is to do, `m` being the message that a
	 * handler works on (else NULL). The runtime reads what came out of c, m's header and payload, all
	 * of them as data that may be hostile. It may also refuse an invocation without running it: then
	 * it sets c->inv.status, .type and .length with the payload, and c->result to FAIL.
	 */
	void (*call)(struct endpoint *ep, struct message *m, struct user_call *c);

	/* Child: connect *ep; set ep->poll_fd, and ep->pool unless DP_SHARED_POOL. 0 or -errno. */
	int (*attach)(struct endpoint *ep);

	/*
	 * Send m->kind to instance `to`. On 0 the message is the dataplane's; it may be held back
	 * until flush. -EAGAIN: the receiver takes no more now (the caller answers 503);
	 * -EPIPE: the receiver is gone (502); -EMSGSIZE: cannot be encoded (500).
	 * On error the message stays the caller's.
	 */
	int (*send)(struct endpoint *ep, instance_id to, struct message *m);

	/* Optional: push out what send held back, once per event-loop turn. 0 or -errno. */
	int (*flush)(struct endpoint *ep);

	/* Take up to `max` messages without blocking. Returns how many, or -errno. */
	int (*recv)(struct endpoint *ep, struct message **batch, int max);

	/*
	 * Optional: the same for a process that waits for nothing else; may sleep up to `timeout_ns`
	 * (-1: until something comes or a signal). Saves the epoll_wait of every turn.
	 */
	int (*recv_wait)(struct endpoint *ep, struct message **batch, int max, int64_t timeout_ns);

	/*
	 * Optional: the caller is about to sleep on poll_fd. Returns true when messages came in the
	 * meantime and it must not. Rings announce here that they need a wake.
	 */
	bool (*arm)(struct endpoint *ep);

	/* Optional: awake again, whatever woke it. */
	void (*disarm)(struct endpoint *ep);

	void (*detach)(struct endpoint *ep);        /* child, optional; also after a failed attach */
	void (*teardown)(struct deployment *d);     /* parent: undo setup; also after its failure */

	/* Optional: its part when instances come and go (options of chain/scaling.h). */
	const struct scaling_ops *scaling;

	/*
	 * Optional: what `spec` promises about functions that misbehave, a sentence for `perhop list` and
	 * every record; NULL: nothing.
	 */
	const char *(*promises)(const struct spec *spec);

	/*
	 * Optional: where a client on this host can call instance `id` itself, by the dataplane's own
	 * protocol and past the gateway. 0, or -ENOENT: nowhere.
	 */
	int (*address)(const struct deployment *d, instance_id id, struct sockaddr_in *at);

	/* Optional: for the record, a line "WHO: SETTING" for what `spec` has set for good, being no option. */
	void (*settings)(const struct spec *spec, FILE *f);

	/* Optional: write the dataplane's own series, as Prometheus text, to the gateway's page. */
	void (*page)(const struct deployment *d, FILE *f);

	/* Optional: its own transport between two nodes, for option stack=; see chain/peer_stack.h. */
	const struct peer_stack *peer_stack;
};

/* All dataplanes, NULL-terminated (made by scripts/registry.sh). */
extern const struct dataplane_ops *const dataplanes[];

/* The flags of `ops` as `spec` configures it. */
static inline uint32_t dataplane_flags(const struct dataplane_ops *ops, const struct spec *spec)
{
	return ops->flags_of ? ops->flags_of(spec) : ops->flags;
}

/* The dataplane called `name`, or NULL. */
const struct dataplane_ops *dataplane_find(const char *name);

/* Can `spec` run on this machine, its network (chain/network.h) and other node (chain/node.h) included? */
void dataplane_probe(const struct dataplane_ops *ops, const struct spec *spec, struct probe_report *report);

/*
 * Parse `text`, find the dataplane, check mode and options: its own and those of chain/network.h. 0, or -EINVAL/-ENOENT with a sentence.
 * spec->mode is set to the default mode when none was given.
 */
int dataplane_open(struct spec *spec, const struct dataplane_ops **ops, const char *text, char *why,
		   size_t why_bytes);

#endif
