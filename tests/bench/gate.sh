#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# How well does the soft tier of `perhop gate` tell builds apart here? Gates of a program with 5 % more CPU in f1
# (build/perhop-cpu, see tests/mutation.c) and of a copy of the program, both against the program. The copy has
# another letter in a message: equal programs would pass unmeasured.
#
#     tests/bench/gate.sh PERHOP [caught|equal|both] [TRIALS] [BUDGET in minutes]
#
# A line per gate. Exit: 0 when of ten mutants nine were caught and named, and no gate of equal programs failed.
set -u
perhop=$(realpath "${1:?usage: gate.sh PERHOP [caught|equal|both] [TRIALS] [BUDGET]}")
what=${2:-both} trials=${3:-10} budget=${4:-1}
cd "$(dirname "$0")/../.." || exit 2
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
out=$dir/out
/usr/bin/python3 -c '
import sys
with open(sys.argv[1], "rb") as f, open(sys.argv[2], "wb") as to:
    to.write(f.read().replace(b"perhop gate: %s", b"Perhop gate: %s"))' "$perhop" "$dir/copy"  || exit 2
chmod +x "$dir/copy"

# gates PROGRAM: prints a line for each; sets regressions, named, undecided.
gates() {
	local program=$1 i status
	regressions=0 named=0 undecided=0
	for ((i = 1; i <= trials; i++)); do
		"$perhop" gate --tier soft --budget "$budget" --base-program "$perhop" --program "$program" -d skmsg \
			-w echo,length=2 >"$out" 2>&1
		status=$?
		((status == 1)) && regressions=$((regressions + 1))
		((status == 2)) && undecided=$((undecided + 1))
		# Named: the component in question, and no other component.
		if ((status == 1)) && grep -q '^REGRESSION .*CPU of f1 ' "$out" &&
			! grep '^REGRESSION' "$out" | grep -q 'CPU of \(f2\|gateway\) '; then
			named=$((named + 1))
		fi
		printf '%s %d: exit %d, %s\n' "$(basename "$program")" "$i" "$status" "$(grep 'CPU of f1' "$out" | tr -s ' ' | cut -c1-150)"
	done
}

failed=0
if [[ $what != equal ]]; then
	gates "$perhop-cpu"
	echo "+5 % CPU in f1, $trials gates of $budget min: $regressions regressions, $named of them named f1 alone, $undecided undecided"
	((10 * named >= 9 * trials)) || failed=1
fi
if [[ $what != caught ]]; then
	gates "$dir/copy"
	echo "equal programs, $trials gates of $budget min: $regressions false regressions, $undecided undecided"
	((regressions == 0)) || failed=1
fi
exit $failed
