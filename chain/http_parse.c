/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The head parser: one pass from left to right over untrusted bytes.
 *
 *     GET /product/1?x=2 HTTP/1.1 CRLF      request line
 *     Host: shop CRLF                       fields: name ':' OWS value OWS CRLF
 *     CRLF                                  end of the head
 *
 * Every step returns 1 (done), 0 (more bytes needed) or minus a status, and looks at no byte behind
 * the one that decides; hence a head cut into packets in any way gets the same verdict.
 */
#include "chain/codec.h"
#include "chain/http.h"
#include "chain/http_chars.h"
#include "chain/probe.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { METHOD_MAX = 16, REASON_MAX = 256 };

#define ANY (CHAR_TOKEN | CHAR_TARGET | CHAR_VALUE | CHAR_HOST)
#define NO_TOKEN (CHAR_TARGET | CHAR_VALUE | CHAR_HOST)
#define NO_HOST (CHAR_TOKEN | CHAR_TARGET | CHAR_VALUE)
#define SEPARATOR (CHAR_TARGET | CHAR_VALUE)

const uint8_t http_class[256] = {
	['\t'] = CHAR_VALUE,
	[' '] = CHAR_VALUE,
	['!'] = ANY,
	['"'] = SEPARATOR,
	['#'] = CHAR_TOKEN | CHAR_VALUE,
	['$' ... '\''] = ANY,
	['(' ... ')'] = NO_TOKEN,
	['*' ... '+'] = ANY,
	[','] = NO_TOKEN,
	['-' ... '.'] = ANY,
	['/'] = SEPARATOR,
	['0' ... '9'] = ANY,
	[':' ... ';'] = NO_TOKEN,
	['<'] = SEPARATOR,
	['='] = NO_TOKEN,
	['>' ... '@'] = SEPARATOR,
	['A' ... 'Z'] = ANY,
	['['] = NO_TOKEN,
	['\\'] = SEPARATOR,
	[']'] = NO_TOKEN,
	['^'] = NO_HOST,
	['_'] = ANY,
	['`'] = NO_HOST,
	['a' ... 'z'] = ANY,
	['{'] = SEPARATOR,
	['|'] = NO_HOST,
	['}'] = SEPARATOR,
	['~'] = ANY,
	[0x80 ... 0xff] = CHAR_VALUE,
};

struct parse {
	struct http_head *h;
	const char *at, *end;
	bool request;
	bool host_field, coding, close, keep;
};

const char *http_value_end(const char *p, const char *end)
{
#ifdef __SSE2__
	const __m128i control = _mm_set1_epi8(0x1f), del = _mm_set1_epi8(0x7f);

	while (end - p >= 16) {
		const __m128i v = _mm_loadu_si128((const __m128i *)p);
		const __m128i bad = _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(v, control), v),
						 _mm_cmpeq_epi8(v, del));
		const int mask = _mm_movemask_epi8(bad);

		if (!mask) {
			p += 16;
			continue;
		}
		p += __builtin_ctz((unsigned)mask);
		if (*p != '\t')
			return p;
		p++;
	}
#endif
	while (p < end && http_is(*p, CHAR_VALUE))
		p++;
	return p;
}

/*
 * CR LF, and nothing else, ends a line: a bare LF or CR means different things to different
 * parsers.
 */
static int line_end(struct parse *p)
{
	if (p->at == p->end)
		return 0;
	if (p->at[0] != '\r')
		return -400;
	if (p->end - p->at < 2)
		return 0;
	if (p->at[1] != '\n')
		return -400;
	p->at += 2;
	return 1;
}

static unsigned method_of(const char *s, size_t n)
{
	switch (n) {
	case 3:
		return !memcmp(s, "GET", 3) ? HTTP_GET : !memcmp(s, "PUT", 3) ? HTTP_PUT : 0;
	case 4:
		return !memcmp(s, "POST", 4) ? HTTP_POST : !memcmp(s, "HEAD", 4) ? HTTP_HEAD : 0;
	case 5:
		return !memcmp(s, "PATCH", 5) ? HTTP_PATCH : 0;
	case 6:
		return !memcmp(s, "DELETE", 6) ? HTTP_DELETE : 0;
	case 7:
		return !memcmp(s, "OPTIONS", 7) ? HTTP_OPTIONS : 0;
	}
	return 0;
}

