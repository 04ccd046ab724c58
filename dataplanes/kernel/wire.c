/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chain/codec.h"
#include "chain/http.h"
#include "chain/probe.h"
#include "dataplanes/kernel/token.h"
#include "dataplanes/kernel/wire.h"

#define LITERAL(text) ((struct slice){ text, sizeof(text) - 1 })

static const char call_path[] = "/call/", invoke_path[] = "/invoke/";

int wire_open(struct wire *w, const struct application *app, function_id self, uint32_t body_max)
{
	*w = (struct wire){
		.app = app, .self = self, .n_topics = app->n_chains, .body_max = body_max,
		.call_target = calloc(app->n_functions, WIRE_TARGET_MAX),
		.invoke_target = calloc(app->n_functions, WIRE_TARGET_MAX),
		.head = malloc(HTTP_HEAD_MAX),
		.body = malloc(body_max),
	};
	if (!w->call_target || !w->invoke_target || !w->head || !w->body)
		return -ENOMEM;
	for (unsigned f = 0; f < app->n_functions; f++) {
		const char *name = app->functions[f]->name;

		snprintf(w->call_target[f], WIRE_TARGET_MAX, "%s%s", call_path, name);
		snprintf(w->invoke_target[f], WIRE_TARGET_MAX, "%s%s", invoke_path, name);
	}
	return 0;
}

void wire_close(struct wire *w)
{
	free(w->call_target);
	free(w->invoke_target);
	free(w->head);
	free(w->body);
	*w = (struct wire){ 0 };
}

void wire_reason(struct message *m, uint16_t status, const char *reason)
{
	size_t n = strlen(reason);

	if (n > message_room(m))
		n = message_room(m);
	memcpy(message_payload(m), reason, n);
	m->length = (uint32_t)n;
	m->type = TYPE_REASON;
	m->status = status;
}

/* ---- Encode ----------------------------------------------------------------------------------- */

/* Field lines for the `extra` of http_write_*_head. snprintf would cost more than the send's lock. */
struct fields {
	char text[256];
	size_t used;
};

static void add(struct fields *f, const char *text)
{
	const size_t n = strlen(text);

	memcpy(f->text + f->used, text, n + 1);
	f->used += n;
}

static void add_number(struct fields *f, const char *name, unsigned value)
{
	char digits[12], *p = digits + sizeof(digits) - 1;

	*p = '\0';
	do
		*--p = (char)('0' + value % 10);
	while (value /= 10);
	add(f, name);
	add(f, p);
	add(f, "\r\n");
}

static void add_token(struct fields *f, const struct message *m)
{
	char text[TOKEN_TEXT + 1];

	token_write(text, m->id, m->tag);
	add(f, "X-Perhop-Token: ");
	add(f, text);
	add(f, "\r\n");
}

static struct slice part(const void *base, uint32_t length, struct http_part p)
{
	return (struct slice){ http_part(base, length, p), p.length };
}

/* "Cookie: …" and "Content-Type: …" of a client's request; false when it does not fit. */
static bool add_client_field(char *out, size_t room, size_t *used, const char *name, struct slice v)
{
	const size_t n = strlen(name);

	if (!v.length)
		return true;
	if (n + v.length + 3 > room - *used)
		return false;
	memcpy(out + *used, name, n);
	memcpy(out + *used + n, v.at, v.length);
	memcpy(out + *used + n + v.length, "\r\n", 3);
	*used += n + v.length + 2;
	return true;
}

/* Append whole lines; false when they do not fit. */
static bool add_lines(char *out, size_t room, size_t *used, struct slice lines)
{
	if (*used + lines.length + 1 > room)
		return false;
	memcpy(out + *used, lines.at, lines.length);
	*used += lines.length;
	out[*used] = '\0';
	return true;
}

/* The head of a TYPE_HTTP_REQUEST as the client wrote it, less what functions never see. */
static ssize_t client_head(char *out, size_t room, const struct message *m, const char *extra,
			   struct slice *body)
{
	const struct http_request *r = (const void *)m->arena;
	char target[HTTP_TARGET_MAX + 2], fields[HTTP_HEAD_MAX];
	size_t used = strlen(extra), length;
	struct slice path, query;

