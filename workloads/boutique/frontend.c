/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The frontend: one page is a plan, a list of questions to services, and then its HTML. The plans
 * are those of the public application's handlers, question for question. Each question has a
 * function that asks (writes the arguments and CALLs) and one that takes the answer into the page.
 *
 *     begin: route, cookies, form ──> ask ──CALL──> service
 *                                      ^               │
 *                                      └──── take <────┘        plan at its end: write the page
 */
#include "chain/clock.h"
#include "workloads/boutique/frontend.h"

/* What a question's `ask` says: CALL was prepared, or there is nothing (more) to ask. */
enum asked { ASKED, NOTHING };

/* What `take` says. */
enum taken {
	TAKEN,                      /* go on with the plan */
	REPEAT,                     /* ask the same question again, for the next element */
	WITHOUT,                    /* it failed, but the page can do without */
	FAILED,                     /* it failed, and so does the page */
};

enum question {
	END,
	CURRENCIES,                 /* currency: which are there */
	PRODUCTS,                   /* catalog: all products */
	PRODUCT,                    /* catalog: the page's product */
	GET_CART,                   /* cart: the user's */
	PRICES,                     /* currency: the price of each item */
	SUGGESTIONS,                /* recommendation: a few ids */
	SUGGESTED,                  /* catalog: the product of each */
	QUOTE,                      /* shipping: what the cart costs to ship */
	SHIPPING_PRICE,             /* currency: that, in the user's currency */
	ITEMS,                      /* catalog and currency, for each item of the cart */
	ADS,                        /* ad: for the product's categories */
	ADD_ITEM,                   /* cart */
	EMPTY_CART,                 /* cart */
	PLACE_ORDER,                /* checkout */
	QUESTIONS,
};

enum { PLAN_MAX = 8 };

static const uint8_t plans[ROUTES][PLAN_MAX] = {
	[ROUTE_HOME] = { CURRENCIES, PRODUCTS, GET_CART, PRICES, ADS },
	[ROUTE_PRODUCT] = { PRODUCT, CURRENCIES, GET_CART, PRICES, SUGGESTIONS, SUGGESTED, ADS },
	[ROUTE_VIEW_CART] = { CURRENCIES, GET_CART, SUGGESTIONS, SUGGESTED, QUOTE, SHIPPING_PRICE,
			      ITEMS },
	[ROUTE_ADD_TO_CART] = { PRODUCT, ADD_ITEM },
	[ROUTE_EMPTY_CART] = { EMPTY_CART },
	[ROUTE_CHECKOUT] = { PLACE_ORDER, SUGGESTIONS, SUGGESTED, CURRENCIES },
};

struct frontend_state {
	uint64_t sessions;          /* random stream of session ids */
	uint64_t random;            /* of everything else */
};

static int frontend_start(void *state, uint64_t seed)
{
	struct frontend_state *s = state;

	s->sessions = seed ^ UINT64_C(0x73657373696f6e73);
	s->random = seed;
	return 0;
}

/* ---- The questions -------------------------------------------------------------------------- */

static enum asked call(struct invocation *inv, function_id callee, enum question q, uint16_t type)
{
	payload_call(inv, callee, q, type);
	return ASKED;
}

static enum asked ask_currencies(struct invocation *inv, struct page *p)
{
	(void)p;
	return call(inv, CURRENCY, CURRENCIES, TYPE_EMPTY);
}

static enum taken take_currencies(struct invocation *inv, struct page *p)
{
	const struct currencies *c = payload_of(inv, TYPE_CURRENCIES);

	if (!c)
		return FAILED;
	p->n_currencies = 0;
	for (uint32_t i = 0; i < c->count && p->n_currencies < SHOP_CURRENCIES_MAX; i++)
		if (currency_offered(c->code[i]))
			memcpy(p->currencies[p->n_currencies++], c->code[i], CODE_BYTES);
	return TAKEN;
}

static enum asked ask_products(struct invocation *inv, struct page *p)
{
	(void)p;
	return call(inv, CATALOG, PRODUCTS, TYPE_EMPTY);
}

static void shelve(struct shelf *item, const struct product *product)
{
	memcpy(item->id, product->id, ID_BYTES);
	memcpy(item->name, product->name, NAME_BYTES);
	item->price = product->price;
}

static enum taken take_products(struct invocation *inv, struct page *p)
{
	const struct product_list *all = payload_of(inv, TYPE_PRODUCT_LIST);

