/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events on their way through the chains. A leaf keeps what was published until every chain that its
 * topic selects has answered, so that it can be given to one again.
 *
 *     todo ──submit──> pending ──answer < 500──> done with this chain
 *      ^ │ full, dead     │ 502, 503, 504 at QoS 1
 *      └─┴── waiting <────┘
 */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "chain/clock.h"
#include "chain/gateway_session.h"
#include "chain/probe.h"
#include "chain/topic.h"

enum { TRIES_SHIFT_MAX = 7, CHAIN_SHIFT = 24 };     /* ticket.sequence: chain, leaf */

/* ---- Leaves ----------------------------------------------------------------------------------- */

struct leaf *leaf_take(struct ports *p, const struct packet *packet, bool event)
{
	const struct slice *part[] = { &packet->topic, &packet->type, &packet->event, &packet->payload };
	struct leaf *l;
	size_t at = 0;

	if (event && p->events_held >= p->host.leaves / 2)
		return NULL;
	for (unsigned i = 0; i < 4; i++)
		at += part[i]->length;
	if (at > LEAF_BYTES || packet->topic.length > ADAPTER_TOPIC_MAX ||
	    packet->type.length > UINT16_MAX)
		return NULL;
	/* Those who publish do not wait for those who do not read. */
	while (p->leaves_held >= p->host.leaves)
		if (!sessions_shed(p))
			return NULL;
	if (p->leaves_free != NONE) {
		l = &p->leaves[p->leaves_free];
		p->leaves_free = l->next;
	} else {
		l = &p->leaves[p->leaves_used++];
	}
	p->leaves_held++;
	p->events_held += event;
	l->event_held = event;
	l->generation++;
	l->conn = l->exchange = NONE;
	l->next = NONE;
	l->todo = 0;
	l->refs = 1;
	l->pending = l->tries = l->reason = 0;
	l->qos = packet->qos;
	l->method = 0;
	l->born_ns = p->now;
	l->due_ns = 0;
	l->topic = (uint16_t)packet->topic.length;
	l->type = (uint16_t)packet->type.length;
	l->event = (uint16_t)packet->event.length;
	l->payload = (uint32_t)packet->payload.length;
	at = 0;
	for (unsigned i = 0; i < 4; i++) {
		if (part[i]->length)
			memcpy(l->bytes + at, part[i]->at, part[i]->length);
		at += part[i]->length;
	}
	PERHOP_COPY(at);
	return l;
}

void leaf_drop(struct ports *p, struct leaf *l)
{
	if (--l->refs)
		return;
	l->generation++;
	l->next = p->leaves_free;
	p->leaves_free = (uint32_t)(l - p->leaves);
	p->leaves_held--;
}

struct slice leaf_topic(const struct leaf *l)
{
	return (struct slice){ l->bytes, l->topic };
}

struct slice leaf_type(const struct leaf *l)
{
	return (struct slice){ l->bytes + l->topic, l->type };
}

static struct slice leaf_event(const struct leaf *l)
{
	return (struct slice){ l->bytes + l->topic + l->type, l->event };
}

struct slice leaf_payload(const struct leaf *l)
{
	return (struct slice){ l->bytes + l->topic + l->type + l->event, l->payload };
}

/* ---- Which chains ----------------------------------------------------------------------------- */

/* Does one of the filters in "a/+|b/#" match? */
static bool any_matches(const char *filters, struct slice topic)
{
	while (filters && *filters) {
		const size_t n = strcspn(filters, "|");

		if (topic_matches((struct slice){ filters, n }, topic))
			return true;
		filters += n + (filters[n] == '|');
	}
	return false;
}

static uint32_t chains_of(const struct ports *p, struct slice topic)
{
	const struct application *app = p->host.app;
	uint32_t set = 0;

	for (unsigned i = 0; i < app->n_chains; i++)
		if (any_matches(app->chains[i].topics, topic))
			set |= UINT32_C(1) << i;
	return set;
}

/* ---- The end of an event ---------------------------------------------------------------------- */

