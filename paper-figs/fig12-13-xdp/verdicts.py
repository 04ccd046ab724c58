# SPDX-License-Identifier: BSD-2-Clause
"""What Figs 12 and 13 print, against this machine's runs; and what rules cost with and without redirection."""
from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Mapping, Sequence

from records import run_ids, select
from stats import mean_interval, ratio_interval
from verdicts import (NOT_REPRODUCED, REPRODUCED, TREND, Published, Verdict, missing, number, published, ratio_verdict,
                      with_interval)

sys.path.insert(0, str(Path(__file__).resolve().parent))
from stacks import host, in_layers, kilocycles, runs  # noqa: E402

Rows = Sequence[Mapping[str, Any]]
NOTHING = 0.02      # of the layer: what a path past netfilter may still show of it, by other frames
LOADS = {"c32": "32 connections, kept alive", "new32": "32 users, a connection per request"}


def judge(records: Rows, reference: Sequence[Published]) -> list[Verdict]:
    """Fig 12's ratio of throughputs and of latencies, its absolute values; Fig 13's saving in the host's stack."""
    def of(artifact: str, system: str, metric: str, condition: str = "") -> Published:
        return published(reference, artifact, system, metric, condition)

    gain = of("fig12", "skmsg+xdp/tc", "throughput ratio on/off")
    on, off = (of("fig12", s, "latency", "32") for s in ("skmsg+xdp/tc", "skmsg"))
    out = []
    for point, where in LOADS.items():
        a, b = (select(records, system=s, point=point) for s in ("xdp", "rules"))
        out.append(ratio_verdict("fig12", f"throughput with redirection over without, {where}", gain.number, a, b, "rps", where,
                                 rows=[gain]))
        out.append(ratio_verdict("fig12", f"latency with redirection over without, {where}", on.number / off.number, a, b,
                                 "latency_us.mean", where, rows=[on, off]))
    peak = of("fig12", "skmsg+xdp/tc", "throughput", "peak")
    out.append(missing("fig12", "peak throughput with redirection", f"{number(peak.number)} {peak.unit}",
                       "Absolute throughput of another machine is not compared. Its latency of 19 µs at 32 is 1/RPS.",
                       [peak]))
    rows = [of("fig13", s, "host kernel network cycles/request") for s in ("skmsg", "skmsg+xdp/tc")]
    for point, where in (("stacks32", LOADS["c32"]), ("stacks-new32", LOADS["new32"])):
        out.append(_saving(records, point, where, rows))
    for system, base, rules, name in (("rules", "plain", "1,000", "the node's stack"),
                                      ("xdp", "xdp-plain", "1,000", "redirection"),
                                      ("rules-5000", "plain", "5,000", "the node's stack"),
                                      ("xdp-5000", "xdp-plain", "5,000", "redirection")):
        if rules == "1,000" or runs(records, system, "stacks-new32"):
            out.append(_growth(records, system, base, rules, name))
    return out


def _saving(records: Rows, point: str, where: str, rows: Sequence[Published]) -> Verdict:
    before, after = (row.number for row in rows)
    a, b = runs(records, "xdp", point), runs(records, "rules", point)
    verdict = ratio_verdict("fig13", f"cycles in the node's networking layer, with redirection over without, {where}",
                            after / before, a, b, host, where, rows=rows)
    if not a or not b:
        return verdict
    ours = [sum(kilocycles(r, host(r) or 0.0) for r in side) / len(side) for side in (b, a)]
    return replace(verdict, published=f"{number(before)} → {number(after)} kcycles",
                   sentence=f"{number(ours[0])} → {number(ours[1])} kcycles here: netfilter, forwarding, and what "
                   f"redirects. {verdict.sentence}")


def _growth(records: Rows, system: str, base: str, rules: str, name: str) -> Verdict:
    """The node's networking layer with rules over none: the paper's reason to redirect, and what that promises."""
    claim = f"CPU in the node's networking layer with {rules} rules over none, {name}, a connection per request"
    grows = base == "plain"
    text = "grows" if grows else "does not grow"
    a, b = runs(records, system, "stacks-new32"), runs(records, base, "stacks-new32")
    x, y = ([v for v in map(host, rows) if v is not None] for rows in (a, b))
    if not x or not y or sum(y) <= 0:
        return missing("fig13", claim, text, "No sampled runs of both in this profile.")
    e = ratio_interval(x, y)
    netfilter = mean_interval([v for v in (in_layers(r, ("netfilter",)) for r in a) if v is not None]).value
    shown = e.low is not None and e.low > 1
    if grows:
        kind = REPRODUCED if shown else TREND if e.value > 1 else NOT_REPRODUCED
    else:
        kind = REPRODUCED if not shown and netfilter < NOTHING * sum(x) / len(x) else NOT_REPRODUCED
    return Verdict("fig13", claim, text, with_interval(e, "×"), kind,
                   f"{number(sum(y) / len(y))} → {number(sum(x) / len(x))} µs a request, netfilter {number(netfilter)} of "
                   "them with the rules.", (*run_ids(a), *run_ids(b)))