static int parse_method(struct parse *p)
{
	const char *s = p->at;

	while (p->at < p->end && http_is(*p->at, CHAR_TOKEN))
		if (++p->at - s > METHOD_MAX)
			return -501;
	if (p->at == p->end)
		return 0;
	if (*p->at != ' ' || p->at == s)
		return -400;
	p->h->method = method_of(s, (size_t)(p->at - s));
	p->at++;
	return p->h->method ? 1 : -501;
}

/* RFC 9112 §3.2: origin-form, absolute-form (a proxy's), or `*` for OPTIONS. */
static int split_target(struct http_head *h)
{
	struct slice t = h->target;
	const char *question;

	if (t.length >= 7 && http_name_is(t.at, "http://", 7)) {
		h->host.at = t.at += 7;
		for (t.length -= 7; t.length && http_is(*t.at, CHAR_HOST); t.length--)
			t.at++;
		h->host.length = (size_t)(t.at - h->host.at);
		if (!h->host.length || (t.length && *t.at != '/' && *t.at != '?'))
			return -400;
		if (!t.length || *t.at == '?') {
			h->path = (struct slice){ "/", 1 };
			h->query = (struct slice){ t.at + !!t.length, t.length - !!t.length };
			return 1;
		}
	} else if (t.length == 1 && *t.at == '*' && h->method == HTTP_OPTIONS) {
		h->path = t;
		h->query = (struct slice){ t.at + 1, 0 };
		return 1;
	}
	if (!t.length || *t.at != '/')
		return -400;
	question = memchr(t.at, '?', t.length);
	h->path = (struct slice){ t.at, question ? (size_t)(question - t.at) : t.length };
	h->query = (struct slice){ t.at + h->path.length, t.length - h->path.length };
	if (question) {
		h->query.at++;
		h->query.length--;
	}
	return 1;
}

static int parse_target(struct parse *p)
{
	const char *s = p->at;
	const char *limit = p->end - s > HTTP_TARGET_MAX ? s + HTTP_TARGET_MAX : p->end;

	while (p->at < limit && http_is(*p->at, CHAR_TARGET))
		p->at++;
	if (p->at == p->end)
		return 0;
	if (p->at == limit && http_is(*p->at, CHAR_TARGET))
		return -414;
	if (*p->at != ' ')
		return -400;
	p->h->target = (struct slice){ s, (size_t)(p->at - s) };
	p->at++;
	return split_target(p->h);
}

/* "HTTP/1.1"; a higher minor speaks 1.1 to us (RFC 9110 §2.5). */
static int parse_version(struct parse *p)
{
	static const char name[] = "HTTP/";
	const size_t n = (size_t)(p->end - p->at);

	for (size_t i = 0; i < 5 && i < n; i++)
		if (p->at[i] != name[i])
			return -400;
	if (n > 5 && (p->at[5] < '0' || p->at[5] > '9'))
		return -400;
	if (n > 6 && p->at[6] != '.')
		return -400;
	if (n > 7 && (p->at[7] < '0' || p->at[7] > '9'))
		return -400;
	if (n < 8)
		return 0;
	if (p->at[5] != '1')
		return -505;
	p->h->minor = p->at[7] != '0';
	p->at += 8;
	return 1;
}

static int parse_request_line(struct parse *p)
{
	int rc;

	/* RFC 9112 §2.2: an empty line that an old client sent after its last body. */
	if (p->at < p->end && *p->at == '\r' && (rc = line_end(p)) <= 0)
		return rc;
	if ((rc = parse_method(p)) <= 0)
		return rc;
	if ((rc = parse_target(p)) <= 0)
		return rc;
	if ((rc = parse_version(p)) <= 0)
		return rc;
	return line_end(p);
}

/* "HTTP/1.1 200 OK"; the reason may be empty, and some servers leave its space away too. */
static int parse_status_line(struct parse *p)
{
	const char *reason;
	int rc = parse_version(p);

	if (rc <= 0)
		return rc;
	if (p->at == p->end)
		return 0;
	if (*p->at++ != ' ')
		return -400;
	for (int i = 0; i < 3; i++, p->at++) {
		if (p->at == p->end)
			return 0;
		if (*p->at < '0' || *p->at > '9')
			return -400;
		p->h->status = p->h->status * 10 + (unsigned)(*p->at - '0');
	}
	if (p->h->status < 100 || p->h->status > 599)
		return -400;
	if (p->at < p->end && *p->at == ' ') {
		reason = p->at;
		p->at = http_value_end(p->at, p->end);
		if (p->at - reason > REASON_MAX)
			return -431;
	}
	return line_end(p);
}

