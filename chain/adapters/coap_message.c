/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CoAP messages (RFC 7252 §3):
 *
 *     | Ver Type TKL | Code | Message ID | token | options: delta, length, value … | 0xff payload |
 *
 * A request's path is its topic. Its payload is a CloudEvent in JSON unless Content-Format says otherwise:
 * no format is registered for one. Transfer in blocks (RFC 7959) is refused with 4.02, as any critical option
 * that is not known (§5.4.1); observing (RFC 7641) is elective and not done.
 */
#include <errno.h>

#include "chain/adapters/coap.h"

enum { PAYLOAD_MARKER = 0xff, FORMAT_NONE = -1 };

enum coap_option {
	OPTION_URI_HOST = 3, OPTION_URI_PORT = 7, OPTION_URI_PATH = 11, OPTION_CONTENT_FORMAT = 12,
	OPTION_URI_QUERY = 15, OPTION_ACCEPT = 17, OPTION_BLOCK2 = 23, OPTION_PROXY_URI = 35,
	OPTION_PROXY_SCHEME = 39, OPTION_MAX_AGE = 14,
};

/* CoAP Content-Formats (§12.3) that functions may see. */
static const struct {
	uint16_t format;
	const char *type;
} formats[] = {
	{ 0, "text/plain; charset=utf-8" }, { 42, "application/octet-stream" }, { 50, "application/json" },
};

static int refuse(struct packet *p, uint16_t status)
{
	p->status = status;
	p->reason = REASON_PROTOCOL;
	return -EPROTO;
}

/* 13 and 14 say that one or two bytes more follow; 15 is reserved (§3.1). */
static uint32_t read_extended(struct reader *r, unsigned nibble)
{
	if (nibble == 13)
		return 13 + read_number(r, 1);
	if (nibble == 14)
		return 269 + read_number(r, 2);
	r->bad |= nibble == 15;
	return nibble;
}

static uint32_t number_of(struct slice s)
{
	uint32_t n = 0;

	for (size_t i = 0; i < s.length && i < 4; i++)
		n = n << 8 | (uint8_t)s.at[i];
	return n;
}

/* "sensor/17": segments joined; one that holds a '/' or a NUL would be taken for several. */
static int add_segment(struct packet *p, struct slice s)
{
	size_t n = p->topic.length;

	if (s.length > 255 || memchr(s.at, '/', s.length) || memchr(s.at, '\0', s.length) ||
	    n + 1 + s.length > ADAPTER_TOPIC_MAX)
		return refuse(p, 400);
	if (n)
		p->scratch[n++] = '/';
	memcpy(p->scratch + n, s.at, s.length);
	p->topic = (struct slice){ p->scratch, n + s.length };
	return 0;
}

static int take_option(struct packet *p, uint32_t number, struct slice value, int *format)
{
	switch (number) {
	case OPTION_URI_PATH:
		return add_segment(p, value);
	case OPTION_CONTENT_FORMAT:
		*format = (int)number_of(value);
		return value.length > 2 ? refuse(p, 402) : 0;
	case OPTION_URI_HOST:
	case OPTION_URI_PORT:
	case OPTION_URI_QUERY:
		return 0;
	case OPTION_ACCEPT:
		return number_of(value) == 50 ? 0 : refuse(p, 406);
	case OPTION_BLOCK2:
		/* "Not more than so much at a time, please": our answers fit any size (RFC 7959 §2.4). */
		return number_of(value) >> 4 ? refuse(p, 402) : 0;
	case OPTION_PROXY_URI:
	case OPTION_PROXY_SCHEME:
		return refuse(p, 505);
	}
	return number & 1 ? refuse(p, 402) : 0;     /* critical ones are odd (§5.4.6) */
}

static int parse_options(struct reader *r, struct packet *p, int *format)
{
	uint32_t number = 0;
	int err;

	while (left(r) && *r->at != PAYLOAD_MARKER) {
		const uint8_t first = (uint8_t)read_number(r, 1);
		const uint32_t delta = read_extended(r, first >> 4);
		const struct slice value = read_bytes(r, read_extended(r, first & 15));

		number += delta;
		if (r->bad || number > UINT16_MAX) {
			p->kind = PACKET_RESET;
			return -EPROTO;
		}
		err = take_option(p, number, value, format);
		if (err)
			return err;
	}
	return 0;
}

static int parse_request(struct reader *r, uint8_t code, struct packet *p)
{
	static const char structured[] = "application/cloudevents+json";
	static const uint16_t methods[] = { [1] = HTTP_GET, [2] = HTTP_POST, [3] = HTTP_PUT,
					    [4] = HTTP_DELETE };
	int format = FORMAT_NONE, err;

	p->kind = PACKET_REQUEST;
	if (code >= sizeof(methods) / sizeof(methods[0]))
		return refuse(p, 405);
	p->method = methods[code];
	err = parse_options(r, p, &format);
	if (err)
		return err;
	if (left(r)) {
		read_number(r, 1);
		if (!left(r)) {                 /* a marker and no payload: a message format error (§3) */
			p->kind = PACKET_RESET;
			return -EPROTO;
		}
	}
	if (!p->topic.length)
		return refuse(p, 404);
	p->payload = read_bytes(r, left(r));
	p->type = (struct slice){ structured, sizeof(structured) - 1 };
	for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (format == formats[i].format && format != 50)
			p->type = (struct slice){ formats[i].type, strlen(formats[i].type) };
	return 0;
}

