/* SPDX-License-Identifier: BSD-2-Clause */
/* The boutique's parts: money, payloads and their codec, the cart's bounded memory. */
#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chain/clock.h"
#include "workloads/boutique/boutique.h"

static struct money usd(int64_t units, int32_t nanos)
{
	return (struct money){ .currency = "USD", .units = units, .nanos = nanos };
}

static void sums_to(struct money a, struct money b, int64_t units, int32_t nanos)
{
	struct money out;

	assert_int_equal(money_sum(&a, &b, &out), 0);
	assert_int_equal(out.units, units);
	assert_int_equal(out.nanos, nanos);
	assert_string_equal(out.currency, "USD");
}

static void sums_carry_and_keep_one_sign(void **state)
{
	(void)state;
	sums_to(usd(0, 0), usd(0, 0), 0, 0);
	sums_to(usd(2, 0), usd(2, 0), 4, 0);
	sums_to(usd(2, 900000000), usd(2, 900000000), 5, 800000000);
	sums_to(usd(2, 0), usd(0, -1), 1, 999999999);
	sums_to(usd(-2, 0), usd(0, 1), -1, -999999999);
	sums_to(usd(-1, -500000000), usd(1, 500000000), 0, 0);
	sums_to(usd(1, 0), usd(-1, -1), 0, -1);
	sums_to(usd(-11, -100000000), usd(11, 200000000), 0, 100000000);
}

static void sums_refuse_what_is_invalid_or_overflows(void **state)
{
	struct money eur = { .currency = "EUR", .units = 1 }, one = usd(1, 0), out;
	struct money bad[] = { usd(1, -1), usd(-1, 1), usd(0, 1000000000), usd(0, -1000000000),
			       usd(0, INT32_MIN) };
	struct money most = usd(INT64_MAX, 999999999), least = usd(INT64_MIN, -999999999);

	(void)state;
	assert_int_equal(money_sum(&one, &eur, &out), -EINVAL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(money_sum(&one, &bad[i], &out), -EINVAL);
		assert_int_equal(money_sum(&bad[i], &one, &out), -EINVAL);
		assert_int_equal(money_multiply(&bad[i], 2, &out), -EINVAL);
	}
	assert_int_equal(money_sum(&most, &one, &out), -EOVERFLOW);
	assert_int_equal(money_sum(&least, &least, &out), -EOVERFLOW);
	assert_int_equal(money_sum(&most, &least, &out), 0);
	assert_int_equal(out.units, -1);
	assert_int_equal(money_multiply(&most, UINT32_MAX, &out), -EOVERFLOW);
}

static void products_equal_repeated_sums(void **state)
{
	uint64_t random = 5;

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		struct money m = usd((int64_t)(random_next(&random) % 1000000),
				     (int32_t)(random_next(&random) % 1000000000));
		uint32_t n = 1 + (uint32_t)(random_next(&random) % 50);
		struct money sum = m, product;

		if (i & 1) {
			m.units = -m.units;
			m.nanos = -m.nanos;
			sum = m;
		}
		for (uint32_t k = 1; k < n; k++)
			assert_int_equal(money_sum(&sum, &m, &sum), 0);
		assert_int_equal(money_multiply(&m, n, &product), 0);
		assert_int_equal(product.units, sum.units);
		assert_int_equal(product.nanos, sum.nanos);
	}
}

static void written_as(struct money m, const char *text)
{
	char out[MONEY_TEXT_MAX + 1];
	size_t n = money_format(out, &m);

	assert_true(n <= MONEY_TEXT_MAX);
	out[n] = '\0';
	assert_string_equal(out, text);
}

static void amounts_are_written_as_upstream_does(void **state)
{
	struct money yen = { .currency = "JPY", .units = 2235, .nanos = 60592707 };
	struct money franc = { .currency = "CHF", .units = 1, .nanos = 999999999 };

	(void)state;
	written_as(usd(19, 990000000), "$19.99");
	written_as(usd(0, 0), "$0.00");
	written_as(usd(0, 9999999), "$0.00");
	written_as(usd(1, 50000000), "$1.05");
	written_as(usd(0, -500000000), "-$0.50");
	written_as(usd(-3, -10000000), "-$3.01");
	written_as(usd(INT64_MIN, -999999999), "-$9223372036854775808.99");
	written_as(yen, "\u00a52235.06");
	written_as(franc, "CHF 1.99");
}

