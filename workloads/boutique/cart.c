/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Carts by user: a hash table of bounded size. When it is full, the cart that was left alone
 * longest makes room for the new one.
 *
 *     bucket[hash] → slot → slot → NONE      chains through slot.chain
 *     newest ⇄ slot ⇄ … ⇄ oldest             ring through slot.newer/older
 *
 * Memory is mapped as carts come into being (28 MB at CARTS_MAX); nothing is allocated after start.
 */
#include <errno.h>
#include <stdlib.h>

#include "workloads/boutique/boutique.h"

enum { CARTS_MAX = 1 << 16, BUCKETS = 1 << 17, NONE = -1 };

struct slot {
	struct cart cart;
	uint32_t bucket;
	int32_t chain;              /* next in the bucket, or in the free list */
	int32_t newer, older;
};

struct cart_state {
	struct slot *slots;
	int32_t *buckets; /* first slot + 1; 0 for none: calloc's zeroes are ready to use */
	int32_t newest, oldest;
	int32_t free;               /* emptied slots */
	int32_t used;               /* slots ever taken */
	uint64_t seed;
};

static int cart_start(void *state, uint64_t seed)
{
	struct cart_state *s = state;

	s->slots = calloc(CARTS_MAX, sizeof(*s->slots));
	s->buckets = calloc(BUCKETS, sizeof(*s->buckets));
	if (!s->slots || !s->buckets) {
		free(s->slots);
		free(s->buckets);
		s->slots = NULL;
		s->buckets = NULL;
		return -ENOMEM;
	}
	s->newest = s->oldest = s->free = NONE;
	s->seed = seed;
	return 0;
}

static void cart_stop(void *state)
{
	struct cart_state *s = state;

	free(s->slots);
	free(s->buckets);
}

/* FNV-1a started from the seed: clients choose their ids, but not which of them collide. */
static uint32_t bucket_of(const struct cart_state *s, const char *user)
{
	uint64_t h = s->seed ^ UINT64_C(0xcbf29ce484222325);

	for (; *user; user++)
		h = (h ^ (unsigned char)*user) * UINT64_C(0x100000001b3);
	return (uint32_t)((h ^ h >> 32) & (BUCKETS - 1));
}

static struct slot *find(const struct cart_state *s, const char *user, uint32_t bucket)
{
	for (int32_t i = s->buckets[bucket] - 1; i != NONE; i = s->slots[i].chain)
		if (!strcmp(s->slots[i].cart.user, user))
			return &s->slots[i];
	return NULL;
}

static void leave_ring(struct cart_state *s, struct slot *e)
{
	*(e->newer == NONE ? &s->newest : &s->slots[e->newer].older) = e->older;
	*(e->older == NONE ? &s->oldest : &s->slots[e->older].newer) = e->newer;
}

static void enter_ring(struct cart_state *s, struct slot *e)
{
	int32_t self = (int32_t)(e - s->slots);

	e->newer = NONE;
	e->older = s->newest;
	*(s->newest == NONE ? &s->oldest : &s->slots[s->newest].newer) = self;
	s->newest = self;
}

static void discard(struct cart_state *s, struct slot *e)
{
	int32_t self = (int32_t)(e - s->slots), i = s->buckets[e->bucket] - 1;

	if (i == self) {
		s->buckets[e->bucket] = e->chain + 1;
	} else {
		while (s->slots[i].chain != self)
			i = s->slots[i].chain;
		s->slots[i].chain = e->chain;
	}
	leave_ring(s, e);
	e->chain = s->free;
	s->free = self;
}

/* A cart for `user`, who has none. */
static struct slot *create(struct cart_state *s, const char *user, uint32_t bucket)
{
	struct slot *e;

	if (s->free == NONE && s->used == CARTS_MAX)
		discard(s, &s->slots[s->oldest]);
	if (s->free != NONE) {
		e = &s->slots[s->free];
		s->free = e->chain;
	} else {
		e = &s->slots[s->used++];
	}
	text_set(e->cart.user, sizeof(e->cart.user), user);
	e->cart.count = 0;
	e->bucket = bucket;
	e->chain = s->buckets[bucket] - 1;
	s->buckets[bucket] = (int32_t)(e - s->slots) + 1;
	enter_ring(s, e);
	return e;
}

static enum outcome add_item(struct invocation *inv, struct cart_state *s)
{
	const struct add_item *rq = payload_of(inv, TYPE_ADD_ITEM);
	struct cart_item *item = NULL;
	struct slot *e;
	uint32_t bucket;
	int32_t sum;

	if (!rq || !rq->user[0] || !rq->item.product[0] || rq->item.quantity < 1)
		return payload_refuse(inv, STATUS_BAD_REQUEST, "cart: unsound request");
	bucket = bucket_of(s, rq->user);
	e = find(s, rq->user, bucket);
	for (uint32_t i = 0; e && !item && i < e->cart.count; i++)
		if (!strcmp(e->cart.item[i].product, rq->item.product))
			item = &e->cart.item[i];
	if (item && __builtin_add_overflow(item->quantity, rq->item.quantity, &sum))
		return payload_refuse(inv, 422, "So many pieces do not fit into a cart.");
	if (!item && e && e->cart.count == CART_ITEMS_MAX)
		return payload_refuse(inv, 422, "The cart is full.");

	if (!e) {
		e = create(s, rq->user, bucket);
	} else {
		leave_ring(s, e);
		enter_ring(s, e);
	}
	if (item)
		item->quantity = sum;
	else
		e->cart.item[e->cart.count++] = rq->item;
	return payload_return(inv, TYPE_EMPTY);
}

static enum outcome get_cart(struct invocation *inv, struct cart_state *s)
{
	const struct cart_request *rq = payload_of(inv, TYPE_GET_CART);
	struct cart *out = inv->payload;
	const struct slot *e;

	if (!rq)
		return payload_refuse(inv, STATUS_BAD_REQUEST, "cart: unsound request");
	e = find(s, rq->user, bucket_of(s, rq->user));
	if (e)
		memcpy(out, &e->cart, payload_bytes(TYPE_CART, &e->cart));
	else
		out->count = 0;     /* the user is already where the answer has it */
	return payload_return(inv, TYPE_CART);
}
_Static_assert(offsetof(struct cart, user) == offsetof(struct cart_request, user), "see get_cart");

static enum outcome empty_cart(struct invocation *inv, struct cart_state *s)
{
	const struct cart_request *rq = payload_of(inv, TYPE_EMPTY_CART);
	struct slot *e;

	if (!rq)
		return payload_refuse(inv, STATUS_BAD_REQUEST, "cart: unsound request");
	e = find(s, rq->user, bucket_of(s, rq->user));
	if (e)
		discard(s, e);
	return payload_return(inv, TYPE_EMPTY);
}

static enum outcome cart_handle(struct invocation *inv)
{
	switch (inv->type) {
	case TYPE_ADD_ITEM:
		return add_item(inv, inv->state);
	case TYPE_GET_CART:
		return get_cart(inv, inv->state);
	case TYPE_EMPTY_CART:
		return empty_cart(inv, inv->state);
	default:
		return payload_refuse(inv, STATUS_BAD_REQUEST, "cart: no such operation");
	}
}

const struct function boutique_cart = {
	.name = "cart",
	.service_ns = 1200000,      /* Table 3: 1.2 ms */
	.state_bytes = sizeof(struct cart_state),
	.single = 1,
	.start = cart_start,
	.stop = cart_stop,
	.handle = cart_handle,
};
