#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The client on a node of its own, with and without acceleration: the same bytes; the counts of the audit as
# they should be; kill -9 leaves nothing.
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

if ((EUID)); then
	skip "client=node" "network namespaces need root"
	exit 0
fi

# network_ok OPTIONS: can it run here? else a skip line with the reason.
network_ok() {
	"$PERHOP" run -d "null,$1" -w echo -n 1 --warmup 0 --json >"$scratch/can" 2>/dev/null
	reason=$(json "$scratch/can" 'o["skipped"] or ""') && [[ -z $reason ]] && return 0
	skip "$1" "${reason:-no record}"
	return 1
}

lock=$(stat -c %Y /run/xtables.lock 2>/dev/null)
usable=()
for options in client=node client=node,gateway=pod client=node,gateway=pod,accel=tc \
	client=node,gateway=pod,accel=xdp client=node,gateway=pod,iptables-rules=50 \
	client=node,gateway=pod,accel=xdp,iptables-rules=50; do
	network_ok "$options" && usable+=("$options")
done

agree() { "$PERHOP" verify -w boutique -n 60 -d "$1" >"$scratch/verify" 2>&1; }

check "every record says what its network was" "$(json "$scratch/can" 'o.get("network")')" \
	test "$(json "$scratch/can" 'sorted(o["network"])')" = "['accel', 'client', 'gateway', 'iptables', 'iptables_rules']"

# The same answers as without any network, whatever is between: pages of several segments, too.
for spec in null skmsg kernel:http kernel:grpc kernel:knative; do
	can_run "$spec" || { skip "$spec with client=node" "cannot run here"; continue; }
	list=$spec
	[[ $spec == null ]] && list=null,uds
	for options in "${usable[@]}"; do
		[[ $spec == null && $options == *rules* ]] && continue
		list+=",$spec,$options"
	done
	check "$spec gives the same bytes on every network" "$(tail -n 3 "$scratch/verify" 2>/dev/null)" \
		agree "$list"
done

# protocol SPEC COLUMN: protocol tasks of segment 1, or of a total.
protocol() {
	"$PERHOP" audit -d "$1" -w echo,length=2 -n 50 --reps 2 --no-cost --json >"$scratch/audit" 2>"$scratch/err"
	json "$scratch/audit" "(lambda p: round((p['segments'] | p)['$2']['mean'], 3))(o['counts']['protocol_tasks'])" 2>&1
}

# counts NAME SPEC SEGMENT-1 TOTAL: both as they should be.
counts() {
	local one total
	one=$(protocol "$2" 1)
	total=$(json "$scratch/audit" "round(o['counts']['protocol_tasks']['total']['mean'], 3)" 2>&1)
	check "$1" "segment 1: $one, total: $total$(head -n 1 "$scratch/err")" test "$one $total" = "$3 $4"
}

if "$PERHOP" audit -d null -w echo -n 20 --reps 1 --no-cost --json 2>/dev/null | grep -q '"no_probes": *""'; then
	pipeline=kernel:knative,client=node
	can_run kernel:knative && {
		counts "over a device Table 1 holds: 1 protocol task at segment 1, 12 in all" "$pipeline" 1.0 12.0
		copies=$(json "$scratch/audit" "round(o['counts']['copies']['total']['mean'], 3)")
		check "and its 15 copies" "$copies" test "$copies" = 15.0
	}
	counts "a pod behind the node's stack costs a protocol task more" skmsg,client=node,gateway=pod 2.0 2.0
	for accel in xdp tc; do
		[[ " ${usable[*]} " == *"accel=$accel "* ]] || continue
		counts "accel=$accel takes it away" "skmsg,client=node,gateway=pod,accel=$accel" 1.0 1.0
	done
else
	skip "protocol tasks with and without acceleration" "the kernel takes no probes from us"
fi

# tracked SPEC: connections that the node's netfilter knows of after 1,000 frames of 16 clients.
tracked() {
	local fd run
	"$PERHOP" run -d "$1" -w echo -c 16 -t 60 --warmup 0 --json >/dev/null 2>&1 &
	run=$!
	started+=("$run")
	until_true 30 pgrep -P "$run" perhop-load >"$scratch/generator"
	for fd in "/proc/$run/fd/"*; do
		[[ $(readlink "$fd") == net:* ]] && nsenter --net="$fd" ip link show uplink >/dev/null 2>&1 && break
	done
	until_true 30 frames "$fd" && nsenter --net="$fd" cat /proc/sys/net/netfilter/nf_conntrack_count
	kill -TERM "$run"
	wait "$run"
}

