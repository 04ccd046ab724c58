/* SPDX-License-Identifier: BSD-2-Clause */
/* gRPC's framing and fields: any bytes, cut anywhere, are read alike and stay within their buffers. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "dataplanes/kernel/grpc_wire.h"
#include "tests/fuzz/fuzz.h"

static const struct function f1 = { .name = "f1" };
static const struct function *const functions[] = { &f1 };
static const struct service_method methods[] = { { "/a.B/C", 0, 16, 17 } };
static const struct application app = { .functions = functions, .n_functions = 1,
					.methods = methods, .n_methods = 1 };

/* The same message in one piece and in pieces of `step` bytes. */
static void read_message(const uint8_t *in, size_t n, size_t step)
{
	uint8_t whole[64], pieces[64];
	struct grpc_reader a = { 0 }, b = { 0 };
	int err = grpc_read(&a, in, n, whole, sizeof(whole)), other = 0;

	for (size_t at = 0; at < n && !other; at += step)
		other = grpc_read(&b, in + at, n - at < step ? n - at : step, pieces, sizeof(pieces));
	assert(err == other);
	assert(err || (a.whole == b.whole && a.have == b.have && !memcmp(whole, pieces, a.have)));
}

/* Lines "name:value" (of a pseudo-field ":name:value") as fields. */
static void read_fields(const char *in, size_t n)
{
	char reason[32];
	struct grpc_head h;

	grpc_head_init(&h, &app);
	h.reason = reason;
	h.reason_room = sizeof(reason);
	while (n) {
		const char *end = memchr(in, '\n', n), *colon;
		size_t line = end ? (size_t)(end - in) : n;

		colon = line > 1 ? memchr(in + 1, ':', line - 1) : NULL;
		if (colon)
			grpc_head_field(&h, (struct slice){ in, (size_t)(colon - in) },
					(struct slice){ colon + 1, line - (size_t)(colon - in) - 1 });
		in += line + (end ? 1 : 0);
		n -= line + (end ? 1 : 0);
	}
	assert(h.reason_length <= sizeof(reason) && h.bytes <= GRPC_FIELDS_MAX);
	assert(h.topic < TOPIC_MAX && h.position < SEQUENCE_MAX && h.type <= UINT16_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char coded[3 * 256], plain[256], timeout[GRPC_TIMEOUT_TEXT];
	uint64_t ns = grpc_timeout_parse((const char *)data, size);
	size_t n = size < sizeof(plain) ? size : sizeof(plain);

	if (ns) {
		grpc_timeout_format(ns, timeout);
		assert(grpc_timeout_parse(timeout, strlen(timeout)) >= ns);
	}
	read_message(data, size, size ? data[size - 1] % 7 + 1 : 1);
	read_fields((const char *)data, size);
	n = grpc_percent_encode((const char *)data, n, coded, sizeof(coded));
	n = grpc_percent_decode(coded, n, plain, sizeof(plain));
	assert(n == (size < sizeof(plain) ? size : sizeof(plain)) && !memcmp(plain, data, n));
	return 0;
}