static void tell_client(struct ports *p, struct leaf *l, uint8_t reason)
{
	struct pconn *c = pconn_of(p, l->conn);
	struct window_place *w;

	if (!c || c->fd < 0 || c->generation != l->conn_generation ||
	    l->place - c->first >= c->last - c->first)
		return;
	w = &c->window[l->place % PORTS_WINDOW];
	w->reason = reason;
	w->done = true;
	if (reason == REASON_UNAVAILABLE && w->qos) {
		p->stats.given_up++;
		pconn_refuse(p, c, reason);     /* no PUBACK: it is the client's again */
		return;
	}
	pconn_touch(p, c);
}

/* HTTP's status for a reason that is not one of a function's own. */
static unsigned status_of(uint8_t reason)
{
	switch (reason) {
	case REASON_OK:
		return 204;
	case REASON_NO_SUBSCRIBERS:
		return 404;
	case REASON_TOO_LARGE:
		return 413;
	case REASON_UNAVAILABLE:
		return 502;
	}
	return 500;
}

static void finish(struct ports *p, struct leaf *l)
{
	const struct slice none = { NULL, 0 };

	if (l->exchange != NONE)        /* unless a function has answered */
		datagram_answer(p, l->exchange, status_of(l->reason), none, none);
	p->events_held -= l->event_held;
	l->event_held = false;
	if (p->n_stalled)
		p->wake = true;
	p->stats.acknowledged += l->qos && l->reason < 0x80;
	tell_client(p, l, l->reason);
	leaf_drop(p, l);
}

static void finish_if_done(struct ports *p, struct leaf *l)
{
	if (!l->todo && !l->pending)
		finish(p, l);
}

/* ---- Into the chains -------------------------------------------------------------------------- */

static int submit(struct ports *p, struct leaf *l, unsigned chain)
{
	const struct slice path = { p->host.app->chains[chain].path,
				    strlen(p->host.app->chains[chain].path) };
	const struct http_head h = {
		.method = l->method ? l->method : HTTP_POST,
		.minor = 1,
		.target = path,
		.path = path,
		.content_type = leaf_type(l),
		.event = leaf_event(l),
		.content_length = l->payload,
		.has_length = true,
		.keep_alive = true,
	};
	const struct ticket t = { TICKET_PORTS, l->generation,
				  chain << CHAIN_SHIFT | (uint32_t)(l - p->leaves) };

	return p->host.submit(p->host.arg, t, chain, &h, leaf_payload(l));
}

static void wait_for_chain(struct ports *p, struct leaf *l, uint64_t due_ns)
{
	const uint32_t i = (uint32_t)(l - p->leaves);

	l->due_ns = due_ns;
	l->next = NONE;
	if (p->waiting_first == NONE)
		p->waiting_first = i;
	else
		p->leaves[p->waiting_last].next = i;
	p->waiting_last = i;
	if (due_ns < p->retry_at)
		p->retry_at = due_ns;
}

static uint64_t backoff(const struct leaf *l)
{
	const uint64_t ns = PORTS_RETRY_NS << (l->tries < TRIES_SHIFT_MAX ? l->tries : TRIES_SHIFT_MAX);

	return ns < PORTS_RETRY_MAX_NS ? ns : PORTS_RETRY_MAX_NS;
}

/*
 * Give it to the chains that it must still go to. A full chain is waited for without an end: the client
 * is held up. A dead one, for as long as a request may take. At QoS 0 nothing is waited for but room.
 */
static void try_chains(struct ports *p, struct leaf *l)
{
	bool full = false, dead = false;

	for (uint32_t left = l->todo; left; left &= left - 1) {
		const unsigned chain = (unsigned)__builtin_ctz(left);
		const int err = submit(p, l, chain);

		if (err == -EAGAIN) {
			full = true;
			continue;
		}
		if (err == -EPIPE && l->qos && p->now - l->born_ns < p->host.retry_ns) {
			dead = true;
			continue;
		}
		l->todo &= ~(UINT32_C(1) << chain);
		if (!err)
			l->pending++;
		else
			l->reason = err == -EMSGSIZE ? REASON_TOO_LARGE : REASON_UNAVAILABLE;
	}
	if (l->todo) {
		l->tries += dead && l->tries < UINT8_MAX;
		wait_for_chain(p, l, full && !dead ? p->now + NS_PER_MS / 4 : p->now + backoff(l));
		return;
	}
	finish_if_done(p, l);
}

