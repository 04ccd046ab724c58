/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checkout: places an order. In the order of the public application:
 *
 *   cart → (product → price in the user's currency) per item → shipping quote → its price
 *        → charge the card → ship → empty the cart → mail the confirmation → answer
 *
 * Everything up to the shipping fails the order; emptying the cart and the mail do not.
 */
#include <errno.h>

#include "workloads/boutique/boutique.h"

enum {
	STEP_CART = 1,
	STEP_PRODUCT,
	STEP_PRICE,
	STEP_QUOTE,
	STEP_SHIPPING_PRICE,
	STEP_CHARGE,
	STEP_SHIP,
	STEP_EMPTY,
	STEP_EMAIL,
};

struct checkout_state {
	uint64_t random;
};

struct checkout_locals {
	struct place_order rq;
	struct order order;
	uint32_t at;                /* item being priced */
};

static int checkout_start(void *state, uint64_t seed)
{
	((struct checkout_state *)state)->random = seed ^ CHECKOUT;
	return 0;
}

static enum outcome ask_conversion(struct invocation *inv, const struct checkout_locals *l,
				   const struct money *from, uint16_t step)
{
	struct conversion c = { .from = *from };

	memcpy(c.to, l->rq.currency, CODE_BYTES);
	memcpy(inv->payload, &c, sizeof(c));
	return payload_call(inv, CURRENCY, step, TYPE_CONVERSION);
}

static void write_shipment(struct invocation *inv, const struct checkout_locals *l)
{
	struct shipment *s = inv->payload;

	s->address = l->rq.address;
	s->count = l->order.count;
	for (uint32_t i = 0; i < s->count; i++)
		s->item[i] = l->order.item[i].item;
}

/* Next item's product, or the shipping quote after the last. */
static enum outcome next_item(struct invocation *inv, const struct checkout_locals *l)
{
	struct product_request *rq = inv->payload;

	if (l->at < l->order.count) {
		memcpy(rq->id, l->order.item[l->at].item.product, ID_BYTES);
		return payload_call(inv, CATALOG, STEP_PRODUCT, TYPE_PRODUCT_REQUEST);
	}
	write_shipment(inv, l);
	return payload_call(inv, SHIPPING, STEP_QUOTE, TYPE_QUOTE_REQUEST);
}

static enum outcome begin(struct invocation *inv, struct checkout_locals *l)
{
	const struct place_order *rq = payload_of(inv, TYPE_PLACE_ORDER);
	struct cart_request *ask = inv->payload;

	if (!rq)
		return payload_refuse(inv, STATUS_BAD_REQUEST, "checkout: unsound request");
	l->rq = *rq;
	uuid_format(l->order.id, &((struct checkout_state *)inv->state)->random);
	memcpy(ask->user, l->rq.user, sizeof(ask->user));
	return payload_call(inv, CART, STEP_CART, TYPE_GET_CART);
}

static enum outcome got_cart(struct invocation *inv, struct checkout_locals *l)
{
	const struct cart *cart = payload_of(inv, TYPE_CART);

	if (!cart)
		return payload_pass_on(inv);
	l->order.count = cart->count;
	for (uint32_t i = 0; i < cart->count; i++)
		l->order.item[i].item = cart->item[i];
	return next_item(inv, l);
}

static enum outcome charge(struct invocation *inv, const struct checkout_locals *l)
{
	struct charge *rq = inv->payload;
	struct money total = l->order.shipping, cost;

	for (uint32_t i = 0; i < l->order.count; i++) {
		const struct order_item *item = &l->order.item[i];

		if (item->item.quantity < 1 ||
		    money_multiply(&item->cost, (uint32_t)item->item.quantity, &cost) ||
		    money_sum(&total, &cost, &total))
			return payload_refuse(inv, 422, "The total is too large.");
	}
	rq->amount = total;
	rq->card = l->rq.card;
	return payload_call(inv, PAYMENT, STEP_CHARGE, TYPE_CHARGE);
}

static enum outcome confirm(struct invocation *inv, const struct checkout_locals *l)
{
	struct confirmation *rq = inv->payload;

	memcpy(rq->email, l->rq.email, sizeof(rq->email));
	rq->order = l->order;
	return payload_call(inv, EMAIL, STEP_EMAIL, TYPE_CONFIRMATION);
}

/* A service has answered: keep what it said, ask the next. */
static enum outcome answered(struct invocation *inv, struct checkout_locals *l)
{
	struct cart_request *ask = inv->payload;
	const struct product *product;
	const struct tracking *tracking;
	const struct money *money;
	const struct quote *quote;

	switch (inv->step) {
	case STEP_CART:
		return got_cart(inv, l);
	case STEP_PRODUCT:
		product = payload_of(inv, TYPE_PRODUCT);
		return product ? ask_conversion(inv, l, &product->price, STEP_PRICE)
			       : payload_pass_on(inv);
	case STEP_PRICE:
		money = payload_of(inv, TYPE_MONEY);
		if (!money)
			return payload_pass_on(inv);
		l->order.item[l->at++].cost = *money;
		return next_item(inv, l);
	case STEP_QUOTE:
		quote = payload_of(inv, TYPE_QUOTE);
		return quote ? ask_conversion(inv, l, &quote->cost, STEP_SHIPPING_PRICE)
			     : payload_pass_on(inv);
	case STEP_SHIPPING_PRICE:
		money = payload_of(inv, TYPE_MONEY);
		if (!money)
			return payload_pass_on(inv);
		l->order.shipping = *money;
		return charge(inv, l);
	case STEP_CHARGE:
		if (!payload_of(inv, TYPE_TRANSACTION))
			return payload_pass_on(inv);
		write_shipment(inv, l);
		return payload_call(inv, SHIPPING, STEP_SHIP, TYPE_SHIP_REQUEST);
	case STEP_SHIP:
		tracking = payload_of(inv, TYPE_TRACKING);
		if (!tracking)
			return payload_pass_on(inv);
		memcpy(l->order.tracking, tracking->id, sizeof(l->order.tracking));
		l->order.address = l->rq.address;
		memcpy(ask->user, l->rq.user, sizeof(ask->user));
		return payload_call(inv, CART, STEP_EMPTY, TYPE_EMPTY_CART);
	case STEP_EMPTY:
		return confirm(inv, l);
	default:
		memcpy(inv->payload, &l->order, sizeof(l->order));
		return payload_return(inv, TYPE_ORDER_PLACED);
	}
}

static enum outcome checkout_handle(struct invocation *inv)
{
	return inv->step ? answered(inv, inv->locals) : begin(inv, inv->locals);
}

const struct function boutique_checkout = {
	.name = "checkout",
	.service_ns = 260000000,    /* Table 3: 260 ms */
	.locals = sizeof(struct checkout_locals),
	.state_bytes = sizeof(struct checkout_state),
	.start = checkout_start,
	.handle = checkout_handle,
};
