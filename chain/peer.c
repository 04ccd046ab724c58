/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chain/clock.h"
#include "chain/codec.h"
#include "chain/deploy.h"
#include "chain/peer.h"
#include "chain/peer_wire.h"
#include "chain/runtime.h"

enum { WRITE_MAX = 64 };

/* A buffer of the pool, as far as the other node is concerned. */
struct entry {
	uint32_t abroad;            /* generation under which its answer is awaited; 0: it is here */
	uint32_t token, generation; /* imported: of its home */
	uint32_t epoch;             /* imported: of the connection it came by; 0: not imported */
	bool caller;                /* imported: its frame 0 is ours, for the caller at home */
	bool queued;                /* its bytes are still the transport's */
};

/* Bytes to be sent, in order. */
struct out {
	const unsigned char *at;
	uint32_t length;
	uint32_t buffer;            /* whose bytes they are; OUT_OWN: a header of ours */
	bool release;               /* the buffer is free once they are sent */
};
#define OUT_OWN UINT32_MAX

struct watched {
	int fd;
};

struct peer {
	struct peer_host host;
	const struct node *node;
	const struct peer_stack *stack;
	void *priv;
	struct board *board;
	struct link_line *link;
	struct entry *entries;
	uint32_t buffers;
	struct peer_stream stream;
	bool up, greeted, ping_queued;
	uint32_t epoch, generation;
	uint64_t heard_ns, spoke_ns;
	struct out *fifo;           /* ring of `size`: [done, head) */
	uint32_t size, done, next, head;    /* oldest unsent; next to write; free */
	uint32_t next_at, done_at;  /* bytes of fifo[next] written, of fifo[done] sent */
	struct peer_header hello, ping, *notes;     /* notes: errors about messages without a buffer */
	uint32_t notes_head, notes_used;
	struct watched watched[PEER_SLOTS];
};

static struct entry *entry_of(const struct peer *p, const struct message *m)
{
	return &p->entries[pool_index(p->host.pool, m)];
}

static void count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

/* ---- Sending ----------------------------------------------------------------------------------- */

static void enqueue(struct peer *p, const void *at, uint32_t length, uint32_t buffer, bool release)
{
	p->fifo[p->head++ & (p->size - 1)] = (struct out){ at, length, buffer, release };
	if (buffer != OUT_OWN)
		p->entries[buffer].queued = true;
	p->spoke_ns = runtime_now(p->host.runtime);
}

/* A header of ours, which goes alone. */
static void enqueue_header(struct peer *p, struct peer_header *h)
{
	h->magic = PEER_MAGIC;
	h->version = PEER_VERSION;
	enqueue(p, h, sizeof(*h), OUT_OWN, false);
}

/* `m` with its header right before its payload. */
static void enqueue_message(struct peer *p, struct message *m, enum peer_kind kind, unsigned flags,
			    uint32_t token, uint32_t generation, bool release)
{
	unsigned char *at = (unsigned char *)message_payload(m) - PEER_HEADER_BYTES;
	const uint32_t length = m->length <= message_room(m) ? m->length : 0;
	const struct peer_header h = {
		.magic = PEER_MAGIC, .version = PEER_VERSION, .kind = (uint8_t)kind,
		.flags = (uint8_t)flags, .position = m->position, .length = length, .token = token,
		.generation = generation, .type = m->type, .topic = m->topic, .function = m->function,
		.status = kind == PEER_INVOKE || kind == PEER_CALL ? STATUS_OK : m->status, .id = m->id,
	};

	memcpy(at, &h, sizeof(h));
	enqueue(p, at, PEER_HEADER_BYTES + length, pool_index(p->host.pool, m), release);
	count(&p->link->out, 1);
	count(&p->link->out_bytes, length);
}

/* Neither the transport nor we need fifo[done] any more. */
static void retire(struct peer *p)
{
	const struct out *o = &p->fifo[p->done++ & (p->size - 1)];

	if (o->at == (const void *)&p->ping)
		p->ping_queued = false;
	else if (o->buffer == OUT_OWN && o->at != (const void *)&p->hello)
		p->notes_used--;
	if (o->buffer == OUT_OWN)
		return;
	p->entries[o->buffer].queued = false;
	if (o->release)
		pool_free(p->host.pool, pool_message(p->host.pool, o->buffer), GATEWAY);
}

static void on_sent(void *arg, size_t n)
{
	struct peer *p = arg;

	while (n && p->done != p->head) {
		const uint32_t left = p->fifo[p->done & (p->size - 1)].length - p->done_at;

		if (n < left) {
			p->done_at += (uint32_t)n;
			return;
		}
		n -= left;
		p->done_at = 0;
		/* The cursor of what is written must not be overtaken: a stack may tell of it first. */
		if (p->next == p->done) {
			p->next++;
			p->next_at = 0;
		}
		retire(p);
	}
}

