/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "dataplanes/kernel/proxy_head.h"

struct out {
	char *at, *end;
	bool full;
};

static void add(struct out *o, const char *s, size_t n)
{
	if (n > (size_t)(o->end - o->at)) {
		o->full = true;
		return;
	}
	memcpy(o->at, s, n);
	o->at += n;
}

static void add_text(struct out *o, const char *s)
{
	add(o, s, strlen(s));
}

static bool is(struct slice s, const char *name)
{
	return s.length == strlen(name) && !strncasecmp(s.at, name, s.length);
}

static bool of_connection(struct slice name)
{
	static const char *const names[] = { "connection", "expect", "keep-alive",
					     "proxy-connection", "te", "trailer",
					     "transfer-encoding", "upgrade" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (is(name, names[i]))
			return true;
	return false;
}

/* Does a Connection field list `name` as one that ends here? */
static bool listed(struct slice list, struct slice name)
{
	const char *at = list.at, *end = list.at + list.length;

	while (at < end) {
		const char *stop = memchr(at, ',', (size_t)(end - at)), *last;

		stop = stop ? stop : end;
		while (at < stop && (*at == ' ' || *at == '\t'))
			at++;
		for (last = stop; last > at && (last[-1] == ' ' || last[-1] == '\t'); last--)
			;
		if ((size_t)(last - at) == name.length && !strncasecmp(at, name.at, name.length))
			return true;
		at = stop + 1;
	}
	return false;
}

/* Is `name` the connection's, by its own name or because a Connection field lists it? */
static bool ends_here(const struct stream *s, struct slice name)
{
	struct slice fields = http_fields(s->in, s->head.head_bytes), other, value;

	if (of_connection(name))
		return true;
	while (http_field_next(&fields, &other, &value))
		if (is(other, "connection") && listed(value, name))
			return true;
	return false;
}

static void add_fields(struct out *o, const struct stream *s, bool keep_length)
{
	struct slice fields = http_fields(s->in, s->head.head_bytes), name, value;

	while (http_field_next(&fields, &name, &value)) {
		if (ends_here(s, name) || (!keep_length && is(name, "content-length")))
			continue;
		add(o, name.at, name.length);
		add_text(o, ": ");
		add(o, value.at, value.length);
		add_text(o, "\r\n");
	}
}

static void add_length(struct out *o, uint32_t bytes)
{
	char text[40];

	snprintf(text, sizeof(text), "Content-Length: %u\r\n", bytes);
	add_text(o, text);
}

ssize_t proxy_request_head(char *out, size_t room, const struct stream *s)
{
	const struct http_head *h = &s->head;
	struct out o = { .at = out, .end = out + room };

	add_text(&o, http_method_name(h->method));
	add_text(&o, " ");
	add(&o, h->target.at, h->target.length);
	add_text(&o, " HTTP/1.1\r\n");
	if (!h->host.length)                    /* HTTP/1.0 needs none, HTTP/1.1 does */
		add_text(&o, "Host: function\r\n");
	add_fields(&o, s, false);
	if (h->has_length || h->chunked)
		add_length(&o, s->body);
	add_text(&o, "\r\n");
	return o.full ? -EMSGSIZE : o.at - out;
}

ssize_t proxy_response_head(char *out, size_t room, const struct stream *s, bool head_only,
			    bool keep_alive, bool old)
{
	const struct http_head *h = &s->head;
	const bool bodiless = head_only || h->status == 204 || h->status == 304;
	struct out o = { .at = out, .end = out + room };
	char line[80];

	snprintf(line, sizeof(line), "HTTP/1.1 %u %s\r\n", h->status, http_reason(h->status));
	add_text(&o, line);
	add_fields(&o, s, bodiless);
	if (!bodiless)
		add_length(&o, s->body);
	if (!keep_alive)
		add_text(&o, "Connection: close\r\n");
	else if (old)
		add_text(&o, "Connection: keep-alive\r\n");
	add_text(&o, "\r\n");
	return o.full ? -EMSGSIZE : o.at - out;
}
