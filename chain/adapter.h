/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Protocol adapters: hooks on the gateway's datapath (SPRIGHT §3.6). An adapter is a small shared
 * object that turns one protocol's bytes into packets of a common form, and packets into bytes:
 *
 *     socket ──bytes──> parse ──struct packet──> gateway: sessions, topics, chains
 *     socket <──bytes── format <──struct packet── gateway
 *
 * It is stateless: no memory, no sockets, no clock. What a connection must remember (sessions,
 * keep-alive, what is in flight) the gateway keeps, and of the protocol's own only `memo`, a few
 * bytes that belong to the connection and are passed to every call. So an adapter can be replaced
 * while its clients stay connected.
 *
 * It needs nothing of perhop but this header:
 *
 *     cc -shared -fPIC -I. -o mine.so mine.c
 *     perhop adapter load ./mine.so --pid PID --listen 127.0.0.1:1883
 *
 * and exports one symbol, `const struct adapter_ops perhop_adapter`. It runs inside the gateway:
 * load what you would link.
 */
#ifndef PERHOP_CHAIN_ADAPTER_H
#define PERHOP_CHAIN_ADAPTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "chain/http.h"

#define ADAPTER_VERSION 1
#define ADAPTER_SYMBOL "perhop_adapter"

enum {
	ADAPTER_PACKET_MAX = 16 << 10,      /* bytes of one packet on the wire; more is refused */
	ADAPTER_TOPIC_MAX = 256,    /* bytes of a topic name or filter */
	ADAPTER_CLIENT_MAX = 128,   /* bytes of a client identifier (MQTT asks for 23 or more) */
	ADAPTER_FILTERS_MAX = 16,   /* topic filters in one SUBSCRIBE */
	ADAPTER_ALIASES = 8,        /* topic aliases of a connection */
	ADAPTER_SCRATCH = 2048,     /* bytes of text that an adapter may compose for one packet */
};

/*
 * Reasons, by their codes in MQTT 5 (§2.4), which has the richest set: an adapter translates. Below
 * 0x80 all is well.
 */
enum adapter_reason {
	REASON_OK = 0x00, REASON_GRANTED_1 = 0x01, REASON_WITH_WILL = 0x04, REASON_NO_SUBSCRIBERS = 0x10,
	REASON_NO_SUBSCRIPTION = 0x11, REASON_UNSPECIFIED = 0x80, REASON_MALFORMED = 0x81,
	REASON_PROTOCOL = 0x82, REASON_REFUSED = 0x83, REASON_VERSION = 0x84, REASON_CLIENT_ID = 0x85,
	REASON_UNAVAILABLE = 0x88, REASON_BUSY = 0x89, REASON_SHUTTING_DOWN = 0x8b,
	REASON_AUTH_METHOD = 0x8c, REASON_KEEP_ALIVE = 0x8d, REASON_TAKEN_OVER = 0x8e,
	REASON_FILTER = 0x8f, REASON_TOPIC = 0x90, REASON_PACKET_ID = 0x91, REASON_RECEIVE_MAX = 0x93,
	REASON_ALIAS = 0x94, REASON_TOO_LARGE = 0x95, REASON_QUOTA = 0x97, REASON_PAYLOAD = 0x99,
	REASON_NO_RETAIN = 0x9a, REASON_NO_QOS = 0x9b, REASON_NO_SHARED = 0x9e,
	REASON_NO_SUBSCRIPTION_ID = 0xa1,
};

enum packet_kind {
	PACKET_CONNECT = 1, PACKET_CONNACK, PACKET_PUBLISH, PACKET_PUBACK, PACKET_SUBSCRIBE,
	PACKET_SUBACK, PACKET_UNSUBSCRIBE, PACKET_UNSUBACK, PACKET_PING, PACKET_PONG,
	PACKET_DISCONNECT,
	PACKET_REQUEST,             /* datagrams: one that wants an answer */
	PACKET_RESPONSE,            /* datagrams: the answer, by `status` */
	PACKET_EMPTY,               /* datagrams: an acknowledgement without an answer */
	PACKET_RESET,               /* datagrams: not understood */
};

/* What an adapter wants remembered with a connection; zeroed when it begins. */
struct adapter_memo {
	uint8_t byte[8];
};

struct packet_filter {
	struct slice text;
	uint8_t qos;                /* asked for */
	uint8_t reason;             /* of SUBACK and UNSUBACK; set by the adapter when it refuses */
	bool no_local;
};

/*
 * Slices of a parsed packet point into the bytes that were parsed or into `scratch`, and live until
 * the next call. A packet to be formatted belongs to the gateway.
 */
struct packet {
	uint8_t kind;               /* enum packet_kind */
	uint8_t reason;             /* enum adapter_reason */
	uint8_t qos;                /* 0 or 1 */
	bool dup, retain;
	bool present;               /* CONNACK: there was a session */
	uint16_t id;
	/* CONNECT, and CONNACK for what the gateway decides otherwise */
	bool clean, assigned;       /* begin a new session; `client` is the gateway's choice */
	uint16_t keep_alive_s;      /* 0: none */
	uint32_t expiry_s;          /* of the session, after the connection's end */
	uint16_t receive_max;       /* PUBLISHes of QoS 1 that the sender of this packet takes at once */
	uint32_t packet_max;        /* bytes of a packet that it takes */
	struct slice client;
	bool will, will_retain;
	uint8_t will_qos;
	uint32_t will_delay_s;
	struct slice will_topic, will_type, will_payload;
	/* PUBLISH and REQUEST */
	uint16_t alias;             /* of the topic; 0: none */
	struct slice topic, type, payload;  /* `type`: media type, may be empty */
	struct slice event;         /* CloudEvents attributes as "ce-name: value\r\n" lines */
	uint16_t method;            /* REQUEST: enum http_method */
	uint16_t status;            /* RESPONSE: HTTP's */
	/* Datagrams */
	bool confirmable;           /* the sender repeats it until it is acknowledged */
	bool piggybacked;           /* the answer is the acknowledgement */
	uint8_t token_length, token[8];
	/* SUBSCRIBE, UNSUBSCRIBE and their acknowledgements */
	uint16_t filters;
	struct packet_filter filter[ADAPTER_FILTERS_MAX];
	char scratch[ADAPTER_SCRATCH];
};

enum adapter_flags {
	ADAPTER_DATAGRAM = 1 << 0,  /* UDP: a datagram is a packet; else TCP, a stream of packets */
};

struct adapter_ops {
	uint32_t version;           /* ADAPTER_VERSION */
	uint32_t flags;
	const char *name, *summary; /* "mqtt"; one line */
	uint16_t port;              /* the protocol's own */
	/*
	 * The packet at `in`: bytes it took; 0 when it is not complete (it will be called again with
	 * more, at most ADAPTER_PACKET_MAX); -EPROTO when it is unsound, with p->reason, and p->kind
	 * where that is known. Untrusted bytes; must not read beyond `length`.
	 */
	ssize_t (*parse)(struct adapter_memo *memo, const uint8_t *in, size_t length, struct packet *p);
	/* Write `p`: bytes written, 0 when the protocol has no such packet, or -EMSGSIZE. */
	ssize_t (*format)(struct adapter_memo *memo, const struct packet *p, uint8_t *out, size_t room);
};

/* The symbol. */
extern const struct adapter_ops perhop_adapter;

#endif
