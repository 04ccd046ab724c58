/* SPDX-License-Identifier: BSD-2-Clause */
/* Email: renders the confirmation of an order into the outbox. Nothing is sent anywhere. */
#include "chain/http.h"
#include "workloads/boutique/boutique.h"

enum { MAIL_BYTES = 12 << 10 };     /* 16 items and an address, all of it escaped */

struct email_state {
	uint64_t rendered;
	_Alignas(16) char outbox[MAIL_BYTES];       /* the last mail */
};

static void escaped(struct http_writer *w, const char *text)
{
	http_escape(w, text, strlen(text));
}

static void amount(struct http_writer *w, const struct money *m)
{
	char text[MONEY_TEXT_MAX];

	http_bytes(w, text, money_format(text, m));
}

static ssize_t render(const struct confirmation *c, void *out, size_t room)
{
	const struct order *o = &c->order;
	struct http_writer w;
	char digits[20];

	http_begin(&w, out, room, STATUS_OK, "text/html; charset=utf-8");
	http_text(&w, "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">"
		      "<title>Your order</title></head><body><h1>Thank you for your order</h1>"
		      "<p>To: ");
	escaped(&w, c->email);
	http_text(&w, "</p><p>Order ");
	escaped(&w, o->id);
	http_text(&w, ", shipped as ");
	escaped(&w, o->tracking);
	http_text(&w, " for ");
	amount(&w, &o->shipping);
	http_text(&w, " to</p><address>");
	escaped(&w, o->address.street);
	http_text(&w, "<br>");
	escaped(&w, o->address.city);
	http_text(&w, ", ");
	escaped(&w, o->address.state);
	http_text(&w, "<br>");
	escaped(&w, o->address.country);
	http_text(&w, "</address><table><tr><th>Item<th>Quantity<th>Price</tr>");
	for (uint32_t i = 0; i < o->count; i++) {
		http_text(&w, "<tr><td>");
		escaped(&w, o->item[i].item.product);
		http_text(&w, "<td>");
		http_bytes(&w, digits, number_format(digits, (uint32_t)o->item[i].item.quantity));
		http_text(&w, "<td>");
		amount(&w, &o->item[i].cost);
		http_text(&w, "</tr>");
	}
	http_text(&w, "</table></body></html>");
	return http_end(&w);
}

static enum outcome email_handle(struct invocation *inv)
{
	const struct confirmation *rq = payload_of(inv, TYPE_CONFIRMATION);
	struct email_state *s = inv->state;

	if (!rq || !strchr(rq->email, '@'))
		return payload_refuse(inv, STATUS_BAD_REQUEST, "email: unsound request");
	if (render(rq, s->outbox, sizeof(s->outbox)) < 0)
		return payload_refuse(inv, STATUS_INTERNAL, "email: the mail is too long");
	s->rendered++;
	return payload_return(inv, TYPE_EMPTY);
}

const struct function boutique_email = {
	.name = "email",
	.service_ns = 500000,       /* Table 3: 0.5 ms */
	.state_bytes = sizeof(struct email_state),
	.handle = email_handle,
};
