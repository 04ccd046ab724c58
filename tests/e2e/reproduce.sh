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
else
	skip "a full disk is told before anything runs" "no mount namespaces here"
fi
