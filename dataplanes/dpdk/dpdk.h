/* SPDX-License-Identifier: BSD-2-Clause */
/* What the dataplane (dpdk.c) asks of DPDK's Environment Abstraction Layer (eal.c). */
#ifndef PERHOP_DPDK_H
#define PERHOP_DPDK_H

#include <stdbool.h>
#include <stddef.h>

#include "chain/deploy.h"

/* Where descriptors' rings live, and who initialises EAL how. See README.md. */
enum eal_memory {
	EAL_HUGEPAGES,              /* a primary process owns the memory; endpoints are secondaries */
	EAL_ANONYMOUS,              /* no hugepages: EAL cannot share; our own shared mapping */
};

struct eal {
	enum eal_memory memory;
	void *rings;                /* `bytes` of shared memory; with EAL_HUGEPAGES set by eal_join */
	size_t bytes;
	char prefix[32];            /* EAL's --file-prefix: one per run */
	int mount_fd;               /* the primary's mount namespace, -1: none */
};

/* Bytes in hugepages of 2 MiB that are neither used nor promised to anyone. */
size_t eal_hugepage_bytes(void);

/*
 * Parent: provide e->bytes of shared memory as e->memory says, and call `init` on it once, in whichever
 * process owns it. 0, or -errno with a sentence by deploy_error. eal_stop undoes it.
 */
int eal_start(struct eal *e, struct deployment *d, void (*init)(void *rings, void *arg), void *arg);
void eal_stop(struct eal *e);

/* Child, in ops->enter: go where the primary's files can be seen. 0 or -errno. */
int eal_enter(const struct eal *e);

/*
 * Child, in ops->attach: rte_eal_init, which a process can do once. Keeps the caller's CPU affinity.
 * 0, or -errno with a sentence by deploy_error.
 */
int eal_join(struct eal *e, struct deployment *d);

#endif
