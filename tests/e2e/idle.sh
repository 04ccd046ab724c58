#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# A chain that nobody asks costs nothing: under 0.1 % of a core, all components together, over 10 s.
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

name="skmsg: gateway and ten functions idle below 0.1 % of a core"
if ! can_run skmsg; then
	skip "$name" "skmsg cannot run here"
	exit 0
fi
"$PERHOP" run -d skmsg -w boutique --idle 10 -n 10 --warmup 0 --json >"$scratch/record" 2>"$scratch/err"
status=$?
check "the run is valid" "$(tail -n 1 "$scratch/err")" test $status = 0
((status == 0)) || exit
idle=$(json "$scratch/record" 'o["idle_cpu_percent"]')
check "$name" "$idle %" test "$(json "$scratch/record" 'o["idle_cpu_percent"] < 0.1')" = True
