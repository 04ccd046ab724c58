/* SPDX-License-Identifier: BSD-2-Clause */
/* Currencies: which there are, and conversion between them by way of the euro. */
#include <errno.h>

#include "workloads/boutique/boutique.h"

static const struct rate *find(const char *code)
{
	for (unsigned i = 0; i < boutique_n_rates; i++)
		if (!memcmp(boutique_rates[i].code, code, CODE_BYTES))
			return &boutique_rates[i];
	return NULL;
}

static enum outcome list(struct invocation *inv)
{
	struct currencies *out = inv->payload;

	out->count = boutique_n_rates;
	for (unsigned i = 0; i < boutique_n_rates; i++)
		memcpy(out->code[i], boutique_rates[i].code, CODE_BYTES);
	return payload_return(inv, TYPE_CURRENCIES);
}

static enum outcome convert(struct invocation *inv)
{
	const struct conversion *rq = payload_of(inv, TYPE_CONVERSION);
	const struct rate *from, *to;
	struct money m;

	if (!rq)
		return payload_refuse(inv, STATUS_BAD_REQUEST, "currency: unsound request");
	from = find(rq->from.currency);
	to = find(rq->to);
	if (!from || !to)
		return payload_refuse(inv, STATUS_BAD_REQUEST, "There is no such currency.");
	m = rq->from;
	/* Into itself an amount must stay what it is; the detour over the euro can lose a nano. */
	if (from != to && money_convert(&rq->from, from->per_euro, to->per_euro, &m))
		return payload_refuse(inv, STATUS_BAD_REQUEST, "The amount cannot be converted.");
	memcpy(m.currency, to->code, CODE_BYTES);
	memcpy(inv->payload, &m, sizeof(m));
	return payload_return(inv, TYPE_MONEY);
}

static enum outcome currency_handle(struct invocation *inv)
{
	switch (inv->type) {
	case TYPE_EMPTY:
		return list(inv);
	case TYPE_CONVERSION:
		return convert(inv);
	default:
		return payload_refuse(inv, STATUS_BAD_REQUEST, "currency: no such operation");
	}
}

const struct function boutique_currency = {
	.name = "currency",
	.service_ns = 900000,       /* Table 3: 0.9 ms */
	.handle = currency_handle,
};
