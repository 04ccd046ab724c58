# SPDX-License-Identifier: BSD-2-Clause
"""The folder of one gate: its plan, its records, the baseline; and a verdict's row."""
from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator

Job = dict[str, Any]

OK, BETTER, NEW, WORSE, UNKNOWN = "ok", "better", "new", "REGRESSION", "undecided"
UNTRACED = "no segment"


@dataclass
class Row:
    """One measure with its verdict."""

    tier: str           # "hard", "soft"
    cell: str           # "skmsg echo,length=2", or "program"
    measure: str        # "copies", "wake-ups", "CPU of f1, relative to the others"…
    where: str          # component and segment
    verdict: str        # one of the above
    base: float | None
    now: float | None
    text: str           # by how much, how sure, the probe's breakdown
    key: str = ""       # in a baseline
    detail: dict[str, Any] = field(default_factory=dict)


class Gate:
    """What `perhop gate` has written so far."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan: dict[str, Any] = json.loads((folder / "plan.json").read_text())
        self.tier: int = self.plan["tier"]
        self.records: list[Job] = []
        path = folder / "records.jsonl"
        for line in path.read_text().splitlines() if path.exists() else []:
            self.records.append(json.loads(line))
        self.baseline: dict[str, Any] | None = None
        if self.plan["baseline"] and Path(self.plan["baseline"]).is_file():
            self.baseline = json.loads(Path(self.plan["baseline"]).read_text())

    def of(self, what: str, side: str | None = None, **keys: Any) -> Iterator[Job]:
        """Records of one kind, in the order in which they were made."""
        for r in self.records:
            if r["what"] == what and side in (None, r["side"]) and all(r.get(k) == v for k, v in keys.items()):
                yield r

    @property
    def same_program(self) -> bool:
        """Whether base and head differ in nothing but the revision they name: nothing is to be measured."""
        return bool(self.plan.get("same_program"))

    def sides(self) -> list[str]:
        """The programs that the hard tier measures: a baseline stands for its program."""
        return ["head", "base"] if self.plan["has_base"] else ["head"]


def cell_name(dataplane: str, workload: str) -> str:
    """The name of a cell."""
    return f"{dataplane} {workload}"
