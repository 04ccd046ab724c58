/* SPDX-License-Identifier: BSD-2-Clause */
/* The framing between two nodes: what lands in place, what is copied, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "chain/peer_wire.h"
#include "chain/pool.h"

enum { BUFFERS = 8, BYTES = 65536 };

struct node {
	struct pool *pool;
	struct peer_stream s;
	unsigned done;
	struct peer_header last;
	struct message *m;          /* of the last message; freed by the next one */
	bool full;                  /* there is no buffer */
	char seen[64];              /* start of each payload, one after the other */
};

static struct message *place(void *arg, const struct peer_header *h, struct message *landing, int *err)
{
	struct node *n = arg;

	(void)h, (void)err;
	if (n->full)
		return NULL;
	if (!landing)
		return pool_alloc(n->pool, GATEWAY);
	pool_land(n->pool, landing, GATEWAY);
	return landing;
}

static int done(void *arg, const struct peer_header *h, struct message *m)
{
	struct node *n = arg;

	if (n->m)
		pool_free(n->pool, n->m, GATEWAY);
	n->m = m;
	n->last = *h;
	n->done++;
	if (m)
		strncat(n->seen, message_payload(m), h->length < 4 ? h->length : 4);
	return 0;
}

static void undo(void *arg, const struct peer_header *h, struct message *m)
{
	struct node *n = arg;

	(void)h;
	pool_free(n->pool, m, GATEWAY);
}

static int set_up(void **state)
{
	static struct node node;
	struct node *n = &node;

	*n = (struct node){ 0 };
	n->s.limits = (struct peer_limits){ .payload = BYTES - sizeof(struct message), .tokens = BUFFERS,
					    .functions = 4, .topics = 2 };
	n->s.sink = (struct peer_sink){ n, place, done, undo };
	*state = n;
	return pool_create(&n->pool, BUFFERS, BYTES, 0);
}

static int tear_down(void **state)
{
	struct node *n = *state;

	pool_destroy(n->pool);
	return 0;
}

static struct peer_header header(uint8_t kind, uint32_t length)
{
	struct peer_header h = { .magic = PEER_MAGIC, .version = PEER_VERSION, .kind = kind,
				 .length = length, .generation = 1, .status = STATUS_OK };

	if (kind == PEER_CALL)
		h.flags = PEER_CALLER;
	if (kind == PEER_ANSWER || kind == PEER_REPLY)
		h.flags = PEER_BACK;
	if (kind == PEER_HELLO || kind == PEER_PING)
		h.generation = 0;
	return h;
}

/* Append a message to `out`; returns its new length. */
static size_t add(unsigned char *out, size_t at, uint8_t kind, const char *payload)
{
	const struct peer_header h = header(kind, (uint32_t)strlen(payload));

	memcpy(out + at, &h, sizeof(h));
	memcpy(out + at + sizeof(h), payload, strlen(payload));
	return at + sizeof(h) + strlen(payload);
}

static struct message *received(struct node *n, const unsigned char *bytes, size_t length, int *err,
				bool *taken)
{
	struct message *m = pool_post(n->pool, GATEWAY);
	unsigned char *at = (unsigned char *)message_payload(m) - PEER_HEADER_BYTES;

	memcpy(at, bytes, length);
	*err = peer_stream_take(&n->s, at, length, m, taken);
	return m;
}

static void greet(struct node *n)
{
	unsigned char bytes[PEER_HEADER_BYTES];
	bool taken;

	assert_int_equal(peer_stream_take(&n->s, bytes, add(bytes, 0, PEER_HELLO, ""), NULL, &taken), 0);
}

static void a_message_that_fills_a_frame_is_not_copied(void **state)
{
	unsigned char bytes[512];
	struct node *n = *state;
	struct message *m;
	bool taken;
	int err;

	greet(n);
	m = received(n, bytes, add(bytes, 0, PEER_CALL, "abcd"), &err, &taken);
	assert_int_equal(err, 0);
	assert_true(taken);
	assert_ptr_equal(n->m, m);
	assert_memory_equal(message_payload(m), "abcd", 4);
	assert_int_equal(n->s.copied, 0);
	assert_int_equal(n->s.landed, 4);
}

static void messages_that_share_a_frame_are_told_apart(void **state)
{
	unsigned char bytes[512];
	struct node *n = *state;
	size_t length = 0;
	bool taken;
	int err;

	greet(n);
	length = add(bytes, length, PEER_CALL, "abcd");
	length = add(bytes, length, PEER_PING, "");
	length = add(bytes, length, PEER_ANSWER, "efgh");
	length = add(bytes, length, PEER_INVOKE, "");
	received(n, bytes, length, &err, &taken);
	assert_int_equal(err, 0);
	assert_true(taken);
	/* The one that stays in the frame's buffer is handed on last. */
	assert_string_equal(n->seen, "efghabcd");
	assert_int_equal(n->s.copied, 4);
}

static void a_stream_may_be_cut_anywhere(void **state)
{
	unsigned char bytes[512];
	struct node *n = *state;
	size_t length = 0;

	length = add(bytes, length, PEER_HELLO, "");
	length = add(bytes, length, PEER_CALL, "abcd");
	length = add(bytes, length, PEER_ANSWER, "efgh");
	for (size_t piece = 1; piece < length; piece++) {
		n->seen[0] = '\0';
		for (size_t at = 0; at < length; at += piece) {
			bool taken;
			size_t n_bytes = length - at < piece ? length - at : piece;

			assert_int_equal(peer_stream_take(&n->s, bytes + at, n_bytes, NULL, &taken), 0);
		}
		assert_string_equal(n->seen, "abcdefgh");
		peer_stream_end(&n->s);
	}
}

