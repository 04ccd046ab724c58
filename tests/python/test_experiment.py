# SPDX-License-Identifier: BSD-2-Clause
"""experiment.conf and the plan made of it."""
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import synthetic
from experiment import BUDGETS, FULL_REPS, PROFILES, Budget, ConfError, make_plan, read, read_all

FIGURES = synthetic.ROOT / "paper-figs"
GOOD = """
[experiment]
title = T
workload = echo
[system.a]
dataplane = null
[system.b]
dataplane = skmsg,wait=block
[point.c1]
users = 1
[point.open]
model = poisson
rate = 500
[profile.smoke]
reps = 3
duration_s = 1
[profile.smoke.open]
reps = 1
"""


class Conf(unittest.TestCase):
    def setUp(self) -> None:
        self.base = tempfile.TemporaryDirectory()
        self.addCleanup(self.base.cleanup)

    def folder(self, text: str, name: str = "fig") -> Path:
        folder = Path(self.base.name) / name
        folder.mkdir(exist_ok=True)
        (folder / "experiment.conf").write_text(text)
        return folder

    def test_profile_and_point_settings_reach_the_cells(self) -> None:
        cells = read(self.folder(GOOD)).cells("smoke")
        self.assertEqual(len(cells), 2 * 3 + 2 * 1)
        first = next(c for c in cells if c.point == "open" and c.system == "b")
        args = first.arguments(seed=2)
        for pair in (["-d", "skmsg,wait=block"], ["--rate", "500"], ["--arrivals", "poisson"], ["-t", "1"],
                     ["--seed", "2000"], ["--label", "fig/b/open/0"]):
            at = args.index(pair[0])
            self.assertEqual(args[at:at + 2], pair)
        self.assertNotIn("--think", args)

    def test_systems_see_the_same_seed_and_repetitions_differ(self) -> None:
        seeds = {}
        for cell in read(self.folder(GOOD)).cells("smoke"):
            args = cell.arguments(1)
            seeds.setdefault(cell.rep, set()).add(args[args.index("--seed") + 1])
        self.assertEqual(seeds, {0: {"1000"}, 1: {"1001"}, 2: {"1002"}})

    def test_another_command_gets_the_settings_of_its_cell(self) -> None:
        text = GOOD.replace("workload = echo", "workload = echo\ncommand = audit -d {dataplane} -w {workload} "
                            "-c {users} --seed {seed} 'one word'")
        cell = next(c for c in read(self.folder(text)).cells("smoke") if c.system == "b" and c.point == "c1")
        self.assertEqual(cell.arguments(2), ["audit", "-d", "skmsg,wait=block", "-w", "echo", "-c", "1", "--seed",
                                             "2000", "one word", "--json"])
        self.assertEqual(cell.load_s, 1.0, "warm-up belongs to run")

    def test_a_command_needs_neither_dataplane_nor_workload_and_may_hold_for_one_point(self) -> None:
        text = GOOD.replace("[system.b]\ndataplane = skmsg,wait=block\n", "").replace(
            "users = 1\n", "users = 1\ncommand = floor --reps 3\n")
        cells = {c.point: c for c in read(self.folder(text)).cells("smoke")}
        self.assertEqual(cells["c1"].arguments(1), ["floor", "--reps", "3", "--json"])
        self.assertEqual(cells["open"].arguments(1)[0], "run")
        alone = text.replace("dataplane = null", "name = machine").replace("workload = echo\n", "").replace(
            "[point.open]\n", "[point.open]\ncommand = floor\n")
        self.assertEqual({c.dataplane for c in read(self.folder(alone)).cells("smoke")}, {""})

    def test_further_arguments_of_run_come_before_json(self) -> None:
        text = GOOD.replace("users = 1\n", "users = 1\nargs = --limit {users}\n")
        args = next(c for c in read(self.folder(text)).cells("smoke") if c.point == "c1").arguments(1)
        self.assertEqual(args[-3:], ["--limit", "1", "--json"])

    def test_mistakes_are_named(self) -> None:
        for change, word in (
                (("users = 1", "users = many"), "users"), (("users = 1", "users = 0"), "users"),
                (("users = 1", "usres = 1"), "usres"), (("dataplane = null", "name = x"), "dataplane"),
                (("[profile.smoke]", "[profile.fast]"), "fast"), (("rate = 500", ""), "rate"),
                (("[point.c1]", "[pont.c1]"), "pont"), (("workload = echo", ""), "workload"),
                (("[profile.smoke.open]", "[profile.smoke.shut]"), "shut"),
                (("title = T", "title = T\nheadline = nowhere"), "headline"),
                (("title = T", "title = T\nessential = c1 nowhere"), "essential"),
                (("users = 1", "users = 1\nthink_ms = 5-6"), "think_ms"),
                (("users = 1", "users = 1\ncommand = audit {datplane}"), "datplane"),
                (("users = 1", "users = 1\nargs = 'open"), "'open"),
                (("[experiment]", "experiment"), "experiment.conf")):
            with self.assertRaises(ConfError, msg=change) as caught:
                read(self.folder(GOOD.replace(*change)))
            self.assertIn(word, str(caught.exception))

    def test_one_bad_folder_stops_no_other(self) -> None:
        self.folder(GOOD, "good")
        self.folder("nonsense", "bad")
        found, problems = read_all(Path(self.base.name))
        self.assertEqual([e.name for e in found], ["good"])
        self.assertEqual(len(problems), 1)

    def test_a_copied_folder_is_an_experiment_of_its_own(self) -> None:
        self.folder(GOOD, "one")
        self.folder(GOOD, "two")
        found, _ = read_all(Path(self.base.name))
        labels = [c.label for e in found for c in e.cells("smoke")]
        self.assertEqual(len(labels), len(set(labels)))
        self.assertEqual([e.name for e in read_all(Path(self.base.name), ["tw"])[0]], ["two"])


