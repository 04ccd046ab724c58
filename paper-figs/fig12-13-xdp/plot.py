# SPDX-License-Identifier: BSD-2-Clause
"""Figs 12 and 13 of SPRIGHT on this machine: throughput and latency with and without redirection, CPU by layer."""
from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any, Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

import style
from experiment import Experiment, read
from records import select
from stats import dig, mean_interval
from verdicts import number, published, reference

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from stacks import LAYERS, host, in_layers, kilocycles, runs  # noqa: E402

Rows = Sequence[Mapping[str, Any]]
HOST_CYCLES = "host kernel network cycles/request"
# Fig 13: thousands of cycles of the host's networking layer, without and with redirection.
PUBLISHED = {False: published(reference(), "fig13", "skmsg", HOST_CYCLES).number,
             True: published(reference(), "fig13", "skmsg+xdp/tc", HOST_CYCLES).number}
CURVES = ("c1", "c8", "c32", "c64", "c128")
LOOKS: dict[str, tuple[str, object, str]] = {
    "plain": (style.ORANGE, "-", "s"), "rules": (style.VERMILION, "-", "o"),
    "xdp-plain": (style.SKY, (0, (5, 1.5)), "d"), "xdp": (style.BLUE, "-", "D"),
    "tc": (style.GREEN, (0, (3, 1.2)), "^"), "rules-5000": (style.VERMILION, (0, (1.2, 1.2)), "P"),
    "xdp-5000": (style.BLUE, (0, (1.2, 1.2)), "X"),
    "http-plain": (style.QUIET, "-", "p"), "http-rules": (style.PURPLE, "-", "v"), "http-xdp": (style.PURPLE, (0, (3, 1.2)), "<"),
}
PAINT = {"netfilter": style.VERMILION, "host_stack": style.ORANGE, "redirect": style.BLUE, "device": style.SKY,
         "pod_stack": style.GREEN, "descriptor": style.PURPLE, "system": style.QUIET, "user": style.RULE}
SAID = {"host_stack": "host stack", "pod_stack": "pod stack", "system": "scheduler, system calls",
        "device": "veth, softirq", "user": "user code"}


def draw(records: Rows, out_dir: Path) -> list[tuple[str, str]]:
    """Draw both figures. Returns (file stem, caption) of each."""
    conf = read(HERE)
    return [_fig12(conf, records, out_dir), _fig13(conf, records, out_dir)]


def _point(ax: Axes, x: float, values: Sequence[float], colour: str, marker: str, label: str | None) -> None:
    """A mean with its interval at x."""
    e = mean_interval(values)
    ax.plot([x], [e.value], color=colour, marker=marker, linestyle="none", label=label)
    if e.low is not None and e.high is not None:
        ax.plot([x, x], [e.low, e.high], color=colour, linewidth=0.8)


def _curves(ax: Axes, conf: Experiment, records: Rows, key: str) -> None:
    for i, system in enumerate(conf.systems):
        colour, dash, marker = LOOKS[system]
        xs, ys = [], []
        beside = 1.035 ** (i - 1.5)         # so that intervals do not hide each other
        for point in CURVES:
            values = [v for v in (dig(r, key) for r in select(records, system=system, point=point)) if v is not None]
            if values:
                xs.append(float(conf.points[point]["users"]) * beside)
                ys.append(mean_interval(values).value)
                _point(ax, xs[-1], values, colour, marker, None)
        if xs:
            ax.plot(xs, ys, color=colour, linestyle=dash, label=conf.system_name(system))
    users = [float(conf.points[p]["users"]) for p in CURVES if select(records, point=p)]
    if users:
        ax.set_xscale("log")
        ax.set_xlim(min(users) / 1.3, max(users) * 1.3)
        ax.set_xticks(users, [f"{u:g}" for u in users])
        ax.xaxis.set_tick_params(which="minor", length=0, labelbottom=False)
    ax.set_xlabel("connections, kept alive")
    _from_zero(ax)


def _from_zero(ax: Axes) -> None:
    """A linear y axis from 0, with room for what is highest."""
    top = float(ax.dataLim.y1)
    ax.set_ylim(0, top * 1.08 if math.isfinite(top) and top > 0 else 1)
    style.axis_numbers(ax.yaxis)


