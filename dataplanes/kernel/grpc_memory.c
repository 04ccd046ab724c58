/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dataplanes/kernel/grpc_memory.h"

enum { SLAB_BYTES = 64 << 10, LARGE = GRPC_MEMORY_CLASSES };

/* Before each piece; keeps what follows aligned. While free, `next` is in the piece itself. */
struct piece {
	size_t class, bytes;
};
_Static_assert(sizeof(struct piece) == 16, "alignment of what is given out");

static size_t class_of(size_t bytes)
{
	return bytes > (size_t)GRPC_MEMORY_STEP * GRPC_MEMORY_CLASSES ? LARGE :
	       (bytes + GRPC_MEMORY_STEP - 1) / GRPC_MEMORY_STEP - 1;
}

static struct piece *cut(struct grpc_memory *m, size_t class)
{
	const size_t bytes = sizeof(struct piece) + (class + 1) * GRPC_MEMORY_STEP;
	struct piece *p;

	if (m->left < bytes) {          /* what is left of the old one, less than 2 KiB, stays unused */
		void **slab = malloc(SLAB_BYTES);

		if (!slab)
			return NULL;
		*slab = m->slabs;
		m->slabs = slab;
		m->fresh = (char *)slab + sizeof(struct piece);
		m->left = SLAB_BYTES - sizeof(struct piece);
	}
	p = (struct piece *)m->fresh;
	m->fresh += bytes;
	m->left -= bytes;
	return p;
}

static void *take(size_t bytes, void *arg)
{
	struct grpc_memory *m = arg;
	const size_t class = class_of(bytes ? bytes : 1);
	struct piece *p;

	if (class == LARGE) {
		p = malloc(sizeof(*p) + bytes);
	} else if (m->free[class]) {
		p = (struct piece *)m->free[class] - 1;
		memcpy(&m->free[class], p + 1, sizeof(void *));
	} else {
		p = cut(m, class);
	}
	if (!p)
		return NULL;
	*p = (struct piece){ class, bytes };
	return p + 1;
}

static void give(void *at, void *arg)
{
	struct grpc_memory *m = arg;
	struct piece *p;

	if (!at)
		return;
	p = (struct piece *)at - 1;
	if (p->class == LARGE) {
		free(p);
		return;
	}
	memcpy(at, &m->free[p->class], sizeof(void *));
	m->free[p->class] = at;
}

static void *take_zeroed(size_t n, size_t bytes, void *arg)
{
	void *at = bytes && n > SIZE_MAX / bytes ? NULL : take(n * bytes, arg);

	if (at)
		memset(at, 0, n * bytes);
	return at;
}

static void *resize(void *at, size_t bytes, void *arg)
{
	struct piece *p = at ? (struct piece *)at - 1 : NULL;
	void *larger;

	if (p && p->class != LARGE && class_of(bytes ? bytes : 1) == p->class) {
		p->bytes = bytes;
		return at;
	}
	larger = take(bytes, arg);
	if (larger && p) {
		memcpy(larger, at, p->bytes < bytes ? p->bytes : bytes);
		give(at, arg);
	}
	return larger;
}

void grpc_memory_open(struct grpc_memory *m)
{
	*m = (struct grpc_memory){
		.mem = { .mem_user_data = m, .malloc = take, .free = give, .calloc = take_zeroed,
			 .realloc = resize },
	};
}

void grpc_memory_close(struct grpc_memory *m)
{
	void *slab = m->slabs, *next;

	for (; slab; slab = next) {
		memcpy(&next, slab, sizeof(next));
		free(slab);
	}
	m->slabs = NULL;
}
