/* SPDX-License-Identifier: BSD-2-Clause */
/* CloudEvents from anybody, in both content modes; and motions on the wire of a copying dataplane. */
#include <errno.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "workloads/motion/motion.h"

enum { ROOM = 64 << 10 };

static void on_the_wire(const struct motion *m)
{
	unsigned char wire[512];
	struct motion again;
	ssize_t n = motion_codec.encode(TYPE_MOTION, m, sizeof(*m), wire, sizeof(wire));

	PROMISE(n > 0);
	PROMISE(motion_codec.decode(TYPE_MOTION, wire, (size_t)n, &again, sizeof(again)) ==
		sizeof(again));
	PROMISE(!memcmp(m, &again, sizeof(again)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_head h;
	struct motion m;
	const char *why = NULL;
	char *payload;
	ssize_t n;
	int head;

	n = motion_codec.decode(TYPE_MOTION, data, size, &m, sizeof(m));
	PROMISE(n == sizeof(m) || n == -EBADMSG);
	if (n == sizeof(m))
		on_the_wire(&m);
	head = http_parse_request(&h, (const char *)data, size);
	if (head <= 0)
		return 0;
	payload = malloc(ROOM);
	PROMISE(payload);
	n = http_request_build(payload, ROOM, &h, (const char *)data + head, size - (size_t)head);
	if (n > 0) {
		PROMISE(!http_request_check((void *)payload, (size_t)n));
		if (event_parse(&m, (void *)payload, &why)) {
			PROMISE(why && *why);
		} else {
			PROMISE(!motion_check(&m, sizeof(m)));
			on_the_wire(&m);
		}
	}
	free(payload);
	return 0;
}
