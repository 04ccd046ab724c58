# SPDX-License-Identifier: BSD-2-Clause
"""Fig 5 of SPRIGHT on this machine: throughput, both latencies, CPU and CCR over concurrency."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

import style
from experiment import Experiment, read
from records import select
from stats import dig, mean_interval
from verdicts import component_cpu

Rows = Sequence[Mapping[str, Any]]
Measure = Callable[[Mapping[str, Any]], "float | None"]
HERE = Path(__file__).resolve().parent

# One mechanism, one colour; how its receivers wait is the dash.
LOOKS: dict[str, tuple[str, object, str]] = {
    "knative": (style.VERMILION, "-", "o"),
    "skmsg": (style.BLUE, "-", "D"),
    "skmsg-adaptive": (style.BLUE, (0, (3, 1.2)), "d"),
    "uds": (style.PURPLE, "-", "s"),
    "futex": (style.ORANGE, "-", "v"),
    "futex-adaptive": (style.ORANGE, (0, (3, 1.2)), "<"),
    "dpdk": (style.SKY, (0, (5, 1.5, 1.2, 1.5)), "P"),
    "dpdk-spin": (style.SKY, (0, (1.2, 1.2)), "X"),
    "null": (style.GREEN, (0, (1.2, 1.2)), "^"),
}


def per_second(row: Mapping[str, Any]) -> float | None:
    """Throughput, requests/s."""
    return dig(row, "rps")


def published_latency(row: Mapping[str, Any]) -> float | None:
    """The paper's "latency": 1/RPS, in µs. Its numbers at 32 connections are this, by Little's law."""
    rps = dig(row, "rps")
    return 1e6 / rps if rps else None


def latency(row: Mapping[str, Any]) -> float | None:
    """Mean time from request to response, µs."""
    return dig(row, "latency_us.mean")


def tail(row: Mapping[str, Any]) -> float | None:
    """99th percentile of the same, µs."""
    return dig(row, "latency_us.p99")


def ccr(row: Mapping[str, Any]) -> float | None:
    """CPU time of gateway and functions per request, µs."""
    return dig(row, "ccr_us")


PANELS: tuple[tuple[str, Measure], ...] = (
    ("requests/s", per_second), ("1/RPS, µs (the paper's latency)", published_latency),
    ("mean latency, µs", latency), ("p99 latency, µs", tail),
    ("CPU of all components, % of a core", component_cpu), ("CPU per request (CCR), µs", ccr),
)


def draw(records: Rows, out_dir: Path) -> list[tuple[str, str]]:
    """Draw six panels over concurrency. Returns (file stem, caption)."""
    style.apply()
    conf = read(HERE)
    points = [p for p in conf.points if select(records, point=p)]
    fig, grid = plt.subplots(2, 3, figsize=(style.TEXT, 3.7), sharex=True)
    handles, names = [], []
    for ax, (label, measure) in zip(grid.flat, PANELS):
        lines = _panel(ax, conf, records, points, measure)
        ax.set_title(label)
        handles = [line for line, _ in lines] if len(lines) > len(handles) else handles
        names = [name for _, name in lines] if len(lines) > len(names) else names
    for ax in grid[1]:
        ax.set_xlabel("connections (closed loop)")
    style.legend_above(fig, handles, names, handlelength=2.2, fontsize=5.6)
    style.save(fig, out_dir, "fig05-event-vs-polling")
    runs = sorted({len(select(records, system=s, point=p)) for s in conf.systems for p in points
                   if select(records, system=s, point=p)})
    return [("fig05-event-vs-polling",
             "Gateway and two functions that do nothing, 256 bytes, no think time. Means with 99 % t intervals "
             f"(from 3 runs on) of {' to '.join(str(n) for n in dict.fromkeys((runs[0], runs[-1])))} runs. "
             "1/RPS is what the paper plots as latency; the latency a client sees is larger by the number of "
             "connections (Little's law). All axes are logarithmic. " + style.CUT)]


def _panel(ax: Axes, conf: Experiment, records: Rows, points: Sequence[str],
           measure: Measure) -> list[tuple[Any, str]]:
    """One quantity of all systems. Returns (line, name) of what was drawn."""
    lines, every = [], []
    for system in conf.systems:
        xs, estimates = [], []
        for point in points:
            rows = select(records, system=system, point=point)
            values = [v for v in map(measure, rows) if v]
            if not values:
                continue
            xs.append(rows[0]["concurrency"])
            estimates.append(mean_interval(values))
        line = style.interval_line(ax, xs, estimates, LOOKS.get(system) or style.look(system))
        if line is not None:
            lines.append((line, conf.system_name(system)))
            every += [e.value for e in estimates]
    if every:
        style.log_axis(ax.yaxis, min(every) * 0.8, max(every) * 1.25)
    users = sorted({float(conf.points[p]["users"]) for p in points})
    style.load_axis(ax, users)
    return lines
