#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# perhop startup: every runtime answers, or says why it cannot; whoever is killed leaves nothing.
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

# One line per runtime: "ok - ", "not ok - " or "skip - ".
answers() {
	"$PERHOP" startup -r zygote,process,namespaces,runc,unikernel,warm -n 1 -p "$1" --json |
		/usr/bin/python3 -c '
import json, sys
for line in sys.stdin:
    o = json.loads(line)
    name = "startup: {} instance(s) of {} answer".format(o["parallel"], o["runtime"])
    if o["reps"]:
        whole = o["all_ms"]["median"] > 0 and o["rss_kib"] and o["phases_ms"]["invoke"] > 0
        # Parts of the same time: no more than the whole, but for what two clocks differ.
        whole = whole and sum(v or 0 for v in o["phases_ms"].values()) < 1.05 * o["all_ms"]["median"] + 1
        print("ok -" if whole else "not ok -", name, "" if whole else "# " + json.dumps(o)[:300])
    else:
        print("skip -", name, "#", o["skipped"])'
}

answers 1
answers 3
"$PERHOP" startup -r nonsense >/dev/null 2>"$scratch/err"
check 'startup: a runtime that there is not is refused' "$(head -n 1 "$scratch/err")" grep -q nonsense "$scratch/err"

# Instances live for milliseconds: stop who has some before it can end them. Who is through, begins again.
# shellcheck disable=SC2317 # until_true calls it
caught() {
	if [[ -z $(process_id "$victim") ]]; then
		"$PERHOP" startup -r "$1" -n 99 -p 4 >/dev/null 2>&1 &
		victim=$!
		started+=("$victim")
	fi
	kill -STOP "$victim"
	(($(family "$victim" | wc -l) > 1)) && return
	kill -CONT "$victim"
	false
}
containers() { find /sys/fs/cgroup -maxdepth 3 -name "perhop-startup-$1-*" 2>/dev/null; }
# shellcheck disable=SC2317 # until_true calls it
gone() { [[ -z $(containers "$1") ]]; }
for runtime in zygote namespaces runc unikernel warm; do
	"$PERHOP" startup -r "$runtime" -n 1 >/dev/null 2>"$scratch/err" || {
		skip "startup: kill -9 among $runtime leaves nothing" "$(head -n 1 "$scratch/err")"
		continue
	}
	victim=0
	if ! until_true 30 caught "$runtime"; then
		not_ok "startup: kill -9 among $runtime leaves nothing" 'no instance was seen alive in 30 s'
		continue
	fi
	remember "$victim" "$scratch/left"
	kill -KILL "$victim"
	wait "$victim" 2>/dev/null
	check "startup: kill -9 among $runtime leaves nothing" 'see above' all_gone "$scratch/left" 10
	[[ $runtime == runc ]] &&
		check 'startup: kill -9 leaves no container' "$(containers "$victim")" until_true 10 gone "$victim"
done
exit 0
