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

# The same answers as without any network, whatever is between: pages of several segments, too.
for spec in null skmsg kernel:http kernel:knative; do
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
