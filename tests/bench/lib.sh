# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# What the benches beside a server with a constant share: a folder and processes that go when the script ends, our
# deployment, nginx, CPU time.
# shellcheck source=tests/json.sh
. "$(dirname "${BASH_SOURCE[0]}")/../json.sh"
export PATH=$PATH:/usr/sbin
dir=$(mktemp -d) || exit 2
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; wait; rm -rf "$dir"' EXIT

# need PROGRAM...: or end.
need() {
	local each
	for each in "$@"; do
		command -v "$each" >/dev/null || { echo "$each is not installed"; exit 2; }
	done
}

# serve PERHOP ARGUMENTS...: what it says of itself is in $dir/serve then.
serve() {
	"$1" serve --json "${@:2}" >"$dir/serve" &
	pids+=($!)
	for _ in $(seq 100); do
		grep -q url "$dir/serve" && return
		sleep 0.1
	done
}

# said EXPRESSION: of what `serve` has said, as `o`.
said() { json "$dir/serve" "$1"; }

free_port() {
	/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# nginx_constant PORT BYTES [http2]: one process, as kernel:* tunes its own, that answers everything with so many
# bytes. Its pid is in $nginx.
nginx_constant() {
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
		listen 127.0.0.1:$1 ${3-} backlog=4096;
		location / { return 200 "$(head -c "$2" /dev/zero | tr '\0' x)"; }
	}
}
CONF
	nginx -p "$dir" -c nginx.conf &
	nginx=$!
	pids+=("$nginx")
}

# cpu PID: ns on CPU so far, of all its threads.
cpu() { cat "/proc/$1/task/"*/schedstat | awk '{ n += $1 } END { printf "%.0f\n", n }'; }

# judge LIMIT WHAT: ratios on stdin, a line each; says their median and range, and fails when it is above LIMIT.
judge() {
	sort -g | awk -v limit="$1" -v what="$2" '{ r[NR] = $1 }
	END {
		median = (r[int((NR + 1) / 2)] + r[int(NR / 2) + 1]) / 2
		printf "%s: median %.3f [%.3f..%.3f] of %d turns; at most %.1f wanted\n", what, median, r[1], r[NR], NR, limit
		exit median > limit
	}'
}
