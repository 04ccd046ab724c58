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

# Knative's life cycle, its times a hundredth: nobody asks for 0.9 s, and there is no pod. The modelled delay
# (0.6 s) makes sure that the first requests wait; the kill below meets the real work after it.
spec=kernel:knative,scale=zero,time_scale=0.01,queue=4,cold_delay_ms=60000
if ! can_run kernel:knative; then
	skip "kernel:knative,scale=zero" "kernel:knative cannot run here"
	exit 0
fi

# Network namespaces of deployment $1's processes, and its functions' processes.
namespaces() { family "$1" | while IFS=: read -r pid _; do readlink "/proc/$pid/ns/net"; done | sort -u | wc -l; }
functions_up() {
	family "$1" | while IFS=: read -r pid _; do cat "/proc/$pid/comm"; done 2>/dev/null | grep -cE '^f[12]$'
}
four_namespaces() { [[ $(namespaces "$server") == 4 ]]; }
at_zero() { [[ $(functions_up "$server") == 0 ]]; }

if serve -d "$spec" -w echo; then
	check "scale=zero: without requests no function is left" "$(functions_up "$server") are" until_true 10 at_zero
	# What stays: the host's, and those of ingress, broker and activators.
	check "scale=zero: nor a pod's namespace or sidecar" "more than four namespaces" until_true 5 four_namespaces
	check "scale=zero: a request waits for its instances and is answered" "$(tail -n 1 "$serve_log")" \
		curl -sf --max-time 10 -o "$scratch/answer" "$url"
	until_true 10 at_zero
	# 40 at once for a function without an instance: 4 may wait at a time, the others are told so.
	seq 40 | xargs -P 40 -I{} curl -s --max-time 20 -o /dev/null -w '%{http_code}\n' "$url" | sort | uniq -c \
		>"$scratch/codes"
	check "scale=zero: who finds the queue full gets 503, all others an answer" "$(tr '\n' ' ' <"$scratch/codes")" \
		test "$(awk '{ print $2 }' "$scratch/codes" | tr '\n' ' ')" = "200 503 "
	until_true 10 at_zero
	remember "$server" "$scratch/had"
	curl -s --max-time 5 -o /dev/null "$url" &
	sleep 0.65
	kill -9 "$server"
	wait "$server" 2>/dev/null
	check "scale=zero: kill -9 during a cold start leaves nothing" "see above" all_gone "$scratch/had" 10
else
	not_ok "kernel:knative,scale=zero starts" "$(head -n 1 "$serve_log")"
fi

# kill -9 of a function, and of a sidecar, as soon as a cold start has made it: who waits gets an answer, the next is
# served, and the pods go again.
pid_of() { family "$1" | while IFS=: read -r pid _; do [[ $(cat "/proc/$pid/comm" 2>/dev/null) == "$2" ]] && echo "$pid"; done; }
is_there() { victim=$(pid_of "$server" "$1"); [[ -n $victim ]]; }
is_served() { [[ $(curl -s --max-time 10 -o /dev/null -w '%{http_code}' "$url") == 200 ]]; }
if serve -d kernel:knative,scale=zero,time_scale=0.01,sidecar=queue-proxy -w echo; then
	for name in f1 f1/sidecar; do
		until_true 10 at_zero
		curl -s --max-time 10 -o /dev/null -w '%{http_code}' "$url" >"$scratch/code" &
		asker=$!
		until_true 10 is_there "$name"
		kill -9 "$victim"
		wait "$asker"
		check "scale=zero: who waits for a pod whose $name is killed gets an answer" "$(cat "$scratch/code")" \
			grep -qE '^(200|50[234])$' "$scratch/code"
		check "scale=zero: and is served after $name was killed" "$(tail -n 1 "$serve_log")" until_true 10 is_served
	done
	check "scale=zero: and the pods go again" "$(functions_up "$server") are" until_true 10 at_zero
	check "scale=zero: nor does their namespace or sidecar stay" "more than four namespaces" until_true 5 four_namespaces
	remember "$server" "$scratch/had"
	stop_server
	check "scale=zero: nothing is left after kills in cold starts" "see above" all_gone "$scratch/had" 10
else
	not_ok "kernel:knative,scale=zero starts" "$(head -n 1 "$serve_log")"
fi

# Bursts of 16, each after the pods have gone: 0, N, 0, N.
"$PERHOP" run -d "kernel:knative,scale=zero,time_scale=0.01,max_scale=3,target=4" -w parking -c 16 -t 5 --warmup 0 \
	--think 2000 --service sleep --service-scale 0.2 --json >"$scratch/record" 2>"$scratch/err"
check "scale=zero: from none to several and back, and no request is lost" "$(head -c 300 "$scratch/record")" \
	test "$(json "$scratch/record" 'o["valid"], o["errors"] == 0, o["scaling"]["ends"] > 5, any(c["ms"]["network"] for c in o["scaling"]["cold_starts"]), any(s[1] == 0 for s in o["scaling"]["instances"]["charging"])')" = "(True, True, True, True, True)"
