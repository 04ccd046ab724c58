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


class Crossovers(unittest.TestCase):
    XS = (1, 4, 16, 64)

    def draw(self, rng, noise: float, n: int = 5) -> tuple[list, list]:
        # a/b = (x / 10)^0.8: they cross at 10, and the log ratio is a line over log x.
        a = [rng.normal(100 * (x / 10) ** 0.8, noise * 100 * (x / 10) ** 0.8, n) for x in self.XS]
        b = [rng.normal(100, noise * 100, n) for _ in self.XS]
        return a, b

    def test_crossing_without_noise_is_exact(self) -> None:
        crossing, = stats.crossovers(self.XS, *self.draw(np.random.default_rng(1), 0))
        self.assertAlmostEqual(crossing.at.value, 10, places=6)
        self.assertTrue(crossing.upwards and crossing.shown)
        self.assertAlmostEqual(crossing.at.low, 10, places=6)
        back, = stats.crossovers(self.XS, *self.draw(np.random.default_rng(1), 0)[::-1])
        self.assertFalse(back.upwards)

    def test_interval_of_a_crossing_covers_as_stated(self) -> None:
        rng, hits = np.random.default_rng(2), 0
        for i in range(300):
            found = stats.crossovers(self.XS, *self.draw(rng, 0.05), rounds=800, seed=i)
            self.assertEqual(len(found), 1)
            e = found[0].at
            hits += (e.low is None or e.low <= 10) and (e.high is None or 10 <= e.high)
        self.assertGreaterEqual(hits / 300, 0.97)

    def test_systems_that_do_not_cross_have_no_crossing(self) -> None:
        rng = np.random.default_rng(3)
        a = [rng.normal(200, 5, 5) for _ in self.XS]
        b = [rng.normal(100, 5, 5) for _ in self.XS]
        self.assertEqual(stats.crossovers(self.XS, a, b), [])

    def test_equal_systems_show_no_crossing(self) -> None:
        rng, shown = np.random.default_rng(4), 0
        for i in range(100):
            a, b = ([rng.normal(100, 5, 5) for _ in self.XS] for _ in range(2))
            shown += any(c.shown for c in stats.crossovers(self.XS, a, b, rounds=800, seed=i))
        self.assertLessEqual(shown, 5)

    def test_two_runs_give_a_place_and_no_interval(self) -> None:
        crossing, = stats.crossovers((1, 100), [[1, 1], [100, 100]], [[10, 10], [10, 10]])
        self.assertAlmostEqual(crossing.at.value, 10)
        self.assertEqual((crossing.at.low, crossing.at.high, crossing.shown), (None, None, False))


class Validity(unittest.TestCase):
    def test_a_sound_run_has_no_remark_and_each_fault_has_its_own(self) -> None:
        sound = synthetic.record(samples=100)
        self.assertEqual(stats.remarks(sound), [])
        for change, word in (({"errors": 5}, "errors"), ({"missed": 7}, "missed"),
                             ({"little": {"ratio": 1.2}}, "Little"),
                             ({"offered_ceiling_rps": sound["rps"] * 1.01}, "ceiling")):
            remarks = stats.remarks({**sound, **change})
            self.assertEqual(len(remarks), 1)
            self.assertIn(word, remarks[0])

    def test_a_run_that_never_settles_is_told(self) -> None:
        record = synthetic.record(samples=100)
        record["series"]["points"] = [[i * 100, 0, 1.0, 2.0, 32] for i in range(60)]
        self.assertIn("steady", "".join(stats.remarks(record)))


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
