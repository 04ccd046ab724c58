#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Two hosts, each with a perhop of its own and one node of a deployment; here: two network namespaces and a veth.
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

hosts=()                        # pids that hold the namespaces; the third is between the two, for a rough wire
for _ in 1 2 3; do
	unshare -n sleep 600 2>"$scratch/err" &
	hosts+=("$!")
	started+=("$!")
done
# shellcheck disable=SC2317 # until_true calls it
apart() { [[ $(readlink "/proc/${hosts[$1]}/ns/net") != $(readlink /proc/self/ns/net) ]]; }
if ! until_true 5 apart 0 || ! until_true 5 apart 1 || ! until_true 5 apart 2; then
	skip "two hosts" "no network namespaces: $(head -n 1 "$scratch/err")"
	exit 0
fi
on() { local host=$1; shift; nsenter --net="/proc/${hosts[$host]}/ns/net" "$@"; }
ip link add wire netns "${hosts[0]}" type veth peer name wire netns "${hosts[1]}"
for host in 0 1; do
	ip link add rough netns "${hosts[$host]}" type veth peer name "end$host" netns "${hosts[2]}"
	on 2 ip link set "end$host" up
	on $host ip link set lo up
	on $host ip address add 10.79.0.$((host + 1))/24 dev wire
	on $host ip address add 10.80.0.$((host + 1))/24 dev rough
	on $host ip link set wire up
	on $host ip link set rough up
	printf '#!/bin/bash\nexec nsenter --net=/proc/%s/ns/net %q "$@"\n' "${hosts[$host]}" "$PERHOP" >"$scratch/perhop.$host"
	chmod +x "$scratch/perhop.$host"
done
# shellcheck disable=SC2317 # until_true calls it
answers() { [[ $(on 0 curl -s -o /dev/null -w '%{http_code}' --max-time 8 "$url/cart") == 200 ]]; }

# two NAME A B: clients come in at host 0, which has node a.
two() {
	local name=$1 a=$2 b=$3 server_b
	PERHOP=$scratch/perhop.1 serve -d "$b" -w boutique || { not_ok "$name" "$(cat "$serve_log")"; return; }
	server_b=$server
	PERHOP=$scratch/perhop.0 serve -d "$a" -w boutique || { not_ok "$name" "$(cat "$serve_log")"; return; }
	check "$name: two perhops are one deployment" "see $serve_log" until_true 15 answers
	on 0 ip link set wire down
	on 0 curl -s --max-time 8 "$url/cart" >"$scratch/said"
	check "$name: a cut wire is an error that says so" "$(head -c 200 "$scratch/said")" grep -q "other node" "$scratch/said"
	on 0 ip link set wire up
	check "$name: it goes on when the wire is back" "no answer" until_true 20 answers
	stop_server
	server=$server_b
	stop_server
}

# Frames that the wire has lost, doubled, … ($1); nothing when it has not said so.
count() { json "$scratch/wire" "o['$1']" 2>/dev/null; }

# rough_wire NAME A B: the same over a wire that loses, doubles and reorders frames.
rough_wire() {
	local name=$1 a=$2 b=$3 server_a server_b wire what
	nsenter --net="/proc/${hosts[2]}/ns/net" /usr/bin/python3 tests/e2e/badwire.py end0 end1 7 >"$scratch/wire" 2>"$scratch/err" &
	wire=$!
	started+=("$wire")
	until_true 5 grep -q ready "$scratch/wire"
	PERHOP=$scratch/perhop.1 serve -d "$b" -w boutique || not_ok "$name: node b" "$(cat "$serve_log")"
	server_b=$server
	PERHOP=$scratch/perhop.0 serve -d "$a" -w boutique || not_ok "$name: node a" "$(cat "$serve_log")"
	server_a=$server
	check "$name: over a rough wire, two perhops are one deployment" "see $serve_log" until_true 15 answers
	for _ in {1..15}; do
		on 0 curl -s -o /dev/null -w '%{http_code}\n' --max-time 20 "$url/"
	done >"$scratch/codes"
	check "$name: loss, reordering and duplication lose nothing" "$(sort "$scratch/codes" | uniq -c)" \
		test "$(sort -u "$scratch/codes")" = 200
	for server in "$server_a" "$server_b"; do stop_server; done
	kill "$wire"
	wait "$wire"
	sed -i '/ready/d' "$scratch/wire"
	for what in lost doubled reordered; do
		check "$name: frames were $what" "$(cat "$scratch/wire" "$scratch/err")" test "$(count $what)" -gt 0
	done
}

