#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The car park's ledger equals its clients' own account of it, also when a function is killed midway;
# and its database is gone with it, also after kill -9.
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

# Those of the corpus that are whole: they are named by their plates.
pictures=(tests/fuzz/corpus/parking_jpeg/[a-z][a-z][a-z][0-9][0-9][0-9][0-9])

for spec in null kernel:http kernel:knative kernel:knative,scale=zero skmsg sure:process; do
	if ! can_run "${spec%%,*}"; then
		skip "parking on $spec" "it cannot run here"
		continue
	fi
	if [[ $spec == null ]]; then victims=(-); else victims=(charging persist-metadata plate-search plate-index plate-detection); fi
	# Each in turn on two of them; on those with more processes one that writes and one that does not.
	[[ $spec == kernel:knative* || $spec == sure* ]] && victims=(charging plate-detection)
	if ! serve -d "$spec" -w parking; then
		not_ok "parking starts on $spec" "$(head -n 1 "$serve_log")"
		continue
	fi
	for victim in "${victims[@]}"; do
		said=$(/usr/bin/python3 tests/e2e/parking.py "$url" "$server" "$victim" "${pictures[@]}" 2>&1)
		check "parking on $spec: the ledger equals the clients' account (killed: $victim)" "$said" \
			test "${said#equal}" != "$said"
		stop_server
		[[ $victim == "${victims[-1]}" ]] && break
		serve -d "$spec" -w parking || { not_ok "parking starts again on $spec" "no url"; break; }
	done
done

if serve -d null -w parking; then
	family "$server" >"$scratch/processes"
	curl -s --max-time 5 -o /dev/null "$url/ledger"         # opens it
	kill -9 "$server"
	wait "$server" 2>/dev/null
	# shellcheck disable=SC2016 # for the inner shell
	check "a killed car park leaves nobody who holds its database" "a process holds it still" \
		until_true 5 bash -c 'while IFS=: read -r p _; do [[ -e /proc/$p ]] && exit 1; done <"$1"; exit 0' \
		_ "$scratch/processes"
fi
