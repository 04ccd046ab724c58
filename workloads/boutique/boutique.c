/* SPDX-License-Identifier: BSD-2-Clause */
/* The workload `boutique`: its modes, chains and functions. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "workloads/boutique/boutique.h"

static const struct function *const services[BOUTIQUE_FUNCTIONS] = {
	[FRONTEND] = &boutique_frontend, [CATALOG] = &boutique_catalog,
	[RECOMMENDATION] = &boutique_recommendation, [CHECKOUT] = &boutique_checkout,
	[CURRENCY] = &boutique_currency, [AD] = &boutique_ad, [EMAIL] = &boutique_email,
	[PAYMENT] = &boutique_payment, [SHIPPING] = &boutique_shipping, [CART] = &boutique_cart,
};

static const function_id head[] = { FRONTEND };

/*
 * One chain per thing a user does, named after the published chain that it is. Which is which
 * follows from Table 4, whose sequences are the frontend's questions (functions by their Table 3
 * numbers):
 *
 *   Ch-1  4 1 9 4×7 5        currencies, products, cart, 7 prices, ad              home page
 *   Ch-2  4 9 2 1×5 8 4 1 4  currencies, cart, 5 recommended, shipping, 1 item     cart page
 *   Ch-3  1 9                product, cart                                         add to cart
 *   Ch-4  3 1 7 8 6 2 1×4 4  checkout …, 4 recommended, currencies                 place an order
 *   Ch-5  1 4 9 4 2 1×4 5    product, currencies, cart, price, recommended, ad     product page
 *   Ch-6  4                  currencies                                            set the currency
 *
 * They differ in details from today's public application, which ours follows: it has nine products,
 * recommends five, and sets the currency (a cookie) without asking anybody. Paths select the topic
 * at the gateway; Ch-2 and Ch-3 share theirs and, as all do, their head function.
 */
static const struct chain chains[] = {
	[CH1_INDEX] = { "ch1-index", "/", head, 1 },
	[CH2_VIEW_CART] = { "ch2-view-cart", "/cart", head, 1 },
	[CH3_ADD_TO_CART] = { "ch3-add-to-cart", "/cart", head, 1 },
	[CH4_CHECKOUT] = { "ch4-checkout", "/cart/checkout", head, 1 },
	[CH5_PRODUCT] = { "ch5-product", "/product/", head, 1 },
	[CH6_SET_CURRENCY] = { "ch6-set-currency", "/setCurrency", head, 1 },
};

/* The calls by the names that the public application's protocol gives them (boutique.proto). */
static const struct service_method methods[] = {
	{ "/hipstershop.CartService/AddItem", CART, TYPE_ADD_ITEM, TYPE_EMPTY },
	{ "/hipstershop.CartService/GetCart", CART, TYPE_GET_CART, TYPE_CART },
	{ "/hipstershop.CartService/EmptyCart", CART, TYPE_EMPTY_CART, TYPE_EMPTY },
	{ "/hipstershop.RecommendationService/ListRecommendations", RECOMMENDATION, TYPE_SUGGEST,
	  TYPE_SUGGESTIONS },
	{ "/hipstershop.ProductCatalogService/ListProducts", CATALOG, TYPE_EMPTY,
	  TYPE_PRODUCT_LIST },
	{ "/hipstershop.ProductCatalogService/GetProduct", CATALOG, TYPE_PRODUCT_REQUEST,
	  TYPE_PRODUCT },
	{ "/hipstershop.ProductCatalogService/SearchProducts", CATALOG, TYPE_SEARCH,
	  TYPE_SEARCH_RESULTS },
	{ "/hipstershop.ShippingService/GetQuote", SHIPPING, TYPE_QUOTE_REQUEST, TYPE_QUOTE },
	{ "/hipstershop.ShippingService/ShipOrder", SHIPPING, TYPE_SHIP_REQUEST, TYPE_TRACKING },
	{ "/hipstershop.CurrencyService/GetSupportedCurrencies", CURRENCY, TYPE_EMPTY,
	  TYPE_CURRENCIES },
	{ "/hipstershop.CurrencyService/Convert", CURRENCY, TYPE_CONVERSION, TYPE_MONEY },
	{ "/hipstershop.PaymentService/Charge", PAYMENT, TYPE_CHARGE, TYPE_TRANSACTION },
	{ "/hipstershop.EmailService/SendOrderConfirmation", EMAIL, TYPE_CONFIRMATION, TYPE_EMPTY },
	{ "/hipstershop.CheckoutService/PlaceOrder", CHECKOUT, TYPE_PLACE_ORDER, TYPE_ORDER_PLACED },
	{ "/hipstershop.AdService/GetAds", AD, TYPE_AD_REQUEST, TYPE_ADS },
};

static const struct option_spec options[] = {
	{ "redirects", "follow|ignore", "follow",
	  "users follow redirects, each a request of its own; ignore: 1.21 requests per think "
	  "time, as in the published load" },
	{ 0 },
};

static int configure(struct application *app, char *why, size_t why_bytes)
{
	const char *mode = app->spec.mode;
	unsigned first = 1, last = BOUTIQUE_SEQUENCES;

	/*
	 * SURE's slides set "orange" and "green" functions apart without naming them. Ours: what renders and
	 * decides (frontend, checkout, recommendation, ad) stays with the clients, what holds data does not.
	 */
	app->second_node = "catalog+cart+currency+shipping+payment+email";
	app->codec = &boutique_codec;
	if (!mode[0] || !strcmp(mode, "web")) {
		app->functions = services;
		app->n_functions = BOUTIQUE_FUNCTIONS;
		app->chains = chains;
		app->n_chains = sizeof(chains) / sizeof(chains[0]);
		app->methods = methods;
		app->n_methods = sizeof(methods) / sizeof(methods[0]);
		app->users = strcmp(spec_value(&app->spec, options, "redirects"), "ignore")
				     ? &boutique_users : &boutique_users_no_follow;
		return 0;
	}
	if (!strncmp(mode, "ch", 2) && mode[2] >= '1' && mode[2] <= '6' && !mode[3])
		first = last = (unsigned)(mode[2] - '0');
	else if (strcmp(mode, "sequences")) {
		snprintf(why, why_bytes, "boutique has no mode '%s'", mode);
		return -EINVAL;
	}
	if (sequences_configure(app, first, last)) {
		snprintf(why, why_bytes, "out of memory");
		return -ENOMEM;
	}
	return 0;
}

static void release(struct application *app)
{
	free(app->private);
	app->private = NULL;
}

const struct workload workload_boutique = {
	.name = "boutique",
	.summary =
		"Online Boutique: ten services with their real logic, HTML pages, carts and orders",
	.modes = "web|ch1|ch2|ch3|ch4|ch5|ch6|sequences",
	.options = options,
	.configure = configure,
	.release = release,
};
