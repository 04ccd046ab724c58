/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Online Boutique: ten services over the call model. Payloads are the plain structs below;
 * their protobuf form is boutique.proto, the mapping between the two is layout.c.
 *
 *   frontend ─┬─ catalog                 HTTP in, HTML out; every page asks the services that the
 *             ├─ currency                public application's frontend asks, in the same order
 *             ├─ cart
 *             ├─ recommendation ── catalog
 *             ├─ shipping
 *             ├─ ad
 *             └─ checkout ─┬─ cart, catalog, currency, shipping, payment, email
 *
 * A struct that ends with an array travels only as far as the array is used: payload_bytes() says
 * how far. All text is NUL-terminated within its array.
 */
#ifndef PERHOP_BOUTIQUE_H
#define PERHOP_BOUTIQUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "chain/codec.h"
#include "chain/function.h"
#include "chain/workload.h"

/* Function ids: the numbers of Table 3 of the SPRIGHT paper; the frontend is not in it. */
enum boutique_function {
	FRONTEND,
	CATALOG,
	RECOMMENDATION,
	CHECKOUT,
	CURRENCY,
	AD,
	EMAIL,
	PAYMENT,
	SHIPPING,
	CART,
	BOUTIQUE_FUNCTIONS,
};

/* Room for text, the NUL included; longer text is refused where it enters. */
enum {
	ID_BYTES = 16,              /* product ids have 10 characters */
	USER_BYTES = 40,            /* a UUID has 36 */
	NAME_BYTES = 48,
	DESCRIPTION_BYTES = 128,
	PICTURE_BYTES = 64,
	CATEGORY_BYTES = 16,
	CODE_BYTES = 4,             /* ISO 4217 */
	URL_BYTES = 64,
	SLOGAN_BYTES = 64,
	QUERY_BYTES = 64,
	EMAIL_BYTES = 128,
	STREET_BYTES = 513,         /* 512 and 128: limits of the public application */
	PLACE_BYTES = 129,
	CARD_BYTES = 24,            /* ISO/IEC 7812: 19 digits at most */
};

/* Capacities of the repeated fields. */
enum {
	PRODUCTS_MAX = 16,          /* the catalog has 9 */
	CATEGORIES_MAX = 4,
	CART_ITEMS_MAX = 16,        /* different products in one cart */
	SUGGESTIONS_MAX = 5,        /* recommendations in one answer */
	CURRENCIES_MAX = 40,        /* the European Central Bank lists 33 */
	ADS_MAX = 8,
	VISITS_MAX = SEQUENCE_MAX,
};

enum boutique_type {
	TYPE_EMPTY = TYPE_WORKLOAD,
	TYPE_MONEY,
	TYPE_CURRENCIES,
	TYPE_CONVERSION,
	TYPE_PRODUCT_REQUEST,
	TYPE_PRODUCT,
	TYPE_PRODUCT_LIST,
	TYPE_SEARCH,
	TYPE_SEARCH_RESULTS,
	TYPE_ADD_ITEM,
	TYPE_GET_CART,
	TYPE_EMPTY_CART,
	TYPE_CART,
	TYPE_SUGGEST,
	TYPE_SUGGESTIONS,
	TYPE_AD_REQUEST,
	TYPE_ADS,
	TYPE_QUOTE_REQUEST,
	TYPE_QUOTE,
	TYPE_SHIP_REQUEST,
	TYPE_TRACKING,
	TYPE_CHARGE,
	TYPE_TRANSACTION,
	TYPE_CONFIRMATION,
	TYPE_PLACE_ORDER,
	TYPE_ORDER_PLACED,
	TYPE_VISITS,
	TYPE_BOUTIQUE_END,
};

struct money {
	char currency[CODE_BYTES];
	int32_t nanos;              /* -999,999,999 … 999,999,999 */
	int64_t units;              /* same sign as nanos, or zero */
};

