/* SPDX-License-Identifier: BSD-2-Clause */
/* MQTT's data types: text, lengths, and the properties of version 5. */
#include <ctype.h>

#include "chain/adapters/mqtt.h"

/* Well-formed UTF-8 without NUL; no surrogates, no overlong forms (Unicode, table 3-7). */
static bool is_text(struct slice s)
{
	const unsigned char *at = (const unsigned char *)s.at, *end = at + s.length;

	while (at < end) {
		const unsigned char c = *at++;
		unsigned more = c < 0x80 ? 0 : c < 0xc2 ? 9 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : c < 0xf5 ? 3 : 9;

		if (!c || more == 9 || more > (size_t)(end - at))
			return false;
		if ((c == 0xe0 && *at < 0xa0) || (c == 0xed && *at > 0x9f) ||
		    (c == 0xf0 && *at < 0x90) || (c == 0xf4 && *at > 0x8f))
			return false;
		for (; more; more--)
			if ((*at++ & 0xc0) != 0x80)
				return false;
	}
	return true;
}

struct slice mqtt_read_text(struct reader *r)
{
	struct slice s = read_bytes(r, read_number(r, 2));

	if (!is_text(s)) {
		r->bad = true;
		s.length = 0;
	}
	return s;
}

int mqtt_read_length(const uint8_t *in, size_t length, uint32_t *value)
{
	*value = 0;
	for (unsigned i = 0; i < 4; i++) {
		if (i == length)
			return 0;
		*value |= (uint32_t)(in[i] & 0x7f) << 7 * i;
		if (!(in[i] & 0x80))
			return (int)i + 1;
	}
	return -1;
}

static bool is(struct slice s, const char *text)
{
	return s.length == strlen(text) && !memcmp(s.at, text, s.length);
}

/* Letters and digits, as CloudEvents names its attributes. */
static bool attribute_name(struct slice s)
{
	for (size_t i = 0; i < s.length; i++)
		if (!islower((unsigned char)s.at[i]) && !isdigit((unsigned char)s.at[i]))
			return false;
	return s.length && s.length <= 20;
}

/*
 * CloudEvents' MQTT binding, binary mode: attributes are user properties. They become the fields of the
 * HTTP binding, which functions know. A value that could end a line is not one.
 */
static bool take_attribute(struct packet *p, size_t *used, struct slice name, struct slice value)
{
	const size_t n = 3 + name.length + 2 + value.length + 2;
	char *at = p->scratch + *used;

	if (!attribute_name(name) || is(name, "datacontenttype"))
		return true;            /* some other user property: ours to ignore */
	for (size_t i = 0; i < value.length; i++)
		if ((unsigned char)value.at[i] < ' ' || value.at[i] == 0x7f)
			return false;
	if (n > sizeof(p->scratch) - *used)
		return false;
	memcpy(at, "ce-", 3);
	memcpy(at + 3, name.at, name.length);
	memcpy(at + 3 + name.length, ": ", 2);
	memcpy(at + 5 + name.length, value.at, value.length);
	memcpy(at + 5 + name.length + value.length, "\r\n", 2);
	*used += n;
	return true;
}

/* One property's value. False: not one of those that a client may send, or unsound. */
static bool read_one(struct reader *r, uint32_t id, struct packet *p, size_t *used,
		     struct mqtt_properties *out)
{
	struct slice name;
	uint32_t n;

