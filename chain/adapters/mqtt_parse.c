/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What clients send. A packet is refused as soon as it can be known to be unsound, a too large one by its
 * header; section numbers are those of version 5, [MQTT-…] its normative statements.
 */
#include <errno.h>

#include "chain/adapters/mqtt.h"

#define BIT(property) (UINT64_C(1) << (property))

static const uint64_t CONNECT_PROPERTIES =
	BIT(PROPERTY_SESSION_EXPIRY) | BIT(PROPERTY_RECEIVE_MAX) | BIT(PROPERTY_PACKET_MAX) |
	BIT(PROPERTY_ALIAS_MAX) | BIT(PROPERTY_RESPONSE_INFO) | BIT(PROPERTY_PROBLEM_INFO) |
	BIT(PROPERTY_USER) | BIT(PROPERTY_AUTH_METHOD) | BIT(PROPERTY_AUTH_DATA);
static const uint64_t WILL_PROPERTIES =
	BIT(PROPERTY_WILL_DELAY) | BIT(PROPERTY_PAYLOAD_FORMAT) | BIT(PROPERTY_MESSAGE_EXPIRY) |
	BIT(PROPERTY_CONTENT_TYPE) | BIT(PROPERTY_RESPONSE_TOPIC) | BIT(PROPERTY_CORRELATION) |
	BIT(PROPERTY_USER);
static const uint64_t PUBLISH_PROPERTIES =
	BIT(PROPERTY_PAYLOAD_FORMAT) | BIT(PROPERTY_MESSAGE_EXPIRY) | BIT(PROPERTY_ALIAS) |
	BIT(PROPERTY_RESPONSE_TOPIC) | BIT(PROPERTY_CORRELATION) | BIT(PROPERTY_USER) |
	BIT(PROPERTY_CONTENT_TYPE);

/*
 * Version 3.1.1 has no content type: CloudEvents' MQTT binding (§3.1) then takes the payload for an event
 * in JSON. So do we, in both versions, where nothing else is said.
 */
static struct slice content_type(const struct mqtt_properties *m)
{
	static const char structured[] = "application/cloudevents+json", json[] = "application/json";

	if (m->content_type.length)
		return m->content_type;
	return m->event.length ? (struct slice){ json, sizeof(json) - 1 } :
				 (struct slice){ structured, sizeof(structured) - 1 };
}

static bool fail(struct packet *p, uint8_t reason)
{
	if (!p->reason)
		p->reason = reason;
	return false;
}

/* §3.3.1, §3.3.2.1; [MQTT-4.7.3-1]. */
static bool topic_fits(struct slice topic)
{
	return topic.length && topic.length <= ADAPTER_TOPIC_MAX && topic.at[0] != '$' &&
	       !memchr(topic.at, '+', topic.length) && !memchr(topic.at, '#', topic.length);
}

static bool read_will(struct reader *r, uint8_t version, uint8_t flags, struct packet *p, size_t *used)
{
	struct mqtt_properties m = { 0 };

	p->will = true;
	p->will_qos = flags >> 3 & 3;
	p->will_retain = flags >> 5 & 1;
	if (version == 5 && !mqtt_read_properties(r, WILL_PROPERTIES, p, used, &m))
		return fail(p, REASON_MALFORMED);
	p->will_delay_s = m.will_delay;
	p->will_type = content_type(&m);
	p->event = m.event;
	p->will_topic = mqtt_read_text(r);
	p->will_payload = read_bytes(r, read_number(r, 2));
	if (r->bad || p->will_qos == 3)
		return fail(p, REASON_MALFORMED);
	if (!topic_fits(p->will_topic))
		return fail(p, REASON_TOPIC);
	if (p->will_qos > 1)
		return fail(p, REASON_NO_QOS);
	return p->will_retain ? fail(p, REASON_NO_RETAIN) : true;
}

/* Flags that contradict each other (§3.1.2.3 to §3.1.2.9). */
static bool flags_sound(uint8_t flags, uint8_t version)
{
	const bool will = flags & 4, password = flags & 0x40, user = flags & 0x80;

	return !(flags & 1) && (will || !(flags & 0x38)) && (version == 5 || user || !password);
}

