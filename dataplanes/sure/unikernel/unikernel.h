/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the host and its guests share. All of it is one window: a sealed memfd, mapped by the gateway
 * and the supervisor, and the memory behind BAR 2 of every guest's ivshmem device.
 *
 *   0                                                                                     2^k bytes
 *   | page 0 | page 1 | … | board | bells | rings | sidecars | violations | tags | buffers | unused |
 *     └ struct unikernel_page, one per instance                           └── the pool ──┘
 *
 * Only buffers are for user code to touch, and of them those that its instance holds.
 */
#ifndef PERHOP_DATAPLANES_SURE_UNIKERNEL_H
#define PERHOP_DATAPLANES_SURE_UNIKERNEL_H

#include <stdatomic.h>
#include <stdint.h>

#include "chain/deploy.h"
#include "dataplanes/sure/sure.h"

enum {
	UNIKERNEL_PAGE = 4096,
	UNIKERNEL_MAGIC = 0x52555350,
	UNIKERNEL_DEBUG_PORT = 0xe9, /* QEMU isa-debugcon: text for stderr */
	UNIKERNEL_EXIT_PORT = 0x501, /* QEMU isa-debug-exit: writing v ends QEMU with 2 v + 1 */
};

/* What a guest writes to the exit port. */
enum unikernel_exit {
	UNIKERNEL_EXIT_DONE, /* told to stop */
	UNIKERNEL_EXIT_FAILED, /* could not start; a sentence is on stderr */
	UNIKERNEL_EXIT_FAULT, /* a violation, or a fault of its own */
};

/* How far a guest is: stamps of its TSC, which starts with the virtual machine. */
enum unikernel_phase {
	UNIKERNEL_ENTRY, /* first instruction in long mode */
	UNIKERNEL_MAPPED, /* device found, memory mapped */
	UNIKERNEL_CONFIGURED, /* workload configured, function started */
	UNIKERNEL_FIRST, /* first invocation done */
	UNIKERNEL_PHASES,
};

struct unikernel_page {
	/* By the host, before the guest exists. */
	uint32_t magic;
	uint32_t self; /* instance_id */
	uint64_t bytes; /* of the window */
	uint64_t ram_bytes;
	uint64_t tsc_khz;
	uint64_t start_ns; /* CLOCK_MONOTONIC of the host when it was started */
	int64_t realtime_ns; /* CLOCK_REALTIME less CLOCK_MONOTONIC */
	uint64_t board, bells, rings, stats, violations, pool, pool_bytes; /* offsets */
	struct deploy_config config;
	struct sure_plane plane; /* its pointers are the host's: the guest sets its own */
	char workload[SPEC_TEXT_MAX];
	/* By the guest. */
	_Atomic uint64_t beat; /* changes with every invocation that begins */
	_Atomic uint64_t stamp[UNIKERNEL_PHASES];
};
_Static_assert(sizeof(struct unikernel_page) <= UNIKERNEL_PAGE, "one page per instance");

/* Can a guest be started here? 0, or -errno with a sentence. */
int unikernel_probe(const struct spec *spec, char *why, size_t why_bytes);

/*
 * Parent: gather what is shared into the window; after it nothing of it may be mapped anew. 0 or
 * -errno.
 */
int unikernel_setup(struct deployment *d);
void unikernel_teardown(struct sure_plane *p);

/* dataplane_ops.live and .watch. */
int unikernel_live(struct deployment *d, instance_id id);
int unikernel_watch(struct deployment *d, instance_id id);

#endif
