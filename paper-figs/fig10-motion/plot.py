# SPDX-License-Identifier: BSD-2-Clause
"""Fig 10 of SPRIGHT on this machine: response time and CPU over time."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Sequence

import style
import timeline
from experiment import read

Rows = Sequence[Mapping[str, Any]]
HERE = Path(__file__).resolve().parent
POINTS = ("trace", "hour")
BY = " Events come over HTTP as CloudEvents, or where the name says so over MQTT at QoS 1."


def draw(records: Rows, out_dir: Path) -> list[tuple[str, str]]:
    """Draw what the records allow. Returns (file stem, caption) of each figure."""
    style.apply()
    conf = read(HERE)
    done = [timeline.draw(conf, records, out_dir, p, f"fig10-{p}") for p in POINTS]
    return [(stem, caption + BY) for stem, caption in (d for d in done if d is not None)]
