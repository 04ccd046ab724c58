/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * X-Perhop-Token: who vouches for a request. The pipeline's entry (perhop's gateway, Knative's broker)
 * signs the request's id and topic with the deployment's key; functions pass the token on with what they
 * send; queue-proxy's handler auth verifies it (dataplanes/sure/sidecar).
 *
 *     | id, 16 hex digits | tag, 32 hex digits |
 */
#ifndef PERHOP_KERNEL_TOKEN_H
#define PERHOP_KERNEL_TOKEN_H

#include <stdbool.h>

#include "chain/http.h"
#include "chain/message.h"

enum { TOKEN_TAG = sizeof(((struct message *)0)->tag), TOKEN_TEXT = 16 + 2 * TOKEN_TAG };

/* Has somebody signed `m`? */
bool token_present(const struct message *m);

/* The token as text, with a NUL. */
void token_write(char text[TOKEN_TEXT + 1], uint64_t id, const uint8_t tag[TOKEN_TAG]);

/* From the field's value, which anybody may have sent. False: not a token, nothing was written. */
bool token_read(struct slice text, uint64_t *id, uint8_t tag[TOKEN_TAG]);

#endif
