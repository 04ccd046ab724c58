#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Events over MQTT into the motion chain: are 10,000 a second taken at QoS 1 without loss, how many at most, and
# what does the same event cost over HTTP?
#     tests/bench/mqtt.sh [PERHOP] [SPEC] [SECONDS] [ROUNDS]
# A benchmark and not a test: it needs a quiet machine. Exit code 0 when every event that was sent was acknowledged. "missed"
# were never sent: what was due when the measured time ended while all 64 clients waited, ten for each ms of a stall just then.
set -u
perhop=${1:-build/perhop} spec=${2:-skmsg} seconds=${3:-10} rounds=${4:-3}
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT

for ((i = 0; i < rounds; i++)); do
	for proto in mqtt mqtt5 http; do
		"$perhop" run -d "$spec" -w "motion,proto=$proto,event=structured" -c 64 --rate 10000 -t "$seconds" \
			--json --label "10,000 events/s" >>"$scratch/records" 2>>"$scratch/err"
		"$perhop" run -d "$spec" -w "motion,proto=$proto,event=structured" -c 64 -t "$seconds" \
			--json --label "as fast as it goes" >>"$scratch/records" 2>>"$scratch/err"
	done
done
cat "$scratch/err" >&2
/usr/bin/python3 - "$scratch/records" <<'PYTHON'
import json, statistics, sys

groups = {}
with open(sys.argv[1]) as f:
    for line in f:
        r = json.loads(line)
        groups.setdefault((r["label"], r["workload_options"]["proto"]), []).append(r)
lost = 0
for (label, proto), runs in sorted(groups.items()):
    median = lambda of: statistics.median(of(r) for r in runs)
    errors = sum(r["errors"] for r in runs)
    missed = sum(r["missed"] or 0 for r in runs)
    lost += errors          # missed: never sent, as all connections were waiting
    print(f"{label:20} {proto:6} n={len(runs)}  {median(lambda r: r['rps']):8.0f}/s  "
          f"CCR {median(lambda r: r['ccr_us']):5.1f} us  p99 {median(lambda r: r['response_us']['p99']):7.0f} us  "
          f"errors {errors}, missed {missed}")
    parts = {}
    for r in runs:
        for name, us in r["cpu_us"].items():
            parts.setdefault(name, []).append(us)
    print(f"    generator {median(lambda r: r['generator_cpu_percent'] or 0):.0f} % of a core; CPU us/event:", ", ".join(f"{k} {statistics.median(v):.1f}" for k, v in parts.items()))
sys.exit(1 if lost else 0)
PYTHON
