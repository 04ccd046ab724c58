#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What a hop's receiving end costs: CPU per request of a function of kernel:http beside nginx that returns a
# constant of the same size; the same client, kept-alive connections, in turns. Usage: hop.sh PERHOP [REPS]
#
# Both are one process that a client asks over the loopback. The function decodes the request, runs through
# the runtime and encodes its answer; nginx formats a constant. Is ours a fair baseline? Exit code 1: no.
set -u
# shellcheck source=tests/bench/lib.sh
. "$(dirname "$0")/lib.sh"
perhop=${1:-build/perhop} reps=${2:-7} seconds=2 connections=32
limit=1.3
need wrk nginx

# listening PID: the TCP port that a process listens on at the loopback.
listening() {
	ss -Hltnp 2>/dev/null | awk -v p="pid=$1," 'index($0, p) { sub(/.*:/, "", $4); print $4; exit }'
}

serve "$perhop" -d kernel:http,pods=host -w echo,length=1,size=256
function=$(said '[c["pid"] for c in o["components"] if c["name"] == "f1"][0]')
ours=$(listening "$function")
[[ -n $ours ]] || { echo "the function's port is not known"; exit 2; }

# The request, and a constant as long as the function's answer to it.
path=$(said 'o["chains"][0]["path"] or "/"')
curl -s "http://127.0.0.1:$ours$path" -o "$dir/answer" || { echo "the function does not answer"; exit 2; }
bytes=$(stat -c %s "$dir/answer")
theirs=$(free_port)
nginx_constant "$theirs" "$bytes"
sleep 0.3

# one PORT PID: "RPS CPU-per-request-in-us"
one() {
	local before after n
	wrk -t1 -c$connections -d0.3 "http://127.0.0.1:$1$path" >/dev/null
	before=$(cpu "$2")
	n=$(wrk -t1 -c$connections -d$seconds "http://127.0.0.1:$1$path" | awk '/requests in/ { print $1 }')
	after=$(cpu "$2")
	awk -v n="$n" -v ns=$((after - before)) -v s=$seconds 'BEGIN { printf "%.0f %.3f\n", n / s, ns / n / 1000 }'
}

echo "answers of $bytes bytes, $connections connections, $reps turns of $seconds s; RPS and us of CPU per request"
for ((i = 0; i < reps; i++)); do
	# Who goes first changes from turn to turn.
	if ((i % 2)); then
		n=$(one "$theirs" "$nginx")
		o=$(one "$ours" "$function")
	else
		o=$(one "$ours" "$function")
		n=$(one "$theirs" "$nginx")
	fi
	echo "$o $n" | tee -a "$dir/rows" | awk '{ printf "  kernel:http %8d %7.3f   nginx %8d %7.3f   ratio %.3f\n", $1, $2, $3, $4, $2 / $4 }'
done
awk '{ print $2 / $4 }' "$dir/rows" | judge $limit "CPU per request, kernel:http / nginx"