static bool parse_connect(struct adapter_memo *memo, struct reader *r, struct packet *p)
{
	struct slice name = mqtt_read_text(r);
	uint8_t version = (uint8_t)read_number(r, 1), flags;
	struct mqtt_properties m = { .receive_max = UINT16_MAX, .packet_max = UINT32_MAX };
	size_t used = 0;

	if (r->bad)
		return fail(p, REASON_MALFORMED);
	if (name.length != 4 || memcmp(name.at, "MQTT", 4) || (version != 4 && version != 5)) {
		memo->byte[0] = 4;              /* what any client understands (§3.1.2.2) */
		return fail(p, REASON_VERSION);
	}
	memo->byte[0] = version;
	flags = (uint8_t)read_number(r, 1);
	p->clean = flags & 2;
	p->keep_alive_s = (uint16_t)read_number(r, 2);
	if (r->bad || !flags_sound(flags, version))
		return fail(p, REASON_MALFORMED);
	if (version == 5 && !mqtt_read_properties(r, CONNECT_PROPERTIES, p, &used, &m))
		return fail(p, REASON_MALFORMED);
	if (m.seen & BIT(PROPERTY_AUTH_METHOD))
		return fail(p, REASON_AUTH_METHOD);
	p->expiry_s = version == 5 ? m.session_expiry : p->clean ? 0 : UINT32_MAX;
	p->receive_max = m.receive_max;
	p->packet_max = m.packet_max;
	p->client = mqtt_read_text(r);
	used = 0;                               /* attributes are a will's only */
	if (flags & 4 && !read_will(r, version, flags, p, &used))
		return false;
	if (flags & 0x80)
		mqtt_read_text(r);
	if (flags & 0x40)
		read_bytes(r, read_number(r, 2));
	if (r->bad || r->at != r->end)
		return fail(p, REASON_MALFORMED);
	if (p->client.length > ADAPTER_CLIENT_MAX ||
	    (!p->client.length && version == 4 && !p->clean))   /* [MQTT-3.1.3-8] of 3.1.1 */
		return fail(p, REASON_CLIENT_ID);
	return true;
}

static bool parse_publish(uint8_t version, uint8_t flags, struct reader *r, struct packet *p)
{
	struct mqtt_properties m = { 0 };
	size_t used = 0;

	p->qos = flags >> 1 & 3;
	p->dup = flags & 8;
	p->retain = flags & 1;
	if (p->qos == 3 || (p->dup && !p->qos))
		return fail(p, REASON_MALFORMED);
	p->topic = mqtt_read_text(r);
	p->id = p->qos ? (uint16_t)read_number(r, 2) : 0;
	if (r->bad || (p->qos && !p->id))
		return fail(p, REASON_MALFORMED);
	if (version == 5 && !mqtt_read_properties(r, PUBLISH_PROPERTIES, p, &used, &m))
		return fail(p, REASON_MALFORMED);
	if (p->qos > 1)
		return fail(p, REASON_NO_QOS);
	if (p->retain)
		return fail(p, REASON_NO_RETAIN);
	p->alias = m.alias;
	if (!topic_fits(p->topic) && (p->topic.length || !p->alias))
		return fail(p, p->topic.length || version == 4 ? REASON_TOPIC : REASON_PROTOCOL);
	p->type = content_type(&m);
	p->event = m.event;
	p->payload = read_bytes(r, left(r));
	return true;
}

/* PUBACK of what we have sent; version 5 may leave out what is zero (§3.4.2.1). */
static bool parse_puback(uint8_t version, struct reader *r, struct packet *p)
{
	p->id = (uint16_t)read_number(r, 2);
	if (version == 5 && left(r))
		read_number(r, 1);
	if (version == 4 && left(r))
		r->bad = true;
	return r->bad || !p->id ? fail(p, REASON_MALFORMED) : true;
}

static bool read_filter(struct reader *r, uint8_t version, bool subscribe, struct packet *p)
{
	struct packet_filter *f = &p->filter[p->filters];
	struct slice text = mqtt_read_text(r);
	uint8_t options = subscribe ? (uint8_t)read_number(r, 1) : 0;

	if (r->bad || (options & 3) == 3 || options & (version == 5 ? 0xc0 : 0xfc) ||
	    (options >> 4 & 3) == 3)
		return fail(p, REASON_MALFORMED);
	if (p->filters == ADAPTER_FILTERS_MAX)
		return fail(p, REASON_QUOTA);
	*f = (struct packet_filter){ .text = text, .qos = options & 3, .no_local = options & 4 };
	if (text.length >= 7 && !memcmp(text.at, "$share/", 7) && version == 5)
		f->reason = REASON_NO_SHARED;
	else if (text.length > ADAPTER_TOPIC_MAX)
		f->reason = REASON_FILTER;
	p->filters++;
	return true;
}

