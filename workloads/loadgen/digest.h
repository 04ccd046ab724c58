/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SHA-256 over a sequence of answers, in a form that is the same on every dataplane: what functions
 * decide is in it, what proxies and framing decide (Server, Date, Connection, chunked or
 * Content-Length, the reason phrase, 1xx answers) is not. Per answer:
 *
 *     200\n                                status
 *     content-type: text/html\n            where present; of several the first
 *     location: /cart\n                    likewise; scheme and authority removed, they name a port
 *     set-cookie: shop_session-id=…\n      all of them, in order
 *     body: 1234\n                         bytes, decoded
 *     …1234 bytes…\n
 *
 * and `failed\n` for a request that got no answer.
 */
#ifndef PERHOP_LOADGEN_DIGEST_H
#define PERHOP_LOADGEN_DIGEST_H

#include <stddef.h>

struct digest;

/* Start one; the caller owns it. 0 or -ENOMEM. */
int digest_open(struct digest **out);

/* Add an answer: its head as it came (status line included) and its decoded body. 0 or -EIO. */
int digest_answer(struct digest *d, const char *head, size_t head_length, const char *body,
		  size_t body_length);

/* Add a request that got none. 0 or -EIO. */
int digest_failure(struct digest *d);

/* Finish: the sum of everything added. 0 or -EIO. */
int digest_sum(struct digest *d, unsigned char sha256[32]);

/* Free it. NULL is fine. */
void digest_close(struct digest *d);

#endif
