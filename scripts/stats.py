# SPDX-License-Identifier: BSD-2-Clause
"""Statistics of perhop: estimates that carry their interval, and checks on a run.

Every interval states its method and level. Nothing here drops a value: outliers are flagged, and
whoever draws or tabulates shows them. Random methods take a seed, so the same records give the same
report.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Mapping, Sequence

import numpy as np
from scipy import stats as sps

LEVEL = 0.99            # SPRIGHT, Fig 5: 99 % confidence intervals over 10 repetitions
LITTLE_TOLERANCE = 0.05
FEWEST = 3              # values for an interval: at 2 the 99 % t quantile is 64, which says nothing


@dataclass(frozen=True)
class Estimate:
    """A value with its interval. `low`/`high` are None when n is too small for one."""

    value: float
    low: float | None
    high: float | None
    n: int
    level: float
    method: str

    @property
    def half_width(self) -> float | None:
        """Half the width of the interval, in the unit of the value."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


def _clean(values: Sequence[float]) -> np.ndarray:
    """As a float array. Raises ValueError on an empty or non-finite sample."""
    array = np.asarray(values, dtype=float)
    if array.size == 0:
        raise ValueError("no values")
    if not np.all(np.isfinite(array)):
        raise ValueError("a value is not finite")
    return array


def mean_interval(values: Sequence[float], level: float = LEVEL) -> Estimate:
    """Mean with Student's t interval; no interval below FEWEST values."""
    x = _clean(values)
    mean = float(x.mean())
    if x.size < FEWEST:
        return Estimate(mean, None, None, int(x.size), level, "t")
    half = float(sps.t.ppf((1 + level) / 2, x.size - 1) * x.std(ddof=1) / math.sqrt(x.size))
    return Estimate(mean, mean - half, mean + half, int(x.size), level, "t")