static void end(struct peer *p);

void peer_flush(struct peer *p)
{
	struct iovec iov[WRITE_MAX];

	while (p->up && p->next != p->head) {
		uint32_t at = p->next, offset = p->next_at;
		unsigned n = 0;
		ssize_t wrote;

		for (; at != p->head && n < WRITE_MAX; at++, n++, offset = 0) {
			const struct out *o = &p->fifo[at & (p->size - 1)];

			iov[n] = (struct iovec){ (void *)(o->at + offset), o->length - offset };
		}
		at = p->next;
		offset = p->next_at;
		wrote = p->stack->write(p->priv, iov, n);
		if (wrote < 0) {
			end(p);
			return;
		}
		if (!wrote)
			break;
		/* Advance from where we were, unless `sent` has done so. */
		for (size_t left = (size_t)wrote; left;) {
			const uint32_t rest = p->fifo[at & (p->size - 1)].length - offset;

			if (left < rest) {
				offset += (uint32_t)left;
				break;
			}
			left -= rest;
			offset = 0;
			at++;
		}
		p->next = at;
		p->next_at = offset;
	}
	if (p->up)
		p->stack->flush(p->priv);
}

/* ---- Out --------------------------------------------------------------------------------------- */

bool peer_imported(const struct peer *p, const struct message *m)
{
	return entry_of(p, m)->epoch;
}

/* The frame that stands for the caller at home is the only one left. */
static bool only_home_waits(const struct entry *e, const struct message *m)
{
	return m->depth == e->caller;
}

static void forget_import(struct peer *p, struct entry *e)
{
	if (e->caller)
		route_done(p->board, GATEWAY);
	e->epoch = 0;
	e->caller = false;
}

int peer_abroad(struct peer *p, struct message *m)
{
	struct entry *e = entry_of(p, m);

	if (e->epoch && e->epoch != p->epoch && only_home_waits(e, m)) {
		forget_import(p, e);            /* its home has been answered when the connection ended */
		pool_free(p->host.pool, m, GATEWAY);
		return 0;
	}
	if (!p->up || !p->greeted)
		return -EHOSTUNREACH;
	if (e->epoch && m->kind == MESSAGE_INVOKE && only_home_waits(e, m)) {
		enqueue_message(p, m, PEER_INVOKE, PEER_BACK, e->token, e->generation, true);
		forget_import(p, e);
		return 0;
	}
	if (!++p->generation)
		p->generation++;
	e->abroad = p->generation;
	enqueue_message(p, m, m->kind == MESSAGE_CALL ? PEER_CALL : PEER_INVOKE,
			m->depth ? PEER_CALLER : 0, pool_index(p->host.pool, m), e->abroad, false);
	return 0;
}

void peer_return(struct peer *p, struct message *m, bool reply)
{
	struct entry *e = entry_of(p, m);
	const bool live = e->epoch == p->epoch && p->up;

	if (!reply)
		m->depth = 0;
	if (live)
		enqueue_message(p, m, reply ? PEER_REPLY : PEER_ANSWER, PEER_BACK, e->token, e->generation,
				true);
	/* route_unwind has counted the caller's frame already when it is a reply. */
	if (reply)
		e->caller = false;
	forget_import(p, e);
	if (!live)
		pool_free(p->host.pool, m, GATEWAY);
}

/* ---- In ---------------------------------------------------------------------------------------- */

/* Tell the other node that its message cannot be taken. */
static int refuse(struct peer *p, const struct peer_header *h, uint16_t status)
{
	struct peer_header *note = &p->notes[p->notes_head];

	count(&p->link->refused, 1);
	if (p->notes_used == p->buffers)
		return -EBADMSG;                /* more than it has buffers */
	p->notes_head = (p->notes_head + 1) % p->buffers;
	p->notes_used++;
	*note = (struct peer_header){ .kind = h->flags & PEER_CALLER ? PEER_ANSWER : PEER_REPLY,
				      .flags = PEER_BACK, .token = h->token,
				      .generation = h->generation, .type = TYPE_REASON,
				      .status = status, .id = h->id };
	enqueue_header(p, note);
	return 0;
}

/* The buffer here that `h` is about, or NULL: it waits for nothing of the kind. */
static struct message *home_of(const struct peer *p, const struct peer_header *h)
{
	const struct entry *e = &p->entries[h->token];

	/* What has not been sent whole cannot have been answered. */
	if (h->token >= p->buffers || e->abroad != h->generation || e->queued)
		return NULL;
	return pool_message(p->host.pool, h->token);
}

static struct message *on_place(void *arg, const struct peer_header *h, struct message *landing, int *err)
{
	struct peer *p = arg;
	struct message *home;

