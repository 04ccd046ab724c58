/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Serialization and deserialization. Our own code says so by USDT. Of a foreign program we see its
 * messages turn: the first send on a socket after a receive is one message written, the first receive
 * after a send one message read.
 *
 * A decode belongs to the segment last received; an encode waits for the send that carries it.
 */
#include "audit/segment.bpf.h"
#include <bpf/usdt.bpf.h>

#define MSG_PEEK 0x2

/* The way the last message went on a socket: 1 out, 2 in. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} turns SEC(".maps");

static __always_inline void sent_encoded(struct audit_task *t, __u32 component, __u32 segment)
{
	if (t->encoded_http) {
		for (int i = 0; i < 8 && t->encoded_http; i++, t->encoded_http--) {
			count(M_ENCODE_HTTP, component, segment, t->encoded_http_bytes);
			t->encoded_http_bytes = 0;
		}
		t->encoded_http = 0;
	}
	if (t->encoded_payload) {
		for (int i = 0; i < 8 && t->encoded_payload; i++, t->encoded_payload--) {
			count(M_ENCODE_PAYLOAD, component, segment, t->encoded_payload_bytes);
			t->encoded_payload_bytes = 0;
		}
		t->encoded_payload = 0;
	}
}

static __always_inline int on_transfer(struct sock *sk, int bytes, int flags, bool send)
{
	struct audit_component *c;
	struct audit_link *l;
	struct audit_task *t;
	__u32 *turn, way = send ? 1 : 2, segment;
	bool at_server;

	if (bytes <= 0 || flags & MSG_PEEK || !counting())
		return 0;
	c = component_current();
	if (!c || c->id <= AUDIT_CLIENT)
		return 0;
	l = link_of_socket(sk, &at_server);
	if (!l || l->flags & AUDIT_LINK_DESCRIPTOR)
		return 0;
	segment = socket_segment(l, at_server, send);
	if (c->flags & AUDIT_COMPONENT_USDT) {
		t = send ? task_tags_current() : NULL;
		if (t)
			sent_encoded(t, c->id, segment);
		return 0;
	}
	turn = bpf_sk_storage_get(&turns, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!turn || *turn == way)
		return 0;
	*turn = way;
	count(send ? M_TURN_OUT : M_TURN_IN, c->id, segment, bytes);
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(send_turn, struct sock *sk, int ret, int flags)
{
	return on_transfer(sk, ret, flags, true);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(recv_turn, struct sock *sk, int ret, int flags)
{
	return on_transfer(sk, ret, flags, false);
}

SEC("fexit/inet_sendmsg")
int BPF_PROG(send_turn_exit, struct socket *socket, struct msghdr *m, size_t size, int ret)
{
	return on_transfer(socket->sk, ret, m->msg_flags, true);
}

SEC("fexit/inet_recvmsg")
int BPF_PROG(recv_turn_exit, struct socket *socket, struct msghdr *m, size_t size, int flags,
	     int ret)
{
	return on_transfer(socket->sk, ret, flags, false);
}

/* Payload types up to here are common; 2 and 3 are HTTP. See chain/codec.h. */
enum { TYPE_HTTP_FIRST = 2, TYPE_HTTP_LAST = 3 };

static __always_inline bool is_http(long type)
{
	return type >= TYPE_HTTP_FIRST && type <= TYPE_HTTP_LAST;
}

SEC("usdt")
int BPF_USDT(encode, long type, long bytes)
{
	struct audit_component *c;
	struct audit_task *t;

	if (!counting())
		return 0;
	c = component_current();
	t = c && c->id > AUDIT_CLIENT ? task_tags_current() : NULL;
	if (!t)
		return 0;
	if (is_http(type)) {
		t->encoded_http++;
		t->encoded_http_bytes += bytes;
	} else {
		t->encoded_payload++;
		t->encoded_payload_bytes += bytes;
	}
	return 0;
}

SEC("usdt")
int BPF_USDT(decode, long type, long bytes)
{
	struct audit_component *c;
	struct audit_task *t;

	if (!counting())
		return 0;
	c = component_current();
	t = c && c->id > AUDIT_CLIENT ? task_tags_current() : NULL;
	if (t)
		count(is_http(type) ? M_DECODE_HTTP : M_DECODE_PAYLOAD, c->id, t->received, bytes);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
