# SPDX-License-Identifier: BSD-2-Clause
"""Wallet's two curves on this machine: time per transfer over message size, and of a chain over its length."""
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

import style
from experiment import read
from records import select
from stats import mean_interval

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from channel import request, shape, transfer  # noqa: E402

Rows = Sequence[Mapping[str, Any]]
LOOKS = {"http": (style.ORANGE, (0, (5, 1.5)), "s"), "skmsg": (style.BLUE, "-", "D"), "futex": (style.GREEN, "-", "v")}


def draw(records: Rows, out_dir: Path) -> list[tuple[str, str]]:
    """Two panels side by side. Returns (file stem, caption)."""
    style.apply()
    conf = read(HERE)
    there = {shape(p) for p in conf.points if select(records, point=p)}
    sizes, lengths = sorted({s for _, s in there}), sorted({n for n, s in there if s == 16384})
    fig, (left, right) = plt.subplots(1, 2, figsize=(style.TEXT * 0.72, 2.1))
    counts: set[int] = set()
    handles = {}
    for system in conf.systems:
        curve = {s: transfer(records, system, max((n for n, z in there if z == s)), s) for s in sizes}
        chain = {n: list(request(records, system, n, 16384).values()) for n in lengths}
        counts |= {len(v) for c in (curve, chain) for v in c.values() if v}
        for ax, data in ((left, curve), (right, chain)):
            line = _line(ax, {x: v for x, v in data.items() if v and min(v) > 0}, system)
            if line is not None:
                handles.setdefault(conf.system_name(system), line)
    _axes(left, sizes, "message, bytes", "µs per transfer")
    _axes(right, lengths, "functions in the chain", "µs per request, 16 KB")
    style.legend_above(fig, list(handles.values()), list(handles), handlelength=2.4)
    style.save(fig, out_dir, "wallet-channel")
    n = f"n = {min(counts)}" + (f" to {max(counts)}" if max(counts) > min(counts) else "") if counts else "n = 0"
    return [("wallet-channel", "Left: time from one function to the next (a chain's mean time less that of one function, "
             "over its transfers). Right: mean time of a request of 16 KB over the length of the chain. One request at a "
             f"time, all on one core; means with 99 % t intervals (from 3 runs on), {n}. Axes are logarithmic. " + style.CUT)]


def _line(ax: Axes, data: Mapping[int, Sequence[float]], system: str) -> Any:
    """One system's means with intervals; None without data."""
    return style.interval_line(ax, list(data), [mean_interval(v) for v in data.values()],
                               LOOKS.get(system) or style.look(system))


def _axes(ax: Axes, xs: Sequence[int], x_label: str, title: str) -> None:
    """Logarithmic axes with plain numbers."""
    lines = [y for line in ax.get_lines() for y in line.get_ydata() if y > 0]
    if lines:
        style.log_axis(ax.yaxis, min(lines) * 0.7, max(lines) * 1.4)
    ax.set_xscale("log", base=2)
    if xs:
        ax.set_xlim(xs[0] / 1.3, xs[-1] * 1.3)
        ax.set_xticks(xs, [style.short(x) if x < 1024 else f"{x // 1024} Ki" for x in xs])
    ax.xaxis.set_tick_params(which="minor", length=0)
    ax.set_xlabel(x_label)
    ax.set_title(title)