struct currencies {
	uint32_t count;
	char code[CURRENCIES_MAX][CODE_BYTES];
};

struct conversion {
	struct money from;
	char to[CODE_BYTES];
};

struct product_request {
	char id[ID_BYTES];
};

struct product {
	char id[ID_BYTES];
	char name[NAME_BYTES];
	char description[DESCRIPTION_BYTES];
	char picture[PICTURE_BYTES];
	struct money price;         /* USD */
	uint32_t categories;
	char category[CATEGORIES_MAX][CATEGORY_BYTES];
};

struct product_list {
	uint32_t count;
	struct product product[PRODUCTS_MAX];
};

struct search {
	char query[QUERY_BYTES];
};

struct cart_item {
	char product[ID_BYTES];
	int32_t quantity;
};

struct add_item {
	char user[USER_BYTES];
	struct cart_item item;
};

struct cart_request {
	char user[USER_BYTES];
};

struct cart {
	char user[USER_BYTES];
	uint32_t count;
	struct cart_item item[CART_ITEMS_MAX];
};

struct suggest {                    /* suggestions for `user`, none of these products */
	char user[USER_BYTES];
	uint32_t count;
	char product[CART_ITEMS_MAX][ID_BYTES];
};

struct suggestions {
	uint32_t count;
	char product[SUGGESTIONS_MAX][ID_BYTES];
};

struct ad_request {
	uint32_t count;
	char key[CATEGORIES_MAX][CATEGORY_BYTES];
};

struct ad {
	char url[URL_BYTES];
	char text[SLOGAN_BYTES];
};

struct ads {
	uint32_t count;
	struct ad ad[ADS_MAX];
};

struct address {
	char street[STREET_BYTES];
	char city[PLACE_BYTES], state[PLACE_BYTES], country[PLACE_BYTES];
	int32_t zip;
};

struct shipment {                   /* of a quote and of an order to ship */
	struct address address;
	uint32_t count;
	struct cart_item item[CART_ITEMS_MAX];
};

struct quote {
	struct money cost;          /* USD */
};

struct tracking {
	char id[USER_BYTES];
};

struct card {
	char number[CARD_BYTES];
	int32_t cvv, year, month;
};

struct charge {
	struct money amount;
	struct card card;
};

struct transaction {
	char id[USER_BYTES];
};

struct order_item {
	struct cart_item item;
	struct money cost;          /* of one piece */
};

struct order {
	char id[USER_BYTES];
	char tracking[USER_BYTES];
	struct money shipping;
	struct address address;
	uint32_t count;
	struct order_item item[CART_ITEMS_MAX];
};

struct confirmation {
	char email[EMAIL_BYTES];
	struct order order;
};

struct place_order {
	char user[USER_BYTES];
	char currency[CODE_BYTES];
	struct address address;
	char email[EMAIL_BYTES];
	struct card card;
};

struct order_placed {
	struct order order;
};

struct visits {
	int32_t chain;              /* 1…6 */
	int64_t digest;
	uint32_t count;
	int32_t visited[VISITS_MAX];
};

/* ---- layout.c: soundness and wire form of the structs ---------------------------------------- */

extern const struct codec boutique_codec;

/* Bytes of `payload` that are in use. The struct must be sound. */
uint32_t payload_bytes(uint16_t type, const void *payload);

/* Is `payload`, `length` bytes from somebody else, a sound struct of `type`? 0 or -EBADMSG. */
int payload_check(uint16_t type, const void *payload, size_t length);

/* The invocation's payload if it is a sound struct of `type`, else NULL. */
const void *payload_of(const struct invocation *inv, uint16_t type);

/* `return payload_call(inv, FN, STEP, TYPE)`: CALL with the struct of `type` in the payload. */
static inline enum outcome payload_call(struct invocation *inv, function_id callee, uint16_t step,
					uint16_t type)
{
	return invocation_call(inv, callee, step, type, payload_bytes(type, inv->payload));
}