/* Expected values: the public application's arithmetic in another language, same steps. */
static void conversions_are_those_of_upstream(void **state)
{
	static const struct {
		int64_t units;
		int32_t nanos;
		double to;
		int64_t got_units;
		int32_t got_nanos;
	} cases[] = {
		{19, 990000000, 1.0, 17, 682441398},      {19, 990000000, 126.40, 2235, 60592707},
		{109, 990000000, 0.85970, 83, 642992481}, {89, 990000000, 6.1247, 487, 538038923},
		{18, 490000000, 1.5128, 24, 742743919},   {5, 490000000, 1.0, 4, 856258293},
		{8, 990000000, 1.5128, 12, 30138876},     {0, 0, 126.40, 0, 0},
	};
	struct money out, negative = usd(-1, 0), most = usd(INT64_MAX, 0);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct money m = usd(cases[i].units, cases[i].nanos);

		assert_int_equal(money_convert(&m, 1.1305, cases[i].to, &out), 0);
		assert_int_equal(out.units, cases[i].got_units);
		assert_int_equal(out.nanos, cases[i].got_nanos);
	}
	assert_int_equal(money_convert(&negative, 1, 2, &out), -EINVAL);
	assert_int_equal(money_convert(&most, 1, 1000, &out), -EOVERFLOW);
}

static void conversions_give_valid_amounts(void **state)
{
	uint64_t random = 11;

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		struct money out = usd(0, 0), m = usd((int64_t)(random_next(&random) >> 24),
						      (int32_t)(random_next(&random) % 1000000000));
		const struct rate *from = &boutique_rates[random_next(&random) % boutique_n_rates];
		const struct rate *to = &boutique_rates[random_next(&random) % boutique_n_rates];

		assert_int_equal(money_convert(&m, from->per_euro, to->per_euro, &out), 0);
		assert_true(money_valid(&out) && out.units >= 0 && out.nanos >= 0);
	}
}

static void card_numbers_pass_or_fail_luhn(void **state)
{
	char out[CARD_BYTES];

	(void)state;
	assert_string_equal(card_digits("4111 1111-1111 1111", out), "4111111111111111");
	assert_non_null(card_digits("4222222222222", out));
	assert_null(card_digits("4111111111111112", out));
	assert_null(card_digits("", out));
	assert_null(card_digits("0", out));
	assert_null(card_digits("41111111x1111111", out));
	assert_null(card_digits("11111111111111111111111", out));
}

/* ---- Payloads and codec --------------------------------------------------------------------- */

/* A sound payload of each type, filled as far as it goes. */
static uint32_t sample(uint16_t type, unsigned char *out)
{
	static const struct {
		uint16_t type, count_at;
		uint8_t count;
	} lists[] = {
		{ TYPE_CURRENCIES, offsetof(struct currencies, count), CURRENCIES_MAX },
		{ TYPE_PRODUCT_LIST, offsetof(struct product_list, count), PRODUCTS_MAX },
		{ TYPE_SEARCH_RESULTS, offsetof(struct product_list, count), PRODUCTS_MAX },
		{ TYPE_CART, offsetof(struct cart, count), CART_ITEMS_MAX },
		{ TYPE_SUGGEST, offsetof(struct suggest, count), CART_ITEMS_MAX },
		{ TYPE_SUGGESTIONS, offsetof(struct suggestions, count), SUGGESTIONS_MAX },
		{ TYPE_AD_REQUEST, offsetof(struct ad_request, count), CATEGORIES_MAX },
		{ TYPE_ADS, offsetof(struct ads, count), ADS_MAX },
		{ TYPE_QUOTE_REQUEST, offsetof(struct shipment, count), CART_ITEMS_MAX },
		{ TYPE_SHIP_REQUEST, offsetof(struct shipment, count), CART_ITEMS_MAX },
		{ TYPE_CONFIRMATION, offsetof(struct confirmation, order.count), CART_ITEMS_MAX },
		{ TYPE_ORDER_PLACED, offsetof(struct order_placed, order.count), CART_ITEMS_MAX },
		{ TYPE_VISITS, offsetof(struct visits, count), VISITS_MAX },
	};

	memset(out, 0, 16384);
	if (type == TYPE_PRODUCT)
		memcpy(out, &boutique_products[6], sizeof(struct product));
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (lists[i].type == type)
			out[lists[i].count_at] = lists[i].count;
	if (type == TYPE_PRODUCT_LIST || type == TYPE_SEARCH_RESULTS)
		for (unsigned i = 0; i < PRODUCTS_MAX; i++)
			((struct product_list *)out)->product[i] =
				boutique_products[i % boutique_n_products];
	if (type == TYPE_MONEY)
		*(struct money *)out = usd(-1, -5);
	return payload_bytes(type, out);
}

