#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# A function that stops (SIGSTOP), with far more clients than it may hold: those that it cannot take get 503
# at once, memory stays bounded, and when it goes on or is killed the others get their answer or 502.
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

LIMIT=4 BACKLOG=8 CLIENTS=60

overload() {
	local spec=$1 victim line
	if ! serve -d "$spec" -w echo,length=2 --limit $LIMIT --backlog $BACKLOG --answer-timeout 20; then
		not_ok "$spec: echo is served" "$(tail -n 1 "$serve_log")"
		return
	fi
	victim=$(json "$served" '[c["pid"] for c in o["components"] if c["name"] == "f2"][0]')
	/usr/bin/python3 tests/e2e/overload.py "$(json "$served" 'o["port"]')" "$victim" $((LIMIT + BACKLOG)) $CLIENTS |
		while read -r line; do echo "${line/ - / - $spec: }"; done
	check "$spec: every buffer comes home" "$(metric "$url" perhop_pool_buffers_in_use) are in use" \
		until_true 10 buffers_home
	stop_server
}

# Those with a pool and processes to stop: kernel's queues are the sockets', null's function is the gateway.
runnable "overload"
for spec in "${specs[@]}"; do
	case $spec in
	futex | uds | skmsg | dpdk | sure:process) overload "$spec" ;;
	esac
done
