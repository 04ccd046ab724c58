#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What a call's receiving end costs: CPU per call of a function of kernel:grpc beside HTTP/2 servers that return
# a constant as long; the same client (h2load), in turns. Usage: grpc.sh PERHOP [REPS]
#
# Each is one process that h2load asks over the loopback, 32 calls at a time: on one connection, as a gRPC
# channel does, and on 32. nginx (its own HTTP/2) and, where it is installed, nghttpd (libnghttp2, as ours) answer
# POST with 200 and a body; the function reads and writes gRPC's message and trailers besides, decodes protobuf,
# runs user code and encodes. Exit code 1: it costs more than 1.3 times the cheaper of the two.
set -u
# shellcheck source=tests/bench/lib.sh
. "$(dirname "$0")/lib.sh"
perhop=${1:-build/perhop} reps=${2:-5} seconds=2
limit=1.3
need h2load nginx

serve "$perhop" -d kernel:grpc,pods=host -w boutique
port=$(said '[c["port"] for c in o["calls"] if c["function"] == "currency"][0]')
function=$(said '[c["pid"] for c in o["components"] if c["name"] == "currency"][0]')
[[ -n $function ]] || { echo "the function's port is not known"; exit 2; }

# An empty message, and a constant as long as the answer to it: 33 codes of three letters.
path=/hipstershop.CurrencyService/GetSupportedCurrencies
printf '\0\0\0\0\0' >"$dir/message"
bytes=$((5 + 33 * 5))
mkdir "$dir/www"
head -c $bytes /dev/zero | tr '\0' x >"$dir/www/constant"

nginx_port=$(free_port)
nginx_constant "$nginx_port" $bytes http2
nghttpd=
if command -v nghttpd >/dev/null; then
	nghttpd_port=$(free_port)
	nghttpd --no-tls -d "$dir/www" -a 127.0.0.1 "$nghttpd_port" &
	nghttpd=$!
	pids+=("$nghttpd")
fi
sleep 0.3

# one CONNECTIONS STREAMS PORT PID PATH: "RPS CPU-per-call-in-us"
one() {
	local load=(h2load -t1 -c "$1" -m "$2" -d "$dir/message" -H 'content-type: application/grpc' -H 'te: trailers'
		"http://127.0.0.1:$3$5") before after n
	"${load[@]}" -n 5000 >"$dir/load" 2>&1
	before=$(cpu "$4")
	"${load[@]}" -D $seconds >"$dir/load" 2>&1
	after=$(cpu "$4")
	n=$(sed -n 's/.*done, \([0-9]*\) succeeded, .*/\1/p' "$dir/load")
	awk -v n="${n:-0}" -v ns=$((after - before)) -v s=$seconds \
		'BEGIN { printf "%.0f %.3f\n", n / s, n ? ns / n / 1000 : -1 }'
}

failed=0
for shape in "1 32" "32 1"; do
	read -r connections streams <<<"$shape"
	echo "$connections connections, $streams calls at a time on each, answers of $bytes bytes, $reps turns of" \
		"$seconds s; calls/s and us of CPU per call"
	rows="$dir/rows.$connections"
	for ((i = 0; i < reps; i++)); do
		c=none
		# Who goes first changes from turn to turn.
		((i % 2)) || a=$(one "$connections" "$streams" "$port" "$function" $path)
		b=$(one "$connections" "$streams" "$nginx_port" "$nginx" /)
		[[ -z $nghttpd ]] || c=$(one "$connections" "$streams" "$nghttpd_port" "$nghttpd" /constant)
		((i % 2)) && a=$(one "$connections" "$streams" "$port" "$function" $path)
		echo "$a $b $c" | tee -a "$rows" | awk '{
			printf "  kernel:grpc %7d %7.3f   nginx %7d %7.3f   ratio %.3f", $1, $2, $3, $4, $2 / $4
			if ($5 != "none") printf "   nghttpd %7d %7.3f   ratio %.3f", $5, $6, $2 / $6
			print "" }'
	done
	awk '{ print $2 / ($5 != "none" && $6 < $4 ? $6 : $4) }' "$rows" |
		judge $limit "CPU per call, kernel:grpc / the cheaper" || failed=1
done
exit $failed