static void every_type_comes_back_as_it_was(void **state)
{
	static _Alignas(64) unsigned char in[16384], out[16384], wire[16384];

	(void)state;
	for (uint16_t type = TYPE_WORKLOAD; type < TYPE_BOUTIQUE_END; type++) {
		uint32_t length = sample(type, in);
		ssize_t n, made;

		assert_int_equal(payload_check(type, in, length), 0);
		n = boutique_codec.encode(type, in, length, wire, sizeof(wire));
		assert_true(n >= 0);
		memset(out, 0, sizeof(out));
		made = boutique_codec.decode(type, wire, (size_t)n, out, sizeof(out));
		assert_int_equal(made, length);
		assert_memory_equal(in, out, length);
		if (n)
			assert_int_equal(boutique_codec.encode(type, in, length, wire,
							       (size_t)n - 1), -EMSGSIZE);
		if (length)
			assert_true(payload_check(type, in, length - 1) == -EBADMSG ||
				    length % 8 == 0);
	}
	assert_int_equal(boutique_codec.encode(TYPE_BOUTIQUE_END, in, 0, wire, 1), -EINVAL);
	assert_int_equal(boutique_codec.decode(TYPE_BOUTIQUE_END, in, 0, wire, 1), -EINVAL);
	assert_int_equal(boutique_codec.decode(TYPE_CART, wire, 0, out, 100), -EMSGSIZE);
}

static void structs_cut_short_are_refused(void **state)
{
	static _Alignas(64) unsigned char in[16384];

	(void)state;
	for (uint16_t type = TYPE_EMPTY + 1; type < TYPE_BOUTIQUE_END; type++) {
		uint32_t length = sample(type, in);

		for (uint32_t cut = 0; cut + 8 <= length; cut++) {
			unsigned char *exact = malloc(cut + 1);     /* ASan watches its end */

			memcpy(exact, in, cut);
			assert_int_equal(payload_check(type, exact, cut), -EBADMSG);
			free(exact);
			cut += cut > 256 ? 97 : 0;
		}
	}
}

static void unsound_structs_are_refused(void **state)
{
	struct cart cart = { .count = CART_ITEMS_MAX + 1 };
	struct product_request id;
	struct conversion c = { .from = usd(1, -1), .to = "EUR" };
	struct money lower = { .currency = "usd" };

	(void)state;
	assert_int_equal(payload_check(TYPE_CART, &cart, sizeof(cart)), -EBADMSG);
	cart.count = UINT32_MAX;
	assert_int_equal(payload_check(TYPE_CART, &cart, sizeof(cart)), -EBADMSG);
	memset(&id, 'A', sizeof(id));
	assert_int_equal(payload_check(TYPE_PRODUCT_REQUEST, &id, sizeof(id)), -EBADMSG);
	assert_int_equal(payload_check(TYPE_CONVERSION, &c, sizeof(c)), -EBADMSG);
	assert_int_equal(payload_check(TYPE_MONEY, &lower, sizeof(lower)), -EBADMSG);
}

static void too_much_on_the_wire_is_refused(void **state)
{
	/* GetProductRequest with an id of 16 characters: one more than fits with its NUL. */
	static const unsigned char long_id[] = "\x0a\x10" "0123456789abcdef";
	unsigned char many[3 * 41], out[4096];

	(void)state;
	assert_int_equal(boutique_codec.decode(TYPE_PRODUCT_REQUEST, long_id, 18, out, sizeof(out)),
			 -EBADMSG);
	for (unsigned i = 0; i < 41; i++)
		memcpy(many + 3 * i, "\x0a\x01" "A", 3);
	assert_int_equal(boutique_codec.decode(TYPE_CURRENCIES, many, 3 * 40, out, sizeof(out)),
			 sizeof(struct currencies));
	assert_int_equal(boutique_codec.decode(TYPE_CURRENCIES, many, 3 * 41, out, sizeof(out)),
			 -EBADMSG);
}

static void the_wire_is_the_public_protocol(void **state)
{
	/* CartItem in AddItemRequest, by hand from the public field numbers. */
	static const unsigned char expected[] = "\x0a\x01u" "\x12\x05" "\x0a\x01p" "\x10\x07";
	struct add_item in = { .user = "u", .item = { .product = "p", .quantity = 7 } };
	unsigned char wire[64];

	(void)state;
	assert_int_equal(boutique_codec.encode(TYPE_ADD_ITEM, &in, sizeof(in), wire, sizeof(wire)),
			 sizeof(expected) - 1);
	assert_memory_equal(wire, expected, sizeof(expected) - 1);
}

