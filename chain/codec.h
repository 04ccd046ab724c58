/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How payloads cross a copying dataplane. In memory a payload is a plain, relocatable C struct
 * (no pointers; strings by offset or in fixed arrays); on the wire of a `kernel` dataplane it is
 * protobuf. A zero-copy dataplane never calls a codec: the audit counts on it.
 */
#ifndef PERHOP_CHAIN_CODEC_H
#define PERHOP_CHAIN_CODEC_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Payload types 0…15 are common to all workloads; a workload's own start at TYPE_WORKLOAD. */
enum payload_type {
	TYPE_NONE = 0,              /* no payload */
	TYPE_BYTES,                 /* opaque bytes, sent as they are */
	TYPE_HTTP_REQUEST,          /* struct http_request; HTTP/1.1 is its wire form */
	TYPE_HTTP_RESPONSE,         /* struct http_response; likewise */
	TYPE_REASON,                /* text: why a function failed */
	TYPE_WORKLOAD = 16,
};

struct codec {
	/*
	 * Encode the payload `in` of `type` into `out`. Returns the bytes written, or -EMSGSIZE
	 * (more than `room`), -EINVAL (unknown type, or `in` is not a sound struct of that type).
	 */
	ssize_t (*encode)(uint16_t type, const void *in, size_t length, void *out, size_t room);
	/* The reverse; bytes on the wire are untrusted. The same errors, and -EBADMSG. */
	ssize_t (*decode)(uint16_t type, const void *in, size_t length, void *out, size_t room);
};

/* Encode or decode any type: common ones here, the workload's by `c` (NULL: none). */
ssize_t codec_encode(const struct codec *c, uint16_t type, const void *in, size_t length,
		     void *out, size_t room);
ssize_t codec_decode(const struct codec *c, uint16_t type, const void *in, size_t length,
		     void *out, size_t room);

#endif
