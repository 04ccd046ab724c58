/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory for libnghttp2, which allocates a handful of small objects for every stream. Freed ones go to
 * a list of their size and come back from there, so that a connection at work asks malloc for nothing.
 * One thread.
 */
#ifndef PERHOP_KERNEL_GRPC_MEMORY_H
#define PERHOP_KERNEL_GRPC_MEMORY_H

#include <nghttp2/nghttp2.h>
#include <stddef.h>

enum { GRPC_MEMORY_STEP = 64, GRPC_MEMORY_CLASSES = 32 };   /* larger than 2 KiB: malloc itself */

struct grpc_memory {
	nghttp2_mem mem;            /* what the library is given */
	void *free[GRPC_MEMORY_CLASSES];
	void *slabs;                /* list of what malloc gave, freed by grpc_memory_close */
	char *fresh;                /* of the newest one: not given out yet */
	size_t left;
};

void grpc_memory_open(struct grpc_memory *m);

/* After the last session has gone. */
void grpc_memory_close(struct grpc_memory *m);

#endif