	switch (id) {
	case PROPERTY_PAYLOAD_FORMAT:
	case PROPERTY_PROBLEM_INFO:
	case PROPERTY_RESPONSE_INFO:
		return read_number(r, 1) <= 1;
	case PROPERTY_MESSAGE_EXPIRY:
		out->message_expiry = read_number(r, 4);
		return true;
	case PROPERTY_SESSION_EXPIRY:
		out->session_expiry = read_number(r, 4);
		return true;
	case PROPERTY_WILL_DELAY:
		out->will_delay = read_number(r, 4);
		return true;
	case PROPERTY_PACKET_MAX:
		out->packet_max = read_number(r, 4);
		return out->packet_max;
	case PROPERTY_RECEIVE_MAX:
		out->receive_max = (uint16_t)read_number(r, 2);
		return out->receive_max;
	case PROPERTY_ALIAS_MAX:
		read_number(r, 2);              /* we send topics in full */
		return true;
	case PROPERTY_ALIAS:
		out->alias = (uint16_t)read_number(r, 2);
		if (!out->alias || out->alias > ADAPTER_ALIASES)
			p->reason = REASON_ALIAS;
		return p->reason != REASON_ALIAS;
	case PROPERTY_CONTENT_TYPE:
		out->content_type = mqtt_read_text(r);
		return true;
	case PROPERTY_RESPONSE_TOPIC:
	case PROPERTY_REASON_STRING:
	case PROPERTY_AUTH_METHOD:
		mqtt_read_text(r);
		return true;
	case PROPERTY_CORRELATION:
	case PROPERTY_AUTH_DATA:
		read_bytes(r, read_number(r, 2));
		return true;
	case PROPERTY_SUBSCRIPTION_ID: {
		int bytes = mqtt_read_length(r->at, left(r), &n);

		read_bytes(r, bytes > 0 ? (size_t)bytes : 1);
		return bytes > 0 && n;
	}
	case PROPERTY_USER:
		name = mqtt_read_text(r);
		return take_attribute(p, used, name, mqtt_read_text(r));
	}
	return false;
}

bool mqtt_read_properties(struct reader *r, uint64_t allowed, struct packet *p, size_t *used,
			  struct mqtt_properties *out)
{
	const size_t begun = *used;
	uint32_t length, id;
	int bytes = mqtt_read_length(r->at, left(r), &length);
	struct reader in;

	*out = (struct mqtt_properties){ .receive_max = UINT16_MAX, .packet_max = UINT32_MAX };
	if (bytes <= 0 || length > left(r) - (size_t)bytes)
		return false;
	in = (struct reader){ .at = r->at + bytes, .end = r->at + bytes + length };
	r->at = in.end;
	while (in.at < in.end) {
		id = read_number(&in, 1);
		if (id > 0x2a || !(allowed >> id & 1))
			return false;
		if (id != PROPERTY_USER && out->seen >> id & 1) {
			p->reason = REASON_PROTOCOL;        /* [MQTT-3.1.2-21] and others: at most once */
			return false;
		}
		out->seen |= UINT64_C(1) << id;
		if (!read_one(&in, id, p, used, out) || in.bad) {
			if (p->reason == REASON_OK && !in.bad)
				p->reason = REASON_PROTOCOL;
			return false;
		}
	}
	out->event = (struct slice){ p->scratch + begun, *used - begun };
	return true;
}

const char *mqtt_reason_text(uint8_t reason)
{
	static const struct {
		uint8_t reason;
		const char *text;
	} texts[] = {
		{ REASON_MALFORMED, "the packet is malformed" },
		{ REASON_PROTOCOL, "the packet is not allowed here" },
		{ REASON_CLIENT_ID, "a client identifier has 1 to 128 bytes" },
		{ REASON_UNAVAILABLE, "the chain did not take the event: publish it again" },
		{ REASON_BUSY, "too many clients" },
		{ REASON_SHUTTING_DOWN, "this adapter was unloaded" },
		{ REASON_KEEP_ALIVE, "nothing was heard for 1.5 times the keep-alive" },
		{ REASON_TAKEN_OVER, "another client connected with this identifier" },
		{ REASON_TOPIC, "a topic has 1 to 256 bytes, no wildcard, and does not begin with $" },
		{ REASON_TOO_LARGE, "a packet has at most 16384 bytes" },
		{ REASON_QUOTA, "messages or subscriptions are over what this gateway keeps" },
		{ REASON_PAYLOAD, "the function refused the event" },
		{ REASON_NO_RETAIN, "messages are not retained" },
		{ REASON_NO_QOS, "QoS is 0 or 1" },
		{ REASON_NO_SHARED, "there are no shared subscriptions" },
	};

	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].reason == reason)
			return texts[i].text;
	return NULL;
}
