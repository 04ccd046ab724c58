#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Our load generator beside wrk, on the same deployment, interleaved: do they see the same RPS?
#     tests/bench/wrk.sh [PERHOP] [SPEC] [CONNECTIONS] [SECONDS] [ROUNDS]
# A benchmark and not a test: it needs a quiet machine. Says by how much the medians differ.
set -u
perhop=${1:-build/perhop} spec=${2:-skmsg} connections=${3:-32} seconds=${4:-3} rounds=${5:-5}
command -v wrk >/dev/null || { echo "wrk is not installed (scripts/prerequisites.sh)" >&2; exit 2; }
scratch=$(mktemp -d) || exit 2
server=''
trap '[[ -n $server ]] && kill "$server" 2>/dev/null; rm -rf "$scratch"' EXIT

for ((i = 0; i < rounds; i++)); do
	"$perhop" run -d "$spec" -w "${WORKLOAD:-echo}" -c "$connections" -t "$seconds" --json 2>/dev/null |
		/usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)["rps"])' >>"$scratch/ours"
	: >"$scratch/serve"
	"$perhop" serve -d "$spec" -w "${WORKLOAD:-echo}" --json >"$scratch/serve" &
	server=$!
	until grep -q url "$scratch/serve"; do
		kill -0 "$server" 2>/dev/null || exit 1
		sleep 0.05
	done
	url=$(/usr/bin/python3 -c 'import json, sys; o = json.load(open(sys.argv[1])); print(o["url"] + o["chains"][0]["path"])' \
		"$scratch/serve")
	wrk -t1 -c "$connections" -d 1s "$url" >/dev/null
	wrk -t1 -c "$connections" -d "${seconds}s" "$url" | awk '/^Requests\/sec/ {print $2}' >>"$scratch/wrk"
	kill "$server"
	wait "$server"
	server=''
done
median() { sort -g "$1" | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; }
awk -v ours="$(median "$scratch/ours")" -v wrk="$(median "$scratch/wrk")" -v s="$spec" -v c="$connections" 'BEGIN {
	printf "%s, c=%d: perhop %.0f RPS, wrk %.0f RPS: %+.1f %%\n", s, c, ours, wrk, 100 * (ours / wrk - 1) }'