	if (h->flags & PEER_BACK) {
		home = home_of(p, h);
		if (!home) {
			*err = -EBADMSG;
			return NULL;
		}
		/* A client's answer goes out from where it has landed; all else belongs to the one at home. */
		if (h->kind != PEER_REPLY || !landing || peer_imported(p, home))
			return h->length <= message_room(home) ? home : NULL;
	} else if (route_is_remote(p->board, h->function)) {
		*err = -EBADMSG;
		return NULL;
	}
	if (!landing)
		return pool_alloc(p->host.pool, GATEWAY);
	pool_land(p->host.pool, landing, GATEWAY);
	return landing;
}

/* A message of the other node's enters this one. */
static int import(struct peer *p, const struct peer_header *h, struct message *m)
{
	struct entry *e;
	int err;

	if (!m)
		return refuse(p, h, STATUS_UNAVAILABLE);
	e = entry_of(p, m);
	*e = (struct entry){ .token = h->token, .generation = h->generation, .epoch = p->epoch,
			     .caller = h->flags & PEER_CALLER };
	m->id = h->id;
	m->kind = h->kind == PEER_CALL ? MESSAGE_CALL : MESSAGE_INVOKE;
	m->type = h->type;
	m->topic = h->topic;
	m->function = h->function;
	m->position = h->position;
	m->length = h->length;
	if (e->caller) {
		m->stack[m->depth++] = (struct frame){ .function = FUNCTION_NONE, .instance = GATEWAY };
		atomic_fetch_add_explicit(&p->board->line[GATEWAY].load, 1, memory_order_relaxed);
	}
	err = runtime_dispatch(p->host.runtime, m);
	if (err) {
		runtime_reason(m, err == -EAGAIN ? STATUS_UNAVAILABLE : STATUS_BAD_GATEWAY,
			       err == -EAGAIN ? "the function's queue is full" :
						"no instance of the function is alive");
		runtime_answer(p->host.runtime, m, m->kind != MESSAGE_CALL);
	}
	return 0;
}

/* Something comes back to a message that waits here. */
static int come_home(struct peer *p, const struct peer_header *h, struct message *m)
{
	struct message *home = pool_message(p->host.pool, h->token);

	p->entries[h->token].abroad = 0;
	if (!m) {
		runtime_reason(home, STATUS_INTERNAL, "the answer from the other node is too long");
		runtime_answer(p->host.runtime, home, true);
		return 0;
	}
	m->length = h->length;
	m->type = h->type;
	m->status = h->status;
	if (h->kind != PEER_INVOKE && h->type == TYPE_REASON && !h->length)
		runtime_reason(m, h->status, "the other node has no buffer or instance for it");
	if (m != home) {
		p->host.reply(p->host.arg, home, m);
		return 0;
	}
	if (h->kind != PEER_INVOKE) {
		runtime_answer(p->host.runtime, home, h->kind == PEER_REPLY);
		return 0;
	}
	home->kind = MESSAGE_INVOKE;
	home->function = h->function;
	home->position = h->position;
	if (route_is_remote(p->board, home->function) || runtime_dispatch(p->host.runtime, home)) {
		runtime_reason(home, STATUS_BAD_GATEWAY, "no instance of the function is alive");
		runtime_answer(p->host.runtime, home, true);
	}
	return 0;
}

static int on_done(void *arg, const struct peer_header *h, struct message *m)
{
	struct peer *p = arg;

	switch (h->kind) {
	case PEER_HELLO:
		if (h->fingerprint != p->node->fingerprint)
			return -EPROTO;
		p->greeted = true;
		atomic_store(&p->link->up, 1);
		return 0;
	case PEER_PING:
		return 0;
	default:
		count(&p->link->in, 1);
		count(&p->link->in_bytes, h->length);
		return h->flags & PEER_BACK ? come_home(p, h, m) : import(p, h, m);
	}
}

static void on_undo(void *arg, const struct peer_header *h, struct message *m)
{
	struct peer *p = arg;

	if (!(h->flags & PEER_BACK))
		pool_free(p->host.pool, m, GATEWAY);
}

static int on_received(void *arg, const unsigned char *at, size_t n, struct message *landing, bool *taken)
{
	struct peer *p = arg;
	int err;

	p->heard_ns = runtime_now(p->host.runtime);
	err = peer_stream_take(&p->stream, at, n, landing, taken);
	atomic_store_explicit(&p->link->landed_bytes, p->stream.landed, memory_order_relaxed);
	atomic_store_explicit(&p->link->copied_bytes, p->stream.copied, memory_order_relaxed);
	if (err)
		count(&p->link->resets, 1);
	if (err == -EPROTO)
		fprintf(stderr, "perhop: node %c: the other node has another workload, placement, seed or "
			"pool\n", p->node->name);
	return err;
}

/* ---- The connection ---------------------------------------------------------------------------- */

