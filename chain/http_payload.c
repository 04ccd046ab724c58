/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests and responses as payloads: a header of offsets, then the parts, each with a NUL behind
 * it.
 *
 *     struct http_request | path \0 query \0 cookie \0 content type \0 host \0 event \0 body \0
 *     struct http_response | content type \0 fields \0 body \0
 *
 * Both come from other processes: whoever reads one checks it first.
 */
#include <stdarg.h>
#include <stdio.h>

#include "chain/http.h"
#include "chain/http_chars.h"
#include "chain/probe.h"

const char *http_part(const void *base, size_t length, struct http_part part)
{
	if (part.offset > length || part.length > length - part.offset)
		return NULL;
	return (const char *)base + part.offset;
}

/* Append `s` and a NUL at *used; false when it does not fit. */
static bool put(char *base, size_t room, size_t *used, struct http_part *part, struct slice s)
{
	if (*used >= room || s.length > room - *used - 1 || s.length > UINT32_MAX)
		return false;
	if (s.length)
		memmove(base + *used, s.at, s.length);
	base[*used + s.length] = '\0';
	*part = (struct http_part){ (uint32_t)*used, (uint32_t)s.length };
	*used += s.length + 1;
	return true;
}

static bool of_event(struct slice name)
{
	return name.length > 3 && http_name_is(name.at, "ce-", 3);
}

/* Append "name: value\r\n" at *used; false when it does not fit. */
static bool put_line(char *base, size_t room, size_t *used, struct slice name, struct slice value)
{
	const size_t line = name.length + value.length + 4;
	char *at = base + *used;

	if (line > room - *used)
		return false;
	memcpy(at, name.at, name.length);
	memcpy(at + name.length, ": ", 2);
	memcpy(at + name.length + 2, value.at, value.length);
	memcpy(at + line - 2, "\r\n", 2);
	*used += line;
	return true;
}

/* The CloudEvents fields of `lines`, and a NUL. */
static bool put_event(char *base, size_t room, size_t *used, struct http_part *part,
		      struct slice lines)
{
	struct slice name, value;

	part->offset = (uint32_t)*used;
	while (lines.length && http_field_next(&lines, &name, &value))
		if (of_event(name) && !put_line(base, room, used, name, value))
			return false;
	if (*used >= room)
		return false;
	part->length = (uint32_t)(*used - part->offset);
	base[(*used)++] = '\0';
	return true;
}

ssize_t http_request_build(void *out, size_t room, const struct http_head *h, const char *body,
			   size_t body_length)
{
	struct http_request *r = out;
	size_t used = sizeof(*r);

	if (room > UINT32_MAX)
		room = UINT32_MAX;
	if (room < used)
		return -EMSGSIZE;
	memset(r, 0, sizeof(*r));
	r->method = (uint16_t)h->method;
	if (!put(out, room, &used, &r->path, h->path) ||
	    !put(out, room, &used, &r->query, h->query) ||
	    !put(out, room, &used, &r->cookie, h->cookie) ||
	    !put(out, room, &used, &r->content_type, h->content_type) ||
	    !put(out, room, &used, &r->host, h->host) ||
	    !put_event(out, room, &used, &r->event, h->event))
		return -EMSGSIZE;
	if (used >= room || body_length > room - used - 1)
		return -EMSGSIZE;
	if (body && body != (char *)out + used && body_length) {
		memmove((char *)out + used, body, body_length);
		PERHOP_COPY(body_length);
	}
	return http_request_end(r, used, body_length);
}

ssize_t http_request_end(struct http_request *r, size_t body_offset, size_t body_length)
{
	r->body = (struct http_part){ (uint32_t)body_offset, (uint32_t)body_length };
	((char *)r)[body_offset + body_length] = '\0';
	return (ssize_t)(body_offset + body_length + 1);
}

