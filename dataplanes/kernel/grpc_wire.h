/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What gRPC adds to HTTP/2 (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md), without sockets or HTTP/2:
 * the five bytes before a message, the header fields, deadlines, and statuses both ways. Every byte
 * read here is a stranger's.
 *
 *     | compressed: 0 | length, 4 bytes, big endian | message |
 */
#ifndef PERHOP_KERNEL_GRPC_WIRE_H
#define PERHOP_KERNEL_GRPC_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chain/http.h"
#include "chain/workload.h"

/* grpc-status, as the protocol numbers them. */
enum grpc_status {
	GRPC_OK, GRPC_CANCELLED, GRPC_UNKNOWN, GRPC_INVALID_ARGUMENT, GRPC_DEADLINE_EXCEEDED,
	GRPC_NOT_FOUND, GRPC_ALREADY_EXISTS, GRPC_PERMISSION_DENIED, GRPC_RESOURCE_EXHAUSTED,
	GRPC_FAILED_PRECONDITION, GRPC_ABORTED, GRPC_OUT_OF_RANGE, GRPC_UNIMPLEMENTED,
	GRPC_INTERNAL, GRPC_UNAVAILABLE, GRPC_DATA_LOSS, GRPC_UNAUTHENTICATED,
	GRPC_STATUSES,
};

enum {
	GRPC_PREFIX = 5,            /* bytes before a message */
	GRPC_TIMEOUT_TEXT = 10,     /* eight digits, a unit, a NUL */
	GRPC_REASON_MAX = 1024,     /* bytes of grpc-message before it is percent-encoded; the rest is cut */
	GRPC_FIELDS_MAX = 16 << 10, /* bytes of a header list as SETTINGS_MAX_HEADER_LIST_SIZE counts */
};

/*
 * The grpc-status that tells a stranger what an answer's HTTP status tells our callers, and the HTTP
 * status that a foreign service's grpc-status is to our functions (google/rpc/code.proto). Exact
 * statuses travel beside, as perhop-status.
 */
enum grpc_status grpc_of_http(unsigned status);
unsigned grpc_to_http(unsigned status);

/* ns of "100m"; 0: not a timeout. Never more than a day. */
uint64_t grpc_timeout_parse(const char *text, size_t length);

/* The reverse, in the unit that keeps eight digits; rounded up, since a deadline of 0 has passed. */
void grpc_timeout_format(uint64_t ns, char out[GRPC_TIMEOUT_TEXT]);

/* grpc-message: everything but printable ASCII, and '%', as %XX. Bytes written, at most `room`. */
size_t grpc_percent_encode(const char *in, size_t length, char *out, size_t room);
size_t grpc_percent_decode(const char *in, size_t length, char *out, size_t room);

/* The bytes before a message of `length` bytes. */
void grpc_prefix(uint8_t out[GRPC_PREFIX], uint32_t length);

/* A message as its bytes come in; start from zeroes. */
struct grpc_reader {
	uint32_t have;              /* bytes of prefix and message so far */
	uint32_t length;            /* of the message, once have ≥ GRPC_PREFIX */
	bool whole;
};

/*
 * Take the next `n` bytes into `buffer` (`room` bytes, the prefix included). 0, or why not: -EMSGSIZE
 * (larger than the buffer), -EPROTO (a flag that is no flag), -ENOTSUP (compressed), -EEXIST (bytes after
 * the message: a second one, and a unary call has one).
 */
int grpc_read(struct grpc_reader *r, const uint8_t *in, size_t n, uint8_t *buffer, uint32_t room);

/* The header fields of one side of a call; start from grpc_head_init. */
struct grpc_head {
	const struct application *app;
	char *reason;               /* where grpc-message goes, decoded; NULL: nowhere */
	uint32_t reason_room, reason_length;
	uint32_t bytes;             /* of the header list */
	const struct service_method *method;        /* requests: the one that is called; or NULL, and */
	function_id function;       /* the function of a generic path; FUNCTION_NONE: no such path */
	bool invoke;                /* generic: /perhop.Invoke/NAME */
	bool post, trailers, grpc;  /* :method POST, te: trailers, content-type application/grpc */
	bool bodyless;              /* :method HEAD: an answer to it has no body */
	bool encoded;               /* grpc-encoding is other than identity */
	bool reply;                 /* perhop-outcome: reply */
	bool bad;                   /* a field of ours, or a timeout, that cannot be read */
	int type;                   /* perhop-type; -1: not given, as all of these */
	int topic, position, status;        /* perhop-topic, -position, -status */
	int http_status, grpc_status;       /* :status, grpc-status */
	uint64_t timeout_ns;        /* grpc-timeout; 0: none */
};

void grpc_head_init(struct grpc_head *h, const struct application *app);

/* One more field. False when the list is too long; fields nobody here knows are passed over. */
bool grpc_head_field(struct grpc_head *h, struct slice name, struct slice value);

#endif
