/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "chain/clock.h"
#include "dataplanes/kernel/grpc_wire.h"

/* ---- Statuses ---------------------------------------------------------------------------------- */

enum grpc_status grpc_of_http(unsigned status)
{
	switch (status) {
	case 400: return GRPC_INVALID_ARGUMENT;
	case 401: return GRPC_UNAUTHENTICATED;
	case 403: return GRPC_PERMISSION_DENIED;
	case 404: return GRPC_NOT_FOUND;
	case 409: return GRPC_ABORTED;
	case 413:
	case 429: return GRPC_RESOURCE_EXHAUSTED;
	case 499: return GRPC_CANCELLED;
	case 501: return GRPC_UNIMPLEMENTED;
	case 502:
	case 503: return GRPC_UNAVAILABLE;
	case 408:
	case 504: return GRPC_DEADLINE_EXCEEDED;
	}
	return status < 400 ? GRPC_OK : status < 500 ? GRPC_FAILED_PRECONDITION : GRPC_INTERNAL;
}

unsigned grpc_to_http(unsigned status)
{
	static const uint16_t http[GRPC_STATUSES] = {
		[GRPC_OK] = 200, [GRPC_CANCELLED] = 499, [GRPC_UNKNOWN] = 500,
		[GRPC_INVALID_ARGUMENT] = 400, [GRPC_DEADLINE_EXCEEDED] = 504,
		[GRPC_NOT_FOUND] = 404, [GRPC_ALREADY_EXISTS] = 409,
		[GRPC_PERMISSION_DENIED] = 403, [GRPC_RESOURCE_EXHAUSTED] = 429,
		[GRPC_FAILED_PRECONDITION] = 400, [GRPC_ABORTED] = 409,
		[GRPC_OUT_OF_RANGE] = 400, [GRPC_UNIMPLEMENTED] = 501, [GRPC_INTERNAL] = 500,
		[GRPC_UNAVAILABLE] = 503, [GRPC_DATA_LOSS] = 500, [GRPC_UNAUTHENTICATED] = 401,
	};

	return status < GRPC_STATUSES ? http[status] : 500;
}

/* ---- Deadlines ---------------------------------------------------------------------------------- */

static const struct {
	char name;
	uint64_t ns;
} units[] = { { 'n', 1 }, { 'u', 1000 }, { 'm', NS_PER_MS }, { 'S', NS_PER_SEC },
	      { 'M', 60 * NS_PER_SEC }, { 'H', 3600 * NS_PER_SEC } };

enum { UNITS = sizeof(units) / sizeof(units[0]), TIMEOUT_DIGITS = 8, DIGITS_LIMIT = 100000000 };

uint64_t grpc_timeout_parse(const char *text, size_t length)
{
	const uint64_t day = 24 * 3600 * NS_PER_SEC;
	uint64_t n = 0;

	if (length < 2 || length > TIMEOUT_DIGITS + 1)
		return 0;
	for (size_t i = 0; i + 1 < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return 0;
		n = n * 10 + (uint64_t)(text[i] - '0');
	}
	for (unsigned i = 0; i < UNITS; i++)
		if (units[i].name == text[length - 1])
			/* 0 is a deadline that has passed, not none. */
			return !n ? 1 : n > day / units[i].ns ? day : n * units[i].ns;
	return 0;
}

void grpc_timeout_format(uint64_t ns, char out[GRPC_TIMEOUT_TEXT])
{
	char digits[TIMEOUT_DIGITS], *p = digits + TIMEOUT_DIGITS;
	unsigned unit = 0;
	uint64_t n = ns;

	while (unit + 1 < UNITS && n >= DIGITS_LIMIT) {
		unit++;
		n = ns / units[unit].ns + !!(ns % units[unit].ns);
	}
	if (n >= DIGITS_LIMIT)
		n = DIGITS_LIMIT - 1;
	do
		*--p = (char)('0' + n % 10);
	while (n /= 10);
	memcpy(out, p, (size_t)(digits + TIMEOUT_DIGITS - p));
	out += digits + TIMEOUT_DIGITS - p;
	*out++ = units[unit].name;
	*out = '\0';
}

