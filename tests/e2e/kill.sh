#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# kill -9 of any process under load: the run ends with a report of who died, and nothing stays on the
# machine: no process, namespace, link, eBPF object, shared memory or cgroup.
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

# Host-wide traces that no process holds.
traces() {
	ls /dev/shm 2>/dev/null
	find /sys/fs/cgroup -maxdepth 3 -name '*perhop*' 2>/dev/null
	ip -o link 2>/dev/null | awk -F': ' '{print "link", $2}' | grep -i perhop
	find /tmp -maxdepth 1 -name '*perhop*' 2>/dev/null
	return 0
}

# Children of $1 by name, one pid of each kind, as "NAME PID". Of nginx, each (they differ in role).
kinds() {
	local pid name
	# shellcheck disable=SC2013 # words
	for pid in $(cat "/proc/$1/task/$1/children"); do
		name=$(cat "/proc/$pid/comm" 2>/dev/null) || continue
		echo "$name $pid"
	done | awk '{ n[$1]++; if (n[$1] <= ($1 == "nginx" ? 3 : 1)) print }'
}

start_run() {
	"$PERHOP" run -d "$1" -w echo -c 8 -t 60 --warmup 0 --json >"$scratch/record" 2>"$scratch/err" &
	run=$!
	started+=("$run")
	# The generator comes last.
	until_true "$patience" pgrep -P "$run" perhop-load >"$scratch/generator" || return 1
	sleep 0.4
}

# Ends within $patience? The exit code is in $status.
patience=30                     # seconds; one is enough on a machine that is not starved
wait_run() {
	local end=$((SECONDS + patience))
	while [[ -n $(process_id "$run") ]]; do
		((SECONDS > end)) && return 1
		sleep 0.05
	done
	wait "$run"
	status=$?
}

kill_one() {
	local pid=$3 name="$1: kill -9 of $2"
	remember "$run" "$scratch/had"
	kill -9 "$pid" || { not_ok "$name" "it was gone already"; return; }
	if ! wait_run; then
		not_ok "$name ends the run" "it still runs $patience s later"
		kill -9 "$run"
		wait "$run" 2>/dev/null
	elif [[ $pid == "$run" ]]; then
		ok "$name ends the run"
	else
		check "$name ends the run with exit code 1" "exit code $status" test "$status" = 1
		check "$name is reported" "the report is '$(head -n 1 "$scratch/err")'" \
			grep -qE "signal 9|was killed|ended" "$scratch/err"
		check "$name leaves an invalid record with the reason" "$(head -c 200 "$scratch/record")" \
			test "$(json "$scratch/record" 'o["valid"], bool(o["invalid_reasons"])')" = "(False, True)"
	fi
	if all_gone "$scratch/had" "$patience"; then ok "$name leaves nothing"; else not_ok "$name leaves nothing" "see above"; fi
}

started_again() { [[ $(grep -c "started again" "$serve_log") == "$1" ]]; }

runnable "kill -9"
traces | sort >"$scratch/before"
for spec in "${specs[@]}"; do
	if ! start_run "$spec"; then
		not_ok "$spec: a run starts" "$(tail -n 1 "$scratch/err")"
		continue
	fi
	mapfile -t victims < <(kinds "$run" | awk '{ print $1, n[$1]++ }')
	victims+=("supervisor 0")
	for victim in "${victims[@]}"; do
		read -r name nth <<<"$victim"
		if [[ -z $(process_id "$run") ]]; then
			start_run "$spec" || { not_ok "$spec: a run starts again" "$(tail -n 1 "$scratch/err")"; break; }
		fi
		pid=$run
		[[ $name == supervisor ]] ||
			pid=$(kinds "$run" | awk -v n="$name" -v k="$nth" '$1 == n && i++ == k { print $2 }')
		kill_one "$spec" "$name$( ((nth)) && echo " $((nth + 1))")" "$pid"
	done
done
traces | sort >"$scratch/after"
check "no shared memory, cgroup, link or file is left" \
	"$(comm -13 "$scratch/before" "$scratch/after" | head -n 3 | tr '\n' ' ')" \
	test -z "$(comm -13 "$scratch/before" "$scratch/after")"

# The same for a signal that asks: an orderly end.
for signal in INT TERM; do
	start_run null && remember "$run" "$scratch/had" && kill -s $signal "$run" && wait_run
	check "SIG$signal ends a run, exit code 1" "exit code ${status:-none}" test "${status:-}" = 1
	check "SIG$signal leaves the record of the part that ran" "$(head -c 80 "$scratch/record")" \
		test "$(json "$scratch/record" 'o["requests"] > 0, o["invalid_reasons"]')" = "(True, ['interrupted'])"
	check "SIG$signal leaves nothing" "see above" all_gone "$scratch/had" "$patience"
done

# serve starts a dead instance again, and answers go on.
if can_run skmsg && serve -d skmsg -w echo; then
	victim=$(json "$served" '[c["pid"] for c in o["components"] if c["name"] not in ("init", "gateway")][0]')
	kill -9 "$victim"
	check "serve starts a dead instance again" "$(tail -n 1 "$serve_log")" \
		until_true "$patience" grep -q "started again" "$serve_log"
	check "and is ready again" "it is not" \
		until_true "$patience" curl -sf -o /dev/null --max-time 2 "$url/_perhop/health"
	check "no buffer of the dead is lost" "$(metric "$url" perhop_pool_buffers_in_use) in use" \
		until_true "$patience" buffers_home
	stop_server
fi

# The same under load, three times: whatever was on its way to or from the dead is answered, and no buffer stays away.
for spec in skmsg uds futex sure:process; do
	name="$spec: kill -9 under load loses no buffer"
	if ! can_run "$spec"; then
		skip "$name" "$spec cannot run here"
		continue
	fi
	serve -d "$spec" -w echo,length=3 || { not_ok "$name" "$(tail -n 1 "$serve_log")"; continue; }
	curl -sZ --parallel-max 32 --max-time 60 -o /dev/null "$url?[1-6000]" 2>/dev/null &
	load=$!
	started+=("$load")
	for nth in 1 2 3; do                # f1, f2, f3
		sleep 0.1
		kill -9 "$(family "$server" | while IFS=: read -r pid _; do
			[[ $(cat "/proc/$pid/comm" 2>/dev/null) == "f$nth" ]] && echo "$pid"
		done)"
		until_true "$patience" started_again "$nth" || break
	done
	check "$spec: who is killed under load is started again" "$(grep -c "started again" "$serve_log") of 3 were" \
		started_again 3
	wait "$load"
	check "$name" "$(metric "$url" perhop_pool_buffers_in_use) in use, $(tail -n 1 "$serve_log")" \
		until_true "$patience" buffers_home
	check "$spec: and all requests got an answer" "$(metric "$url" perhop_in_flight) wait" \
		test "$(metric "$url" perhop_in_flight)" = 0
	check "$spec: and it serves on" "no answer" curl -sf -o /dev/null --max-time 5 "$url"
	stop_server
done
