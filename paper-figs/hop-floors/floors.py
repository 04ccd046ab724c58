# SPDX-License-Identifier: BSD-2-Clause
"""What plot.py and verdicts.py share: the hops that `perhop floor` measured in the same run."""
from __future__ import annotations

from typing import Any, Iterator, Mapping, Sequence

from stats import Estimate, median_interval

Rows = Sequence[Mapping[str, Any]]
# The machine's own mechanisms, with a short name.
BARE = {"cache-line": "cache line", "switch": "switch", "ring-spin": "ring, spin", "index-ring": "ring with indices, spin", "ring-yield": "ring, yield",
        "futex-bell": "ring + futex", "unix-seqpacket": "Unix packet"}


def hops(records: Rows) -> Iterator[Mapping[str, Any]]:
    """Every hop of every `perhop floor` among the records that was measured, in their order."""
    for record in records:
        for output in (record.get("output") or []) if record["valid"] else []:
            if output.get("kind") == "floor":
                yield from (h for h in output["hops"] if not h["skipped"])


def value(records: Rows, name: str, placement: str, key: str) -> Estimate | None:
    """`key` (ns, cpu_ns, over_floor) of a hop. One record has its own interval (95 %); of several it is that
    of the median of their medians. None: not measured."""
    found = [h[key] for h in hops(records)
             if (h["name"], h["placement"]) == (name, placement) and h[key]["median"] is not None]
    if len(found) == 1:
        return Estimate(found[0]["median"], found[0]["low"], found[0]["high"], 1, 0.95, "order statistics of perhop floor")
    return median_interval([f["median"] for f in found]) if found else None


def bare(records: Rows, placement: str, key: str) -> dict[str, float]:
    """Short name -> µs of the machine's own mechanisms in a placement; `key`: ns or cpu_ns."""
    found = {short: value(records, name, placement, key) for name, short in BARE.items()}
    return {short: e.value / 1e3 for short, e in found.items() if e is not None}


def held_against(records: Rows) -> list[tuple[str, str, str]]:
    """(hop, placement, its floor) of the dataplanes' hooks, each once."""
    return list(dict.fromkeys((h["name"], h["placement"], h["floor"]) for h in hops(records)
                              if h["floor"] and h["over_floor"]["median"] is not None))
