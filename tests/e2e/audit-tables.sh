#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Tables 1 and 2 of the SPRIGHT paper, measured: where they must hold, and exactly.
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
# shellcheck source=tests/e2e/audit-lib.sh
. tests/e2e/audit-lib.sh
need_probes "audit of Tables 1 and 2"

eq='passed("switches = /proc", "switches = perf", "answers", "attribution")'
if ! can_run kernel:knative; then
	skip "Table 1 on kernel:knative" "it cannot run here"
elif audit "Table 1 on kernel:knative" -d kernel:knative -w echo,length=2; then
	holds "knative: 1,2,4,4,4 copies, and 4 for the way back" \
		'row("copies", 1, 2, 3, 4, 5, 6) == [1, 2, 4, 4, 4, 4]'
	holds "knative: 15 copies as the paper has them, 19 as the slides" \
		'c("copies", "total") == 15 and c("copies", "slide_total") == 19'
	holds "knative: 1,2,3,3,3 protocol tasks = 12, and 15" \
		'row("protocol_tasks", 1, 2, 3, 4, 5, 6) == [1, 2, 3, 3, 3, 3] and c("protocol_tasks", "slide_total") == 15'
	holds "knative, isolated: 15 context switches, and 19, within 0.1" \
		'near([c("context_switches", "total"), c("context_switches", "slide_total")], [15, 19])'
	holds "knative: copies and protocol have no variance over 8 repetitions" \
		'o["repetitions"] >= 8 and passed("copies: no variance", "protocol: no variance")'
	holds "knative: a client's request is deserialized once at the ingress, and not serialized" \
		'c("serializations", 1) == 0 and c("deserializations", 1) == 1'
	holds "knative: HTTP is serialized 9 and deserialized 10 times up to the broker's last turn, the payload once each" \
		'c("serializations", "slide_total") == 10 and c("deserializations", "slide_total") == 11'
	holds "knative: eBPF, /proc and perf count the same switches" "$eq"
	holds "knative: interrupts are counted and differ from the paper with a reason" \
		'8 <= c("interrupts", "total") <= 25 and o["counts"]["interrupts"]["total"]["why"]'
fi

# A stock HTTP/2 message between two pods: a send and a receive, two stack traversals, protobuf and HEADERS.
if ! can_run kernel:grpc; then
	skip "kernel:grpc hop by hop" "it cannot run here"
else
	if audit "kernel:grpc on echo" -d kernel:grpc -w echo,length=2 -n 50 --reps 2; then
		holds "grpc: 2 protocol tasks a hop, as direct HTTP has" 'row("protocol_tasks", 1, 3, 4, 5, 6, 7) == [1, 2, 2, 2, 2, 1]'
		holds "grpc: a copy per send and receive, and those of the body of HTTP within gRPC on its way back" \
			'row("copies", 1, 3, 4, 5, 6, 7) == [1, 2, 3, 4, 3, 1]'
		holds "grpc: message and HEADERS are serialized and deserialized once a hop each" \
			'row("serializations", 1, 3, 4, 5, 6, 7) == [0, 2, 2, 2, 2, 1] and row("deserializations", 1, 3, 4, 5, 6, 7) == [1, 2, 2, 2, 2, 0]'
	fi
	if audit "kernel:grpc on the boutique" -d kernel:grpc -w boutique -n 30 --reps 2; then
		holds "grpc: so does each call of the boutique, and each answer" 'all(c(q, s["number"]) ==
			c("protocol_tasks", s["number"]) for s in o["segments"][1:-1] for q in ("serializations", "deserializations"))'
	fi
fi

if ! can_run skmsg; then
	skip "Table 2 on skmsg" "it cannot run here"
	exit 0
fi
if audit "Table 2 on skmsg" -d skmsg -w echo,length=2; then
	holds "skmsg: nothing is copied, processed or serialized within the chain" \
		'all(c(q, "within") == 0 for q in ("copies", "protocol_tasks", "serializations", "deserializations"))'
	holds "skmsg: descriptors are copied, 16 bytes in and out per hop, and counted apart" \
		'o["components"]["f1"]["descriptor_send"] == {"n": 1.0, "amount": 16.0} == o["components"]["f1"]["descriptor_recv"]'
	valid "skmsg: the record satisfies the schema"
	holds "skmsg: eBPF, /proc and perf count the same switches" "$eq"
fi
if (($(nproc) < 2)); then
	skip "skmsg across cores" "one CPU"
elif audit "skmsg across cores" -d skmsg -w echo,length=2 --mode cross-core; then
	# A redirect wakes the receiver while it holds the receiver's socket lock (bpf_tcp_ingress, net/ipv4/tcp_bpf.c):
	# one that wakes fast enough sleeps once more, on that lock, and is woken once more. So two switches a hop, and
	# at most one more for each end of the hop that has to wait for the lock; 0.3 is for busy neighbours.
	holds "skmsg: two switches per hop across cores, more only for a receiver that met the lock" \
		'all(1.7 <= x <= 4.3 for x in row("context_switches", 3, 4, 5))'
	# A CPU that is busy anyway may be told without one.
	holds "skmsg: an IPI per wake-up across cores, at most two per hop" \
		'all(0.2 <= x <= 2.1 for x in row("interrupts", 3, 4))'
fi

# A second deployment of the same kind has the same addresses in namespaces of its own.
if can_run kernel:knative && serve -d kernel:knative -w echo,length=2; then
	(while curl -s -o /dev/null --max-time 5 "$url"; do :; done) &
	started+=("$!")
	if audit "two deployments" -d kernel:knative -w echo,length=2 --reps 3; then
		holds "another deployment with the same addresses is none of ours" \
			'c("protocol_tasks", "round_trip") == 18 and c("copies", "round_trip") == 22 and passed("protocol: no variance")'
	fi
	stop_server
fi
