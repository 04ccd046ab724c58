#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# 100,000 hostile requests: each is refused or dropped, a good client beside them does not notice, no
# component dies, and every buffer comes home.
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

attack() {
	local spec=$1 requests=$2
	if ! serve -d "$spec" -w boutique; then
		not_ok "$spec: the boutique is served" "$(tail -n 1 "$serve_log")"
		return
	fi
	remember "$server" "$scratch/before"
	/usr/bin/python3 tests/e2e/hostile.py "$(json "$served" 'o["address"]')" "$(json "$served" 'o["port"]')" \
		"$requests" 1 | sed "s/ - hostile/ - $spec, hostile/"
	check "$spec, hostile: nothing died" "$(tail -n 1 "$serve_log")" \
		test "$(family "$server" | sort)" = "$(sort "$scratch/before.processes")"
	if [[ $(metric "$url" perhop_pool_buffers_in_use) != none ]]; then
		check "$spec, hostile: every buffer comes home" "$(metric "$url" perhop_pool_buffers_in_use) are in use" \
			until_true 40 buffers_home
	fi
	check "$spec, hostile: the shop is still open" "it does not answer" \
		curl -sf --max-time 10 -o /dev/null "$url/"
	stop_server
}

runnable "hostile"
for spec in "${specs[@]}"; do
	# Each dataplane gets some; the full number goes to the one with the most of our own code.
	if [[ $spec == skmsg ]]; then attack "$spec" 100000; else attack "$spec" 4000; fi
done
