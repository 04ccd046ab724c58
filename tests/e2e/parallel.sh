#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Two runs side by side share nothing: both are valid, no request goes astray.
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

runnable "side by side"
for spec in "${specs[@]}"; do
	for n in 1 2; do
		"$PERHOP" run -d "$spec" -w echo -c 4 -t 2 --seed "$n" --json >"$scratch/record.$n" 2>"$scratch/err.$n" &
		started+=("$!")
		pids[n]=$!
	done
	for n in 1 2; do
		wait "${pids[n]}"
		status=$?
		check "$spec beside another: run $n is valid" "$(head -n 1 "$scratch/err.$n")" test $status = 0
		check "$spec beside another: run $n has no error" "$(json "$scratch/record.$n" 'o["errors"]') errors" \
			test "$(json "$scratch/record.$n" 'o["errors"], o["requests"] > 0')" = "(0, True)"
	done
done
