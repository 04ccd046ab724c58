/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A descriptor and a buffer as a hostile process left them: whatever pool_accept lets through lies in
 * the pool, belongs to the receiver, and has a header whose every size can be relied on.
 */
#include <errno.h>
#include <string.h>

#include "chain/pool.h"
#include "tests/fuzz/fuzz.h"

enum { BUFFERS = 4, BYTES = 4096, SENDER = 1, RECEIVER = 2 };

static void check_message(struct pool *p, struct message *m)
{
	uint32_t locals = 0;

	PROMISE(pool_index(p, m) < BUFFERS);
	PROMISE(m->capacity == BYTES - sizeof(*m));
	PROMISE(m->depth <= MESSAGE_DEPTH_MAX);
	for (unsigned i = 0; i < m->depth; i++)
		locals += m->stack[i].locals;
	PROMISE(locals == m->locals && m->locals <= m->capacity);
	PROMISE(m->length <= message_room(m));
	memset(message_payload(m), 0xa5, message_room(m));
	memset(message_locals(m), 0x5a, m->locals);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct descriptor d, forged;
	struct message *sent, *got;
	struct pool *p;

	if (pool_create(&p, BUFFERS, BYTES, 0))
		return 0;
	sent = pool_alloc(p, SENDER);
	PROMISE(sent);
	if (size >= sizeof(forged)) {
		const size_t rest = size - sizeof(forged);

		memcpy(&forged, data, sizeof(forged));
		memcpy(sent, data + sizeof(forged), rest < BYTES ? rest : BYTES);
		PROMISE(!pool_describe(p, sent, SENDER, RECEIVER, &d));
		/* A guess is right only if it is the descriptor itself. */
		if (!pool_accept(p, &forged, RECEIVER, &got)) {
			PROMISE(forged.generation == d.generation && forged.offset == d.offset);
			check_message(p, got);
			PROMISE(pool_accept(p, &d, RECEIVER, &got) == -EBADMSG);
		} else {
			PROMISE(!pool_accept(p, &d, RECEIVER, &got));
			check_message(p, got);
		}
	}
	pool_destroy(p);
	return 0;
}
