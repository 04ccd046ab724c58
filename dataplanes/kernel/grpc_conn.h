/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside the gRPC endpoint: its connections and calls, and what their files want of each other. */
#ifndef PERHOP_KERNEL_GRPC_CONN_H
#define PERHOP_KERNEL_GRPC_CONN_H

#include <nghttp2/nghttp2.h>

#include "chain/clock.h"
#include "chain/codec.h"
#include "dataplanes/kernel/grpc.h"
#include "dataplanes/kernel/grpc_memory.h"
#include "dataplanes/kernel/grpc_wire.h"
#include "dataplanes/kernel/stream.h"

/*
 * The settings of HTTP/2, those of a gRPC library tuned for many small calls within a data centre.
 * Windows are larger than all that can be under way (streams × a buffer would be, but for hostile
 * senders), so no call waits for a WINDOW_UPDATE; frames have the size that everybody else's have.
 */
enum {
	H2_STREAM_WINDOW = 1 << 20, /* bytes; grpc-go grows to 16 MiB, a message here has 64 KiB */
	H2_CONN_WINDOW = 16 << 20,
	H2_STREAMS = 128,           /* calls at once on a connection, nginx's number; others wait at their caller, and
				       closed ones are remembered (RFC 9113 §5.1) for as long as it has room */
	H2_TABLE_BYTES = 4096,      /* of HPACK: the default, and what gRPC libraries use */
	H2_RESETS_BURST = 1000,     /* streams that a client may reset, or have us reset, at once, and … */
	H2_RESETS_PER_SEC = 200,    /* … per second: more is an attack (CVE-2023-44487, CVE-2025-8671) */
};

enum {
	H2_SERVERS = 256,           /* connections taken at most: each carries any number of calls */
	H2_CLIENTS = 2 * INSTANCE_MAX,      /* one per peer, and one that is being left */
	H2_EVENTS = 128,            /* taken from epoll at once */
	H2_READS = 4,               /* of a greedy connection before it is another's turn */
	H2_INPUT_BYTES = 64 << 10,  /* per recv */
	H2_FRAMES_BYTES = 64 << 10, /* headers of frames in one sendmsg */
	H2_FRAME_ROOM = 32 << 10,   /* free before another frame is begun; no frame but DATA is larger */
	H2_PARTS = 256,             /* iovecs of one sendmsg */
	H2_OUT_BYTES = 512 << 10,   /* in one sendmsg at most; what the socket does not take is kept */
	H2_NONE = 0xffff,           /* end of a list of calls */
	H2_LISTENER = 0xffff, H2_DOOR = 0xfffe, H2_TIMER = 0xfffd,  /* in epoll's data */
};

#define HALF_CALL_NS (30 * NS_PER_SEC)      /* for a request to become whole, and for its answer to be taken, each:
					     * as long as an answer may take; this when that is for ever */
#define PREFACE_NS (10 * NS_PER_SEC)        /* for a client to speak HTTP/2 */

enum rpc_state {
	RPC_FREE,
	RPC_READING,                /* server: waits for the whole request */
	RPC_SERVING,                /* server: the request is with the runtime */
	RPC_WAITING,                /* client: `m` waits here for the answer */
	RPC_ENDING,                 /* answered or given up; HTTP/2 has not closed the stream yet */
};

/* One call, at its server or its client. */
struct rpc {
	struct h2_conn *c;
	struct message *m;          /* client: waits; server: decoded, the stream's end is missing */
	const struct service_method *method;        /* NULL: called by a generic path */
	uint64_t deadline;          /* CLOCK_MONOTONIC ns; 0: none */
	uint64_t sent;              /* the flush that its HEADERS went out with; 0: none yet */
	int32_t stream;
	uint16_t index, next;       /* in the free list or the list of the closed */
	uint16_t generation;        /* of this slot: a token of an earlier user is stale */
	instance_id picked;         /* client: whose load was raised */
	uint16_t status;            /* server: of the answer, HTTP's */
	uint16_t refusal;           /* server: HTTP's status for what is not gRPC; 0: it is */
	uint8_t state;              /* enum rpc_state */
	bool server;
	bool ended;                 /* the peer has ended its side */
	bool relay;                 /* client: the answer is for m->token, not for the runtime */
	bool retried;               /* client: is a second try */
	bool tell_status;           /* server: the exact status goes along */
	struct grpc_head head;      /* what the peer's header fields say */
	struct grpc_reader reader;
	uint8_t *rx, *tx;           /* room for a message and its prefix each; tx: as it goes out */
	uint32_t tx_bytes, tx_sent;
};

