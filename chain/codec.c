/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The types that all workloads share; theirs go to their codec. HTTP has a wire form of its own, a
 * head beside a body, which a dataplane that speaks HTTP writes and parses with chain/http.h.
 */
#include <errno.h>
#include <string.h>

#include "chain/codec.h"

static ssize_t copy(const void *in, size_t length, void *out, size_t room)
{
	if (length > room)
		return -EMSGSIZE;
	if (length)
		memmove(out, in, length);
	return (ssize_t)length;
}

ssize_t codec_encode(const struct codec *c, uint16_t type, const void *in, size_t length,
		     void *out, size_t room)
{
	switch (type) {
	case TYPE_NONE:
		return 0;
	case TYPE_BYTES:
	case TYPE_REASON:
		return copy(in, length, out, room);
	}
	if (type < TYPE_WORKLOAD || !c || !c->encode)
		return -EINVAL;
	return c->encode(type, in, length, out, room);
}

ssize_t codec_decode(const struct codec *c, uint16_t type, const void *in, size_t length,
		     void *out, size_t room)
{
	switch (type) {
	case TYPE_NONE:
		return length ? -EBADMSG : 0;
	case TYPE_BYTES:
	case TYPE_REASON:
		return copy(in, length, out, room);
	}
	if (type < TYPE_WORKLOAD || !c || !c->decode)
		return -EINVAL;
	return c->decode(type, in, length, out, room);
}