static bool same(struct slice v, const char *lower)
{
	const size_t n = strlen(lower);

	return v.length == n && http_name_is(v.at, lower, n);
}

static int content_length(struct http_head *h, struct slice v)
{
	uint64_t n = 0;

	if (!v.length)
		return -400;
	for (size_t i = 0; i < v.length; i++) {
		if (v.at[i] < '0' || v.at[i] > '9')
			return -400;
		if (n > (UINT64_MAX - 9) / 10)
			return -413;
		n = n * 10 + (uint64_t)(v.at[i] - '0');
	}
	if (h->has_length && h->content_length != n)
		return -400;
	h->content_length = n;
	h->has_length = true;
	return 1;
}

/* We decode `chunked` and nothing else; twice, or beside others, is how smuggling is done. */
static int transfer_encoding(struct parse *p, struct slice v)
{
	if (p->coding)
		return -400;
	p->coding = true;
	if (!same(v, "chunked"))
		return -501;
	p->h->chunked = true;
	return 1;
}

static int connection(struct parse *p, struct slice v)
{
	while (v.length) {
		const char *comma = memchr(v.at, ',', v.length);
		struct slice one = { v.at, comma ? (size_t)(comma - v.at) : v.length };
		const size_t step = one.length + !!comma;

		while (one.length && (*one.at == ' ' || *one.at == '\t')) {
			one.at++;
			one.length--;
		}
		while (one.length && (one.at[one.length - 1] == ' ' ||
				      one.at[one.length - 1] == '\t'))
			one.length--;
		p->close |= same(one, "close");
		p->keep |= same(one, "keep-alive");
		v.at += step;
		v.length -= step;
	}
	return 1;
}

static int host(struct parse *p, struct slice v)
{
	if (!p->request)
		return 1;
	if (p->host_field)
		return -400;
	p->host_field = true;
	for (size_t i = 0; i < v.length; i++)
		if (!http_is(v.at[i], CHAR_HOST))
			return -400;
	if (!p->h->host.at)                 /* an absolute target overrides it: RFC 9112 §3.2.2 */
		p->h->host = v;
	return 1;
}

static int expect(struct parse *p, struct slice v)
{
	if (!p->request)
		return 1;
	if (!same(v, "100-continue"))
		return -417;
	p->h->expect_continue = true;
	return 1;
}

static int keep_first(struct slice *field, struct slice v)
{
	if (!field->at)
		*field = v;
	return 1;
}

/* Few fields matter. Length and first letter tell them apart; one comparison confirms. */
static int take_field(struct parse *p, const char *name, size_t n, struct slice v)
{
	struct http_head *h = p->h;
	const char first = (char)(name[0] | 0x20);

	if (first == 'c' && n > 3 && name[1] != 'o' && http_name_is(name, "ce-", 3)) {
		if (!h->event.at)
			h->event.at = name;
		h->event.length = (size_t)(p->at - h->event.at);
		return 1;
	}
#define IS(lower) (n == sizeof(lower) - 1 && http_name_is(name, lower, sizeof(lower) - 1))
	switch (n) {
	case 4:
		return IS("host") ? host(p, v) : 1;
	case 6:
		if (first == 'c')
			return IS("cookie") ? keep_first(&h->cookie, v) : 1;
		return IS("expect") ? expect(p, v) : 1;
	case 8:
		return IS("location") ? keep_first(&h->location, v) : 1;
	case 10:
		if (first == 'c')
			return IS("connection") ? connection(p, v) : 1;
		return IS("set-cookie") ? keep_first(&h->set_cookie, v) : 1;
	case 12:
		return IS("content-type") ? keep_first(&h->content_type, v) : 1;
	case 13:
		return IS("x-perhop-type") ? keep_first(&h->x_type, v) : 1;
	case 14:
		if (first == 'c')
			return IS("content-length") ? content_length(h, v) : 1;
		return IS("x-perhop-topic") ? keep_first(&h->x_topic, v) :
		       IS("x-perhop-token") ? keep_first(&h->x_token, v) : 1;
	case 15:
		return IS("x-perhop-status") ? keep_first(&h->x_status, v) : 1;
	case 16:
		return IS("x-perhop-outcome") ? keep_first(&h->x_outcome, v) : 1;
	case 17:
		if (first == 't')
			return IS("transfer-encoding") ? transfer_encoding(p, v) : 1;
		return IS("x-perhop-position") ? keep_first(&h->x_position, v) : 1;
	}
#undef IS
	return 1;
}