	if (!all)
		return FAILED;
	p->n_items = (uint8_t)all->count;
	for (uint32_t i = 0; i < all->count; i++)
		shelve(&p->item[i], &all->product[i]);
	return TAKEN;
}

static enum asked ask_product(struct invocation *inv, const char *id, enum question q)
{
	memcpy(((struct product_request *)inv->payload)->id, id, ID_BYTES);
	return call(inv, CATALOG, q, TYPE_PRODUCT_REQUEST);
}

static enum asked ask_page_product(struct invocation *inv, struct page *p)
{
	return ask_product(inv, p->item[0].id, PRODUCT);
}

static enum taken take_page_product(struct invocation *inv, struct page *p)
{
	const struct product *product = payload_of(inv, TYPE_PRODUCT);

	if (!product)
		return FAILED;
	p->n_items = 1;
	shelve(&p->item[0], product);
	memcpy(p->description, product->description, DESCRIPTION_BYTES);
	p->keys.count = product->categories;
	memcpy(p->keys.key, product->category, product->categories * sizeof(product->category[0]));
	return TAKEN;
}

static enum asked ask_cart(struct invocation *inv, struct page *p)
{
	memcpy(((struct cart_request *)inv->payload)->user, p->user, USER_BYTES);
	return call(inv, CART, GET_CART, TYPE_GET_CART);
}

static enum taken take_cart(struct invocation *inv, struct page *p)
{
	const struct cart *cart = payload_of(inv, TYPE_CART);

	if (!cart)
		return FAILED;
	for (uint32_t i = 0; i < cart->count; i++)
		p->cart_size += cart->item[i].quantity;
	if (p->route != ROUTE_VIEW_CART)
		return TAKEN;
	p->n_items = (uint8_t)cart->count;
	for (uint32_t i = 0; i < cart->count; i++) {
		memcpy(p->item[i].id, cart->item[i].product, ID_BYTES);
		p->item[i].quantity = cart->item[i].quantity;
	}
	return TAKEN;
}

static enum asked ask_conversion(struct invocation *inv, const struct page *p,
				 const struct money *from, enum question q)
{
	struct conversion *c = inv->payload;

	c->from = *from;
	memcpy(c->to, p->currency, CODE_BYTES);
	return call(inv, CURRENCY, q, TYPE_CONVERSION);
}

static enum asked ask_price(struct invocation *inv, struct page *p)
{
	if (p->next >= p->n_items)
		return NOTHING;
	return ask_conversion(inv, p, &p->item[p->next].price, PRICES);
}

static enum taken take_price(struct invocation *inv, struct page *p)
{
	const struct money *price = payload_of(inv, TYPE_MONEY);

	if (!price)
		return FAILED;
	p->item[p->next++].price = *price;
	return REPEAT;
}

/* None of what the page is about: the product shown, or what is in the cart. */
static enum asked ask_suggestions(struct invocation *inv, struct page *p)
{
	struct suggest *rq = inv->payload;

	memcpy(rq->user, p->user, USER_BYTES);
	rq->count = p->n_items;
	for (uint32_t i = 0; i < p->n_items; i++)
		memcpy(rq->product[i], p->item[i].id, ID_BYTES);
	return call(inv, RECOMMENDATION, SUGGESTIONS, TYPE_SUGGEST);
}

static enum taken take_suggestions(struct invocation *inv, struct page *p)
{
	const struct suggestions *s = payload_of(inv, TYPE_SUGGESTIONS);

	if (!s)
		return WITHOUT;
	p->n_suggestions = (uint8_t)s->count;
	for (uint32_t i = 0; i < s->count; i++)
		memcpy(p->suggestion[i].id, s->product[i], ID_BYTES);
	return TAKEN;
}

static enum asked ask_suggested(struct invocation *inv, struct page *p)
{
	if (p->next >= p->n_suggestions)
		return NOTHING;
	return ask_product(inv, p->suggestion[p->next].id, SUGGESTED);
}

static enum taken take_suggested(struct invocation *inv, struct page *p)
{
	const struct product *product = payload_of(inv, TYPE_PRODUCT);

	if (!product) {
		p->n_suggestions = 0;
		return WITHOUT;
	}
	memcpy(p->suggestion[p->next++].name, product->name, NAME_BYTES);
	return REPEAT;
}