/* `return payload_return(inv, TYPE)`: answer with it. */
static inline enum outcome payload_return(struct invocation *inv, uint16_t type)
{
	return invocation_return(inv, STATUS_OK, type, payload_bytes(type, inv->payload));
}

/* `return payload_refuse(inv, STATUS, "why")`: answer the caller with an error and its reason. */
enum outcome payload_refuse(struct invocation *inv, uint16_t status, const char *reason);

/* Pass on the failure that a callee has answered with: status and reason stay as they are. */
enum outcome payload_pass_on(struct invocation *inv);

/* Copy text into an array; false when it does not fit. */
static inline bool text_set(char *out, size_t room, const char *text)
{
	size_t n = strlen(text);

	if (n >= room)
		return false;
	memcpy(out, text, n + 1);
	return true;
}

/* ---- money.c --------------------------------------------------------------------------------- */

enum { MONEY_TEXT_MAX = 32 };       /* bytes of any amount as money_format writes it */

bool money_valid(const struct money *m);

/* out = a + b; `out` may be one of them. 0, -EINVAL (invalid, different currencies), -EOVERFLOW. */
int money_sum(const struct money *a, const struct money *b, struct money *out);

/* out = m × n. 0, -EINVAL, -EOVERFLOW. */
int money_multiply(const struct money *m, uint32_t n, struct money *out);

/* "$19.99": sign, symbol, units, two decimals (cut, not rounded, as the public application does).
 * Returns the bytes written, at most MONEY_TEXT_MAX, without a NUL. */
size_t money_format(char *out, const struct money *m);

/* Decimal digits of `value` without a NUL; at most 20 bytes. Returns how many. */
size_t number_format(char *out, uint64_t value);

/*
 * Convert by `from_rate` and `to_rate`, units of the currencies per euro, in the steps and with the
 * roundings of the public application. 0, -EINVAL (invalid or negative), -EOVERFLOW.
 */
int money_convert(const struct money *m, double from_rate, double to_rate, struct money *out);

/* ---- data.c: what the shop sells ------------------------------------------------------------- */

struct rate {
	char code[CODE_BYTES];
	double per_euro;
};

extern const struct product boutique_products[];
extern const unsigned boutique_n_products;
extern const struct rate boutique_rates[];
extern const unsigned boutique_n_rates;

struct slogan {
	char category[CATEGORY_BYTES];
	struct ad ad;
};
extern const struct slogan boutique_slogans[];
extern const unsigned boutique_n_slogans;

/* A random (version 4) UUID out of `random`, NUL-terminated: 37 bytes. */
void uuid_format(char *out, uint64_t *random);

/* Digits of a card number with spaces and dashes left out, if it passes Luhn's test; else NULL. */
const char *card_digits(const char *number, char out[static CARD_BYTES]);

/* ---- The services ---------------------------------------------------------------------------- */

extern const struct workload workload_boutique;
extern const struct function boutique_frontend, boutique_catalog, boutique_recommendation,
	boutique_checkout, boutique_currency, boutique_ad, boutique_email, boutique_payment,
	boutique_shipping, boutique_cart;

/* ---- sequences.c: the published fixed sequences ---------------------------------------------- */

enum { BOUTIQUE_SEQUENCES = 6 };

/* Make *app the sequences `first` … `last` (1…6). 0 or -ENOMEM. */
int sequences_configure(struct application *app, unsigned first, unsigned last);

/* ---- users.c --------------------------------------------------------------------------------- */

/* Index of application.chains by what the user does; see chains in boutique.c for the mapping. */
enum { CH1_INDEX, CH2_VIEW_CART, CH3_ADD_TO_CART, CH4_CHECKOUT, CH5_PRODUCT, CH6_SET_CURRENCY };

extern const struct user_model boutique_users;      /* follow redirects, as browsers do */
extern const struct user_model boutique_users_no_follow;
extern const struct user_model boutique_one_sequence_users, boutique_sequence_users;

#endif
