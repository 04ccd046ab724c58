#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What crossing from one node to the other costs, counted: f1 on node a calls f2 on node b.
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
# shellcheck source=tests/e2e/audit-lib.sh
. tests/e2e/audit-lib.sh
need_probes "audit between nodes"

# crossing STACK "COPIES THERE, COPIES BACK": 4 and 5 are the ways between the gateways.
crossing() {
	local spec=sure,nodes=2,stack=$1 reason
	"$PERHOP" verify -w echo:call,length=2 -d null -d "$spec" -n 5 >"$scratch/out" 2>&1
	reason=$(sed -n 's/.* skipped: //p' "$scratch/out")
	if [[ -n $reason ]]; then
		skip "audit between nodes, stack=$1" "$reason"
		return
	fi
	audit "audit between nodes, stack=$1" -d "$spec" -w echo:call,length=2 --reps 3 -n 50 || return
	holds "$spec: $2 copies on the way to the other node and back" "near(row('copies', 4, 5), [$2], 0.03)"
	holds "$spec: one protocol task each way" 'near(row("protocol_tasks", 4, 5), [1, 1], 0.03)'
	holds "$spec: nothing is copied or processed within a node" \
		'near([c("copies", "total"), c("protocol_tasks", "total")], [1 + sum(row("copies", 4, 5)), 3], 0.05)'
}

# One send and one receive; the answer lands beside the buffer that waits for it, and is copied there.
crossing kernel "2, 3"
# The kernel's copy at the UMEM of either end; lwIP's into its segment, and from there into a frame.
crossing zstack "4, 5"

# Pods on two nodes: what crosses is processed once more, for the second node has a stack; it is not copied for that.
pods() {
	local spec=kernel:http$1
	audit "audit of $spec" -d "$spec" -w echo:call,length=2 --reps 3 -n 50 || return
	holds "$spec: $2 protocol tasks from f1 to f2 and back" "near(row('protocol_tasks', 4, 5), [$2], 0.03)"
	holds "$spec: two copies each way" 'near(row("copies", 4, 5), [2, 2], 0.03)'
}
pods "" "2, 2"
pods ,nodes=2 "3, 3"
