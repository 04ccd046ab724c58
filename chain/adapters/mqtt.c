/* SPDX-License-Identifier: BSD-2-Clause */
#include "chain/adapters/mqtt.h"

const struct adapter_ops perhop_adapter = {
	.version = ADAPTER_VERSION,
	.name = "mqtt",
	.summary = "MQTT 3.1.1 and 5, QoS 0 and 1 (no retained messages, no shared subscriptions)",
	.port = 1883,
	.parse = mqtt_parse,
	.format = mqtt_format,
};
