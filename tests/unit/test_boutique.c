/* SPDX-License-Identifier: BSD-2-Clause */
/* The Online Boutique as its users see it: whole requests through all its services. */
#include <stdio.h>

#include "tests/unit/chain_driver.h"
#include "workloads/boutique/boutique.h"

/* Two drivers get the same requests: one passes structs, the other protobuf. */
struct shop {
	struct application app;
	const struct workload *workload;
	struct driver plain, coded;
	char cookie[256];
};

static void shop_open(struct shop *s, const char *text)
{
	char why[256];

	memset(s, 0, sizeof(*s));
	assert_int_equal(application_open(&s->app, &s->workload, text, why, sizeof(why)), 0);
	driver_open(&s->plain, &s->app, 7, false);
	driver_open(&s->coded, &s->app, 7, true);
}

static void shop_close(struct shop *s)
{
	driver_close(&s->plain);
	driver_close(&s->coded);
	if (s->workload->release)
		s->workload->release(&s->app);
}

static int setup(void **state)
{
	struct shop *s = malloc(sizeof(*s));

	shop_open(s, "boutique");
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	shop_close(*state);
	free(*state);
	return 0;
}

/* The same bytes on both ways, whatever was asked. */
static void send_raw(struct shop *s, const char *text, size_t n)
{
	driver_request(&s->plain, text, n);
	driver_request(&s->coded, text, n);
	assert_int_equal(s->plain.status, s->coded.status);
	assert_int_equal(s->plain.hops, s->coded.hops);
	assert_int_equal(s->plain.body_length, s->coded.body_length);
	assert_memory_equal(s->plain.body, s->coded.body, s->plain.body_length);
	assert_string_equal(s->plain.fields, s->coded.fields);
}

static void take_cookies(struct shop *s)
{
	const char *at = s->plain.fields;

	while ((at = strstr(at, "Set-Cookie: "))) {
		size_t used = strlen(s->cookie);

		at += strlen("Set-Cookie: ");
		snprintf(s->cookie + used, sizeof(s->cookie) - used, "%s%.*s", used ? "; " : "",
			 (int)strcspn(at, ";\r"), at);
	}
}

static unsigned ask(struct shop *s, const char *method, const char *path, const char *form)
{
	static char text[48 << 10];
	int n;

	n = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: shop\r\n%s%s%s", method, path,
		     s->cookie[0] ? "Cookie: " : "", s->cookie, s->cookie[0] ? "\r\n" : "");
	if (form)
		n += snprintf(text + n, sizeof(text) - (size_t)n,
			      "Content-Type: application/x-www-form-urlencoded\r\n"
			      "Content-Length: %zu\r\n\r\n%s", strlen(form), form);
	else
		n += snprintf(text + n, sizeof(text) - (size_t)n, "\r\n");
	assert_true((size_t)n < sizeof(text));
	send_raw(s, text, (size_t)n);
	take_cookies(s);
	return s->plain.status;
}

static void shows(const struct shop *s, const char *text)
{
	if (!strstr(s->plain.body, text))
		fail_msg("'%s' is not in: %s", text, s->plain.body);
}

static void shows_not(const struct shop *s, const char *text)
{
	if (strstr(s->plain.body, text))
		fail_msg("'%s' is in: %s", text, s->plain.body);
}

static void calls(const struct shop *s, const char *expected)
{
	char got[512] = "";
	size_t n = 0;

	for (unsigned i = 0; i < s->plain.logged; i++)
		n += (size_t)snprintf(got + n, sizeof(got) - n, "%u", s->plain.log[i]);
	assert_string_equal(got, expected);
}

static const char order[] =
	"email=a%40example.com&street_address=1+Elm+St&zip_code=10001&city=Zo%C3%ABville&state=NY"
	"&country=Brazil&credit_card_number=4111111111111111&credit_card_expiration_month=1"
	"&credit_card_expiration_year=2199&credit_card_cvv=123";

/* The order form with one field replaced ("" as value: left out). */
static const char *order_with(const char *name, const char *value)
{
	static char out[2048];
	const char *at = strstr(order, name);
	size_t rest = at ? strcspn(at, "&") : 0;

	assert_non_null(at);
	snprintf(out, sizeof(out), "%.*s%s%s%s%s", (int)(at - order), order, value[0] ? name : "x",
		 value[0] ? "=" : "", value, at + rest);
	return out;
}

