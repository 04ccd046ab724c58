/* SPDX-License-Identifier: BSD-2-Clause */
/* What the frontend's parts share: frontend.c asks the services, pages.c writes the HTML. */
#ifndef PERHOP_BOUTIQUE_FRONTEND_H
#define PERHOP_BOUTIQUE_FRONTEND_H

#include "chain/http.h"
#include "workloads/boutique/boutique.h"

enum route {
	ROUTE_HOME,
	ROUTE_PRODUCT,
	ROUTE_VIEW_CART,
	ROUTE_ADD_TO_CART,
	ROUTE_EMPTY_CART,
	ROUTE_CHECKOUT,
	ROUTE_SET_CURRENCY,
	ROUTE_LOGOUT,
	ROUTE_HEALTH,
	ROUTES,
};

enum {
	SHOP_CURRENCIES_MAX = 8,    /* the shop offers six of the bank's 33 */
	SHOWN_SUGGESTIONS = 4,      /* of the five that are recommended */
	PAGE_ROOM = 32 << 10,       /* the largest page has 24 KiB, a service's payload 7 KiB */
	REASON_BYTES = 160,
	COOKIE_SECONDS = 48 * 3600,
};

/* A product on a page: on the shelf (home), in the cart, or the one shown. */
struct shelf {
	char id[ID_BYTES];
	char name[NAME_BYTES];
	struct money price;         /* in the catalog's currency, then in the user's */
	int32_t quantity;
};

struct suggestion {
	char id[ID_BYTES];
	char name[NAME_BYTES];
};

/* What a page knows by the time it is written: the frontend's locals. */
struct page {
	uint8_t route;              /* enum route */
	uint8_t at;                 /* position in the route's plan */
	uint8_t new_session;        /* the client brought none: give it a cookie */
	uint8_t priced;             /* items: 1 while the price of item[next] is being asked for */
	uint8_t n_currencies, n_items, n_suggestions, n_ad;
	uint32_t next;              /* loops: element being asked for */
	char user[USER_BYTES];
	char currency[CODE_BYTES];
	char currencies[SHOP_CURRENCIES_MAX][CODE_BYTES];
	int64_t cart_size;          /* pieces in the cart */
	struct money shipping, total;
	char order[USER_BYTES], tracking[USER_BYTES];
	char description[DESCRIPTION_BYTES];
	struct ad_request keys;     /* the product's categories */
	struct ad ad;
	struct suggestion suggestion[SUGGESTIONS_MAX];
	struct shelf item[PRODUCTS_MAX];
};
_Static_assert(PRODUCTS_MAX == CART_ITEMS_MAX, "page.item holds a list of products or a cart");

/* Write the page of p->route as the response. REPLY, or FAIL when it does not fit. */
enum outcome page_write(struct invocation *inv, const struct page *p);

/* 302 to `location`; `currency` non-NULL sets that cookie; `forget` ends the session. */
enum outcome page_redirect(struct invocation *inv, const struct page *p, const char *location,
			   const char *currency, bool forget);

/* An error page: `status`, and `reason` (not yet escaped, not in the payload). */
enum outcome page_error(struct invocation *inv, const struct page *p, unsigned status,
			const char *reason, const char *allow);

enum outcome page_health(struct invocation *inv);

/* ---- forms.c: what clients send ------------------------------------------------------------- */

/* A field of the form in `rq`'s body. 0, or -1 with a sentence in `why`. */
int form_text(const struct http_request *rq, const char *name, char *out, size_t room, char *why);
int form_number(const struct http_request *rq, const char *name, int32_t lo, int32_t hi,
		int32_t *out, char *why);

/* The whole checkout form, validated as the public application does. 0, or -1 with a sentence. */
int form_order(const struct http_request *rq, struct place_order *out, char *why);

/* Can it be a product's id at all? */
bool id_plausible(const char *id, size_t length);

/* The session and currency that a client's cookies carry; false when absent or not ours. */
bool cookie_session(const struct http_request *rq, char out[static USER_BYTES]);
bool cookie_currency(const struct http_request *rq, char out[static CODE_BYTES]);

/* One of the six currencies that the shop offers. */
bool currency_offered(const char *code);

#endif
