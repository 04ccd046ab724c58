# SPDX-License-Identifier: BSD-2-Clause
"""Reads callgrind's output: instructions by function (without what the function calls)."""
from __future__ import annotations

import re
from pathlib import Path

NAME = re.compile(r"^(c?fn)=\((\d+)\)(?: (.*))?$")
KEPT = 40               # functions in a baseline: the largest


def totals(path: Path) -> dict[str, int]:
    """Instructions of each function in a file."""
    names: dict[str, str] = {}
    out: dict[str, int] = {}
    current, skip = "", False
    for line in path.read_text(errors="replace").splitlines():
        match = NAME.match(line)
        if match:
            kind, number, name = match.groups()
            if name:
                names[number] = name.split("'")[0]
            if kind == "fn":
                current = names.get(number, "?")
        elif line.startswith("calls="):
            skip = True             # the next line is what the callee took
        elif line[:1].isdigit() or line[:1] in "+-*":
            parts = line.split()
            if not skip and len(parts) == 2 and parts[1].isdigit():
                out[current] = out.get(current, 0) + int(parts[1])
            skip = False
    return out


def by_function(few: Path, many: Path, requests: int) -> dict[str, float]:
    """Instructions per request by function; {} when a file is gone."""
    try:
        a, b = totals(few), totals(many)
    except OSError:
        return {}
    change = {f: (b.get(f, 0) - a.get(f, 0)) / requests for f in {*a, *b}}
    largest = sorted(change.items(), key=lambda c: -abs(c[1]))[:KEPT]
    return {f: round(n, 1) for f, n in largest if abs(n) >= 1}
