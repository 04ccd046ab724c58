# SPDX-License-Identifier: BSD-2-Clause
"""Compare two backends: medians, ratios with 99 % intervals, and what to make of them.

    compare.py records.jsonl --a skmsg --b kernel:knative [--point c32]

The records are a run's of make reproduce, or those of `perhop compare --json`, which runs dataplanes in turns and shows
the ratios while it does; `make compare` does both.
"""
from __future__ import annotations

import argparse
import sys
from typing import Any, Mapping, Sequence

import records as rec
from stats import dig, mann_whitney, median_interval, ratio_interval
from tables import Table
from verdicts import number

METRICS = (     # key, name with unit, factor, whether more is better
    ("rps", "RPS", 1.0, True),
    ("response_us.p50", "p50 ms", 1e-3, False),
    ("response_us.p95", "p95 ms", 1e-3, False),
    ("response_us.p99", "p99 ms", 1e-3, False),
    ("ccr_us", "CCR µs", 1.0, False),
    ("node_cpu_percent", "CPU %", 1.0, False),
)

Row = Mapping[str, Any]


def load_point(record: Row) -> tuple[Any, ...]:
    """What must be equal for two records to be comparable."""
    load, service = record["load"], record["service"]
    return (record["workload"], tuple(sorted(record["workload_options"].items())), load["model"],
            load["users"], load["rate"], tuple(load["think_ms"] or ()), load["keep_alive"], service["mode"],
            service["scale"], record["placement"], record["instances"])


def describe(point: tuple[Any, ...]) -> str:
    """A load point for a reader."""
    workload, _, model, users, rate, think, keep_alive, service, scale, placement, _ = point
    parts = [workload, f"c = {users}" if model == "closed" else f"{model} {rate:g} requests/s"]
    if think and max(think) > 0:
        parts.append(f"think {think[0]:g}–{think[1]:g} ms")
    if not keep_alive:
        parts.append("a connection per request")
    if service != "none":
        parts.append(f"service {service} × {scale:g}")
    if placement != "auto":
        parts.append(placement)
    return ", ".join(parts)


def is_backend(record: Row, name: str) -> bool:
    """Whether `name` means this record: its dataplane (options as far as given), or its system."""
    cell = rec.cell_of(record)
    if cell is not None and cell[1] == name:
        return True
    spec, *options = name.split(",")
    if record["dataplane"] != spec and record["dataplane"].split(":")[0] != spec:
        return False
    have = {k.replace("_", "-"): str(v) for k, v in (record.get("network") or {}).items()}
    have.update((k, str(v)) for k, v in record["dataplane_options"].items())
    return all(have.get(o.partition("=")[0]) == o.partition("=")[2] for o in options)


def compare(a: Sequence[Row], b: Sequence[Row], names: tuple[str, str], caption: str) -> Table:
    """One table: the metrics of two backends at one load point."""
    table = Table(("Metric (medians)", names[0], names[1], "ratio of means", "99 % interval", "p", "in words"), caption=caption,
                  words=True)
    for key, title, factor, more in METRICS:
        x = [v * factor for v in (dig(r, key) for r in a) if v is not None]
        y = [v * factor for v in (dig(r, key) for r in b) if v is not None]
        if not x or not y or sum(x) <= 0 or sum(y) <= 0:
            table.rows.append((title, _median(x), _median(y), "–", "–", "–", "not measured on both"))
            continue
        e = ratio_interval(x, y)
        interval, words = "–", "one run: no interval"
        if e.low is not None and e.high is not None:
            interval = f"{number(e.low)} to {number(e.high)}"
            words = "no difference shown" if e.low <= 1 <= e.high else \
                f"{names[0]} is {'better' if (e.value > 1) == more else 'worse'}"
        p = f"{mann_whitney(x, y):.3f}" if min(len(x), len(y)) > 1 else "–"
        table.rows.append((title, _median(x), _median(y), f"{number(e.value)}×", interval, p, words))
    return table


def _median(values: Sequence[float]) -> str:
    if not values:
        return "–"
    e = median_interval(values)
    return f"{number(e.value)} (n = {e.n})"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit 0, or 2 when there is nothing to compare."""
    parser = argparse.ArgumentParser(description="Compare two backends from records: medians, ratios of means with 99 % "
                                     "intervals (studentized bootstrap, seeded), Mann-Whitney p.")
    parser.add_argument("records", nargs="+", help="files of records (.jsonl), of make reproduce or perhop compare --json")
    parser.add_argument("--a", required=True, help="a dataplane (skmsg, kernel:knative,sidecar=nginx) or system")
    parser.add_argument("--b", required=True, help="the same")
    parser.add_argument("--point", help="only this load point of an experiment, e.g. c32")
    parser.add_argument("--format", choices=("markdown", "latex"), default="markdown")
    return from_files(parser.parse_args(argv))


def from_files(args: argparse.Namespace) -> int:
    """Compare what files hold."""
    rows: list[rec.Record] = []
    for path in args.records:
        try:
            loaded = rec.load(path)
        except OSError as error:
            print(f"compare: {path}: {error.strerror}", file=sys.stderr)
            return 2
        for problem in loaded.problems:
            print(f"compare: {path}: {problem}", file=sys.stderr)
        rows += loaded.records
    good = [r for r in rows if rec.is_run(r) and r["valid"] and r["skipped"] is None
            and (args.point is None or (rec.cell_of(r) or ("", "", ""))[2] == args.point)]
    sides: list[dict[tuple[Any, ...], list[rec.Record]]] = [{}, {}]
    for record in good:
        for side, name in zip(sides, (args.a, args.b)):
            if is_backend(record, name):
                side.setdefault(load_point(record), []).append(record)
    return show(sides, args)


def show(sides: Sequence[Mapping[tuple[Any, ...], list[rec.Record]]], args: argparse.Namespace) -> int:
    """Print a table for each load point that both sides have."""
    shared = [point for point in sides[0] if point in sides[1]]
    if not shared:
        there = sorted({r["dataplane"] for side in sides for rows in side.values() for r in rows})
        print(f"compare: no load point with valid runs of both {args.a} and {args.b}; "
              f"valid runs are of {', '.join(there) or 'neither'}", file=sys.stderr)
        return 2
    for point in sorted(shared, key=describe):
        table = compare(sides[0][point], sides[1][point], (args.a, args.b), "")
        print(f"{describe(point)}\n")
        print(table.markdown() if args.format == "markdown" else table.latex())
    return 0


if __name__ == "__main__":
    sys.exit(main())
