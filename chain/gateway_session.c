/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sessions: what the gateway knows of a client between and during its connections, its subscriptions,
 * and the messages that wait for it. A session that has never subscribed owns no memory but its slot.
 *
 * A subscriber that does not keep up is let go, with the reason: at QoS 1 it was promised every message, and
 * holding the publishers up for it would make one slow client everybody's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chain/clock.h"
#include "chain/gateway_session.h"
#include "chain/topic.h"

enum { HASH_SIZE = sizeof(((struct ports *)0)->hash) / sizeof(uint32_t) };

static uint32_t index_of(const struct ports *p, const struct session *s)
{
	return (uint32_t)(s - p->sessions);
}

/* FNV-1a. */
static uint32_t *bucket_of(struct ports *p, struct slice id)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < id.length; i++)
		h = (h ^ (uint8_t)id.at[i]) * 16777619u;
	return &p->hash[h % HASH_SIZE];
}

static struct session *find(struct ports *p, struct slice id)
{
	for (uint32_t i = *bucket_of(p, id); i != NONE; i = p->sessions[i].next) {
		struct session *s = &p->sessions[i];

		if (s->id_length == id.length && !memcmp(s->id, id.at, id.length))
			return s;
	}
	return NULL;
}

/* ---- Queues ----------------------------------------------------------------------------------- */

static struct queued *place(const struct session *s, uint32_t i)
{
	return &s->queue[i % PORTS_QUEUE];
}

static void take_first(struct ports *p, struct session *s)
{
	leaf_drop(p, &p->leaves[place(s, s->first)->leaf]);
	s->first++;
	if (s->sent - s->first > PORTS_QUEUE)
		s->sent = s->first;
}

static void empty_queue(struct ports *p, struct session *s)
{
	while (s->first != s->last)
		take_first(p, s);
	s->sent = s->first;
}

static void unlink_subscriber(struct ports *p, struct session *s)
{
	if (!s->subscribed)
		return;
	s->subscribed = false;
	if (s->before != NONE)
		p->sessions[s->before].after = s->after;
	else
		p->subscribers = s->after;
	if (s->after != NONE)
		p->sessions[s->after].before = s->before;
}

static void forget_filters(struct ports *p, struct session *s)
{
	p->filters -= s->filters;
	while (s->filters)
		free(s->filter[--s->filters]);
	unlink_subscriber(p, s);
}

static void end(struct ports *p, struct session *s)
{
	uint32_t *at = bucket_of(p, (struct slice){ s->id, s->id_length });

	if (s->conn != NONE)
		p->conns[s->conn].session = NONE;
	if (s->queue)
		empty_queue(p, s);
	forget_filters(p, s);
	free(s->queue);
	free(s->will);
	while (*at != index_of(p, s))
		at = &p->sessions[*at].next;
	*at = s->next;
	memset(s, 0, sizeof(*s));
	s->next = p->sessions_free;
	p->sessions_free = index_of(p, s);
}

/* ---- Connecting ------------------------------------------------------------------------------- */

/* The session without a client that ends first: room for a client that is here. */
static bool evict(struct ports *p)
{
	struct session *best = NULL;

	for (uint32_t i = 0; i < p->sessions_used; i++) {
		struct session *s = &p->sessions[i];

		if (s->used && s->conn == NONE && (!best || s->gone_ns < best->gone_ns))
			best = s;
	}
	if (best)
		end(p, best);
	return best;
}

static struct session *begin(struct ports *p, struct slice id)
{
	uint32_t *bucket = bucket_of(p, id);
	struct session *s;

	if (p->sessions_free == NONE && p->sessions_used == PORTS_SESSIONS_MAX && !evict(p))
		return NULL;
	if (p->sessions_free != NONE) {
		s = &p->sessions[p->sessions_free];
		p->sessions_free = s->next;
	} else {
		s = &p->sessions[p->sessions_used++];
	}
	memset(s, 0, sizeof(*s));
	s->used = true;
	s->conn = NONE;
	s->id_length = (uint8_t)id.length;
	memcpy(s->id, id.at, id.length);
	s->next = *bucket;
	*bucket = index_of(p, s);
	return s;
}

