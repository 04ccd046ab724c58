/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pages: HTML written straight into the payload, in pieces of constant text (the compiler turns
 * them into moves) and of what the services said, escaped. No formatting functions on the way.
 * Nothing of the clock and nothing of the deployment shows: the same request gives the same bytes.
 */
#include "workloads/boutique/frontend.h"

#define HTML "text/html; charset=utf-8"

static const char head_open[] =
	"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
	"<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
	"<link rel=\"icon\" href=\"data:,\"><title>";

static const char head_close[] =
	"</title><style>"
	"*{box-sizing:border-box}"
	"body{margin:0;font:16px/1.5 system-ui,sans-serif;color:#1b1b1b;background:#fafaf7}"
	"header,main,footer,aside{max-width:64rem;margin:auto;padding:1rem}"
	"header{display:flex;flex-wrap:wrap;gap:1rem;align-items:center;"
	"border-bottom:2px solid #0b5d5b}"
	"header form{margin-left:auto}"
	"a{color:#0b5d5b}.logo{font-size:1.4rem;font-weight:700;text-decoration:none}"
	"ul{list-style:none;padding:0;display:grid;gap:1rem;"
	"grid-template-columns:repeat(auto-fill,minmax(11rem,1fr))}"
	"li{background:#fff;border:1px solid #ddd;border-radius:8px;padding:1rem}"
	"li a{font-weight:600;text-decoration:none;display:block}"
	"table{border-collapse:collapse;width:100%}"
	"th,td{text-align:left;padding:.4rem;border-bottom:1px solid #ddd}"
	"td:last-child,th:last-child{text-align:right}"
	".order{display:grid;gap:.3rem;max-width:26rem}"
	"input,select,button{font:inherit;padding:.3rem .5rem}"
	"button{background:#0b5d5b;color:#fff;border:0;border-radius:6px}"
	"</style></head><body><header><a class=\"logo\" href=\"/\">Online Boutique</a>";

static const char footer[] =
	"</main><footer><small>A demonstration: nothing here can be bought.</small></footer>"
	"</body></html>\n";

static void text(struct http_writer *w, const char *s)
{
	http_escape(w, s, strlen(s));
}

static void number(struct http_writer *w, uint64_t value)
{
	char digits[20];

	http_bytes(w, digits, number_format(digits, value));
}

static void money(struct http_writer *w, const struct money *m)
{
	char amount[MONEY_TEXT_MAX];

	http_bytes(w, amount, money_format(amount, m));
}

static void begin(struct http_writer *w, struct invocation *inv, const struct page *p,
		  unsigned status)
{
	http_begin(w, inv->payload, inv->room, status, HTML);
	if (p->new_session)
		http_field(w, "Set-Cookie", "shop_session-id=%s; Path=/; Max-Age=%d; HttpOnly; "
			   "SameSite=Lax", p->user, COOKIE_SECONDS);
}

static enum outcome end(struct http_writer *w, struct invocation *inv)
{
	ssize_t n = http_end(w);

	if (n < 0)
		return invocation_fail(inv, STATUS_INTERNAL, "frontend: the page is too long");
	inv->status = w->response->status;
	inv->type = TYPE_HTTP_RESPONSE;
	inv->length = (uint32_t)n;
	return REPLY;
}

/* The bar with the cart; on pages that have asked for them, with its size and the currencies. */
static void bar(struct http_writer *w, const struct page *p, bool asked)
{
	http_bytes(w, head_close, sizeof(head_close) - 1);
	if (asked && p->n_currencies) {
		http_text(w, "<form method=\"post\" action=\"/setCurrency\"><label>Currency "
			     "<select name=\"currency_code\">");
		for (unsigned i = 0; i < p->n_currencies; i++) {
			if (memcmp(p->currencies[i], p->currency, CODE_BYTES))
				http_text(w, "<option>");
			else
				http_text(w, "<option selected>");
			http_bytes(w, p->currencies[i], 3);     /* three capital letters */
		}
		http_text(w, "</select></label> <button>Change</button></form>");
	}
	http_text(w, "<a href=\"/cart\">Cart");
	if (asked) {
		http_text(w, " (");
		number(w, (uint64_t)p->cart_size);
		http_text(w, ")");
	}
	http_text(w, "</a></header><main>");
}