static void home_page_shows_all_products_in_dollars(void **state)
{
	struct shop *s = *state;

	assert_int_equal(ask(s, "GET", "/", NULL), 200);
	shows(s, "<title>Online Boutique</title>");
	shows(s, "Sunglasses</a>$19.99");
	shows(s, "Salt &amp; Pepper Shakers</a>$18.49");
	shows(s, "<option selected>USD");
	shows(s, "Cart (0)");
	for (unsigned i = 0; i < boutique_n_products; i++)
		shows(s, boutique_products[i].id);
	assert_non_null(strstr(s->plain.fields, "Set-Cookie: shop_session-id="));
	assert_true(s->plain.body_length < 8192);
}

static void pages_ask_the_services_that_upstream_asks(void **state)
{
	struct shop *s = *state;

	ask(s, "GET", "/", NULL);
	calls(s, "04194444444445");                     /* 9 prices */
	ask(s, "GET", "/product/L9ECAV7KIM", NULL);
	calls(s, "01494" "2111111" "5");        /* recommendation asks the catalog, too */
	ask(s, "POST", "/cart", "product_id=L9ECAV7KIM&quantity=2");
	calls(s, "019");
	ask(s, "GET", "/cart", NULL);
	calls(s, "0492111111" "84" "14");
	ask(s, "POST", "/cart/checkout", order);
	calls(s, "03" "9" "14" "84" "7" "8" "9" "6" "2111111" "4");
	ask(s, "POST", "/setCurrency", "currency_code=EUR");
	calls(s, "0");
}

static void journey_from_product_to_order(void **state)
{
	struct shop *s = *state;

	assert_int_equal(ask(s, "GET", "/product/66VCHSJNUP", NULL), 200);
	shows(s, "<title>Tank Top - Online Boutique</title>");
	shows(s, "$18.99");
	shows(s, "You may also like");
	assert_int_equal(ask(s, "POST", "/cart", "product_id=66VCHSJNUP&quantity=3"), 302);
	assert_non_null(strstr(s->plain.fields, "Location: /cart\r\n"));
	assert_int_equal(ask(s, "POST", "/cart", "product_id=OLJCESPC7Z&quantity=1"), 302);
	assert_int_equal(ask(s, "POST", "/cart", "product_id=66VCHSJNUP&quantity=2"), 302);
	assert_int_equal(ask(s, "GET", "/cart", NULL), 200);
	shows(s, "Cart (6)");
	shows(s, "Tank Top</a><td>5<td>$94.95");
	shows(s, "Sunglasses</a><td>1<td>$19.99");
	shows(s, "Shipping<td><td>$8.99");
	shows(s, "Total<td><td>$123.93");
	assert_true(s->plain.body_length < 24576);
	assert_int_equal(ask(s, "POST", "/cart/checkout", order), 200);
	shows(s, "<title>Order - ");
	shows(s, "Order number<dd>");
	shows(s, "Total paid<dd>$123.93");
	assert_int_equal(ask(s, "GET", "/cart", NULL), 200);
	shows(s, "Your cart is empty");
}

static void prices_are_in_the_chosen_currency(void **state)
{
	struct shop *s = *state;

	ask(s, "GET", "/", NULL);
	assert_int_equal(ask(s, "POST", "/setCurrency", "currency_code=JPY"), 302);
	assert_non_null(strstr(s->plain.fields, "Set-Cookie: shop_currency=JPY;"));
	ask(s, "GET", "/", NULL);
	shows(s, "<option selected>JPY");
	shows(s, "Sunglasses</a>\u00a52235.06");
	ask(s, "POST", "/cart", "product_id=OLJCESPC7Z&quantity=10");
	ask(s, "GET", "/cart", NULL);
	shows(s, "<td>10<td>\u00a522350.60");
}