/* ---- grpc-message ------------------------------------------------------------------------------- */

size_t grpc_percent_encode(const char *in, size_t length, char *out, size_t room)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t n = 0;

	for (size_t i = 0; i < length; i++) {
		const unsigned char c = (unsigned char)in[i];

		if (c >= ' ' && c <= '~' && c != '%') {
			if (n == room)
				break;
			out[n++] = (char)c;
			continue;
		}
		if (room - n < 3)
			break;
		out[n++] = '%';
		out[n++] = hex[c >> 4];
		out[n++] = hex[c & 15];
	}
	return n;
}

static int nibble(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 :
	       c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t grpc_percent_decode(const char *in, size_t length, char *out, size_t room)
{
	size_t n = 0;

	for (size_t i = 0; i < length && n < room; i++) {
		/* What is no escape stands for itself: a reason is not lost to a bad encoder. */
		if (in[i] == '%' && length - i > 2 && nibble(in[i + 1]) >= 0 && nibble(in[i + 2]) >= 0) {
			out[n++] = (char)(nibble(in[i + 1]) << 4 | nibble(in[i + 2]));
			i += 2;
		} else {
			out[n++] = in[i];
		}
	}
	return n;
}

/* ---- Messages ----------------------------------------------------------------------------------- */

void grpc_prefix(uint8_t out[GRPC_PREFIX], uint32_t length)
{
	out[0] = 0;
	out[1] = (uint8_t)(length >> 24);
	out[2] = (uint8_t)(length >> 16);
	out[3] = (uint8_t)(length >> 8);
	out[4] = (uint8_t)length;
}

/* The prefix is whole: 0, or why the message behind it is refused. */
static int judge_prefix(struct grpc_reader *r, const uint8_t *p, uint32_t room)
{
	r->length = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
	if (p[0])
		return p[0] == 1 ? -ENOTSUP : -EPROTO;
	return r->length > room - GRPC_PREFIX ? -EMSGSIZE : 0;
}

int grpc_read(struct grpc_reader *r, const uint8_t *in, size_t n, uint8_t *buffer, uint32_t room)
{
	size_t want;
	int err;

	while (n) {
		if (r->whole)
			return -EEXIST;
		want = (r->have < GRPC_PREFIX ? GRPC_PREFIX : GRPC_PREFIX + (size_t)r->length) - r->have;
		if (want > n)
			want = n;
		memcpy(buffer + r->have, in, want);
		r->have += (uint32_t)want;
		in += want;
		n -= want;
		if (r->have == GRPC_PREFIX) {
			err = judge_prefix(r, buffer, room);
			if (err)
				return err;
		}
		r->whole = r->have >= GRPC_PREFIX && r->have == GRPC_PREFIX + r->length;
	}
	return 0;
}

/* ---- Header fields ------------------------------------------------------------------------------ */

void grpc_head_init(struct grpc_head *h, const struct application *app)
{
	*h = (struct grpc_head){
		.app = app, .function = FUNCTION_NONE, .type = -1, .topic = -1, .position = -1,
		.status = -1, .http_status = -1, .grpc_status = -1,
	};
}

static bool is(struct slice s, const char *text, size_t length)
{
	return s.length == length && !memcmp(s.at, text, length);
}
#define IS(s, literal) is(s, literal, sizeof(literal) - 1)

/* A decimal number up to `max`; anything else makes the head a bad one. */
static int number(struct grpc_head *h, struct slice s, int max)
{
	int n = 0;

	for (size_t i = 0; i < s.length && n <= max; i++)
		n = s.at[i] < '0' || s.at[i] > '9' ? INT_MAX : n * 10 + (s.at[i] - '0');
	if (s.length && n <= max)
		return n;
	h->bad = true;
	return -1;
}

/* application/grpc, alone or with "+proto" or parameters behind it; "+json" would be another codec. */
static bool is_grpc(struct slice v)
{
	static const char name[] = "application/grpc", proto[] = "+proto";
	const size_t n = sizeof(name) - 1, p = sizeof(proto) - 1;

	if (v.length < n || memcmp(v.at, name, n))
		return false;
	v.at += n;
	v.length -= n;
	if (v.length >= p && !memcmp(v.at, proto, p)) {
		v.at += p;
		v.length -= p;
	}
	return !v.length || v.at[0] == ';';
}

/* Which function or method a path names. */
static void read_path(struct grpc_head *h, struct slice path)
{
	static const char call[] = "/perhop.Call/", invoke[] = "/perhop.Invoke/";
	size_t skip = 0;

	for (unsigned i = 0; i < h->app->n_methods; i++)
		if (is(path, h->app->methods[i].path, strlen(h->app->methods[i].path))) {
			h->method = &h->app->methods[i];
			h->function = h->method->function;
			return;
		}
	if (path.length > sizeof(call) - 1 && !memcmp(path.at, call, sizeof(call) - 1))
		skip = sizeof(call) - 1;
	else if (path.length > sizeof(invoke) - 1 && !memcmp(path.at, invoke, sizeof(invoke) - 1))
		skip = sizeof(invoke) - 1;
	if (!skip)
		return;
	h->invoke = skip == sizeof(invoke) - 1;
	path.at += skip;
	path.length -= skip;
	for (unsigned i = 0; i < h->app->n_functions; i++)
		if (is(path, h->app->functions[i]->name, strlen(h->app->functions[i]->name)))
			h->function = (function_id)i;
}

static void read_pseudo(struct grpc_head *h, struct slice name, struct slice value)
{
	if (IS(name, ":path"))
		read_path(h, value);
	else if (IS(name, ":status"))
		h->http_status = number(h, value, 599);
	else if (IS(name, ":method")) {
		h->post = IS(value, "POST");
		h->bodyless = IS(value, "HEAD");
	}
}

static void read_grpc(struct grpc_head *h, struct slice name, struct slice value)
{
	if (IS(name, "grpc-status")) {
		h->grpc_status = number(h, value, 99999);
	} else if (IS(name, "grpc-message") && h->reason) {
		h->reason_length = (uint32_t)grpc_percent_decode(value.at, value.length, h->reason,
								 h->reason_room);
	} else if (IS(name, "grpc-timeout")) {
		h->timeout_ns = grpc_timeout_parse(value.at, value.length);
		h->bad |= !h->timeout_ns;
	} else if (IS(name, "grpc-encoding")) {
		h->encoded = !IS(value, "identity");
	}
}

static void read_ours(struct grpc_head *h, struct slice name, struct slice value)
{
	if (IS(name, "perhop-type"))
		h->type = number(h, value, UINT16_MAX);
	else if (IS(name, "perhop-topic"))
		h->topic = number(h, value, TOPIC_MAX - 1);
	else if (IS(name, "perhop-position"))
		h->position = number(h, value, SEQUENCE_MAX - 1);
	else if (IS(name, "perhop-status"))
		h->status = number(h, value, 599);
	else if (IS(name, "perhop-outcome"))
		h->reply = IS(value, "reply");
}

bool grpc_head_field(struct grpc_head *h, struct slice name, struct slice value)
{
	/* RFC 9113 §6.5.2: name, value and 32 bytes. */
	if (name.length + value.length + 32 > GRPC_FIELDS_MAX - h->bytes) {
		h->bytes = GRPC_FIELDS_MAX;
		return false;
	}
	h->bytes += (uint32_t)(name.length + value.length) + 32;
	if (!name.length)
		return true;
	switch (name.at[0]) {
	case ':':
		read_pseudo(h, name, value);
		break;
	case 'c':
		if (IS(name, "content-type"))
			h->grpc = is_grpc(value);
		break;
	case 'g':
		read_grpc(h, name, value);
		break;
	case 'p':
		read_ours(h, name, value);
		break;
	case 't':
		if (IS(name, "te"))
			h->trailers = IS(value, "trailers");
		break;
	}
	return true;
}
