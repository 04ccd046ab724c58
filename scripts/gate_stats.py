# SPDX-License-Identifier: BSD-2-Clause
"""Statistics of the gate's soft tier: two builds, A and B, run in blocks (A, B, A again, in random order).

What a shared machine does to one run it does to all components of that run: a neighbour's cache misses, stolen
time and larger batches make everything slower at once. Hence two kinds of measure: absolute ones, compared
within a block, and a component's CPU *relative to the other components of the same run*, which such noise
leaves alone (a function that burns 5 % more shows at a quarter of the noise).
"""
from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Mapping, Sequence

import numpy as np

P_LIMIT = 0.01          # DESIGN: Mann-Whitney p < 0.01, in the screening and again in the confirmation
LEVEL = 0.99
FLOOR_LEVEL = 0.95
FEWEST = 8              # blocks: fewer cannot reach p < 0.01 with room to spare
ROUNDS = 2000


@dataclass(frozen=True)
class Comparison:
    """B against A at one measure. All ratios are of costs: above 1 is worse."""

    n: int              # blocks
    ratio: float        # median over blocks of B / A
    low: float          # its bootstrap interval, LEVEL
    high: float
    p: float            # one-sided: B is not worse than A
    floor: float        # A/A noise floor: so much (as ratio - 1) do equal builds of this job differ, 19 times in 20
    value_a: float      # medians, in the unit of the measure
    value_b: float

    def is_worse(self, effect: float) -> bool:
        """The rule of one stage: p below the limit, and more than both the noise floor and `effect`."""
        return self.n >= FEWEST and self.p < P_LIMIT and self.ratio - 1 > max(self.floor, effect)

    @property
    def resolution(self) -> float:
        """Smaller changes (as ratio - 1) might not have been seen."""
        return max(self.high / self.ratio - 1, self.floor)


def _aligned_p(blocks: np.ndarray, rng: np.random.Generator) -> float:
    """One-sided p that column 1 (B) is not above columns 0 and 2, by Mann-Whitney's statistic.

    Values are aligned by their block's median (after Hodges and Lehmann), and the null distribution is that of
    shuffling within the blocks: exact whatever the noise, as the order within a block was random.
    """
    aligned = blocks - np.median(blocks, axis=1, keepdims=True)
    ranks = aligned.ravel().argsort().argsort().reshape(aligned.shape).astype(float)
    seen = ranks[:, 1].sum()
    picks = rng.integers(0, blocks.shape[1], (ROUNDS, blocks.shape[0]))
    null = ranks[np.arange(blocks.shape[0]), picks].sum(axis=1)
    return float((1 + np.count_nonzero(null >= seen)) / (1 + ROUNDS))


def _median_interval(x: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """Bootstrap interval, LEVEL, of the median."""
    medians = np.median(x[rng.integers(0, x.size, (ROUNDS, x.size))], axis=1)
    low, high = np.quantile(medians, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def compare(blocks: Sequence[tuple[float, float, float]], seed: int = 1) -> Comparison | None:
    """Blocks of costs (A, B, A again), each positive; None: none."""
    x = np.array([b for b in blocks if min(b) > 0], dtype=float)
    if not x.size:
        return None
    rng = np.random.default_rng(seed)
    logs = np.log(x)
    change = logs[:, 1] - (logs[:, 0] + logs[:, 2]) / 2
    noise = logs[:, 0] - logs[:, 2]
    low, high = _median_interval(change, rng)
    # What the median of two equal builds reaches by chance once in 20: they do not differ, so centred. Two
    # single runs differ more than a run from the mean of two does.
    centred = noise - np.median(noise)
    medians = np.abs(np.median(centred[rng.integers(0, centred.size, (ROUNDS, centred.size))], axis=1))
    floor = float(np.quantile(medians, FLOOR_LEVEL)) * math.sqrt(1.5 / 2)
    return Comparison(len(x), math.exp(float(np.median(change))), math.exp(low), math.exp(high),
                      _aligned_p(logs, rng), math.exp(floor) - 1,
                      float(np.median(x[:, [0, 2]])), float(np.median(x[:, 1])))


def relative(blocks: Sequence[Sequence[Mapping[str, float]]], seed: int = 1) -> dict[str, Comparison]:
    """Each component's CPU against that of all others of the same run; blocks of (A, B, A again).

    What all components share cancels in such a quotient. One that became faster makes the rest look worse
    against itself, but not against each other: a change that does not show against every single one, by a
    third at least, is none (p = 1). Needs three components, else {}. Every value is positive. value_a is what
    A's runs took.
    """
    names = sorted(set.intersection(*(set(run) for block in blocks for run in block))) if blocks else []
    if len(names) < 3:
        return {}
    out = {}
    for name in names:
        others = [other for other in names if other != name]
        whole = compare([tuple(run[name] / sum(run[o] for o in others) for run in block) for block in blocks], seed)
        least = min(_change(blocks, name, other) for other in others)
        level = float(np.median([block[k][name] for block in blocks for k in (0, 2)]))
        if math.log(whole.ratio) > 0 and least < math.log(whole.ratio) / 3:
            whole = replace(whole, ratio=math.exp(least), p=1.0)
        out[name] = replace(whole, value_a=level, value_b=level * whole.ratio)
    return out


def _change(blocks: Sequence[Sequence[Mapping[str, float]]], name: str, other: str) -> float:
    """Median over the blocks of log(B / A) of one component over another."""
    logs = np.array([[math.log(run[name] / run[other]) for run in block] for block in blocks])
    return float(np.median(logs[:, 1] - (logs[:, 0] + logs[:, 2]) / 2))