	if (http_request_check(r, m->length))
		return -EINVAL;
	path = part(r, m->length, r->path);
	query = part(r, m->length, r->query);
	length = path.length;
	if (path.length + query.length > HTTP_TARGET_MAX || used >= sizeof(fields))
		return -EMSGSIZE;
	memcpy(target, path.at, path.length);
	if (query.length) {
		target[length++] = '?';
		memcpy(target + length, query.at, query.length);
		length += query.length;
	}
	memcpy(fields, extra, used + 1);
	if (!add_client_field(fields, sizeof(fields), &used, "Cookie: ",
			      part(r, m->length, r->cookie)) ||
	    !add_client_field(fields, sizeof(fields), &used, "Content-Type: ",
			      part(r, m->length, r->content_type)) ||
	    !add_lines(fields, sizeof(fields), &used, part(r, m->length, r->event)))
		return -EMSGSIZE;
	*body = part(r, m->length, r->body);
	/* The host is NUL-terminated: http_request_check has seen to it. */
	return http_write_request_head(out, room, http_method_name(r->method), target, length,
				       part(r, m->length, r->host).at, fields, body->length);
}

static ssize_t response_head(char *out, size_t room, const struct message *m, const char *extra,
			     bool keep_alive, struct slice *body)
{
	const struct http_response *r = (const void *)m->arena;

	if (http_response_check(r, m->length))
		return -EINVAL;
	*body = part(r, m->length, r->body);
	return http_write_response_head(out, room, r->status, part(r, m->length, r->content_type),
					part(r, m->length, r->fields), extra, body->length,
					keep_alive);
}

/* HTTP inside another protocol: a whole request or response as the body of a message. */
static ssize_t wrap(const struct message *m, char *out, size_t room)
{
	struct slice body;
	ssize_t n;

	n = m->type == TYPE_HTTP_REQUEST ? client_head(out, room, m, "", &body) :
					   response_head(out, room, m, "", true, &body);
	if (n < 0)
		return n;
	if (body.length > room - (size_t)n)
		return -EMSGSIZE;
	memcpy(out + n, body.at, body.length);
	if (body.length)
		PERHOP_COPY(body.length);
	return n + (ssize_t)body.length;
}

ssize_t wire_encode_payload(const struct application *app, const struct message *m, void *out,
			    size_t room)
{
	if (m->type == TYPE_HTTP_REQUEST || m->type == TYPE_HTTP_RESPONSE)
		return wrap(m, out, room);
	return codec_encode(app->codec, m->type, m->arena, m->length, out, room);
}

/* An X-Perhop message: POST, or a response that a broker or caller reads. */
static ssize_t typed_head(struct wire *w, const struct message *m, enum wire_form form,
			  const struct fields *f, bool keep_alive, struct slice *body)
{
	ssize_t n = wire_encode_payload(w->app, m, w->body, w->body_max);
	const char *target;

	if (n < 0)
		return n;
	*body = (struct slice){ w->body, (size_t)n };
	if (form >= WIRE_ANSWER)
		return http_write_response_head(w->head, HTTP_HEAD_MAX, STATUS_OK,
						LITERAL("application/octet-stream"),
						(struct slice){ 0 }, f->text, body->length,
						keep_alive);
	if (m->function >= w->app->n_functions)
		return -EINVAL;
	target = form == WIRE_CALL ? w->call_target[m->function] : w->invoke_target[m->function];
	return http_write_request_head(w->head, HTTP_HEAD_MAX, "POST", target, strlen(target),
				       w->app->functions[m->function]->name, f->text,
				       body->length);
}

/* The client's response, in the words that perhop's gateway would use (chain/gateway.c). */
static ssize_t reply_head(struct wire *w, const struct message *m, const struct fields *f,
			  bool keep_alive, struct slice *body)
{
	const bool reason = m->type == TYPE_REASON;
	struct fields extra = *f;
	unsigned status = m->status;

	if (m->type == TYPE_HTTP_RESPONSE)
		return response_head(w->head, HTTP_HEAD_MAX, m, f->text, keep_alive, body);
	if (!reason && m->type != TYPE_BYTES)
		return -EINVAL;
	if (status < (reason ? 400 : 200) || status > 599)
		status = reason ? STATUS_INTERNAL : STATUS_OK;
	if (status == STATUS_UNAVAILABLE)
		add(&extra, "Retry-After: 1\r\n");
	*body = (struct slice){ (const char *)m->arena, m->length };
	return http_write_response_head(w->head, HTTP_HEAD_MAX, status,
					reason ? LITERAL("text/plain; charset=utf-8") :
						 LITERAL("application/octet-stream"),
					(struct slice){ 0 }, extra.text, body->length, keep_alive);
}

