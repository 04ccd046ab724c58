/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside of the gateway's ports, shared by gateway_ports.c (connections), gateway_session.c (sessions
 * and subscribers), gateway_event.c (events and chains) and gateway_datagram.c.
 */
#ifndef PERHOP_CHAIN_GATEWAY_SESSION_H
#define PERHOP_CHAIN_GATEWAY_SESSION_H

#include "chain/gateway_ports.h"

#define NONE UINT32_MAX

/* How long, ns. */
#define PORTS_CONNECT_NS (10 * NS_PER_SEC)  /* from connecting to a whole CONNECT */
#define PORTS_PACKET_NS (30 * NS_PER_SEC)   /* first to last byte of a packet */
#define PORTS_STALL_NS (30 * NS_PER_SEC)    /* without taking a byte that waits for it */
#define PORTS_LINGER_NS (2 * NS_PER_SEC)     /* for a refused client to read why */
#define PORTS_RETRY_NS (2 * NS_PER_MS)      /* before the second try; doubles up to… */
#define PORTS_RETRY_MAX_NS (250 * NS_PER_MS)

enum { LEAF_BYTES = ADAPTER_PACKET_MAX + 4096 - 128 };

/*
 * A copy of an event or message, for as long as somebody needs it. `refs` holds it: the event's own
 * way through the chains counts as one, each subscriber's queue as another.
 */
struct leaf {
	uint32_t generation;
	uint32_t next;              /* free, or waiting to be tried */
	uint32_t conn, conn_generation, place;      /* who waits for the PUBACK: place in its window */
	uint32_t todo;              /* chains it must still be given to, a bit each */
	uint16_t refs;
	uint8_t pending;            /* chains it is in */
	uint8_t qos, reason, tries;
	bool event_held;            /* counts in ports.events_held */
	uint16_t topic, type, event;        /* lengths; the bytes follow in this order… */
	uint32_t payload;           /* …and then these */
	uint64_t born_ns, due_ns;
	uint16_t method;            /* datagrams: of the request; else 0 */
	uint32_t exchange;          /* datagrams: who asked, or NONE */
	char bytes[LEAF_BYTES];
};

struct window_place {
	uint16_t id;
	uint8_t qos, reason;
	bool done;
};

/* A subscriber's message. */
struct queued {
	uint32_t leaf;
	uint16_t id;
	uint8_t qos;
	bool tried, done;
};

struct filter {
	uint8_t qos;
	bool no_local;
	uint16_t length;
	char text[];
};

struct session {
	uint32_t conn;              /* or NONE: kept for a client that will be back */
	uint32_t next;              /* free, or of the same hash */
	uint32_t before, after;     /* among those that have subscribed */
	bool used, subscribed;
	uint8_t filters, id_length;
	uint16_t next_id;
	uint32_t expiry_s;
	uint64_t gone_ns, will_due_ns;      /* will_due_ns: 0, there is no will to publish */
	struct filter *filter[PORTS_FILTERS];
	struct queued *queue;       /* PORTS_QUEUE of them; made at the first subscription */
	uint32_t first, sent, last; /* [first, sent) await a PUBACK, [sent, last) are to be sent */
	struct will *will;
	char id[ADAPTER_CLIENT_MAX];
};

struct will {
	uint8_t qos;
	uint32_t delay_s;
	uint16_t topic, type, event;
	uint32_t payload;
	char bytes[];
};

struct pconn {
	int fd;                     /* -1: this slot is free */
	uint32_t generation;        /* 30 bits */
	uint32_t next;              /* free */
	uint8_t port;
	bool connected;             /* CONNECT has been accepted */
	bool readable, hung_up, blocked;    /* as of its socket */
	bool broken, ending;        /* close it; when its output is out */
	bool polite, lingers;       /* the client has said goodbye; it has been told to go */
	bool dirty, again;          /* in ports.dirty, ports.again */
	bool stalled;               /* input waits for a leaf, or for its window */
	bool publish_will;          /* it ends otherwise than by a DISCONNECT */
	struct adapter_memo memo;
	uint32_t session;
	uint16_t keep_alive_s, receive_max;
	uint32_t packet_max;
	uint64_t heard_ns, packet_ns, sent_ns;
	uint8_t *input, *output;    /* ADAPTER_PACKET_MAX, OUTPUT_BYTES; NULL: nothing is kept */
	uint32_t input_length, output_at, output_length;
	char *alias[ADAPTER_ALIASES];
	uint32_t first, last;       /* window: events received and not acknowledged */
	struct window_place window[PORTS_WINDOW];
};

struct port {
	const struct adapter_ops *ops;      /* NULL: free */
	void *handle;
	int listen_fd;
	uint32_t clients;
};

struct exchange_memory;

