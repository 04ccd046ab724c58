/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A message on the wire: the two places where kernel:* turns one into HTTP/1.1 and back. The README
 * shows the requests and responses as bytes.
 *
 *     wire_encode   message -> head in w->head, body in w->body or still in the payload
 *     wire_decode   whole HTTP message in a stream's buffer -> message
 *
 * Payloads go through codec_encode and codec_decode. HTTP requests and responses that functions pass
 * on travel as HTTP messages, either as they are or as the body of another one.
 */
#ifndef PERHOP_KERNEL_WIRE_H
#define PERHOP_KERNEL_WIRE_H

#include <sys/uio.h>

#include "chain/message.h"
#include "chain/workload.h"
#include "dataplanes/kernel/stream.h"

enum { WIRE_TARGET_MAX = 64 };

enum wire_form {
	WIRE_CLIENT,                /* the client's own request, for the head function */
	WIRE_INVOKE,                /* POST /invoke/NAME: FORWARD */
	WIRE_CALL,                  /* POST /call/NAME: the answer resumes a caller */
	WIRE_ANSWER,                /* response: X-Perhop-Outcome: answer, RETURN to that caller */
	WIRE_FORWARD,               /* response: forward, the broker invokes the next function */
	WIRE_REPLY,                 /* response: reply, what the client gets */
};

struct wire {
	const struct application *app;
	unsigned n_topics;
	function_id self;           /* the function served here; FUNCTION_NONE: none, a client only */
	uint32_t body_max;
	char (*call_target)[WIRE_TARGET_MAX], (*invoke_target)[WIRE_TARGET_MAX];
	char *head;                 /* HTTP_HEAD_MAX bytes */
	char *body;                 /* body_max bytes */
	struct iovec iov[2];        /* what wire_encode made: head and body */
};

/* Buffers and targets for `app`. 0 or -ENOMEM; wire_close also after an error. */
int wire_open(struct wire *w, const struct application *app, function_id self, uint32_t body_max);
void wire_close(struct wire *w);

/*
 * Encode `m` into w->iov, to be sent before the next call and before `m` changes. `keep_alive` and
 * `head_only` (the answer to a HEAD) matter to responses. 0, -EMSGSIZE, or -EINVAL: not a sound
 * payload of its type.
 */
int wire_encode(struct wire *w, const struct message *m, enum wire_form form, bool keep_alive,
		bool head_only);

/* A response that is made here, not by a function: `status` and the reason as text. */
void wire_refuse(struct wire *w, unsigned status, const char *reason, bool keep_alive);

/*
 * Decode the whole message in `s`. A request fills m->kind (INVOKE or CALL), function, topic,
 * position, with a token id and tag, and the payload. A response is written over the payload of the waiting message `m` and
 * sets kind (ANSWER or REPLY), status, type. 0, or minus the HTTP status to refuse it with.
 */
int wire_decode(const struct wire *w, const struct stream *s, struct message *m);

/*
 * The payload alone, for kernel:grpc: `m`'s at `out`, bytes or -EMSGSIZE, -EINVAL; and `length` bytes of
 * `type` over the payload of `m`, setting type and length: 0, -413 or -400. HTTP requests and responses
 * are HTTP messages, everything else is the codec's.
 */
ssize_t wire_encode_payload(const struct application *app, const struct message *m, void *out,
			    size_t room);
int wire_decode_payload(const struct application *app, uint16_t type, const void *in, size_t length,
			struct message *m);

/* A field's decimal number up to `max`; -1 when it is anything else. */
long wire_number(struct slice s, long max);

/* Make `m` say why there is no answer: status and TYPE_REASON. */
void wire_reason(struct message *m, uint16_t status, const char *reason);

#endif
