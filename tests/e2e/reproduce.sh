#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# make reproduce on machines that lack something: it says what is skipped and why, and does the rest.
cd "$(dirname "$0")/../.." || exit 2
. tests/e2e/lib.sh

mkdir -p "$scratch/figs/small" "$scratch/runs"
cat >"$scratch/figs/small/experiment.conf" <<'CONF'
[experiment]
title = Small
workload = echo
baseline = null
[system.null]
dataplane = null
[system.skmsg]
dataplane = skmsg
[point.c1]
users = 1
[profile.smoke]
duration_s = 0.1
warmup_s = 0
reps = 2
CONF

# reproduce DIR COMMAND…: run the small experiment into DIR, under COMMAND.
reproduce() {
	local runs=$1
	shift
	"$@" /usr/bin/python3 scripts/reproduce.py --profile smoke --figures "$scratch/figs" --runs "$runs" \
		--program "$PERHOP" >"$scratch/out" 2>&1
}

reproduce "$scratch/runs" env
check "a small experiment is reproduced" "exit code $?: $(tail -3 "$scratch/out")" test $? = 0
check "its report is there" "$(tail -1 "$scratch/out")" test -s "$(sed -n 's/^report: //p' "$scratch/out")"

reproduce "$scratch/one" taskset -c 0
check "on one CPU it runs and says what that means" "exit code $?: $(tail -3 "$scratch/out")" \
	grep -q "^note: one CPU" "$scratch/out"
check "on one CPU there is a report" "$(tail -1 "$scratch/out")" grep -q '^report: ' "$scratch/out"

# Interrupted at random points (runner or perhop, by kill -9 or Ctrl-C) and started again: it completes, has every
# record once, and nothing stays behind. RANDOM is seeded: a failure can be looked at again.
sed 's/^reps = 2/reps = 5/; s/^duration_s = .*/duration_s = 0.3/' "$scratch/figs/small/experiment.conf" >"$scratch/longer"
mkdir -p "$scratch/figs2/small" "$scratch/stopped" && mv "$scratch/longer" "$scratch/figs2/small/experiment.conf"
begin() {
	# A background job of a script ignores SIGINT; Python would then ignore it, too.
	env --default-signal=INT /usr/bin/python3 scripts/reproduce.py --profile smoke --figures "$scratch/figs2" \
		--runs "$scratch/stopped" --program "$PERHOP" "$@" >"$scratch/out" 2>&1 &
	run=$!
	started+=("$run")
}
perhop_runs() { pgrep -P "$run" -x perhop >"$scratch/perhop" || [[ -z $(process_id "$run") ]]; }
RANDOM=8
left=0 folder=
for how in KILL:runner INT:runner KILL:perhop KILL:runner; do
	begin ${folder:+--resume "$folder"}
	until_true 60 perhop_runs
	folder=$(echo "$scratch/stopped"/*)
	sleep "0.$((RANDOM % 9))"
	until_true 60 perhop_runs
	remember "$run" "$scratch/had"
	victim=$run
	[[ $how == *perhop ]] && victim=$(head -n 1 "$scratch/perhop")
	kill "-${how%:*}" "$victim" 2>/dev/null
	if [[ $how == *perhop ]]; then
		sleep "0.$((RANDOM % 9))"
		kill -INT "$run" 2>/dev/null
	fi
	wait "$run" 2>/dev/null
	all_gone "$scratch/had" 30 || left=$((left + 1))
done
check "a run that is killed leaves no process, namespace or eBPF object" "$left of 4 did" test "$left" = 0
exec 9<"$folder/plan.json"
flock 9
begin --resume "$folder"
wait "$run"
check "a second runner in the same folder is refused" "exit code $?: $(tail -1 "$scratch/out")" \
	grep -q "another .* is running in" "$scratch/out"
exec 9<&-
begin --resume "$folder"
wait "$run"
check "after all interruptions it completes" "exit code $?: $(tail -3 "$scratch/out")" grep -q '^report: ' "$scratch/out"
PYTHONPATH=scripts /usr/bin/python3 - "$scratch/stopped" <<'PYTHON'
import json, sys
from pathlib import Path
import records as rec
folders = list(Path(sys.argv[1]).iterdir())
planned = sorted(c["label"] for c in json.loads((folders[0] / "plan.json").read_text())["cells"])
loaded = rec.load(folders[0] / "records.jsonl")
found = sorted(r["label"] for r in loaded.records)
fine = len(folders) == 1 and found == planned and not loaded.problems
print("ok - after all interruptions every record is there once" if fine else
      f"not ok - after all interruptions every record is there once # {len(folders)} folders, {found}, {loaded.problems}")
PYTHON

if ((EUID != 0)); then
	skip "without privileges the rest is done" "not root: this is what all tests do here"
elif ! setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$PERHOP" -a -r scripts/reproduce.py; then
	skip "without privileges the rest is done" "another user may not read $PWD"
else
	mkdir "$scratch/user" && chown 65534 "$scratch/user" && chmod 755 "$scratch"
	reproduce "$scratch/user" setpriv --reuid=65534 --regid=65534 --clear-groups
	check "without privileges it ends with a report" "$(tail -3 "$scratch/out")" grep -q '^report: ' "$scratch/out"
	check "without privileges it says what is skipped and why" "$(cat "$scratch/out")" \
		grep -Eq 'SK_MSG|skmsg +skmsg +skipped: .+' "$scratch/out"
	check "without privileges null is measured" "no valid run" \
		grep -q '"dataplane":"null".*"valid":true' "$scratch"/user/*/records.jsonl
fi

# On a full disk nothing begins. A mount of its own, gone with the process that has it.
mkdir "$scratch/tiny"
if unshare -m true 2>/dev/null; then
	unshare -m bash -c "mount -t tmpfs -o size=1m tmpfs '$scratch/tiny' && exec /usr/bin/python3 scripts/reproduce.py \
		--profile smoke --figures '$scratch/figs' --runs '$scratch/tiny' --program '$PERHOP'" >"$scratch/out" 2>&1
	status=$?
	check "a full disk is told before anything runs" "exit code $status: $(tail -2 "$scratch/out")" \
		grep -q "are free at .* needed. Nothing was run" "$scratch/out"
	check "a full disk ends with 2" "exit code $status" test $status = 2
	# One that fills while it runs: as above, it goes on when there is room.
	unshare -m bash -c "mount -t tmpfs -o size=66m tmpfs '$scratch/tiny' || exit
		again() { /usr/bin/python3 scripts/reproduce.py --profile smoke --figures '$scratch/figs2' \
			--runs '$scratch/tiny' --program '$PERHOP'; }
		( for _ in {1..600}; do ls '$scratch/tiny'/*/records.jsonl && break; sleep 0.05; done
		  cat /dev/zero >'$scratch/tiny/fill' ) >/dev/null 2>&1 &
		again; wait; rm '$scratch/tiny/fill'; again; wc -l '$scratch/tiny'/*/records.jsonl" >"$scratch/out" 2>&1
	check "a disk that fills stops the run and says so" "$(tail -3 "$scratch/out")" \
		grep -q "cannot write.*No space left.*Run the same command again" "$scratch/out"
	check "with room again every record is made" "$(tail -1 "$scratch/out")" grep -q "^10 .*records.jsonl" "$scratch/out"
else
	skip "a full disk is told before anything runs" "no mount namespaces here"
fi
