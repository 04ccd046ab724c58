/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>

#include "audit/quantity.h"

static const struct {
	const char *key, *title;
	uint64_t metrics;           /* bit per audit_metric */
	bool anyone;                /* a softirq borrows whoever's context: whose is no matter */
} quantities[QUANTITIES] = {
#define BIT(m) (UINT64_C(1) << (m))
	[QUANTITY_COPIES] = { "copies", "# of copies",
		BIT(M_COPY_SEND) | BIT(M_COPY_RECV) | BIT(M_COPY_USER) | BIT(M_COPY_KERNEL), false },
	[QUANTITY_SWITCHES] = { "context_switches", "# of context switches",
		BIT(M_SWITCH_OUT_VOLUNTARY) | BIT(M_SWITCH_OUT_INVOLUNTARY) |
		BIT(M_SWITCH_IN_WOKEN) | BIT(M_SWITCH_IN_RESUMED), false },
	[QUANTITY_INTERRUPTS] = { "interrupts", "# of interrupts",
		BIT(M_SOFTIRQ_NET_RX) | BIT(M_IPI_SENT) | BIT(M_IRQ_DEVICE), true },
	[QUANTITY_PROTOCOL] = { "protocol_tasks", "# of protocol processing tasks",
		/* Not bare ACKs: a delayed one comes by a timer, for no request in particular. */
		BIT(M_STACK_DATA) | BIT(M_STACK_CONTROL), true },
	[QUANTITY_SERIALIZATIONS] = { "serializations", "# of serialization",
		BIT(M_ENCODE_HTTP) | BIT(M_ENCODE_PAYLOAD) | BIT(M_TURN_OUT), false },
	[QUANTITY_DESERIALIZATIONS] = { "deserializations", "# of deserialization",
		BIT(M_DECODE_HTTP) | BIT(M_DECODE_PAYLOAD) | BIT(M_TURN_IN), false },
#undef BIT
};

static const char *const column_keys[COLUMNS] = {
	"external", "within", "total", "slide_total", "round_trip",
};

static const char *const metric_names[M_COUNT] = {
	[M_COPY_SEND] = "copy_send", [M_COPY_RECV] = "copy_recv", [M_COPY_USER] = "copy_user",
	[M_COPY_KERNEL] = "copy_kernel", [M_COPY_DESCRIPTOR_SEND] = "descriptor_send",
	[M_COPY_DESCRIPTOR_RECV] = "descriptor_recv", [M_COPY_PEEK] = "peek",
	[M_SEND_ZEROCOPY] = "send_zerocopy", [M_SWITCH_OUT_VOLUNTARY] = "switch_out_voluntary",
	[M_SWITCH_OUT_INVOLUNTARY] = "switch_out_involuntary",
	[M_SWITCH_IN_WOKEN] = "switch_in_woken", [M_SWITCH_IN_RESUMED] = "switch_in_resumed",
	[M_SWITCH_EVENTS] = "switch_events_machine", [M_SWITCH_EVENTS_OURS] = "switch_events",
	[M_WAKEUP] = "wakeups", [M_SOFTIRQ_NET_RX] = "softirq_net_rx",
	[M_SOFTIRQ_OTHER] = "softirq_other", [M_IPI_SENT] = "ipi_sent", [M_IPI_TAKEN] = "ipi_taken",
	[M_IRQ_DEVICE] = "irq_device", [M_IRQ_TIMER] = "irq_timer", [M_STACK_DATA] = "stack_data",
	[M_STACK_CONTROL] = "stack_control", [M_STACK_ACK] = "stack_ack",
	[M_STACK_OUT] = "stack_out", [M_STACK_TCP] = "stack_tcp", [M_ENCODE_HTTP] = "encode_http",
	[M_ENCODE_PAYLOAD] = "encode_payload", [M_DECODE_HTTP] = "decode_http",
	[M_DECODE_PAYLOAD] = "decode_payload", [M_TURN_OUT] = "turn_out", [M_TURN_IN] = "turn_in",
	[M_CPU_TIME] = "cpu_time", [M_SOFTIRQ_TIME] = "softirq_time",
	[M_SYSCALL] = "syscalls",
};

