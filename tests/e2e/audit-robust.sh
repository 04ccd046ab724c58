#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What an audit leaves behind when it is killed, and what it can do without privileges.
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
# shellcheck source=tests/e2e/audit-lib.sh
. tests/e2e/audit-lib.sh
need_probes "audit killed"

spec=null
can_run skmsg && spec=skmsg
"$PERHOP" audit -d "$spec" -w echo,length=2 --reps 60 --no-cost >"$scratch/out" 2>&1 &
victim=$!
has_probes() { grep -qs '^prog_id:' "/proc/$victim/fdinfo/"*; }
if until_true 20 has_probes; then
	sleep 1
	remember "$victim" "$scratch/left"
	check "an audit at work holds eBPF programs" "none found" grep -q prog "$scratch/left.bpf"
	kill -KILL "$victim"
	wait "$victim" 2>/dev/null
	check "kill -9 leaves no probe, process or namespace" "see above" all_gone "$scratch/left" 10
else
	kill -KILL "$victim"
	not_ok "kill -9 leaves no probe, process or namespace" "no probe was loaded: $(tail -n 1 "$scratch/out")"
fi

# A foreign process gets its scheduling back, even then.
port=$(free_port)
if nginx_start plain "$port" ''; then
	nginx=${started[-1]}
	before=$(taskset -p "$nginx" 2>&1; chrt -p "$nginx" 2>&1)
	"$PERHOP" audit --port "$port" --reps 60 --no-cost >"$scratch/out" 2>&1 &
	victim=$!
	moved() { [[ $(taskset -p "$nginx" 2>&1; chrt -p "$nginx" 2>&1) != "$before" ]]; }
	if until_true 10 moved; then
		kill -KILL "$victim"
		wait "$victim" 2>/dev/null
		not_moved() { ! moved; }
		check "kill -9 of an audit: a foreign process gets its CPUs and policy back" "$(chrt -p "$nginx")" \
			until_true 5 not_moved
	else
		kill -KILL "$victim"
		skip "a foreign process gets its CPUs back" "it was never moved"
	fi
fi

# Without privileges, as another user: says what is missing, and still tells what /proc can.
if [[ $(id -u) != 0 ]]; then
	skip "audit without privileges" "needs root to become somebody else"
	exit 0
fi
port=$(free_port)
chmod 755 "$scratch"
cp "$PERHOP" "$scratch/perhop" && chmod 755 "$scratch/perhop"
as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all "$@"; }
mkdir -p "$scratch/nobody" && chown 65534 "$scratch/nobody"
as_nobody /usr/bin/python3 -m http.server --protocol HTTP/1.1 --bind 127.0.0.1 -d "$scratch/nobody" "$port" \
	>"$scratch/http" 2>&1 &
started+=("$!")
until_true 5 curl -s -o /dev/null --max-time 1 "http://127.0.0.1:$port/"
as_nobody timeout 60 "$scratch/perhop" audit --port "$port" --reps 2 -n 50 --no-cost >"$scratch/out" 2>&1
status=$?
check "without privileges it says which capability is missing" "$(cat "$scratch/out")" \
	grep -q 'CAP_BPF' "$scratch/out"
check "without privileges it still counts switches by /proc" "status $status: $(cat "$scratch/out")" \
	grep -q 'voluntary and' "$scratch/out"
