# SPDX-License-Identifier: BSD-2-Clause
"""Compare two backends: medians, ratios with 99 % intervals, and what to make of them.

    compare.py --a skmsg --b kernel:http --workload boutique [--connections 32] [--reps 5]
        runs both now, interleaved, and keeps the records
    compare.py records.jsonl --a skmsg --b kernel:knative [--point c32]
        compares runs that are there
"""
from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import Any, Mapping, Sequence

import records as rec
from experiment import ConfError, Experiment, make_plan
from progress import duration
from runner import Progress, Runner, Stopped, availability, digest, open_folder
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
    have = {k: str(v) for k, v in record["dataplane_options"].items()}
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


class Live:
    """Prints each run as it ends, and the ratio of medians so far: the runner's progress."""

    def __init__(self, names: Mapping[str, str], path: Path) -> None:
        self.names, self.path, self.seen = names, path, 0
        print(f"{'':4}{'dataplane':<32}{'RPS':>10}{'p50 ms':>10}{'p99 ms':>10}{'CCR µs':>10}", flush=True)

    def __call__(self, progress: Progress) -> None:
        rows = rec.load(self.path).records if self.path.exists() else []
        for row in rows[self.seen:]:
            cell = rec.cell_of(row)
            values = [dig(row, key) for key in ("rps", "response_us.p50", "response_us.p99", "ccr_us")]
            cells = "".join(f"{'–' if v is None else number(v * f):>10}" for v, f in zip(values, (1, 1e-3, 1e-3, 1)))
            left = f"   {duration(progress.left_s)} left" if progress.now else ""
            print(f"{row['rep'] + 1:<4}{self.names[cell[1]]:<32}{cells}"
                  + ("" if row["valid"] else f"   {row['skipped'] or '; '.join(row['invalid_reasons'])}") + left, flush=True)
        self.seen = len(rows)


def measure(args: argparse.Namespace) -> Path:
    """Run both backends now, interleaved. The file of records; Stopped when it cannot."""
    program = Path(args.program)
    if not program.is_file():
        raise Stopped(f"there is no {program}: run `make` first")
    names = {"a": args.a, "b": args.b}
    points = {f"c{c}": {"users": c} for c in args.connections.replace(",", " ").split()}
    profile = {"duration_s": args.duration, "warmup_s": args.warmup, "reps": args.reps}
    experiment = Experiment(Path("compare"), "", (), args.workload, "b", next(iter(points), ""),
                            {k: {"dataplane": spec} for k, spec in names.items()}, points, {"compare": profile}, {})
    plan = make_plan([experiment], "compare", args.seed, digest(program))
    unavailable = availability(program, set(names.values()))
    for spec in sorted(unavailable):
        raise Stopped(f"{spec} cannot run here: {unavailable[spec]}")
    folder, _ = open_folder(Path(args.runs), plan, "no")
    runner = Runner(plan, folder, program, lambda p: None)
    print(f"{len(plan.cells)} runs, about {duration(runner.expected_s(plan.cells))}; records in {runner.records}")
    runner.show = Live(names, runner.records)
    runner.run()
    print()
    return runner.records


def main(argv: Sequence[str] | None = None) -> int:
    """Exit 0, 2 when there is nothing to compare, 130 when interrupted."""
    parser = argparse.ArgumentParser(description="Compare two backends: medians, ratios of means with 99 % "
                                     "intervals (studentized bootstrap, seeded), Mann-Whitney p. Without files of "
                                     "records, both are run now, interleaved.")
    parser.add_argument("records", nargs="*", help="files of records (.jsonl)")
    parser.add_argument("--a", required=True, help="a dataplane (skmsg, kernel:knative,sidecar=nginx) or system")
    parser.add_argument("--b", required=True, help="the same")
    parser.add_argument("--point", help="only this load point of an experiment, e.g. c32")
    parser.add_argument("--format", choices=("markdown", "latex"), default="markdown")
    live = parser.add_argument_group("running now")
    live.add_argument("--workload", help="e.g. boutique, or echo,length=3")
    live.add_argument("--connections", default="32", help="closed-loop connections, e.g. 1,8,32 (default 32)")
    live.add_argument("--reps", default="5", help="repetitions of each (default 5)")
    live.add_argument("--duration", default="2", help="seconds that each run measures (default 2)")
    live.add_argument("--warmup", default="0.5", help="seconds of load before (default 0.5)")
    live.add_argument("--seed", type=int, default=1, help="of the order and of the load (default 1)")
    live.add_argument("--program", default=str(rec.ROOT / "build" / "perhop"), help="the perhop to run")
    live.add_argument("--runs", default=str(rec.ROOT / "results" / "runs"), help="where records are kept")
    args = parser.parse_args(argv)
    try:
        if args.records:
            return from_files(args)
        if not args.workload:
            parser.error("--workload is missing (or a file of records)")
        # Like Ctrl-C: stop the run that is under way.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        rows = [r for r in rec.load(measure(args)).records if r["valid"]]
    except (Stopped, ConfError, OSError) as error:
        print(f"compare: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("compare: interrupted", file=sys.stderr)
        return 130
    sides: list[dict[tuple[Any, ...], list[rec.Record]]] = [{}, {}]
    for row in rows:
        sides["ab".index(rec.cell_of(row)[1])].setdefault(load_point(row), []).append(row)
    return show(sides, args)


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