struct h2_conn {
	struct grpc *g;
	nghttp2_session *h2;
	int fd;                     /* -1: this slot is free */
	uint16_t index, generation;
	uint16_t target;            /* client: the instance it leads to */
	uint16_t streams;           /* calls on it */
	bool server;
	bool leaving;               /* client: GOAWAY was received, no more calls */
	bool dirty, again;          /* in these lists of the endpoint */
	bool broken;                /* to be closed, when libnghttp2 is not on the stack */
	uint64_t deadline;          /* server: for the preface */
	uint64_t active;            /* when something last came */
	uint64_t resets_at;         /* token bucket of resets: … */
	int32_t resets;             /* … what is left of it */
	uint32_t out_at, out_bytes; /* of `out`: not sent yet */
	char *out;
};

/* What one sendmsg takes. */
struct h2_gather {
	uint64_t number;            /* of this flush */
	size_t bytes;
	uint32_t used;              /* of `frames` */
	int parts;
	bool full;
	struct iovec part[H2_PARTS];
	char frames[H2_FRAMES_BYTES];
};

struct grpc {
	struct engine_config c;
	struct pool *pool;
	struct grpc_memory memory;
	nghttp2_session_callbacks *callbacks;
	struct stream_arena arena;
	char *outs;                 /* mapping of the connections' `out` */
	int epfd, listen_fd, door_fd, timer_fd;
	bool accept_again;
	uint64_t now, next_id, armed;       /* armed: when the timer expires; 0: it does not */
	uint32_t room;              /* bytes of a message and its prefix */
	struct rpc *rpc;            /* [servers], then [clients] */
	unsigned n_rpcs;
	uint16_t free_server, free_client;
	uint16_t closed;            /* calls whose `tx` is still in `gather` */
	struct h2_conn *conn;       /* [H2_SERVERS], then [H2_CLIENTS] */
	struct h2_conn *peer[INSTANCE_MAX]; /* where calls to an instance go; NULL: nowhere yet */
	struct message **ready;     /* ring of n_rpcs: for the runtime */
	unsigned ready_head, ready_count;
	uint16_t dirty[H2_SERVERS + H2_CLIENTS], again[H2_SERVERS + H2_CLIENTS];
	unsigned n_dirty, n_again;
	bool gathering;
	char (*call_path)[64], (*invoke_path)[64];  /* "/perhop.Call/NAME" of each function */
	char input[H2_INPUT_BYTES];
	struct h2_gather gather;
};

