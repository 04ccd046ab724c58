/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Datagrams: a request, its answer, and the memory that a repeated request is answered from (RFC 7252
 * §4.2, §4.5), so that an event runs once however often it had to be sent.
 *
 *     FREE ──request──> WAITING ──answer──> ANSWERED ──its lifetime, or the place is needed──> FREE
 *                         └─ after a second: acknowledged, the answer will come by itself (§5.2.2)
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "chain/clock.h"
#include "chain/gateway_session.h"

enum {
	DATAGRAMS_PER_TURN = 64,
	DATAGRAM_MAX = 1152,        /* bytes of an answer: fits every path (RFC 7252 §4.6) */
	PROBES = 8,                 /* places where an exchange may be */
};

#define LIFETIME_NS (247 * NS_PER_SEC)      /* EXCHANGE_LIFETIME, §4.8.2 */
#define ACKNOWLEDGE_NS NS_PER_SEC           /* well before ACK_TIMEOUT, 2 s, repeats the request */

enum asked_state { ASKED_FREE, ASKED_WAITING, ASKED_ANSWERED };

/* What was asked, by whom, and what was answered. */
struct asked {
	uint8_t state;              /* enum asked_state */
	uint8_t port;
	bool confirmable, acknowledged;
	uint16_t id, method, length;
	uint8_t token_length, token[8];
	struct sockaddr_in from;
	uint64_t born_ns;
	uint8_t bytes[DATAGRAM_MAX];
};

struct exchange_memory {
	struct asked at[PORTS_EXCHANGES];
	uint32_t pending;
	uint16_t next_id;           /* of messages that are not acknowledgements */
};

int datagrams_create(struct ports *p)
{
	p->exchanges = mmap(NULL, sizeof(*p->exchanges), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p->exchanges == MAP_FAILED)
		p->exchanges = NULL;
	return p->exchanges ? 0 : -ENOMEM;
}

void datagrams_destroy(struct ports *p)
{
	if (p->exchanges)
		munmap(p->exchanges, sizeof(*p->exchanges));
	p->exchanges = NULL;
}

static bool same(const struct asked *x, unsigned port, const struct sockaddr_in *from, uint16_t id)
{
	return x->port == port && x->id == id && x->from.sin_port == from->sin_port &&
	       x->from.sin_addr.s_addr == from->sin_addr.s_addr;
}

/*
 * The exchange of this message, or a place for it: a free one, else that of the oldest answered one near
 * by. NULL: all are waiting for their answers. *known: it is a repetition.
 */
static struct asked *place_for(struct ports *p, unsigned port, const struct sockaddr_in *from, uint16_t id,
			       bool *known)
{
	uint64_t h = ((uint64_t)from->sin_addr.s_addr << 32 | (uint32_t)from->sin_port << 16 | id) *
		     UINT64_C(0x9e3779b97f4a7c15);
	struct asked *best = NULL;

	*known = false;
	for (unsigned i = 0; i < PROBES; i++) {
		struct asked *x = &p->exchanges->at[((h >> 40) + i) % PORTS_EXCHANGES];

		if (x->state == ASKED_ANSWERED && p->now - x->born_ns > LIFETIME_NS)
			x->state = ASKED_FREE;
		if (x->state != ASKED_FREE && same(x, port, from, id)) {
			*known = true;
			return x;
		}
		if (x->state == ASKED_WAITING)
			continue;
		if (!best || (best->state != ASKED_FREE &&
			      (x->state == ASKED_FREE || x->born_ns < best->born_ns)))
			best = x;
	}
	return best;
}

/* ---- Sending ---------------------------------------------------------------------------------- */

/* Lost when the socket is full, as datagrams may be: the client asks again. */
static void send_bytes(struct ports *p, unsigned port, const struct sockaddr_in *to, const void *bytes,
		       size_t n)
{
	(void)!sendto(p->port[port].listen_fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL,
		      (const struct sockaddr *)to, sizeof(*to));
}

static size_t format(struct ports *p, unsigned port, const struct packet *out, uint8_t *bytes)
{
	struct adapter_memo memo = { { 0 } };
	ssize_t n = p->port[port].ops ? p->port[port].ops->format(&memo, out, bytes, DATAGRAM_MAX) : 0;

	return n > 0 ? (size_t)n : 0;
}

/* A word without a memory: a reset, an acknowledgement, a refusal. */
static void say(struct ports *p, unsigned port, const struct sockaddr_in *to, struct packet *out)
{
	uint8_t bytes[DATAGRAM_MAX];
	size_t n = format(p, port, out, bytes);

	if (n)
		send_bytes(p, port, to, bytes, n);
}

static void begin(struct packet *out, uint8_t kind, const struct packet *in)
{
	memset(out, 0, offsetof(struct packet, filter));
	out->kind = kind;
	out->id = in->id;
	out->confirmable = in->confirmable;
	out->piggybacked = in->confirmable;
	out->method = in->method;
	out->token_length = in->token_length;
	memcpy(out->token, in->token, sizeof(out->token));
}