def median_interval(values: Sequence[float], level: float = LEVEL) -> Estimate:
    """Median with the exact interval between two order statistics (no assumption on the shape).

    The interval is the narrowest symmetric one that covers at least `level`; its exact coverage is
    the `level` of the result. With n < 8 none reaches 99 %: low and high are then None.
    """
    x = np.sort(_clean(values))
    n = int(x.size)
    best: tuple[int, float] | None = None
    for k in range(1, n // 2 + 1):
        covered = 1 - 2 * float(sps.binom.cdf(k - 1, n, 0.5))
        if covered < level:
            break
        best = (k, covered)
    median = float(np.median(x))
    if best is None:
        return Estimate(median, None, None, n, level, "order statistics")
    k, covered = best
    return Estimate(median, float(x[k - 1]), float(x[n - k]), n, covered, "order statistics")


def ratio_interval(a: Sequence[float], b: Sequence[float], level: float = LEVEL,
                   rounds: int = 4000, seed: int = 1) -> Estimate:
    """mean(a) / mean(b) of two independent positive samples, with a studentized bootstrap interval.

    Works on the logarithm of the ratio, with delta-method standard errors; a plain percentile
    bootstrap covers far too little at the 3 to 10 repetitions of a benchmark. Below 5 values
    in a sample resampling knows too little: Welch's t on the same scale is used instead.
    `n` is the smaller sample's size. ValueError when a mean is not positive.
    """
    # Sorted: the order in which records were written must not move the interval.
    x, y = np.sort(_clean(a)), np.sort(_clean(b))
    if x.mean() <= 0 or y.mean() <= 0:
        raise ValueError("a ratio needs positive means")
    log_ratio = math.log(x.mean() / y.mean())
    value = math.exp(log_ratio)
    n = int(min(x.size, y.size))
    if n < FEWEST:
        return Estimate(value, None, None, n, level, "too few values")
    vx = float(x.var(ddof=1) / x.size / x.mean() ** 2)
    vy = float(y.var(ddof=1) / y.size / y.mean() ** 2)
    error = math.sqrt(vx + vy)
    if error == 0:
        return Estimate(value, value, value, n, level, "no variance")
    freedom = (vx + vy) ** 2 / (vx ** 2 / (x.size - 1) + vy ** 2 / (y.size - 1))
    t_low, t_high = (float(t) for t in sps.t.ppf([(1 - level) / 2, (1 + level) / 2], freedom))
    method = "Welch t on the log ratio"
    if n >= 5:
        quantiles = _studentized(x, y, log_ratio, level, rounds, seed)
        if quantiles is not None:
            # Never narrower than Welch: with few values a resample cannot see the tails.
            t_low, t_high = min(t_low, quantiles[0]), max(t_high, quantiles[1])
            method = "studentized bootstrap"
    return Estimate(value, math.exp(log_ratio - t_high * error), math.exp(log_ratio - t_low * error),
                    n, level, method)


def _studentized(x: np.ndarray, y: np.ndarray, log_ratio: float, level: float, rounds: int,
                 seed: int) -> tuple[float, float] | None:
    """Quantiles of the bootstrap t statistic; None when resamples are too often constant."""
    rng = np.random.default_rng(seed)
    bx = x[rng.integers(0, x.size, (rounds, x.size))]
    by = y[rng.integers(0, y.size, (rounds, y.size))]
    mx, my = bx.mean(axis=1), by.mean(axis=1)
    good = (mx > 0) & (my > 0)
    mx, my = np.where(good, mx, 1.0), np.where(good, my, 1.0)
    error = np.sqrt(bx.var(axis=1, ddof=1) / x.size / mx ** 2
                    + by.var(axis=1, ddof=1) / y.size / my ** 2)
    good &= error > 0
    if good.sum() < 0.9 * rounds:
        return None
    t = (np.log(mx[good] / my[good]) - log_ratio) / error[good]
    low, high = np.quantile(t, [(1 - level) / 2, (1 + level) / 2])
    # A resample that is nearly constant gives an absurd t; cap at ten Welch-sized errors.
    return max(float(low), -10.0), min(float(high), 10.0)


def mann_whitney(a: Sequence[float], b: Sequence[float]) -> float:
    """Two-sided p of the Mann-Whitney U test that `a` and `b` come from one distribution."""
    x, y = _clean(a), _clean(b)
    if np.ptp(np.concatenate([x, y])) == 0:
        return 1.0
    return float(sps.mannwhitneyu(x, y, alternative="two-sided").pvalue)


def outliers(values: Sequence[float], limit: float = 3.5) -> list[int]:
    """Indices of values whose modified z-score (Iglewicz and Hoaglin) exceeds `limit`.

    They are to be shown and named, never dropped. With fewer than 5 values, or where more than half
    are equal, nothing can be called an outlier.
    """
    x = _clean(values)
    deviation = np.abs(x - np.median(x))
    mad = float(np.median(deviation))
    if x.size < 5 or mad == 0:
        return []
    return [int(i) for i in np.nonzero(0.6745 * deviation / mad > limit)[0]]


def steady_from(series: Sequence[float], batch: int = 1) -> int | None:
    """Index from which a time series is steady, by White's MSER rule; None: it never is.

    MSER cuts the head that minimises the standard error of the mean of the rest. A cut in the
    last half means that the series has no steady part to speak of. `batch` values are averaged
    first (MSER-5: batch = 5). Needs at least 8 batches, else None.
    """
    x = _clean(series)
    usable = x.size // batch * batch
    x = x[:usable].reshape(-1, batch).mean(axis=1)
    n = int(x.size)
    if n < 8:
        return None
    # Keep a quarter at least: the shortest tails are steady by chance.
    scores = [float(x[d:].var() / (n - d)) for d in range(n - n // 4)]
    cut = int(np.argmin(scores))
    if cut > n // 2:
        return None
    return cut * batch


def little(n: float, x: float, r: float, tolerance: float = LITTLE_TOLERANCE) -> tuple[float, bool]:
    """Little's law N = X R as a check: (N / (X R), whether it is within `tolerance` of 1).

    n: mean requests in flight; x: completions per second; r: mean time in flight, seconds.
    """
    if x <= 0 or r <= 0:
        return math.nan, False
    ratio = n / (x * r)
    return ratio, abs(ratio - 1) <= tolerance


Buckets = Sequence[Sequence[int]]


def merge_buckets(histograms: Sequence[Buckets]) -> list[tuple[int, int, int]]:
    """Sum of sparse histograms ([lo, hi, count] each), lo ascending."""
    total: dict[tuple[int, int], int] = {}
    for buckets in histograms:
        for lo, hi, count in buckets:
            total[lo, hi] = total.get((lo, hi), 0) + count
    return [(lo, hi, count) for (lo, hi), count in sorted(total.items())]


def bucket_quantile(buckets: Buckets, q: float) -> float | None:
    """Quantile q of a sparse histogram: the middle of the bucket that holds the rank; None: empty."""
    total = sum(b[2] for b in buckets)
    if total == 0:
        return None
    rank, seen = max(1, math.ceil(q * total)), 0
    for lo, hi, count in buckets:
        seen += count
        if seen >= rank:
            return (lo + hi) / 2
    return float(buckets[-1][1])


def cdf(buckets: Buckets) -> tuple[np.ndarray, np.ndarray]:
    """(upper bounds, cumulative share 0…1) of a sparse histogram, starting at its lowest bound."""
    total = sum(b[2] for b in buckets)
    if total == 0:
        return np.array([]), np.array([])
    edges = np.array([buckets[0][0]] + [b[1] for b in buckets], dtype=float)
    share = np.concatenate([[0.0], np.cumsum([b[2] for b in buckets]) / total])
    return edges, share


def summarise(rows: Sequence[Mapping[str, object]], key: str, level: float = LEVEL) -> Estimate | None:
    """Mean with t interval of `key` ("rps", "latency_us.p99") over records; None: never measured."""
    values = [v for v in (dig(row, key) for row in rows) if v is not None]
    return mean_interval(values, level) if values else None


def dig(row: Mapping[str, object], key: str) -> float | None:
    """The number at a dotted key of a record, or None when it is null or absent."""
    at: object = row
    for part in key.split("."):
        if not isinstance(at, Mapping) or part not in at:
            return None
        at = at[part]
    return float(at) if isinstance(at, (int, float)) and not isinstance(at, bool) else None


@dataclass(frozen=True)
class Crossing:
    """Where one system overtakes another: the place, on the axis of the load points, with its interval."""

    at: Estimate
    upwards: bool       # to the right of it, the first system has the larger mean
    shown: bool         # the order differs beyond doubt on the two sides: the interval ends inside the axis


def crossovers(xs: Sequence[float], a: Sequence[Sequence[float]], b: Sequence[Sequence[float]],
               level: float = LEVEL, rounds: int = 4000, seed: int = 1) -> list[Crossing]:
    """Places where mean(a) and mean(b) over the load points `xs` (positive, ascending) cross.

    Interpolates the log of the ratio over log x. Interval: parametric bootstrap, the log ratio at each
    point drawn from Welch's t; the crossing of a draw is its nearest in the same direction, and lies
    beyond the end of the axis where there is none. `low`/`high` of None: beyond that end, or, with both
    None, fewer than FEWEST values at a point.
    """
    x = np.log(_clean(xs))
    if not len(x) == len(a) == len(b) or np.any(np.diff(x) <= 0):
        raise ValueError("crossovers need ascending points, and two samples at each")
    middle, error, freedom = (np.array(c) for c in zip(*map(_log_ratio, a, b)))
    n = min(min(map(len, a)), min(map(len, b)))
    draws = middle + error * np.random.default_rng(seed).standard_t(freedom, (rounds, len(x)))
    out = []
    for i in np.nonzero(np.sign(middle[:-1]) * np.sign(middle[1:]) < 0)[0]:
        place = float(x[i] - middle[i] * (x[i + 1] - x[i]) / (middle[i + 1] - middle[i]))
        upwards = bool(middle[i + 1] > 0)
        low = high = None
        if n >= FEWEST:
            places = np.sort([_nearest(x, d if upwards else -d, place) for d in draws])
            ends = places[int((1 - level) / 2 * rounds)], places[-1 - int((1 - level) / 2 * rounds)]
            low, high = (float(math.exp(e)) if math.isfinite(e) else None for e in ends)
        out.append(Crossing(Estimate(math.exp(place), low, high, n, level, "interpolation, parametric bootstrap"),
                            upwards, low is not None and high is not None))
    return out


def _log_ratio(a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float]:
    """(log of the ratio of means, its standard error, Welch's degrees of freedom)."""
    x, y = _clean(a), _clean(b)
    if x.mean() <= 0 or y.mean() <= 0:
        raise ValueError("a ratio needs positive means")
    if min(x.size, y.size) < 2:
        return math.log(x.mean() / y.mean()), 0.0, 1.0
    vx = float(x.var(ddof=1) / x.size / x.mean() ** 2)
    vy = float(y.var(ddof=1) / y.size / y.mean() ** 2)
    spread = vx ** 2 / (x.size - 1) + vy ** 2 / (y.size - 1)
    return math.log(x.mean() / y.mean()), math.sqrt(vx + vy), (vx + vy) ** 2 / spread if spread else 1.0


def _nearest(x: np.ndarray, d: np.ndarray, place: float) -> float:
    """The upward crossing of zero of the line (x, d) that is nearest to `place`; without one, the end
    beyond which it lies."""
    up = np.nonzero((d[:-1] <= 0) & (d[1:] > 0))[0]
    if not len(up):
        return -math.inf if d[0] > 0 else math.inf
    at = x[up] - d[up] * (x[up + 1] - x[up]) / (d[up + 1] - d[up])
    return float(at[np.argmin(np.abs(at - place))])


NEAR_CEILING = 0.97     # of the offered load: such a run measures its users


def remarks(record: Mapping[str, object]) -> list[str]:
    """What limits the use of a run that took place, by its own numbers: errors, Little's law, sends that
    were missed, the offered ceiling, no steady part. A phrase each; [] for a run without fault."""
    out = []
    requests, errors = dig(record, "requests") or 0.0, dig(record, "errors") or 0.0
    if errors:
        out.append(f"errors: {errors / max(1.0, errors + requests):.2%} of the answers")
    if dig(record, "little.ratio") is not None:
        ratio = dig(record, "little.ratio") or 0.0
        if abs(ratio - 1) > LITTLE_TOLERANCE:
            out.append(f"Little's law: N is {ratio:.2f} times X·R")
    missed = dig(record, "missed")
    if missed:
        out.append(f"missed sends: {missed:,.0f} requests were never sent, or too late")
    rps, ceiling = dig(record, "rps"), dig(record, "offered_ceiling_rps")
    if rps and ceiling and rps >= NEAR_CEILING * ceiling:
        out.append("at the offered ceiling: throughput is the load, no capacity")
    if not is_steady(record):
        out.append("no steady part in the measured series")
    return out


def is_steady(record: Mapping[str, object]) -> bool:
    """Whether throughput settled (MSER); a series too short to tell counts as steady."""
    series = record.get("series")
    if not isinstance(series, Mapping):
        return True
    skip = int((dig(record, "load.warmup_s") or 0.0) / (series["step_ms"] / 1e3))
    counts = [point[0] for point in series["points"][skip:]]
    return len(counts) < 8 or steady_from(counts) is not None
