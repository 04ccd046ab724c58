#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# `perhop trace`: one request's life, in a file that Perfetto reads.
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
# shellcheck source=tests/e2e/audit-lib.sh
. tests/e2e/audit-lib.sh
need_probes "trace"

for spec in skmsg kernel:knative; do
	if ! can_run "$spec"; then
		skip "trace of $spec" "it cannot run here"
		continue
	fi
	timeout 60 "$PERHOP" trace -d "$spec" -w echo,length=2 -n 1 -o "$scratch/trace" 2>"$scratch/err"
	check "$spec: tracing succeeds and loses no event" "$(tail -n 1 "$scratch/err")" test $? = 0
	out=$(/usr/bin/python3 - "$scratch/trace" "$spec" 2>&1 <<'PY'
import json, sys
t = json.load(open(sys.argv[1]))["traceEvents"]
names = {e["pid"]: e["args"]["name"] for e in t if e["ph"] == "M" and e["name"] == "process_name"}
ours = {p for p, n in names.items() if n not in ("client", "kernel")}
spans = [e for e in t if e["ph"] == "X" and e["cat"] == "cpu" and e["pid"] in ours]
assert {e["pid"] for e in spans} >= ours, "a component without a span"
assert all(e["dur"] >= 0 and e["ts"] >= 0 for e in t if e["ph"] == "X"), "time runs backwards"
count = lambda name: sum(1 for e in t if e["name"] == name and e["pid"] in ours)
knative = sys.argv[2] == "kernel:knative"
sends = count("copy: send")
assert sends == (11 if knative else 4), f"{sends} sends"
assert count("deserialize HTTP") == (2 if knative else 1), "HTTP is parsed by our own code"
flows = [e for e in t if e["name"] == "hop"]
assert sum(e["ph"] == "s" for e in flows) == sum(e["ph"] == "f" for e in flows) > 0, "arrows without ends"
PY
	)
	if [[ -z $out ]]; then
		ok "$spec: spans for every component, its copies, parses and hops"
	else
		not_ok "$spec: spans for every component, its copies, parses and hops" "$(tail -n 1 <<<"$out")"
	fi
done
