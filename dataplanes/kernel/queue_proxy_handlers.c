/* SPDX-License-Identifier: BSD-2-Clause */
/* Around the function: the handlers of sure's library sidecar, the same code, on requests of HTTP. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplanes/kernel/queue_proxy_conn.h"
#include "dataplanes/kernel/token.h"
#include "dataplanes/kernel/wire.h"

int handlers_open(struct proxy *p)
{
	static const struct sidecar_config none;

	p->seen = aligned_alloc(64, sizeof(*p->seen));
	if (!p->seen)
		return -ENOMEM;
	memset(p->seen, 0, sizeof(*p->seen));
	sidecar_open(&p->handlers, p->c.handlers ? p->c.handlers : &none, p->seen);
	return 0;
}

void handlers_look(const struct proxy *p, struct client *c)
{
	const struct http_head *h = &c->s.head;
	long topic, position;

	if (!p->handlers.config.n)
		return;
	topic = wire_number(h->x_topic, UINT16_MAX);
	position = wire_number(h->x_position, UINT8_MAX);
	/* Without a token: a tag that is nobody's, for auth to refuse, and an id of our own. */
	memset(c->tag, 0, sizeof(c->tag));
	c->rq = (struct sidecar_request){
		.id = (uint64_t)c->generation << 16 | c->index, .born_ns = c->since, .tag = c->tag,
		.topic = topic < 0 ? 0 : (uint16_t)topic, .position = position < 0 ? 0 : (uint8_t)position,
	};
	token_read(h->x_token, &c->rq.id, c->tag);
}

uint16_t handlers_ask(struct proxy *p, const struct client *c, const char **why)
{
	return p->handlers.config.n ? sidecar_before(&p->handlers, &c->rq, p->now, why) : 0;
}

void handlers_tell(struct proxy *p, const struct client *c, unsigned status)
{
	if (p->handlers.config.n)
		sidecar_after(&p->handlers, &c->rq, c->since, p->now, (uint16_t)status);
}
