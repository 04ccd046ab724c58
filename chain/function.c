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