/* Is the part within the data and followed by a NUL? Works on a copy of the header: read once. */
static bool sound(const void *base, size_t header, size_t length, struct http_part part)
{
	return part.offset >= header && part.offset < length &&
	       part.length < length - part.offset &&
	       ((const char *)base)[part.offset + part.length] == '\0';
}

static bool is_text(const char *at, size_t n)
{
	return http_value_end(at, at + n) == at + n;
}

int http_request_check(const struct http_request *r, size_t length)
{
	struct http_request h;

	if (length < sizeof(h))
		return -EBADMSG;
	memcpy(&h, r, sizeof(h));
	if (h.method < HTTP_GET || h.method > HTTP_PATCH ||
	    !sound(r, sizeof(h), length, h.path) || !sound(r, sizeof(h), length, h.query) ||
	    !sound(r, sizeof(h), length, h.cookie) || !sound(r, sizeof(h), length, h.host) ||
	    !sound(r, sizeof(h), length, h.content_type) ||
	    !sound(r, sizeof(h), length, h.event) || !sound(r, sizeof(h), length, h.body))
		return -EBADMSG;
	if (!http_fields_sound((const char *)r + h.event.offset, h.event.length))
		return -EBADMSG;
	if (!is_text((const char *)r + h.path.offset, h.path.length) ||
	    !is_text((const char *)r + h.query.offset, h.query.length) ||
	    !is_text((const char *)r + h.cookie.offset, h.cookie.length) ||
	    !is_text((const char *)r + h.content_type.offset, h.content_type.length) ||
	    !is_text((const char *)r + h.host.offset, h.host.length))
		return -EBADMSG;
	return 0;
}

int http_response_check(const struct http_response *r, size_t length)
{
	struct http_response h;

	if (length < sizeof(h))
		return -EBADMSG;
	memcpy(&h, r, sizeof(h));
	if (h.status < 200 || h.status > 599 || !sound(r, sizeof(h), length, h.content_type) ||
	    !sound(r, sizeof(h), length, h.fields) || !sound(r, sizeof(h), length, h.body))
		return -EBADMSG;
	if (h.content_type.length + (uint64_t)h.fields.length > HTTP_RESPONSE_HEAD_MAX ||
	    !is_text((const char *)r + h.content_type.offset, h.content_type.length) ||
	    !http_fields_sound((const char *)r + h.fields.offset, h.fields.length))
		return -EBADMSG;
	return 0;
}

static void fail(struct http_writer *w, int error)
{
	if (!w->error)
		w->error = error;
}

void http_begin(struct http_writer *w, void *payload, size_t room, unsigned status,
		const char *content_type)
{
	struct http_response *r = payload;
	const struct slice type = { content_type, strlen(content_type) };

	*w = (struct http_writer){ .response = r };
	if (room > UINT32_MAX)
		room = UINT32_MAX;
	if (room < sizeof(*r) + type.length + 3) {  /* a NUL per part */
		w->error = -EMSGSIZE;
		return;
	}
	w->room = room - 1;
	w->used = sizeof(*r);
	memset(r, 0, sizeof(*r));
	r->status = (uint16_t)status;
	put(payload, room, &w->used, &r->content_type, type);
	put(payload, room, &w->used, &r->fields, (struct slice){ NULL, 0 });
	r->body.offset = (uint32_t)w->used;
}

