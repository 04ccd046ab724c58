# SPDX-License-Identifier: BSD-2-Clause
"""The slides' claim that unikernels start about four times as fast as Docker containers."""
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Mapping, Sequence

from records import run_ids, select
from stats import ratio_interval
from verdicts import Published, Verdict, judge_ratio, missing, number, published, with_interval

sys.path.insert(0, str(Path(__file__).resolve().parent))
from startup import emulated, values  # noqa: E402

Rows = Sequence[Mapping[str, Any]]
CLAIM = "a unikernel starts faster than a container"


def judge(records: Rows, reference: Sequence[Published]) -> list[Verdict]:
    """runc's time over the unikernel's, on hardware that runs virtual machines."""
    row = published(reference, "slide-startup", "unikernel", "startup speed-up")
    text = f"{number(row.number)}×"
    container, unikernel = values(records, "runc", "cold"), values(records, "unikernel", "cold")
    if not container or not unikernel:
        return [missing("slide-startup", CLAIM, text, "No runs of both in this profile.", (row,))]
    if emulated(records, "unikernel"):
        return [missing("slide-startup", CLAIM, text, "There is no VMX or SVM here: the unikernel ran on an emulated "
                        "CPU, whose times are not to be judged. The container is runc alone, without Docker's "
                        "daemon.", (row,))]
    e = ratio_interval(container, unikernel)
    ids = run_ids([*select(records, system="runc", point="cold"), *select(records, system="unikernel", point="cold")])
    return [Verdict("slide-startup", CLAIM, text, with_interval(e, "×"), judge_ratio(e, row.number),
                    "The container is runc alone, without Docker's daemon; QEMU's own start is in the unikernel's time.",
                    ids, (row,), row.number, e)]
