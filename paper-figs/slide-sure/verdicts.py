# SPDX-License-Identifier: BSD-2-Clause
"""What SURE's slides say of the boutique on one node and on two: a throughput ratio and two crossovers of CPU."""
from __future__ import annotations

from typing import Any, Mapping, Sequence

from records import run_ids, select
from stats import FEWEST, crossovers, dig
from verdicts import (NOT_APPLICABLE, NOT_REPRODUCED, REPRODUCED, TREND, Published, Verdict, missing,
                      number, published, ratio_verdict)

Rows = Sequence[Mapping[str, Any]]

SAME = 2.0      # a crossover is where two nearly parallel lines meet: the same within a factor of two


def judge(records: Rows, reference: Sequence[Published]) -> list[Verdict]:
    """The three published numbers."""
    eight = published(reference, "slide-sure", "sure", "throughput ratio", "vs skmsg")
    return [
        ratio_verdict("slide-sure", "throughput of SURE over SPRIGHT's, boutique on two nodes", eight.number,
                      select(records, system="sure-2", point="c16"), select(records, system="skmsg-2", point="c16"),
                      "rps", "16 connections", rows=[eight]),
        _crossover(records, published(reference, "slide-ccr", "sure", "crossover concurrency", "intra-node"),
                   "sure", "skmsg", "one node"),
        _crossover(records, published(reference, "slide-ccr", "sure", "crossover concurrency", "inter-node"),
                   "sure-2", "skmsg-2", "two nodes"),
    ]


def _samples(records: Rows, system: str) -> dict[int, list[float]]:
    """CCR of a system's runs by concurrency."""
    out: dict[int, list[float]] = {}
    for row in select(records, system=system):
        value = dig(row, "ccr_us")
        if value:
            out.setdefault(row["concurrency"], []).append(value)
    return out


def _crossover(records: Rows, row: Published, sure: str, skmsg: str, where: str) -> Verdict:
    """Above which concurrency does sure take less CPU per request than skmsg?"""
    claim = f"concurrency above which SURE takes less CPU per request than SPRIGHT, {where}"
    ours, theirs = _samples(records, sure), _samples(records, skmsg)
    shared = sorted(set(ours) & set(theirs))
    if len(shared) < 2:
        return missing("slide-ccr", claim, row.value, "Both systems have to run at two concurrencies.", rows=[row])
    a, b = [ours[c] for c in shared], [theirs[c] for c in shared]
    ids = (*run_ids(select(records, system=sure)), *run_ids(select(records, system=skmsg)))
    found = [c for c in crossovers(shared, a, b) if not c.upwards]
    if not found:
        less = sum(sum(x) / len(x) < sum(y) / len(y) for x, y in zip(a, b))
        side = "the less" if less == len(shared) else "the more" if not less else "neither steadily the less nor the more"
        return Verdict("slide-ccr", claim, row.value, "none", NOT_REPRODUCED,
                       f"From {shared[0]} to {shared[-1]} connections SURE takes {side}. The published crossing comes "
                       "from a receiver that polls; here both wait in the same way.", ids, (row,))
    at = found[0].at
    if min(map(len, (*a, *b))) < FEWEST:
        return Verdict("slide-ccr", claim, row.value, number(at.value), NOT_APPLICABLE,
                       "Too few runs for an interval.", ids, (row,))
    near = max(at.value / row.number, row.number / at.value) <= SAME
    low = number(at.low) if at.low is not None else f"below {shared[0]}"
    high = number(at.high) if at.high is not None else f"above {shared[-1]}"
    return Verdict("slide-ccr", claim, row.value, f"{number(at.value)} ({low} to {high})", REPRODUCED if near else TREND,
                   "Interpolated between the concurrencies that were run; 99 % interval by bootstrap.", ids, (row,))