static void carts_are_apart(void **state)
{
	struct shop *s = *state;
	char first[sizeof(s->cookie)];

	ask(s, "POST", "/cart", "product_id=OLJCESPC7Z&quantity=4");
	memcpy(first, s->cookie, sizeof(first));
	s->cookie[0] = '\0';
	ask(s, "POST", "/cart", "product_id=6E92ZMYYFZ&quantity=1");
	assert_string_not_equal(first, s->cookie);
	ask(s, "GET", "/cart", NULL);
	shows(s, "Cart (1)");
	shows_not(s, "Sunglasses</a><td>");
	assert_int_equal(ask(s, "POST", "/cart/empty", ""), 302);
	memcpy(s->cookie, first, sizeof(first));
	ask(s, "GET", "/cart", NULL);
	shows(s, "Sunglasses</a><td>4");
}

static void logout_ends_the_session(void **state)
{
	struct shop *s = *state;

	ask(s, "GET", "/", NULL);
	assert_int_equal(ask(s, "GET", "/logout", NULL), 302);
	assert_non_null(strstr(s->plain.fields, "shop_session-id=; Path=/; Max-Age=0"));
	assert_int_equal(ask(s, "GET", "/_healthz", NULL), 200);
	assert_string_equal(s->plain.body, "ok");
}

static void unknown_products_and_pages_are_404(void **state)
{
	struct shop *s = *state;
	char path[320] = "/product/";

	memset(path + 9, 'A', 300);
	path[309] = '\0';
	assert_int_equal(ask(s, "GET", path, NULL), 404);
	assert_int_equal(ask(s, "GET", "/product/", NULL), 404);
	assert_int_equal(ask(s, "GET", "/product/NOSUCHITEM", NULL), 404);
	shows(s, "There is no such product.");
	assert_int_equal(ask(s, "GET", "/product/%00", NULL), 404);
	assert_int_equal(ask(s, "GET", "/product/../cart", NULL), 404);
	assert_int_equal(ask(s, "GET", "/carts", NULL), 404);
	assert_int_equal(ask(s, "GET", "/cart/checkout/", NULL), 404);
	assert_int_equal(ask(s, "GET", "/static/x.css", NULL), 404);
}

static void wrong_methods_are_405_and_say_which_are_right(void **state)
{
	struct shop *s = *state;

	assert_int_equal(ask(s, "POST", "/", ""), 405);
	assert_non_null(strstr(s->plain.fields, "Allow: GET, HEAD\r\n"));
	assert_int_equal(ask(s, "GET", "/setCurrency", NULL), 405);
	assert_non_null(strstr(s->plain.fields, "Allow: POST\r\n"));
	assert_int_equal(ask(s, "DELETE", "/cart", NULL), 405);
	assert_non_null(strstr(s->plain.fields, "Allow: GET, HEAD, POST\r\n"));
	assert_int_equal(ask(s, "HEAD", "/", NULL), 200);
}

static void bad_cart_forms_are_4xx(void **state)
{
	static const char *const forms[] = {
		"", "product_id=OLJCESPC7Z", "quantity=1", "product_id=&quantity=1",
		"product_id=OLJCESPC7Z&quantity=", "product_id=OLJCESPC7Z&quantity=0",
		"product_id=OLJCESPC7Z&quantity=-1", "product_id=OLJCESPC7Z&quantity=11",
		"product_id=OLJCESPC7Z&quantity=2000000000",
		"product_id=OLJCESPC7Z&quantity=99999999999999999999",
		"product_id=OLJCESPC7Z&quantity=1e1", "product_id=OLJCESPC7Z&quantity=+1",
		"product_id=OLJCESPC7Z&quantity=%001", "product_id=OLJCESPC7Z%00&quantity=1",
		"product_id=%zz&quantity=1", "product_id=<script>&quantity=1",
		"product_id=NOSUCHITEM&quantity=1",
		"product_id=AAAAAAAAAAAAAAAAAAAAAAAA&quantity=1",
		"&&&&====", "%", "product_id",
	};
	struct shop *s = *state;

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		unsigned status = ask(s, "POST", "/cart", forms[i]);

		if (status < 400 || status > 499)
			fail_msg("'%s' gave %u", forms[i], status);
		shows(s, "<title>Sorry");
	}
	ask(s, "GET", "/cart", NULL);
	shows(s, "Your cart is empty");
}

static void a_huge_form_is_4xx(void **state)
{
	struct shop *s = *state;
	char *form = malloc(30001);

	memset(form, 'a', 30000);
	memcpy(form, "product_id=", 11);
	form[30000] = '\0';
	assert_int_equal(ask(s, "POST", "/cart", form), 422);
	memset(form, '&', 30000);
	assert_int_equal(ask(s, "POST", "/cart/checkout", form), 422);
	free(form);
}

