# SPDX-License-Identifier: BSD-2-Clause
"""Throughput, CPU per request and CPU added by each call gate, over concurrency."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Sequence

import matplotlib.pyplot as plt

import style
from experiment import read
from records import select
from stats import dig, mean_interval

Rows = Sequence[Mapping[str, Any]]
HERE = Path(__file__).resolve().parent
COLOURS = {"futex": style.ORANGE, "none": style.GREEN, "model": style.SKY, "mpk": style.BLUE,
           "mprotect": style.VERMILION}
# Per request and function: trusted memory is closed and opened, a buffer is opened and closed.
FUNCTIONS = 2


def _added(records: Rows, system: str, point: str) -> list[float]:
    """CPU (µs per function call) above the runs without a gate of the same repetition."""
    base = {r["rep"]: dig(r, "ccr_us") for r in select(records, system="none", point=point)}
    return [(v - b) / FUNCTIONS for r in select(records, system=system, point=point)
            if (v := dig(r, "ccr_us")) is not None and (b := base.get(r["rep"])) is not None]


def draw(records: Rows, out_dir: Path) -> list[tuple[str, str]]:
    """Draw three panels. Returns (file stem, caption)."""
    style.apply()
    conf = read(HERE)
    points = [p for p in conf.points if select(records, point=p)]
    fig, axes = plt.subplots(1, 3, figsize=(style.TEXT, 2.2))
    everyone = [s for s in conf.systems if select(records, system=s)]
    gated = [s for s in everyone if s not in ("futex", "none")]

    def per_run(key: str) -> Any:
        return lambda s, p: [v for v in (dig(r, key) for r in select(records, system=s, point=p)) if v]

    for ax, label, systems, values in zip(
            axes, ("requests/s", "CPU per request (CCR), µs", "CPU added per function call, µs"),
            (everyone, everyone, gated),
            (per_run("rps"), per_run("ccr_us"), lambda s, p: _added(records, s, p))):
        width = 0.8 / max(len(systems), 1)
        for i, system in enumerate(systems):
            for j, point in enumerate(points):
                sample = values(system, point)
                if not sample:
                    continue
                e = mean_interval(sample)
                x = j + (i - (len(systems) - 1) / 2) * width
                ax.bar(x, e.value, width * 0.9, color=COLOURS[system],
                       label=conf.system_name(system) if j == 0 else None)
                if e.low is not None and e.high is not None:
                    ax.plot([x, x], [e.low, e.high], color="black", linewidth=0.6)
        ax.axhline(0, color="black", linewidth=0.4)
        ax.set_title(label)
        ax.set_xticks(range(len(points)), [str(conf.points[p]["users"]) for p in points])
        ax.set_xlabel("connections")
    handles, names = axes[0].get_legend_handles_labels()
    style.legend_above(fig, handles, names)
    style.save(fig, out_dir, "sure-gates")
    return [("sure-gates",
             "Gateway and two functions that do nothing. A call opens and closes the trusted memory and a buffer. "
             "'MPK, modelled' spins for published cycle counts and protects nothing. The added CPU is the "
             "difference to runs without a gate of the same repetition. 99 % t intervals from 3 runs on.")]
