# SPDX-License-Identifier: BSD-2-Clause
"""The ledger: every published number once, in the order of published.csv, with exactly one verdict.

Experiments judge claims, mostly ratios of two numbers, since absolute times of another machine say
nothing. A number takes the verdict of the claim that is about it (the first of a claim's `rows`), else of
the first claim that rests on it. A claim that names no rows is about its artifact's only number, where there is but
one. A number without a claim is not-applicable-here, and the reason is one of:
its experiment is not part of this run, its experiment gave no verdict, or there is no experiment for it
(results/reference/unmeasured.csv says why).
"""
from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Mapping, Sequence

from records import ROOT
from verdicts import NOT_APPLICABLE, Published, Verdict

UNMEASURED = ROOT / "results" / "reference" / "unmeasured.csv"


@dataclass(frozen=True)
class Entry:
    """A published number and what became of it."""

    row: Published
    kind: str               # one of verdicts.KINDS
    claim: str              # what was compared; "" when nothing was
    measured: str
    sentence: str
    run_ids: tuple[str, ...] = ()
    experiment: str = ""    # folder that judged it; "": none
    is_input: bool = False  # taken over by a workload, and so no result

    def as_json(self) -> dict[str, Any]:
        """For verdicts.json."""
        r = self.row
        return {"artifact": r.artifact, "system": r.system, "condition": r.condition, "metric": r.metric,
                "published": f"{r.value} {r.unit}", "verdict": self.kind, "claim": self.claim,
                "measured": self.measured, "sentence": self.sentence, "experiment": self.experiment,
                "run_ids": list(self.run_ids), "input": self.is_input}


@lru_cache(maxsize=4)
def unmeasured(path: Path = UNMEASURED) -> Mapping[str, str]:
    """artifact -> why no experiment measures it."""
    with open(path, newline="", encoding="utf-8") as file:
        return {row["artifact"]: row["why"] for row in csv.DictReader(file)}


def ledger(rows: Sequence[Published], judged: Mapping[str, Sequence[Verdict]],
           homes: Mapping[str, Sequence[str]]) -> list[Entry]:
    """One entry per row. judged: folder -> its claims; homes: artifact -> folders that declare it, whether
    they are part of this run or not."""
    alone = {r.artifact: r for r in rows if sum(other.artifact == r.artifact for other in rows) == 1}
    claims = [(folder, replace(claim, rows=(alone[claim.artifact],)) if not claim.rows and claim.artifact in alone else claim)
              for folder, verdicts in judged.items() for claim in verdicts]
    return [_entry(row, claims, judged, homes.get(row.artifact, ())) for row in rows]


def _entry(row: Published, claims: Sequence[tuple[str, Verdict]], judged: Mapping[str, Sequence[Verdict]],
           homes: Sequence[str]) -> Entry:
    about = [(f, c) for f, c in claims if row in c.rows]
    about.sort(key=lambda pair: pair[1].rows.index(row))        # stable: the order of the paper
    # A claim that says nothing does not hide one that does.
    about.sort(key=lambda pair: pair[1].kind == NOT_APPLICABLE)
    if about:
        folder, claim = about[0]
        return Entry(row, claim.kind, claim.claim, claim.measured, claim.sentence, claim.run_ids, folder,
                     claim.is_input)
    here = [f for f in homes if f in judged]
    if here:
        why = f"No claim of {', '.join(here)} rests on this number." if any(judged[f] for f in here) else \
            f"{', '.join(here)} gave no verdicts in this run."
    elif homes:
        why = f"Its experiment, {', '.join(homes)}, is not part of this run."
    else:
        why = unmeasured().get(row.artifact, "No experiment of paper-figs/ measures it.")
    return Entry(row, NOT_APPLICABLE, "", "–", why)