static void refuse(struct ports *p, unsigned port, const struct sockaddr_in *to, const struct packet *in,
		   unsigned status, const char *text)
{
	struct packet *out = &p->out;

	begin(out, PACKET_RESPONSE, in);
	if (!in->confirmable)
		out->id = ++p->exchanges->next_id;
	out->status = (uint16_t)status;
	out->payload = (struct slice){ text, strlen(text) };
	p->stats.refused[in->reason ? in->reason : REASON_BUSY]++;
	say(p, port, to, out);
}

void datagram_answer(struct ports *p, uint32_t exchange, unsigned status, struct slice type,
		     struct slice body)
{
	static const char too_large[] = "the answer needs block-wise transfer, which is not supported";
	struct asked *x = &p->exchanges->at[exchange];
	struct packet *out = &p->out;

	if (x->state != ASKED_WAITING)
		return;
	memset(out, 0, offsetof(struct packet, filter));
	out->kind = PACKET_RESPONSE;
	out->piggybacked = x->confirmable && !x->acknowledged;
	out->id = out->piggybacked ? x->id : ++p->exchanges->next_id;
	out->method = x->method;
	out->status = (uint16_t)status;
	out->token_length = x->token_length;
	memcpy(out->token, x->token, sizeof(out->token));
	out->type = type;
	out->payload = body;
	if (body.length > DATAGRAM_MAX - 128) {
		out->status = 501;
		out->type.length = 0;
		out->payload = (struct slice){ too_large, sizeof(too_large) - 1 };
	}
	x->length = (uint16_t)format(p, x->port, out, x->bytes);
	x->state = ASKED_ANSWERED;
	p->exchanges->pending--;
	send_bytes(p, x->port, &x->from, x->bytes, x->length);
}

/* ---- Receiving -------------------------------------------------------------------------------- */

static void acknowledge(struct ports *p, struct asked *x)
{
	const struct packet in = { .id = x->id, .confirmable = true };

	begin(&p->out, PACKET_EMPTY, &in);
	x->acknowledged = true;
	say(p, x->port, &x->from, &p->out);
}

static void repeat(struct ports *p, struct asked *x)
{
	p->stats.repeated_datagrams++;
	if (x->state == ASKED_ANSWERED)
		send_bytes(p, x->port, &x->from, x->bytes, x->length);
	else if (x->confirmable)
		acknowledge(p, x);
}

static void request(struct ports *p, unsigned port, const struct sockaddr_in *from, struct packet *in)
{
	struct asked *x;
	struct leaf *l;
	bool known;

	x = place_for(p, port, from, in->id, &known);
	if (known) {
		repeat(p, x);
		return;
	}
	l = x ? leaf_take(p, in, true) : NULL;
	if (!l) {
		refuse(p, port, from, in, 503, "too many requests are under way");
		return;
	}
	*x = (struct asked){ .state = ASKED_WAITING, .port = (uint8_t)port, .id = in->id,
			     .confirmable = in->confirmable, .method = in->method, .from = *from,
			     .born_ns = p->now, .token_length = in->token_length };
	memcpy(x->token, in->token, sizeof(x->token));
	p->exchanges->pending++;
	l->exchange = (uint32_t)(x - p->exchanges->at);
	l->method = in->method;
	event_start(p, l);
}

static void receive_one(struct ports *p, unsigned port, const struct sockaddr_in *from, size_t n)
{
	struct adapter_memo memo = { { 0 } };
	struct packet *in = &p->in;
	const ssize_t took = p->port[port].ops->parse(&memo, p->scratch, n, in);

	p->stats.datagrams++;
	if (took > 0 && in->kind == PACKET_REQUEST) {
		request(p, port, from, in);
	} else if (took < 0 && in->kind == PACKET_REQUEST && in->status) {
		refuse(p, port, from, in, in->status, "");
	} else if (in->kind == PACKET_PING || (took <= 0 && in->kind == PACKET_RESET)) {
		if (took <= 0)
			p->stats.refused[in->reason ? in->reason : REASON_MALFORMED]++;
		begin(&p->out, PACKET_RESET, in);
		say(p, port, from, &p->out);
	} else if (took <= 0) {
		p->stats.refused[REASON_MALFORMED]++;
	}
}

void datagrams_receive(struct ports *p, unsigned port)
{
	for (int i = 0; i < DATAGRAMS_PER_TURN; i++) {
		struct sockaddr_in from;
		socklen_t length = sizeof(from);
		ssize_t n = recvfrom(p->port[port].listen_fd, p->scratch, sizeof(p->scratch),
				     MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&from, &length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return;
		if ((size_t)n > sizeof(p->scratch) || length != sizeof(from) || !p->port[port].ops)
			p->stats.refused[REASON_TOO_LARGE]++;
		else
			receive_one(p, port, &from, (size_t)n);
	}
}

void datagrams_sweep(struct ports *p)
{
	for (uint32_t i = 0; i < PORTS_EXCHANGES && p->exchanges->pending; i++) {
		struct asked *x = &p->exchanges->at[i];

		if (x->state == ASKED_WAITING && x->confirmable && !x->acknowledged &&
		    p->now - x->born_ns > ACKNOWLEDGE_NS)
			acknowledge(p, x);
	}
}