static void garbage_decodes_to_something_sound_or_not_at_all(void **state)
{
	static _Alignas(64) unsigned char in[16384], wire[16384], bad[16384];
	uint64_t random = 99;

	(void)state;
	for (uint16_t type = TYPE_WORKLOAD; type < TYPE_BOUTIQUE_END; type++) {
		uint32_t length = sample(type, in);
		size_t n = (size_t)boutique_codec.encode(type, in, length, wire, sizeof(wire));
		unsigned char *out = malloc(16384);

		for (unsigned i = 0; i < 3000; i++) {
			size_t cut = random_next(&random) % (n + 1);
			unsigned flips = (unsigned)(random_next(&random) % 6);
			uint16_t as = i % 4 ? type : (uint16_t)(TYPE_WORKLOAD + i % 27);
			ssize_t made;

			memcpy(bad, wire, cut);
			while (cut && flips--)
				bad[random_next(&random) % cut] =
					(unsigned char)random_next(&random);
			made = boutique_codec.decode(as, bad, cut, out, 16384);
			if (made >= 0)
				assert_int_equal(payload_check(as, out, (size_t)made), 0);
		}
		free(out);
	}
}

/* ---- Services alone ------------------------------------------------------------------------- */

struct service {
	const struct function *fn;
	void *state, *locals;
	_Alignas(64) unsigned char payload[16384];
	struct invocation inv;
};

static void service_open(struct service *s, const struct function *fn)
{
	s->fn = fn;
	s->state = calloc(1, fn->state_bytes + 1);
	s->locals = calloc(1, fn->locals + 1);
	if (fn->start)
		assert_int_equal(fn->start(s->state, 1), 0);
}

static void service_close(struct service *s)
{
	if (s->fn->stop)
		s->fn->stop(s->state);
	free(s->state);
	free(s->locals);
}

static unsigned service_ask(struct service *s, uint16_t type, uint32_t length)
{
	s->inv = (struct invocation){ .payload = s->payload, .length = length, .type = type,
				      .room = sizeof(s->payload), .state = s->state,
				      .locals = s->locals, .status = STATUS_OK };
	assert_int_equal(s->fn->handle(&s->inv), RETURN);
	return s->inv.status;
}

static unsigned add(struct service *s, unsigned user, const char *product, int32_t quantity)
{
	struct add_item *rq = (struct add_item *)s->payload;

	memset(rq, 0, sizeof(*rq));
	snprintf(rq->user, sizeof(rq->user), "user-%u", user);
	text_set(rq->item.product, ID_BYTES, product);
	rq->item.quantity = quantity;
	return service_ask(s, TYPE_ADD_ITEM, sizeof(*rq));
}

static uint32_t items(struct service *s, unsigned user, uint16_t type)
{
	struct cart_request *rq = (struct cart_request *)s->payload;

	memset(rq, 0, sizeof(*rq));
	snprintf(rq->user, sizeof(rq->user), "user-%u", user);
	assert_int_equal(service_ask(s, type, sizeof(*rq)), 200);
	return type == TYPE_GET_CART ? ((struct cart *)s->payload)->count : 0;
}

static void a_full_cart_store_forgets_the_oldest_cart(void **state)
{
	static struct service s;
	const unsigned most = 1 << 16;

	(void)state;
	service_open(&s, &boutique_cart);
	for (unsigned i = 0; i < most; i++)
		assert_int_equal(add(&s, i, "P", 1), 200);
	assert_int_equal(add(&s, 0, "P", 1), 200);      /* user 0 is back: 1 is the oldest now */
	assert_int_equal(add(&s, most, "P", 1), 200);
	assert_int_equal(items(&s, 1, TYPE_GET_CART), 0);
	assert_int_equal(items(&s, 0, TYPE_GET_CART), 1);
	assert_int_equal(items(&s, 2, TYPE_GET_CART), 1);
	items(&s, 2, TYPE_EMPTY_CART);
	assert_int_equal(items(&s, 2, TYPE_GET_CART), 0);
	assert_int_equal(add(&s, most + 1, "P", 1), 200);       /* takes the place of 2's */
	assert_int_equal(items(&s, 3, TYPE_GET_CART), 1);
	for (unsigned i = 0; i < 3 * most; i++)                 /* churn, with holes */
		if (i % 5)
			assert_int_equal(add(&s, i * 7 % (2 * most), "Q", 1), 200);
		else
			items(&s, i * 3 % (2 * most), TYPE_EMPTY_CART);
	service_close(&s);
}

