/* SPDX-License-Identifier: BSD-2-Clause */
/* What travels in the workload `echo`; see echo.c. */
#ifndef PERHOP_ECHO_H
#define PERHOP_ECHO_H

#include <stddef.h>
#include <stdint.h>

#include "chain/codec.h"
#include "chain/workload.h"

enum {
	TYPE_ECHO = TYPE_WORKLOAD,
	ECHO_LENGTH_MAX = 8,        /* functions; as many as calls can nest */
	ECHO_SIZE_MAX = 64 << 10,   /* bytes of our own; a client may POST what buffers hold */
	ECHO_AT = 128,              /* offset of the bytes in the payload */
	ECHO_TREE_BYTES = 160 << 10, /* of a decoded message: the largest body and its struct */
};

struct echo {
	uint32_t hops;              /* functions that have handled it */
	uint32_t length;            /* bytes at ECHO_AT; a NUL follows */
	uint64_t digest;            /* of bytes and hops so far */
};

extern const struct workload workload_echo;

/* Is `e`, `length` bytes from somebody else, sound? 0 or -EBADMSG. */
int echo_check(const struct echo *e, size_t length);

#endif
