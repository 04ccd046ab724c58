/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A message is one request on its way through a chain. It fills one buffer of a pool:
 *
 *     +--------+--------------+---------+------------------- arena -------------------+
 *     | header | return stack | landing | payload ->       free       <- locals 1 | 0  |
 *     +--------+--------------+---------+---------------------------------------------+
 *
 * The payload always starts at the same place: a function reads its input there, writes the
 * arguments of a CALL there, and finds the answer there. What a function must remember across a
 * CALL lives in its locals, which stack downwards from the end of the arena. A zero-copy dataplane
 * therefore moves a whole call graph by handing over one 16-byte descriptor per hop; a copying
 * dataplane encodes only the payload and keeps header, stack and locals at home.
 */
#ifndef PERHOP_CHAIN_MESSAGE_H
#define PERHOP_CHAIN_MESSAGE_H

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint16_t function_id;
typedef uint16_t instance_id;

enum {
	GATEWAY = 0,                /* instance_id of the gateway; functions' instances follow */
	INSTANCE_MAX = 64,          /* gateway included */
	FUNCTION_MAX = 32,
	TOPIC_MAX = 32,
	SEQUENCE_MAX = 32,          /* functions in one published sequence (Table 4: 12) */
	MESSAGE_DEPTH_MAX = 8,      /* nested CALLs; the boutique needs 3 */
	/*
	 * Fills the header up to 384 bytes: AF_XDP's headroom (256), 10 to spare, Ethernet, IPv4 and TCP
	 * (54) and a peer's header (64) end where the arena begins.
	 */
	MESSAGE_LANDING = 220,
	MESSAGE_BUFFER_DEFAULT = 64 << 10, /* bytes; the boutique's largest page needs 24 KiB */
};

#define FUNCTION_NONE ((function_id)0xffff)
#define INSTANCE_NONE ((instance_id)0xffff)

/* What the next component is to do with the message. */
enum message_kind {
	MESSAGE_INVOKE = 1,         /* run `function` on the payload: first hop, or FORWARD */
	MESSAGE_CALL,               /* run `function`; somebody waits for its answer */
	MESSAGE_ANSWER,             /* resume the innermost frame with the answer */
	MESSAGE_REPLY,              /* for the gateway: the client's response */
};

/* Statuses are HTTP's: what a caller reads in invocation.status and a client on the wire. */
enum {
	STATUS_OK = 200,
	STATUS_BAD_REQUEST = 400,
	STATUS_NOT_FOUND = 404,
	STATUS_INTERNAL = 500,
	STATUS_BAD_GATEWAY = 502,
	STATUS_UNAVAILABLE = 503,
	STATUS_GATEWAY_TIMEOUT = 504,
};

/* Return address of one CALL: who asked, and where it goes on. */
struct frame {
	function_id function;
	instance_id instance;
	uint16_t step;              /* invocation.step when it is resumed */
	uint16_t reserved;
	uint32_t locals;            /* bytes of its locals, a multiple of 64 */
};

struct message {
	uint64_t id;                /* given by the gateway; unique within a run */
	uint64_t sent_ns;           /* CLOCK_MONOTONIC of the last send; 0 unless traced */
	uint64_t born_ns;           /* CLOCK_MONOTONIC when the gateway sent it; 0 unless a sidecar asks */
	uint32_t capacity;          /* arena bytes; set by the pool, checked by every receiver */
	uint32_t length;            /* payload bytes */
	uint32_t locals;            /* arena bytes taken by locals of all frames */
	uint16_t type;              /* payload type: index into the workload's codec */
	uint16_t topic;             /* chain */
	function_id function;       /* who is to handle it */
	uint16_t status;            /* of an answer or reply */
	uint8_t kind;               /* enum message_kind */
	uint8_t depth;              /* frames in stack */
	uint8_t position;           /* hops made in a published sequence */
	uint8_t started;            /* service time of the current invocation has been served */
	uint32_t token;             /* a dataplane's or gateway's own: index of what waits for it */
	uint8_t tag[16];            /* who vouches for it: a sidecar's token; else zero */
	struct frame stack[MESSAGE_DEPTH_MAX];
	/*
	 * A frame of the network that is received into this buffer has its headers here and its payload
	 * in the arena, and one that is sent from it gets its headers here (chain/peer.h). Undefined
	 * otherwise; not part of what a function or a hop sees.
	 */
	unsigned char landing[MESSAGE_LANDING];
	alignas(64) unsigned char arena[];
};

static inline void *message_payload(struct message *m)
{
	return m->arena;
}

/* Bytes that the payload may grow to without running into the locals. */
static inline uint32_t message_room(const struct message *m)
{
	return m->capacity - m->locals;
}

/* Start of the innermost frame's locals. */
static inline void *message_locals(struct message *m)
{
	return m->arena + m->capacity - m->locals;
}

/* Make *m an empty message of `buffer_bytes` in all; everything a receiver may read is set. */
void message_init(struct message *m, uint32_t buffer_bytes);

/*
 * Is a message that came from another process sound: sizes within `buffer_bytes`, depth within the
 * stack, frames' locals adding up? 0, or -EBADMSG. Functions and instances are checked against the
 * deployment by the runtime, which knows how many there are.
 */
int message_check(const struct message *m, uint32_t buffer_bytes);

#endif