/* False: no leaf is free, try again. */
static bool publish_will(struct ports *p, struct session *s)
{
	const struct will *w = s->will;
	struct packet *out = &p->made;
	struct leaf *l;

	memset(out, 0, offsetof(struct packet, filter));
	out->qos = w->qos;
	out->topic = (struct slice){ w->bytes, w->topic };
	out->type = (struct slice){ w->bytes + w->topic, w->type };
	out->event = (struct slice){ w->bytes + w->topic + w->type, w->event };
	out->payload = (struct slice){ w->bytes + w->topic + w->type + w->event, w->payload };
	l = leaf_take(p, out, false);
	if (!l)
		return false;
	free(s->will);
	s->will = NULL;
	s->will_due_ns = 0;
	event_start(p, l);
	return true;
}

/* A client of that name is here already: it has to go (3.1.1 and 5, [MQTT-3.1.4-2, -3]). */
static bool keep_will(struct session *s, const struct packet *in)
{
	const struct slice part[] = { in->will_topic, in->will_type, in->event, in->will_payload };
	size_t n = 0;
	char *at;

	free(s->will);
	s->will = NULL;
	s->will_due_ns = 0;
	if (!in->will)
		return true;
	for (unsigned i = 0; i < 4; i++)
		n += part[i].length;
	s->will = malloc(sizeof(*s->will) + n);
	if (!s->will)
		return false;
	*s->will = (struct will){ .qos = in->will_qos, .delay_s = in->will_delay_s,
				  .topic = (uint16_t)part[0].length, .type = (uint16_t)part[1].length,
				  .event = (uint16_t)part[2].length, .payload = (uint32_t)part[3].length };
	at = s->will->bytes;
	for (unsigned i = 0; i < 4; i++) {
		if (part[i].length)
			memcpy(at, part[i].at, part[i].length);
		at += part[i].length;
	}
	return true;
}

static void refuse(struct ports *p, struct pconn *c, uint8_t reason)
{
	struct packet *out = &p->out;

	memset(out, 0, offsetof(struct packet, filter));
	out->kind = PACKET_CONNACK;
	out->reason = reason;
	p->stats.refused[reason]++;
	pconn_send(p, c, out);
	c->ending = true;
	pconn_touch(p, c);
}

static void accept_client(struct ports *p, struct pconn *c, struct session *s, const struct packet *in,
			  bool present, bool assigned)
{
	struct packet *out = &p->out;

	c->connected = true;
	c->publish_will = true;
	c->session = index_of(p, s);
	c->keep_alive_s = in->keep_alive_s;
	c->receive_max = in->receive_max;
	c->packet_max = in->packet_max;
	s->conn = (uint32_t)(c - p->conns);
	s->expiry_s = in->expiry_s < PORTS_SESSION_S ? in->expiry_s : PORTS_SESSION_S;
	s->sent = s->first;         /* what was not acknowledged is sent again, with DUP */
	memset(out, 0, offsetof(struct packet, filter));
	out->kind = PACKET_CONNACK;
	out->present = present;
	out->assigned = assigned;
	out->client = (struct slice){ s->id, s->id_length };
	out->expiry_s = s->expiry_s;
	out->receive_max = PORTS_WINDOW;
	pconn_send(p, c, out);
	pconn_touch(p, c);
}

/* A client of that name is here already: it has to go (3.1.1 and 5, [MQTT-3.1.4-2, -3]). */
static void take_over(struct ports *p, struct session *s)
{
	struct pconn *old = pconn_of(p, s->conn);

	if (!old)
		return;
	p->stats.taken_over++;
	if (s->will && old->publish_will && !s->will->delay_s)
		publish_will(p, s);
	pconn_refuse(p, old, REASON_TAKEN_OVER);
	old->session = NONE;
	s->conn = NONE;
}

void session_connect(struct ports *p, struct pconn *c, const struct packet *in)
{
	struct slice id = in->client;
	struct session *s = NULL;
	bool present;
	char made[40];

	if (!id.length) {           /* [MQTT-3.1.3-6]: a unique one is ours to make */
		id.at = made;
		id.length = (size_t)snprintf(made, sizeof(made), "perhop-%016llx",
					     (unsigned long long)(p->now ^ (p->stats.accepted << 40)));
	} else {
		s = find(p, id);
	}
	if (s)
		take_over(p, s);
	if (s && in->clean) {
		end(p, s);
		s = NULL;
	}
	present = s;
	if (!s)
		s = begin(p, id);
	if (!s || !keep_will(s, in)) {
		if (s)
			end(p, s);
		refuse(p, c, REASON_BUSY);
		return;
	}
	accept_client(p, c, s, in, present, !in->client.length);
}

/* ---- Wills ------------------------------------------------------------------------------------ */

void session_forget_will(struct ports *p, struct pconn *c)
{
	struct session *s = c->session == NONE ? NULL : &p->sessions[c->session];

	c->publish_will = false;
	if (!s)
		return;
	free(s->will);
	s->will = NULL;
}

