# SPDX-License-Identifier: BSD-2-Clause
"""Statistics against known answers; random parts have fixed seeds."""
import math
import unittest

import synthetic  # noqa: F401  (sets the import path)
import numpy as np

import stats


class Intervals(unittest.TestCase):
    def test_t_interval_of_known_sample(self) -> None:
        # 1..5: mean 3, s = sqrt(2.5), t(0.995, 4) = 4.6041.
        e = stats.mean_interval([1, 2, 3, 4, 5])
        self.assertEqual((e.value, e.n), (3.0, 5))
        self.assertAlmostEqual(e.half_width, 4.6041 * math.sqrt(2.5 / 5), places=3)

    def test_one_or_two_values_have_no_interval(self) -> None:
        for values in ([7.0], [6.0, 8.0]):
            for function in (stats.mean_interval, stats.median_interval):
                e = function(values)
                self.assertEqual((e.value, e.low, e.high), (7.0, None, None))
            self.assertIsNone(stats.ratio_interval(values, values).low)

    def test_empty_and_non_finite_samples_are_refused(self) -> None:
        for bad in ([], [1.0, math.nan], [math.inf]):
            with self.assertRaises(ValueError):
                stats.mean_interval(bad)

    def test_t_interval_covers_as_stated(self) -> None:
        rng = np.random.default_rng(1)
        for n in (3, 5, 10):
            x = rng.normal(10, 2, (4000, n))
            hits = sum(e.low <= 10 <= e.high for e in map(stats.mean_interval, x))
            self.assertAlmostEqual(hits / 4000, 0.99, delta=0.006, msg=f"n = {n}")

    def test_median_interval_covers_at_least_what_it_states(self) -> None:
        rng = np.random.default_rng(2)
        for n in (8, 10, 15):
            x = rng.lognormal(0, 1, (4000, n))       # skewed: the median is 1
            estimates = [stats.median_interval(row) for row in x]
            hits = sum(e.low <= 1 <= e.high for e in estimates) / 4000
            self.assertGreaterEqual(estimates[0].level, 0.99)
            self.assertAlmostEqual(hits, estimates[0].level, delta=0.006, msg=f"n = {n}")

    def test_median_interval_is_absent_where_no_order_statistics_reach_the_level(self) -> None:
        self.assertIsNone(stats.median_interval(list(range(7))).low)
        self.assertEqual(stats.median_interval(list(range(8))).low, 0)

    def test_ratio_interval_covers_as_stated_at_few_repetitions(self) -> None:
        rng = np.random.default_rng(3)
        for n in (3, 5, 10):
            for draw in (lambda m: rng.normal(m, 0.05 * m, n), lambda m: m * rng.lognormal(-0.02, 0.2, n)):
                hits = 0
                for i in range(400):
                    e = stats.ratio_interval(draw(30.0), draw(10.0), rounds=600, seed=i)
                    hits += e.low <= 3 <= e.high
                self.assertGreaterEqual(hits / 400, 0.975, msg=f"n = {n}")

    def test_ratio_of_twenty_percent_is_seen_and_no_difference_is_not(self) -> None:
        # Power of the comparison: 5 repetitions, 3 % noise.
        rng = np.random.default_rng(4)
        seen = false = 0
        for i in range(300):
            a, b, c = rng.normal(120, 3.6, 5), rng.normal(100, 3, 5), rng.normal(100, 3, 5)
            seen += stats.ratio_interval(a, b, rounds=600, seed=i).low > 1
            e = stats.ratio_interval(c, b, rounds=600, seed=i)
            false += not e.low <= 1 <= e.high
        self.assertGreaterEqual(seen / 300, 0.95)
        self.assertLessEqual(false / 300, 0.025)

    def test_ratio_does_not_depend_on_order_and_repeats_exactly(self) -> None:
        a, b = [3.0, 3.2, 2.9, 3.1, 3.05], [1.0, 1.1, 0.9, 1.05, 0.95]
        self.assertEqual(stats.ratio_interval(a, b), stats.ratio_interval(a[::-1], b[::-1]))

    def test_ratio_of_constant_samples_is_exact(self) -> None:
        e = stats.ratio_interval([6.0] * 5, [2.0] * 5)
        self.assertEqual((e.low, e.value, e.high), (e.value, e.value, e.value))
        self.assertAlmostEqual(e.value, 3.0)

    def test_ratio_needs_positive_means(self) -> None:
        with self.assertRaises(ValueError):
            stats.ratio_interval([0.0, 0.0], [1.0, 2.0])

    def test_mann_whitney_of_equal_constants_is_one(self) -> None:
        self.assertEqual(stats.mann_whitney([1, 1, 1], [1, 1]), 1.0)
        self.assertLess(stats.mann_whitney(range(10), range(20, 30)), 0.001)


