/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * malloc for functions: pieces of 2^k bytes, each with its size before it, a list of free ones per
 * k. New pieces come from the end of what is used, and are zero: so a large calloc touches nothing,
 * and RAM that a function never writes to is never backed by the host.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplanes/sure/unikernel/guest/guest.h"

enum { SHIFT_MIN = 5, SHIFT_MAX = 40 };

struct piece {
	uint64_t shift;
	union {
		struct piece *next; /* while it is free */
		uint64_t used_before; /* once it has been free: not zero any more */
	};
	unsigned char bytes[];
};

/* The functions' own, as libc's heap is in a process. */
static struct {
	struct piece *free[SHIFT_MAX];
	uint8_t *next, *end;
} heap;

void heap_open(uint8_t *from, uint8_t *to)
{
	heap.next = from;
	heap.end = to;
}

static unsigned shift_of(size_t bytes)
{
	unsigned shift = SHIFT_MIN;

	while (shift < SHIFT_MAX && (size_t)1 << shift < bytes)
		shift++;
	return shift;
}

/* Pieces of a page or more are not rounded up to 2^k: of what is large there are few. */
static struct piece *fresh(unsigned shift, size_t bytes)
{
	struct piece *p;

	bytes = shift >= 12 ? (bytes + 63) & ~(size_t)63 : (size_t)1 << shift;
	if (bytes > (size_t)(heap.end - heap.next))
		return NULL;
	p = (struct piece *)heap.next;
	heap.next += bytes;
	p->shift = shift >= 12 ? bytes : shift;
	return p;
}

static void *allocate(size_t bytes, bool zero)
{
	unsigned shift;
	struct piece *p;

	if (bytes > (size_t)1 << 32)
		goto none;
	bytes += sizeof(*p);
	shift = shift_of(bytes);
	p = shift < 12 ? heap.free[shift] : NULL;
	if (p) {
		heap.free[shift] = p->next;
		p->next = NULL;
		if (zero)
			memset(p->bytes, 0, bytes - sizeof(*p));
		return p->bytes;
	}
	p = fresh(shift, bytes);
	if (p)
		return p->bytes;
none:
	errno = ENOMEM;
	return NULL;
}

void *malloc(size_t bytes)
{
	return allocate(bytes, false);
}

void *calloc(size_t n, size_t bytes)
{
	size_t all;

	if (__builtin_mul_overflow(n, bytes, &all)) {
		errno = ENOMEM;
		return NULL;
	}
	return allocate(all, true);
}

/* Large pieces are not given back: functions take them at their start, once. */
void free(void *at)
{
	struct piece *p = at ? (struct piece *)((char *)at - sizeof(*p)) : NULL;

	if (!p || p->shift >= 12)
		return;
	p->next = heap.free[p->shift];
	heap.free[p->shift] = p;
}

void *realloc(void *at, size_t bytes)
{
	struct piece *p = at ? (struct piece *)((char *)at - sizeof(*p)) : NULL;
	size_t old = !p ? 0 : (p->shift < 12 ? (size_t)1 << p->shift : p->shift) - sizeof(*p);
	void *new;

	if (p && old >= bytes)
		return at;
	new = malloc(bytes);
	if (new &&at) {
		memcpy(new, at, old);
		free(at);
	}
	return new;
}