static enum asked ask_quote(struct invocation *inv, struct page *p)
{
	struct shipment *rq = inv->payload;

	rq->address = (struct address){ .zip = 0 };
	rq->count = p->n_items;
	for (uint32_t i = 0; i < p->n_items; i++) {
		memcpy(rq->item[i].product, p->item[i].id, ID_BYTES);
		rq->item[i].quantity = p->item[i].quantity;
	}
	return call(inv, SHIPPING, QUOTE, TYPE_QUOTE_REQUEST);
}

static enum taken take_quote(struct invocation *inv, struct page *p)
{
	const struct quote *quote = payload_of(inv, TYPE_QUOTE);

	if (!quote)
		return FAILED;
	p->shipping = quote->cost;
	return TAKEN;
}

static enum asked ask_shipping_price(struct invocation *inv, struct page *p)
{
	return ask_conversion(inv, p, &p->shipping, SHIPPING_PRICE);
}

static enum taken take_shipping_price(struct invocation *inv, struct page *p)
{
	const struct money *price = payload_of(inv, TYPE_MONEY);

	if (!price)
		return FAILED;
	p->shipping = p->total = *price;
	return TAKEN;
}

/* Item after item of the cart: its product, then its price times its quantity. */
static enum asked ask_item(struct invocation *inv, struct page *p)
{
	if (p->next >= p->n_items)
		return NOTHING;
	if (p->priced)
		return ask_conversion(inv, p, &p->item[p->next].price, ITEMS);
	return ask_product(inv, p->item[p->next].id, ITEMS);
}

static enum taken take_item(struct invocation *inv, struct page *p)
{
	struct shelf *item = &p->item[p->next];
	const struct product *product;
	const struct money *price;

	if (!p->priced) {
		product = payload_of(inv, TYPE_PRODUCT);
		if (!product)
			return FAILED;
		shelve(item, product);
		p->priced = 1;
		return REPEAT;
	}
	price = payload_of(inv, TYPE_MONEY);
	if (!price)
		return FAILED;
	if (item->quantity < 1 || money_multiply(price, (uint32_t)item->quantity, &item->price) ||
	    money_sum(&p->total, &item->price, &p->total)) {
		payload_refuse(inv, 422, "The total is too large.");
		return FAILED;
	}
	p->priced = 0;
	p->next++;
	return REPEAT;
}

static enum asked ask_ads(struct invocation *inv, struct page *p)
{
	memcpy(inv->payload, &p->keys, sizeof(p->keys));
	return call(inv, AD, ADS, TYPE_AD_REQUEST);
}

static enum taken take_ads(struct invocation *inv, struct page *p)
{
	struct frontend_state *s = inv->state;
	const struct ads *ads = payload_of(inv, TYPE_ADS);

	if (!ads || !ads->count)
		return WITHOUT;
	p->ad = ads->ad[random_next(&s->random) % ads->count];
	p->n_ad = 1;
	return TAKEN;
}

static enum asked ask_add_item(struct invocation *inv, struct page *p)
{
	struct add_item *rq = inv->payload;

	memcpy(rq->user, p->user, USER_BYTES);
	memcpy(rq->item.product, p->item[0].id, ID_BYTES);
	rq->item.quantity = p->item[0].quantity;
	return call(inv, CART, ADD_ITEM, TYPE_ADD_ITEM);
}

static enum asked ask_empty_cart(struct invocation *inv, struct page *p)
{
	memcpy(((struct cart_request *)inv->payload)->user, p->user, USER_BYTES);
	return call(inv, CART, EMPTY_CART, TYPE_EMPTY_CART);
}

static enum taken take_done(struct invocation *inv, struct page *p)
{
	(void)p;
	return payload_of(inv, TYPE_EMPTY) ? TAKEN : FAILED;
}

/* begin_checkout has left the order in the payload. */
static enum asked ask_order(struct invocation *inv, struct page *p)
{
	(void)p;
	return call(inv, CHECKOUT, PLACE_ORDER, TYPE_PLACE_ORDER);
}

static enum taken take_order(struct invocation *inv, struct page *p)
{
	const struct order_placed *placed = payload_of(inv, TYPE_ORDER_PLACED);
	const struct order *o;
	struct money cost;

