#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Instances come and go under load, and no request is lost by it; all of it is in the record.
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

# Kept warm, and scaled by the board's residual capacity: bursts of 32 snapshots, decisions on 180 ms.
for spec in skmsg sure:process futex; do
	name="$spec,scale=load: instances come and go under load without an error"
	if ! can_run "$spec"; then
		skip "$name" "$spec cannot run here"
		continue
	fi
	"$PERHOP" run -d "$spec,scale=load,max_scale=3,target=4,time_scale=0.003" -w parking -c 32 -t 4 --think 1000 \
		--service sleep --service-scale 0.5 --json >"$scratch/record" 2>"$scratch/err"
	check "$name" "$(tail -n 1 "$scratch/err"; head -c 200 "$scratch/record")" test "$(json "$scratch/record" \
		'o["valid"], o["errors"], o["pool"]["in_use_after"], o["scaling"]["ends"] > 0, len(o["scaling"]["cold_starts"]) > 1')" \
		= "(True, 0, 0, True, True)"
	check "$spec,scale=load: one instance of each function stays" "see the record" test "$(json "$scratch/record" \
		'all(s[2] >= 1 for f in o["scaling"]["instances"].values() for s in f)')" = True
done
