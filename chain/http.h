/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HTTP/1.1 as the gateway, the function servers and queue-proxy speak it: an incremental, bounded
 * parser of untrusted bytes; the relocatable request and response that functions see; and writers.
 *
 * The parser copies nothing and allocates nothing: it reports slices of the caller's buffer.
 * It accepts what RFC 9112 requires and refuses the ambiguous (obs-fold, two different
 * Content-Lengths, Transfer-Encoding with Content-Length, bare LF inside a chunk, NUL in a header):
 * these are how requests get smuggled past a proxy.
 */
#ifndef PERHOP_CHAIN_HTTP_H
#define PERHOP_CHAIN_HTTP_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

enum {
	HTTP_HEAD_MAX = 16 << 10,   /* request line and header fields, bytes; more is a 431 */
	HTTP_TARGET_MAX = 4 << 10,  /* request target; more is a 414 */
	HTTP_FIELDS_MAX = 100,      /* header fields; more is a 431 */
	HTTP_BODY_DEFAULT = 32 << 10, /* body; more is a 413, unless the pool's buffers hold more */
	HTTP_RESPONSE_HEAD_MAX = 4 << 10, /* content type and fields of a function's response */
};

struct slice {
	const char *at;
	size_t length;
};

enum http_method { HTTP_GET = 1, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_DELETE, HTTP_OPTIONS,
		   HTTP_PATCH };

/* What http_parse found; slices point into the buffer that it was given. */
struct http_head {
	unsigned method;            /* requests: enum http_method */
	unsigned status;            /* responses */
	unsigned minor;             /* HTTP/1.minor: 0 or 1 */
	struct slice target, path, query;   /* requests; query without '?', may be empty */
	struct slice host, cookie, content_type, location, set_cookie;
	struct slice event;         /* from the first to the last CloudEvents field (Ce-…): lines
				     * of the head, others may be among them; empty: there are none */
	/* Fields of the dataplanes' own protocol, see dataplanes/kernel/README.md. */
	struct slice x_type, x_topic, x_position, x_status, x_outcome, x_token;
	uint64_t content_length;    /* valid when !chunked */
	bool has_length, chunked, keep_alive, expect_continue;
	size_t head_bytes;          /* of the buffer: the body starts here */
};

/*
 * Parse a head at `buf`. Returns its bytes when complete, 0 when more bytes are needed, or minus
 * the HTTP status to refuse it with (-400, -413, -414, -417, -431, -501, -505). *h is whole only
 * when it returns > 0. Of a field sent twice the first counts, but two Hosts are refused.
 *
 * It goes from left to right once and decides on each byte when it sees it, so the verdict does not
 * depend on how the bytes were cut into packets. It starts anew on each call: call it when a line
 * end has arrived, not for every byte, and a slow client costs at most HTTP_FIELDS_MAX passes.
 *
 * A response has no length of its own when !has_length && !chunked: its body ends with the
 * connection. 1xx, 204 and 304 have has_length and 0; the answer to a HEAD is the caller's to know.
 */
int http_parse_request(struct http_head *h, const char *buf, size_t length);
int http_parse_response(struct http_head *h, const char *buf, size_t length);

/*
 * Next field of a parsed head: `fields` starts as what http_fields gives and shrinks.
 * False at the end. For proxies, which pass on what they do not know.
 */
struct slice http_fields(const char *head, size_t head_bytes);
bool http_field_next(struct slice *fields, struct slice *name, struct slice *value);

/* State of a chunked body being decoded; start from zeroes. */
struct http_chunks {
	unsigned state;
	uint64_t left;              /* bytes of the current chunk */
	uint64_t total;             /* decoded so far */
	unsigned line;              /* bytes of the current size line or trailer */
};

/*
 * Decode chunked bytes from `in` into `out` (may be the same memory: it shrinks in place).
 * *used and *made say how far it got. 1 when the body is complete, 0 for more, or minus a status;
 * bodies over `limit` bytes give -413.
 */
int http_dechunk(struct http_chunks *c, const char *in, size_t length, char *out, size_t *used,
		 size_t *made, uint64_t limit);

/*
 * The request as a function sees it, at the start of a payload: offsets are from this struct, so
 * that it means the same in every process. Strings are NUL-terminated besides.
 */
struct http_part {
	uint32_t offset, length;
};

struct http_request {
	uint16_t method;
	uint16_t reserved;
	struct http_part path, query, cookie, content_type, host;
	struct http_part event;     /* whole "Ce-…: value\r\n" lines (CloudEvents, binary mode) */
	struct http_part body;
	char data[];
};

