/* SPDX-License-Identifier: BSD-2-Clause */
#include "workloads/loadgen/mqtt.h"

#include <errno.h>

enum { CONNACK = 0x20, PUBLISH = 0x30, PUBACK = 0x40, SUBACK = 0x90, PINGRESP = 0xd0, DISCONNECT = 0xe0 };

/* What must still come: bits of answer.awaits. */
enum { AWAIT_CONNACK = 1, AWAIT_SUBACK = 2, AWAIT_DONE = 4, AWAIT_MESSAGE = 8 };

enum { PACKET_ID = 1, SUBSCRIBE_ID = 2, CONTENT_TYPE = 3 };

static const char head_json[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";
static const char head_plain[] = "HTTP/1.1 200 OK\r\n\r\n";

/* ---- Writing ---------------------------------------------------------------------------------- */

struct out {
	unsigned char *at, *end;
	bool full;
};

static void put(struct out *o, const void *bytes, size_t n)
{
	if (o->full || n > (size_t)(o->end - o->at)) {
		o->full = true;
		return;
	}
	if (n)
		memcpy(o->at, bytes, n);
	o->at += n;
}

static void put_byte(struct out *o, unsigned value)
{
	put(o, &(unsigned char){ (unsigned char)value }, 1);
}

static void put_text(struct out *o, const char *text, size_t n)
{
	put_byte(o, (unsigned)n >> 8);
	put_byte(o, n & 0xff);
	put(o, text, n);
}

static void put_header(struct out *o, unsigned first, size_t length)
{
	put_byte(o, first);
	for (; length > 0x7f; length >>= 7)
		put_byte(o, 0x80 | (length & 0x7f));
	put_byte(o, (unsigned)length);
}

static ssize_t bytes_of(const struct out *o, const unsigned char *from)
{
	return o->full ? -EMSGSIZE : o->at - from;
}

ssize_t mqtt_hello(unsigned char *out, size_t room, enum user_protocol version, const char *id,
		   const char *filter)
{
	struct out o = { .at = out, .end = out + room };
	const bool five = version == PROTOCOL_MQTT5;
	const size_t n = strlen(id), f = filter ? strlen(filter) : 0;

	put_header(&o, 0x10, 10 + five + 2 + n);
	put_text(&o, "MQTT", 4);
	put_byte(&o, five ? 5 : 4);
	put(&o, "\x02\0\0", 3);                 /* clean, no keep-alive */
	put(&o, "\0", five);                    /* no properties */
	put_text(&o, id, n);
	if (filter) {
		put_header(&o, 0x82, 2u + five + 2 + f + 1);
		put_byte(&o, 0);
		put_byte(&o, SUBSCRIBE_ID);
		put(&o, "\0", five);
		put_text(&o, filter, f);
		put_byte(&o, 0);                /* a message is not acknowledged: it is waited for */
	}
	return bytes_of(&o, out);
}

ssize_t mqtt_event(unsigned char *out, size_t room, enum user_protocol version, unsigned qos,
		   const char *topic, struct slice type, struct slice body)
{
	struct out o = { .at = out, .end = out + room };
	const bool five = version == PROTOCOL_MQTT5;
	const size_t properties = five && type.length ? 3 + type.length : 0;

	put_header(&o, PUBLISH | qos << 1, 2 + strlen(topic) + (qos ? 2 : 0) + five + properties + body.length);
	put_text(&o, topic, strlen(topic));
	if (qos) {
		put_byte(&o, 0);
		put_byte(&o, PACKET_ID);
	}
	if (five)
		put_byte(&o, (unsigned)properties);
	if (properties) {
		put_byte(&o, CONTENT_TYPE);
		put_text(&o, type.at, type.length);
	}
	put(&o, body.at, body.length);
	if (!qos)
		put(&o, "\xc0\0", 2);
	return properties > 0x7f ? -EMSGSIZE : bytes_of(&o, out);
}

/* ---- Reading ---------------------------------------------------------------------------------- */

void mqtt_begin(struct answer *a, enum user_protocol version, unsigned qos, bool fresh, bool subscribed)
{
	answer_begin(a, true, false);
	a->version = version == PROTOCOL_MQTT5 ? 5 : 4;
	a->qos = (uint8_t)qos;
	a->status = 200;
	a->keep_alive = true;
	a->awaits = (uint8_t)(AWAIT_DONE | (fresh ? AWAIT_CONNACK : 0) | (subscribed ? AWAIT_MESSAGE : 0) |
			      (fresh && subscribed ? AWAIT_SUBACK : 0));
	a->head = head_plain;
	a->head_length = sizeof(head_plain) - 1;
}

/* A whole packet's header: its bytes, *length of what follows; 0 for more; -EBADMSG, -EMSGSIZE. */
static int header_of(const unsigned char *at, size_t have, size_t *length)
{
	*length = 0;
	for (unsigned i = 0; i < 4; i++) {
		if (i + 1 >= have)
			return 0;
		*length |= (size_t)(at[i + 1] & 0x7f) << 7 * i;
		if (!(at[i + 1] & 0x80))
			return *length > ANSWER_BODY_MAX ? -EMSGSIZE : (int)i + 2;
	}
	return -EBADMSG;
}

/* MQTT 5 reason codes as HTTP statuses: whose mistake was it? */
static unsigned status_of(unsigned reason)
{
	switch (reason) {
	case 0x88: case 0x89: case 0x8b: case 0x93: case 0x97:
		return 503;
	case 0x80: case 0x83:
		return 500;
	}
	return reason >= 0x80 ? 400 : 200;
}

/* The message that the chain sent in answer. Its payload stays in the buffer until answer_end. */
static int take_message(struct answer *a, unsigned first, const unsigned char *at, size_t n)
{
	size_t skip = n >= 2 ? 2u + ((size_t)at[0] << 8 | at[1]) + (first & 6 ? 2 : 0) : n + 1;

	if (a->version == 5 && skip < n) {
		if (at[skip] == 3 + 16 && skip + 4 + 16 <= n && at[skip + 1] == CONTENT_TYPE &&
		    !memcmp(at + skip + 4, "application/json", 16)) {
			a->head = head_json;
			a->head_length = sizeof(head_json) - 1;
		}
		skip += 1u + at[skip];
	}
	if (skip > n || !(a->awaits & AWAIT_MESSAGE))
		return -EBADMSG;
	a->awaits &= (uint8_t)~AWAIT_MESSAGE;
	a->left = (uint64_t)((const char *)at + skip - a->kept->bytes);
	a->body_length = n - skip;
	return 0;
}

/* Is it what must come, and does it say yes? */
static int take(struct answer *a, unsigned first, const unsigned char *at, size_t n)
{
	unsigned expected = 0, reason = 0;

	switch (first & 0xf0) {
	case CONNACK:
		expected = AWAIT_CONNACK;
		reason = n >= 2 ? at[1] : 0xff;
		if (reason)
			a->awaits = AWAIT_CONNACK;      /* nothing else will come */
		break;
	case SUBACK:
		expected = AWAIT_SUBACK;
		reason = n >= 3 && at[n - 1] < 0x80 ? 0 : 0x87;
		break;
	case PUBACK:
		expected = a->qos ? AWAIT_DONE : 0;
		reason = n > 2 ? at[2] : 0;
		/* Nothing comes after a refusal, nor from a chain that did not take the event. */
		if (reason)
			a->awaits &= (uint8_t)~AWAIT_MESSAGE;
		break;
	case PINGRESP:
		expected = a->qos ? 0 : AWAIT_DONE;
		break;
	case PUBLISH:
		return take_message(a, first, at, n);
	case DISCONNECT:
		a->awaits = AWAIT_DONE;
		expected = AWAIT_DONE;
		reason = n ? at[0] : 0x80;
		a->keep_alive = false;
		break;
	}
	if (!(a->awaits & expected))
		return -EBADMSG;
	a->awaits &= (uint8_t)~expected;
	if (reason)
		a->status = reason < 0x80 && (first & 0xf0) == CONNACK ? 503 : status_of(reason);
	return 0;
}

int mqtt_feed(struct answer *a, struct answer_store *store, char *in, size_t length, size_t *used)
{
	const unsigned char *at = (const unsigned char *)in;
	size_t have = length, n = 0;
	int r;

	*used = length;
	a->started |= length > 0;
	if (a->kept_bytes || a->awaits & AWAIT_MESSAGE) {
		/* A packet in pieces, or a message that other answers may come behind. */
		r = answer_keep(a, store, in, length);
		if (r)
			return r;
		at = (const unsigned char *)a->kept->bytes + a->parsed;
		have = a->kept_bytes - a->parsed;
	}
	while (have && a->awaits) {
		const int header = header_of(at, have, &n);

		if (header < 0)
			return header;
		if (!header || have - (size_t)header < n)
			break;
		r = take(a, at[0], at + header, n);
		if (r)
			return r;
		at += (size_t)header + n;
		have -= (size_t)header + n;
		a->parsed += (uint32_t)((size_t)header + n);
	}
	if (!a->awaits) {
		if (a->body_length)     /* what is kept may have moved since the message came */
			a->body = a->kept->bytes + a->left;
		*used = length - have;
		return 1;
	}
	if (a->kept || !have)
		return 0;
	a->parsed = 0;
	return answer_keep(a, store, (const char *)at, have);
}