static void bad_orders_are_4xx(void **state)
{
	static const char *const bad[][2] = {
		{ "email", "" }, { "email", "nobody" }, { "email", "a%40b" }, { "email", "%40x.y" },
		{ "email", "a%40b%40c.d" }, { "email", "a%0d%0aBcc%3ab%40example.com" },
		{ "street_address", "" }, { "street_address", "%ff%fe" }, { "city", "%ed%a0%80" },
		{ "city", "a%00b" }, { "state", "%c0%af" }, { "country", "" },
		{ "zip_code", "0" }, { "zip_code", "-5" }, { "zip_code", "x" },
		{ "zip_code", "99999999999" }, { "credit_card_number", "4111111111111112" },
		{ "credit_card_number", "1" }, { "credit_card_number", "378282246310005" },
		{ "credit_card_number", "6011111111111117" }, { "credit_card_number", "4x" },
		{ "credit_card_number", "41111111111111111111111111111" },
		{ "credit_card_expiration_month", "13" }, { "credit_card_expiration_month", "0" },
		{ "credit_card_expiration_year", "2001" }, { "credit_card_expiration_year", "" },
		{ "credit_card_expiration_year", "99999" }, { "credit_card_cvv", "0" },
		{ "credit_card_cvv", "-12" },
	};
	struct shop *s = *state;

	ask(s, "POST", "/cart", "product_id=OLJCESPC7Z&quantity=1");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		unsigned status = ask(s, "POST", "/cart/checkout",
				      order_with(bad[i][0], bad[i][1]));

		if (status < 400 || status > 499)
			fail_msg("%s=%s gave %u", bad[i][0], bad[i][1], status);
	}
	ask(s, "GET", "/cart", NULL);
	shows(s, "Cart (1)");                           /* a failed order keeps the cart */
	assert_int_equal(ask(s, "POST", "/cart/checkout",
			     order_with("credit_card_number", "5555+5555-5555+4444")), 200);
}

static void what_clients_send_is_escaped(void **state)
{
	struct shop *s = *state;

	strcpy(s->cookie, "shop_session-id=<script>alert(1)</script>; shop_currency=<b>");
	assert_int_equal(ask(s, "GET", "/", NULL), 200);
	shows_not(s, "<script>");
	shows_not(s, "<b>");
	shows(s, "<option selected>USD");
	assert_non_null(strstr(s->plain.fields, "Set-Cookie: shop_session-id="));
}

static void unknown_currencies_are_refused(void **state)
{
	static const char *const forms[] = { "", "currency_code=", "currency_code=XXX",
					     "currency_code=usd", "currency_code=USDX",
					     "currency_code=US%00" };
	struct shop *s = *state;

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		assert_int_equal(ask(s, "POST", "/setCurrency", forms[i]), 422);
}

static void a_cart_never_overflows(void **state)
{
	struct shop *s = *state;

	ask(s, "POST", "/cart", "product_id=1YMWWN1N4O&quantity=10");
	for (unsigned i = 0; i < 5000; i++)
		ask(s, "POST", "/cart", "product_id=1YMWWN1N4O&quantity=10");
	assert_int_equal(ask(s, "GET", "/cart", NULL), 200);
	shows(s, "<td>50010<td>$5500599.90");
}

static void small_buffers_are_reported(void **state)
{
	struct page_like {
		char locals[8192];
	} *locals = calloc(1, sizeof(*locals));
	char payload[64];
	struct invocation inv = { .payload = payload, .room = sizeof(payload), .locals = locals };

	(void)state;
	assert_int_equal(boutique_frontend.handle(&inv), FAIL);
	assert_int_equal(inv.status, STATUS_INTERNAL);
	free(locals);
}

