/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a proxy passes on of a head: all fields but those that are about the connection (RFC 9110
 * §7.6.1), with the body's length as it is now that the body is whole.
 */
#ifndef PERHOP_KERNEL_PROXY_HEAD_H
#define PERHOP_KERNEL_PROXY_HEAD_H

#include "dataplanes/kernel/stream.h"

/* The whole request in `s`, as it goes to the function. Bytes at `out`, or -EMSGSIZE. */
ssize_t proxy_request_head(char *out, size_t room, const struct stream *s);

/*
 * The whole response in `s`, as it goes to the client. `head_only`: it answers a HEAD, so its length
 * is that of a body which is not here. `old`: the client speaks HTTP/1.0.
 */
ssize_t proxy_response_head(char *out, size_t room, const struct stream *s, bool head_only,
			    bool keep_alive, bool old);

#endif
