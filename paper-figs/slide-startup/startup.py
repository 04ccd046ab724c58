# SPDX-License-Identifier: BSD-2-Clause
"""What plot.py and verdicts.py read from the records of `perhop startup`."""
from __future__ import annotations

from typing import Any, Mapping, Sequence

from records import select

Rows = Sequence[Mapping[str, Any]]
PHASES = {"spawn": "spawn: fork, exec, VMM", "boot": "boot: firmware, kernel", "map": "map memory",
          "configure": "configure", "invoke": "first request"}


def outputs(records: Rows, system: str, point: str) -> list[Mapping[str, Any]]:
    """The JSON of each run of a runtime that measured something."""
    return [o for r in select(records, system=system, point=point) for o in r["output"] or [] if o["reps"]]


def values(records: Rows, system: str, point: str) -> list[float]:
    """ms from the first spawn to the last answer, one value per repetition of every run."""
    return [v for o in outputs(records, system, point) for v in o["all_ms_values"]]


def emulated(records: Rows, system: str) -> bool:
    """Did it run on an emulated CPU, so that its times are not to be judged?"""
    return any(o["emulated"] for r in select(records, system=system) for o in r["output"] or [])