frames() {
	(($(nsenter --net="$1" ip -j -s link show uplink |
		/usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["stats64"]["rx"]["packets"])') > 1000))
}

# What rules cost is paid by those that netfilter sees.
for accel in none xdp tc; do
	options=client=node,gateway=pod,accel=$accel,iptables-rules=50
	[[ " ${usable[*]} " == *",accel=xdp,iptables-rules=50 "* ]] || {
		skip "netfilter, accel=$accel" "rules cannot be made here"
		continue
	}
	seen=$(tracked "skmsg,$options")
	case $accel in
	none) check "netfilter tracks each connection through the node" "$seen" test "$seen" -ge 16 ;;
	*) check "netfilter sees nothing of what accel=$accel redirects" "$seen" test "$seen" = 0 ;;
	esac
done

# layers SPEC EXPRESSION: of the record's `layers.us` as u, `o` the record.
layers() {
	"$PERHOP" run -d "$1" -w echo -c 16 --close -t 1 --warmup 0.2 --layers --json >"$scratch/layers" 2>"$scratch/err"
	json "$scratch/layers" "(lambda u: $2)((o['layers'] or {'us': None})['us'])" 2>&1
}

reason=$(layers skmsg,client=node,gateway=pod "'' if u else (o['invalid_reasons'] or [o['skipped']])[0]")
if [[ -n $reason ]]; then
	skip "CPU by layer" "$reason"
else
	check "without rules there is no netfilter, and forwarding is the host's" "$(head -c 300 "$scratch/layers")" \
		test "$(layers skmsg,client=node,gateway=pod "u['netfilter'] < 0.05 * u['host_stack']")" = True
	check "what the layers add up to is what the CPU clocks saw" "$(json "$scratch/layers" \
		"sum(o['layers']['us'].values()), o['ccr_us'], o['layers']['client_us'], o['generator_cpu_percent'] * 1e4 / o['rps']")" \
		test "$(json "$scratch/layers" "(0.7 < (sum(o['layers']['us'].values()) + o['layers']['client_us']) /
			(o['ccr_us'] + o['generator_cpu_percent'] * 1e4 / o['rps']) < 1.5)")" = True
	if [[ " ${usable[*]} " == *"accel=xdp,iptables-rules"* ]]; then
		check "rules are netfilter's" "$(head -c 300 "$scratch/layers")" \
			test "$(layers skmsg,client=node,gateway=pod,iptables-rules=1000 "u['netfilter'] > 0.2 * u['host_stack']")" = True
		check "past the node's stack there is neither" "$(head -c 300 "$scratch/layers")" test "$(layers \
			skmsg,client=node,gateway=pod,accel=xdp,iptables-rules=1000 \
			"u['netfilter'] + u['host_stack'] < 0.2 * u['redirect']")" = True
	fi
fi

# kill -9 of the supervisor under load: namespaces, devices, programs, rules go with it.
for spec in skmsg,client=node,gateway=pod,accel=xdp,iptables-rules=50 kernel:http,client=node; do
	if ! can_run "${spec%%,*}" || [[ " ${usable[*]} " != *"${spec#*,}"* ]]; then
		skip "kill -9 with $spec" "cannot run here"
		continue
	fi
	"$PERHOP" run -d "$spec" -w echo -c 8 -t 60 --warmup 0 --json >/dev/null 2>&1 &
	run=$!
	started+=("$run")
	until_true 30 pgrep -P "$run" perhop-load >"$scratch/generator"
	sleep 0.3
	remember "$run" "$scratch/had"
	kill -9 "$run"
	wait "$run" 2>/dev/null
	check "kill -9 with $spec leaves nothing" "see above" all_gone "$scratch/had" 30
done
check "no lock of iptables is left" "/run/xtables.lock is there" \
	test "$(stat -c %Y /run/xtables.lock 2>/dev/null)" = "$lock"

"$PERHOP" serve -d skmsg,client=node -w echo --timeout 5 >/dev/null 2>"$scratch/serve"
status=$?
check "serve refuses a client node that nobody could use" "exit code $status" \
	grep -q 'client=node nobody else' "$scratch/serve"
