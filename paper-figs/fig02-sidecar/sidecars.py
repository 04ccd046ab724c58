# SPDX-License-Identifier: BSD-2-Clause
"""CPU of a function and its sidecar, whole and by layer, from this experiment's records."""
from __future__ import annotations

from typing import Any, Mapping

Row = Mapping[str, Any]

FUNCTION, SIDECAR = "f1", "f1/sidecar"


def pod_cpu(row: Row) -> float | None:
    """µs of a request in function and sidecar (their processes; softirqs belong to nobody)."""
    found = row["cpu_us"]
    return None if not found or found.get(FUNCTION) is None else found[FUNCTION] + (found.get(SIDECAR) or 0.0)


def parts(row: Row) -> tuple[float, float] | None:
    """(user, kernel) µs of a request in the sidecar's process, or the function's without one; None: not sampled."""
    if row["layers"] is None:
        return None
    by = row["layers"]["by"].get(SIDECAR) or row["layers"]["by"].get(FUNCTION)
    if by is None:
        return None
    user = by.get("user") or 0.0
    return user, sum(v or 0.0 for v in by.values()) - user


def kernel_share(row: Row) -> float | None:
    """Kernel's part of the sidecar's cycles, 0 to 1."""
    found = parts(row)
    return None if found is None or sum(found) <= 0 else found[1] / sum(found)


def share_with_softirqs(row: Row) -> float | None:
    """The same with the softirqs that ran on top of the sidecar's process, which its CPU clock counts."""
    found, whole = parts(row), (row["cpu_us"] or {}).get(SIDECAR)
    return None if found is None or not whole else max(0.0, 1 - found[0] / whole)
