/* SPDX-License-Identifier: BSD-2-Clause */
/* What a hop costs on this machine: mechanisms of the kernel and of the CPU, and perhop's dataplanes. */
#ifndef PERHOP_CLI_FLOOR_H
#define PERHOP_CLI_FLOOR_H

#include <stdatomic.h>
#include <stdint.h>

#include "chain/dataplane.h"
#include "chain/ring.h"

enum floor_place { FLOOR_ALONE, FLOOR_SAME_CORE, FLOOR_CROSS_CORE, FLOOR_CROSS_AWAKE };

/* What one side has for itself: in memory that both map, hence on a line of its own. */
struct floor_end {
	alignas(64) struct ring_sender out;
	struct ring_receiver in;
	uint32_t taken;             /* of the index ring it sends to, as last seen */
	struct descriptor last;     /* received; its offset says where the 16 bytes lie */
};

struct index_ring;

/* Two processes that hand 16 bytes back and forth; shared by them. */
struct floor_link {
	alignas(64) _Atomic uint32_t word;          /* cache-line: whose turn it is */
	alignas(64) _Atomic uint32_t bell[2];       /* futex words, by receiver */
	alignas(64) _Atomic uint32_t stop;          /* the next answer is the last */
	_Atomic uint32_t ready;
	uint64_t cpu_ns[2];                         /* CPU time of either side */
	uint64_t warm, rounds, wall_ns;             /* round trips */
	int error;
	int fd[2];                                  /* by side */
	struct ring *ring[2];                       /* by receiver */
	struct index_ring *index_ring[2];
	struct floor_end end[2];                    /* by side */
	alignas(64) uint64_t payload[2];            /* the 16 bytes */
	void *dataplane;                            /* when the mechanism is one */
	const char *spec;
};

/* A way to hand something over. `side` is 0 or 1. */
struct floor_mechanism {
	const char *name, *what;
	unsigned places;            /* bit per enum floor_place */
	const char *floor;          /* name of what it is compared with, or NULL */
	const char *spec;           /* a dataplane's spec, or NULL: the machine's own */
	int (*open)(struct floor_link *l);
	int (*join)(struct floor_link *l, int side);        /* optional, in the side's process */
	void (*send)(struct floor_link *l, int side);
	void (*recv)(struct floor_link *l, int side);       /* waits */
	void (*close)(struct floor_link *l);
};

/* All of them; the last one has no name. */
extern const struct floor_mechanism floor_mechanisms[];

/* The dataplanes' hooks, for a spec in l->spec: send, flush and recv_wait of two instances. */
int floor_dataplane_open(struct floor_link *l);
int floor_dataplane_join(struct floor_link *l, int side);
void floor_dataplane_send(struct floor_link *l, int side);
void floor_dataplane_recv(struct floor_link *l, int side);
void floor_dataplane_close(struct floor_link *l);

#endif
