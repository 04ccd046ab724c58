/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside of the MQTT adapter: versions 3.1.1 (OASIS, 2014) and 5 (OASIS, 2019), the server's side.
 * memo.byte[0] is the version, 4 or 5, from CONNECT on.
 */
#ifndef PERHOP_ADAPTERS_MQTT_H
#define PERHOP_ADAPTERS_MQTT_H

#include "chain/adapters/bytes.h"

/* Control packet types (§2.1.2): the high half of the first byte. */
enum mqtt_type {
	MQTT_CONNECT = 1, MQTT_CONNACK, MQTT_PUBLISH, MQTT_PUBACK, MQTT_PUBREC, MQTT_PUBREL,
	MQTT_PUBCOMP, MQTT_SUBSCRIBE, MQTT_SUBACK, MQTT_UNSUBSCRIBE, MQTT_UNSUBACK, MQTT_PINGREQ,
	MQTT_PINGRESP, MQTT_DISCONNECT, MQTT_AUTH,
};

/* Property identifiers (5, §2.2.2.2). */
enum mqtt_property {
	PROPERTY_PAYLOAD_FORMAT = 0x01, PROPERTY_MESSAGE_EXPIRY = 0x02, PROPERTY_CONTENT_TYPE = 0x03,
	PROPERTY_RESPONSE_TOPIC = 0x08, PROPERTY_CORRELATION = 0x09, PROPERTY_SUBSCRIPTION_ID = 0x0b,
	PROPERTY_SESSION_EXPIRY = 0x11, PROPERTY_ASSIGNED_CLIENT = 0x12, PROPERTY_KEEP_ALIVE = 0x13,
	PROPERTY_AUTH_METHOD = 0x15, PROPERTY_AUTH_DATA = 0x16, PROPERTY_PROBLEM_INFO = 0x17,
	PROPERTY_WILL_DELAY = 0x18, PROPERTY_RESPONSE_INFO = 0x19, PROPERTY_REASON_STRING = 0x1f,
	PROPERTY_RECEIVE_MAX = 0x21, PROPERTY_ALIAS_MAX = 0x22, PROPERTY_ALIAS = 0x23,
	PROPERTY_QOS_MAX = 0x24, PROPERTY_RETAIN = 0x25, PROPERTY_USER = 0x26, PROPERTY_PACKET_MAX = 0x27,
	PROPERTY_WILDCARDS = 0x28, PROPERTY_SUBSCRIPTION_IDS = 0x29, PROPERTY_SHARED = 0x2a,
};

/* What the properties of one packet said. */
struct mqtt_properties {
	uint64_t seen;              /* bit per identifier */
	uint32_t session_expiry, message_expiry, will_delay, packet_max;
	uint16_t receive_max, alias;
	struct slice content_type;
	struct slice event;         /* user properties as "ce-name: value\r\n" lines in scratch */
};

/*
 * Read the properties of a packet or of a will (5, §2.2.2): those in `allowed`, a bit each. *used is
 * how much of p->scratch is taken. False with p->reason: unsound.
 */
bool mqtt_read_properties(struct reader *r, uint64_t allowed, struct packet *p, size_t *used,
			  struct mqtt_properties *out);

/* A UTF-8 string with its length before it; unsound text sets r->bad (§1.5.3). */
struct slice mqtt_read_text(struct reader *r);

/* A variable byte integer: bytes it took, 0 for more, -1 for one that is too long (§1.5.5). */
int mqtt_read_length(const uint8_t *in, size_t length, uint32_t *value);

/* The sentence of a reason, for the Reason String of version 5; NULL: it speaks for itself. */
const char *mqtt_reason_text(uint8_t reason);

ssize_t mqtt_parse(struct adapter_memo *memo, const uint8_t *in, size_t length, struct packet *p);
ssize_t mqtt_format(struct adapter_memo *memo, const struct packet *p, uint8_t *out, size_t room);

#endif
