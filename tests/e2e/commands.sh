#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What the commands promise: exit codes, messages, JSON, records that validate.
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

# usage NAME TEXT ARGUMENTS...: must exit with 2 and say TEXT (an extended regular expression).
usage() {
	local name=$1 text=$2 status
	shift 2
	"$PERHOP" "$@" >"$scratch/out" 2>&1 </dev/null
	status=$?
	if ((status != 2)); then
		not_ok "$name" "exit code $status instead of 2"
	elif ! grep -qE -- "$text" "$scratch/out"; then
		not_ok "$name" "the message does not say '$text': $(head -n 1 "$scratch/out")"
	else
		ok "$name"
	fi
}

usage "no command: shows what there is" "run .*measure"
usage "an unknown command is named, with those there are" "'fly'.*run" fly
usage "run without dataplane says what is missing" "-d DATAPLANE is missing" run -w echo
usage "run without workload says what is missing" "-w WORKLOAD is missing" run -d null
usage "an unknown dataplane is named, with those there are" "'warp'.*null" run -d warp -w echo
usage "an unknown option of a dataplane is named" "'colour'" run -d null,colour=red -w echo
usage "an unknown workload is named, with those there are" "'word'.*echo" run -d null -w word
usage "a concurrency of 0 is refused" "-c: '0'" run -d null -w echo -c 0
usage "half a user is refused" "-c: '1.5'" run -d null -w echo -c 1.5
usage "a negative duration is refused" "-t: '-1'" run -d null -w echo -t -1
usage "not a number is refused" "-t: 'nan'" run -d null -w echo -t nan
usage "-t and -n exclude each other" "exclude" run -d null -w echo -t 1 -n 5
usage "--arrivals needs --rate" "needs --rate" run -d null -w echo --arrivals poisson
usage "--think belongs to the closed loop" "closed loop" run -d null -w echo --rate 5 --think 5
usage "a bad think time shows good ones" "1000:10000" run -d null -w echo --think 5:x
usage "an unknown service mode shows those there are" "none, sleep, spin" run -d null -w echo --service nap
usage "a stray word is not ignored" "'skmsg' is not expected" run -d null -w echo skmsg
usage "serve takes one dataplane" "one dataplane" serve -d null,skmsg -w echo
usage "serve refuses a bad address" "127.0.0.1:8080" serve -d null -w echo --listen 127.0.0.1:99999
usage "verify without workload says what is missing" "-w WORKLOAD is missing" verify
usage "verify needs two dataplanes" "fewer than two" verify -w echo -d null -n 5

usage "a buffer's size is a power of two" "--buffer: '100'" run -d null -w echo --buffer 100
usage "surface takes three placements" "same-core, cross-core, free" surface --placement auto
usage "surface is about shared pools" "no shared pool" surface -d kernel:http

for command in list doctor run serve verify surface; do
	"$PERHOP" "$command" --help >"$scratch/help" 2>&1
	check "$command --help has examples" "no example" grep -q "perhop $command" "$scratch/help"
done

"$PERHOP" list --json >"$scratch/list" && json "$scratch/list" \
	'all(isinstance(d["ok"], bool) and d["name"] and d["summary"] for d in o["dataplanes"]) or 1/0' >/dev/null
check "list --json says of each dataplane whether it can run" "it does not" test $? = 0
"$PERHOP" doctor --json >"$scratch/doctor"
(($? < 2)) && json "$scratch/doctor" 'len(o["checks"]) > 10 or 1/0' >/dev/null
check "doctor --json lists its checks" "it does not" test $? = 0

# Chains without a client: each dataplane with a pool passes messages on, whatever waits and wherever it runs.
"$PERHOP" surface -d futex,uds,skmsg,dpdk,sure:process --wait block,adaptive -c 1,64 --rate 500 -t 20 --reps 1 --json >"$scratch/surface"
check "surface measures every cell, and no request fails" "exit code $?" test $? = 0
json "$scratch/surface" 'all(c["skipped"] or c["rps"][0] > 0 and c["failed"] == 0 for c in o["cells"]) or 1/0' >/dev/null
check "surface --json has each cell's repetitions" "a cell without a request" test $? = 0

# 64 KiB do not fit into a buffer of 64 KiB: they get a larger one, and go through copying dataplanes as well.
"$PERHOP" surface -d futex,uds,skmsg,dpdk,sure:process --wait adaptive --placement same-core -c 2 --size 65536 -t 20 \
	--reps 1 >"$scratch/out" 2>&1
