# SPDX-License-Identifier: BSD-2-Clause
"""The boutique on one node and on two: throughput, tail latency and CPU per request over concurrency."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

import style
from experiment import Experiment, read
from records import select
from stats import dig, mean_interval

Rows = Sequence[Mapping[str, Any]]
HERE = Path(__file__).resolve().parent
COLUMNS = (("requests/s", "rps"), ("p99 latency, µs", "latency_us.p99"), ("CPU per request (CCR), µs", "ccr_us"))

# One mechanism, one colour in both rows; dashed: kernel TCP where SURE has both.
LOOKS: dict[str, tuple[str, object, str]] = {
    "knative": (style.VERMILION, "-", "o"), "knative-2": (style.VERMILION, "-", "o"),
    "grpc": (style.PURPLE, "-", "s"), "grpc-2": (style.PURPLE, "-", "s"),
    "skmsg": (style.BLUE, "-", "D"), "skmsg-2": (style.BLUE, "-", "D"),
    "dpdk": (style.SKY, "-", "P"), "dpdk-2": (style.SKY, "-", "P"),
    "sure": (style.GREEN, "-", "^"), "sure-2": (style.GREEN, "-", "^"),
    "sure-2-kernel": (style.GREEN, (0, (3, 1.2)), "v"),
    "sure-2-plain": (style.GREEN, (0, (1.2, 1.2)), "<"),
}


def draw(records: Rows, out_dir: Path) -> list[tuple[str, str]]:
    """Two rows of three panels: one node, two nodes. Returns (file stem, caption)."""
    style.apply()
    conf = read(HERE)
    rows = [[s for s in conf.systems if "-2" not in s], [s for s in conf.systems if "-2" in s]]
    fig, grid = plt.subplots(2, 3, figsize=(style.TEXT, 3.9), sharex=True)
    handles: dict[str, Any] = {}
    for systems, axes, where in zip(rows, grid, ("one node", "two nodes")):
        for ax, (label, key) in zip(axes, COLUMNS):
            handles.update(_panel(ax, conf, records, systems, key))
            ax.set_title(f"{label}, {where}")
    for ax in grid[1]:
        ax.set_xlabel("connections (closed loop)")
    style.legend_above(fig, list(handles.values()), list(handles), handlelength=2.2, fontsize=5.6, ncol=5)
    style.save(fig, out_dir, "slide-sure")
    return [("slide-sure",
             "Online Boutique, no think time, on one node and on two (network namespaces joined by a veth, on the same "
             "CPUs as the load generator). All wait adaptively but DPDK, which yields. Means with 99 % t intervals (from "
             "3 runs on). Both rows of a column share their axis; all axes are logarithmic. " + style.CUT)]


def _panel(ax: Axes, conf: Experiment, records: Rows, systems: Sequence[str], key: str) -> dict[str, Any]:
    """One quantity of some systems. Returns name to line of what was drawn."""
    lines: dict[str, Any] = {}
    for system in systems:
        xs, estimates = [], []
        for point in conf.points:
            rows = select(records, system=system, point=point)
            values = [v for v in (dig(r, key) for r in rows) if v]
            if not values:
                continue
            xs.append(rows[0]["concurrency"])
            estimates.append(mean_interval(values))
        line = style.interval_line(ax, xs, estimates, LOOKS[system])
        if line is not None:
            lines[conf.system_name(system)] = line
    every = [v for r in records for v in [dig(r, key)] if v]
    if every:
        style.log_axis(ax.yaxis, min(every) * 0.8, max(every) * 1.25)
    users = sorted({r["concurrency"] for r in records})
    style.load_axis(ax, users)
    return lines
