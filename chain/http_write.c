/* SPDX-License-Identifier: BSD-2-Clause */
/* The wire form of heads, and the check of what functions want to put into them. */
#include "chain/codec.h"
#include "chain/http.h"
#include "chain/http_chars.h"
#include "chain/probe.h"

struct reason {
	uint16_t status;
	const char *text;
};

const char *http_reason(unsigned status)
{
	static const struct reason reasons[] = {
		{ 200, "OK" }, { 201, "Created" }, { 202, "Accepted" }, { 204, "No Content" },
		{ 206, "Partial Content" }, { 301, "Moved Permanently" }, { 302, "Found" },
		{ 303, "See Other" }, { 304, "Not Modified" }, { 307, "Temporary Redirect" },
		{ 308, "Permanent Redirect" }, { 400, "Bad Request" }, { 401, "Unauthorized" },
		{ 403, "Forbidden" }, { 404, "Not Found" }, { 405, "Method Not Allowed" },
		{ 408, "Request Timeout" }, { 409, "Conflict" }, { 411, "Length Required" },
		{ 413, "Content Too Large" }, { 414, "URI Too Long" },
		{ 415, "Unsupported Media Type" }, { 417, "Expectation Failed" },
		{ 422, "Unprocessable Content" }, { 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" }, { 500, "Internal Server Error" },
		{ 501, "Not Implemented" }, { 502, "Bad Gateway" },
		{ 503, "Service Unavailable" }, { 504, "Gateway Timeout" },
		{ 505, "HTTP Version Not Supported" },
	};
	static const char *const classes[] = { "Unknown", "Informational", "Success", "Redirection",
					       "Client Error", "Server Error" };

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].text;
	return classes[status >= 100 && status <= 599 ? status / 100 : 0];
}

const char *http_method_name(unsigned method)
{
	static const char *const names[] = { "?", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS",
					     "PATCH" };

	return names[method <= HTTP_PATCH ? method : 0];
}

/* Fields that say where a message ends or what becomes of the connection. */
static bool of_connection(const char *name, size_t n)
{
	static const char *const reserved[] = {
		"connection", "content-length", "content-type", "keep-alive", "proxy-connection",
		"te", "trailer", "transfer-encoding", "upgrade",
	};

	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (strlen(reserved[i]) == n && http_name_is(name, reserved[i], n))
			return true;
	return false;
}

bool http_fields_sound(const char *at, size_t n)
{
	const char *end = at + n;

	while (at < end) {
		const char *name = at;

		while (at < end && http_is(*at, CHAR_TOKEN))
			at++;
		if (at == end || *at != ':' || at == name ||
		    of_connection(name, (size_t)(at - name)))
			return false;
		at = http_value_end(at + 1, end);
		if (end - at < 2 || at[0] != '\r' || at[1] != '\n')
			return false;
		at += 2;
	}
	return true;
}

/* An output buffer that remembers that it was too small. */
struct out {
	char *at, *end;
	bool full;
};

static inline void add(struct out *o, const char *s, size_t n)
{
	if (n > (size_t)(o->end - o->at)) {
		o->full = true;
		return;
	}
	if (n)
		memcpy(o->at, s, n);
	o->at += n;
}

#define ADD(o, literal) add(o, literal, sizeof(literal) - 1)

static void add_text(struct out *o, const char *s)
{
	add(o, s, strlen(s));
}

static void add_number(struct out *o, size_t n)
{
	char digits[24], *p = digits + sizeof(digits);

	do
		*--p = (char)('0' + n % 10);
	while (n /= 10);
	add(o, p, (size_t)(digits + sizeof(digits) - p));
}

ssize_t http_write_response_head(char *out, size_t room, unsigned status, struct slice content_type,
				 struct slice fields, const char *extra, size_t body_length,
				 bool keep_alive)
{
	struct out o = { .at = out, .end = out + room };
	const char *type, *copied;

	if (status == 200) {
		ADD(&o, "HTTP/1.1 200 OK\r\n");
	} else {
		ADD(&o, "HTTP/1.1 ");
		add_number(&o, status);
		ADD(&o, " ");
		add_text(&o, http_reason(status));
		ADD(&o, "\r\n");
	}
	if (content_type.length) {
		ADD(&o, "Content-Type: ");
		type = o.at;
		add(&o, content_type.at, content_type.length);
		if (http_value_end(type, o.at) != o.at)
			return -EBADMSG;
		ADD(&o, "\r\n");
	}
	copied = o.at;
	add(&o, fields.at, fields.length);
	if (!http_fields_sound(copied, (size_t)(o.at - copied)))
		return -EBADMSG;
	add_text(&o, extra);
	if (status >= 200 && status != 204 && status != 304) {
		ADD(&o, "Content-Length: ");
		add_number(&o, body_length);
		ADD(&o, "\r\n");
	}
	if (keep_alive)
		ADD(&o, "Connection: keep-alive\r\n\r\n");
	else
		ADD(&o, "Connection: close\r\n\r\n");
	if (o.full)
		return -EMSGSIZE;
	PERHOP_ENCODE(TYPE_HTTP_RESPONSE, o.at - out);
	return o.at - out;
}

ssize_t http_write_request_head(char *out, size_t room, const char *method, const char *target,
				size_t target_length, const char *host, const char *extra,
				size_t body_length)
{
	struct out o = { .at = out, .end = out + room };

	add_text(&o, method);
	ADD(&o, " ");
	add(&o, target, target_length);
	ADD(&o, " HTTP/1.1\r\nHost: ");
	add_text(&o, host);
	ADD(&o, "\r\n");
	add_text(&o, extra);
	/* RFC 9110 §8.6: a method that means a body says so even when there is none. */
	if (body_length || method[0] == 'P') {
		ADD(&o, "Content-Length: ");
		add_number(&o, body_length);
		ADD(&o, "\r\n");
	}
	ADD(&o, "\r\n");
	if (o.full)
		return -EMSGSIZE;
	PERHOP_ENCODE(TYPE_HTTP_REQUEST, o.at - out);
	return o.at - out;
}
