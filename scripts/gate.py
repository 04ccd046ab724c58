# SPDX-License-Identifier: BSD-2-Clause
"""What `perhop gate` is to measure next, and what its records mean. It runs nothing.

    gate.py next FOLDER         jobs, one line of JSON each; none: all is measured
    gate.py verdict FOLDER      the table; exit code 0 pass, 1 regression, 2 not measured or not decided
    gate.py update FOLDER       what differs from the baseline; writes it
    gate.py trend HISTORY -o FILE.png      a picture of many gates' --history

FOLDER has plan.json and records.jsonl, both written by `perhop gate`.
"""
from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
from pathlib import Path
from typing import Any, Sequence

import gate_hard as hard
import gate_soft as soft
from gate_output import finish
from gate_records import OK, Gate, Row


def next_jobs(gate: Gate) -> list[dict[str, Any]]:
    """Jobs to do now: the hard tier, then what there looked bad once more, then the soft tier."""
    if gate.same_program:
        return []
    if gate.tier & 1:
        jobs = hard.jobs(gate)
        if jobs:
            return jobs
    if gate.tier & 2:
        return soft.jobs(gate, random.Random(gate.plan["started"] + len(gate.records)))
    return []


def verdict(gate: Gate, args: argparse.Namespace) -> int:
    """Judge, print, write what was asked for. The exit code."""
    if gate.same_program:
        return finish(gate, [Row("both", "program", "program", "", OK, None, None, "the same, but for the revision it names")], args)
    rows = (hard.rows(gate) if gate.tier & 1 else []) + (soft.rows(gate) if gate.tier & 2 else [])
    return finish(gate, rows, args)


def update(gate: Gate) -> int:
    """Write the baseline from the head's records, after a list of what changes in it."""
    path = Path(gate.plan["baseline"])
    old = gate.baseline or {"cells": {}}
    new, missing = hard.make_baseline(gate)
    for reason in missing:
        print(f"not measured: {reason}")
    lines = hard.differences(old, new)
    print(f"{path}: " + (f"{len(lines)} measures change" if lines else "no measure changes"))
    for line in lines:
        print("  " + line)
    if not new["cells"]:
        print("nothing was measured: not written")
        return 2
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(hard.baseline_text(new))
    print(f"written: {path}")
    return 2 if missing else 0


def main(argv: Sequence[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = parser.add_subparsers(dest="command", required=True)
    for name in ("next", "verdict", "update"):
        one = sub.add_parser(name)
        one.add_argument("folder", type=Path)
        if name != "next":
            for option in ("--junit", "--json", "--markdown", "--history", "--records"):
                one.add_argument(option, type=Path)
    trend = sub.add_parser("trend")
    trend.add_argument("history", type=Path)
    trend.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args(argv)
    if args.command == "trend":
        from gate_trend import draw
        return draw(args.history, args.output)
    gate = Gate(args.folder)
    if args.command == "next":
        for job in next_jobs(gate):
            print(json.dumps(job))
        return 0
    if args.records:
        shutil.copyfile(args.folder / "records.jsonl", args.records)
    return update(gate) if args.command == "update" else verdict(gate, args)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
