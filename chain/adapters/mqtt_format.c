/* SPDX-License-Identifier: BSD-2-Clause */
/* What the gateway sends. The remaining length is filled in last, at its shortest. */
#include <errno.h>

#include "chain/adapters/mqtt.h"

enum { HEADER_MAX = 5 };    /* first byte, and four of length */

static void write_text(struct writer *w, struct slice s)
{
	write_number(w, (uint32_t)s.length, 2);
	write_bytes(w, s.at, s.length);
}

static void write_varint(struct writer *w, uint32_t n)
{
	do {
		write_number(w, (n & 0x7f) | (n > 0x7f ? 0x80 : 0), 1);
		n >>= 7;
	} while (n);
}

/* Properties come with their length before them: keep a byte, which is enough for ours, or for two. */
static uint8_t *begin_properties(struct writer *w)
{
	uint8_t *at = w->at;

	write_number(w, 0, 2);
	return at;
}

static void end_properties(struct writer *w, uint8_t *at)
{
	size_t n;

	if (w->full)
		return;
	n = (size_t)(w->at - at) - 2;
	if (n > 0x7f) {
		at[0] = (uint8_t)(0x80 | (n & 0x7f));
		at[1] = (uint8_t)(n >> 7);
		return;
	}
	at[0] = (uint8_t)n;
	memmove(at + 1, at + 2, n);
	w->at--;
}

static void write_reason_text(struct writer *w, uint8_t reason)
{
	const char *text = mqtt_reason_text(reason);
	uint8_t *at = begin_properties(w);

	if (text) {
		write_number(w, PROPERTY_REASON_STRING, 1);
		write_text(w, (struct slice){ text, strlen(text) });
	}
	end_properties(w, at);
}

/* The return code of 3.1.1 (its table 3.1) nearest to a reason. */
static uint8_t return_code(uint8_t reason)
{
	switch (reason) {
	case REASON_OK:
		return 0;
	case REASON_VERSION:
		return 1;
	case REASON_CLIENT_ID:
		return 2;
	case REASON_BUSY:
	case REASON_QUOTA:
	case REASON_UNAVAILABLE:
	case REASON_SHUTTING_DOWN:
		return 3;
	}
	return 5;
}

/* What this gateway does not do is said at once (5, §3.2.2.3). */
static void write_connack(struct writer *w, uint8_t version, const struct packet *p)
{
	uint8_t *at;

	write_number(w, p->present && !p->reason, 1);
	write_number(w, version == 5 ? p->reason : return_code(p->reason), 1);
	if (version != 5)
		return;
	if (p->reason) {
		write_reason_text(w, p->reason);
		return;
	}
	at = begin_properties(w);
	write_number(w, PROPERTY_SESSION_EXPIRY, 1);
	write_number(w, p->expiry_s, 4);
	write_number(w, PROPERTY_RECEIVE_MAX, 1);
	write_number(w, p->receive_max, 2);
	write_number(w, PROPERTY_PACKET_MAX, 1);
	write_number(w, ADAPTER_PACKET_MAX, 4);
	write_number(w, PROPERTY_ALIAS_MAX, 1);
	write_number(w, ADAPTER_ALIASES, 2);
	write_number(w, PROPERTY_QOS_MAX << 8 | 1, 2);
	write_number(w, PROPERTY_RETAIN << 8, 2);
	write_number(w, PROPERTY_SUBSCRIPTION_IDS << 8, 2);
	write_number(w, PROPERTY_SHARED << 8, 2);
	if (p->assigned) {
		write_number(w, PROPERTY_ASSIGNED_CLIENT, 1);
		write_text(w, p->client);
	}
	end_properties(w, at);
}

/* Properties first: a client decides by them whether it reads the payload. */
static void write_publish(struct writer *w, uint8_t version, const struct packet *p)
{
	uint8_t *at;

	write_text(w, p->topic);
	if (p->qos)
		write_number(w, p->id, 2);
	if (version == 5) {
		at = begin_properties(w);
		if (p->type.length) {
			write_number(w, PROPERTY_CONTENT_TYPE, 1);
			write_text(w, p->type);
		}
		end_properties(w, at);
	}
	write_bytes(w, p->payload.at, p->payload.length);
}

static void write_puback(struct writer *w, uint8_t version, const struct packet *p)
{
	write_number(w, p->id, 2);
	if (version != 5 || !p->reason)
		return;
	write_number(w, p->reason, 1);
	write_reason_text(w, p->reason);
}

static void write_filters(struct writer *w, uint8_t version, bool subscribe, const struct packet *p)
{
	write_number(w, p->id, 2);
	if (version == 5)
		write_varint(w, 0);
	else if (!subscribe)
		return;
	for (unsigned i = 0; i < p->filters; i++)
		write_number(w, version != 5 && p->filter[i].reason >= 0x80 ? 0x80 :
			     p->filter[i].reason, 1);
}

static bool write_body(struct writer *w, uint8_t version, const struct packet *p, uint8_t *first)
{
	switch (p->kind) {
	case PACKET_CONNACK:
		*first = MQTT_CONNACK << 4;
		write_connack(w, version, p);
		return true;
	case PACKET_PUBLISH:
		*first = (uint8_t)(MQTT_PUBLISH << 4 | p->dup << 3 | p->qos << 1);
		write_publish(w, version, p);
		return true;
	case PACKET_PUBACK:
		*first = MQTT_PUBACK << 4;
		write_puback(w, version, p);
		return true;
	case PACKET_SUBACK:
	case PACKET_UNSUBACK:
		*first = (p->kind == PACKET_SUBACK ? MQTT_SUBACK : MQTT_UNSUBACK) << 4;
		write_filters(w, version, p->kind == PACKET_SUBACK, p);
		return true;
	case PACKET_PONG:
		*first = MQTT_PINGRESP << 4;
		return true;
	case PACKET_DISCONNECT:
		if (version != 5)
			return false;           /* a server of 3.1.1 can only close */
		*first = MQTT_DISCONNECT << 4;
		write_number(w, p->reason, 1);
		write_reason_text(w, p->reason);
		return true;
	}
	return false;
}

ssize_t mqtt_format(struct adapter_memo *memo, const struct packet *p, uint8_t *out, size_t room)
{
	struct writer w = { .at = out + HEADER_MAX, .end = out + room };
	struct writer header = { .at = out, .end = out + HEADER_MAX };
	uint8_t first = 0;
	size_t n;

	if (room < HEADER_MAX)
		return -EMSGSIZE;
	if (!write_body(&w, memo->byte[0] ? memo->byte[0] : 4, p, &first))
		return 0;
	if (w.full)
		return -EMSGSIZE;
	n = (size_t)(w.at - out) - HEADER_MAX;
	write_number(&header, first, 1);
	write_varint(&header, (uint32_t)n);
	memmove(header.at, out + HEADER_MAX, n);
	return header.at - out + (ssize_t)n;
}
