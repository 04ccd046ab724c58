# SPDX-License-Identifier: BSD-2-Clause
"""Series of load points that differ in nothing but the number of connections, and what they show."""
from __future__ import annotations

from itertools import combinations
from typing import Any, Sequence

import records as rec
from experiment import Experiment
from lines import Panel, curve
from stats import crossovers, dig
from verdicts import number

# key of a record, name of the metric
METRICS = (("rps", "RPS"), ("response_us.p99", "p99"), ("ccr_us", "CPU per request"))


def sweep(records: Sequence[rec.Record]) -> dict[str, dict[int, list[rec.Record]]]:
    """system -> connections -> runs, of the longest such series without think time. {}: there is none."""
    found: dict[tuple[Any, ...], dict[str, dict[int, list[rec.Record]]]] = {}
    for record in rec.select(records):
        cell, load = rec.cell_of(record), record.get("load")
        if not rec.is_run(record) or cell is None or load["model"] != "closed" or any(load["think_ms"] or ()):
            continue
        key = (record["workload"], tuple(sorted(record["workload_options"].items())), tuple(record["service"].items()),
               record["placement"], record["instances"], load["keep_alive"])
        found.setdefault(key, {}).setdefault(cell[1], {}).setdefault(record["concurrency"], []).append(record)
    best = max(found.values(), key=lambda s: max(map(len, s.values())), default={})
    return {s: dict(sorted(by.items())) for s, by in best.items()} \
        if best and max(map(len, best.values())) > 1 else {}


def crossing_sentences(experiment: Experiment, records: Sequence[rec.Record]) -> list[str]:
    """Every place where two systems change their order, a sentence each."""
    out = []
    swept = sweep(records)
    order = [s for s in experiment.systems if s in swept]
    for first, second in combinations(order, 2):
        shared = [c for c in swept[first] if c in swept[second]]
        for key, name in METRICS:
            samples = [[[v for v in (dig(r, key) for r in swept[s][c]) if v is not None and v > 0] for c in shared]
                       for s in (first, second)]
            if len(shared) < 2 or not all(all(side) for side in samples):
                continue
            for crossing in crossovers(shared, *samples):
                if crossing.at.n >= 3 and crossing.at.low is None and crossing.at.high is None:
                    continue        # noise: the two may never cross
                out.append(_sentence(experiment, first, second, name, crossing, shared))
    return out


def _sentence(experiment: Experiment, first: str, second: str, name: str, crossing: Any,
              shared: Sequence[int]) -> str:
    above, below = (first, second) if crossing.upwards else (second, first)
    at = crossing.at
    if at.n < 3:
        interval = "no interval below 3 runs"
    else:
        low = number(at.low) if at.low is not None else f"below {shared[0]}"
        high = number(at.high) if at.high is not None else f"above {shared[-1]}"
        interval = f"99 % interval {low} to {high}, n = {at.n}"
    return (f"{name}: {experiment.system_name(above)} exceeds {experiment.system_name(below)} from {number(at.value)} "
            f"connections on ({interval}).")


def panels(experiment: Experiment, records: Sequence[rec.Record]) -> list[Panel]:
    """Throughput and CPU per request over connections, as line plots. []: there is no such series."""
    swept = sweep(records)
    found = []
    for title, key in (("requests/s", "rps"), ("p99 response time, µs", "response_us.p99"), ("CPU per request, µs", "ccr_us")):
        curves = {experiment.system_name(s): curve({c: [dig(r, key) for r in rows] for c, rows in swept[s].items()})
                  for s in experiment.systems if s in swept}
        found.append(Panel(title, "connections (closed loop, no think time)", curves))
    return found
