# SPDX-License-Identifier: BSD-2-Clause
"""What the talk on Wallet prints of its channel, against shared memory and TCP on this machine."""
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Mapping, Sequence

from records import run_ids, select
from stats import ratio_interval
from verdicts import (NOT_APPLICABLE, NOT_REPRODUCED, REPRODUCED, TREND, Published, Verdict, judge_ratio, missing, number, published,
                      with_interval)

sys.path.insert(0, str(Path(__file__).resolve().parent))
from channel import shape, transfer  # noqa: E402

Rows = Sequence[Mapping[str, Any]]
SHARED = ("futex", "skmsg")
CHAIN = 8           # functions of the longest chain
NO_CVM = ("Without confidential VMs there is no bounce buffer and no encryption to save: this is the floor of "
          "Wallet's claim.")


def judge(records: Rows, reference: Sequence[Published]) -> list[Verdict]:
    """Both numbers: the largest saving over sizes, and that of the longest chain at 16 kB."""
    latency = published(reference, "wallet-latency", "shared-memory channel", "latency reduction")
    chain = published(reference, "wallet-chain", "shared-memory channel", "latency reduction")
    sizes = sorted({shape(r["label"].split("/")[2])[1] for r in records})
    return [_largest(latency, "transfer between two functions, the largest saving over message sizes", sizes, records),
            _largest(chain, f"a chain of {CHAIN} functions at 16 kB", [16384], records)]


def _largest(row: Published, what: str, sizes: Sequence[int], records: Rows) -> Verdict:
    """TCP's time over shared memory's; of several sizes, the one where it is largest."""
    claim, text = f"TCP over shared memory: {what}", f"{number(row.number)}×"
    system = next((s for s in SHARED if select(records, system=s)), SHARED[0])
    best = None
    for size in sizes:
        theirs, ours = (transfer(records, s, CHAIN, size) for s in ("http", system))
        if theirs and ours and min(theirs + ours) > 0:
            estimate = ratio_interval(theirs, ours)
            if best is None or estimate.value > best[0].value:
                best = estimate, size
    if best is None:
        return missing(row.artifact, claim, text, "No size with runs of both systems in which the channel's time stands "
                       "out from the request's.", [row])
    estimate, size = best
    rows = [r for s in ("http", system) for n in (1, CHAIN) for r in select(records, system=s, point=f"l{n}-{size}")]
    kind = judge_ratio(estimate, row.number)
    said = {REPRODUCED: "the ratio agrees with the published one", TREND: "the direction is the published one, the size "
            "is another", NOT_REPRODUCED: "the difference is not there, or points the other way",
            NOT_APPLICABLE: "the runs differ too much to tell"}[kind]
    return Verdict(row.artifact, claim, text, with_interval(estimate, "×"), kind,
                   f"At {size} B {said}. {NO_CVM}", run_ids(rows), (row,), row.number, estimate)
