# SPDX-License-Identifier: BSD-2-Clause
"""The gate's verdicts on synthetic data: false alarms, power, and what it says when it cannot tell."""
import contextlib
import io
import json
import tempfile
import unittest
from pathlib import Path
from xml.etree import ElementTree

import synthetic
import numpy as np

import gate as gate_cli
import gate_callgrind
import gate_hard
import gate_output
import gate_records
import gate_soft
import gate_stats

EFFECT = 0.02
assert synthetic.ROOT    # it sets the import path


def blocks(rng: np.random.Generator, n: int, change: float, noise: float = 0.05, drift: float = 0.3) -> list[tuple[float, float, float]]:
    """Blocks of (A, B, A): B is `change` above A; each block has its own level, noise is skewed to the right."""
    level = np.exp(drift * rng.standard_normal((n, 1)))
    x = level * np.exp(noise * rng.standard_normal((n, 3))) * (1 + (rng.random((n, 3)) < 0.02) * rng.exponential(1, (n, 3)))
    x[:, 1] *= 1 + change
    return [tuple(row) for row in x]


def is_regression(rng: np.random.Generator, n: int, change: float, noise: float = 0.05) -> bool:
    """A whole soft verdict: screening, then a confirmation of its own."""
    first = gate_stats.compare(blocks(rng, n, change, noise))
    if not first.is_worse(EFFECT):
        return False
    second = gate_stats.compare(blocks(rng, n, change, noise))
    return gate_soft.judge(first, second, EFFECT)[0] == gate_records.WORSE


class Statistics(unittest.TestCase):
    def test_identical_builds_fail_less_than_once_in_three_hundred(self) -> None:
        rng = np.random.default_rng(1)
        alarms = sum(is_regression(rng, 12, 0.0, noise) for noise in (0.02, 0.2) for _ in range(150))
        self.assertLessEqual(alarms, 1)

    def test_one_stage_keeps_its_p(self) -> None:
        rng = np.random.default_rng(2)
        low = sum(gate_stats.compare(blocks(rng, 12, 0.0)).p < 0.05 for _ in range(300))
        self.assertLess(low / 300, 0.09)
        self.assertGreater(low / 300, 0.02)

    def test_five_percent_is_found_in_nine_of_ten(self) -> None:
        rng = np.random.default_rng(3)
        found = sum(is_regression(rng, 24, 0.05, 0.035) for _ in range(50))
        self.assertGreaterEqual(found, 45)

    def test_faster_is_never_a_regression(self) -> None:
        rng = np.random.default_rng(4)
        self.assertFalse(any(is_regression(rng, 16, -0.2) for _ in range(50)))

    def test_too_few_blocks_are_no_verdict(self) -> None:
        rng = np.random.default_rng(5)
        few = gate_stats.compare(blocks(rng, 4, 0.5))
        self.assertEqual(gate_soft.judge(few, None, EFFECT)[0], gate_records.UNKNOWN)

    def test_suspicion_without_confirmation_is_undecided(self) -> None:
        rng = np.random.default_rng(6)
        first = gate_stats.compare(blocks(rng, 20, 0.3))
        self.assertTrue(first.is_worse(EFFECT))
        self.assertEqual(gate_soft.judge(first, None, EFFECT)[0], gate_records.UNKNOWN)

    def cpu_blocks(self, rng: np.random.Generator, n: int, noise: float, **factor: float) -> list[list[dict[str, float]]]:
        """Blocks of three components' CPU: each run has a factor of its own that all share, and some noise of theirs;
        B's components cost `factor` times as much."""
        def run(head: bool) -> dict[str, float]:
            common = float(np.exp(0.3 * rng.standard_normal()))
            return {name: level * common * float(np.exp(noise * rng.standard_normal())) * (factor.get(name, 1) if head else 1)
                    for name, level in (("gateway", 10.0), ("f1", 3.0), ("f2", 2.0))}
        return [[run(False), run(True), run(False)] for _ in range(n)]

    def test_relative_cpu_takes_out_what_all_components_share(self) -> None:
        found = gate_stats.relative(self.cpu_blocks(np.random.default_rng(7), 10, 0, f1=1.05))
        self.assertAlmostEqual(found["f1"].ratio, 1.05, places=6)
        self.assertLess(found["f2"].ratio, 1.001)

    def test_five_percent_more_cpu_of_one_function_is_seen_nine_times_in_ten(self) -> None:
        rng = np.random.default_rng(11)
        seen = sum(gate_stats.relative(self.cpu_blocks(rng, 25, 0.03, f1=1.05))["f1"].is_worse(EFFECT) for _ in range(40))
        self.assertGreaterEqual(seen, 36)

    def test_equal_builds_are_not_told_apart(self) -> None:
        rng = np.random.default_rng(12)
        false = sum(c.is_worse(EFFECT) for _ in range(60) for c in
                    gate_stats.relative(self.cpu_blocks(rng, 25, 0.03)).values())
        self.assertLessEqual(false, 1)

    def test_a_faster_component_does_not_make_the_others_look_slower(self) -> None:
        rng = np.random.default_rng(13)
        for _ in range(20):
            found = gate_stats.relative(self.cpu_blocks(rng, 25, 0.03, f1=0.5))
            self.assertFalse(any(found[name].is_worse(EFFECT) for name in ("gateway", "f2")))

    def test_two_components_have_no_common_mode(self) -> None:
        run = {"a": 1.0, "b": 1.0}
        self.assertEqual(gate_stats.relative([[run, run, run]]), {})


