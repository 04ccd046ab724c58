/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The shop's users, as the public application's load generator (a locustfile) plays them: each
 * starts on the home page; then an action every 1–10 s, drawn with the weights below. An action may
 * be more than one request, made at once: to add to the cart is to look at a product and then post
 * it; to check out is to add something and then order. Random but seeded form data.
 *
 * Locust follows redirects and counts request and redirect as one. Here the request that follows a
 * redirect is a request like any other (option redirects=follow), so per think time there are 28/19
 * requests; with redirects=ignore 23/19, the published offered load (0.22 per user and second).
 */
#include <errno.h>
#include <strings.h>

#include "chain/clock.h"
#include "workloads/boutique/boutique.h"

enum request { INDEX, POST_CURRENCY, PRODUCT, POST_CART, VIEW_CART, POST_CHECKOUT, REQUESTS };

enum { ACTION_MAX = 3, TOTAL_WEIGHT = 19 };

static const struct {
	unsigned weight, length;
	uint8_t request[ACTION_MAX];
} actions[] = {
	{ 1, 1, { INDEX } },
	{ 2, 1, { POST_CURRENCY } },
	{ 10, 1, { PRODUCT } },
	{ 2, 2, { PRODUCT, POST_CART } },
	{ 3, 1, { VIEW_CART } },
	{ 1, 3, { PRODUCT, POST_CART, POST_CHECKOUT } },
};

/* What a good answer is: its status, and what its head of 512 bytes must contain. */
static const struct {
	unsigned chain, status;
	const char *marker;
} expected[REQUESTS] = {
	[INDEX] = { CH1_INDEX, 200, "<title>Online Boutique</title>" },
	[POST_CURRENCY] = { CH6_SET_CURRENCY, 302, NULL },
	[PRODUCT] = { CH5_PRODUCT, 200, " - Online Boutique</title>" },
	[POST_CART] = { CH3_ADD_TO_CART, 302, NULL },
	[VIEW_CART] = { CH2_VIEW_CART, 200, "<title>Cart - " },
	[POST_CHECKOUT] = { CH4_CHECKOUT, 200, "<title>Order - " },
};

struct shopper {
	char session[USER_BYTES];   /* cookies: "" while unknown */
	char currency[CODE_BYTES];
	uint8_t arrived;            /* has been sent to the home page */
	uint8_t action, at;         /* request of the action that comes next */
	uint8_t asked;              /* enum request of the last one */
	uint8_t redirected;         /* enum request + 1 to follow; 0: none */
	uint8_t product;
};

/* ---- Writing requests ----------------------------------------------------------------------- */

struct text {
	char *at, *end;
	bool full;                  /* something did not fit */
};

static void put(struct text *t, const char *s, size_t n)
{
	if (t->full || n > (size_t)(t->end - t->at)) {
		t->full = true;
		return;
	}
	memcpy(t->at, s, n);
	t->at += n;
}

static void put_text(struct text *t, const char *s)
{
	put(t, s, strlen(s));
}

static void put_number(struct text *t, uint64_t value)
{
	char digits[20];

	put(t, digits, number_format(digits, value));
}

static uint64_t draw(uint64_t *random, uint64_t n)
{
	return random_next(random) % n;
}

#define DRAW(random, list) (list)[draw(random, sizeof(list) / sizeof((list)[0]))]

static void put_head(struct text *t, const struct shopper *u, const char *method, const char *path)
{
	put_text(t, method);
	put_text(t, path);
	if (u->asked == PRODUCT)
		put_text(t, boutique_products[u->product].id);
	put_text(t, " HTTP/1.1\r\nHost: boutique\r\n");
	if (!u->session[0] && !u->currency[0])
		return;
	put_text(t, "Cookie: ");
	if (u->session[0]) {
		put_text(t, "shop_session-id=");
		put_text(t, u->session);
	}
	if (u->currency[0]) {
		put_text(t, u->session[0] ? "; shop_currency=" : "shop_currency=");
		put_text(t, u->currency);
	}
	put_text(t, "\r\n");
}

/* A VISA number: 4, fourteen random digits, and the one that makes Luhn's sum a multiple of ten. */
static void put_card(struct text *t, uint64_t *random)
{
	uint64_t r = random_next(random);
	char digits[16] = { '4' };
	unsigned sum = 8;           /* the 4, doubled */

	for (unsigned i = 1; i < 15; i++, r /= 10) {
		unsigned d = (unsigned)(r % 10);

		digits[i] = (char)('0' + d);
		sum += i % 2 ? d : d > 4 ? 2 * d - 9 : 2 * d;
	}
	digits[15] = (char)('0' + (10 - sum % 10) % 10);
	put(t, digits, sizeof(digits));
}