void session_leave(struct ports *p, struct pconn *c)
{
	struct session *s = c->session == NONE ? NULL : &p->sessions[c->session];
	uint32_t delay;

	if (!s)
		return;
	c->session = NONE;
	s->conn = NONE;
	s->gone_ns = p->now;
	if (s->will && c->publish_will) {
		delay = s->will->delay_s < s->expiry_s ? s->will->delay_s : s->expiry_s;
		s->will_due_ns = p->now + delay * NS_PER_SEC + 1;
		if (!delay)
			publish_will(p, s);
	}
	if (!s->expiry_s && !s->will)
		end(p, s);
}

/* ---- Subscribing ------------------------------------------------------------------------------ */

static int find_filter(const struct session *s, struct slice text)
{
	for (unsigned i = 0; i < s->filters; i++)
		if (s->filter[i]->length == text.length &&
		    !memcmp(s->filter[i]->text, text.at, text.length))
			return (int)i;
	return -1;
}

static void link_subscriber(struct ports *p, struct session *s)
{
	if (s->subscribed)
		return;
	s->subscribed = true;
	s->before = NONE;
	s->after = p->subscribers;
	if (s->after != NONE)
		p->sessions[s->after].before = index_of(p, s);
	p->subscribers = index_of(p, s);
}

/* One filter; returns its SUBACK reason. */
static uint8_t subscribe(struct ports *p, struct session *s, const struct packet_filter *f)
{
	const uint8_t qos = f->qos > 1 ? 1 : f->qos;
	struct filter *made;
	int at;

	if (f->reason)
		return f->reason;
	if (!topic_filter_valid(f->text))
		return REASON_FILTER;
	at = find_filter(s, f->text);
	if (at < 0) {
		if (s->filters == PORTS_FILTERS || p->filters == PORTS_FILTERS_MAX)
			return REASON_QUOTA;
		if (!s->queue)
			s->queue = calloc(PORTS_QUEUE, sizeof(*s->queue));
		made = s->queue ? malloc(sizeof(*made) + f->text.length) : NULL;
		if (!made)
			return REASON_QUOTA;
		made->length = (uint16_t)f->text.length;
		memcpy(made->text, f->text.at, f->text.length);
		at = s->filters++;
		p->filters++;
		s->filter[at] = made;
	}
	s->filter[at]->qos = qos;
	s->filter[at]->no_local = f->no_local;
	link_subscriber(p, s);
	return qos;
}

void session_subscribe(struct ports *p, struct pconn *c, const struct packet *in)
{
	struct packet *out = &p->out;

	memset(out, 0, offsetof(struct packet, filter));
	out->kind = PACKET_SUBACK;
	out->id = in->id;
	out->filters = in->filters;
	for (unsigned i = 0; i < in->filters; i++) {
		out->filter[i].reason = subscribe(p, &p->sessions[c->session], &in->filter[i]);
		if (out->filter[i].reason >= 0x80)
			p->stats.refused[out->filter[i].reason]++;
	}
	pconn_send(p, c, out);
}

void session_unsubscribe(struct ports *p, struct pconn *c, const struct packet *in)
{
	struct session *s = &p->sessions[c->session];
	struct packet *out = &p->out;

	memset(out, 0, offsetof(struct packet, filter));
	out->kind = PACKET_UNSUBACK;
	out->id = in->id;
	out->filters = in->filters;
	for (unsigned i = 0; i < in->filters; i++) {
		const int at = find_filter(s, in->filter[i].text);

		out->filter[i].reason = at < 0 ? REASON_NO_SUBSCRIPTION : REASON_OK;
		if (at < 0)
			continue;
		free(s->filter[at]);
		s->filter[at] = s->filter[--s->filters];
		p->filters--;
	}
	/* It stays among the subscribers: it may hold messages, which sessions_shed must find. */
	pconn_send(p, c, out);
}

/* ---- Messages --------------------------------------------------------------------------------- */

/* It cannot be kept for this one: its session ends, and its client is told. */
static void let_go(struct ports *p, struct session *s)
{
	struct pconn *c = pconn_of(p, s->conn);

	p->stats.dropped += s->last - s->first;
	if (c)
		pconn_refuse(p, c, REASON_QUOTA);
	end(p, s);
}