static void a_cart_refuses_what_does_not_fit(void **state)
{
	static struct service s;
	char product[ID_BYTES];

	(void)state;
	service_open(&s, &boutique_cart);
	assert_int_equal(add(&s, 1, "P", 2000000000), 200);
	assert_int_equal(add(&s, 1, "P", 2000000000), 422);
	assert_int_equal(add(&s, 1, "P", -1), 400);
	assert_int_equal(add(&s, 1, "P", 0), 400);
	assert_int_equal(add(&s, 1, "", 1), 400);
	for (unsigned i = 1; i < CART_ITEMS_MAX; i++) {
		snprintf(product, sizeof(product), "P%u", i);
		assert_int_equal(add(&s, 1, product, 1), 200);
	}
	assert_int_equal(add(&s, 1, "ONE-MORE", 1), 422);
	assert_int_equal(items(&s, 1, TYPE_GET_CART), CART_ITEMS_MAX);
	service_close(&s);
}

static void search_looks_at_names_and_descriptions(void **state)
{
	static struct service s;
	const struct product_list *found = (const struct product_list *)s.payload;

	(void)state;
	service_open(&s, &boutique_catalog);
	strcpy((char *)s.payload, "KITCHEN");
	assert_int_equal(service_ask(&s, TYPE_SEARCH, sizeof(struct search)), 200);
	assert_int_equal(found->count, 1);
	assert_string_equal(found->product[0].name, "Bamboo Glass Jar");
	memset(s.payload, 0, sizeof(struct search));
	assert_int_equal(service_ask(&s, TYPE_SEARCH, sizeof(struct search)), 200);
	assert_int_equal(found->count, boutique_n_products);
	strcpy((char *)s.payload, "zzz");
	assert_int_equal(service_ask(&s, TYPE_SEARCH, sizeof(struct search)), 200);
	assert_int_equal(found->count, 0);
	service_close(&s);
}

/* Whatever the payload's bytes: an answer, never a crash. */
static void services_survive_any_payload(void **state)
{
	static const struct function *const all[] = {
		&boutique_catalog, &boutique_recommendation, &boutique_checkout, &boutique_currency,
		&boutique_ad,      &boutique_email,          &boutique_payment,  &boutique_shipping,
		&boutique_cart,
	};
	static struct service s;
	uint64_t random = 17;

	(void)state;
	for (size_t f = 0; f < sizeof(all) / sizeof(all[0]); f++) {
		service_open(&s, all[f]);
		for (unsigned i = 0; i < 20000; i++) {
			uint16_t type = (uint16_t)(random_next(&random) % (TYPE_BOUTIQUE_END + 2));
			uint32_t length = i % 2 && type >= TYPE_WORKLOAD && type < TYPE_BOUTIQUE_END
						  ? sample(type, s.payload)
						  : (uint32_t)(random_next(&random) % 4096);

			for (unsigned flips = i % 8; flips; flips--)
				s.payload[random_next(&random) % 4096] = (unsigned char)random;
			s.inv = (struct invocation){ .payload = s.payload, .length = length,
						     .type = type, .room = sizeof(s.payload),
						     .state = s.state, .locals = s.locals };
			s.fn->handle(&s.inv);
			assert_true(s.inv.length <= s.inv.room);
		}
		service_close(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_carry_and_keep_one_sign),
		cmocka_unit_test(sums_refuse_what_is_invalid_or_overflows),
		cmocka_unit_test(products_equal_repeated_sums),
		cmocka_unit_test(amounts_are_written_as_upstream_does),
		cmocka_unit_test(conversions_are_those_of_upstream),
		cmocka_unit_test(conversions_give_valid_amounts),
		cmocka_unit_test(card_numbers_pass_or_fail_luhn),
		cmocka_unit_test(every_type_comes_back_as_it_was),
		cmocka_unit_test(structs_cut_short_are_refused),
		cmocka_unit_test(unsound_structs_are_refused),
		cmocka_unit_test(too_much_on_the_wire_is_refused),
		cmocka_unit_test(the_wire_is_the_public_protocol),
		cmocka_unit_test(garbage_decodes_to_something_sound_or_not_at_all),
		cmocka_unit_test(a_full_cart_store_forgets_the_oldest_cart),
		cmocka_unit_test(a_cart_refuses_what_does_not_fit),
		cmocka_unit_test(search_looks_at_names_and_descriptions),
		cmocka_unit_test(services_survive_any_payload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
