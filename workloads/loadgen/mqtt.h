/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The generator's users as MQTT clients, versions 3.1.1 and 5. A request is one event: a PUBLISH of QoS 1,
 * which its PUBACK ends; or of QoS 0 and a PINGREQ behind it, whose answer says that the gateway has dealt
 * with the event (nothing else does). For a digest the user has subscribed, and the message that the chain
 * sends in answer belongs to the request too.
 *
 * It shares no code with the gateway's adapter: a mistake in one is not made up for by the other.
 */
#ifndef PERHOP_LOADGEN_MQTT_H
#define PERHOP_LOADGEN_MQTT_H

#include "chain/workload.h"
#include "workloads/loadgen/answer.h"

/*
 * CONNECT as client `id` (clean, without keep-alive) and, unless `filter` is NULL, SUBSCRIBE at QoS 0: sent
 * on a new connection before all else. Bytes, or -EMSGSIZE.
 */
ssize_t mqtt_hello(unsigned char *out, size_t room, enum user_protocol version, const char *id,
		   const char *filter);

/* One event: PUBLISH, at QoS 0 with its PINGREQ. Bytes, or -EMSGSIZE. */
ssize_t mqtt_event(unsigned char *out, size_t room, enum user_protocol version, unsigned qos,
		   const char *topic, struct slice type, struct slice body);

/* Expect the answers to an event: after a hello if `fresh`, with a message if `subscribed`. */
void mqtt_begin(struct answer *a, enum user_protocol version, unsigned qos, bool fresh, bool subscribed);

/*
 * Take packets in, as answer_feed. When complete, status is 200, or what a refusal is in HTTP's terms; head
 * and body are those of the message, as if HTTP had brought it.
 */
int mqtt_feed(struct answer *a, struct answer_store *store, char *in, size_t length, size_t *used);

#endif