/* The body has not begun: the field goes where the NUL behind the fields was. */
void http_field(struct http_writer *w, const char *name, const char *format, ...)
{
	struct http_response *r = w->response;
	char *base = (char *)r, *value;
	size_t at, left;
	va_list args;
	int n;

	if (w->error)
		return;
	if (w->used != r->body.offset) {
		fail(w, -EINVAL);
		return;
	}
	at = w->used - 1;
	left = w->room - at;
	n = snprintf(base + at, left, "%s: ", name);
	if (n < 0 || (size_t)n >= left) {
		fail(w, -EMSGSIZE);
		return;
	}
	value = base + at + n;
	left -= (size_t)n;
	va_start(args, format);
	n = vsnprintf(value, left, format, args);
	va_end(args);
	if (n < 0 || (size_t)n + 3 > left) {
		fail(w, -EMSGSIZE);
		return;
	}
	if (!is_text(value, (size_t)n)) {
		fail(w, -EINVAL);
		return;
	}
	memcpy(value + n, "\r\n", 3);
	w->used = (size_t)(value + n + 3 - base);
	r->fields.length = (uint32_t)(w->used - 1 - r->fields.offset);
	r->body.offset = (uint32_t)w->used;
}

void http_format(struct http_writer *w, const char *format, ...)
{
	const size_t left = w->room - w->used;
	va_list args;
	int n;

	if (w->error)
		return;
	va_start(args, format);
	n = vsnprintf((char *)w->response + w->used, left + 1, format, args);
	va_end(args);
	if (n < 0 || (size_t)n > left)
		fail(w, -EMSGSIZE);
	else
		w->used += (size_t)n;
}

static const char *entity(char c)
{
	switch (c) {
	case '&': return "&amp;";
	case '<': return "&lt;";
	case '>': return "&gt;";
	case '"': return "&quot;";
	case '\'': return "&#39;";
	}
	return NULL;
}

void http_escape(struct http_writer *w, const char *text, size_t n)
{
	static const bool special[256] = {
		['&'] = true, ['<'] = true, ['>'] = true, ['"'] = true, ['\''] = true,
	};
	const char *end = text + n, *run = text;

	while (run < end) {
		const char *p = run;

		while (p < end && !special[(uint8_t)*p])
			p++;
		http_bytes(w, run, (size_t)(p - run));
		if (p < end)
			http_text(w, entity(*p++));
		run = p;
	}
}

ssize_t http_end(struct http_writer *w)
{
	struct http_response *r = w->response;

	if (w->error)
		return w->error;
	r->body.length = (uint32_t)(w->used - r->body.offset);
	((char *)r)[w->used] = '\0';
	return (ssize_t)(w->used + 1);
}

/* Is this field about the connection or the server it came from, and not for the client? */
static bool for_client(struct slice name)
{
	static const char *const drop[] = {
		"connection", "content-length", "content-type", "date", "keep-alive",
		"proxy-connection", "server", "te", "trailer", "transfer-encoding", "upgrade",
	};

	if (name.length > 9 && http_name_is(name.at, "x-perhop-", 9))
		return false;
	for (size_t i = 0; i < sizeof(drop) / sizeof(drop[0]); i++)
		if (strlen(drop[i]) == name.length && http_name_is(name.at, drop[i], name.length))
			return false;
	return true;
}

ssize_t http_response_build(void *out, size_t room, const struct http_head *h, const char *head,
			    const char *body, size_t body_length)
{
	struct slice fields = http_fields(head, h->head_bytes), name, value;
	struct http_response *r = out;
	size_t used = sizeof(*r);

	if (room > UINT32_MAX)
		room = UINT32_MAX;
	if (room < used)
		return -EMSGSIZE;
	memset(r, 0, sizeof(*r));
	r->status = (uint16_t)h->status;
	if (!put(out, room, &used, &r->content_type, h->content_type))
		return -EMSGSIZE;
	r->fields.offset = (uint32_t)used;
	while (http_field_next(&fields, &name, &value)) {
		if (for_client(name) && !put_line(out, room, &used, name, value))
			return -EMSGSIZE;
	}
	r->fields.length = (uint32_t)(used - r->fields.offset);
	if (used >= room)
		return -EMSGSIZE;
	((char *)out)[used++] = '\0';
	if (!put(out, room, &used, &r->body, (struct slice){ body, body_length }))
		return -EMSGSIZE;
	if (body_length)
		PERHOP_COPY(body_length);
	return (ssize_t)used;
}