/*
 * The response likewise. `fields` are whole "Name: value\r\n" lines (Set-Cookie, Location…), never
 * those of the connection (Connection, Content-Length, Transfer-Encoding…): these are the
 * gateway's.
 */
struct http_response {
	uint16_t status;
	uint16_t reserved;
	struct http_part content_type, fields, body;
	char data[];
};

/* Bytes of a part; NULL when it does not lie within `length` bytes from `base` (untrusted). */
const char *http_part(const void *base, size_t length, struct http_part part);

/*
 * Build a struct http_request at `out` from a parsed head and its body. Returns its bytes, or
 * -EMSGSIZE. The body may already be in place: `body` may point into `out` where it belongs. With
 * body == NULL, `body_length` bytes of room are kept for a body that is yet to come: write it at
 * body.offset (the result - 1 - `body_length`), and call http_request_end with its true length (at
 * most what was kept). It takes the offset from the caller: memory that others can write is not
 * asked.
 */
ssize_t http_request_build(void *out, size_t room, const struct http_head *h, const char *body,
			   size_t body_length);
ssize_t http_request_end(struct http_request *r, size_t body_offset, size_t body_length);

/*
 * Build a struct http_response at `out` from a parsed head, the `head` bytes it was parsed from,
 * and the body. Keeps the fields that are meant for the client (Set-Cookie, Location,
 * Cache-Control…, all of them in order) and drops the connection's, the server's (Server, Date) and
 * X-Perhop-*. Returns its bytes, or -EMSGSIZE. `body` as above.
 */
ssize_t http_response_build(void *out, size_t room, const struct http_head *h, const char *head,
			    const char *body, size_t body_length);

/*
 * Is `r`, `length` bytes from another process, a sound request or response: parts within it and
 * NUL-terminated, status 200…599, fields whole lines and none of the connection's? 0 or -EBADMSG.
 */
int http_request_check(const struct http_request *r, size_t length);
int http_response_check(const struct http_response *r, size_t length);

/*
 * Builder for functions: begin, fields, body, end. The first error is remembered and returned by
 * end: -EMSGSIZE (no room), -EINVAL (a field after the body, or a control character in a field:
 * what a client sent must not become a field of its own).
 */
struct http_writer {
	struct http_response *response;
	size_t room, used; /* bytes from `response`; one byte of room is kept for the NUL */
	int error;
};
void http_begin(struct http_writer *w, void *payload, size_t room, unsigned status,
		const char *content_type);
void http_field(struct http_writer *w, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));          /* before the first byte of the body */
void http_format(struct http_writer *w, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void http_escape(struct http_writer *w, const char *text, size_t n);   /* HTML: & < > " ' */
/* Payload bytes, or the first error. */
ssize_t http_end(struct http_writer *w);

static inline void http_bytes(struct http_writer *w, const void *bytes, size_t n)
{
	if (n > w->room - w->used) {
		if (!w->error)
			w->error = -EMSGSIZE;
		return;
	}
	memcpy((char *)w->response + w->used, bytes, n);
	w->used += n;
}

/* With a literal, the compiler turns this into a few moves. */
static inline void http_text(struct http_writer *w, const char *text)
{
	http_bytes(w, text, strlen(text));
}

/*
 * Wire form. A response's head (everything up to the body) into `out`: returns bytes, or -EMSGSIZE;
 * the body is sent from where it lies. `extra` are whole field lines, may be "". `content_type` and
 * `fields` may lie in memory that others write: what was copied is checked again, -EBADMSG.
 */
ssize_t http_write_response_head(char *out, size_t room, unsigned status, struct slice content_type,
				 struct slice fields, const char *extra, size_t body_length,
				 bool keep_alive);
ssize_t http_write_request_head(char *out, size_t room, const char *method, const char *target,
				size_t target_length, const char *host, const char *extra,
				size_t body_length);
const char *http_reason(unsigned status);
const char *http_method_name(unsigned method);

/*
 * Form and query fields: the value of `name` in `text` ("a=1&b=2"), percent-decoded into `out`
 * with a NUL. Returns its length, or -ENOENT, -EMSGSIZE, -EBADMSG (bad escapes, NUL).
 */
ssize_t http_form_value(const char *text, size_t length, const char *name, char *out, size_t room);

/* Value of a cookie in a Cookie field, likewise, but as it is: cookies are not percent-encoded. */
ssize_t http_cookie_value(const char *text, size_t length, const char *name, char *out,
			  size_t room);

#endif
