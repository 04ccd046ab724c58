/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "chain/codec.h"
#include "chain/function.h"

enum outcome invocation_fail(struct invocation *inv, uint16_t status, const char *reason)
{
	uint32_t n = (uint32_t)strlen(reason);

	if (n > inv->room)
		n = inv->room;
	memcpy(inv->payload, reason, n);
	inv->length = n;
	inv->type = TYPE_REASON;
	inv->status = status;
	return FAIL;
}

void user_call_run(struct user_call *c)
{
	switch (c->what) {
	case USER_START:
		c->result = c->fn->start ? c->fn->start(c->inv.state, c->inv.seed) : 0;
		break;
	case USER_HANDLE:
		c->result = c->fn->handle(&c->inv);
		break;
	case USER_STOP:
		if (c->fn->stop)
			c->fn->stop(c->inv.state);
		break;
	}
}
