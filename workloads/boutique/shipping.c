/* SPDX-License-Identifier: BSD-2-Clause */
/* Shipping: one price for any parcel, and a tracking number. */
#include "chain/clock.h"
#include "workloads/boutique/boutique.h"

struct shipping_state {
	uint64_t random;
};

static int shipping_start(void *state, uint64_t seed)
{
	((struct shipping_state *)state)->random = seed ^ SHIPPING;
	return 0;
}

/* $8.99 whatever it is; nothing for nothing. */
static enum outcome get_quote(struct invocation *inv)
{
	const struct shipment *rq = payload_of(inv, TYPE_QUOTE_REQUEST);
	struct quote *out = inv->payload;
	bool any = false;

	if (!rq)
		return payload_refuse(inv, STATUS_BAD_REQUEST, "shipping: unsound request");
	for (uint32_t i = 0; i < rq->count; i++)
		any |= rq->item[i].quantity != 0;
	out->cost = (struct money){ .currency = "USD", .units = any ? 8 : 0,
				    .nanos = any ? 990000000 : 0 };
	return payload_return(inv, TYPE_QUOTE);
}

static char *digits(char *p, unsigned n, uint64_t *random)
{
	uint64_t r = random_next(random);

	for (; n; n--, r /= 10)
		*p++ = (char)('0' + r % 10);
	return p;
}

/*
 * Two letters, the length of the address and three digits, half that length and seven digits: the
 * form of the public application's tracking numbers, e.g. "QT-20345-108291843".
 */
static enum outcome ship_order(struct invocation *inv, struct shipping_state *s)
{
	const struct shipment *rq = payload_of(inv, TYPE_SHIP_REQUEST);
	struct tracking *out = inv->payload;
	size_t length;
	char *p = out->id;
	uint64_t r;

	if (!rq || !rq->address.street[0] || !rq->address.city[0])
		return payload_refuse(inv, 422, "The parcel needs an address.");
	length = strlen(rq->address.street) + strlen(rq->address.city) +
		 strlen(rq->address.state) + 4;         /* ", " twice */
	r = random_next(&s->random);
	*p++ = (char)('A' + r % 26);
	*p++ = (char)('A' + r / 26 % 26);
	*p++ = '-';
	p += number_format(p, length);
	p = digits(p, 3, &s->random);
	*p++ = '-';
	p += number_format(p, length / 2);
	p = digits(p, 7, &s->random);
	*p = '\0';
	return payload_return(inv, TYPE_TRACKING);
}

static enum outcome shipping_handle(struct invocation *inv)
{
	switch (inv->type) {
	case TYPE_QUOTE_REQUEST:
		return get_quote(inv);
	case TYPE_SHIP_REQUEST:
		return ship_order(inv, inv->state);
	default:
		return payload_refuse(inv, STATUS_BAD_REQUEST, "shipping: no such operation");
	}
}

const struct function boutique_shipping = {
	.name = "shipping",
	.service_ns = 200000,       /* Table 3: 0.2 ms */
	.state_bytes = sizeof(struct shipping_state),
	.start = shipping_start,
	.handle = shipping_handle,
};