def _fig12(conf: Experiment, records: Rows, out_dir: Path) -> tuple[str, str]:
    style.apply()
    systems = [s for s in conf.systems if select(records, system=s, point="new32")]
    fig, axes = plt.subplots(1, 4 if systems else 2, figsize=(style.TEXT, 2.1))
    for ax, (title, key) in zip(axes, (("requests/s", "rps"), ("mean latency, µs", "latency_us.mean"))):
        _curves(ax, conf, records, key)
        ax.set_title(title)
    handles, names = axes[0].get_legend_handles_labels()
    for ax, (title, key) in zip(axes[2:], (("requests/s", "rps"), ("mean latency, µs", "latency_us.mean"))):
        for x, system in enumerate(systems):
            values = [v for v in (dig(r, key) for r in select(records, system=system, point="new32")) if v is not None]
            if values:
                _point(ax, x, values, LOOKS[system][0], LOOKS[system][2], None)
        ax.set_title(title)
        ax.set_xlim(-0.6, len(systems) - 0.4)
        ax.set_xticks([])
        ax.set_xlabel("32 users, new connections")
        _from_zero(ax)
    style.legend_above(fig, handles, names, fontsize=5.8, ncol=5)
    style.save(fig, out_dir, "fig12-xdp")
    return ("fig12-xdp", "Client node → node → gateway's pod → two functions on SK_MSG, 256 bytes, no think time: the "
            "node's stack with and without 1,000 kube-proxy rules, and XDP at the uplink with TC at the pod redirecting "
            "past it. Means with 99 % t intervals (from 3 runs on); all, the client too, on the same CPUs.")


def _bars(ax: Axes, conf: Experiment, records: Rows, point: str) -> None:
    systems = [s for s in conf.systems if runs(records, s, point)]
    for x, system in enumerate(systems):
        sampled = runs(records, system, point)
        base = 0.0
        for layer in LAYERS:
            height = mean_interval([v for v in (in_layers(r, (layer,)) for r in sampled) if v is not None]).value
            ax.bar(x, height, 0.7, bottom=base, color=PAINT[layer], label=SAID.get(layer, layer) if not x else None)
            base += height
        e = mean_interval([v for v in map(in_layers, sampled) if v is not None])
        if e.low is not None and e.high is not None:
            ax.plot([x, x], [e.low, e.high], color=style.INK, linewidth=0.8)
        ax.text(x, max(base, e.high or 0), number(base), ha="center", va="bottom", fontsize=6 if len(systems) < 7 else 4.6)
    _name(ax, conf, systems)
    ax.grid(False, axis="x")
    ax.margins(y=0.12)


def _node(ax: Axes, conf: Experiment, records: Rows) -> None:
    """The node's networking layer in kilocycles, as Fig 13 prints it, with intervals."""
    systems = [s for s in conf.systems if runs(records, s, "stacks32") or runs(records, s, "stacks-new32")]
    for x, system in enumerate(systems):
        for point, marker, shift in (("stacks32", "o", -0.12), ("stacks-new32", "D", 0.12)):
            values = [kilocycles(r, us) for r in runs(records, system, point) if (us := host(r)) is not None]
            if values:
                _point(ax, x + shift, values, LOOKS[system][0], marker, None)
        ax.plot([x - 0.35, x + 0.35], [PUBLISHED["xdp" in system or system == "tc"]] * 2, color=style.INK,
                linestyle=(0, (1.2, 1.2)), linewidth=0.8)
    _name(ax, conf, systems)
    _from_zero(ax)
    ax.grid(False, axis="x")
    ax.set_title("node's networking, kcycles\n● kept alive  ◆ new  ┄ published")


def _name(ax: Axes, conf: Experiment, systems: Sequence[str]) -> None:
    """The systems below their bars: in two lines each, or upright where they are many."""
    names = [conf.system_name(s).replace("'s stack", "") for s in systems]
    if len(systems) < 6:
        ax.set_xticks(range(len(systems)), [n.replace(", ", ",\n") for n in names], fontsize=5.2)
    else:
        ax.set_xticks(range(len(systems)), names, fontsize=4.8, rotation=90)


def _fig13(conf: Experiment, records: Rows, out_dir: Path) -> tuple[str, str]:
    style.apply()
    bars = [(point, title) for point, title in (("stacks32", "µs of CPU per request,\nconnections kept alive"),
                                                ("stacks-new32", "µs of CPU per request,\na connection per request"))
            if any(runs(records, s, point) for s in conf.systems)]
    fig, axes = plt.subplots(1, len(bars) + 1, figsize=(style.TEXT, 2.6), squeeze=False)
    axes = axes[0]
    for ax, (point, title) in zip(axes, bars):
        _bars(ax, conf, records, point)
        ax.set_title(title)
    _node(axes[-1], conf, records)
    handles, names = max((ax.get_legend_handles_labels() for ax in axes), key=lambda found: len(found[0]))
    style.legend_above(fig, handles, names, fontsize=5.8)
    style.save(fig, out_dir, "fig13-layers")
    return ("fig13-layers", "CPU by layer at 32 users, from stacks sampled every 251 µs in runs of their own; the client "
            "and what its node receives are left out. Bars are means, the number their sum, the line its 99 % t interval "
            "(from 3 runs on). Right: netfilter, host stack and redirect together, likewise; cycles are CPU time × TSC "
            "rate. `redirect` is what the acceleration itself costs: programs, FIB lookup, and on this veth uplink a copy of each frame "
            "into an XDP buffer, which a network card's driver would not make.")
