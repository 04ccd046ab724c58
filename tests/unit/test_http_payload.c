/* SPDX-License-Identifier: BSD-2-Clause */
/* The promises of requests and responses as payloads, of the builder, and of forms and cookies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "chain/codec.h"
#include "chain/http.h"

static const char post[] = "POST /cart?x=1 HTTP/1.1\r\nHost: shop\r\nCookie: s=1\r\n"
			   "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";

static ssize_t build(void *out, size_t room)
{
	struct http_head h;

	assert_true(http_parse_request(&h, post, sizeof(post) - 1) > 0);
	return http_request_build(out, room, &h, post + h.head_bytes, 5);
}

static void request_holds_every_part_with_a_nul(void **state)
{
	char out[256];
	struct http_request *r = (void *)out;
	const ssize_t n = build(out, sizeof(out));

	(void)state;
	assert_true(n > 0);
	assert_int_equal(http_request_check(r, (size_t)n), 0);
	assert_int_equal(r->method, HTTP_POST);
	assert_string_equal(http_part(r, (size_t)n, r->path), "/cart");
	assert_string_equal(http_part(r, (size_t)n, r->query), "x=1");
	assert_string_equal(http_part(r, (size_t)n, r->cookie), "s=1");
	assert_string_equal(http_part(r, (size_t)n, r->content_type), "text/plain");
	assert_string_equal(http_part(r, (size_t)n, r->host), "shop");
	assert_string_equal(http_part(r, (size_t)n, r->body), "hello");
}

static void request_fits_exactly_or_not_at_all(void **state)
{
	char out[256];
	const ssize_t n = build(out, sizeof(out));

	(void)state;
	for (size_t room = 0; room < (size_t)n; room++) {
		char *exact = malloc(room + !room);

		assert_int_equal(build(exact, room), -EMSGSIZE);
		free(exact);
	}
	assert_int_equal(build(out, (size_t)n), n);
}

static void request_body_may_come_later(void **state)
{
	char now[256], later[256];
	struct http_request *r = (void *)later;
	struct http_head h;
	const ssize_t n = build(now, sizeof(now));

	(void)state;
	assert_true(http_parse_request(&h, post, sizeof(post) - 1) > 0);
	assert_true(http_request_build(later, sizeof(later), &h, NULL, 20) > n);
	memcpy(later + r->body.offset, "hello", 5);
	assert_int_equal(http_request_end(r, r->body.offset, 5), n);
	assert_memory_equal(now, later, (size_t)n);
}

static void request_holds_the_cloud_events_fields_wherever_they_were(void **state)
{
	static const char text[] = "POST / HTTP/1.1\r\nce-id: 1\r\nHost: h\r\nCookie: c\r\n"
				   "CE-Source:  /a b \t\r\nCeremony: no\r\nce-: no\r\nce-type:\r\n"
				   "Connection: close\r\nContent-Length: 2\r\n\r\nce";
	char out[512], *exact;
	struct http_request *r = (void *)out;
	struct http_head h;
	ssize_t n;

	(void)state;
	assert_true(http_parse_request(&h, text, sizeof(text) - 1) > 0);
	n = http_request_build(out, sizeof(out), &h, text + h.head_bytes, 2);
	assert_true(n > 0);
	assert_int_equal(http_request_check(r, (size_t)n), 0);
	assert_string_equal(http_part(r, (size_t)n, r->event),
			    "ce-id: 1\r\nCE-Source: /a b\r\nce-type: \r\n");
	assert_string_equal(http_part(r, (size_t)n, r->body), "ce");
	for (size_t room = 0; room < (size_t)n; room++) {
		exact = malloc(room + !room);
		assert_int_equal(http_request_build(exact, room, &h, text + h.head_bytes, 2), -EMSGSIZE);
		free(exact);
	}
	/* What another process wrote must not become a field of the connection. */
	memcpy(out + r->event.offset, "te: a", 5);
	memcpy(out + r->event.offset, "te:   1\r", 8);
	assert_int_equal(http_request_check(r, (size_t)n), -EBADMSG);
}

