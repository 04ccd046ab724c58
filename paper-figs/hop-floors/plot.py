# SPDX-License-Identifier: BSD-2-Clause
"""What one hop costs by mechanism, placement and payload, next to the machine's own floor of the same run."""
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np

import style
from experiment import Experiment, read
from stats import median_interval

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from floors import bare  # noqa: E402
from hops import PLACES, price, sizes  # noqa: E402

Rows = Sequence[Mapping[str, Any]]
APART = 1.5             # two floors as ratio, for their names to be readable one above the other


def draw(records: Rows, out_dir: Path) -> list[tuple[str, str]]:
    """Draw latency and CPU per hop, a panel per placement. Returns (file stem, caption)."""
    style.apply()
    conf = read(HERE)
    places = [p for p in PLACES if sizes(conf, records, p)]
    if not places:
        return []
    fig, grid = plt.subplots(2, len(places), figsize=(style.TEXT, 3.6), sharey="row", squeeze=False)
    handles: dict[str, Any] = {}
    floors = " in this run" if any(bare(records, p, "ns") for p in PLACES.values()) else " (not in this run)"
    for column, place in enumerate(places):
        for row, (key, label) in enumerate((("latency_us.p50", "one way, µs"), ("ccr_us", "CPU, µs"))):
            ax = grid[row][column]
            lines = _panel(ax, conf, records, place, key)
            handles.update(lines)
            for name, value in _labels(bare(records, PLACES[place], "cpu_ns" if row else "ns")):
                ax.axhline(value, color=style.QUIET, linewidth=0.6, linestyle=(0, (1, 1.5)))
                ax.annotate(name, (1, value), xycoords=("axes fraction", "data"), xytext=(2, 0),
                            textcoords="offset points", fontsize=5, color=style.QUIET, va="center",
                            annotation_clip=False)
            ax.set_xscale("log", base=2)
            ticks = sizes(conf, records, place)
            ax.set_xlim(ticks[0] / 2, ticks[-1] * 2)
            ax.set_xticks(ticks, [f"{s >> 10} Ki" if s >= 1024 else str(s) for s in ticks])
            ax.xaxis.set_tick_params(which="minor", length=0)
            ax.set_title(f"{label} per hop, {PLACES[place]}")
            if row:
                ax.set_xlabel("payload, bytes")
    for axes in grid:       # they share their y axis
        drawn = [y for ax in axes for line in ax.get_lines() for y in np.asarray(line.get_ydata(), dtype=float) if y > 0]
        if drawn:
            style.log_axis(axes[0].yaxis, min(drawn) * 0.8, max(drawn) * 1.25)
    style.legend_above(fig, list(handles.values()), list(handles), fontsize=5.6)
    style.save(fig, out_dir, "hop-floors")
    return [("hop-floors",
             "One hop within a chain, one request at a time: medians of (six functions less two) / 4, with the exact "
             "99 % interval of the median where there are runs enough. Dotted: what the machine itself charges, from "
             f"perhop floor{floors}. A difference that the noise made negative is not drawn. " + style.CUT)]


def _labels(floors: Mapping[str, float]) -> list[tuple[str, float]]:
    """(text, µs) of the lines to draw: mechanisms that cost nearly the same share one, or their names would overlap."""
    lines: list[tuple[str, float]] = []
    for name, value in sorted(floors.items(), key=lambda item: item[1]):
        if lines and value < APART * lines[-1][1]:
            lines[-1] = (f"{lines[-1][0]}; {name}", lines[-1][1])
        else:
            lines.append((name, value))
    return lines


def _panel(ax: Any, conf: Experiment, records: Rows, place: str, key: str) -> dict[str, Any]:
    lines: dict[str, Any] = {}
    for system in conf.systems:
        xs, estimates = [], []
        for size in sizes(conf, records, place):
            values = price(records, system, f"{place}-{size}", key)
            if not values:
                continue
            e = median_interval(values)
            if e.value <= 0:
                continue
            xs.append(size)
            estimates.append(e)
        line = style.interval_line(ax, xs, estimates, style.look(system))
        if line is not None:
            lines[conf.system_name(system)] = line
    return lines
