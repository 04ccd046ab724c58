/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "audit/layers.h"

/* A stack as text, leaf first; the layer's name, with " softirq" when it was found there. */
static const char *layer(const char *stack, bool client, enum layer_place place)
{
	static char out[64], copy[1024];
	const char *name[32];
	unsigned n = 0;
	bool softirq;

	strcpy(copy, stack);
	for (char *at = strtok(copy, " "); at; at = strtok(NULL, " "))
		name[n++] = at;
	strcpy(out, layer_name(layers_classify(name, n, client, place, &softirq)));
	if (softirq)
		strcat(out, " softirq");
	return out;
}

#define RX " __netif_receive_skb_core process_backlog __napi_poll net_rx_action handle_softirqs do_softirq "
#define SEND " __local_bh_enable_ip ip_finish_output2 ip_queue_xmit tcp_write_xmit tcp_sendmsg __sys_sendto"

static void what_a_process_sends_is_its_pods_stack(void **state)
{
	(void)state;
	assert_string_equal(layer("tcp_write_xmit tcp_sendmsg __sys_sendto do_syscall_64", false, PLACE_NODE),
			    "pod_stack");
	assert_string_equal(layer("memcpy skb_copy_datagram_iter tcp_recvmsg", false, PLACE_NODE), "pod_stack");
}

static void a_softirq_belongs_to_who_received_the_frame_not_to_who_was_interrupted(void **state)
{
	(void)state;
	assert_string_equal(layer("tcp_v4_rcv ip_local_deliver ip_rcv" RX SEND, true, PLACE_POD),
			    "pod_stack softirq");
	assert_string_equal(layer("ip_rcv_core ip_rcv" RX SEND, true, PLACE_NODE), "host_stack softirq");
	assert_string_equal(layer("tcp_v4_rcv ip_local_deliver" RX SEND, false, PLACE_CLIENT), "none softirq");
}

static void what_is_delivered_is_the_receivers_even_at_the_nodes_address(void **state)
{
	(void)state;
	assert_string_equal(layer("sk_filter tcp_v4_rcv ip_local_deliver ip_rcv" RX, false, PLACE_NODE),
			    "pod_stack softirq");
}

static void forwarding_is_the_hosts_wherever_it_is_seen(void **state)
{
	(void)state;
	assert_string_equal(layer("ip_forward ip_rcv" RX, false, PLACE_POD), "host_stack softirq");
	assert_string_equal(layer("br_handle_frame" RX, false, PLACE_POD), "host_stack softirq");
}

static void netfilter_is_found_below_its_callers(void **state)
{
	(void)state;
	assert_string_equal(layer("ipt_do_table nf_hook_slow ip_forward ip_rcv" RX, false, PLACE_NODE),
			    "netfilter softirq");
	assert_string_equal(layer("siphash_3u64 hash_conntrack_raw nf_conntrack_in nf_hook_slow ip_rcv" RX,
				  false, PLACE_NODE), "netfilter softirq");
	/* The hook's caller is none of it. */
	assert_string_equal(layer("ip_output ip_forward_finish ip_forward" RX, false, PLACE_NODE),
			    "host_stack softirq");
}

static void the_acceleration_is_charged_for_what_it_does_itself(void **state)
{
	(void)state;
	assert_string_equal(layer("bpf_prog_6deef7357e7b4530_xdp_redirect veth_xdp_rcv_skb veth_poll __napi_poll "
				  "net_rx_action handle_softirqs", false, PLACE_NODE), "redirect softirq");
	/* Helpers that others use as well belong to it when it calls them. */
	assert_string_equal(layer("fib_table_lookup bpf_ipv4_fib_lookup bpf_xdp_fib_lookup "
				  "bpf_prog_6deef7357e7b4530_xdp_redirect veth_poll handle_softirqs",
				  false, PLACE_NODE), "redirect softirq");
	assert_string_equal(layer("skb_copy_bits skb_pp_cow_data veth_convert_skb_to_xdp_buff veth_xdp_rcv_skb "
				  "veth_poll handle_softirqs", false, PLACE_NODE), "redirect softirq");
	assert_string_equal(layer("bpf_prog_0123456789abcdef_tc_redirect tcf_classify" RX, false, PLACE_NODE),
			    "redirect softirq");
}

static void a_redirected_frame_in_the_pods_stack_is_the_pods(void **state)
{
	(void)state;
	assert_string_equal(layer("tcp_rcv_established tcp_v4_rcv ip_local_deliver ip_rcv netif_receive_skb "
				  "napi_gro_receive veth_poll net_rx_action handle_softirqs", false, PLACE_POD),
			    "pod_stack softirq");
}

static void devices_and_queues_are_a_layer_of_their_own(void **state)
{
	(void)state;
	assert_string_equal(layer("veth_xmit dev_hard_start_xmit __dev_queue_xmit ip_finish_output2 tcp_sendmsg",
				  false, PLACE_POD), "device");
	assert_string_equal(layer("process_backlog __napi_poll net_rx_action handle_softirqs", false, PLACE_POD),
			    "device softirq");
}

static void descriptors_are_told_from_tcp(void **state)
{
	(void)state;
	assert_string_equal(layer("bpf_prog_0123456789abcdef_route sk_psock_msg_verdict tcp_bpf_sendmsg", false,
				  PLACE_POD), "descriptor");
	assert_string_equal(layer("sk_psock_queue_msg bpf_tcp_ingress tcp_bpf_sendmsg __sys_sendto", false,
				  PLACE_POD), "descriptor");
	assert_string_equal(layer("futex_wake do_futex __x64_sys_futex", false, PLACE_POD), "descriptor");
}

static void the_clients_own_work_is_not_counted(void **state)
{
	(void)state;
	assert_string_equal(layer("tcp_sendmsg __sys_sendto", true, PLACE_POD), "none");
	assert_string_equal(layer("schedule do_epoll_wait", true, PLACE_POD), "none");
	/* …but what the node does in a softirq on top of it is. */
	assert_string_equal(layer("nf_hook_slow ip_rcv" RX SEND, true, PLACE_NODE), "netfilter softirq");
}

static void the_rest_of_the_kernel_is_system(void **state)
{
	(void)state;
	assert_string_equal(layer("__schedule schedule do_epoll_wait", false, PLACE_POD), "system");
	assert_string_equal(layer("", false, PLACE_POD), "system");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_process_sends_is_its_pods_stack),
		cmocka_unit_test(a_softirq_belongs_to_who_received_the_frame_not_to_who_was_interrupted),
		cmocka_unit_test(what_is_delivered_is_the_receivers_even_at_the_nodes_address),
		cmocka_unit_test(forwarding_is_the_hosts_wherever_it_is_seen),
		cmocka_unit_test(netfilter_is_found_below_its_callers),
		cmocka_unit_test(the_acceleration_is_charged_for_what_it_does_itself),
		cmocka_unit_test(a_redirected_frame_in_the_pods_stack_is_the_pods),
		cmocka_unit_test(devices_and_queues_are_a_layer_of_their_own),
		cmocka_unit_test(descriptors_are_told_from_tcp),
		cmocka_unit_test(the_clients_own_work_is_not_counted),
		cmocka_unit_test(the_rest_of_the_kernel_is_system),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
