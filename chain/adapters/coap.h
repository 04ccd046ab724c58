/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside of the CoAP adapter: RFC 7252, the server's side, over UDP. */
#ifndef PERHOP_ADAPTERS_COAP_H
#define PERHOP_ADAPTERS_COAP_H

#include "chain/adapters/bytes.h"

enum coap_type { COAP_CON, COAP_NON, COAP_ACK, COAP_RST };

/* Codes are class.detail: 3 and 5 bits (§3). */
#define COAP_CODE(class, detail) ((class) << 5 | (detail))

ssize_t coap_parse(struct adapter_memo *memo, const uint8_t *in, size_t length, struct packet *p);
ssize_t coap_format(struct adapter_memo *memo, const struct packet *p, uint8_t *out, size_t room);

#endif
