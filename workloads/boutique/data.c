/* SPDX-License-Identifier: BSD-2-Clause */
/* What the shop sells, at which rates, and how it advertises. Ids, names, prices, categories and
 * rates (of the European Central Bank) are the public application's; the words are ours. */
#include "workloads/boutique/boutique.h"

#define USD(u, cents) { .currency = "USD", .units = (u), .nanos = (cents) * 10000000 }
#define PICTURE(name) "/static/img/products/" name ".jpg"

const struct product boutique_products[] = {
	{ "OLJCESPC7Z", "Sunglasses", "Aviator sunglasses that go with anything you wear.",
	  PICTURE("sunglasses"), USD(19, 99), 1, { "accessories" } },
	{ "66VCHSJNUP", "Tank Top", "A cropped cotton top with a scooped neck.",
	  PICTURE("tank-top"), USD(18, 99), 2, { "clothing", "tops" } },
	{ "1YMWWN1N4O", "Watch", "A steel watch in gold tone, for every day.",
	  PICTURE("watch"), USD(109, 99), 1, { "accessories" } },
	{ "L9ECAV7KIM", "Loafers", "Light shoes for a long summer.",
	  PICTURE("loafers"), USD(89, 99), 1, { "footwear" } },
	{ "2ZYFJ3GM2N", "Hairdryer", "Three heats, three speeds, and light enough to travel with.",
	  PICTURE("hairdryer"), USD(24, 99), 2, { "hair", "beauty" } },
	{ "0PUK6V6EV0", "Candle Holder", "Small, intricate, and a good present.",
	  PICTURE("candle-holder"), USD(18, 99), 2, { "decor", "home" } },
	{ "LS4PSXUNUM", "Salt & Pepper Shakers", "A pair that brings some taste to the table.",
	  PICTURE("salt-and-pepper-shakers"), USD(18, 49), 1, { "kitchen" } },
	{ "9SIQT8TOJO", "Bamboo Glass Jar", "Holds 57 oz (1.7 l) of whatever your kitchen keeps.",
	  PICTURE("bamboo-glass-jar"), USD(5, 49), 1, { "kitchen" } },
	{ "6E92ZMYYFZ", "Mug", "A plain mug, mustard on the inside.",
	  PICTURE("mug"), USD(8, 99), 1, { "kitchen" } },
};
const unsigned boutique_n_products = sizeof(boutique_products) / sizeof(boutique_products[0]);
_Static_assert(sizeof(boutique_products) / sizeof(boutique_products[0]) <= PRODUCTS_MAX,
	       "a product list holds the catalog");

/* Units per euro. */
const struct rate boutique_rates[] = {
	{ "EUR", 1.0 },     { "USD", 1.1305 },   { "JPY", 126.40 },  { "BGN", 1.9558 },
	{ "CZK", 25.592 },  { "DKK", 7.4609 },   { "GBP", 0.85970 }, { "HUF", 315.51 },
	{ "PLN", 4.2996 },  { "RON", 4.7463 },   { "SEK", 10.5375 }, { "CHF", 1.1360 },
	{ "ISK", 136.80 },  { "NOK", 9.8040 },   { "HRK", 7.4210 },  { "RUB", 74.4208 },
	{ "TRY", 6.1247 },  { "AUD", 1.6072 },   { "BRL", 4.2682 },  { "CAD", 1.5128 },
	{ "CNY", 7.5857 },  { "HKD", 8.8743 },   { "IDR", 15999.40 }, { "ILS", 4.0875 },
	{ "INR", 79.4320 }, { "KRW", 1275.05 },  { "MXN", 21.7999 }, { "MYR", 4.6289 },
	{ "NZD", 1.6679 },  { "PHP", 59.083 },   { "SGD", 1.5349 },  { "THB", 36.012 },
	{ "ZAR", 16.0583 },
};
const unsigned boutique_n_rates = sizeof(boutique_rates) / sizeof(boutique_rates[0]);
_Static_assert(sizeof(boutique_rates) / sizeof(boutique_rates[0]) <= CURRENCIES_MAX,
	       "a currency list holds the rates");

const struct slogan boutique_slogans[] = {
	{ "clothing", { "/product/66VCHSJNUP", "Tank tops: 20% off today." } },
	{ "accessories", { "/product/1YMWWN1N4O", "Buy a watch, get a second strap." } },
	{ "footwear", { "/product/L9ECAV7KIM", "Loafers: two pairs for the price of one." } },
	{ "hair", { "/product/2ZYFJ3GM2N", "Hairdryers at half price." } },
	{ "decor", { "/product/0PUK6V6EV0", "Candle holders: 30% off." } },
	{ "kitchen", { "/product/9SIQT8TOJO", "Bamboo glass jars: 10% off." } },
	{ "kitchen", { "/product/6E92ZMYYFZ", "Mugs: buy two, the third is free." } },
};
const unsigned boutique_n_slogans = sizeof(boutique_slogans) / sizeof(boutique_slogans[0]);