int wire_encode(struct wire *w, const struct message *m, enum wire_form form, bool keep_alive,
		bool head_only)
{
	static const char *const outcome[] = {
		[WIRE_ANSWER] = "X-Perhop-Outcome: answer\r\n",
		[WIRE_FORWARD] = "X-Perhop-Outcome: forward\r\n",
		[WIRE_REPLY] = "X-Perhop-Outcome: reply\r\n",
	};
	struct fields f = { .used = 0 };
	struct slice body = { 0 };
	ssize_t n;

	if (form >= WIRE_ANSWER)
		add(&f, outcome[form]);
	if (form != WIRE_CLIENT)
		add_number(&f, "X-Perhop-Type: ", m->type);
	if (form == WIRE_ANSWER)
		add_number(&f, "X-Perhop-Status: ", m->status);
	if (form <= WIRE_CALL)
		add_number(&f, "X-Perhop-Topic: ", m->topic);
	if (form == WIRE_INVOKE || form == WIRE_CALL || form == WIRE_FORWARD)
		add_number(&f, "X-Perhop-Position: ", m->position);
	if (form <= WIRE_CALL && token_present(m))
		add_token(&f, m);
	switch (form) {
	case WIRE_CLIENT:
		n = client_head(w->head, HTTP_HEAD_MAX, m, f.text, &body);
		break;
	case WIRE_REPLY:
		n = reply_head(w, m, &f, keep_alive, &body);
		break;
	default:
		n = typed_head(w, m, form, &f, keep_alive, &body);
	}
	if (n < 0)
		return n == -EMSGSIZE ? -EMSGSIZE : -EINVAL;
	w->iov[0] = (struct iovec){ w->head, (size_t)n };
	w->iov[1] = (struct iovec){ (void *)body.at, head_only ? 0 : body.length };
	return 0;
}

void wire_refuse(struct wire *w, unsigned status, const char *reason, bool keep_alive)
{
	ssize_t n = http_write_response_head(w->head, HTTP_HEAD_MAX, status,
					     LITERAL("text/plain; charset=utf-8"),
					     (struct slice){ 0 },
					     status == STATUS_UNAVAILABLE ? "Retry-After: 1\r\n" : "",
					     strlen(reason), keep_alive);

	w->iov[0] = (struct iovec){ w->head, (size_t)n };
	w->iov[1] = (struct iovec){ (void *)reason, strlen(reason) };
}

/* ---- Decode ----------------------------------------------------------------------------------- */

long wire_number(struct slice s, long max)
{
	long n = 0;

	if (!s.length || s.length > 6)
		return -1;
	for (size_t i = 0; i < s.length; i++) {
		if (s.at[i] < '0' || s.at[i] > '9')
			return -1;
		n = n * 10 + (s.at[i] - '0');
	}
	return n <= max ? n : -1;
}

static bool is(struct slice s, const char *text)
{
	return s.length == strlen(text) && !memcmp(s.at, text, s.length);
}

/* HTTP inside HTTP, the way back. */
static ssize_t unwrap(uint16_t type, const char *in, size_t length, void *out, size_t room)
{
	struct http_head h;
	int n = type == TYPE_HTTP_REQUEST ? http_parse_request(&h, in, length) :
					    http_parse_response(&h, in, length);

	if (n <= 0)
		return -EBADMSG;
	in += n;
	length -= (size_t)n;
	if (h.chunked || (h.has_length && h.content_length != length) || (!h.has_length && length))
		return -EBADMSG;
	return type == TYPE_HTTP_REQUEST ? http_request_build(out, room, &h, in, length) :
		http_response_build(out, room, &h, in - n, in, length);
}

int wire_decode_payload(const struct application *app, uint16_t type, const void *in, size_t length,
			struct message *m)
{
	ssize_t n;

