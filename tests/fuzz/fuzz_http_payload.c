/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests and responses as another process left them in shared memory: what passes the check can
 * be read, and what a client gets is one response, whatever the function wrote.
 */
#include "chain/http.h"
#include "tests/fuzz/fuzz.h"

static void read_part(const void *base, size_t size, struct http_part part)
{
	const char *s = http_part(base, size, part);

	PROMISE(s && s[part.length] == '\0' && strlen(s) <= part.length);
}

static void check_request(const struct http_request *r, size_t size)
{
	if (http_request_check(r, size))
		return;
	PROMISE(http_method_name(r->method)[0] != '?');
	read_part(r, size, r->path);
	read_part(r, size, r->query);
	read_part(r, size, r->cookie);
	read_part(r, size, r->content_type);
	read_part(r, size, r->host);
	read_part(r, size, r->body);
}

static void check_response(const struct http_response *r, size_t size)
{
	static char wire[HTTP_RESPONSE_HEAD_MAX + 1024];
	struct http_head h;
	ssize_t n;

	if (http_response_check(r, size))
		return;
	read_part(r, size, r->content_type);
	read_part(r, size, r->fields);
	read_part(r, size, r->body);
	n = http_write_response_head(
		wire, sizeof(wire), r->status,
		(struct slice){http_part(r, size, r->content_type), r->content_type.length},
		(struct slice){http_part(r, size, r->fields), r->fields.length}, "", r->body.length,
		true);
	PROMISE(n > 0);
	n = http_parse_response(&h, wire, (size_t)n) - n;
	PROMISE(n == 0 || n + (ssize_t)h.head_bytes <= -400);       /* whole, or too many fields */
	if (n == 0) {
		PROMISE(h.status == r->status && h.keep_alive && h.has_length);
		PROMISE(h.status == 204 || h.status == 304 || h.content_length == r->body.length);
	}
}

/* The head's writer checks what it copies, on its own: memory may change after the check. */
static void check_writer(const char *text, size_t size)
{
	static char wire[HTTP_RESPONSE_HEAD_MAX + 1024];
	const size_t half = size / 2;
	struct http_head h;
	const ssize_t n = http_write_response_head(
		wire, sizeof(wire), 200, (struct slice){text, half < 64 ? half : 64},
		(struct slice){text + half, size - half}, "", 7, false);

	PROMISE(n > 0 || n == -EBADMSG || n == -EMSGSIZE);
	if (n > 0 && http_parse_response(&h, wire, (size_t)n) > 0)
		PROMISE(h.head_bytes == (size_t)n && h.content_length == 7 && !h.keep_alive);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_request((const void *)data, size);
	check_response((const void *)data, size);
	check_writer((const char *)data, size);
	return 0;
}
