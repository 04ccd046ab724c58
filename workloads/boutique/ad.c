/* SPDX-License-Identifier: BSD-2-Clause */
/* Ads: those for the categories asked about; without any, a few at random. */
#include "chain/clock.h"
#include "workloads/boutique/boutique.h"

enum { RANDOM_ADS = 2 };            /* as many as the public application's */

struct ad_state {
	uint64_t random;
};

static int ad_start(void *state, uint64_t seed)
{
	((struct ad_state *)state)->random = seed ^ AD;
	return 0;
}

static enum outcome ad_handle(struct invocation *inv)
{
	const struct ad_request *rq = payload_of(inv, TYPE_AD_REQUEST);
	struct ad_state *s = inv->state;
	struct ads *out = inv->payload;
	struct ad_request keys;

	if (!rq)
		return payload_refuse(inv, STATUS_BAD_REQUEST, "ad: unsound request");
	keys.count = rq->count;
	memcpy(keys.key, rq->key, rq->count * sizeof(rq->key[0]));
	out->count = 0;
	for (uint32_t k = 0; k < keys.count; k++)
		for (unsigned i = 0; i < boutique_n_slogans && out->count < ADS_MAX; i++)
			if (!strcmp(boutique_slogans[i].category, keys.key[k]))
				out->ad[out->count++] = boutique_slogans[i].ad;
	if (!out->count)
		while (out->count < RANDOM_ADS)
			out->ad[out->count++] =
				boutique_slogans[random_next(&s->random) % boutique_n_slogans].ad;
	return payload_return(inv, TYPE_ADS);
}

const struct function boutique_ad = {
	.name = "ad",
	.service_ns = 1100000,      /* Table 3: 1.1 ms */
	.state_bytes = sizeof(struct ad_state),
	.start = ad_start,
	.handle = ad_handle,
};
