/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An application as a dataplane is measured with it: functions, chains, codec, and the user model
 * that the load generator plays. A workload knows nothing of dataplanes, audit or records.
 */
#ifndef PERHOP_CHAIN_WORKLOAD_H
#define PERHOP_CHAIN_WORKLOAD_H

#include <stdbool.h>

#include "chain/codec.h"
#include "chain/function.h"
#include "chain/spec.h"

/* A topic: either a fixed sequence (FORWARD), or a head function that CALLs what it needs. */
struct chain {
	const char *name;           /* e.g. "ch1", "web"; the record's key for per-chain results */
	const char *path;           /* URL prefix that selects it at the gateway: longest wins */
	const function_id *sequence;
	unsigned length;            /* ≥ 1; [0] is the head */
	/*
	 * Topic filters ("sensor/+|alarm/#") by which it gets events of other protocols, see
	 * chain/gateway_ports.h; NULL: none. An event whose topic several chains match goes to each.
	 */
	const char *topics;
};

/* What users speak. All but HTTP need an adapter at the gateway: chain/adapter.h. */
enum user_protocol { PROTOCOL_HTTP, PROTOCOL_MQTT, PROTOCOL_MQTT5 };

/* One request of a user. Buffers belong to the generator. */
struct user_request {
	unsigned chain;             /* index into application.chains: its histogram */
	char *out;                  /* HTTP/1.1 request bytes, or an event's payload, go here… */
	size_t room;                /* …at most so many */
	size_t length;              /* bytes written */
	char topic[64];             /* MQTT: of the event */
	const char *type;           /* MQTT 5: its media type, a literal; NULL: none */
	const struct application *app;      /* whose user it is; set by the generator */
	bool more;                  /* no think time after the answer: the next request belongs to
				     * the same action (a redirect, the next click at once) */
	uint64_t due_ns;            /* a replayed trace: when the next request is due, from the
				     * user's first one; 0: after a think time. Ignored, like think
				     * times, in a run without them */
};

/*
 * The user model: what simulated users ask for. Pure functions of their own state and random
 * stream, so that the same seed gives the same requests on every dataplane.
 */
struct user_model {
	size_t user_bytes;          /* state of one user, zeroed at start */
	/* Write the user's next request. 0, or -errno. `random`: the user's random_next stream. */
	int (*next)(void *user, uint64_t *random, struct user_request *rq);
	/* Look at a response (cookies); `ok` is whether this answer counts as a success. */
	void (*response)(void *user, const char *head, size_t head_length, const char *body,
			 size_t body_length, unsigned status, bool *ok);
	unsigned think_lo_ms, think_hi_ms;  /* the upstream generator's think time, uniform */
	double requests_per_action; /* mean number between two think times; 0 means 1 */
	enum user_protocol protocol;
	unsigned qos;               /* MQTT: 0 or 1 */
	const char *answers;        /* MQTT: filter of the topics that answers are published on */
};

/*
 * A method of a service that a function implements: how a CALL of `function` with a payload of type
 * `request` is known to who speaks gRPC. An answer of another type than `response` is no answer of
 * this method (dataplanes/kernel/README.md says how that travels).
 */
struct service_method {
	const char *path;           /* "/package.Service/Method" */
	function_id function;
	uint16_t request, response; /* payload types; together with `function`, `request` is unique */
};

/* A workload configured by its spec. */
struct application {
	struct spec spec;
	const struct function *const *functions;    /* function_id is the index */
	unsigned n_functions;
	const struct chain *chains; /* topic is the index */
	unsigned n_chains;
	const struct codec *codec;
	const struct service_method *methods;       /* optional: public names of calls */
	unsigned n_methods;
	const struct user_model *users;
	const char *second_node;    /* names joined by '+': functions that are on node b of two, unless the
				     * user says otherwise; NULL: every other one */
	void *private;              /* the workload's own, freed by release */
	/*
	 * Optional: what the functions share and each deployment begins anew (a database). Called in
	 * the parent before a deployment forks anything. 0, or -errno with a sentence in `why`.
	 */
	int (*prepare)(const struct application *app, char *why, size_t why_bytes);
};

struct workload {
	const char *name, *summary;
	const char *modes;          /* "" or "web|ch1|…": what may follow the colon */
	const struct option_spec *options;
	/* Fill *app from app->spec (already checked). 0, or -EINVAL with a sentence in `why`. */
	int (*configure)(struct application *app, char *why, size_t why_bytes);
	void (*release)(struct application *app);   /* optional */
};

/* All workloads, NULL-terminated (made by scripts/registry.sh). */
extern const struct workload *const workloads[];

/* Parse `text`, find the workload, configure it. 0, or -EINVAL/-ENOENT with a sentence in `why`. */
int application_open(struct application *app, const struct workload **found, const char *text,
		     char *why, size_t why_bytes);

#endif
