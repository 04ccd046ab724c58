# SPDX-License-Identifier: BSD-2-Clause
"""CPU by layer of this experiment's runs: µs of a request, by what `perhop run --layers` sampled."""
from __future__ import annotations

from typing import Any, Mapping, Sequence

from records import select

Row = Mapping[str, Any]

# The node's networking layer, as Fig 13 has it: its stack, netfilter, or what redirects past both.
HOST = ("host_stack", "netfilter", "redirect")
LAYERS = ("netfilter", "host_stack", "redirect", "device", "pod_stack", "descriptor", "system", "user")


def in_layers(row: Row, layers: Sequence[str] = LAYERS) -> float | None:
    """µs of a request in these layers; None when the run was not sampled."""
    found = row["layers"]
    return None if found is None else sum(found["us"].get(layer) or 0.0 for layer in layers)


def host(row: Row) -> float | None:
    """µs of a request in the node's networking layer."""
    return in_layers(row, HOST)


def kilocycles(row: Row, us: float) -> float:
    """Thousands of cycles in `us` µs on the machine of this run."""
    return us * row["layers"]["cycles_hz"] / 1e9


def runs(records: Sequence[Row], system: str, point: str) -> list[Row]:
    """Sampled runs of a cell."""
    return [r for r in select(records, system=system, point=point) if r["layers"] is not None]
