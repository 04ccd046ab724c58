# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# shellcheck disable=SC2154 # scratch is lib.sh's
# What the audit's tests share. Read after lib.sh.

# Can eBPF programs be loaded and attached here at all? Else skip $1 and end.
need_probes() {
	local why
	why=$(PATH=$PATH:/usr/sbin bpftool prog list 2>&1 >/dev/null) || {
		skip "$1" "no eBPF: $why"
		exit 0
	}
}

# audit NAME ARGUMENTS...: its record into $record; a failed result and return 1 when there is none.
audit() {
	local name=$1
	shift
	record="$scratch/record.$RANDOM"
	timeout -k 5 120 "$PERHOP" audit --json --no-cost "$@" >"$record" 2>"$record.err"
	if [[ -s $record ]]; then return 0; fi
	not_ok "$name" "no record: $(tail -n 1 "$record.err")"
	return 1
}

# holds NAME EXPRESSION: a Python expression over the record `o`, with c(quantity, column or segment).
holds() {
	local out
	out=$(/usr/bin/python3 - "$record" "$2" <<'PY'
import json, sys
with open(sys.argv[1]) as f:
    o = json.loads(f.readline())
def c(quantity, where):
    q = o["counts"][quantity]
    return (q["segments"][str(where)] if str(where).isdigit() else q[where])["mean"]
def row(quantity, *segments):
    return [round(c(quantity, s), 6) for s in segments]
def near(a, b, by=0.1):
    return all(abs(x - y) <= by for x, y in zip(a, b))
def passed(*names):
    return all(x["verdict"] == "pass" for x in o["checks"] if x["name"] in names)
print(bool(eval(sys.argv[2])))
for name, q in (o["counts"] or {}).items():
    print("#", name, {k: round(v["mean"], 3) for k, v in q["segments"].items()})
print("#", [x for x in o["checks"] if x["verdict"] == "fail"])
PY
	)
	if [[ ${out%%$'\n'*} == True ]]; then ok "$1"; else not_ok "$1" "$2: ${out//$'\n'/; }"; fi
}

# valid NAME: does the record satisfy the schema?
valid() {
	local out
	out=$(/usr/bin/python3 - "$record" 2>&1 <<'PY'
import json, sys, jsonschema
with open("results/audit-schema.json") as s, open(sys.argv[1]) as f:
    jsonschema.validate(json.loads(f.readline()), json.load(s))
PY
	)
	if [[ -z $out ]]; then ok "$1"; else not_ok "$1" "$(tail -n 5 <<<"$out" | tr '\n' ' ')"; fi
}

# A port that nobody listens on.
free_port() {
	/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# nginx NAME PORT UPSTREAM [keep]: a proxy (UPSTREAM a port) or, with UPSTREAM "", a constant answer.
nginx_start() {
	local name=$1 port=$2 upstream=$3 keep=${4:-keep} dir="$scratch/$1"
	mkdir -p "$dir"
	{
		echo "daemon off; master_process off; pid $dir/pid; error_log $dir/log;"
		echo 'events { worker_connections 64; }'
		echo 'http { access_log off; keepalive_requests 1000000;'
		for each in client_body proxy fastcgi uwsgi scgi; do
			echo "${each}_temp_path $dir/$each;"
		done
		if [[ -z $upstream ]]; then
			echo "server { listen 127.0.0.1:$port; location / { return 200 'hello'; } } }"
		else
			[[ $keep == keep ]] && echo 'proxy_http_version 1.1; proxy_set_header Connection "";'
			echo "upstream u { server 127.0.0.1:$upstream;"
			[[ $keep == keep ]] && echo 'keepalive 4; keepalive_requests 1000000;'
			echo "} server { listen 127.0.0.1:$port; location / { proxy_pass http://u; } } }"
		fi
	} >"$dir/conf"
	PATH=$PATH:/usr/sbin nginx -c "$dir/conf" >"$dir/out" 2>&1 &
	started+=("$!")
	until_true 5 curl -s -o /dev/null --max-time 1 "http://127.0.0.1:$port/"
}