class Counts(unittest.TestCase):
    def verdict(self, key: str, base: float, now: float, bound: float = 0.0) -> str:
        return gate_hard.judge(key, {"value": base, "bound": bound}, {"value": now, "bound": bound})[0]

    def test_one_more_copy_is_a_regression(self) -> None:
        self.assertEqual(self.verdict("copy_user|f1|4", 0, 1), gate_records.WORSE)

    def test_a_wake_up_may_be_cut_off_by_the_window(self) -> None:
        self.assertEqual(self.verdict("wakeups|f1|3", 0.99, 1.0, 0.01), gate_records.OK)
        self.assertEqual(self.verdict("wakeups|f1|3", 1.0, 2.0, 0.01), gate_records.WORSE)

    def test_fewer_is_better(self) -> None:
        self.assertEqual(self.verdict("syscalls|f1|3", 3, 2), gate_records.BETTER)

    def test_what_varies_is_no_count(self) -> None:
        self.assertEqual(self.verdict("copy_user|f1|4", 1, 1.4, 0.8), gate_records.UNKNOWN)

    def test_instructions_may_grow_a_little(self) -> None:
        self.assertEqual(self.verdict("instructions|echo", 7000, 7100), gate_records.OK)
        self.assertEqual(self.verdict("instructions|echo", 7000, 7400), gate_records.WORSE)


def plan(**more: object) -> dict[str, object]:
    """A plan of the hard tier without anything."""
    return {"schema_version": 1, "kind": "gate-plan", "kernel_class": "linux-6.18-x86_64", "baseline": None, "base": None,
            "has_base": False, "tier": 1, "dataplanes": [], "workloads": [], "budget_s": 60, "effect": EFFECT, "update": False,
            "started": 0, "commits": ["abc1234 a | change"], "from": None, **more}


class Verdicts(unittest.TestCase):
    def gate(self, folder: str, **more: object) -> gate_records.Gate:
        (Path(folder) / "plan.json").write_text(json.dumps(plan(**more)))
        return gate_records.Gate(Path(folder))

    def test_without_a_baseline_nothing_passes(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            gate = self.gate(folder, baseline=str(Path(folder) / "absent.json"))
            rows = gate_hard.rows(gate)
            self.assertEqual(gate_hard.jobs(gate), [])
            self.assertEqual(gate_output.exit_code(rows), 2)
            self.assertIn("linux-6.18-x86_64", rows[0].text)

    def test_the_same_program_passes_unmeasured(self) -> None:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as said:
            same = self.gate(folder, has_base=True, base="HEAD~1", tier=3, same_program=True)
            self.assertEqual(gate_cli.next_jobs(same), [])
            self.assertEqual(gate_cli.main(["verdict", folder]), 0)
            self.assertTrue(gate_cli.next_jobs(self.gate(folder, has_base=True, tier=1)))
        self.assertIn("but for the revision it names", said.getvalue())

    def test_a_baseline_of_another_kernel_class_is_not_used(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "other.json"
            file.write_text(json.dumps({"kernel_class": "linux-5.15-x86_64", "cells": {}}))
            self.assertEqual(gate_output.exit_code(gate_hard.rows(self.gate(folder, baseline=str(file)))), 2)

    def test_probes_that_were_refused_are_no_pass(self) -> None:
        with self.assertRaisesRegex(ValueError, "CAP_BPF"):
            gate_hard.of_audit({"no_probes": "CAP_BPF is missing", "counts": None})

    def test_exit_codes(self) -> None:
        def row(verdict: str) -> gate_records.Row:
            return gate_records.Row("hard", "c", "m", "w", verdict, 1, 2, "t")
        for verdicts, code in (([], 2), (["ok", "better", "new"], 0), (["ok", "undecided"], 2), (["undecided", "REGRESSION"], 1)):
            self.assertEqual(gate_output.exit_code([row(v) for v in verdicts]), code)

    def test_outputs_survive_any_text(self) -> None:
        nasty = 'a|b <c> "d" & é'
        rows = [gate_records.Row("hard", nasty, nasty, nasty, gate_records.WORSE, 1, 2, nasty)]
        tree = ElementTree.fromstring(gate_output.junit(rows).encode())
        self.assertEqual((tree.get("failures"), len(tree.findall("testcase/failure"))), ("1", 1))
        with tempfile.TemporaryDirectory() as folder:
            table = gate_output.markdown(self.gate(folder), rows)
        line = next(x for x in table.splitlines() if x.startswith("| **REG"))
        self.assertEqual(line.replace("\\|", "").count("|"), 7)

    def test_a_baseline_survives_its_text(self) -> None:
        baseline = {"schema_version": 1, "cells": {"a b": {"dataplane": "a", "measures": {"copy_user|f1|4": {"value": 1.0}}},
                                                   "program": {"measures": {"size|code": {"value": 2}}}}}
        self.assertEqual(json.loads(gate_hard.baseline_text(baseline)), baseline)

    def test_the_difference_of_baselines_names_what_changes(self) -> None:
        def one(value: float) -> dict[str, object]:
            return {"cells": {"a b": {"measures": {"copy_user|f1|4": {"value": value, "bound": 0}}}}}
        self.assertEqual(gate_hard.differences(one(1), one(1)), [])
        self.assertIn("copy_user of f1", gate_hard.differences(one(1), one(2))[0])

    def test_callgrind_lines_of_callees_are_not_counted_twice(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "callgrind.1"
            file.write_text("events: Ir\nfn=(1) outer\n10 5\ncfn=(2) inner\ncalls=1 20\n10 100\n11 7\nfn=(2)\n20 100\n")
            self.assertEqual(gate_callgrind.totals(file), {"outer": 12, "inner": 100})
