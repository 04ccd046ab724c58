#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The oracle: the same requests get the same answers, byte by byte, on every dataplane.
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

runnable "same answers"
chosen=$(IFS=,; echo "${specs[*]}")
if ((${#specs[@]} < 2)); then
	skip "dataplanes agree" "fewer than two can run here"
	exit 0
fi

# verify WORKLOAD ARGUMENTS...
agree() {
	local workload=$1
	shift
	if "$PERHOP" verify -w "$workload" -d "$chosen" "$@" >"$scratch/out" 2>&1; then
		ok "$chosen agree on $workload $*"
	else
		cat "$scratch/out"
		not_ok "$chosen agree on $workload $*" "$(tail -n 1 "$scratch/out")"
	fi
	# Agreement on nothing but errors would prove little.
	check "$workload $* answers without errors" "$(grep -m 1 -v ' 0 errors' "$scratch/out")" \
		grep -q ' 0 errors' "$scratch/out"
}

agree echo -n 100
agree boutique -n 300 --seed 1
agree boutique -n 100 --seed 2
agree boutique:ch1 -n 20
agree parking -n 100
agree motion -n 100
agree motion,event=structured -n 100

# Through a queue-proxy with all handlers: what the entry signs, the proxy before each function believes.
if [[ ${specs[*]} == *kernel:knative* ]]; then
	chosen=null,kernel:http,sidecar=queue-proxy,handlers=all,kernel:knative,sidecar=queue-proxy,handlers=all
	agree boutique -n 60 --seed 3
fi
