#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What a hop's receiving end costs: CPU per request of a function of kernel:http beside nginx that returns a
# constant of the same size; the same client, kept-alive connections, in turns. Usage: hop.sh PERHOP [REPS]
#
# Both are one process that a client asks over the loopback. The function decodes the request, runs through
# the runtime and encodes its answer; nginx formats a constant. Is ours a fair baseline? Exit code 1: no.
set -u
perhop=${1:-build/perhop} reps=${2:-7} seconds=2 connections=32
limit=1.3
for need in wrk nginx; do
	PATH=$PATH:/usr/sbin command -v $need >/dev/null || { echo "$need is not installed"; exit 2; }
done
dir=$(mktemp -d) || exit 2
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; wait; rm -rf "$dir"' EXIT

# listening PID: the TCP port that a process listens on at the loopback.
listening() {
	ss -Hltnp 2>/dev/null | awk -v p="pid=$1," 'index($0, p) { sub(/.*:/, "", $4); print $4; exit }'
}

"$perhop" serve --json -d kernel:http,pods=host -w echo,length=1,size=256 >"$dir/serve" &
pids+=($!)
for _ in $(seq 100); do
	grep -q url "$dir/serve" && break
	sleep 0.1
done
function=$(/usr/bin/python3 -c '
import json, sys
o = json.loads(open(sys.argv[1]).readline())
print(*[c["pid"] for c in o["components"] if c["name"] == "f1"])' "$dir/serve")
ours=$(listening "$function")
[[ -n $ours ]] || { echo "the function's port is not known"; exit 2; }

# The request, and a constant as long as the function's answer to it.
path=$(/usr/bin/python3 -c '
import json, sys
print(json.loads(open(sys.argv[1]).readline())["chains"][0]["path"] or "/")' "$dir/serve")
curl -s "http://127.0.0.1:$ours$path" -o "$dir/answer" || { echo "the function does not answer"; exit 2; }
bytes=$(stat -c %s "$dir/answer")
theirs=$((20000 + RANDOM % 10000))
cat >"$dir/nginx.conf" <<CONF
daemon off;
master_process off;
pid $dir/nginx.pid;
error_log stderr crit;
events { worker_connections 4096; multi_accept on; }
http {
	access_log off;
	server_tokens off;
	keepalive_requests 1000000000;
	keepalive_timeout 1h;
	tcp_nodelay on;
	server {
		listen 127.0.0.1:$theirs backlog=4096;
		location / { return 200 "$(head -c "$bytes" /dev/zero | tr '\0' x)"; }
	}
}
CONF
PATH=$PATH:/usr/sbin nginx -p "$dir" -c nginx.conf &
nginx=$!
pids+=("$nginx")
sleep 0.3

# cpu PID: ns on CPU so far.
cpu() { awk '{ print $1; exit }' "/proc/$1/schedstat"; }

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
awk '{ print $2 / $4 }' "$dir/rows" | sort -g | awk -v limit=$limit '{ r[NR] = $1 }
	END {
		median = (r[int((NR + 1) / 2)] + r[int(NR / 2) + 1]) / 2
		printf "CPU per request, kernel:http / nginx: median %.3f [%.3f..%.3f] of %d turns; at most %.1f wanted\n",
			median, r[1], r[NR], NR, limit
		exit median > limit
	}'
