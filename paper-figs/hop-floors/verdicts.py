# SPDX-License-Identifier: BSD-2-Clause
"""No paper prints the floor: there is nothing to judge, but a table of every hop over its floor."""
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Mapping, Sequence

from stats import Estimate
from tables import Table
from verdicts import Published, Verdict

sys.path.insert(0, str(Path(__file__).resolve().parent))
from floors import held_against, value  # noqa: E402

Rows = Sequence[Mapping[str, Any]]


def judge(records: Rows, reference: Sequence[Published]) -> list[Verdict]:
    """Nothing of this is published."""
    del records, reference
    return []


def tables(records: Rows) -> list[tuple[str, Table]]:
    """A dataplane's hop, the bare mechanism below it, and the ratio, all of one run."""
    table = Table(("Hop", "Placement", "ns, one way", "Its floor", "ns", "Hop / floor"), numeric=2,
                  caption="16 bytes, one way, between two processes without gateway and functions: perhop's hooks (descriptor checked, "
                  "ownership passed on) against the bare mechanism. Medians with the interval that holds the true median with 95 %; the "
                  "ratio is that of the same repetition.")
    for hop, placement, floor in held_against(records):
        table.rows.append((hop, placement, _text(value(records, hop, placement, "ns"), "{:.0f}"), floor,
                           _text(value(records, floor, placement, "ns"), "{:.0f}"),
                           _text(value(records, hop, placement, "over_floor"), "{:.2f}")))
    return [("A hop over its floor", table)] if table.rows else []


def _text(e: Estimate | None, form: str) -> str:
    """'2.39 [2.30, 2.51]'; a dash when it was not measured."""
    if e is None:
        return "–"
    if e.low is None or e.high is None:
        return form.format(e.value)
    return f"{form.format(e.value)} [{form.format(e.low)}, {form.format(e.high)}]"
