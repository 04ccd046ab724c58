/* SPDX-License-Identifier: BSD-2-Clause */
/* Forms and cookies: untrusted bytes become checked values, or a sentence for a 4xx. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "workloads/boutique/frontend.h"

static int bad_field(char *why, const char *name, const char *what)
{
	snprintf(why, REASON_BYTES, "Field '%s' %s.", name, what);
	return -1;
}

/* UTF-8 without control characters (RFC 3629: no overlong forms, no surrogates). */
static bool printable_utf8(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	while (*p) {
		unsigned n = *p < 0x80 ? 0 : *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : 1;
		uint32_t c = n ? *p & (0x3fu >> n) : *p;

		if (*p < 0x20 || *p == 0x7f || (*p >= 0x80 && *p < 0xc2) || *p > 0xf4)
			return false;
		for (p++; n; n--, p++) {
			if ((*p & 0xc0) != 0x80)
				return false;
			c = c << 6 | (*p & 0x3f);
			if (n == 1 && ((c >= 0xd800 && c < 0xe000) || c > 0x10ffff))
				return false;
		}
		if ((p[-1] & 0xc0) == 0x80 && c < 0x80)
			return false;
	}
	return true;
}

int form_text(const struct http_request *rq, const char *name, char *out, size_t room, char *why)
{
	const char *body = (const char *)rq + rq->body.offset;
	ssize_t n = http_form_value(body, rq->body.length, name, out, room);

	if (n == -EMSGSIZE)
		return bad_field(why, name, "is too long");
	if (n == -ENOENT || n == 0)
		return bad_field(why, name, "is missing");
	if (n < 0 || !printable_utf8(out))
		return bad_field(why, name, "is not text");
	return 0;
}

int form_number(const struct http_request *rq, const char *name, int32_t lo, int32_t hi,
		int32_t *out, char *why)
{
	char text[16];
	char *end;
	long value;

	if (form_text(rq, name, text, sizeof(text), why))
		return -1;
	value = strtol(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end)
		return bad_field(why, name, "is not a number");
	if (value < lo || value > hi)
		return bad_field(why, name, "is out of range");
	*out = (int32_t)value;
	return 0;
}

/* local@domain.tld, with no more than that checked. */
static bool email_plausible(const char *text)
{
	const char *at = strchr(text, '@'), *dot;

	if (!at || at == text || strchr(at + 1, '@') || strpbrk(text, " \"<>,;:\\()"))
		return false;
	dot = strrchr(at, '.');
	return dot && dot > at + 1 && dot[1];
}

int form_order(const struct http_request *rq, struct place_order *out, char *why)
{
	char digits[CARD_BYTES];

	if (form_text(rq, "email", out->email, sizeof(out->email), why) ||
	    form_text(rq, "street_address", out->address.street, STREET_BYTES, why) ||
	    form_number(rq, "zip_code", 1, INT32_MAX, &out->address.zip, why) ||
	    form_text(rq, "city", out->address.city, PLACE_BYTES, why) ||
	    form_text(rq, "state", out->address.state, PLACE_BYTES, why) ||
	    form_text(rq, "country", out->address.country, PLACE_BYTES, why) ||
	    form_text(rq, "credit_card_number", out->card.number, CARD_BYTES, why) ||
	    form_number(rq, "credit_card_expiration_month", 1, 12, &out->card.month, why) ||
	    form_number(rq, "credit_card_expiration_year", 1, 9999, &out->card.year, why) ||
	    form_number(rq, "credit_card_cvv", 1, 9999, &out->card.cvv, why))
		return -1;
	if (!email_plausible(out->email))
		return bad_field(why, "email", "is not an address");
	if (!card_digits(out->card.number, digits))
		return bad_field(why, "credit_card_number", "is not a card number");
	return 0;
}

bool id_plausible(const char *id, size_t length)
{
	if (!length || length >= ID_BYTES)
		return false;
	for (size_t i = 0; i < length; i++) {
		char c = id[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		      c == '-' || c == '_'))
			return false;
	}
	return true;
}

bool cookie_session(const struct http_request *rq, char out[static USER_BYTES])
{
	const char *cookie = (const char *)rq + rq->cookie.offset;
	ssize_t n = http_cookie_value(cookie, rq->cookie.length, "shop_session-id", out,
				      USER_BYTES);

	if (n < 8 || n >= USER_BYTES)
		return false;
	for (ssize_t i = 0; i < n; i++)
		if (!((out[i] >= 'a' && out[i] <= 'z') || (out[i] >= 'A' && out[i] <= 'Z') ||
		      (out[i] >= '0' && out[i] <= '9') || out[i] == '-'))
			return false;
	return true;
}

bool cookie_currency(const struct http_request *rq, char out[static CODE_BYTES])
{
	const char *cookie = (const char *)rq + rq->cookie.offset;
	ssize_t n = http_cookie_value(cookie, rq->cookie.length, "shop_currency", out, CODE_BYTES);

	return n == 3 && currency_offered(out);
}

bool currency_offered(const char *code)
{
	static const char offered[][CODE_BYTES] = { "USD", "EUR", "CAD", "JPY", "GBP", "TRY" };

	for (size_t i = 0; i < sizeof(offered) / sizeof(offered[0]); i++)
		if (!memcmp(offered[i], code, CODE_BYTES))
			return true;
	return false;
}