ssize_t coap_parse(struct adapter_memo *memo, const uint8_t *in, size_t length, struct packet *p)
{
	struct reader r = { .at = in, .end = in + length };
	uint8_t first, code;
	struct slice token;
	int err;

	(void)memo;
	memset(p, 0, offsetof(struct packet, filter));
	p->reason = REASON_MALFORMED;
	first = (uint8_t)read_number(&r, 1);
	code = (uint8_t)read_number(&r, 1);
	p->id = (uint16_t)read_number(&r, 2);
	if (r.bad || first >> 6 != 1)
		return -EPROTO;                 /* another version: silence (§3) */
	p->confirmable = (first >> 4 & 3) == COAP_CON;
	/* A confirmable message that is not understood is rejected with a Reset, others are ignored (§4.2, §4.3). */
	p->kind = p->confirmable ? PACKET_RESET : 0;
	token = read_bytes(&r, first & 15);
	if (r.bad || (first & 15) > 8)
		return -EPROTO;
	p->token_length = (uint8_t)token.length;
	memcpy(p->token, token.at, token.length);
	if (!code) {
		if (token.length || left(&r))
			return -EPROTO;
		p->kind = p->confirmable ? PACKET_PING : PACKET_EMPTY;
		p->reason = REASON_OK;
		return (ssize_t)length;
	}
	if (code >> 5 || (first >> 4 & 3) >= COAP_ACK)
		return -EPROTO;                 /* an answer, and we asked nothing */
	p->reason = REASON_OK;
	err = parse_request(&r, code, p);
	if (err)
		p->reason = p->reason ? p->reason : REASON_MALFORMED;
	if (err && p->kind == PACKET_RESET && !p->confirmable)
		p->kind = 0;
	return err ? err : (ssize_t)length;
}

/* The response code of an HTTP status (RFC 8075 §7, the other way round). */
static uint8_t code_of(const struct packet *p)
{
	const unsigned class = p->status / 100, detail = p->status % 100;

	if (class == 2)
		return p->method == HTTP_GET ? COAP_CODE(2, 5) :
		       p->method == HTTP_DELETE ? COAP_CODE(2, 2) : COAP_CODE(2, 4);
	if (class == 4 && (detail <= 6 || detail == 8 || detail == 12 || detail == 13 || detail == 15))
		return (uint8_t)COAP_CODE(4, detail);
	if (class == 5 && detail <= 5)
		return (uint8_t)COAP_CODE(5, detail);
	return class == 4 ? COAP_CODE(4, 0) : COAP_CODE(5, 0);
}

static int format_of(struct slice type)
{
	for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (type.length == strlen(formats[i].type) &&
		    !memcmp(type.at, formats[i].type, type.length))
			return formats[i].format;
	return FORMAT_NONE;
}

static void write_response(struct writer *w, const struct packet *p)
{
	const int format = p->status < 300 ? format_of(p->type) : FORMAT_NONE;  /* else it is a diagnostic */

	if (format == 0)
		write_number(w, OPTION_CONTENT_FORMAT << 4, 1);
	else if (format > 0)
		write_number(w, (OPTION_CONTENT_FORMAT << 4 | 1) << 8 | (uint32_t)format, 2);
	if (p->status == 503)           /* Max-Age 1 s: when to come back (§5.9.3.4); delta 13 + 1 */
		write_number(w, 0xd1 << 16 | (OPTION_MAX_AGE - 13) << 8 | 1, 3);
	if (p->payload.length) {
		write_number(w, PAYLOAD_MARKER, 1);
		write_bytes(w, p->payload.at, p->payload.length);
	}
}

ssize_t coap_format(struct adapter_memo *memo, const struct packet *p, uint8_t *out, size_t room)
{
	struct writer w = { .at = out, .end = out + room };
	const bool response = p->kind == PACKET_RESPONSE;
	unsigned type;

	(void)memo;
	if (!response && p->kind != PACKET_EMPTY && p->kind != PACKET_RESET)
		return 0;
	type = p->kind == PACKET_RESET ? COAP_RST : !response || p->piggybacked ? COAP_ACK : COAP_NON;
	write_number(&w, 1 << 6 | type << 4 | (response ? p->token_length : 0), 1);
	write_number(&w, response ? code_of(p) : 0, 1);
	write_number(&w, p->id, 2);
	if (response) {
		write_bytes(&w, p->token, p->token_length);
		write_response(&w, p);
	}
	return w.full ? -EMSGSIZE : w.at - out;
}
