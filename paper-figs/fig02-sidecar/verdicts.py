# SPDX-License-Identifier: BSD-2-Clause
"""Fig 2's three factors (3 to 7 each) and the kernel's share, against this machine's sidecars."""
from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

from records import run_ids, select
from stats import dig, mean_interval, ratio_interval
from verdicts import (NOT_REPRODUCED, REPRODUCED, TREND, Published, Verdict, missing, published, with_interval)

sys.path.insert(0, str(Path(__file__).resolve().parent))
from sidecars import kernel_share, pod_cpu, share_with_softirqs  # noqa: E402

Rows = Sequence[Mapping[str, Any]]
NEAR = 0.15         # of the share: 50 % is read off a bar chart
PROXIES = {"nginx": "NGINX", "queue-proxy": "queue-proxy"}
WHO = "sidecar (queue-proxy, envoy, of-watchdog)"
METRICS: tuple[tuple[str, str, Callable[[Mapping[str, Any]], "float | None"], bool], ...] = (
    ("throughput reduction", "throughput without over with", lambda r: dig(r, "rps"), True),
    ("latency increase", "mean latency with over without", lambda r: dig(r, "latency_us.mean"), False),
    ("CPU cycles/request increase", "CPU of function and sidecar over the function's alone", pod_cpu, False),
)


def judge(records: Rows, reference: Sequence[Published]) -> list[Verdict]:
    """Each factor for each proxy; the kernel's share of each; envoy and of-watchdog are not here."""
    out = []
    for metric, words, measure, inverse in METRICS:
        row = published(reference, "fig2", WHO, metric)
        low, high = (float(v) for v in row.value.split(".."))
        out += [replace(_factor(records, system, name, words, measure, inverse, low, high), rows=(row,))
                for system, name in PROXIES.items()]
    row = published(reference, "fig2", "sidecar", "kernel stack share of sidecar cycles")
    out += [replace(_share(records, system, name, row.number), rows=(row,)) for system, name in PROXIES.items()]
    out.append(missing("fig2", "envoy and of-watchdog", "in the 3 to 7", "Neither is a Debian package; not run."))
    return out


def _factor(records: Rows, system: str, name: str, words: str, measure: Callable[[Mapping[str, Any]], "float | None"],
            inverse: bool, low: float, high: float) -> Verdict:
    claim, text = f"{words}, {name}", f"{low:g} to {high:g}×"
    a, b = (select(records, system=s, point="c32") for s in (system, "none"))
    x, y = ([v for v in map(measure, rows) if v is not None] for rows in (a, b))
    if not x or not y:
        return missing("fig2", claim, text, "No runs of both in this profile.")
    e = ratio_interval(y, x) if inverse else ratio_interval(x, y)
    at_least = e.low if e.low is not None else e.value / 1.5
    at_most = e.high if e.high is not None else e.value * 1.5
    kind = REPRODUCED if at_most >= low and at_least <= high and at_least > 1 else TREND if at_least > 1 else NOT_REPRODUCED
    said = {REPRODUCED: "Within the published range, as far as can be told.",
            TREND: "The direction is the published one, the size is not.",
            NOT_REPRODUCED: "No difference is shown."}[kind]
    gateway = "" if measure is pod_cpu else " The gateway before both, and the client, share the CPUs: that dilutes it."
    return Verdict("fig2", claim, text, with_interval(e, "×"), kind, said + gateway, (*run_ids(a), *run_ids(b)))


def _share(records: Rows, system: str, name: str, expected: float) -> Verdict:
    claim, text = f"kernel's share of the sidecar's cycles, {name}", f"{expected:.0%}"
    rows = select(records, system=system, point="stacks")
    values = [v for v in map(kernel_share, rows) if v is not None]
    if not values:
        return missing("fig2", claim, text, "No sampled runs in this profile.")
    e = mean_interval(values)
    measured = f"{e.value:.0%}"
    if e.low is not None and e.high is not None:
        measured += f" ({e.low:.0%} to {e.high:.0%}, n = {e.n})"
    kind = REPRODUCED if abs(e.value - expected) <= NEAR else NOT_REPRODUCED
    more = [v for v in map(share_with_softirqs, rows) if v is not None]
    said = f" With those that ran on top of it: {sum(more) / len(more):.0%}." if more else ""
    return Verdict("fig2", claim, text, measured, kind, "Of its own process, by sampled stacks; softirqs, which run on "
                   f"top of whoever is interrupted, are not in it.{said}", run_ids(rows))