class Planning(unittest.TestCase):
    def setUp(self) -> None:
        self.experiments, problems = read_all(FIGURES)
        self.assertEqual(problems, [])
        self.assertTrue(self.experiments)

    def test_every_figure_folder_has_the_three_profiles(self) -> None:
        for experiment in self.experiments:
            for profile in PROFILES:
                self.assertTrue(experiment.cells(profile), f"{experiment.name} {profile}")

    def test_profiles_keep_their_time(self) -> None:
        # Load time and 2 s for each deployment; the boutique may take 90 s and 8 min.
        boutique = read(FIGURES / "fig08-09-boutique")
        for profile, limit in (("smoke", 90), ("quick", 480)):
            self.assertLessEqual(sum(c.load_s + 2 for c in boutique.cells(profile)), limit)

    def test_a_plan_repeats_exactly_and_a_change_gives_another_hash(self) -> None:
        plan = make_plan(self.experiments, "quick", 1, "program")
        self.assertEqual(plan, make_plan(self.experiments, "quick", 1, "program"))
        others = [make_plan(self.experiments, "smoke", 1, "program"), make_plan(self.experiments, "quick", 2, "program"),
                  make_plan(self.experiments, "quick", 1, "other program")]
        self.assertEqual(len({plan.hash, *(o.hash for o in others)}), 4)

    def test_repetitions_are_interleaved_and_shuffled(self) -> None:
        plan = make_plan(self.experiments, "quick", 1, "program")
        reps = [c.rep for c in plan.cells]
        self.assertEqual(reps, sorted(reps))
        first = [c.system for c in plan.cells if c.rep == 0]
        self.assertNotEqual(first, [c.system for c in plan.cells if c.rep == 1])
        self.assertGreater(sum(a != b for a, b in zip(first, first[1:])), len(first) // 2)
        self.assertEqual(len({c.label for c in plan.cells}), len(plan.cells))

    def test_a_profile_keeps_its_time_whatever_folders_there_are(self) -> None:
        for profile, budget in BUDGETS.items():
            plan = make_plan(self.experiments, profile, 1, "program")
            self.assertLessEqual(sum(c.cost_s for c in plan.cells), budget.planned)
            for experiment in self.experiments:
                points = {c.point for c in plan.cells if c.experiment == experiment.name}
                for point in experiment.essential or (experiment.headline,):
                    if experiment.cells(profile) and point not in points:
                        self.assertIn(f"{experiment.name} at {point}", plan.left_out)
                        self.assertEqual(profile, "smoke", "quick has room for every essential point")

    def test_what_does_not_fit_is_named_and_headlines_come_first(self) -> None:
        boutique = read(FIGURES / "fig08-09-boutique")
        systems = {c.system for c in boutique.cells("quick") if c.point != "users"}
        with mock.patch.dict(BUDGETS, {"quick": Budget(60.0, 0.0, 0.0)}):
            plan = make_plan([boutique], "quick", 1, "program")
        self.assertLessEqual(sum(c.cost_s for c in plan.cells), 60.0)
        points = {}
        for cell in plan.cells:
            points.setdefault((cell.rep, cell.point), set()).add(cell.system)
        self.assertIn((0, "c32"), points)
        for (_, point), found in points.items():
            if point != "users":
                self.assertEqual(found, systems, "all systems of a point, or none")
        self.assertTrue(any(phrase.startswith("fig08-09-boutique at c32: ") for phrase in plan.left_out), plan.left_out)
        self.assertEqual(make_plan([read(FIGURES / "fig08-09-boutique")], "paper", 1, "program").left_out, ())

    def test_repetitions_are_dropped_before_load_points_and_load_points_before_experiments(self) -> None:
        every = [c for e in self.experiments for c in e.cells("quick")]
        essential = {e.name: set(e.essential or (e.headline,)) for e in self.experiments}
        once = sum(c.cost_s for c in every if c.rep == 0)
        first = sum(c.cost_s for c in every if c.rep == 0 and c.point in essential[c.experiment])
        for room in (once, first):
            with mock.patch.dict(BUDGETS, {"quick": Budget(room + 0.01, 0.0, 0.0)}):
                plan = make_plan(self.experiments, "quick", 1, "program")
            self.assertEqual({e.name for e in self.experiments}, {c.experiment for c in plan.cells})
            self.assertEqual({c.rep for c in plan.cells}, {0})
            if room == once:
                self.assertEqual({(c.experiment, c.point) for c in every}, {(c.experiment, c.point) for c in plan.cells})

    def test_an_interval_for_all_comes_before_further_repetitions_of_some(self) -> None:
        every = [c for e in self.experiments for c in e.cells("quick")]
        room = sum(c.cost_s for c in every if c.rep < FULL_REPS)
        with mock.patch.dict(BUDGETS, {"quick": Budget(room + 0.01, 0.0, 0.0)}):
            plan = make_plan(self.experiments, "quick", 1, "program")
        self.assertEqual({c.label for c in plan.cells}, {c.label for c in every if c.rep < FULL_REPS})

    def test_a_point_may_have_systems_of_its_own(self) -> None:
        boutique = read(FIGURES / "fig08-09-boutique")
        cells = [c for c in boutique.cells("quick") if c.point == "users"]
        self.assertEqual({c.system for c in cells}, {"knative", "skmsg"})


if __name__ == "__main__":
    unittest.main()
