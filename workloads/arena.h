/* SPDX-License-Identifier: BSD-2-Clause */
/* A bump allocator in the shape that protobuf-c wants: lives on the stack, frees all at once. */
#ifndef PERHOP_ARENA_H
#define PERHOP_ARENA_H

#include <stddef.h>

#include <protobuf-c/protobuf-c.h>

struct arena {
	unsigned char *bytes;       /* 16-byte aligned, the caller's */
	size_t size, used;
};

/* Memory until the arena goes; NULL when it is full. */
static inline void *arena_alloc(void *arg, size_t size)
{
	struct arena *a = arg;
	void *p = a->bytes + a->used;

	if (size > a->size - a->used)
		return NULL;
	size = (size + 15) & ~(size_t)15;
	a->used = size > a->size - a->used ? a->size : a->used + size;
	return p;
}

static inline void arena_free(void *arg, void *p)
{
	(void)arg;
	(void)p;
}

static inline ProtobufCAllocator arena_allocator(struct arena *a)
{
	return (ProtobufCAllocator){.alloc = arena_alloc, .free = arena_free, .allocator_data = a};
}

#endif
