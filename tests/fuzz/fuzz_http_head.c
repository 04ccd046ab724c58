/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Heads of requests and responses: verdicts do not depend on packets, slices lie within the bytes.
 */
#include "chain/http.h"
#include "tests/fuzz/fuzz.h"

static void within(struct slice s, const char *text, size_t size)
{
	if (!s.at || (s.length == 1 && *s.at == '/' && (s.at < text || s.at >= text + size)))
		return;                         /* absent, or the path of "http://host" */
	PROMISE(s.at >= text && s.at <= text + size && s.length <= (size_t)(text + size - s.at));
}

static void check_slices(const struct http_head *h, const char *text)
{
	const struct slice all[] = {h->target,   h->path,         h->query,      h->host,
				    h->cookie,   h->content_type, h->location,   h->set_cookie,
				    h->x_type,   h->x_topic,      h->x_position, h->x_status,
				    h->x_outcome, h->x_token};
	struct slice fields = http_fields(text, h->head_bytes), name, value;
	unsigned n = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		within(all[i], text, h->head_bytes);
	for (; http_field_next(&fields, &name, &value); n++) {
		within(name, text, h->head_bytes);
		within(value, text, h->head_bytes);
		PROMISE(name.length);
	}
	PROMISE(n <= HTTP_FIELDS_MAX);
	PROMISE(!(h->chunked && h->has_length));
}

/* What was parsed can be built, in exactly the room it takes, and is sound. */
static void check_payload(const struct http_head *h, const char *text, size_t size, bool request)
{
	static char big[HTTP_HEAD_MAX * 2];
	const size_t body = size - h->head_bytes < 100 ? size - h->head_bytes : 100;
	ssize_t n = request ? http_request_build(big, sizeof(big), h, text + h->head_bytes, body)
			    : http_response_build(big, sizeof(big), h, text, text + h->head_bytes,
						  body);
	void *exact;

	PROMISE(n > 0);
	exact = malloc((size_t)n);
	if (!exact)
		return;
	if (request) {
		PROMISE(http_request_build(exact, (size_t)n, h, text + h->head_bytes, body) == n);
		PROMISE(http_request_build(exact, (size_t)n - 1, h, text + h->head_bytes, body) <
			0);
		PROMISE(http_request_check((void *)big, (size_t)n) == 0);
	} else {
		const struct http_response *r = (void *)big;

		PROMISE(http_response_build(exact, (size_t)n, h, text, text + h->head_bytes,
					    body) == n);
		PROMISE(h->status < 200 || http_response_check(r, (size_t)n) == 0 ||
			r->content_type.length + r->fields.length > HTTP_RESPONSE_HEAD_MAX);
	}
	free(exact);
}

static void parse(const char *text, size_t size, bool request)
{
	int (*const parser)(struct http_head *, const char *, size_t) =
		request ? http_parse_request : http_parse_response;
	struct http_head h, part;
	const int whole = parser(&h, text, size);
	/* Cut in four places that depend on the input. */
	const size_t seed = size ? (uint8_t)text[size / 2] : 0;

	for (size_t i = 0; i < 4; i++) {
		const size_t cut = size ? (seed * 31 + i * size / 4) % size : 0;
		const int rc = parser(&part, text, cut);

		PROMISE(rc == 0 || rc == whole);
	}
	if (whole <= 0)
		return;
	PROMISE((size_t)whole <= size && whole <= HTTP_HEAD_MAX && h.head_bytes == (size_t)whole);
	PROMISE(parser(&part, text, (size_t)whole) == whole);
	PROMISE(parser(&part, text, (size_t)whole - 1) == 0);
	check_slices(&h, text);
	check_payload(&h, text, size, request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	parse((const char *)data, size, true);
	parse((const char *)data, size, false);
	return 0;
}