const char *quantity_key(enum quantity q)
{
	return quantities[q].key;
}

const char *quantity_title(enum quantity q)
{
	return quantities[q].title;
}

const char *column_key(enum column c)
{
	return column_keys[c];
}

const char *metric_name(enum audit_metric m)
{
	return metric_names[m];
}

bool quantity_has(enum quantity q, enum audit_metric metric, unsigned component, unsigned segment)
{
	if (!(quantities[q].metrics >> metric & 1))
		return false;
	return component > AUDIT_CLIENT || (quantities[q].anyone && segment);
}

bool column_has(enum column c, int class)
{
	switch (c) {
	case COLUMN_EXTERNAL:
		return class == SEGMENT_EXTERNAL;
	case COLUMN_WITHIN:
		return class == SEGMENT_WITHIN;
	case COLUMN_TOTAL:
		return class == SEGMENT_EXTERNAL || class == SEGMENT_WITHIN;
	case COLUMN_SLIDE_TOTAL:
		return class == SEGMENT_EXTERNAL || class == SEGMENT_WITHIN ||
		       class == SEGMENT_RETURN_CHAIN;
	default:
		return true;
	}
}

/* SPRIGHT (SIGCOMM 2022): Table 1 (§2) and Table 2 (§3.7), segments 1…5; the slides' printed totals. */
static const struct {
	signed char segment[5];     /* -1: the table has no such column */
	unsigned char external, within, total, slide_total;
} tables[2][QUANTITIES] = {
	{
		[QUANTITY_COPIES] = { { 1, 2, 4, 4, 4 }, 3, 12, 15, 19 },
		[QUANTITY_SWITCHES] = { { 1, 2, 4, 4, 4 }, 3, 12, 15, 19 },
		[QUANTITY_INTERRUPTS] = { { 3, 4, 6, 6, 6 }, 7, 18, 25, 31 },
		[QUANTITY_PROTOCOL] = { { 1, 2, 3, 3, 3 }, 3, 9, 12, 15 },
		[QUANTITY_SERIALIZATIONS] = { { 1, 1, 2, 2, 2 }, 2, 6, 8, 9 },
		[QUANTITY_DESERIALIZATIONS] = { { 0, 1, 2, 2, 2 }, 1, 6, 7, 10 },
	},
	{
		[QUANTITY_COPIES] = { { 1, 2, 0, 0, -1 }, 3, 0, 3, 3 },
		[QUANTITY_SWITCHES] = { { 1, 2, 2, 2, -1 }, 3, 4, 7, 9 },
		[QUANTITY_INTERRUPTS] = { { 3, 4, 2, 2, -1 }, 7, 4, 11, 13 },
		[QUANTITY_PROTOCOL] = { { 1, 2, 0, 0, -1 }, 3, 0, 3, 3 },
		[QUANTITY_SERIALIZATIONS] = { { 1, 1, 0, 0, -1 }, 2, 0, 2, 2 },
		[QUANTITY_DESERIALIZATIONS] = { { 0, 1, 0, 0, -1 }, 1, 0, 1, 1 },
	},
};

double published(enum published_table t, enum quantity q, unsigned number, enum column c)
{
	if (t == PUBLISHED_NONE)
		return NAN;
	t--;
	if (number) {
		if (number > 5 || tables[t][q].segment[number - 1] < 0)
			return NAN;
		return tables[t][q].segment[number - 1];
	}
	switch (c) {
	case COLUMN_EXTERNAL:
		return tables[t][q].external;
	case COLUMN_WITHIN:
		return tables[t][q].within;
	case COLUMN_TOTAL:
		return tables[t][q].total;
	case COLUMN_SLIDE_TOTAL:
		return tables[t][q].slide_total;
	default:
		return NAN;
	}
}
