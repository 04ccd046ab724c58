# SPDX-License-Identifier: BSD-2-Clause
"""Data of plot.gp: response time and CPU over time."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Sequence

import overtime
from experiment import read
from lines import Panel

POINTS = ("bursts", "published")


def panels(records: Sequence[Mapping[str, Any]]) -> list[Panel]:
    """Those of the first load point that was run."""
    conf = read(Path(__file__).resolve().parent)
    return next((found for p in POINTS if (found := overtime.panels(conf, records, p))), [])