static int parse_field(struct parse *p)
{
	const char *name = p->at, *value;
	size_t n;
	int rc;

	while (p->at < p->end && http_is(*p->at, CHAR_TOKEN))
		p->at++;
	if (p->at == p->end)
		return 0;
	n = (size_t)(p->at - name);
	if (*p->at != ':' || !n)            /* also obs-fold, and a space before the colon */
		return -400;
	p->at++;
	while (p->at < p->end && (*p->at == ' ' || *p->at == '\t'))
		p->at++;
	value = p->at;
	p->at = http_value_end(p->at, p->end);
	{
		const char *last = p->at;

		if ((rc = line_end(p)) <= 0)
			return rc;
		while (last > value && (last[-1] == ' ' || last[-1] == '\t'))
			last--;
		return take_field(p, name, n, (struct slice){ value, (size_t)(last - value) });
	}
}

static int parse_fields(struct parse *p)
{
	int rc;

	for (unsigned n = 0;; n++) {
		if (p->at == p->end)
			return 0;
		if (*p->at == '\r')
			return line_end(p);
		if (n == HTTP_FIELDS_MAX)
			return -431;
		if ((rc = parse_field(p)) <= 0)
			return rc;
	}
}

/* What the fields mean together: framing and persistence (RFC 9112 §6.3, §9.3). */
static int conclude(struct parse *p)
{
	struct http_head *h = p->h;

	if (h->chunked && (h->has_length || h->minor == 0))
		return -400;
	if (p->request && h->minor >= 1 && !p->host_field)
		return -400;
	if (h->minor == 0)
		h->expect_continue = false;
	h->keep_alive = !p->close && (h->minor >= 1 || p->keep);
	if (!p->request && (h->status < 200 || h->status == 204 || h->status == 304)) {
		if (h->chunked)
			return -400;
		h->has_length = true;
		h->content_length = 0;
	}
	return 1;
}

static int parse(struct http_head *h, const char *buf, size_t length, bool request)
{
	const size_t seen = length > HTTP_HEAD_MAX ? HTTP_HEAD_MAX : length;
	struct parse p = { .h = h, .at = buf, .end = buf + seen, .request = request };
	int rc;

	memset(h, 0, sizeof(*h));
	rc = request ? parse_request_line(&p) : parse_status_line(&p);
	if (rc > 0)
		rc = parse_fields(&p);
	if (rc > 0)
		rc = conclude(&p);
	if (rc == 0 && seen == HTTP_HEAD_MAX)
		return -431;
	if (rc <= 0)
		return rc;
	h->head_bytes = (size_t)(p.at - buf);
	PERHOP_DECODE(request ? TYPE_HTTP_REQUEST : TYPE_HTTP_RESPONSE, h->head_bytes);
	return (int)h->head_bytes;
}

int http_parse_request(struct http_head *h, const char *buf, size_t length)
{
	return parse(h, buf, length, true);
}

int http_parse_response(struct http_head *h, const char *buf, size_t length)
{
	return parse(h, buf, length, false);
}

struct slice http_fields(const char *head, size_t head_bytes)
{
	struct slice s = { head, head_bytes };
	const char *line;

	if (s.length >= 2 && !memcmp(s.at, "\r\n", 2)) {
		s.at += 2;
		s.length -= 2;
	}
	line = s.length ? memchr(s.at, '\n', s.length) : NULL;
	if (!line)
		return (struct slice){ head, 0 };
	s.length -= (size_t)(line + 1 - s.at);
	s.at = line + 1;
	return s;
}

bool http_field_next(struct slice *fields, struct slice *name, struct slice *value)
{
	const char *line = fields->at, *end, *colon;

	end = fields->length ? memchr(line, '\r', fields->length) : NULL;
	colon = end ? memchr(line, ':', (size_t)(end - line)) : NULL;
	if (!colon)
		return false;
	*name = (struct slice){ line, (size_t)(colon - line) };
	for (colon++; colon < end && (*colon == ' ' || *colon == '\t'); colon++)
		;
	fields->length -= (size_t)(end - line);
	fields->at = end;
	if (fields->length >= 2) {
		fields->at += 2;
		fields->length -= 2;
	}
	while (end > colon && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*value = (struct slice){ colon, (size_t)(end - colon) };
	return true;
}