static inline void grpc_count(_Atomic uint64_t *counter)
{
	/* One writer: no locked instruction. */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

/* ---- grpc.c ----------------------------------------------------------------------------------- */

/* A free call on `c`, in `state`; NULL when all are in use. */
struct rpc *rpc_take(struct grpc *g, struct h2_conn *c, enum rpc_state state);

/* Its stream is no more. */
void rpc_release(struct grpc *g, struct rpc *r);

/* The call ends at `at` at the latest; 0: no limit. */
void rpc_deadline(struct grpc *g, struct rpc *r, uint64_t at);

/* `m` is for the runtime. */
void grpc_ready(struct grpc *g, struct message *m);

/* The timer expires at `at` or before. */
void grpc_arm(struct grpc *g, uint64_t at);

/* ---- grpc_conn.c ------------------------------------------------------------------------------ */

/* Callbacks of all sessions. 0 or -ENOMEM. */
int h2_setup(struct grpc *g);

/* Put the socket `fd` into a free slot and begin HTTP/2 on it. -errno: it is closed, *out is NULL. */
int h2_open(struct grpc *g, struct h2_conn **out, int fd, bool server);

/* Close it; its calls end. Not from a callback of libnghttp2: set `broken` there. */
void h2_close(struct grpc *g, struct h2_conn *c);

/* It has something to send: flush will. */
void h2_touch(struct grpc *g, struct h2_conn *c);

/* epoll says that something has happened on it. */
void h2_event(struct grpc *g, struct h2_conn *c, uint32_t events);

/* Send what it has, as far as the socket takes it. */
void h2_flush(struct grpc *g, struct h2_conn *c);

/* ---- grpc_server.c ---------------------------------------------------------------------------- */

void grpc_accept(struct grpc *g, int listen_fd);
void server_head(struct grpc *g, struct rpc *r);
void server_data(struct grpc *g, struct rpc *r, const uint8_t *in, size_t n, bool last);
void server_ended(struct grpc *g, struct rpc *r);
void server_expired(struct grpc *g, struct rpc *r);

/* The stream has been closed, or the whole connection. */
void server_closed(struct grpc *g, struct rpc *r);

/* DATA of the answer is out: the fields behind it. 0 or an error of libnghttp2. */
int server_trailers(struct rpc *r);

/* Answer the call that m->token names with `m`, and free it; also when the client has gone. */
int server_respond(struct grpc *g, struct message *m, bool reply);

/* The deadline of the call that `token` names; 0: none, or it has gone. */
uint64_t server_deadline(const struct grpc *g, uint32_t token);

/* ---- grpc_client.c ---------------------------------------------------------------------------- */

void client_head_whole(struct grpc *g, struct rpc *r);
void client_data(struct grpc *g, struct rpc *r, const uint8_t *in, size_t n);
void client_ended(struct grpc *g, struct rpc *r);
void client_expired(struct grpc *g, struct rpc *r);

/* The stream has been closed with HTTP/2's `error`; `never`: the peer has seen nothing of it. */
void client_closed(struct grpc *g, struct rpc *r, uint32_t error, bool never);

/*
 * Call instance `to` with `m`, which waits for the answer; `relay`: which is not for the runtime but for
 * whom m->token names. -EAGAIN, -EPIPE or an encoding error: nothing was sent.
 */
int client_call(struct grpc *g, instance_id to, struct message *m, bool relay);

/* ---- Header fields ---------------------------------------------------------------------------- */

#define H2_FIELD(n, v, length, flags_)                                                             \
	((nghttp2_nv){ (uint8_t *)(uintptr_t)(n), (uint8_t *)(uintptr_t)(v), sizeof(n) - 1,        \
		       (length), NGHTTP2_NV_FLAG_NO_COPY_NAME | (flags_) })

/* A literal name and value: neither is copied. */
#define H2_LITERAL(n, v) H2_FIELD(n, v, sizeof(v) - 1, NGHTTP2_NV_FLAG_NO_COPY_VALUE)

/* A value that lives as long as the endpoint; one that does not. */
#define H2_LASTING(n, v) H2_FIELD(n, v, strlen(v), NGHTTP2_NV_FLAG_NO_COPY_VALUE)
#define H2_BRIEF(n, v) H2_FIELD(n, v, strlen(v), 0)

/* One that is different each time: not worth a place in HPACK's table. */
#define H2_ONCE(n, v, length) H2_FIELD(n, v, length, NGHTTP2_NV_FLAG_NO_INDEX)

/* `value` in decimal digits. */
static inline const char *h2_digits(char out[12], unsigned value)
{
	char *p = out + 11;

	*p = '\0';
	do
		*--p = (char)('0' + value % 10);
	while (value /= 10);
	return p;
}

/* libnghttp2 is given the message in r->tx from here; both sides use it. */
nghttp2_data_provider h2_message(struct rpc *r);

#endif