static void damaged_requests_are_refused(void **state)
{
	char out[256];
	struct http_request *r = (void *)out;
	size_t n;

	(void)state;
#define DAMAGED(change)                                                                            \
	do {                                                                                       \
		n = (size_t)build(out, sizeof(out));                                               \
		change;                                                                            \
		assert_int_equal(http_request_check(r, n), -EBADMSG);                              \
	} while (0)
	DAMAGED(n = sizeof(*r) - 1);
	DAMAGED(r->method = 0);
	DAMAGED(r->method = 99);
	DAMAGED(r->path.offset = UINT32_MAX);
	DAMAGED(r->path.length = UINT32_MAX);
	DAMAGED(r->path.offset = 0);
	DAMAGED(r->body.length++);
	DAMAGED(r->body.offset = (uint32_t)n);
	DAMAGED(r->cookie.length--);
	DAMAGED(out[r->path.offset] = '\n');
	DAMAGED(n--);
#undef DAMAGED
}

static void writer_builds_a_sound_response(void **state)
{
	char out[512];
	struct http_response *r = (void *)out;
	struct http_writer w;
	ssize_t n;

	(void)state;
	http_begin(&w, out, sizeof(out), 302, "text/html");
	http_field(&w, "Location", "/cart?%d", 7);
	http_field(&w, "Set-Cookie", "a=%s", "b");
	http_text(&w, "<p>");
	http_escape(&w, "<a href=\"x\">&'", 14);
	http_format(&w, "%d", 42);
	http_bytes(&w, "\0x", 2);
	n = http_end(&w);
	assert_true(n > 0);
	assert_int_equal(http_response_check(r, (size_t)n), 0);
	assert_int_equal(r->status, 302);
	assert_string_equal(http_part(r, (size_t)n, r->content_type), "text/html");
	assert_string_equal(http_part(r, (size_t)n, r->fields),
			    "Location: /cart?7\r\nSet-Cookie: a=b\r\n");
	assert_string_equal(http_part(r, (size_t)n, r->body),
			    "<p>&lt;a href=&quot;x&quot;&gt;&amp;&#39;42");
	assert_int_equal(r->body.length, 45);
}

static ssize_t write_page(void *out, size_t room)
{
	struct http_writer w;

	http_begin(&w, out, room, 200, "text/html");
	http_field(&w, "Set-Cookie", "a=%s", "b");
	http_text(&w, "hello");
	http_format(&w, "%s", " world");
	http_escape(&w, "<>", 2);
	return http_end(&w);
}

static void writer_never_leaves_its_room(void **state)
{
	char out[256];
	const ssize_t n = write_page(out, sizeof(out));

	(void)state;
	assert_true(n > 0);
	for (size_t room = 0; room < (size_t)n; room++) {
		char *exact = malloc(room + !room);

		assert_int_equal(write_page(exact, room), -EMSGSIZE);
		free(exact);
	}
	assert_int_equal(write_page(out, (size_t)n), n);
}

static void writer_refuses_injected_and_late_fields(void **state)
{
	char out[256];
	struct http_writer w;

	(void)state;
	http_begin(&w, out, sizeof(out), 200, "text/html");
	http_field(&w, "Set-Cookie", "a=%s", "b\r\nX: y");
	assert_int_equal(http_end(&w), -EINVAL);
	http_begin(&w, out, sizeof(out), 200, "text/html");
	http_text(&w, "x");
	http_field(&w, "X", "y");
	assert_int_equal(http_end(&w), -EINVAL);
}

static void damaged_responses_are_refused(void **state)
{
	char out[256];
	struct http_response *r = (void *)out;
	size_t n;

	(void)state;
#define DAMAGED(change)                                                                            \
	do {                                                                                       \
		n = (size_t)write_page(out, sizeof(out));                                          \
		assert_int_equal(http_response_check(r, n), 0);                                    \
		change;                                                                            \
		assert_int_equal(http_response_check(r, n), -EBADMSG);                             \
	} while (0)
	DAMAGED(r->status = 100);
	DAMAGED(r->status = 600);
	DAMAGED(r->body.offset = 0xfffffff0; r->body.length = 0x20);
	DAMAGED(r->fields.length = UINT32_MAX);
	DAMAGED(r->content_type.offset = 4);
	DAMAGED(out[r->content_type.offset] = '\r');
	DAMAGED(out[r->fields.offset] = ':');
	DAMAGED(out[r->fields.offset + r->fields.length - 1] = ' ');
	DAMAGED(memcpy(out + r->fields.offset, "Connection:", 11));
#undef DAMAGED
}

