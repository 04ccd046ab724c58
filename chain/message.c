/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>

#include "chain/message.h"

_Static_assert(sizeof(struct message) % 64 == 0, "arena and locals stay 64-byte aligned");
_Static_assert(offsetof(struct message, arena) == sizeof(struct message), "no hidden padding");
_Static_assert(sizeof(struct message) == 256 + 10 + 54 + 64, "a received payload lands in the arena");

void message_init(struct message *m, uint32_t buffer_bytes)
{
	memset(m, 0, offsetof(struct message, landing));
	m->capacity = buffer_bytes - (uint32_t)sizeof(*m);
	m->function = FUNCTION_NONE;
	m->status = STATUS_OK;
}

int message_check(const struct message *m, uint32_t buffer_bytes)
{
	uint32_t locals = 0;

	if (m->capacity != buffer_bytes - sizeof(*m) || m->depth > MESSAGE_DEPTH_MAX)
		return -EBADMSG;
	for (unsigned i = 0; i < m->depth; i++) {
		if (m->stack[i].locals > m->capacity || m->stack[i].locals % 64)
			return -EBADMSG;
		locals += m->stack[i].locals;   /* ≤ 8 × 2^31: checked below before it can wrap */
		if (locals > m->capacity)
			return -EBADMSG;
	}
	if (locals != m->locals || m->length > m->capacity - locals)
		return -EBADMSG;
	return 0;
}
