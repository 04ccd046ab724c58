# SPDX-License-Identifier: BSD-2-Clause
"""A verdict on each published number: ratios and orders are compared, never another machine's times.

    reproduced            the direction is shown beyond doubt, our value is within SAME_SIZE of the published
                          one, and no difference of more than TOLERANCE from it is shown
    trend-only            the direction is shown beyond doubt, and so is another size
    not-reproduced        no difference, or the opposite direction
    not-applicable-here   nothing to compare with on this machine or in this profile, or too noisy to
                          tell (our interval holds both the published ratio and 1), and why
    paper-inconsistent    the published number contradicts the document's own set-up, and how

An interval that straddles a border always falls on the same side of it: towards "no other size is shown".
So noise alone does not turn one verdict into another from run to run, unless an interval's end is at the border.

A claim (Verdict) may rest on several published numbers: its `rows`, the one that it is about first.
ledger.py makes exactly one verdict for each published number of them.
"""
from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

from records import ROOT, Record, run_ids
from stats import FEWEST, Estimate, dig, ratio_interval

REPRODUCED = "reproduced"
TREND = "trend-only"
NOT_REPRODUCED = "not-reproduced"
NOT_APPLICABLE = "not-applicable-here"
INCONSISTENT = "paper-inconsistent"
KINDS = (REPRODUCED, TREND, NOT_REPRODUCED, NOT_APPLICABLE, INCONSISTENT)

TOLERANCE = 0.25        # of a published ratio, which is mostly printed with one digit
SAME_SIZE = 2.0         # a wide interval holds anything: the value itself must be no further off
REFERENCE = ROOT / "results" / "reference" / "published.csv"


@dataclass(frozen=True)
class Published:
    """One row of results/reference/published.csv."""

    artifact: str
    system: str
    condition: str
    metric: str
    unit: str
    value: str
    source: str
    note: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What tells it from all other rows."""
        return self.artifact, self.system, self.condition, self.metric

    @property
    def number(self) -> float:
        """The value as a number. ValueError for a printed range or sequence."""
        return float(self.value)


@dataclass(frozen=True)
class Verdict:
    """What became of one published claim: a number, or a ratio of two."""

    artifact: str
    claim: str              # what is published, in words
    published: str          # the number with its unit
    measured: str           # ours with its interval, or a dash
    kind: str               # one of KINDS
    sentence: str
    run_ids: tuple[str, ...] = ()
    rows: tuple[Published, ...] = ()        # of published.csv, on which the claim rests
    expected: float | None = None           # of a ratio: the published one…
    estimate: Estimate | None = None        # …and ours, for the report's picture of both
    headline: bool = False                  # goes to the head of the report
    is_input: bool = False                  # taken over by a workload, and so no result

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no verdict is called {self.kind!r}")


@lru_cache(maxsize=4)
def reference(path: Path = REFERENCE) -> tuple[Published, ...]:
    """All published numbers."""
    with open(path, newline="", encoding="utf-8") as file:
        return tuple(Published(**row) for row in csv.DictReader(file))


def published(rows: Sequence[Published], artifact: str, system: str, metric: str,
              condition: str = "") -> Published:
    """The one row that fits; `condition` is part of the row's. LookupError unless exactly one does."""
    found = [r for r in rows if (r.artifact, r.system, r.metric) == (artifact, system, metric)
             and condition in r.condition]
    if len(found) != 1:
        raise LookupError(f"{len(found)} published rows for {artifact} {system} {metric} {condition!r}")
    return found[0]


def number(x: float) -> str:
    """Three significant digits, thousands apart, never scientific."""
    for limit, digits in ((99.95, 0), (9.995, 1), (0.9995, 2)):
        if abs(x) >= limit:
            return f"{x:,.{digits}f}"
    return f"{x:.3g}" if abs(x) >= 1e-4 else "0" if abs(x) < 1e-9 else f"{x:.7f}"


def with_half(value: float, half: float) -> str:
    """'356 ± 25': the half width to the decimals of the value."""
    text = number(value)
    return f"{text} ± {half:,.{len(text.partition('.')[2])}f}"