/* Users of the load generator against the shop: 2,000 requests of 20 users, all of them good. */
static void generated_users_never_fail(void **state)
{
	struct shop *s = *state;
	const struct user_model *model = s->app.users;
	unsigned count[8] = { 0 }, more = 0;
	char *users = calloc(20, model->user_bytes), out[4096], head[1024];

	for (unsigned i = 0; i < 2000; i++) {
		static uint64_t random = 42;
		void *user = users + i % 20 * model->user_bytes;
		struct user_request rq = { .out = out, .room = sizeof(out), .app = &s->app };
		bool ok = false;
		int n;

		assert_int_equal(model->next(user, &random, &rq), 0);
		assert_true(rq.chain < s->app.n_chains);
		count[rq.chain]++;
		more += rq.more;
		send_raw(s, out, rq.length);
		n = snprintf(head, sizeof(head), "HTTP/1.1 %u X\r\n%s\r\n", s->plain.status,
			     s->plain.fields);
		model->response(user, head, (size_t)n, s->plain.body, s->plain.body_length,
				s->plain.status, &ok);
		if (!ok)
			fail_msg("%.*s\ngave %u: %s", (int)rq.length, out, s->plain.status,
				 s->plain.body);
	}
	for (unsigned i = 0; i < s->app.n_chains; i++)
		assert_true(count[i] > 40);
	assert_true(count[CH5_PRODUCT] > 700 && count[CH5_PRODUCT] < 1200);
	/* 28 requests in 19 actions: nine of 28 follow at once. */
	assert_true(more > 500 && more < 780);
	free(users);
}

static void published_sequences_visit_what_table_4_says(void **state)
{
	static const char *const expected[] = {
		"ch1: 4 1 9 4 4 4 4 4 4 4 5\n", "ch2: 4 9 2 1 1 1 1 1 8 4 1 4\n", "ch3: 1 9\n",
		"ch4: 3 1 7 8 6 2 1 1 1 1 4\n", "ch5: 1 4 9 4 2 1 1 1 1 5\n", "ch6: 4\n",
	};
	struct shop *s = malloc(sizeof(*s));
	char name[32];

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		snprintf(name, sizeof(name), "boutique:ch%u", i + 1);
		shop_open(s, name);
		assert_int_equal(ask(s, "GET", "/", NULL), 200);
		assert_memory_equal(s->plain.body, expected[i], strlen(expected[i]));
		shop_close(s);
	}
	shop_open(s, "boutique:sequences");
	assert_int_equal(ask(s, "GET", "/ch4", NULL), 200);
	assert_memory_equal(s->plain.body, expected[3], strlen(expected[3]));
	shop_close(s);
	free(s);
}

static void service_times_are_those_of_table_3(void **state)
{
	static const uint64_t us[] = { 0, 600, 2500, 260000, 900, 1100, 500, 440, 200, 1200 };
	struct shop *s = *state;

	for (unsigned i = 0; i < s->app.n_functions; i++)
		assert_int_equal(s->app.functions[i]->service_ns, us[i] * 1000);
}

static void unknown_modes_and_options_are_refused(void **state)
{
	static const char *const specs[] = { "boutique:ch7", "boutique,x=1",
					     "boutique,redirects=no",
					     "shop", "echo:web", "echo,length=9",
					     "echo,size=65537" };
	const struct workload *found;
	struct application app;
	char why[256];

	(void)state;
	for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
		why[0] = '\0';
		assert_true(application_open(&app, &found, specs[i], why, sizeof(why)) < 0);
		assert_true(why[0]);
	}
}

#define SHOP(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SHOP(home_page_shows_all_products_in_dollars),
		SHOP(pages_ask_the_services_that_upstream_asks),
		SHOP(journey_from_product_to_order),
		SHOP(prices_are_in_the_chosen_currency),
		SHOP(carts_are_apart),
		SHOP(logout_ends_the_session),
		SHOP(unknown_products_and_pages_are_404),
		SHOP(wrong_methods_are_405_and_say_which_are_right),
		SHOP(bad_cart_forms_are_4xx),
		SHOP(a_huge_form_is_4xx),
		SHOP(bad_orders_are_4xx),
		SHOP(what_clients_send_is_escaped),
		SHOP(unknown_currencies_are_refused),
		SHOP(a_cart_never_overflows),
		cmocka_unit_test(small_buffers_are_reported),
		SHOP(generated_users_never_fail),
		cmocka_unit_test(published_sequences_visit_what_table_4_says),
		SHOP(service_times_are_those_of_table_3),
		cmocka_unit_test(unknown_modes_and_options_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