	if (!placed)
		return FAILED;
	o = &placed->order;
	memcpy(p->order, o->id, sizeof(p->order));
	memcpy(p->tracking, o->tracking, sizeof(p->tracking));
	p->total = o->shipping;
	for (uint32_t i = 0; i < o->count; i++) {
		if (money_multiply(&o->item[i].cost, (uint32_t)o->item[i].item.quantity, &cost) ||
		    money_sum(&p->total, &cost, &p->total)) {
			payload_refuse(inv, STATUS_INTERNAL, "The order does not add up.");
			return FAILED;
		}
	}
	return TAKEN;
}

static const struct {
	enum asked (*ask)(struct invocation *inv, struct page *p);
	enum taken (*take)(struct invocation *inv, struct page *p);
} questions[QUESTIONS] = {
	[CURRENCIES] = { ask_currencies, take_currencies },
	[PRODUCTS] = { ask_products, take_products },
	[PRODUCT] = { ask_page_product, take_page_product },
	[GET_CART] = { ask_cart, take_cart },
	[PRICES] = { ask_price, take_price },
	[SUGGESTIONS] = { ask_suggestions, take_suggestions },
	[SUGGESTED] = { ask_suggested, take_suggested },
	[QUOTE] = { ask_quote, take_quote },
	[SHIPPING_PRICE] = { ask_shipping_price, take_shipping_price },
	[ITEMS] = { ask_item, take_item },
	[ADS] = { ask_ads, take_ads },
	[ADD_ITEM] = { ask_add_item, take_done },
	[EMPTY_CART] = { ask_empty_cart, take_done },
	[PLACE_ORDER] = { ask_order, take_order },
};

/* ---- A request ------------------------------------------------------------------------------ */

static enum outcome finish(struct invocation *inv, struct page *p)
{
	switch (p->route) {
	case ROUTE_ADD_TO_CART:
		return page_redirect(inv, p, "/cart", NULL, false);
	case ROUTE_EMPTY_CART:
		return page_redirect(inv, p, "/", NULL, false);
	default:
		return page_write(inv, p);
	}
}

static enum outcome go_on(struct invocation *inv, struct page *p)
{
	while (p->at < PLAN_MAX && plans[p->route][p->at] != END) {
		if (questions[plans[p->route][p->at]].ask(inv, p) == ASKED)
			return CALL;
		p->at++;
		p->next = 0;
	}
	return finish(inv, p);
}

/* A service has refused, or something on the way to it has failed: say so in its words. */
static enum outcome give_up(struct invocation *inv, struct page *p)
{
	char reason[REASON_BYTES] = "A service gave an unsound answer.";
	unsigned status = STATUS_INTERNAL;

	if (inv->type == TYPE_REASON && inv->status >= STATUS_BAD_REQUEST && inv->status < 600) {
		size_t n = inv->length < REASON_BYTES - 1 ? inv->length : REASON_BYTES - 1;

		memcpy(reason, inv->payload, n);
		reason[n] = '\0';
		status = inv->status;
	}
	return page_error(inv, p, status, reason, NULL);
}

static enum outcome take(struct invocation *inv, struct page *p)
{
	switch (questions[inv->step].take(inv, p)) {
	case FAILED:
		return give_up(inv, p);
	case WITHOUT:
	case TAKEN:
		p->at++;
		p->next = 0;
		return go_on(inv, p);
	default:
		return go_on(inv, p);
	}
}

struct route_line {
	const char *path;
	uint8_t get, post;          /* enum route + 1; 0: not allowed */
};

static const struct route_line routes[] = {
	{ "/", ROUTE_HOME + 1, 0 },
	{ "/product/", ROUTE_PRODUCT + 1, 0 },          /* and an id */
	{ "/cart", ROUTE_VIEW_CART + 1, ROUTE_ADD_TO_CART + 1 },
	{ "/cart/checkout", 0, ROUTE_CHECKOUT + 1 },
	{ "/cart/empty", 0, ROUTE_EMPTY_CART + 1 },
	{ "/setCurrency", 0, ROUTE_SET_CURRENCY + 1 },
	{ "/logout", ROUTE_LOGOUT + 1, 0 },
	{ "/_healthz", ROUTE_HEALTH + 1, 0 },
};

static const struct route_line *find_route(const char *path, size_t length)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		size_t n = strlen(routes[i].path);

		if (length >= n && !memcmp(path, routes[i].path, n) &&
		    (length == n || routes[i].get == ROUTE_PRODUCT + 1))
			return &routes[i];
	}
	return NULL;
}

