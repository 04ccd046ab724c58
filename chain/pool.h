/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One pool per chain: equal buffers in an anonymous, sealed memfd. It has no name in any file
 * system, so nothing is left after kill -9 and nobody who was not handed the descriptor can map it.
 *
 * Each buffer has one owner at a time. Handing it over changes the owner and the generation in one
 * compare-and-swap, so that a descriptor works exactly once, for exactly one receiver:
 *
 *     free --alloc--> owned by A, gen g --describe(B)--> owned by B, gen g+1 --accept--> ... --free-->
 *
 * A forged, replayed, misaligned or foreign descriptor fails pool_accept and is counted.
 */
#ifndef PERHOP_CHAIN_POOL_H
#define PERHOP_CHAIN_POOL_H

#include <stdint.h>

#include "chain/message.h"

/* The reference to a message that travels between processes. 16 bytes, as in the SPRIGHT paper §3.2.1. */
struct descriptor {
	uint32_t target;            /* instance_id of the receiver: what SK_MSG looks up */
	uint32_t generation;
	uint32_t offset;            /* of the buffer in the pool */
	uint32_t length;            /* of the buffer's used part; bounds what a receiver may read */
};
_Static_assert(sizeof(struct descriptor) == 16, "the paper's descriptor has 16 bytes");

struct pool;

enum pool_flags {
	POOL_SHARED = 1 << 0,       /* memfd, shared by fork; else private to this process */
	POOL_HUGEPAGES = 1 << 1,    /* take hugepages when there are any, else fall back */
	POOL_ZERO = 1 << 2,         /* a buffer is all zero when it is given out again */
};

/*
 * Create a pool of `buffers` buffers of `buffer_bytes` each (a power of two ≥ 4096).
 * Returns 0 and a pool the caller owns, or -EINVAL, -ENOMEM, -errno of memfd_create.
 */
int pool_create(struct pool **out, uint32_t buffers, uint32_t buffer_bytes, unsigned flags);

/* Unmap and close in this process; the last process to do so frees the memory. NULL is fine. */
void pool_destroy(struct pool *p);

/* A free buffer, initialised as an empty message owned by `owner`; NULL when all are in use. */
struct message *pool_alloc(struct pool *p, instance_id owner);

/*
 * A free buffer for a device or a socket to receive into, on the chance that something comes: it is not
 * in use before pool_land, and its header is not initialised. NULL when all are in use. pool_unpost
 * gives it back.
 */
struct message *pool_post(struct pool *p, instance_id owner);

/* Something has been received into a posted buffer: it is a message of `owner` now, its header empty. */
void pool_land(struct pool *p, struct message *m, instance_id owner);
void pool_unpost(struct pool *p, struct message *m, instance_id owner);

/* Give a buffer back. 0, or -EPERM when `owner` does not own it (counted as refused). */
int pool_free(struct pool *p, struct message *m, instance_id owner);

/*
 * Hand `m` from `from` to `to` and describe it in *d. After 0 the caller must not touch `m`.
 * -EPERM when `from` does not own it.
 */
int pool_describe(struct pool *p, struct message *m, instance_id from, instance_id to,
		  struct descriptor *d);

/* Take a hand-over of `from`'s back that could not be delivered. 0 or -EPERM. */
int pool_undescribe(struct pool *p, const struct descriptor *d, instance_id from);

/*
 * The message that a received descriptor stands for. 0, or -EBADMSG (out of bounds, misaligned,
 * stale generation, not for `self`): the descriptor is counted as refused and dropped.
 *
 * A message whose header is unsound comes back emptied, with function FUNCTION_NONE and status 500:
 * the buffer is the receiver's now, and the client still gets an answer.
 */
int pool_accept(struct pool *p, const struct descriptor *d, instance_id self, struct message **out);

/*
 * pool_accept in two steps, for who must make the buffer accessible in between: pool_take judges the
 * descriptor and touches nothing of the buffer; pool_sound judges the header that is in it.
 */
int pool_take(struct pool *p, const struct descriptor *d, instance_id self, struct message **out);
void pool_sound(struct pool *p, const struct descriptor *d, struct message *m);

/*
 * Buffers owned by `dead` belong to `heir` now, and `each` is called for every one. For the gateway,
 * after the supervisor has seen an instance die. Returns how many.
 *
 * `sent`: those too that it had handed over and whose receiver, `to`, has not taken them yet. A process that
 * was killed may have kept their descriptors back, and nobody can tell these from those that do
 * arrive: they are refused there. Of one that ended by itself, all do arrive. `to` is INSTANCE_NONE for the rest.
 */
uint32_t pool_reclaim(struct pool *p, instance_id dead, bool sent, instance_id heir,
		      void (*each)(void *arg, struct message *m, instance_id to), void *arg);

uint32_t pool_buffers(const struct pool *p);
uint32_t pool_buffer_bytes(const struct pool *p);
uint32_t pool_in_use(const struct pool *p);         /* now, all owners */
uint64_t pool_refused(const struct pool *p);        /* descriptors and frees refused so far */
uint32_t pool_index(const struct pool *p, const struct message *m);
struct message *pool_message(const struct pool *p, uint32_t index); /* index < pool_buffers */
int pool_fd(const struct pool *p);                  /* its memfd, or -1 for a private pool */
void *pool_base(const struct pool *p);              /* first buffer */
size_t pool_head_bytes(const struct pool *p);       /* of the bookkeeping before it: whole pages */
size_t pool_bytes(const struct pool *p);            /* of the whole mapping */

/*
 * Move this process's mapping to `at`, which must be pool_bytes of its own address space, and the
 * handle to `handle`, pool_handle_bytes of memory. The old handle is not to be used again. 0 or -errno.
 */
int pool_move(struct pool **p, void *at, void *handle);
size_t pool_handle_bytes(void);

/*
 * A handle, in pool_handle_bytes of memory at `handle`, for a pool that somebody else has created and that
 * lies at `at`. It is not to be destroyed. 0, or -EINVAL: `bytes` do not fit the rest.
 */
int pool_adopt(struct pool **out, void *handle, void *at, size_t bytes, uint32_t buffers,
	       uint32_t buffer_bytes);
unsigned pool_page_kib(const struct pool *p);       /* 4 or 2048: pages that back it */

#endif