static void what_is_half_received_is_given_back(void **state)
{
	unsigned char bytes[512];
	struct node *n = *state;
	bool taken;

	greet(n);
	assert_int_equal(peer_stream_take(&n->s, bytes, add(bytes, 0, PEER_CALL, "abcd") - 1, NULL, &taken),
			 0);
	assert_int_equal(pool_in_use(n->pool), 1);
	peer_stream_end(&n->s);
	assert_int_equal(pool_in_use(n->pool), 0);
}

static void without_a_buffer_the_payload_is_passed_over(void **state)
{
	unsigned char bytes[512];
	struct node *n = *state;
	size_t length;
	bool taken;

	greet(n);
	n->full = true;
	length = add(bytes, 0, PEER_CALL, "abcd");
	length = add(bytes, length, PEER_CALL, "abcd");
	assert_int_equal(peer_stream_take(&n->s, bytes, length, NULL, &taken), 0);
	assert_int_equal(n->done, 3);
	assert_null(n->m);
}

static void a_stream_begins_with_a_hello_and_has_one(void **state)
{
	unsigned char bytes[PEER_HEADER_BYTES];
	struct node *n = *state;
	bool taken;

	assert_int_equal(peer_stream_take(&n->s, bytes, add(bytes, 0, PEER_PING, ""), NULL, &taken),
			 -EBADMSG);
	peer_stream_end(&n->s);
	greet(n);
	assert_int_equal(peer_stream_take(&n->s, bytes, add(bytes, 0, PEER_HELLO, ""), NULL, &taken),
			 -EBADMSG);
}

static void only_the_other_nodes_hello_ends_a_connection_that_works(void **state)
{
	struct peer_header h = { .magic = PEER_MAGIC, .version = PEER_VERSION, .kind = PEER_HELLO, .fingerprint = 7 };

	(void)state;
	assert_true(peer_is_hello(&h, sizeof(h), 7));
	assert_false(peer_is_hello(&h, sizeof(h) - 1, 7));
	assert_false(peer_is_hello(&h, sizeof(h), 8));
	h.kind = PEER_PING;
	assert_false(peer_is_hello(&h, sizeof(h), 7));
	h.kind = PEER_HELLO;
	h.length = 1;
	assert_false(peer_is_hello(&h, sizeof(h), 7));
	assert_false(peer_is_hello("GET / HTTP/1.1\r\n\r\n0123456789abcdef0123456789abcdef0123456789abcdef", 64, 7));
}

static void every_unsound_field_is_refused(void **state)
{
	const struct node *n = *state;
	struct peer_header h = header(PEER_CALL, 4);

	assert_int_equal(peer_header_check(&h, &n->s.limits, false), 0);
#define REFUSED(field, bad) \
	do { \
		h = header(PEER_CALL, 4); \
		h.field = bad; \
		assert_int_equal(peer_header_check(&h, &n->s.limits, false), -EBADMSG); \
	} while (0)
	REFUSED(magic, 0);
	REFUSED(version, 2);
	REFUSED(kind, 0);
	REFUSED(kind, 7);
	REFUSED(flags, 4);
	REFUSED(flags, 0);
	REFUSED(flags, PEER_BACK);
	REFUSED(position, SEQUENCE_MAX);
	REFUSED(length, BYTES);
	REFUSED(length, UINT32_MAX);
	REFUSED(token, BUFFERS);
	REFUSED(generation, 0);
	REFUSED(topic, 2);
	REFUSED(function, 4);
	REFUSED(status, 500);
	REFUSED(fingerprint, 1);
	REFUSED(reserved[1], 1);
#undef REFUSED
}

static void posted_buffers_are_not_in_use_until_something_lands(void **state)
{
	struct node *n = *state;
	struct message *m = pool_post(n->pool, GATEWAY), *other = pool_post(n->pool, GATEWAY);

	assert_int_equal(pool_in_use(n->pool), 0);
	assert_int_equal(pool_free(n->pool, m, GATEWAY), -EPERM);
	pool_land(n->pool, m, GATEWAY);
	assert_int_equal(pool_in_use(n->pool), 1);
	assert_int_equal(m->capacity, BYTES - sizeof(*m));
	assert_int_equal(pool_free(n->pool, m, GATEWAY), 0);
	/* Those of a gateway that died are its heir's. */
	assert_int_equal(pool_reclaim(n->pool, GATEWAY, false, GATEWAY, NULL, NULL), 1);
	assert_int_equal(pool_free(n->pool, other, GATEWAY), 0);
	assert_int_equal(pool_in_use(n->pool), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_message_that_fills_a_frame_is_not_copied),
		TEST(messages_that_share_a_frame_are_told_apart),
		TEST(a_stream_may_be_cut_anywhere),
		TEST(what_is_half_received_is_given_back),
		TEST(without_a_buffer_the_payload_is_passed_over),
		TEST(a_stream_begins_with_a_hello_and_has_one),
		TEST(only_the_other_nodes_hello_ends_a_connection_that_works),
		TEST(every_unsound_field_is_refused),
		TEST(posted_buffers_are_not_in_use_until_something_lands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