static void put_order(struct text *t, uint64_t *random)
{
	static const char *const names[] = {"ada",     "grace",  "edsger",
					    "barbara", "leslie", "frances"};
	static const char *const streets[] = {"Elm+Street", "Main+Street", "Lake+View",
					      "Cedar+Lane"};
	static const char *const cities[] = {"Riverside", "Springfield", "Zo%C3%ABville",
					     "O%27Fallon"};
	static const char *const states[] = { "CA", "NY", "TX", "WA", "GA", "RI" };
	static const char *const countries[] = { "United+States", "C%C3%B4te+d%27Ivoire", "Brazil",
						 "Micronesia", "T%C3%BCrkiye" };

	put_text(t, "email=");
	put_text(t, DRAW(random, names));
	put_number(t, draw(random, 10000));
	put_text(t, "%40example.com&street_address=");
	put_number(t, 1 + draw(random, 9999));
	put_text(t, "+");
	put_text(t, DRAW(random, streets));
	put_text(t, "&zip_code=");
	put_number(t, 10000 + draw(random, 90000));
	put_text(t, "&city=");
	put_text(t, DRAW(random, cities));
	put_text(t, "&state=");
	put_text(t, DRAW(random, states));
	put_text(t, "&country=");
	put_text(t, DRAW(random, countries));
	put_text(t, "&credit_card_number=");
	put_card(t, random);
	put_text(t, "&credit_card_expiration_month=");
	put_number(t, 1 + draw(random, 12));
	put_text(t, "&credit_card_expiration_year=");
	put_number(t, 2100 + draw(random, 70));         /* not of today: requests never change */
	put_text(t, "&credit_card_cvv=");
	put_number(t, 100 + draw(random, 900));
}

static void put_body(struct text *t, const struct shopper *u, uint64_t *random)
{
	static const char *const codes[] = { "EUR", "USD", "JPY", "CAD", "GBP", "TRY" };

	switch (u->asked) {
	case POST_CURRENCY:
		put_text(t, "currency_code=");
		put_text(t, DRAW(random, codes));
		return;
	case POST_CART:
		put_text(t, "product_id=");
		put_text(t, boutique_products[u->product].id);
		put_text(t, "&quantity=");
		put_number(t, 1 + draw(random, 10));
		return;
	default:
		put_order(t, random);
	}
}

/* Which request comes next: the redirect, the rest of the action, or a new action. */
static enum request choose(struct shopper *u, uint64_t *random)
{
	unsigned r;

	if (u->redirected) {
		enum request to = u->redirected - 1;

		u->redirected = 0;
		return to;
	}
	if (!u->arrived) {
		u->arrived = 1;
		u->at = actions[0].length;
		return INDEX;
	}
	if (u->at >= actions[u->action].length) {
		r = (unsigned)draw(random, TOTAL_WEIGHT);
		for (u->action = 0; r >= actions[u->action].weight; u->action++)
			r -= actions[u->action].weight;
		u->at = 0;
	}
	return actions[u->action].request[u->at++];
}

static int next_request(struct shopper *u, uint64_t *random, struct user_request *rq, bool follow)
{
	static const struct {
		const char *method, *path;
	} lines[REQUESTS] = {
		[INDEX] = { "GET ", "/" },
		[POST_CURRENCY] = { "POST ", "/setCurrency" },
		[PRODUCT] = { "GET ", "/product/" },
		[POST_CART] = { "POST ", "/cart" },
		[VIEW_CART] = { "GET ", "/cart" },
		[POST_CHECKOUT] = { "POST ", "/cart/checkout" },
	};
	struct text t = { .at = rq->out, .end = rq->out + rq->room };
	char buffer[1024];
	struct text body = { .at = buffer, .end = buffer + sizeof(buffer) };

	u->asked = (uint8_t)choose(u, random);
	if (u->asked == PRODUCT)
		u->product = (uint8_t)draw(random, boutique_n_products);
	put_head(&t, u, lines[u->asked].method, lines[u->asked].path);
	if (lines[u->asked].method[0] == 'P') {
		put_body(&body, u, random);
		if (body.full)
			return -EMSGSIZE;
		put_text(&t, "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ");
		put_number(&t, (uint64_t)(body.at - buffer));
		put_text(&t, "\r\n\r\n");
		put(&t, buffer, (size_t)(body.at - buffer));
	} else {
		put_text(&t, "\r\n");
	}
	if (t.full)
		return -EMSGSIZE;
	rq->length = (size_t)(t.at - rq->out);
	rq->chain = expected[u->asked].chain;
	rq->more = u->at < actions[u->action].length ||
		   (follow && expected[u->asked].status == 302);
	return 0;
}

static int next_following(void *user, uint64_t *random, struct user_request *rq)
{
	return next_request(user, random, rq, true);
}

static int next_not_following(void *user, uint64_t *random, struct user_request *rq)
{
	((struct shopper *)user)->redirected = 0;
	return next_request(user, random, rq, false);
}

/* ---- Reading answers ------------------------------------------------------------------------ */