static enum outcome begin_product(struct invocation *inv, struct page *p, const char *id, size_t n)
{
	if (!id_plausible(id, n))
		return page_error(inv, p, STATUS_NOT_FOUND, "There is no such product.", NULL);
	memcpy(p->item[0].id, id, n);
	return go_on(inv, p);
}

static enum outcome begin_add(struct invocation *inv, struct page *p, const struct http_request *rq)
{
	char why[REASON_BYTES];
	char id[ID_BYTES];

	if (form_text(rq, "product_id", id, sizeof(id), why) ||
	    form_number(rq, "quantity", 1, 10, &p->item[0].quantity, why))
		return page_error(inv, p, 422, why, NULL);
	return begin_product(inv, p, id, strlen(id));
}

static enum outcome begin_checkout(struct invocation *inv, struct page *p,
				   const struct http_request *rq)
{
	struct place_order order = { .user = "" };
	char why[REASON_BYTES];

	if (form_order(rq, &order, why))
		return page_error(inv, p, 422, why, NULL);
	memcpy(order.user, p->user, USER_BYTES);
	memcpy(order.currency, p->currency, CODE_BYTES);
	memcpy(inv->payload, &order, sizeof(order));
	return go_on(inv, p);
}

static enum outcome set_currency(struct invocation *inv, struct page *p,
				 const struct http_request *rq)
{
	char why[REASON_BYTES];
	char code[CODE_BYTES];

	if (form_text(rq, "currency_code", code, sizeof(code), why))
		return page_error(inv, p, 422, why, NULL);
	if (strlen(code) != 3 || !currency_offered(code))
		return page_error(inv, p, 422, "The shop does not offer this currency.", NULL);
	return page_redirect(inv, p, "/", code, false);
}

static enum outcome begin(struct invocation *inv, struct page *p)
{
	const struct http_request *rq = inv->payload;
	struct frontend_state *s = inv->state;
	const struct route_line *line;
	const char *path;
	unsigned route;

	if (inv->room < PAGE_ROOM)
		return invocation_fail(inv, STATUS_INTERNAL, "boutique: buffers are too small");
	if (inv->type != TYPE_HTTP_REQUEST || http_request_check(rq, inv->length))
		return invocation_fail(inv, STATUS_BAD_REQUEST, "frontend: unsound request");
	if (!cookie_currency(rq, p->currency))
		memcpy(p->currency, "USD", CODE_BYTES);
	if (!cookie_session(rq, p->user)) {
		uuid_format(p->user, &s->sessions);
		p->new_session = 1;
	}
	path = (const char *)rq + rq->path.offset;
	line = find_route(path, rq->path.length);
	if (!line)
		return page_error(inv, p, STATUS_NOT_FOUND, "There is no such page.", NULL);
	route = rq->method == HTTP_POST                               ? line->post
		: rq->method == HTTP_GET || rq->method == HTTP_HEAD ? line->get
								      : 0;
	if (!route)
		return page_error(inv, p, 405, "This page is not for that method.",
				  !line->get    ? "POST"
				  : !line->post ? "GET, HEAD"
						: "GET, HEAD, POST");
	p->route = (uint8_t)(route - 1);
	switch (p->route) {
	case ROUTE_PRODUCT:
		return begin_product(inv, p, path + strlen(line->path),
				     rq->path.length - strlen(line->path));
	case ROUTE_ADD_TO_CART:
		return begin_add(inv, p, rq);
	case ROUTE_CHECKOUT:
		return begin_checkout(inv, p, rq);
	case ROUTE_SET_CURRENCY:
		return set_currency(inv, p, rq);
	case ROUTE_LOGOUT:
		return page_redirect(inv, p, "/", NULL, true);
	case ROUTE_HEALTH:
		return page_health(inv);
	default:
		return go_on(inv, p);
	}
}

static enum outcome frontend_handle(struct invocation *inv)
{
	if (!inv->step)
		return begin(inv, inv->locals);
	if (inv->step >= QUESTIONS)
		return invocation_fail(inv, STATUS_INTERNAL, "frontend: no such step");
	return take(inv, inv->locals);
}

const struct function boutique_frontend = {
	.name = "frontend",
	.service_ns = 0,            /* not in Table 3 */
	.locals = sizeof(struct page),
	.state_bytes = sizeof(struct frontend_state),
	.start = frontend_start,
	.handle = frontend_handle,
};