static bool enqueue(struct ports *p, struct session *s, struct leaf *l, uint8_t qos)
{
	struct queued *q;

	if (s->conn == NONE && !qos)
		return false;           /* QoS 0 is not kept for who is away */
	if (s->last - s->first == PORTS_QUEUE) {
		if (!qos) {
			p->stats.dropped++;
			return false;
		}
		let_go(p, s);
		return false;
	}
	q = place(s, s->last);
	s->next_id = s->next_id == UINT16_MAX ? 1 : (uint16_t)(s->next_id + 1);
	*q = (struct queued){ .leaf = (uint32_t)(l - p->leaves), .qos = qos, .id = s->next_id };
	s->last++;
	l->refs++;
	p->stats.delivered++;
	if (s->conn != NONE)
		pconn_touch(p, &p->conns[s->conn]);
	return true;
}

unsigned sessions_deliver(struct ports *p, struct leaf *l, uint32_t from)
{
	const struct slice topic = leaf_topic(l);
	unsigned heard = 0;
	uint32_t next;

	for (uint32_t i = p->subscribers; i != NONE; i = next) {
		struct session *s = &p->sessions[i];
		int qos = -1;

		next = s->after;        /* it may be let go */
		for (unsigned k = 0; k < s->filters; k++) {
			const struct filter *f = s->filter[k];

			if ((f->no_local && from != NONE && s->conn == from) || f->qos <= qos ||
			    !topic_matches((struct slice){ f->text, f->length }, topic))
				continue;
			qos = f->qos;           /* once, at the highest that was granted (§3.3.4) */
		}
		if (qos >= 0)
			heard += enqueue(p, s, l, l->qos < qos ? l->qos : (uint8_t)qos);
	}
	return heard;
}

static void send_queued(struct ports *p, struct pconn *c, struct queued *q)
{
	const struct leaf *l = &p->leaves[q->leaf];
	struct packet *out = &p->out;

	memset(out, 0, offsetof(struct packet, filter));
	out->kind = PACKET_PUBLISH;
	out->qos = q->qos;
	out->id = q->id;
	out->dup = q->tried && q->qos;
	out->topic = leaf_topic(l);
	out->type = leaf_type(l);
	out->payload = leaf_payload(l);
	q->tried = true;
	pconn_send(p, c, out);
}

void session_flush(struct ports *p, struct pconn *c)
{
	struct session *s = c->session == NONE ? NULL : &p->sessions[c->session];

	if (!s || !s->queue)
		return;
	while (s->sent != s->last && s->sent - s->first < c->receive_max) {
		struct queued *q = place(s, s->sent);
		const struct leaf *l = &p->leaves[q->leaf];
		const uint32_t bytes = 32u + l->topic + l->type + l->payload;

		if (bytes <= c->packet_max && bytes > pconn_room(c))
			return;                 /* when the socket has taken more */
		if (bytes > c->packet_max) {
			p->stats.dropped++;     /* [MQTT-3.1.2-25]: as if it had been sent */
			q->done = true;
		} else if (!q->done) {
			send_queued(p, c, q);
		}
		q->done |= !q->qos;
		s->sent++;
		while (s->first != s->sent && place(s, s->first)->done)
			take_first(p, s);
	}
}

void session_acknowledged(struct ports *p, struct pconn *c, uint16_t id)
{
	struct session *s = &p->sessions[c->session];

	for (uint32_t i = s->first; s->queue && i != s->sent; i++)
		if (place(s, i)->id == id && place(s, i)->qos)
			place(s, i)->done = true;
	while (s->queue && s->first != s->sent && place(s, s->first)->done)
		take_first(p, s);
	pconn_touch(p, c);
}

bool sessions_shed(struct ports *p)
{
	struct session *most = NULL;

	for (uint32_t i = p->subscribers; i != NONE; i = p->sessions[i].after) {
		struct session *s = &p->sessions[i];

		if (s->last != s->first && (!most || s->last - s->first > most->last - most->first))
			most = s;
	}
	if (most)
		let_go(p, most);
	return most;
}

/* ---- Time ------------------------------------------------------------------------------------- */

void sessions_sweep(struct ports *p)
{
	for (uint32_t i = 0; i < p->sessions_used; i++) {
		struct session *s = &p->sessions[i];

		if (!s->used || s->conn != NONE)
			continue;
		if (s->will && s->will_due_ns && s->will_due_ns <= p->now)
			publish_will(p, s);
		if (!s->will && p->now - s->gone_ns >= s->expiry_s * NS_PER_SEC)
			end(p, s);
	}
}

void sessions_destroy(struct ports *p)
{
	for (uint32_t i = 0; i < p->sessions_used; i++)
		if (p->sessions[i].used)
			end(p, &p->sessions[i]);
}
