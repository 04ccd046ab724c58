#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# bpftrace counts independently: system calls instead of sockets, nginx's own functions instead of the
# turns of messages. Per request it must agree with the audit.
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
# shellcheck source=tests/e2e/audit-lib.sh
. tests/e2e/audit-lib.sh
name="bpftrace agrees with the audit"
need_probes "$name"
if ! command -v bpftrace >/dev/null; then
	skip "$name" "bpftrace is not installed"
	exit 0
fi

# Ends the (sub)shell that it is called in. In a mount namespace of its own, where tracefs can be mounted without anybody else seeing it.
traced() {
	exec unshare -m sh -c '[ -e /sys/kernel/tracing/events ] || mount -t tracefs nodev /sys/kernel/tracing || exit 9
		exec bpftrace -f json "$@"' sh "$@"
}
if ! timeout 20 bash -c "$(declare -f traced); traced -e 'BEGIN { exit(); }'" >"$scratch/try" 2>&1; then
	skip "$name" "bpftrace cannot run here: $(tail -n 1 "$scratch/try")"
	exit 0
fi

a=$(free_port) b=$(free_port)
if ! nginx_start back "$b" '' || ! nginx_start front "$a" "$b"; then
	skip "$name" "nginx did not start"
	exit 0
fi
back=${started[0]} front=${started[1]}
audit "$name" --port "$a" --pid "front=$front,back=$back" --reps 2 || exit 0

requests() {
	/usr/bin/python3 - "$a" 400 <<'PY'
import http.client, sys
c = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    c.request("GET", "/")
    assert c.getresponse().read() == b"hello"
PY
}

# under_bpftrace FILE ARGUMENTS...: its maps, counted while 400 requests were answered.
under_bpftrace() {
	local out=$1 tracer
	shift
	traced "$@" >"$out" 2>"$out.err" &
	tracer=$!
	started+=("$tracer")
	until_true 20 grep -q attached_probes "$out" || return 1
	sleep 0.5
	requests
	kill -INT "$tracer"
	wait "$tracer" 2>/dev/null
	return 0
}

# per_request FILE MAP [KEY]: from bpftrace's JSON.
compare() {
	local out
	out=$(/usr/bin/python3 - "$record" "$@" <<'PY'
import json, sys
record, trace, front, back = sys.argv[1:5]
maps = {}
for line in open(trace):
    line = line.strip()
    if line.startswith("{") and json.loads(line)["type"] == "map":
        for k, v in json.loads(line)["data"].items():
            maps[k] = v
with open(record) as f:
    c = json.loads(f.readline())["components"]
def ours(component, metric):
    return c[component].get(metric, {"n": 0})["n"]
pairs = []
if "@sends" in maps:
    for name, pid in (("front", front), ("back", back)):
        pairs += [(name + " sends", ours(name, "copy_send"), maps["@sends"].get(pid, 0) / 400),
                  (name + " receives", ours(name, "copy_recv"), maps["@receives"].get(pid, 0) / 400)]
else:
    pairs += [("front deserializes", ours("front", "turn_in"),
               (maps.get("@deserialized_requests", 0) + maps.get("@deserialized_responses", 0)) / 400),
              ("front serializes", ours("front", "turn_out"),
               (maps.get("@serialized_requests", 0) + maps.get("@serialized_responses", 0)) / 400)]
bad = [p for p in pairs if abs(p[1] - p[2]) > 0.02 * max(p[1], p[2])]
print("; ".join(f"{n}: audit {x:g}, bpftrace {y:g}" for n, x, y in (bad or pairs)))
sys.exit(bool(bad))
PY
	)
	local status=$?
	echo "# $out"
	return $status
}

if under_bpftrace "$scratch/calls" audit/crosscheck/copies.bt "$front" "$back" 0 0; then
	check "sends and receives per request, by system calls" "see above" \
		compare "$scratch/calls" "$front" "$back"
else
	skip "sends and receives per request, by system calls" "$(tail -n 1 "$scratch/calls.err")"
fi
if under_bpftrace "$scratch/serde" audit/crosscheck/nginx-serde.bt "$front"; then
	check "nginx serializes as its messages turn, by its own functions" "see above" \
		compare "$scratch/serde" "$front" "$back"
else
	skip "nginx serializes as its messages turn, by its own functions" "$(tail -n 1 "$scratch/serde.err")"
fi
