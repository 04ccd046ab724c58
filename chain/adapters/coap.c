/* SPDX-License-Identifier: BSD-2-Clause */
#include "chain/adapters/coap.h"

const struct adapter_ops perhop_adapter = {
	.version = ADAPTER_VERSION,
	.flags = ADAPTER_DATAGRAM,
	.name = "coap",
	.summary = "CoAP over UDP (RFC 7252); no transfer in blocks, no observing",
	.port = 5683,
	.parse = coap_parse,
	.format = coap_format,
};
