#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Stands in for build/perhop in tests of the runner: list, run, and `audit` for another command. Its records are synthetic and say so.

FAKE_DELAY    seconds that a run lasts
FAKE_MODE     ok | silent | garbage | invalid | hang | spawn (leaves a child holding its output)
FAKE_CANNOT   dataplane spec that `list` reports as unable to run
FAKE_TRACE    file to which each run appends its label
"""
import json
import os
import sys
import time

import synthetic


def main() -> int:
    """`list --json` or `run …`."""
    if sys.argv[1] == "list":
        cannot = os.environ.get("FAKE_CANNOT", "")
        planes = []
        for spec in ("kernel:http", "kernel:knative", "null", "skmsg"):
            planes.append({"spec": spec, "ok": spec != cannot, "reason": "no such thing here" if spec == cannot else None})
        print(json.dumps({"dataplanes": [{"name": p["spec"].split(":")[0], "ok": True, "reason": None, "modes": [p]}
                                         for p in planes], "workloads": [{"name": "boutique", "modes": ["web"]}]}))
        return 0
    mode = os.environ.get("FAKE_MODE", "ok")
    if sys.argv[1] == "audit":
        if mode == "silent":
            print("perhop audit: it needs eBPF", file=sys.stderr)
            return 2
        print(json.dumps({"kind": "audit", "asked": sys.argv[1:], "host": synthetic.host()}))
        return 1 if mode == "invalid" else 0
    label = sys.argv[sys.argv.index("--label") + 1]
    with open(os.environ.get("FAKE_TRACE", os.devnull), "a", encoding="utf-8") as trace:
        trace.write(label + "\n")
    time.sleep(float(os.environ.get("FAKE_DELAY", "0")))
    experiment, system, point, rep = label.split("/")
    if mode == "silent":
        print("perhop: it did not work", file=sys.stderr)
        return 2
    if mode == "garbage":
        print('{"schema_version": 1, "kind"')
        return 0
    if mode == "hang":
        time.sleep(600)
    if system in ("a", "b"):        # of compare: the dataplane decides
        system = sys.argv[sys.argv.index("-d") + 1].split(",")[0]
    record = synthetic.record(system, point, int(rep), experiment=experiment, samples=60)
    record["rep"] = 0
    record["concurrency"] = record["load"]["users"] = int(sys.argv[sys.argv.index("-c") + 1])
    if mode == "invalid":
        record.update(valid=False, invalid_reasons=["made invalid by a test"])
    print(json.dumps(record))
    return 0


if __name__ == "__main__":
    sys.exit(main())