static void response_survives_the_wire(void **state)
{
	char out[512], wire[512], again[512];
	struct http_response *r = (void *)out;
	struct http_writer w;
	struct http_head h;
	ssize_t n, head, m;

	(void)state;
	http_begin(&w, out, sizeof(out), 404, "text/html; charset=utf-8");
	http_field(&w, "Set-Cookie", "a=1");
	http_field(&w, "Set-Cookie", "b=2");
	http_text(&w, "gone");
	n = http_end(&w);
	head = http_write_response_head(
		wire, sizeof(wire), r->status,
		(struct slice){ http_part(r, (size_t)n, r->content_type), r->content_type.length },
		(struct slice){ http_part(r, (size_t)n, r->fields), r->fields.length },
		"X-Perhop-Type: 3\r\nServer: x\r\n", r->body.length, true);
	assert_true(head > 0);
	memcpy(wire + head, "gone", 4);
	assert_int_equal(http_parse_response(&h, wire, (size_t)head + 4), head);
	assert_int_equal(h.content_length, 4);
	m = http_response_build(again, sizeof(again), &h, wire, wire + head, 4);
	assert_int_equal(m, n);
	assert_memory_equal(out, again, (size_t)n);
	for (size_t room = 0; room < (size_t)m; room++)
		assert_int_equal(http_response_build(again, room, &h, wire, wire + head, 4),
				 -EMSGSIZE);
}

static void heads_are_checked_as_they_are_copied(void **state)
{
	static const char *const bad[] = {
		"Content-Length: 1\r\n",          "X: y",          "X: y\r\n\r\n", "X y\r\n",
		"transfer-encoding: chunked\r\n", "X: a\nY: b\r\n"};
	const struct slice none = { "", 0 };
	char wire[256];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(http_write_response_head(wire, sizeof(wire), 200, none,
							  (struct slice){bad[i], strlen(bad[i])},
							  "", 0, true),
				 -EBADMSG);
	assert_int_equal(http_write_response_head(wire, sizeof(wire), 200,
						  (struct slice){ "a\r\nb", 4 }, none, "", 0, true),
			 -EBADMSG);
	assert_int_equal(http_write_response_head(wire, 40, 200, none, none, "", 0, true),
			 -EMSGSIZE);
}

static void request_heads_parse_back(void **state)
{
	char wire[256];
	struct http_head h;
	ssize_t n = http_write_request_head(wire, sizeof(wire), "POST", "/fn", 3, "pod:80",
					    "X-Perhop-Topic: 2\r\n", 0);

	(void)state;
	assert_int_equal(http_parse_request(&h, wire, (size_t)n), n);
	assert_true(h.has_length && h.content_length == 0 && h.keep_alive);
	assert_int_equal(http_write_request_head(wire, 10, "GET", "/", 1, "a", "", 0), -EMSGSIZE);
}

static void no_content_has_no_length(void **state)
{
	const struct slice none = { "", 0 };
	char wire[256];
	ssize_t n = http_write_response_head(wire, sizeof(wire), 204, none, none, "", 0, true);

	(void)state;
	assert_true(n > 0);
	wire[n] = '\0';
	assert_null(strstr(wire, "Content-Length"));
}