	if (type == TYPE_HTTP_REQUEST || type == TYPE_HTTP_RESPONSE)
		n = unwrap(type, in, length, message_payload(m), message_room(m));
	else
		n = codec_decode(app->codec, type, in, length, message_payload(m), message_room(m));
	if (n < 0)
		return n == -EMSGSIZE ? -413 : -400;
	m->type = type;
	m->length = (uint32_t)n;
	return 0;
}

static int decode_payload(const struct wire *w, const struct stream *s, struct message *m, long type)
{
	return wire_decode_payload(w->app, (uint16_t)type, stream_body(s), s->body, m);
}

/* The chain whose path is the longest prefix of `path`, by whole segments, as the gateway chooses. */
static long topic_of(const struct application *app, struct slice path)
{
	size_t best = 0;
	long topic = -1;

	for (unsigned t = 0; t < app->n_chains; t++) {
		const char *prefix = app->chains[t].path;
		const size_t n = strlen(prefix);

		if (n > path.length || (topic >= 0 && n <= best) || memcmp(prefix, path.at, n) ||
		    (n && n < path.length && prefix[n - 1] != '/' && path.at[n] != '/'))
			continue;
		best = n;
		topic = (long)t;
	}
	return topic;
}

static int decode_request(const struct wire *w, const struct stream *s, struct message *m)
{
	const struct http_head *h = &s->head;
	long topic, type, position = 0;
	ssize_t n;

	topic = h->x_topic.length ? wire_number(h->x_topic, w->n_topics - 1) : topic_of(w->app, h->path);
	if (topic < 0)
		return h->x_topic.length ? -400 : -404;
	if (h->x_position.length)
		position = wire_number(h->x_position, SEQUENCE_MAX - 1);
	if (position < 0)
		return -400;
	m->kind = MESSAGE_INVOKE;
	m->function = w->self;
	m->topic = (uint16_t)topic;
	m->position = (uint8_t)position;
	m->status = STATUS_OK;
	token_read(h->x_token, &m->id, m->tag);
	if (!h->x_type.length) {
		m->type = TYPE_HTTP_REQUEST;
		n = http_request_build(message_payload(m), message_room(m), h, stream_body(s),
				       s->body);
		if (n < 0)
			return -413;
		m->length = (uint32_t)n;
		return 0;
	}
	type = wire_number(h->x_type, UINT16_MAX);
	if (type < 0 || h->method != HTTP_POST)
		return -400;
	if (is(h->path, w->call_target[w->self]))
		m->kind = MESSAGE_CALL;
	else if (!is(h->path, w->invoke_target[w->self]))
		return -404;            /* misrouted: another function is meant */
	return decode_payload(w, s, m, type);
}

static int decode_response(const struct wire *w, const struct stream *s, struct message *m)
{
	const struct http_head *h = &s->head;
	long status = (long)h->status, type = wire_number(h->x_type, UINT16_MAX);
	ssize_t n;

	if (!is(h->x_outcome, "answer") && !is(h->x_outcome, "reply")) {
		/* Not a function's words: a sidecar, a broker or the engine there has refused. */
		char why[96];

		snprintf(why, sizeof(why), "the callee's endpoint answered %ld", status);
		m->kind = MESSAGE_ANSWER;
		wire_reason(m, status >= 400 && status <= 599 ? (uint16_t)status :
							       STATUS_BAD_GATEWAY, why);
		return 0;
	}
	if (type < 0)
		return -502;
	if (is(h->x_outcome, "answer")) {
		m->kind = MESSAGE_ANSWER;
		status = wire_number(h->x_status, 599);
		if (status < 100)
			return -502;
		m->status = (uint16_t)status;
		return decode_payload(w, s, m, type) ? -502 : 0;
	}
	m->kind = MESSAGE_REPLY;
	m->status = (uint16_t)status;
	if (type != TYPE_HTTP_RESPONSE)
		return decode_payload(w, s, m, type) ? -502 : 0;
	n = http_response_build(message_payload(m), message_room(m), h, s->in, stream_body(s),
				s->body);
	if (n < 0)
		return -502;
	m->type = TYPE_HTTP_RESPONSE;
	m->length = (uint32_t)n;
	return 0;
}

int wire_decode(const struct wire *w, const struct stream *s, struct message *m)
{
	return s->response ? decode_response(w, s, m) : decode_request(w, s, m);
}
