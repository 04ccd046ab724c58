/* SPDX-License-Identifier: BSD-2-Clause */
/* Payment: pretends to charge a VISA card or Mastercard that is well-formed and not expired. */
#include <time.h>

#include "chain/clock.h"
#include "workloads/boutique/boutique.h"

struct payment_state {
	uint64_t random;
};

static int payment_start(void *state, uint64_t seed)
{
	((struct payment_state *)state)->random = seed ^ PAYMENT;
	return 0;
}

/* Luhn's test (ISO/IEC 7812-1, annex B): from the right, every other digit doubled. */
static bool luhn(const char *digits, size_t n)
{
	unsigned sum = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned d = (unsigned)(digits[n - 1 - i] - '0');

		if (i & 1)
			d = d > 4 ? 2 * d - 9 : 2 * d;
		sum += d;
	}
	return sum % 10 == 0;
}

const char *card_digits(const char *number, char out[static CARD_BYTES])
{
	size_t n = 0;

	for (; *number; number++) {
		if (*number == ' ' || *number == '-')
			continue;
		if (*number < '0' || *number > '9' || n == 19)
			return NULL;
		out[n++] = *number;
	}
	out[n] = '\0';
	return n >= 12 && luhn(out, n) ? out : NULL;
}

/* Issuer by the number's first digits and length. */
static const char *card_type(const char *digits)
{
	size_t n = strlen(digits);
	unsigned head = 0;

	for (unsigned i = 0; i < 4; i++)
		head = head * 10 + (unsigned)(digits[i] - '0');
	if (head / 1000 == 4 && (n == 13 || n == 16 || n == 19))
		return "visa";
	if (n == 16 && ((head >= 5100 && head <= 5599) || (head >= 2221 && head <= 2720)))
		return "mastercard";
	if (n == 15 && (head / 100 == 34 || head / 100 == 37))
		return "amex";
	if (head / 100 == 65 || head == 6011)
		return "discover";
	if (head / 100 == 36 || head / 100 == 38 || head / 10 == 300)
		return "dinersclub";
	if (head / 100 == 35)
		return "jcb";
	return "unknown";
}

/*
 * The only look at the calendar in the whole application: whether a card has expired cannot be told
 * without. It does not show in any answer as long as requests use years far in the future.
 */
static bool expired(const struct card *c)
{
	time_t now = time(NULL);
	struct tm t;

	if (!gmtime_r(&now, &t))
		return true;
	return (int64_t)c->year * 12 + c->month < ((int64_t)t.tm_year + 1900) * 12 + t.tm_mon + 1;
}

static enum outcome payment_handle(struct invocation *inv)
{
	const struct charge *rq = payload_of(inv, TYPE_CHARGE);
	struct payment_state *s = inv->state;
	struct transaction *out = inv->payload;
	char digits[CARD_BYTES];
	const char *type;

	if (!rq)
		return payload_refuse(inv, STATUS_BAD_REQUEST, "payment: unsound request");
	if (rq->amount.units < 0 || rq->amount.nanos < 0 || !rq->amount.currency[0])
		return payload_refuse(inv, 422, "The amount cannot be charged.");
	if (!card_digits(rq->card.number, digits))
		return payload_refuse(inv, 422, "The credit card number is invalid.");
	type = card_type(digits);
	if (strcmp(type, "visa") && strcmp(type, "mastercard"))
		return payload_refuse(inv, 422, "Only VISA and Mastercard are accepted.");
	if (rq->card.month < 1 || rq->card.month > 12 || expired(&rq->card))
		return payload_refuse(inv, 422, "The credit card has expired.");
	uuid_format(out->id, &s->random);
	return payload_return(inv, TYPE_TRANSACTION);
}

const struct function boutique_payment = {
	.name = "payment",
	.service_ns = 440000,       /* Table 3: 0.44 ms */
	.state_bytes = sizeof(struct payment_state),
	.start = payment_start,
	.handle = payment_handle,
};