static void link_to(struct http_writer *w, const char *id, const char *name)
{
	http_text(w, "<li><a href=\"/product/");
	text(w, id);
	http_text(w, "\">");
	text(w, name);
	http_text(w, "</a>");
}

static void suggestions(struct http_writer *w, const struct page *p)
{
	unsigned n = p->n_suggestions < SHOWN_SUGGESTIONS ? p->n_suggestions : SHOWN_SUGGESTIONS;

	if (!n)
		return;
	http_text(w, "<h2>You may also like</h2><ul>");
	for (unsigned i = 0; i < n; i++) {
		link_to(w, p->suggestion[i].id, p->suggestion[i].name);
		http_text(w, "</li>");
	}
	http_text(w, "</ul>");
}

static void ad(struct http_writer *w, const struct page *p)
{
	if (!p->n_ad)
		return;
	http_text(w, "<aside aria-label=\"Advertisement\">Ad: <a rel=\"nofollow\" href=\"");
	text(w, p->ad.url);
	http_text(w, "\">");
	text(w, p->ad.text);
	http_text(w, "</a></aside>");
}

static void write_home(struct http_writer *w, const struct page *p)
{
	http_text(w, "Online Boutique");
	bar(w, p, true);
	http_text(w, "<h1>Hot products</h1><ul>");
	for (unsigned i = 0; i < p->n_items; i++) {
		link_to(w, p->item[i].id, p->item[i].name);
		money(w, &p->item[i].price);
		http_text(w, "</li>");
	}
	http_text(w, "</ul>");
	ad(w, p);
}

static void write_product(struct http_writer *w, const struct page *p)
{
	text(w, p->item[0].name);
	http_text(w, " - Online Boutique");
	bar(w, p, true);
	http_text(w, "<h1>");
	text(w, p->item[0].name);
	http_text(w, "</h1><p><strong>");
	money(w, &p->item[0].price);
	http_text(w, "</strong></p><p>");
	text(w, p->description);
	http_text(w, "</p><form method=\"post\" action=\"/cart\">"
		     "<input type=\"hidden\" name=\"product_id\" value=\"");
	text(w, p->item[0].id);
	http_text(w, "\"><label>Quantity <select name=\"quantity\"><option>1<option>2<option>3"
		     "<option>4<option>5<option>10</select></label> <button>Add to cart</button>"
		     "</form>");
	suggestions(w, p);
	ad(w, p);
}

/* Name, type, a sensible value, label: filled in, so that a visitor can order with one click. */
#define FIELD(label, name, more) "<label for=\"" name "\">" label "</label>"                       \
	"<input id=\"" name "\" name=\"" name "\" required " more ">"

static const char order_form[] =
	"<h2>Your order</h2><form class=\"order\" method=\"post\" action=\"/cart/checkout\">"
	FIELD("E-mail", "email", "type=\"email\" value=\"someone@example.com\"")
	FIELD("Street", "street_address", "maxlength=\"512\" value=\"1 Example Street\"")
	FIELD("Zip code", "zip_code",
	      "inputmode=\"numeric\" pattern=\"[0-9]{1,9}\" value=\"10001\"")
	FIELD("City", "city", "maxlength=\"128\" value=\"New York\"")
	FIELD("State", "state", "maxlength=\"128\" value=\"NY\"")
	FIELD("Country", "country", "maxlength=\"128\" value=\"United States\"")
	FIELD("Credit card number", "credit_card_number",
	      "inputmode=\"numeric\" maxlength=\"23\" value=\"4111111111111111\"")
	FIELD("Expires in month", "credit_card_expiration_month",
	      "type=\"number\" min=\"1\" max=\"12\" value=\"1\"")
	FIELD("of year", "credit_card_expiration_year",
	      "type=\"number\" min=\"2000\" max=\"9999\" value=\"2099\"")
	FIELD("CVV", "credit_card_cvv",
	      "inputmode=\"numeric\" pattern=\"[0-9]{3,4}\" value=\"123\"")
	"<button>Place order</button></form>";

static void write_cart_item(struct http_writer *w, const struct shelf *item)
{
	http_text(w, "<tr><td><a href=\"/product/");
	text(w, item->id);
	http_text(w, "\">");
	text(w, item->name);
	http_text(w, "</a><td>");
	number(w, (uint32_t)item->quantity);
	http_text(w, "<td>");
	money(w, &item->price);
}