static bool parse_filters(uint8_t version, bool subscribe, struct reader *r, struct packet *p)
{
	struct mqtt_properties m = { 0 };
	size_t used = 0;
	const uint64_t allowed =
		BIT(PROPERTY_USER) | (subscribe ? BIT(PROPERTY_SUBSCRIPTION_ID) : 0);

	p->id = (uint16_t)read_number(r, 2);
	if (r->bad || !p->id)
		return fail(p, REASON_MALFORMED);
	if (version == 5 && !mqtt_read_properties(r, allowed, p, &used, &m))
		return fail(p, REASON_MALFORMED);
	if (m.seen & BIT(PROPERTY_SUBSCRIPTION_ID))
		return fail(p, REASON_NO_SUBSCRIPTION_ID);
	if (!left(r))
		return fail(p, REASON_PROTOCOL);        /* [MQTT-3.8.3-2]: at least one */
	while (left(r))
		if (!read_filter(r, version, subscribe, p))
			return false;
	return true;
}

static bool parse_disconnect(uint8_t version, struct reader *r, struct packet *p)
{
	if (version == 4 && left(r))
		return fail(p, REASON_MALFORMED);
	p->expiry_s = UINT32_MAX;       /* as it was; changing it is not offered */
	p->will = left(r) && *r->at == REASON_WITH_WILL;
	return true;
}

/* The flags that a packet of `type` must have (§2.1.3). */
static uint8_t flags_of(unsigned type)
{
	return type == MQTT_SUBSCRIBE || type == MQTT_UNSUBSCRIBE ? 2 : 0;
}

static bool parse_body(struct adapter_memo *memo, uint8_t first, struct reader *r, struct packet *p)
{
	const uint8_t version = memo->byte[0];
	const unsigned type = first >> 4;

	if (type != MQTT_PUBLISH && (first & 15) != flags_of(type))
		return fail(p, REASON_MALFORMED);
	if ((type == MQTT_CONNECT) == !!version)
		return fail(p, REASON_PROTOCOL);        /* CONNECT first, and once (§3.1) */
	switch (type) {
	case MQTT_CONNECT:
		p->kind = PACKET_CONNECT;
		return parse_connect(memo, r, p);
	case MQTT_PUBLISH:
		p->kind = PACKET_PUBLISH;
		return parse_publish(version, first & 15, r, p);
	case MQTT_PUBACK:
		p->kind = PACKET_PUBACK;
		return parse_puback(version, r, p);
	case MQTT_SUBSCRIBE:
		p->kind = PACKET_SUBSCRIBE;
		return parse_filters(version, true, r, p);
	case MQTT_UNSUBSCRIBE:
		p->kind = PACKET_UNSUBSCRIBE;
		return parse_filters(version, false, r, p);
	case MQTT_PINGREQ:
		p->kind = PACKET_PING;
		return left(r) ? fail(p, REASON_MALFORMED) : true;
	case MQTT_DISCONNECT:
		p->kind = PACKET_DISCONNECT;
		return parse_disconnect(version, r, p);
	}
	return fail(p, REASON_PROTOCOL);        /* a server's, of QoS 2, or AUTH */
}

ssize_t mqtt_parse(struct adapter_memo *memo, const uint8_t *in, size_t length, struct packet *p)
{
	uint32_t remaining;
	struct reader r;
	int bytes;

	memset(p, 0, offsetof(struct packet, filter));
	if (!length)
		return 0;
	p->kind = in[0] >> 4 == MQTT_CONNECT ? PACKET_CONNECT : 0;
	/* Something else than MQTT is known by its first byte: do not wait for what it calls a length. */
	if (!memo->byte[0] && in[0] != MQTT_CONNECT << 4) {
		p->reason = REASON_PROTOCOL;
		return -EPROTO;
	}
	bytes = mqtt_read_length(in + 1, length - 1, &remaining);
	if (!bytes)
		return 0;
	if (bytes < 0) {
		p->reason = REASON_MALFORMED;
		return -EPROTO;
	}
	if (1 + (size_t)bytes + remaining > ADAPTER_PACKET_MAX) {
		p->reason = REASON_TOO_LARGE;
		return -EPROTO;
	}
	if (length - 1 - (size_t)bytes < remaining)
		return 0;
	r = (struct reader){ .at = in + 1 + bytes, .end = in + 1 + bytes + remaining };
	if (!parse_body(memo, in[0], &r, p))
		return -EPROTO;
	return 1 + bytes + (ssize_t)remaining;
}
