#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# `perhop gate`: this build against the committed baseline; regressions made to order are caught and named;
# what cannot be measured is never a pass. Mutants: tests/mutation.c.
cd "$(dirname "$0")/../.." || exit 2
. tests/e2e/lib.sh
. tests/e2e/audit-lib.sh

need_probes 'the gate'

# Never a pass without a measurement.
"$PERHOP" gate --baseline "$scratch" >"$scratch/none" 2>&1
check 'without a baseline of this kernel class the gate cannot judge' "status $?: $(head -n 1 "$scratch/none")" \
	grep -q '^COULD NOT DECIDE' "$scratch/none"
"$PERHOP" gate --base no-such-revision >"$scratch/none" 2>&1
status=$?
check 'a base revision that does not exist is exit code 2' "status $status: $(tail -n 1 "$scratch/none")" test "$status" = 2

# A commit that changes no code: its program is the base's, but for the revision in it.
/usr/bin/python3 -c '
import re, sys
text = open(sys.argv[1], "rb").read()
sha = next(m[1] for m in re.finditer(rb"\0([0-9a-f]{40})\0", text))
open(sys.argv[2], "wb").write(text.replace(sha, b"0123456789" * 4))
open(sys.argv[3], "wb").write(text.replace(b"perhop gate: %s", b"Perhop gate: %s"))' \
	"$PERHOP" "$scratch/renamed" "$scratch/changed" 2>"$scratch/none"
if [[ -s $scratch/changed ]]; then
	chmod +x "$scratch/renamed" "$scratch/changed"
	"$PERHOP" gate --base-program "$scratch/renamed" --budget 0.1 >"$scratch/same" 2>&1
	check 'a commit that changes no code passes unmeasured' "status $?: $(head -n 1 "$scratch/same")" \
		grep -q '^PASS: 1 as before' "$scratch/same"
	"$PERHOP" gate --base-program "$scratch/changed" --tier soft --budget 0.1 -d null -w echo >"$scratch/same" 2>&1
	check 'one that changes a letter of it is measured' "status $?: $(head -n 1 "$scratch/same")" \
		grep -q 'block' "$scratch/same"
else
	skip 'a commit that changes no code passes unmeasured' "a build without a revision: $(tail -n 1 "$scratch/none")"
fi

# This very build. Its counts are the baseline for the mutants, whatever the machine.
"$PERHOP" gate --update-baseline --baseline "$scratch/own.json" -d skmsg -d kernel:http -w echo,length=2 \
	>"$scratch/own" 2>&1
status=$?
if ((status)); then
	skip 'regressions are caught' "no baseline could be made here: $(grep -m 1 'not measured' "$scratch/own" || tail -n 1 "$scratch/own")"
	exit 0
fi

# Instructions and size are judged below: a mutant need not be run under callgrind each time.
/usr/bin/python3 -c '
import json, sys
with open(sys.argv[1]) as f:
    o = json.load(f)
o["cells"].pop("program")
with open(sys.argv[1], "w") as f:
    json.dump(o, f)' "$scratch/own.json"

# caught MUTATION DATAPLANE WORDS: is it a regression, and called by its name, where it is?
caught() {
	local out="$scratch/$1" status mutant
	mutant="$(dirname "$PERHOP")/perhop-$1"
	if [[ ! -x $mutant ]]; then
		skip "the mutation $1 is caught and named" "make MUTATION=$1 was not run"
		return
	fi
	timeout 150 "$PERHOP" gate --program "$mutant" --baseline "$scratch/own.json" -d "$2" -w echo,length=2 \
		--junit "$out.xml" >"$out" 2>&1
	status=$?
	if ((status == 1)) && grep -q "^REGRESSION .*$2 .*$3" "$out" && grep -q '<failure' "$out.xml"; then
		ok "the mutation $1 is caught and named"
	else
		not_ok "the mutation $1 is caught and named" "status $status: $(head -n 1 "$out")"
	fi
}

caught copy skmsg 'copies at f1'
caught serialize kernel:http 'serializations at f1'
caught wakeup skmsg 'wake-ups at f1'
caught keepalive kernel:http 'connections'
caught leak skmsg 'buffers in use'

# The project's own gate: what `make gate` does. Another kernel, compiler or nginx is no failure of the code.
"$PERHOP" gate >"$scratch/hard" 2>&1
case $? in
0) ok 'this build costs no more than the committed baseline' ;;
1)
	sed 's/^/# /' "$scratch/hard"
	not_ok 'this build costs no more than the committed baseline' "$(head -n 1 "$scratch/hard"); if that is meant: make gate-baseline"
	;;
*) skip 'this build costs no more than the committed baseline' \
	"$(grep -m 1 -A 1 '^undecided' "$scratch/hard" | tr -s ' \n' ' ')" ;;
esac
