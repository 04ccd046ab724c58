/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The types that all workloads share; theirs go to their codec. HTTP has a wire form of its own, a
 * head beside a body, which a dataplane that speaks HTTP writes and parses with chain/http.h.
 */
#include <errno.h>
#include <string.h>

#include "chain/codec.h"
#include "chain/probe.h"

static ssize_t copy(const void *in, size_t length, void *out, size_t room)
{
	if (length > room)
		return -EMSGSIZE;
	if (length) {
		memmove(out, in, length);
		PERHOP_COPY(length);
	}
	return (ssize_t)length;
}

ssize_t codec_encode(const struct codec *c, uint16_t type, const void *in, size_t length,
		     void *out, size_t room)
{
	ssize_t n;

	switch (type) {
	case TYPE_NONE:
		return 0;
	case TYPE_BYTES:
	case TYPE_REASON:
		return copy(in, length, out, room);
	}
	if (type < TYPE_WORKLOAD || !c || !c->encode)
		return -EINVAL;
	n = c->encode(type, in, length, out, room);
	if (n >= 0)
		PERHOP_ENCODE(type, n);
	return n;
}

ssize_t codec_decode(const struct codec *c, uint16_t type, const void *in, size_t length,
		     void *out, size_t room)
{
	ssize_t n;

	switch (type) {
	case TYPE_NONE:
		return length ? -EBADMSG : 0;
	case TYPE_BYTES:
	case TYPE_REASON:
		return copy(in, length, out, room);
	}
	if (type < TYPE_WORKLOAD || !c || !c->decode)
		return -EINVAL;
	n = c->decode(type, in, length, out, room);
	if (n >= 0)
		PERHOP_DECODE(type, length);
	return n;
}
