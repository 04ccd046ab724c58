/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The chain as the audit sees it: components, the links between them, and the segments that a request
 * goes through. Built from what runs (sockets, deployment), never from what a dataplane claims.
 *
 * Segments are numbered as the SPRIGHT paper numbers its pipeline (Fig. 1, Table 1): walk the tree of
 * components depth first; each step down is a segment, each step back up is one. A sidecar belongs to
 * its function: the way through it is not a step of its own.
 *
 *     client --1--> ingress --2--> broker --3--> [sidecar -> fn1]
 *     client <--8-- ingress <--7-- broker <--4--
 *                                         --5--> [sidecar -> fn2]
 *                                         <--6--
 *
 * `external` is what lies before the hub (broker, or gateway), `within` the rest up to the last step
 * down: the paper counts no further. Its slides add the step back to the hub (6).
 */
#ifndef PERHOP_AUDIT_SEGMENT_H
#define PERHOP_AUDIT_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/types.h>

#include "audit/counts.h"
#include "chain/deploy.h"

enum {
	PLAN_LINKS = 128,
	PLAN_PIDS = 16,             /* processes of one component */
	PLAN_NAME = 48,
	PLAN_NAMESPACES = 256,
};

/* Index 0 is nobody, 1 the client. */
struct plan_component {
	char name[PLAN_NAME];
	enum component_kind kind;
	unsigned pids;
	pid_t pid[PLAN_PIDS];
	bool usdt;                  /* its binary carries our USDT points */
	uint32_t netns;             /* inode of its network namespace; 0 when unknown */
	unsigned order;             /* among its siblings: who is asked first */
};

/* A listening address of `server` that `client` connects to. */
struct plan_link {
	struct audit_link_key key;
	unsigned client, server;    /* components */
	unsigned segment[2];        /* towards the server, towards the client; 0: none yet */
};

enum segment_class {
	SEGMENT_EXTERNAL,           /* from the client to the hub */
	SEGMENT_WITHIN,             /* within the chain, up to the last step down */
	SEGMENT_RETURN_CHAIN,       /* the answer's way back to the hub: in the slides' totals */
	SEGMENT_RETURN_EXTERNAL,    /* from the hub to the client */
};

struct plan_segment {
	unsigned number;            /* as published: 1, 2, 3… */
	enum segment_class class;
	unsigned from, to;          /* components */
};

struct plan {
	unsigned components;        /* nobody and client included */
	struct plan_component component[AUDIT_COMPONENTS];
	unsigned links;
	struct plan_link link[PLAN_LINKS];
	unsigned namespaces;        /* network namespaces whose frames may be the chain's */
	uint32_t namespace[PLAN_NAMESPACES];
	unsigned segments;          /* [0] is "not attributed" */
	struct plan_segment segment[AUDIT_SEGMENTS];
	uint8_t pair[AUDIT_COMPONENTS][AUDIT_COMPONENTS];   /* segment of a hand-over, 0: none */
	unsigned entry;             /* component that the client talks to; 0: not known */
	unsigned hub;
	unsigned beyond;            /* gateway of the other node; 0: there is one node */
};

/* An empty plan: nobody and client. */
void plan_init(struct plan *p);

/* A new component, or the one that has this name and kind. Its id, or -ENOSPC. */
int plan_add(struct plan *p, const char *name, enum component_kind kind);

/* `pid` belongs to `component`. 0, -EEXIST (it has one), or -ENOSPC. */
int plan_add_pid(struct plan *p, unsigned component, pid_t pid);

/* The component of `pid`, or AUDIT_NOBODY. */
unsigned plan_find_pid(const struct plan *p, pid_t pid);

/* A link seen; the same key and client again changes nothing. 0 or -ENOSPC. */
int plan_add_link(struct plan *p, const struct audit_link_key *key, unsigned client,
		  unsigned server);

/*
 * Number the segments by the links found (entry first, siblings by `order`). 0, or -ENOENT when no
 * component is reached from the client: there is no chain.
 */
int plan_segments(struct plan *p);

/*
 * For a chain that hands descriptors on, where no link shows the order: number the segments by
 * the path of components, path[0] being the gateway that clients talk to. With a second node the way
 * between the two gateways is a segment in each direction, be it on the path or taken by calls. 0 or -EINVAL.
 */
int plan_sequence(struct plan *p, const unsigned *path, unsigned length);

/* Index of the segment with this published number, or 0. */
unsigned plan_segment_number(const struct plan *p, unsigned number);

/* "broker -> fn1", into `out`. */
void plan_segment_text(const struct plan *p, unsigned segment, char *out, size_t room);

const char *segment_class_name(enum segment_class class);

#endif
