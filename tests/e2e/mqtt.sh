#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Events by MQTT and CoAP: stock clients are served, on every dataplane that has our gateway; nothing that was
# acknowledged is lost when a function is killed; hostile clients are refused and harm nobody; adapters come
# and go while the deployment runs.
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

coap=''
for each in coap-client coap-client-notls coap-client-openssl coap-client-gnutls; do
	command -v "$each" >/dev/null && coap=$each && break
done

event() {
	printf '{"specversion":"1.0","id":"%s","source":"/sensor/17","type":"org.perhop.motion","data":{"motion":"on","at":5}}' "$1"
}

# port NAME: where this adapter of the deployment listens.
port() { json "$served" "o['adapters']['$1'].rsplit(':')[1]"; }

stock_mqtt() {
	local spec=$1 version=$2 mqtt name
	mqtt=$(port mqtt)
	name="$spec: mosquitto_pub at QoS 1 switches a light, mosquitto_sub hears of it ($version)"
	timeout 30 mosquitto_sub -V "$version" -p "$mqtt" -q 1 -t 'light/#' -C 1 -F '%t %p' >"$scratch/heard" 2>&1 &
	local listener=$!
	until_true 20 subscribed
	timeout 20 mosquitto_pub -V "$version" -p "$mqtt" -q 1 -t sensor/17/motion -m "$(event "$version")" 2>"$scratch/said"
	wait "$listener"
	check "$name" "$(head -n 1 "$scratch/heard") $(head -n 1 "$scratch/said")" \
		grep -q "^light/5 {\"id\":\"$version\",\"zone\":5,\"light\":\"on\"" "$scratch/heard"
}

subscribed() { [[ $(metric "$url" perhop_ports_clients) == 1 ]]; }

stock_coap() {
	local spec=$1 at
	at=coap://127.0.0.1:$(port coap)
	if [[ -z $coap ]]; then
		skip "$spec: coap-client" "coap-client is not installed (Debian: libcoap3-bin)"
		return
	fi
	timeout 10 "$coap" -m post -t 50 -e "$(event con)" "$at/motion" >"$scratch/con" 2>&1
	check "$spec: coap-client posts an event and reads what became of the light" "$(head -n 1 "$scratch/con")" \
		grep -q '"id":"con","zone":5,"light":"on"' "$scratch/con"
	timeout 10 "$coap" -m put -N -e "$(event non)" "$at/sensor/17/motion" >"$scratch/non" 2>&1
	check "$spec: coap-client puts an event to a sensor's topic, not confirmable" "$(head -n 1 "$scratch/non")" \
		grep -q '"id":"non"' "$scratch/non"
	timeout 10 "$coap" -m get "$at/nowhere" >"$scratch/none" 2>&1
	check "$spec: coap-client is told 4.04 of what is not there" "$(head -n 1 "$scratch/none")" \
		grep -q '^4.04' "$scratch/none"
}

killed() {
	local spec=$1 victim=$2 said
	said=$(/usr/bin/python3 tests/e2e/mqtt.py kill 127.0.0.1 "$(port mqtt)" 2000 \
		"$(json "$served" "[c['pid'] for c in o['components'] if c['name'] == '$victim'][0]")" 2>&1)
	check "$spec: no event that was acknowledged is lost when $victim is killed" "$said" \
		test "${said#equal}" != "$said"
}

runnable "MQTT and CoAP"
for spec in "${specs[@]}"; do
	if ! serve -d "$spec" -w motion --adapter mqtt --adapter coap; then
		if grep -q 'speaks HTTP only' "$serve_log"; then
			skip "MQTT and CoAP on $spec" "its ingress speaks HTTP only"
		else
			not_ok "motion with adapters starts on $spec" "$(head -n 1 "$serve_log")"
		fi
		continue
	fi
	if command -v mosquitto_pub >/dev/null; then
		stock_mqtt "$spec" mqttv311
		stock_mqtt "$spec" mqttv5
	else
		skip "$spec: mosquitto_pub" "it is not installed (Debian: mosquitto-clients)"
	fi
	stock_coap "$spec"
	if [[ $spec == skmsg || $spec == kernel:http ]]; then
		killed "$spec" sensor
		stop_server
		serve -d "$spec" -w motion --adapter mqtt && killed "$spec" actuator
	fi
	stop_server
done

can_run skmsg && spec=skmsg || spec=null
if serve -d "$spec" -w motion --adapter mqtt --adapter coap; then
	remember "$server" "$scratch/before"
	/usr/bin/python3 tests/e2e/mqtt.py hostile 127.0.0.1 "$(port mqtt)" "$(port coap)" 600 1
	check "hostile MQTT and CoAP: nothing died" "$(tail -n 1 "$serve_log")" \
		test "$(family "$server" | sort)" = "$(sort "$scratch/before.processes")"
	if [[ $spec == skmsg ]]; then
		check "hostile MQTT and CoAP: every buffer comes home" "$(metric "$url" perhop_pool_buffers_in_use)" \
			until_true 10 buffers_home
	fi
	gateway=$(json "$served" "[c['pid'] for c in o['components'] if c['name'] == 'gateway'][0]")
	rss=$(awk '/^VmRSS/ {print $2}' "/proc/$gateway/status")
	check "hostile MQTT and CoAP: the gateway's memory stays bounded" "$rss KiB" test "$rss" -lt 200000
	stop_server
else
	not_ok "motion with adapters starts on $spec" "$(head -n 1 "$serve_log")"
fi

# Adapters at run time: by their owner, without a restart; their addresses are free again when they have gone.
if serve -d null -w motion --adapter mqtt; then
	at=127.0.0.1:$(port mqtt)
	list() { "$PERHOP" adapter list --pid "$server"; }
	check "an adapter is listed" "$(list)" grep -q "^mqtt $at " <(list)
	adapter() { "$PERHOP" adapter "$@" --pid "$server" >"$scratch/out" 2>&1; }
	check "an adapter is replaced while it runs" "$(cat "$scratch/out")" adapter load mqtt
	check "an adapter is unloaded" "$(cat "$scratch/out")" adapter unload mqtt
	check "its address is free, and it can be loaded there again" "$(cat "$scratch/out")" \
		adapter load mqtt --listen "$at"
	cp "${PERHOP%/*}/adapters/mqtt.so" "$scratch/open.so" && chmod 666 "$scratch/open.so"
	adapter unload mqtt
	adapter load "$scratch/open.so" --listen 127.0.0.1:0
	check "an adapter that anybody may write to is refused" "$(cat "$scratch/out")" \
		grep -q 'nobody else may write' "$scratch/out"
	echo nonsense >"$scratch/bad.so"
	adapter load "$scratch/bad.so"
	check "what is no adapter is refused" "$(cat "$scratch/out")" grep -q 'no adapter' "$scratch/out"
	if [[ $(id -u) == 0 ]] && command -v setpriv >/dev/null; then
		chmod 755 "$scratch"
		setpriv --reuid 65534 --clear-groups "$PERHOP" adapter list --pid "$server" >"$scratch/said" 2>&1
		check "another user is not answered" "$(cat "$scratch/said")" grep -q 'another user' "$scratch/said"
	else
		skip "another user is not answered" "needs root and setpriv"
	fi
	stop_server
else
	not_ok "motion with an adapter starts on null" "$(head -n 1 "$serve_log")"
fi
