#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# perhop compare: interleaved runs, a table of ratios, records; and scripts/compare.py, which reads them.
cd "$(dirname "$0")/../.." || exit 2
. tests/e2e/lib.sh

"$PERHOP" compare futex null -w echo -c 1,8 -t 0.2 --warmup 0.1 --reps 3 --seed 3 --json \
	>"$scratch/records" 2>"$scratch/table"
check "compare ends well when every run is valid" "exit code $?: $(tail -3 "$scratch/table")" test $? = 0

# Its intervals are those of the report's own statistics; every round has every cell once, in changing order.
PYTHONPATH=scripts /usr/bin/python3 - "$scratch" <<'PYTHON'
import re, sys
import records as rec
from stats import dig, ratio_interval

folder = sys.argv[1]
loaded = rec.load(folder + "/records")
table = open(folder + "/table", encoding="utf-8").read()

def told(name, fine, why=""):
    print(f"ok - {name}" if fine else f"not ok - {name} # {why}")

told("compare prints a valid record for each run", len(loaded.records) == 12 and not loaded.problems, loaded.problems)
order = [(r["rep"], r["dataplane"], r["concurrency"]) for r in loaded.records]
rounds = [[o[1:] for o in order if o[0] == rep] for rep in range(3)]
told("each round of compare has every dataplane at every load point once", all(len(set(r)) == 4 for r in rounds), order)
told("rounds of compare differ in their order", len({tuple(r) for r in rounds}) > 1, order)

def close(a, b):
    return abs(a - b) <= 0.006 * max(1.0, abs(b)) + 0.006

wrong, found = [], 0
for connections in (1, 8):
    block = table.split(f"c = {connections} ")[-1]
    line = next(l for l in block.splitlines() if l.strip().startswith("ratio"))
    cells = re.findall(r"([\d.e+-]+)x \[([\d.]+), ([\d.]+)\]", line)
    for cell, key in zip(cells, ("rps", "response_us.p50", "response_us.p99", "ccr_us")):
        sides = [[dig(r, key) for r in loaded.records if r["dataplane"] == d and r["concurrency"] == connections]
                 for d in ("futex", "null")]
        e = ratio_interval(*sides)
        found += 1
        # Wide intervals are printed with few digits.
        for ours, theirs in zip(map(float, cell), (e.value, e.low, e.high)):
            if not close(ours, theirs) and abs(ours / theirs - 1) > 0.02:
                wrong.append((connections, key, cell, e))
told("the live ratios and intervals of compare are those of scripts/stats.py", found == 8 and not wrong, (found, wrong))
PYTHON

/usr/bin/python3 scripts/compare.py "$scratch/records" --a futex --b null >"$scratch/full"
check "compare.py reads compare's records" "exit code $?" test $? = 0
check "compare.py has a table for each load point" "$(head -5 "$scratch/full")" \
	test "$(grep -c '^| RPS' "$scratch/full")" = 2

"$PERHOP" compare null -w echo 2>"$scratch/err"
check "compare of one dataplane is refused" "exit code $?" test $? = 2
"$PERHOP" compare null futex -w echo -c 1.5 2>"$scratch/err"
check "compare says what a number of connections is" "$(cat "$scratch/err")" grep -q "not a whole number" "$scratch/err"

# Stopped half-way, it shows what it has and leaves nothing.
"$PERHOP" compare futex null -w echo -t 0.2 --warmup 0 --reps 100 >"$scratch/stopped" 2>&1 &
pid=$!
started+=("$pid")
until_true 20 grep -q RPS "$scratch/stopped"
kill -TERM "$pid"
wait "$pid"
check "an interrupted compare ends with 1" "exit code $?" test $? = 1
check "an interrupted compare prints its table" "no table" grep -q 'ratio' "$scratch/stopped"