struct ports_stats {
	uint64_t accepted, crowded_out, events, acknowledged, retried, given_up, delivered, dropped;
	uint64_t refused[256];      /* connections and packets, by reason */
	uint64_t timed_out, taken_over, datagrams, repeated_datagrams;
};

struct ports {
	struct ports_host host;
	struct ports_stats stats;
	uint64_t now, next_sweep;
	struct port port[PORTS_MAX];
	unsigned loads;             /* so far: names what is loaded */
	struct pconn *conns;
	uint32_t conns_used, conns_free, open;
	uint32_t *dirty, n_dirty, *again, n_again;
	struct session *sessions;
	uint32_t sessions_used, sessions_free, subscribers, filters;
	uint32_t hash[4096];
	struct leaf *leaves;
	uint32_t leaves_used, leaves_free, leaves_held, events_held;
	uint32_t waiting_first, waiting_last;       /* leaves to be tried, the oldest first */
	uint64_t retry_at;          /* when to look at them again; UINT64_MAX: no need */
	uint32_t n_stalled;
	struct exchange_memory *exchanges;
	bool wake;                  /* leaves have come free */
	void *spare;                /* free buffers */
	uint8_t scratch[ADAPTER_PACKET_MAX];
	struct packet in, out, made; /* scratch: received, to be sent, and our own events */
};

enum { OUTPUT_BYTES = 2 * ADAPTER_PACKET_MAX };     /* ≥ any packet and a window of PUBACKs */

/* ---- gateway_ports.c: connections ---- */

/* Queue a packet. False, and the connection broken, when there is no room: callers look first. */
bool pconn_send(struct ports *p, struct pconn *c, const struct packet *packet);
uint32_t pconn_room(const struct pconn *c);

/* It has something to be looked at in this turn: output, or a window that moved. */
void pconn_touch(struct ports *p, struct pconn *c);

/* Say why, in the protocol's own way, and close. */
void pconn_refuse(struct ports *p, struct pconn *c, uint8_t reason);

static inline const struct adapter_ops *pconn_ops(const struct ports *p, const struct pconn *c)
{
	return p->port[c->port].ops;
}

static inline struct pconn *pconn_of(struct ports *p, uint32_t i)
{
	return i == NONE ? NULL : &p->conns[i];
}

/* End all connections of a port, with a word if the protocol has one. */
void ports_hang_up(struct ports *p, unsigned port);

/* ---- gateway_load.c ---- */

/* Serve `ops` on `listen_fd`, as ports_load does; on error the descriptor and `handle` stay the caller's. */
int ports_add(struct ports *p, const struct adapter_ops *ops, void *handle, int listen_fd, char *why,
	      size_t why_bytes);

/* ---- gateway_event.c: leaves, chains, answers ---- */

/*
 * A leaf with the bytes of `packet`; refs is 1. Events may have half of all: NULL when they do. A message has
 * what it needs, if need be at the cost of the subscriber that holds most.
 */
struct leaf *leaf_take(struct ports *p, const struct packet *packet, bool event);
void leaf_drop(struct ports *p, struct leaf *l);
struct slice leaf_topic(const struct leaf *l);
struct slice leaf_type(const struct leaf *l);
struct slice leaf_payload(const struct leaf *l);

/* Give an event to its chains and subscribers; what becomes of it is told to l->conn or l->exchange. */
void event_start(struct ports *p, struct leaf *l);

/* Events that wait for a chain: try those whose time has come. */
void events_retry(struct ports *p);

/* ---- gateway_session.c: sessions and subscribers ---- */

void session_connect(struct ports *p, struct pconn *c, const struct packet *in);
void session_leave(struct ports *p, struct pconn *c);       /* its connection is closing */
void session_subscribe(struct ports *p, struct pconn *c, const struct packet *in);
void session_unsubscribe(struct ports *p, struct pconn *c, const struct packet *in);
void session_acknowledged(struct ports *p, struct pconn *c, uint16_t id);
void session_forget_will(struct ports *p, struct pconn *c);

/* Put what waits for this client into its output, as far as there is room. */
void session_flush(struct ports *p, struct pconn *c);

/* Queue a message for all whose filters match its topic; returns how many. `from`: not to this one if no_local. */
unsigned sessions_deliver(struct ports *p, struct leaf *l, uint32_t from);

/* Free leaves: end the session that holds most. False: none holds any. */
bool sessions_shed(struct ports *p);

void sessions_sweep(struct ports *p);
void sessions_destroy(struct ports *p);

/* ---- gateway_datagram.c ---- */

int datagrams_create(struct ports *p);
void datagrams_destroy(struct ports *p);
void datagrams_receive(struct ports *p, unsigned port);
void datagram_answer(struct ports *p, uint32_t exchange, unsigned status, struct slice type,
		     struct slice body);
void datagrams_sweep(struct ports *p);

#endif
