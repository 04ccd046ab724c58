#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# A chain that nobody asks costs nothing: under 0.1 % of a core, all components together, over 10 s.
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

name="skmsg: gateway and ten functions idle below 0.1 % of a core"
if ! can_run skmsg; then
	skip "$name" "skmsg cannot run here"
	exit 0
fi
"$PERHOP" run -d skmsg -w boutique --idle 10 -n 10 --warmup 0 --json >"$scratch/record" 2>"$scratch/err"
status=$?
check "the run is valid" "$(tail -n 1 "$scratch/err")" test $status = 0
((status == 0)) || exit
idle=$(json "$scratch/record" 'o["idle_cpu_percent"]')
check "$name" "$idle %" test "$(json "$scratch/record" 'o["idle_cpu_percent"] < 0.1')" = True

# An instance that dies and comes back must not leave its gateway turning.
cpu_ticks() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$1/stat"; }
name="skmsg: the gateway idles again after a function has been killed and restarted"
if serve -d skmsg -w echo; then
	victim=$(json "$served" '[c["pid"] for c in o["components"] if c["name"] == "f1"][0]')
	gateway=$(json "$served" '[c["pid"] for c in o["components"] if c["name"] == "gateway"][0]')
	kill -KILL "$victim"
	until_true 5 grep -q 'started again' "$serve_log"
	curl -s -o "$scratch/answer" --max-time 5 "$url"
	sleep 0.5
	before=$(cpu_ticks "$gateway")
	sleep 2
	used=$(($(cpu_ticks "$gateway") - before))
	check "$name" "$used ticks of 10 ms in 2 s" test "$used" -le 1
	seen=$(metric "$url" perhop_eproxy_messages_total)
	check "skmsg: the EPROXY's counters are on the gateway's page" "$seen messages" test "${seen%.*}" -ge 2
	stop_server
else
	not_ok "$name" "serve did not start"
fi

# What polls under load must sleep when the load is gone.
all_cpu_ns() {
	local pid
	for pid in $(json "$served" '" ".join(str(c["pid"]) for c in o["components"])'); do
		cat "/proc/$pid/task/"*/schedstat
	done | awk '{ ns += $1 } END { printf "%.0f\n", ns }'
}
for spec in futex skmsg uds dpdk sure:process; do
	name="$spec,wait=adaptive: below 0.1 % of a core a second after a load"
	if ! can_run "$spec"; then
		skip "$name" "$spec cannot run here"
		continue
	fi
	if ! serve -d "$spec,wait=adaptive" -w echo; then
		not_ok "$name" "serve did not start: $(tail -n 1 "$serve_log")"
		continue
	fi
	wrk -t1 -c8 -d1 "$url" >/dev/null
	sleep 1
	before=$(all_cpu_ns)
	sleep 3
	used=$(($(all_cpu_ns) - before))
	check "$name" "$used ns in 3 s" test "$used" -lt 3000000
	stop_server
done
