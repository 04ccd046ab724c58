/* SPDX-License-Identifier: BSD-2-Clause */
/* A datagram from anybody: what is taken is bounded and sound, and can be answered. */
#include <errno.h>

#include "chain/adapters/coap.h"
#include "tests/fuzz/fuzz.h"

static bool within(struct slice s, const uint8_t *data, size_t size, const struct packet *p)
{
	const uintptr_t at = (uintptr_t)s.at, in = (uintptr_t)data, scratch = (uintptr_t)p->scratch;

	return !s.length || (at >= in && at + s.length <= in + size) ||
	       (at >= scratch && at + s.length <= scratch + sizeof(p->scratch));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct packet p, again;
	struct adapter_memo memo = { { 0 } };
	uint8_t out[1152];
	struct packet answer;
	ssize_t n = coap_parse(&memo, data, size, &p);

	PROMISE(n == -EPROTO || (size_t)n == size);
	PROMISE(n > 0 || p.reason);
	PROMISE(p.token_length <= 8);
	if (p.kind != PACKET_REQUEST)
		return 0;
	PROMISE(p.topic.length <= ADAPTER_TOPIC_MAX && within(p.topic, data, size, &p));
	PROMISE(within(p.payload, data, size, &p) && (n < 0 || p.method));
	memset(&answer, 0, sizeof(answer));
	answer.kind = PACKET_RESPONSE;
	answer.id = p.id;
	answer.piggybacked = p.confirmable;
	answer.status = n > 0 ? 200 : p.status;
	answer.token_length = p.token_length;
	memcpy(answer.token, p.token, sizeof(answer.token));
	n = coap_format(&memo, &answer, out, sizeof(out));
	PROMISE(n >= 4);
	/* A response is no request: two gateways do not talk each other to death. */
	PROMISE(coap_parse(&memo, out, (size_t)n, &again) == -EPROTO);
	return 0;
}