/* A datagram's path may also be that of a chain, as with HTTP. */
static uint32_t chain_of_path(struct ports *p, const struct leaf *l)
{
	char path[1 + ADAPTER_TOPIC_MAX] = "/";
	unsigned chain;

	memcpy(path + 1, l->bytes, l->topic);
	chain = p->host.find(p->host.arg, (struct slice){ path, 1u + l->topic });
	return chain < TOPIC_MAX ? UINT32_C(1) << chain : 0;
}

void event_start(struct ports *p, struct leaf *l)
{
	unsigned heard;

	p->stats.events++;
	l->todo = chains_of(p, leaf_topic(l));
	if (l->todo && l->method == HTTP_PUT)
		l->method = HTTP_POST;  /* to a topic, PUT publishes as POST does */
	else if (!l->todo && l->exchange != NONE)
		l->todo = chain_of_path(p, l);
	heard = p->subscribers == NONE ? 0 : sessions_deliver(p, l, l->conn);
	if (!l->todo && !heard)
		l->reason = REASON_NO_SUBSCRIBERS;
	try_chains(p, l);
}

void events_retry(struct ports *p)
{
	uint32_t i = p->waiting_first;

	if (p->now < p->retry_at)
		return;
	p->waiting_first = p->waiting_last = NONE;
	p->retry_at = UINT64_MAX;
	while (i != NONE) {
		struct leaf *l = &p->leaves[i];

		i = l->next;
		if (l->due_ns <= p->now)
			try_chains(p, l);
		else
			wait_for_chain(p, l, l->due_ns);
	}
}

/* ---- Out of the chains ------------------------------------------------------------------------ */

/* The value of the field `name` among a response's. */
static struct slice field_of(struct slice fields, const char *name)
{
	struct slice key, value;

	while (http_field_next(&fields, &key, &value))
		if (key.length == strlen(name) && !strncasecmp(key.at, name, key.length))
			return value;
	return (struct slice){ NULL, 0 };
}

/* A function's answer is a message of its own where it names a topic: for who has subscribed to it. */
static void publish_answer(struct ports *p, const struct answer *a, uint8_t qos)
{
	struct slice topic = field_of(a->fields, "Topic");
	struct packet *out = &p->made;
	struct leaf *l;

	if (!topic_name_valid(topic) || topic.length > ADAPTER_TOPIC_MAX || topic.at[0] == '$')
		return;
	memset(out, 0, offsetof(struct packet, filter));
	out->qos = qos;
	out->topic = topic;
	out->type = a->content_type;
	out->payload = a->body;
	l = leaf_take(p, out, false);
	if (!l) {
		p->stats.dropped++;
		return;
	}
	sessions_deliver(p, l, NONE);
	leaf_drop(p, l);
}

static uint8_t reason_of(unsigned status)
{
	if (status < 400)
		return REASON_OK;
	switch (status) {
	case 400:
	case 415:
	case 422:
		return REASON_PAYLOAD;
	case 413:
		return REASON_TOO_LARGE;
	case 502:
	case 503:
	case 504:
		return REASON_UNAVAILABLE;
	}
	return status < 500 ? REASON_REFUSED : REASON_UNSPECIFIED;
}

void ports_answer(struct ports *p, struct ticket t, const struct answer *a)
{
	const uint32_t i = t.sequence & ((1u << CHAIN_SHIFT) - 1);
	const uint8_t reason = reason_of(a->status);
	struct leaf *l;

	if (i >= p->leaves_used || p->leaves[i].generation != t.generation || !p->leaves[i].pending)
		return;
	l = &p->leaves[i];
	l->pending--;
	if (reason == REASON_UNAVAILABLE && l->qos && l->exchange == NONE &&
	    p->now - l->born_ns < p->host.retry_ns) {
		const bool waits = l->todo;

		p->stats.retried++;
		l->todo |= UINT32_C(1) << (t.sequence >> CHAIN_SHIFT);
		l->tries += l->tries < UINT8_MAX;
		if (!waits)
			wait_for_chain(p, l, p->now + backoff(l));
		return;
	}
	if (reason > l->reason)
		l->reason = reason;
	if (l->exchange != NONE)
		datagram_answer(p, l->exchange, a->status, a->content_type, a->body);
	if (reason == REASON_OK && p->subscribers != NONE)
		publish_answer(p, a, l->qos);
	finish_if_done(p, l);
}