static void write_cart(struct http_writer *w, const struct page *p)
{
	http_text(w, "Cart - Online Boutique");
	bar(w, p, true);
	if (!p->n_items) {
		http_text(w, "<h1>Your cart is empty</h1>"
			     "<p><a href=\"/\">Continue shopping</a></p>");
		suggestions(w, p);
		return;
	}
	http_text(w, "<h1>Your cart</h1><table><thead><tr><th scope=\"col\">Product"
		     "<th scope=\"col\">Quantity<th scope=\"col\">Price<tbody>");
	for (unsigned i = 0; i < p->n_items; i++)
		write_cart_item(w, &p->item[i]);
	http_text(w, "<tr><td>Shipping<td><td>");
	money(w, &p->shipping);
	http_text(w, "<tr><th scope=\"row\">Total<td><td>");
	money(w, &p->total);
	http_text(w, "</table><form method=\"post\" action=\"/cart/empty\"><button>Empty cart"
		     "</button></form>");
	http_bytes(w, order_form, sizeof(order_form) - 1);
	suggestions(w, p);
}

static void write_order(struct http_writer *w, const struct page *p)
{
	http_text(w, "Order - Online Boutique");
	bar(w, p, false);
	http_text(w, "<h1>Your order is complete</h1><p>A confirmation is on its way to you.</p>"
		     "<dl><dt>Order number<dd>");
	text(w, p->order);
	http_text(w, "<dt>Tracking number<dd>");
	text(w, p->tracking);
	http_text(w, "<dt>Total paid<dd>");
	money(w, &p->total);
	http_text(w, "</dl><p><a href=\"/\">Continue shopping</a></p>");
	suggestions(w, p);
}

enum outcome page_write(struct invocation *inv, const struct page *p)
{
	static void (*const write[ROUTES])(struct http_writer *w, const struct page *p) = {
		[ROUTE_HOME] = write_home,
		[ROUTE_PRODUCT] = write_product,
		[ROUTE_VIEW_CART] = write_cart,
		[ROUTE_CHECKOUT] = write_order,
	};
	struct http_writer w;

	begin(&w, inv, p, STATUS_OK);
	http_bytes(&w, head_open, sizeof(head_open) - 1);
	write[p->route](&w, p);
	http_bytes(&w, footer, sizeof(footer) - 1);
	return end(&w, inv);
}

enum outcome page_redirect(struct invocation *inv, const struct page *p, const char *location,
			   const char *currency, bool forget)
{
	struct http_writer w;

	http_begin(&w, inv->payload, inv->room, 302, HTML);
	http_field(&w, "Location", "%s", location);
	if (forget) {
		http_field(&w, "Set-Cookie", "shop_session-id=; Path=/; Max-Age=0");
		http_field(&w, "Set-Cookie", "shop_currency=; Path=/; Max-Age=0");
	} else if (p->new_session) {
		http_field(&w, "Set-Cookie", "shop_session-id=%s; Path=/; Max-Age=%d; HttpOnly; "
			   "SameSite=Lax", p->user, COOKIE_SECONDS);
	}
	if (currency)
		http_field(&w, "Set-Cookie", "shop_currency=%s; Path=/; Max-Age=%d; SameSite=Lax",
			   currency, COOKIE_SECONDS);
	return end(&w, inv);
}

enum outcome page_error(struct invocation *inv, const struct page *p, unsigned status,
			const char *reason, const char *allow)
{
	struct http_writer w;

	begin(&w, inv, p, status);
	if (allow)
		http_field(&w, "Allow", "%s", allow);
	http_bytes(&w, head_open, sizeof(head_open) - 1);
	http_text(&w, "Sorry - Online Boutique");
	bar(&w, p, false);
	http_text(&w, "<h1>");
	number(&w, status);
	http_text(&w, " ");
	text(&w, http_reason(status));
	http_text(&w, "</h1><p>");
	text(&w, reason);
	http_text(&w, "</p><p><a href=\"/\">Back to the shop</a></p>");
	http_bytes(&w, footer, sizeof(footer) - 1);
	return end(&w, inv);
}

enum outcome page_health(struct invocation *inv)
{
	struct http_writer w;

	http_begin(&w, inv->payload, inv->room, STATUS_OK, "text/plain; charset=utf-8");
	http_text(&w, "ok");
	return end(&w, inv);
}