static void on_up(void *arg)
{
	struct peer *p = arg;

	p->up = true;
	p->greeted = false;
	p->epoch++;
	p->heard_ns = runtime_now(p->host.runtime);
	count(&p->link->connections, 1);
	p->hello = (struct peer_header){ .kind = PEER_HELLO, .fingerprint = p->node->fingerprint };
	enqueue_header(p, &p->hello);
}

/* The connection is gone, and with it what was under way: those who wait here must know. */
static void on_down(void *arg, const char *why)
{
	struct peer *p = arg;

	(void)why;
	if (!p->up)
		return;
	p->up = p->greeted = false;
	p->epoch++;
	atomic_store(&p->link->up, 0);
	peer_stream_end(&p->stream);
	while (p->done != p->head)
		retire(p);
	p->next = p->done;
	p->next_at = p->done_at = 0;
	for (uint32_t i = 0; i < p->buffers; i++) {
		struct message *m = pool_message(p->host.pool, i);

		if (!p->entries[i].abroad)
			continue;
		p->entries[i].abroad = 0;
		count(&p->link->lost, 1);
		runtime_reason(m, STATUS_BAD_GATEWAY, "the connection to the other node ended");
		runtime_answer(p->host.runtime, m, false);
	}
}

static void end(struct peer *p)
{
	p->stack->reset(p->priv);
	on_down(p, "reset");
}

static const struct peer_events events = { on_up, on_down, on_received, on_sent };

static int on_watch(void *arg, unsigned slot, int fd, uint32_t what)
{
	struct peer *p = arg;

	p->watched[slot].fd = fd;
	return runtime_watch(p->host.runtime, fd, what, &p->watched[slot], true);
}

bool peer_ready(struct peer *p, void *data, uint32_t what)
{
	const struct watched *w = data;

	if (w < p->watched || w >= p->watched + PEER_SLOTS)
		return false;
	p->stack->ready(p->priv, w->fd, what);
	return true;
}

void peer_turn(struct peer *p)
{
	const uint64_t now = runtime_now(p->host.runtime);

	p->stack->turn(p->priv, now);
	if (!p->up)
		return;
	if (now > p->heard_ns + NODE_SILENCE_NS) {
		end(p);
		return;
	}
	if (now > p->spoke_ns + NODE_SPEAK_NS && !p->ping_queued) {
		p->ping_queued = true;
		p->ping = (struct peer_header){ .kind = PEER_PING };
		enqueue_header(p, &p->ping);
	}
}

int64_t peer_due(struct peer *p)
{
	const uint64_t now = runtime_now(p->host.runtime);
	int64_t due = p->stack->due(p->priv, now), ping = -1;

	if (p->up)
		ping = now < p->spoke_ns + NODE_SPEAK_NS ? (int64_t)(p->spoke_ns + NODE_SPEAK_NS - now) + 1 :
			p->ping_queued ? (int64_t)NODE_SPEAK_NS : 0;
	return due < 0 || (ping >= 0 && ping < due) ? ping : due;
}

bool peer_pending(struct peer *p)
{
	return p->stack->pending && p->stack->pending(p->priv);
}

/* ---- Life -------------------------------------------------------------------------------------- */

static int allocate(struct peer *p)
{
	for (p->size = 1; p->size < 2 * p->buffers + 4;)
		p->size *= 2;
	p->entries = calloc(p->buffers, sizeof(*p->entries));
	p->notes = calloc(p->buffers, sizeof(*p->notes));
	p->fifo = calloc(p->size, sizeof(*p->fifo));
	return p->entries && p->notes && p->fifo ? 0 : -ENOMEM;
}

int peer_open(struct peer **out, const struct peer_host *host)
{
	struct deployment *d = host->d;
	struct peer *p = calloc(1, sizeof(*p));
	struct peer_config c = { .node = d->node, .pool = host->pool, .events = &events, .arg = p,
				 .watch = on_watch };
	int err;

	*out = p;
	if (!p)
		return -ENOMEM;
	p->host = *host;
	p->node = d->node;
	p->stack = d->node->stack;
	p->board = d->board;
	p->link = &d->board->link;
	p->buffers = pool_buffers(host->pool);
	atomic_store(&p->link->up, 0);
	p->stream = (struct peer_stream){
		.limits = { .payload = pool_buffer_bytes(host->pool) - (uint32_t)sizeof(struct message),
			    .tokens = p->buffers, .functions = d->app->n_functions,
			    .topics = d->app->n_chains },
		.sink = { p, on_place, on_done, on_undo },
	};
	err = allocate(p);
	if (!err)
		err = p->stack->open(&p->priv, &c, d->why, sizeof(d->why));
	return err;
}

void peer_close(struct peer *p)
{
	if (!p)
		return;
	if (p->priv)
		p->stack->close(p->priv);
	free(p->entries);
	free(p->notes);
	free(p->fifo);
	free(p);
}