static void form_values_are_decoded_and_bounded(void **state)
{
	static const char text[] =
		"a=1&name=J%C3%B6rg+M&empty=&flag&b%61d=x&nul=%00&esc=%zz&cut=%4";
	char out[16];

	(void)state;
#define VALUE(name) http_form_value(text, sizeof(text) - 1, name, out, sizeof(out))
	assert_int_equal(VALUE("a"), 1);
	assert_string_equal(out, "1");
	assert_int_equal(VALUE("name"), 7);
	assert_string_equal(out, "J\xc3\xb6rg M");
	assert_int_equal(VALUE("empty"), 0);
	assert_int_equal(VALUE("flag"), 0);
	assert_string_equal(out, "");
	assert_int_equal(VALUE("bad"), 1);
	assert_int_equal(VALUE("nul"), -EBADMSG);
	assert_int_equal(VALUE("esc"), -EBADMSG);
	assert_int_equal(VALUE("cut"), -EBADMSG);
	assert_int_equal(VALUE("nam"), -ENOENT);
	assert_int_equal(VALUE("names"), -ENOENT);
	assert_int_equal(http_form_value(text, sizeof(text) - 1, "name", out, 7), -EMSGSIZE);
	assert_int_equal(http_form_value(text, sizeof(text) - 1, "name", out, 8), 7);
	assert_int_equal(http_form_value(text, 0, "a", out, sizeof(out)), -ENOENT);
	assert_int_equal(http_form_value("a=", 2, "a", out, 0), -EMSGSIZE);
#undef VALUE
}

static void cookies_are_found_by_whole_names(void **state)
{
	static const char text[] = "xid=0; id=abc;q=\"v w\" ; e=; id=second";
	char out[16];

	(void)state;
#define VALUE(name) http_cookie_value(text, sizeof(text) - 1, name, out, sizeof(out))
	assert_int_equal(VALUE("id"), 3);
	assert_string_equal(out, "abc");
	assert_int_equal(VALUE("q"), 3);
	assert_string_equal(out, "v w");
	assert_int_equal(VALUE("e"), 0);
	assert_int_equal(VALUE("i"), -ENOENT);
	assert_int_equal(VALUE("ID"), -ENOENT);
	assert_int_equal(http_cookie_value(text, sizeof(text) - 1, "id", out, 3), -EMSGSIZE);
#undef VALUE
}

static ssize_t twice(uint16_t type, const void *in, size_t length, void *out, size_t room)
{
	(void)in;
	(void)out;
	(void)room;
	return type == TYPE_WORKLOAD ? (ssize_t)(2 * length) : -EINVAL;
}

static void codec_knows_the_common_types_and_asks_the_workload(void **state)
{
	static const struct codec codec = { .encode = twice, .decode = twice };
	char out[8];

	(void)state;
	assert_int_equal(codec_encode(NULL, TYPE_NONE, "abc", 3, out, 8), 0);
	assert_int_equal(codec_encode(NULL, TYPE_BYTES, "abc", 3, out, 8), 3);
	assert_int_equal(codec_encode(NULL, TYPE_BYTES, "abc", 3, out, 2), -EMSGSIZE);
	assert_int_equal(codec_decode(NULL, TYPE_REASON, "abc", 3, out, 3), 3);
	assert_int_equal(codec_decode(NULL, TYPE_NONE, "abc", 3, out, 8), -EBADMSG);
	assert_int_equal(codec_encode(NULL, TYPE_WORKLOAD, "abc", 3, out, 8), -EINVAL);
	assert_int_equal(codec_encode(&codec, TYPE_HTTP_REQUEST, "abc", 3, out, 8), -EINVAL);
	assert_int_equal(codec_encode(&codec, TYPE_WORKLOAD, "abc", 3, out, 8), 6);
	assert_int_equal(codec_decode(&codec, TYPE_WORKLOAD + 1, "abc", 3, out, 8), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_holds_every_part_with_a_nul),
		cmocka_unit_test(request_fits_exactly_or_not_at_all),
		cmocka_unit_test(request_body_may_come_later),
		cmocka_unit_test(request_holds_the_cloud_events_fields_wherever_they_were),
		cmocka_unit_test(damaged_requests_are_refused),
		cmocka_unit_test(writer_builds_a_sound_response),
		cmocka_unit_test(writer_never_leaves_its_room),
		cmocka_unit_test(writer_refuses_injected_and_late_fields),
		cmocka_unit_test(damaged_responses_are_refused),
		cmocka_unit_test(response_survives_the_wire),
		cmocka_unit_test(heads_are_checked_as_they_are_copied),
		cmocka_unit_test(request_heads_parse_back),
		cmocka_unit_test(no_content_has_no_length),
		cmocka_unit_test(form_values_are_decoded_and_bounded),
		cmocka_unit_test(cookies_are_found_by_whole_names),
		cmocka_unit_test(codec_knows_the_common_types_and_asks_the_workload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