def with_interval(e: Estimate, unit: str = "") -> str:
    """'3.1× (2.9 to 3.3, n = 5)'; the unit follows the value."""
    if e.low is None or e.high is None:
        return f"{number(e.value)}{unit} (n = {e.n})"
    return f"{number(e.value)}{unit} ({number(e.low)} to {number(e.high)}, n = {e.n})"


def judge_ratio(e: Estimate, expected: float) -> str:
    """The verdict on a ratio (expected > 1 claims 'more', < 1 'less', 1 'equal')."""
    if expected <= 0:
        raise ValueError("a claimed ratio is positive")
    # Without an interval (one or two repetitions) a factor of 1.5 stands in for doubt.
    low = e.low if e.low is not None else e.value / 1.5
    high = e.high if e.high is not None else e.value * 1.5
    compatible = low <= expected * (1 + TOLERANCE) and high >= expected / (1 + TOLERANCE) \
        and 1 / SAME_SIZE <= e.value / expected <= SAME_SIZE
    if expected == 1:
        return REPRODUCED if compatible else NOT_REPRODUCED
    if low > 1 if expected > 1 else high < 1:
        return REPRODUCED if compatible else TREND
    return NOT_APPLICABLE if low <= expected <= high else NOT_REPRODUCED


def ratio_verdict(artifact: str, claim: str, expected: float, ours: Sequence[Record],
                  theirs: Sequence[Record], key: str | Callable[[Record], float | None], where: str,
                  seed: int = 1, rows: Sequence[Published] = ()) -> Verdict:
    """Compare mean(key of ours) / mean(key of theirs) with the published ratio `expected`.

    key: a dotted key of the record, or a function of it. where: the load point, in words, for the sentence.
    rows: the published numbers behind `expected`.
    """
    text = f"{number(expected)}×"
    value = key if callable(key) else lambda r: dig(r, key)
    a = [v for v in map(value, ours) if v is not None]
    b = [v for v in map(value, theirs) if v is not None]
    ids = (*run_ids(ours), *run_ids(theirs))
    if not a or not b or sum(a) <= 0 or sum(b) <= 0:
        return Verdict(artifact, claim, text, "–", NOT_APPLICABLE,
                       f"No valid runs of both systems at {where}.", ids, tuple(rows))
    e = ratio_interval(a, b, seed=seed)
    kind = judge_ratio(e, expected)
    said = {
        REPRODUCED: f"At {where} the ratio agrees with the published one.",
        TREND: f"At {where} the direction is the published one, the size "
               f"{number(max(e.value / expected, expected / e.value))} times "
               f"{'larger' if (e.value > expected) == (expected > 1) else 'smaller'}.",
        NOT_REPRODUCED: f"At {where} the two differ by more than {TOLERANCE:.0%}." if expected == 1 else
                        f"At {where} the difference is not there, or points the other way.",
        NOT_APPLICABLE: f"At {where} the runs differ too much to tell: the interval holds both the published "
                        "ratio and 1.",
    }[kind]
    if e.n < FEWEST:
        said += f" (Fewer than {FEWEST} runs: no interval; a factor of 1.5 stands in for doubt.)"
    return Verdict(artifact, claim, text, with_interval(e, "×"), kind, said, ids, tuple(rows), expected, e)


def component_cpu(record: Record) -> float | None:
    """CPU of all components, percent of one core: what the papers count, whatever else the node does."""
    values = [v for v in (record["cpu_percent"] or {}).values() if v is not None]
    return sum(values) if values else None


def missing(artifact: str, claim: str, value: str, why: str, rows: Sequence[Published] = ()) -> Verdict:
    """A number that this run has nothing to say about."""
    return Verdict(artifact, claim, value, "–", NOT_APPLICABLE, why, rows=tuple(rows))


def counts(verdicts: Sequence[Any]) -> Mapping[str, int]:
    """How many of each kind, in the order of KINDS. Of claims, or of entries of the ledger."""
    return {kind: sum(v.kind == kind for v in verdicts) for kind in KINDS}


def inputs_told(verdicts: Sequence[Any]) -> str:
    """A sentence on those that are 'reproduced' because they were taken over; '' when none is."""
    n = sum(v.kind == REPRODUCED and v.is_input for v in verdicts)
    return f"{n} of the {counts(verdicts)[REPRODUCED]} reproduced are inputs that the workloads take over, not results." if n else ""
