/* SPDX-License-Identifier: BSD-2-Clause */
/* Recommendations: up to five products of the catalog, at random, none that was asked about. */
#include "chain/clock.h"
#include "workloads/boutique/boutique.h"

enum { STEP_CATALOG = 1 };

struct recommendation_state {
	uint64_t random;
};

struct recommendation_locals {
	uint32_t count;
	char product[CART_ITEMS_MAX][ID_BYTES];     /* not these */
};

static int recommendation_start(void *state, uint64_t seed)
{
	((struct recommendation_state *)state)->random = seed ^ RECOMMENDATION;
	return 0;
}

static bool excluded(const struct recommendation_locals *l, const char *id)
{
	for (uint32_t i = 0; i < l->count; i++)
		if (!strcmp(l->product[i], id))
			return true;
	return false;
}

static enum outcome suggest(struct invocation *inv, struct recommendation_state *s)
{
	const struct product_list *all = payload_of(inv, TYPE_PRODUCT_LIST);
	char pick[PRODUCTS_MAX][ID_BYTES];
	struct suggestions *out = inv->payload;
	uint32_t n = 0, want;

	if (!all)
		return payload_pass_on(inv);
	for (uint32_t i = 0; i < all->count; i++)
		if (!excluded(inv->locals, all->product[i].id))
			memcpy(pick[n++], all->product[i].id, ID_BYTES);
	/* The first steps of a Fisher-Yates shuffle: a sample without repetition. */
	want = n < SUGGESTIONS_MAX ? n : SUGGESTIONS_MAX;
	for (uint32_t i = 0; i < want; i++) {
		uint32_t j = i + (uint32_t)(random_next(&s->random) % (n - i));

		memcpy(out->product[i], pick[j], ID_BYTES);
		memcpy(pick[j], pick[i], ID_BYTES);
	}
	out->count = want;
	return payload_return(inv, TYPE_SUGGESTIONS);
}

static enum outcome recommendation_handle(struct invocation *inv)
{
	struct recommendation_locals *l = inv->locals;
	const struct suggest *rq;

	if (inv->step == STEP_CATALOG)
		return suggest(inv, inv->state);
	rq = payload_of(inv, TYPE_SUGGEST);
	if (!rq)
		return payload_refuse(inv, STATUS_BAD_REQUEST, "recommendation: unsound request");
	l->count = rq->count;
	memcpy(l->product, rq->product, rq->count * sizeof(rq->product[0]));
	return payload_call(inv, CATALOG, STEP_CATALOG, TYPE_EMPTY);
}

const struct function boutique_recommendation = {
	.name = "recommendation",
	.service_ns = 2500000,      /* Table 3: 2.5 ms */
	.locals = sizeof(struct recommendation_locals),
	.state_bytes = sizeof(struct recommendation_state),
	.start = recommendation_start,
	.handle = recommendation_handle,
};
