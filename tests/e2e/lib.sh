# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# shellcheck disable=SC2034 # what is set here is used by those who read this file
# What the end-to-end tests share. Results are lines for tests/run:
#     ok - NAME          not ok - NAME # WHY          skip - NAME # REASON
set -u
# shellcheck source=tests/json.sh
. tests/json.sh
PERHOP=${PERHOP:-$PWD/build/perhop}
scratch=$(mktemp -d) || exit 2
started=()                      # pids that end with us, whatever happens

cleanup() {
	local pid
	for pid in "${started[@]}"; do
		kill -TERM "$pid" 2>/dev/null
	done
	for pid in "${started[@]}"; do
		wait "$pid" 2>/dev/null
	done
	rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 143' TERM INT

ok() { echo "ok - $1"; }
not_ok() { echo "not ok - $1 # $2"; }
skip() { echo "skip - $1 # $2"; }

# check NAME WHY COMMAND...: one result by the command's exit code.
check() {
	local name=$1 why=$2
	shift 2
	if "$@"; then ok "$name"; else not_ok "$name" "$why"; fi
}

# until_true SECONDS COMMAND...: try until it succeeds. 1 when it never does.
until_true() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		((SECONDS > end)) && return 1
		sleep 0.05
	done
}

# "SPEC<TAB>" or "SPEC<TAB>REASON" for each dataplane in each mode.
dataplanes() {
	"$PERHOP" list --json | /usr/bin/python3 -c '
import json, sys
for d in json.load(sys.stdin)["dataplanes"]:
    for m in d["modes"] or [{"spec": d["name"], "ok": d["ok"], "reason": d["reason"]}]:
        print(m["spec"], "" if m["ok"] else m["reason"] or "cannot run here", sep="\t")'
}

# runnable NAME: sets $specs to the dataplanes that can run here; a skip line for each other.
runnable() {
	local spec reason
	specs=()
	while IFS=$'\t' read -r spec reason; do
		if [[ -z $reason ]]; then specs+=("$spec"); else skip "$1 on $spec" "$reason"; fi
	done < <(dataplanes)
}

can_run() { dataplanes | grep -q "^$1	\$"; }

# serve ARGUMENTS...: start `perhop serve`; sets $url and $server once it answers, $served to its JSON.
serve() {
	local out="$scratch/serve.$((${#started[@]}))"
	url=''
	"$PERHOP" serve --json "$@" >"$out" 2>"$out.err" &
	server=$!
	started+=("$server")
	served=$out serve_log=$out.err
	until_true 30 serve_settled "$server" "$out"
	grep -q url "$out" || return 1
	url=$(json "$out" 'o["url"]')
}

serve_settled() { grep -q url "$2" || [[ -z $(process_id "$1") ]]; }

stop_server() {
	kill -TERM "$server" 2>/dev/null
	wait "$server"
}

# metric URL NAME: its value, summed over labels.
metric() {
	curl -s --max-time 5 "$1/_perhop/metrics" |
		awk -v name="$2" '$1 == name || index($1, name "{") == 1 { sum += $2; seen = 1 }
			END { if (seen) print sum; else print "none" }'
}

# Is no buffer of the server's pool in use?
buffers_home() { [[ $(metric "$url" perhop_pool_buffers_in_use) == 0 ]]; }

# Processes below $1, itself included, as "PID:STARTTIME" (a pid alone may be given anew).
family() {
	local pid all=("$1") next=0 children
	while ((next < ${#all[@]})); do
		pid=${all[next++]}
		read -r -d '' -a children < <(cat "/proc/$pid/task/"*/children 2>/dev/null)
		all+=("${children[@]}")
	done
	for pid in "${all[@]}"; do
		process_id "$pid"
	done
}

# "PID:STARTTIME" of a process that lives (is no zombie).
process_id() {
	local stat
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
	stat=${stat##*) }
	# shellcheck disable=SC2086 # fields after the name: state is $1, starttime ${20}
	set -- "$1" $stat
	[[ $2 == [ZX] ]] || echo "$1:${21}"
}

# What deployment $1 (its supervisor) has, into files $2.*: processes, namespaces, eBPF objects.
remember() {
	local pid each
	family "$1" >"$2.processes"
	: >"$2.namespaces"
	: >"$2.bpf"
	while IFS=: read -r pid _; do
		for each in net pid mnt; do
			readlink "/proc/$pid/ns/$each" 2>/dev/null
		done
	done <"$2.processes" | sort -u >"$2.namespaces.all"
	for each in net pid mnt; do
		readlink "/proc/$1/ns/$each"
	done | sort -u | comm -23 "$2.namespaces.all" - >"$2.namespaces"
	cat "/proc/$1/fdinfo/"* 2>/dev/null | awk '/^(prog|map)_id:/ {print $1, $2}' | sort -u >"$2.bpf"
}

# Prints what is left of what `remember` saw; nothing when all is gone.
leftovers() {
	local process kind id
	while read -r process; do
		[[ $(process_id "${process%:*}") == "$process" ]] &&
			echo "process $process $(tr '\0' ' ' <"/proc/${process%:*}/cmdline" 2>/dev/null)"
	done <"$1.processes"
	if [[ -s $1.namespaces ]]; then
		readlink /proc/[0-9]*/ns/{net,pid,mnt} 2>/dev/null | sort -u |
			grep -Fxf "$1.namespaces" | sed 's/^/namespace /'
	fi
	while read -r kind id; do
		bpf_there "${kind%_id:}" "$id" && echo "eBPF ${kind%_id:} $id"
	done <"$1.bpf"
	return 0
}

bpf_there() { PATH=$PATH:/usr/sbin bpftool "$1" show id "$2" >/dev/null 2>&1; }

# all_gone FILES SECONDS: wait until nothing is left; else print what is.
all_gone() {
	local end=$((SECONDS + $2)) left
	while left=$(leftovers "$1") && [[ -n $left ]]; do
		if ((SECONDS > end)); then
			echo "# left: ${left//$'\n'/$'\n'# left: }"
			return 1
		fi
		sleep 0.1
	done
}