# stranger WHAT ARGUMENT: to node b, from between the two.
stranger() { on 2 /usr/bin/python3 tests/e2e/stranger.py "$1" "${door%:*}" "${door#*:}" "$2"; }

# newcomers NAME A B ADDR:PORT: whoever comes to node b's port beside node a. The rough wire's ends are a bridge meanwhile.
newcomers() {
	local name=$1 a=$2 b=$3 door=$4 server_b before port=$((20000 + RANDOM % 20000)) bytes crowd=() crowd_noticed='' crowd_stays=''
	on 2 ip link add bridge type bridge
	on 2 ip address add 10.80.0.3/24 dev bridge
	for bytes in end0 end1; do on 2 ip link set $bytes master bridge; done
	on 2 ip link set bridge up
	on 2 /usr/bin/python3 tests/e2e/stranger.py whole bridge
	on 0 /usr/bin/python3 tests/e2e/stranger.py hear $port "$scratch/hello" &
	bytes=$!
	PERHOP=$scratch/perhop.0 serve -d sure,node=a,peer=127.0.0.1:$port -w boutique
	check "$name: node a says HELLO" "none" wait "$bytes"
	stop_server
	PERHOP=$scratch/perhop.1 serve -d "$b" -w boutique || not_ok "$name: node b" "$(cat "$serve_log")"
	server_b=$server
	PERHOP=$scratch/perhop.0 serve -d "$a" -w boutique || not_ok "$name: node a" "$(cat "$serve_log")"
	check "$name: before anybody comes" "see $serve_log" until_true 15 answers
	before=$(connections)
	for bytes in '' '\0' 'GET / HTTP/1.1\r\nHost: somebody.whom.nobody.knows.example\r\nConnection: close\r\n\r\n'; do
		check "$name: who says '${bytes:0:8}' is hung up on" "no end" stranger refused "$bytes"
	done
	for _ in {1..6}; do
		stranger refused 'PhH1 and no more' &
		crowd+=("$!")
	done
	for _ in {1..20}; do
		answers || crowd_noticed=yes
	done
	check "$name: requests do not notice a crowd there" "one had no answer" test -z "$crowd_noticed"
	for bytes in "${crowd[@]}"; do
		wait "$bytes" || crowd_stays=yes
	done
	check "$name: all of the crowd are hung up on" "one is not" test -z "$crowd_stays"
	check "$name: nor does the nodes' connection" "$(connections), was $before" test "$(connections)" = "$before"
	check "$name: a newcomer with the right HELLO is let in" "no HELLO" stranger hello "$scratch/hello"
	check "$name: and node a after it" "no answer" until_true 15 answers
	check "$name: each has ended the one before" "$(connections), was $before" test "$(connections)" -gt "$before"
	stop_server
	server=$server_b
	stop_server
	on 2 ip link delete bridge
}
connections() { on 0 curl -s --max-time 5 "$url/_perhop/metrics" | awk '/^perhop_link_connections_total/ { print $2 }'; }

two "stack=kernel" sure,node=a,peer=10.79.0.2:7702 sure,node=b,peer=10.79.0.2:7702
rough_wire "stack=kernel" sure,node=a,peer=10.80.0.2:7702 sure,node=b,peer=10.80.0.2:7702
newcomers "stack=kernel" sure,node=a,peer=10.80.0.2:7702 sure,node=b,peer=10.80.0.2:7702 10.80.0.2:7702
"$PERHOP" verify -w echo -d null -d sure,nodes=2,stack=zstack -n 1 >"$scratch/out" 2>&1
reason=$(sed -n 's/.* skipped: //p' "$scratch/out")
if [[ -n $reason ]]; then
	skip "stack=zstack" "$reason"
	exit 0
fi
zstack=sure,stack=zstack,peer=10.79.0.12:7702,iface=wire
two "stack=zstack" "$zstack,node=a,address=10.79.0.11" "$zstack,node=b"
zstack=sure,stack=zstack,peer=10.80.0.12:7702,iface=rough
rough_wire "stack=zstack" "$zstack,node=a,address=10.80.0.11" "$zstack,node=b"
newcomers "stack=zstack" "$zstack,node=a,address=10.80.0.11" "$zstack,node=b" 10.80.0.12:7702
