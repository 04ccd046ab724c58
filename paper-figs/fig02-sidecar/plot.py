# SPDX-License-Identifier: BSD-2-Clause
"""Fig 2 of SPRIGHT on this machine: throughput, latency and CPU of a function by its sidecar."""
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

import style
from experiment import read
from records import select
from stats import dig, mean_interval

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from sidecars import parts, pod_cpu  # noqa: E402

Rows = Sequence[Mapping[str, Any]]
COLOURS = {"none": style.GREEN, "nginx": style.VERMILION, "queue-proxy": style.ORANGE, "shared": style.SKY,
           "library": style.BLUE}


def draw(records: Rows, out_dir: Path) -> list[tuple[str, str]]:
    """Draw four panels. Returns (file stem, caption)."""
    style.apply()
    conf = read(HERE)
    systems = [s for s in conf.systems if select(records, system=s, point="c32")]
    fig, axes = plt.subplots(1, 4, figsize=(style.TEXT, 2.3))
    panels: tuple[tuple[str, Callable[[Mapping[str, Any]], "float | None"]], ...] = (
        ("requests/s", lambda r: dig(r, "rps")), ("p99 latency, µs", lambda r: dig(r, "latency_us.p99")),
        ("CPU of function and\nsidecar, µs per request", pod_cpu))
    for ax, (title, measure) in zip(axes, panels):
        for x, system in enumerate(systems):
            _bar(ax, x, [v for v in map(measure, select(records, system=system, point="c32")) if v is not None],
                 COLOURS[system])
        ax.set_title(title)
    _shares(axes[3], records, systems)
    for ax in axes:
        ax.set_xticks(range(len(systems)), [conf.system_name(s) for s in systems], rotation=35, ha="right",
                      rotation_mode="anchor")
        ax.grid(False, axis="x")
        ax.margins(y=0.12)
        style.axis_numbers(ax.yaxis)
    style.save(fig, out_dir, "fig02-sidecar")
    return [("fig02-sidecar",
             "One function behind each sidecar, 98 % of requests 100 bytes, 2 % 10 KB, 32 connections. Gateway and client "
             "run on the same CPUs, so throughput is not the sidecar's alone; CPU of function and sidecar is. Right: where "
             "the sidecar's process (the function's, where there is none) spends it, from sampled stacks in runs of their "
             "own. Means with 99 % t intervals (from 3 runs on).")]


def _bar(ax: Axes, x: float, values: Sequence[float], colour: str) -> None:
    if not values:
        return
    e = mean_interval(values)
    ax.bar(x, e.value, 0.7, color=colour)
    top = e.value
    if e.low is not None and e.high is not None:
        ax.plot([x, x], [max(0.0, e.low), e.high], color=style.INK, linewidth=0.6)
        top = max(top, e.high)
    ax.text(x, top, style.short(float(f"{e.value:.3g}")), ha="center", va="bottom", fontsize=5.5)


def _shares(ax: Axes, records: Rows, systems: Sequence[str]) -> None:
    """User and kernel µs, stacked."""
    for x, system in enumerate(systems):
        found = [p for p in map(parts, select(records, system=system, point="stacks")) if p is not None]
        if not found:
            continue
        user, kernel = (mean_interval([p[i] for p in found]).value for i in (0, 1))
        ax.bar(x, user, 0.7, color=COLOURS[system], alpha=0.45, label="user" if not x else None)
        ax.bar(x, kernel, 0.7, bottom=user, color=COLOURS[system], label="kernel" if not x else None)
        ax.text(x, user + kernel, f"{100 * kernel / (user + kernel):.0f} %" if user + kernel else "", ha="center",
                va="bottom", fontsize=5.5)
    ax.set_title("the sidecar's µs: user (light)\nand kernel, its share in %")