check "surface makes room for a payload of 64 KiB" "$(tail -n 1 "$scratch/out")" test $? = 0
"$PERHOP" run -d null,kernel:http -w echo,size=65536 --buffer 128 -c 1 -n 20 --warmup 0 >"$scratch/out" 2>&1
check "run --buffer makes room for a payload of 64 KiB" "$(tail -n 1 "$scratch/out")" test $? = 0

# Records: of every kind of load, on whatever can run here.
runnable "records validate"
chosen=$(IFS=,; echo "${specs[*]}")
{
	"$PERHOP" run -d "$chosen" -w echo -c 4 -t 0.5 --warmup 0.2 --idle 0.2 --json --label cell/1
	"$PERHOP" run -d null -w echo --rate 500 -t 0.5 --warmup 0 --json
	"$PERHOP" run -d null -w echo --rate 500 --arrivals constant -n 100 --warmup 0 --json
	"$PERHOP" run -d null -w echo -n 50 -c 2 --think 1:3 --close --service sleep --json
} >"$scratch/records" 2>"$scratch/err"
/usr/bin/python3 - "$scratch/records" ${#specs[@]} <<'PYTHON'
import json, sys
import jsonschema
with open("results/schema.json") as f:
    validator = jsonschema.Draft202012Validator(json.load(f))
records = [json.loads(line) for line in open(sys.argv[1])]
n = int(sys.argv[2]) + 3
print(f"{'ok' if len(records) == n else 'not ok'} - a record for each run # {len(records)} of {n}")
for r in records:
    errors = [f"{'/'.join(map(str, e.path))}: {e.message[:90]}" for e in validator.iter_errors(r)]
    name = f"the record of {r['dataplane']}, {r['load']['model']} loop, "
    print(f"{'not ok' if errors else 'ok'} - {name}validates # {'; '.join(errors)[:300]}")
    print(f"{'ok' if r['valid'] else 'not ok'} - {name}is valid # {'; '.join(r['invalid_reasons'])}")
    total = sum(r["cpu_us"].values())
    print(f"{'ok' if abs(total - r['ccr_us']) < 0.01 * total + 0.1 else 'not ok'} - {name}splits its CCR "
          f"among components # {total:.1f} of {r['ccr_us']:.1f} us")
PYTHON
status=$?
check "the records could be examined" "$(tail -n 1 "$scratch/err")" test $status = 0

"$PERHOP" run -d null -w echo -c 3 -n 200 --seed 7 --json 2>/dev/null >"$scratch/a"
"$PERHOP" run -d null -w echo -c 5 -n 200 --seed 8 --json 2>/dev/null >"$scratch/b"
"$PERHOP" run -d null -w echo -c 3 -n 200 --seed 9 --json 2>/dev/null >"$scratch/c"
hash='o["host"]["config_hash"]'
check "config_hash is equal for repetitions of a cell" "it differs" \
	test "$(json "$scratch/a" "$hash")" = "$(json "$scratch/c" "$hash")"
check "config_hash tells load points apart" "it does not" \
	test "$(json "$scratch/a" "$hash")" != "$(json "$scratch/b" "$hash")"

# A user without privileges: what can run runs, what cannot says why.
if [[ $(id -u) == 0 ]] && command -v setpriv >/dev/null; then
	nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all)
	install -m 755 -D "$PERHOP" "$scratch/bin/perhop" && chmod 755 "$scratch" "$scratch/bin"
	"${nobody[@]}" "$scratch/bin/perhop" run -d skmsg -w echo -t 1 >"$scratch/out" 2>&1
	status=$?
	check "skmsg without privileges exits with 2" "exit code $status" test $status = 2
	check "skmsg without privileges says what it needs" "$(tail -n 1 "$scratch/out")" \
		grep -qE "CAP_|root" "$scratch/out"
	"${nobody[@]}" "$scratch/bin/perhop" doctor >"$scratch/out" 2>&1
	check "doctor without privileges names them" "exit code $?" grep -q "missing *capabilities" "$scratch/out"
	"${nobody[@]}" "$scratch/bin/perhop" run -d null -w echo -t 0.5 --warmup 0 >"$scratch/out" 2>&1
	status=$?
	check "null runs without privileges" "$(tail -n 1 "$scratch/out")" test $status = 0
else
	skip "without privileges" "not root, or no setpriv"
fi
