#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# kernel:grpc before clients that are not ours: grpcio with the public application's protocol, nghttp and
# h2load, and bytes that no client would send. The right status or HTTP/2 error, no crash, nothing lost.
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

attack() {
	local spec=$1 port
	if ! serve -d "$spec" -w boutique --answer-timeout 3; then
		not_ok "$spec: the boutique is served" "$(tail -n 1 "$serve_log")"
		return
	fi
	remember "$server" "$scratch/before"
	if /usr/bin/python3 -c 'import grpc, grpc_tools' 2>/dev/null; then
		/usr/bin/python3 tests/e2e/grpc_clients.py "$served" workloads/boutique/boutique.proto 2>"$scratch/err" |
			sed "s/ - / - $spec: /"
		check "$spec: the clients' script runs to its end" "$(tail -n 1 "$scratch/err")" \
			test "${PIPESTATUS[0]}" = 0
	else
		skip "$spec: stock clients" "python3-grpcio or python3-grpc-tools is not installed"
	fi
	port=$(json "$served" '[c["port"] for c in o["calls"] if c["function"] == "cart"][0]')
	printf '\0\0\0\0\0' >"$scratch/empty"
	nghttp_status "$spec" "$port"
	h2_conformance "$spec" "$port"
	if command -v h2load >/dev/null; then
		h2load -n 20000 -c 4 -m 100 -d "$scratch/empty" -H 'content-type: application/grpc' -H 'te: trailers' \
			"http://127.0.0.1:$port/hipstershop.CartService/GetCart" >"$scratch/load" 2>&1
		check "$spec: 20,000 calls, 400 at a time, lose none" "$(grep -m 1 requests: "$scratch/load")" \
			grep -q '20000 succeeded, 0 failed, 0 errored' "$scratch/load"
	else
		skip "$spec: h2load" "nghttp2-client is not installed"
	fi
	check "$spec: nothing died" "$(tail -n 1 "$serve_log")" \
		test "$(family "$server" | sort)" = "$(sort "$scratch/before.processes")"
	check "$spec: the shop is still open" "it does not answer" \
		curl -sf --max-time 10 -o /dev/null "$url/"
	stop_server
}

# nghttp sees the head, the message and the trailers of an answer.
nghttp_status() {
	if ! command -v nghttp >/dev/null; then
		skip "$1: nghttp" "nghttp2-client is not installed"
		return
	fi
	nghttp -vn -t 5 -d "$scratch/empty" -H ':method: POST' -H 'content-type: application/grpc' -H 'te: trailers' \
		"http://127.0.0.1:$2/hipstershop.CartService/GetCart" >"$scratch/nghttp" 2>&1
	check "$1: nghttp gets :status, DATA and grpc-status" "$(tail -n 1 "$scratch/nghttp")" \
		test "$(grep -cE 'recv .*(:status: 200|grpc-status: 0|DATA frame)' "$scratch/nghttp")" = 3
}

# Every case of h2spec, which Debian does not have, but the one that libnghttp2 knowingly passes over.
h2_conformance() {
	command -v h2spec >/dev/null || return 0
	h2spec --strict --host 127.0.0.1 --port "$2" --path /hipstershop.CartService/GetCart >"$scratch/h2spec" 2>&1
	check "$1: h2spec finds nothing that libnghttp2 has not decided" "$(tail -n 1 "$scratch/h2spec")" \
		test "$(grep -o '× .*' "$scratch/h2spec" | sort -u)" = \
		"× 2: Sends stream identifier that is numerically smaller than previous"
}

for spec in kernel:grpc kernel:grpc,pods=host; do
	if [[ $spec == kernel:grpc ]] && ! can_run kernel:grpc; then
		skip "$spec" "it cannot run here"
		continue
	fi
	attack "$spec"
done

# After a pause longer than an answer may take, as after none.
if serve -d kernel:grpc,pods=host -w boutique --answer-timeout 1; then
	sleep 2
	check "kernel:grpc: after a long pause a request is answered" "it is not" curl -sf --max-time 5 -o /dev/null "$url/"
	stop_server
else
	not_ok "kernel:grpc: after a long pause a request is answered" "$(tail -n 1 "$serve_log")"
fi

# Calls through nginx as the sidecar get the same answers.
name="kernel:grpc,sidecar=nginx answers as null does"
if can_run kernel:grpc && can_run kernel:knative; then
	"$PERHOP" verify -d null,kernel:grpc,sidecar=nginx -w boutique -n 50 >"$scratch/out" 2>&1
	check "$name" "$(tail -n 1 "$scratch/out")" grep -q 'all agree' "$scratch/out"
else
	skip "$name" "kernel:grpc or nginx cannot run here"
fi

# More than there are buffers at once, through the gateway: some are 503, all are answered.
name="kernel:grpc: 4,000 clients at once are all answered"
if can_run kernel:grpc; then
	"$PERHOP" run -d kernel:grpc -w echo -c 4000 -t 2 --warmup 0 --json >"$scratch/record" 2>"$scratch/err"
	check "$name" "$(json "$scratch/record" 'o["requests"], o["errors_by_class"], o["invalid_reasons"]')" \
		test "$(json "$scratch/record" 'o["requests"] > 0, o["errors_by_class"]["transport"]')" = "(True, 0)"
else
	skip "$name" "kernel:grpc cannot run here"
fi
