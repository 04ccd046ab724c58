#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The audit of a chain that perhop did not start, and of what somebody did wrong in it.
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
# shellcheck source=tests/e2e/audit-lib.sh
. tests/e2e/audit-lib.sh
need_probes "audit of a foreign chain"

server="$scratch/audit-server"
if ! ${CC:-gcc} -std=gnu11 -O2 -I. -o "$server" tests/e2e/audit-server.c 2>"$scratch/cc"; then
	skip "audit of a foreign chain" "no compiler: $(tail -n 1 "$scratch/cc")"
	exit 0
fi

# serve_on PORT ARGUMENTS...: the test's own server.
serve_on() {
	"$server" "$@" &
	started+=("$!")
	until_true 5 curl -s -o /dev/null --max-time 1 "http://127.0.0.1:$1/"
}

a=$(free_port) b=$(free_port) c=$(free_port)
serve_on "$c"
if ! nginx_start ingress "$a" "$b" || ! nginx_start broker "$b" "$c"; then
	skip "nginx to nginx to HTTP" "nginx did not start: $(cat "$scratch"/*/log 2>/dev/null | tail -n 1)"
	exit 0
fi
curl -s -o /dev/null "http://127.0.0.1:$a/"
if audit "nginx to nginx to HTTP" --port "$a"; then
	valid "foreign chain: the record satisfies the schema"
	holds "foreign chain: six segments, found from the entry port alone" 'len(o["segments"]) == 6'
	holds "foreign chain: 1,2,2 copies to the function, 2,2,1 back" \
		'row("copies", 1, 2, 3, 4, 5, 6) == [1, 2, 2, 2, 2, 1]'
	holds "foreign chain: one traversal of the loopback per hop" \
		'row("protocol_tasks", 1, 2, 3, 4, 5, 6) == [1] * 6'
	holds "foreign chain, isolated: 10 switches there and back" \
		'near([c("context_switches", "round_trip")], [10], 0.2)'
	holds "foreign chain: nginx by message turns and our code by USDT agree on one message per hop" \
		'row("serializations", 1, 2, 3, 4, 5, 6) == [0, 1, 1, 1, 1, 1] and row("deserializations", 1, 2, 3, 4, 5, 6) == [1, 1, 1, 1, 1, 0]'
fi
pids="front=${started[1]},middle=${started[2]},back=${started[0]}"
if audit "chain by pids" --port "$a" --pid "$pids" --reps 2; then
	holds "pids by name: the steps bear the names" \
		'[s["step"] for s in o["segments"]][:3] == ["client -> front", "front -> middle", "middle -> back"]'
fi

# One function alone, doing more than it must.
p=$(free_port)
serve_on "$p"
if audit "plain server" --port "$p" --reps 4; then
	holds "a server by itself: one copy in, one out, one message each way" \
		'(c("copies", "round_trip"), c("serializations", "round_trip"), c("deserializations", "round_trip")) == (2, 1, 1)'
fi
p=$(free_port)
serve_on "$p" copies=1
if audit "an added copy" --port "$p" --reps 4; then
	holds "an added copy in user space is seen, exactly" 'c("copies", "round_trip") == 3'
fi
p=$(free_port)
serve_on "$p" encodes=1
if audit "an added serialization" --port "$p" --reps 4; then
	holds "an added serialization is seen, exactly" 'c("serializations", "round_trip") == 2'
fi

# A proxy that connects anew for each request.
lost=$(free_port)
nginx_start lost "$lost" "$c" lost
if audit "a lost keep-alive" --port "$lost" --reps 4; then
	holds "a lost keep-alive is seen: handshakes and farewells are protocol tasks" \
		'c("protocol_tasks", "round_trip") >= 4 + 4 and o["counts"]["copies"]["round_trip"]["mean"] == 6'
fi
