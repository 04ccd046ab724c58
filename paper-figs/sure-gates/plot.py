# SPDX-License-Identifier: BSD-2-Clause
"""Throughput, CPU per request and CPU added by each call gate, over messages in flight."""
from __future__ import annotations

from typing import Any, Mapping, Sequence

import matplotlib.pyplot as plt

import style
from stats import median_interval
from surface import cells, load_of, pairs, samples

Rows = Sequence[Mapping[str, Any]]
CONTROL, NONE = "futex,wait=block", "sure:process,wait=block"
# Spec -> name and colour.
GATES = {CONTROL: ("futex (control)", style.ORANGE), NONE: ("no gate", style.GREEN),
         f"{NONE},gate=model": ("MPK, modelled", style.SKY), f"{NONE},gate=mpk": ("MPK", style.BLUE),
         f"{NONE},gate=mprotect": ("mprotect", style.VERMILION)}
# Per request and function: trusted memory is closed and opened, a buffer is opened and closed.
FUNCTIONS = 2
PLACE = "same-core"


def draw(records: Rows, out_dir: Any) -> list[tuple[str, str]]:
    """Draw three panels. Returns (file stem, caption)."""
    style.apply()
    found = [c for _, c in cells(records)]
    loads = list(dict.fromkeys(load_of(c) for c in found))
    specs = [s for s in GATES if any(c["spec"] == s for c in found)]
    if not specs:
        return []
    fig, axes = plt.subplots(1, 3, figsize=(style.TEXT, 2.2))
    gated = [s for s in specs if s not in (CONTROL, NONE)]
    for ax, label, shown, values in zip(
            axes, ("requests/s over futex's", "CPU per request (CCR), µs", "CPU added per function call, µs"),
            (specs, specs, gated),
            (lambda s, l: [x / y for x, y in pairs(records, s, CONTROL, PLACE, l, "rps") if y > 0],
             lambda s, l: [v for v in samples(records, s, PLACE, l, "ccr_us") if v],
             lambda s, l: [(x - y) / FUNCTIONS for x, y in pairs(records, s, NONE, PLACE, l, "ccr_us")])):
        width = 0.8 / max(len(shown), 1)
        for i, spec in enumerate(shown):
            for j, load in enumerate(loads):
                sample = values(spec, load)
                if not sample:
                    continue
                e = median_interval(sample)
                x = j + (i - (len(shown) - 1) / 2) * width
                ax.bar(x, e.value, width * 0.9, color=GATES[spec][1], label=GATES[spec][0] if j == 0 else None)
                if e.low is not None and e.high is not None:
                    ax.plot([x, x], [e.low, e.high], color=style.INK, linewidth=0.6)
        ax.set_title(label)
        ax.set_xticks(range(len(loads)), loads)
        ax.set_xlabel("messages in flight")
    axes[0].axhline(1, color=style.INK, linewidth=0.4)
    for ax in axes[1:]:
        drawn = [bar.get_height() for bar in ax.patches if bar.get_height() > 0]
        if drawn:
            style.log_axis(ax.yaxis, min(drawn) * 0.6, max(drawn) * 1.3)
    handles, names = axes[0].get_legend_handles_labels()
    style.legend_above(fig, handles, names)
    style.save(fig, out_dir, "sure-gates")
    reps = max(len(c["rps"]) for c in found)
    return [("sure-gates",
             "Gateway and two functions that do nothing, on one core, without client and HTTP. A call opens and closes "
             "the trusted memory and a buffer. 'MPK, modelled' spins for published cycle counts and protects nothing. "
             f"Left and right are medians of pairs of neighbouring runs (n = {reps}), with the exact 99 % interval "
             "of a median where there are runs enough.")]