/* Keep the value of a cookie that is ours; too long ones are not. */
static void keep_cookie(const char *line, size_t n, const char *name, char *out, size_t room)
{
	size_t skip = strlen(name);
	const char *end;

	if (n < skip || memcmp(line, name, skip))
		return;
	line += skip;
	n -= skip;
	end = memchr(line, ';', n);
	if (end)
		n = (size_t)(end - line);
	if (n >= room)
		return;
	memcpy(out, line, n);
	out[n] = '\0';
}

static void read_fields(struct shopper *u, const char *head, size_t length)
{
	static const char cookie[] = "Set-Cookie: ";
	const char *end = head + length, *eol;

	for (; head < end; head = eol + 1) {
		eol = memchr(head, '\n', (size_t)(end - head));
		if (!eol)
			return;
		if ((size_t)(eol - head) <= sizeof(cookie) ||
		    strncasecmp(head, cookie, sizeof(cookie) - 1))
			continue;
		head += sizeof(cookie) - 1;
		keep_cookie(head, (size_t)(eol - head) - 1, "shop_session-id=", u->session,
			    sizeof(u->session));
		keep_cookie(head, (size_t)(eol - head) - 1, "shop_currency=", u->currency,
			    sizeof(u->currency));
	}
}

static void response(void *user, const char *head, size_t head_length, const char *body,
		     size_t body_length, unsigned status, bool *ok)
{
	struct shopper *u = user;
	const char *marker = expected[u->asked].marker;
	size_t look = body_length < 512 ? body_length : 512;

	*ok = status == expected[u->asked].status &&
	      (!marker || memmem(body, look, marker, strlen(marker)));
	/* Only these can carry cookies that the user does not know yet. */
	if (!u->session[0] || u->asked == POST_CURRENCY)
		read_fields(u, head, head_length);
	if (status == 302 && u->asked == POST_CURRENCY)
		u->redirected = INDEX + 1;
	else if (status == 302 && u->asked == POST_CART)
		u->redirected = VIEW_CART + 1;
}

const struct user_model boutique_users = {
	.user_bytes = sizeof(struct shopper),
	.next = next_following,
	.response = response,
	.think_lo_ms = 1000,
	.think_hi_ms = 10000,
	.requests_per_action = 28.0 / TOTAL_WEIGHT,
};

const struct user_model boutique_users_no_follow = {
	.user_bytes = sizeof(struct shopper),
	.next = next_not_following,
	.response = response,
	.think_lo_ms = 1000,
	.think_hi_ms = 10000,
	.requests_per_action = 23.0 / TOTAL_WEIGHT,
};

/* ---- The published sequences ---------------------------------------------------------------- */

static int get(struct user_request *rq, unsigned chain, const char *path)
{
	struct text t = { .at = rq->out, .end = rq->out + rq->room };

	put_text(&t, "GET ");
	put_text(&t, path);
	put_text(&t, " HTTP/1.1\r\nHost: boutique\r\n\r\n");
	if (t.full)
		return -EMSGSIZE;
	rq->length = (size_t)(t.at - rq->out);
	rq->chain = chain;
	return 0;
}

static int next_only_sequence(void *user, uint64_t *random, struct user_request *rq)
{
	(void)user;
	(void)random;
	return get(rq, 0, "/");
}

/* Chains drawn as often as the actions above use them: out of 23 requests. */
static int next_sequence(void *user, uint64_t *random, struct user_request *rq)
{
	static const struct {
		unsigned weight;
		const char *path;
	} mix[BOUTIQUE_SEQUENCES] = {
		[CH1_INDEX] = { 1, "/ch1" },       [CH2_VIEW_CART] = { 3, "/ch2" },
		[CH3_ADD_TO_CART] = { 3, "/ch3" }, [CH4_CHECKOUT] = { 1, "/ch4" },
		[CH5_PRODUCT] = { 13, "/ch5" },    [CH6_SET_CURRENCY] = { 2, "/ch6" },
	};
	unsigned r = (unsigned)draw(random, 23), chain = 0;

	(void)user;
	while (r >= mix[chain].weight)
		r -= mix[chain++].weight;
	return get(rq, chain, mix[chain].path);
}

static void sequence_response(void *user, const char *head, size_t head_length, const char *body,
			      size_t body_length, unsigned status, bool *ok)
{
	(void)user;
	(void)head;
	(void)head_length;
	*ok = status == 200 && body_length > 4 && !memcmp(body, "ch", 2) && body[3] == ':';
}

const struct user_model boutique_one_sequence_users = {
	.user_bytes = 1,
	.next = next_only_sequence,
	.response = sequence_response,
	.think_lo_ms = 1000,
	.think_hi_ms = 10000,
};

const struct user_model boutique_sequence_users = {
	.user_bytes = 1,
	.next = next_sequence,
	.response = sequence_response,
	.think_lo_ms = 1000,
	.think_hi_ms = 10000,
};