class Series(unittest.TestCase):
    def test_outlier_is_flagged_and_normal_noise_is_not(self) -> None:
        self.assertEqual(stats.outliers([10, 10.1, 9.9, 10.2, 9.8, 30]), [5])
        self.assertEqual(stats.outliers([10, 10.1, 9.9, 10.2, 9.8]), [])
        self.assertEqual(stats.outliers([1, 1, 1, 1, 9]), [])      # no spread to measure by

    def test_steady_state_starts_after_the_ramp(self) -> None:
        rng = np.random.default_rng(5)
        series = np.concatenate([np.linspace(0, 100, 20), np.full(80, 100.0)]) + rng.normal(0, 1, 100)
        self.assertAlmostEqual(stats.steady_from(series), 19, delta=4)

    def test_a_steady_series_is_steady_from_near_its_start(self) -> None:
        rng = np.random.default_rng(6)
        self.assertLess(stats.steady_from(rng.normal(100, 2, 200)), 60)

    def test_a_drift_and_a_short_series_have_no_steady_part(self) -> None:
        self.assertIsNone(stats.steady_from(np.linspace(0, 100, 100)))
        self.assertIsNone(stats.steady_from([1, 2, 3]))

    def test_little_holds_or_not(self) -> None:
        self.assertEqual(stats.little(32, 16000, 0.002), (1.0, True))
        self.assertFalse(stats.little(32, 16000, 0.003)[1])
        self.assertFalse(stats.little(32, 0, 0.002)[1])


class Histograms(unittest.TestCase):
    def test_quantiles_of_merged_histograms_match_exact_sorts(self) -> None:
        rng = np.random.default_rng(7)
        a, b = rng.lognormal(5, 1, 4000), rng.lognormal(6, 0.3, 2000)
        merged = stats.merge_buckets([synthetic.buckets(a), synthetic.buckets(b)])
        exact = np.sort(np.concatenate([a, b])) * 1e3
        self.assertEqual(sum(x[2] for x in merged), 6000)
        for q in (0.01, 0.5, 0.95, 0.99, 0.999):
            want = exact[math.ceil(q * 6000) - 1]
            self.assertAlmostEqual(stats.bucket_quantile(merged, q) / want, 1, delta=0.01)

    def test_cdf_ends_at_one_and_an_empty_one_is_empty(self) -> None:
        x, y = stats.cdf([[10, 20, 1], [30, 40, 3]])
        self.assertEqual((list(x), list(y)), ([10, 20, 40], [0, 0.25, 1]))
        self.assertEqual(len(stats.cdf([])[0]), 0)
        self.assertIsNone(stats.bucket_quantile([], 0.5))

    def test_dig_takes_null_and_absent_as_unmeasured(self) -> None:
        row = {"a": {"b": 2, "c": None}, "t": True}
        self.assertEqual(stats.dig(row, "a.b"), 2.0)
        for key in ("a.c", "a.x", "z", "t"):
            self.assertIsNone(stats.dig(row, key))


if __name__ == "__main__":
    unittest.main()
