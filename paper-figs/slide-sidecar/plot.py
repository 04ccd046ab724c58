# SPDX-License-Identifier: BSD-2-Clause
"""The slides' table of sidecars as bars: CPU and delay added per function call, and throughput."""
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Mapping, Sequence

import matplotlib.pyplot as plt

import style
from experiment import read
from records import select
from stats import dig, mean_interval

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from sidecar import PAIRS, added  # noqa: E402

Rows = Sequence[Mapping[str, Any]]
COLOURS = {"sure": style.SKY, "sure-library": style.BLUE, "http": style.GREEN,
           "http-nginx": style.VERMILION, "http-queue-proxy": style.ORANGE}


def draw(records: Rows, out_dir: Path) -> list[tuple[str, str]]:
    """Draw three panels over the message size. Returns (file stem, caption)."""
    style.apply()
    conf = read(HERE)
    points = [p for p in conf.points if select(records, point=p)]
    fig, axes = plt.subplots(1, 3, figsize=(style.TEXT, 2.2))
    panels = (("CPU added per call, µs", list(PAIRS), lambda s, p: added(records, s, p, "ccr_us")),
              ("mean delay added per call, µs", list(PAIRS),
               lambda s, p: added(records, s, p, "latency_us.mean")),
              ("requests/s", [s for s in conf.systems if s in COLOURS],
               lambda s, p: [v for v in (dig(r, "rps") for r in select(records, system=s, point=p)) if v]))
    for ax, (label, systems, values) in zip(axes, panels):
        width = 0.8 / len(systems)
        for i, system in enumerate(systems):
            for j, point in enumerate(points):
                sample = values(system, point)
                if not sample:
                    continue
                e = mean_interval(sample)
                x = j + (i - (len(systems) - 1) / 2) * width
                ax.bar(x, e.value, width * 0.9, color=COLOURS[system],
                       label=conf.system_name(system) if j == 0 else None)
                ax.text(x, max(e.value, 0), style.short(float(f"{e.value:.3g}")), ha="center", va="bottom", fontsize=4.5)
                if e.low is not None and e.high is not None:
                    ax.plot([x, x], [e.low, e.high], color=style.INK, linewidth=0.6)
        ax.axhline(0, color=style.INK, linewidth=0.4)
        style.axis_numbers(ax.yaxis)
        ax.set_title(label)
        ax.set_xticks(range(len(points)), [str(conf.points[p].get("title", p)) for p in points])
    handles, names = axes[2].get_legend_handles_labels()
    style.legend_above(fig, handles, names)
    style.save(fig, out_dir, "slide-sidecar")
    return [("slide-sidecar",
             "What a sidecar adds to one function call: the difference to the same pipeline without it, in pairs "
             "of runs of one repetition, divided by the two calls of a request. Library: all handlers, HMAC tokens "
             "included, on the chain alone, without client and HTTP, where so little can be told from noise. A "
             "difference below the noise can be negative. 99 % t intervals from 3 runs on.")]
