#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Two nodes: the same answers by either stack, and no request without an answer, whatever happens to the link
# or to a process on either node. What a wire can do to frames: peers.sh.
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

# pid_of NAME: of the deployment that `serve` has started.
pid_of() { json "$served" "[c['pid'] for c in o['components'] if c['name'] == '$1'][0]"; }

# The namespace of node a is held by the supervisor only: enter it by descriptor. in_nodes COMMAND...: in
# each; false: it failed in all.
in_nodes() {
	local fd home done=1
	home=$(readlink /proc/self/ns/net)
	for fd in /proc/"$server"/fd/*; do
		[[ $(readlink "$fd") == net:* && $(readlink "$fd") != "$home" ]] || continue
		nsenter --net="$fd" "$@" 2>/dev/null && done=0
	done
	return "$done"
}

get() { curl -s -o /dev/null -w '%{http_code}' --max-time "${2:-8}" "$url${1:-/}"; }
answers() { [[ $(get) == 200 ]]; }

specs=()
for spec in sure,nodes=2,stack=kernel sure,nodes=2,stack=zstack skmsg,nodes=2 futex,nodes=2 uds,nodes=2 \
	kernel:knative,nodes=2 kernel:http,nodes=2 kernel:grpc,nodes=2; do
	"$PERHOP" verify -w echo:call,length=2 -d null -d "$spec" -n 5 >"$scratch/out" 2>&1
	reason=$(sed -n 's/.* skipped: //p' "$scratch/out")
	if [[ -n $reason ]]; then skip "$spec" "$reason"; else specs+=("$spec"); fi
done

for spec in "${specs[@]}"; do
	for workload in boutique echo:call,length=4 boutique:sequences; do
		name="$spec: $workload has the same answers as on one node"
		if "$PERHOP" verify -w "$workload" -d null -d "$spec" -n 60 >"$scratch/out" 2>&1; then
			ok "$name"
		else
			not_ok "$name" "$(tail -n 1 "$scratch/out")"
		fi
	done
done

faults() {
	local spec=$1 code pid
	serve -d "$spec" -w boutique || { not_ok "$spec serves" "$(head -n 1 "$serve_log")"; return; }
	check "$spec: a page comes" "status $(get)" answers

	in_nodes ip link set eth0 down
	code=$(get)
	check "$spec: a cut link is a 502, 503 or 504" "status $code" grep -qx "50[234]" <<<"$code"
	in_nodes ip link set eth0 up
	check "$spec: it goes on when the link is back" "status $(get)" until_true 15 answers
	check "$spec: no buffer stays in use" "$(metric "$url" perhop_pool_buffers_in_use)" \
		until_true 5 buffers_home

	pid=$(pid_of gateway@b)
	kill -9 "$pid"
	check "$spec: after kill -9 of the other node's gateway it goes on" "status $(get)" until_true 15 answers
	kill -9 "$(pid_of cart)"
	check "$spec: after kill -9 of a function there it goes on" "status $(get /cart)" until_true 15 answers
	check "$spec: who died is said" "$(cat "$serve_log")" grep -q "gateway@b was ended by signal 9" "$serve_log"
	check "$spec: no buffer stays in use after a death" "$(metric "$url" perhop_pool_buffers_in_use)" \
		until_true 5 buffers_home

	remember "$server" "$scratch/had"
	kill -9 "$server"
	wait "$server" 2>/dev/null
	check "$spec: kill -9 of the supervisor leaves nothing of two nodes" "see above" all_gone "$scratch/had" 5
}

# Frames that the node of the pods has sent to the other one.
crossed() { in_nodes ip -s link show dev wire | awk '/TX:/ { getline; print $2 }'; }

dropped() { in_nodes iptables -L FORWARD -v -x -n | awk '/DROP/ { n += $1 } END { print n }'; }

# Of kernel:* the nodes are joined by `wire`, and the pods carry the messages themselves.
pod_faults() {
	local spec=$1 before code
	serve -d "$spec" -w boutique --answer-timeout 4 || { not_ok "$spec serves" "$(head -n 1 "$serve_log")"; return; }
	check "$spec: a page comes" "status $(get)" answers
	before=$(crossed)
	get >"$scratch/codes"
	check "$spec: it crosses the wire" "$before frames before, $(crossed) after" test "$(crossed)" -gt "$((before + 5))"

	if in_nodes iptables -I FORWARD -o wire -m statistic --mode random --probability 0.03 -j DROP; then
		for _ in {1..15}; do get / 20; echo; done >"$scratch/codes"
		check "$spec: loss loses nothing" "$(sort "$scratch/codes" | uniq -c)" \
			test "$(sort -u "$scratch/codes")" = 200
		check "$spec: frames were lost" "none" test "$(dropped)" -gt 0
		in_nodes iptables -F FORWARD
		in_nodes iptables -I FORWARD -o wire -j DROP
		code=$(get)
		check "$spec: a cut wire is a 502, 503 or 504" "status $code" grep -qx "50[234]" <<<"$code"
		in_nodes iptables -F FORWARD
		check "$spec: it goes on when the wire is back" "status $(get)" until_true 15 answers
	else
		skip "$spec: loss and a cut wire" "no iptables, or no match 'statistic'"
	fi

	kill -9 "$(pid_of cart)"
	check "$spec: after kill -9 of a function on the other node it goes on" "status $(get /cart)" until_true 15 answers
	remember "$server" "$scratch/had"
	kill -9 "$server"
	wait "$server" 2>/dev/null
	check "$spec: kill -9 of the supervisor leaves nothing of two nodes" "see above" all_gone "$scratch/had" 5
}

for spec in "${specs[@]:0:3}"; do [[ $spec == kernel* ]] || faults "$spec"; done
for spec in "${specs[@]}"; do [[ $spec != kernel* ]] || pod_faults "$spec"; done

# Two perhops, each with one node.
port=$((20000 + RANDOM % 20000))
b=sure,node=b,peer=127.0.0.1:$port a=sure,node=a,peer=127.0.0.1:$port
if serve -d "$b" -w boutique && serve -d "$a" -w boutique; then
	check "two perhops, a node each, are one deployment" "status $(get)" until_true 10 answers
	# What no peer would send: refused; the two nodes' connection does not notice, nor does a request.
	before=$(metric "$url" perhop_link_connections_total)
	for bytes in '\0' 'PhH1' "$(printf 'GET / HTTP/1.1\\r\\n\\r\\n%0200d' 0)"; do
		printf '%b' "$bytes" >"/dev/tcp/127.0.0.1/$port"
	done 2>/dev/null
	check "bytes that no peer sends are refused, and a request does not notice" "status $(get)" answers
	check "nor does the nodes' connection" "$(metric "$url" perhop_link_connections_total), was $before" \
		test "$(metric "$url" perhop_link_connections_total)" = "$before"
else
	not_ok "two perhops, a node each" "$(cat "$serve_log")"
fi
