# SPDX-License-Identifier: BSD-2-Clause
"""The runner with a stand-in for perhop: nothing lost, nothing twice, whatever happens."""
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

import synthetic
import records as rec
import runner
from experiment import make_plan, read
from runner import Runner, Stopped, availability, open_folder, unfinished

HERE = Path(__file__).resolve().parent
FAKE = HERE / "fake_perhop.py"
CONF = """
[experiment]
title = Stand-in
workload = boutique
baseline = skmsg
[system.skmsg]
dataplane = skmsg
[system.null]
dataplane = null
[point.c1]
users = 1
[point.c32]
users = 32
[profile.smoke]
reps = 2
duration_s = 0.1
warmup_s = 0
"""


class Case(unittest.TestCase):
    def setUp(self) -> None:
        base = tempfile.TemporaryDirectory()
        self.addCleanup(base.cleanup)
        self.base = Path(base.name)
        self.runs, self.figures = self.base / "runs", self.base / "figs"
        (self.figures / "exp").mkdir(parents=True)
        (self.figures / "exp" / "experiment.conf").write_text(CONF)
        self.trace = self.base / "trace"
        self.trace.touch()
        environment = mock.patch.dict(os.environ, {"FAKE_TRACE": str(self.trace)})
        environment.start()
        self.addCleanup(environment.stop)
        quiet = mock.patch.object(runner, "wait_for_quiet", lambda limit: 0.0)
        quiet.start()
        self.addCleanup(quiet.stop)
        self.plan = make_plan([read(self.figures / "exp")], "smoke", 1, "fake")

    def runner(self, **more: object) -> Runner:
        folder, _ = open_folder(self.runs, self.plan, None)
        return Runner(self.plan, folder, FAKE, lambda p: None, **more)

    def labels(self, folder: Path) -> list[str]:
        return [r["label"] for r in rec.load(folder / "records.jsonl").records]


class Running(Case):
    def test_all_cells_run_once_in_the_planned_order(self) -> None:
        r = self.runner()
        state = r.run()
        self.assertEqual((state.done, state.failed, state.skipped), (8, 0, 0))
        self.assertEqual(self.labels(r.folder), [c.label for c in self.plan.cells])
        self.assertEqual({(x["label"].rsplit("/")[-1], x["rep"]) for x in rec.load(r.records).records},
                         {("0", 0), ("1", 1)})

    def test_a_finished_plan_starts_a_new_folder(self) -> None:
        r = self.runner()
        r.run()
        self.assertEqual(unfinished(self.runs, self.plan.hash), r.folder, "its report is not written")
        (r.folder / runner.REPORT).touch()
        self.assertIsNone(unfinished(self.runs, self.plan.hash))
        folder, resumed = open_folder(self.runs, self.plan, None)
        self.assertFalse(resumed)
        self.assertNotEqual(folder, r.folder)

    def test_what_cannot_run_is_recorded_with_its_reason_and_not_started(self) -> None:
        with mock.patch.dict(os.environ, {"FAKE_CANNOT": "skmsg"}):
            reasons = availability(FAKE, {"skmsg", "null", "dpdk,wait=spin"})
        self.assertEqual(set(reasons), {"skmsg", "dpdk,wait=spin"})
        r = self.runner(unavailable=reasons)
        state = r.run()
        self.assertEqual(state.skipped, 4)
        self.assertNotIn("skmsg", self.trace.read_text())
        skipped = [x for x in rec.load(r.records).records if x["skipped"]]
        self.assertEqual({x["skipped"] for x in skipped}, {"no such thing here"})

    def test_a_failing_program_costs_its_cell_only_and_its_message_is_kept(self) -> None:
        for mode, word in (("silent", "it did not work"), ("garbage", "not JSON")):
            with self.subTest(mode), mock.patch.dict(os.environ, {"FAKE_MODE": mode}):
                r = self.runner()
                self.assertEqual(r.run().skipped, 8)
                self.assertIn(word, rec.load(r.records).records[0]["skipped"])
                (r.folder / runner.REPORT).touch()      # a finished run

    def test_an_invalid_run_is_kept_and_counted(self) -> None:
        with mock.patch.dict(os.environ, {"FAKE_MODE": "invalid"}):
            self.assertEqual(self.runner().run().failed, 8)

    def test_a_hanging_program_is_stopped(self) -> None:
        with mock.patch.dict(os.environ, {"FAKE_MODE": "hang"}), mock.patch.object(runner, "GRACE_S", 0.5):
            r = self.runner()
            record = r._cell(self.plan.cells[0])
        self.assertIn("still running", record["skipped"])

    def test_steal_and_busy_neighbours_are_marked(self) -> None:
        times = iter([[0] * 8, [50, 0, 0, 40, 0, 0, 0, 10]])
        with mock.patch.object(runner, "cpu_times", lambda: next(times)), \
                mock.patch.object(runner, "wait_for_quiet", lambda limit: 80.0):
            record = self.runner()._cell(self.plan.cells[0])
        self.assertTrue(any(m.startswith("steal: 10.0 %") for m in record["marks"]))
        self.assertTrue(any(m.startswith("busy: ") for m in record["marks"]))
        self.assertTrue(record["valid"])

    def test_a_full_disk_stops_with_a_sentence_and_resumes(self) -> None:
        r = self.runner()
        with mock.patch.object(rec, "append", side_effect=OSError(28, "No space left on device")):
            with self.assertRaises(Stopped) as caught:
                r.run()
        self.assertIn("No space left", str(caught.exception))
        self.assertEqual(self.runner().run().done, 8)

    def test_what_has_not_begun_when_the_time_is_over_is_skipped_with_that_reason(self) -> None:
        r = self.runner(limit_s=-1.0)
        state = r.run()
        self.assertEqual((state.done, state.skipped), (8, 8))
        self.assertIn("time would not have held it", rec.load(r.records).records[0]["skipped"])
        self.assertEqual(self.trace.read_text(), "")

    def test_expected_time_learns_and_leaves_out_what_cannot_run(self) -> None:
        r = self.runner(unavailable={"skmsg": "x"})
        self.assertAlmostEqual(r.expected_s(self.plan.cells), 4 * (0.1 + runner.OVERHEAD_S))
        r.overheads = {"kernel:http": [5.0, 5.0, 90.0]}
        self.assertAlmostEqual(r.expected_s(self.plan.cells), 4 * 5.1)
        r.overheads["null"] = [1.0]
        self.assertAlmostEqual(r.expected_s(self.plan.cells), 4 * 1.1)

    def test_a_slow_machine_loses_repetitions_of_whole_load_points_and_says_so(self) -> None:
        r = self.runner()
        left = list(self.plan.cells)                # 8 cells of 10.1 s, 45 s to go
        r.overheads = {"skmsg": [10.0], "null": [10.0]}
        self.assertEqual(r._drop(left, time.monotonic() + 45.0), [], "two slow cells say nothing yet")
        r.overheads = {"skmsg": [10.0] * 6, "null": [10.0] * 6}
        few = list(left)
        r._drop(few, time.monotonic() + 1.0)
        self.assertEqual({(c.point, c.rep) for c in few}, {("c1", 0)}, "the headline once, while there is any time")
        self.assertEqual(len(r._drop(few, time.monotonic() - 1.0)), 2, "but not when it is over")
        gone = r._drop(left, time.monotonic() + 45.0)
        self.assertEqual({c.rep for c in gone}, {1}, "every point runs once")
        self.assertEqual((len(gone), {c.rep for c in left}), (4, {0}))
        answers = [gone]
        with mock.patch.object(r, "_drop", lambda cells, until: [cells.pop(cells.index(c)) for c in answers.pop()]
                               if answers else []):
            state = r.run()
        self.assertEqual((state.done, state.skipped), (8, 4))
        self.assertIn("dropped while running", next(x["skipped"] for x in rec.load(r.records).records if x["skipped"]))


class Commands(Case):
    """Cells of another sub-command than run."""

    def go(self, mode: str) -> list[dict]:
        (self.figures / "exp" / "experiment.conf").write_text(
            CONF.replace("workload = boutique", "command = audit -d {dataplane} --seed {seed}"))
        self.plan = make_plan([read(self.figures / "exp")], "smoke", 1, "fake")
        with mock.patch.dict(os.environ, {"FAKE_MODE": mode}):
            r = self.runner()
            self.state = r.run()
        self.folder = r.folder
        return rec.load(r.records).records

    def test_what_a_command_prints_is_kept_as_it_is(self) -> None:
        rows = self.go("ok")
        self.assertEqual((len(rows), self.state.failed, self.state.skipped), (8, 0, 0))
        for row in rows:
            self.assertEqual(row["output"][0]["asked"], row["command"])
            self.assertTrue(row["valid"])
            self.assertEqual(row["host"]["kernel"], "synthetic")

    def test_a_check_of_its_own_that_fails_makes_the_record_invalid(self) -> None:
        rows = self.go("invalid")
        self.assertEqual(self.state.failed, 8)
        self.assertIn("exit 1", rows[0]["invalid_reasons"][0])
        self.assertIsNotNone(rows[0]["output"])

    def test_a_command_that_cannot_run_is_skipped_with_its_words(self) -> None:
        rows = self.go("silent")
        self.assertEqual(self.state.skipped, 8)
        self.assertIn("it needs eBPF", rows[0]["skipped"])

    def test_its_records_reach_the_report(self) -> None:
        self.go("ok")
        from reproduce import main
        with contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(main(["--draw", str(self.folder), "--figures", str(self.figures)]), 0)
        self.assertIn("Runs of exp", (self.folder / "report.html").read_text())


class Resuming(Case):
    def test_an_interrupted_run_goes_on_where_it_stopped(self) -> None:
        r = self.runner()
        real, seen = r._cell, []

        def interrupt(cell: object) -> object:
            if len(seen) == 3:
                raise KeyboardInterrupt
            seen.append(cell)
            return real(cell)
        with mock.patch.object(Runner, "_cell", lambda self, cell: interrupt(cell)):
            with self.assertRaises(KeyboardInterrupt):
                r.run()
        again = self.runner()
        self.assertEqual(again.folder, r.folder)
        self.assertEqual(again.run().done, 8)
        self.assertEqual(sorted(self.labels(r.folder)), sorted(c.label for c in self.plan.cells))
        self.assertEqual(len(self.trace.read_text().split()), 8)

    def test_a_half_written_record_is_run_again(self) -> None:
        r = self.runner()
        r.run()
        r.records.write_bytes(r.records.read_bytes()[:-20])
        again = self.runner()
        self.assertEqual(again.folder, r.folder)
        again.run()
        loaded = rec.load(r.records)
        self.assertEqual((len(loaded.records), loaded.problems), (8, []))

    def test_another_plan_is_never_mixed_in(self) -> None:
        r = self.runner()
        other = make_plan([read(self.figures / "exp")], "smoke", 1, "another program")
        self.assertIsNone(unfinished(self.runs, other.hash))
        with self.assertRaises(Stopped):
            open_folder(self.runs, other, str(r.folder))
        with self.assertRaises(Stopped):
            open_folder(self.runs, self.plan, str(self.base))

    def test_no_resume_starts_anew(self) -> None:
        r = self.runner()
        folder, resumed = open_folder(self.runs, self.plan, "no")
        self.assertFalse(resumed)
        self.assertNotEqual(folder, r.folder)

    def test_killing_the_driver_loses_nothing_and_ctrl_c_leaves_no_child(self) -> None:
        command = [sys.executable, str(synthetic.ROOT / "scripts" / "reproduce.py"), "--profile", "smoke",
                   "--program", str(FAKE), "--figures", str(self.figures), "--runs", str(self.runs)]
        environment = {**os.environ, "FAKE_DELAY": "0.3"}
        for signum in (signal.SIGKILL, signal.SIGINT):
            # A shell's background job, as a test runner's may be, ignores SIGINT; its children would too.
            child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                     preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
            deadline = time.monotonic() + 30
            want = len(self.trace.read_text().split()) + 2
            while len(self.trace.read_text().split()) < want and time.monotonic() < deadline:
                time.sleep(0.05)
            child.send_signal(signum)
            _, said = child.communicate(timeout=30)
            if signum == signal.SIGINT:
                self.assertEqual(child.returncode, 130)
                self.assertIn("Run the same command again", said)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        folders = list(self.runs.iterdir())
        self.assertEqual(len(folders), 1)
        self.assertEqual(sorted(self.labels(folders[0])), sorted(c.label for c in self.plan.cells))
        self.assertIn(f"report: {folders[0] / 'report.html'}", done.stdout)
        # Three drivers, and at most one cell begun twice per driver that was stopped.
        self.assertLessEqual(len(self.trace.read_text().split()), 8 + 2)

    def test_plan_only_runs_nothing(self) -> None:
        done = subprocess.run(
            [sys.executable, str(synthetic.ROOT / "scripts" / "reproduce.py"), "--profile", "smoke", "--plan",
             "--program", str(FAKE), "--figures", str(self.figures), "--runs", str(self.runs)],
            capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("4 runs: ", done.stdout)
        self.assertFalse(self.runs.exists())
        self.assertEqual(self.trace.read_text(), "")

    def test_a_missing_program_and_no_experiment_are_said(self) -> None:
        for extra, word in ((["--program", str(self.base / "none")], "make"), (["--only", "zzz"], "nothing to run")):
            done = subprocess.run(
                [sys.executable, str(synthetic.ROOT / "scripts" / "reproduce.py"), "--profile", "smoke",
                 "--program", str(FAKE), "--figures", str(self.figures), "--runs", str(self.runs), *extra],
                capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn(word, done.stderr)


class Listing(unittest.TestCase):
    def test_both_shapes_of_the_list_are_understood(self) -> None:
        into: dict = {}
        runner.collect(json.loads('{"dataplanes":[{"name":"kernel","ok":true,"reason":null,"modes":['
                                  '{"spec":"kernel:knative","ok":false,"reason":"no nginx"}]},'
                                  '{"name":"null","ok":true,"reason":"a limit","modes":[]}]}'), into)
        self.assertEqual(into, {"kernel": None, "kernel:knative": "no nginx", "null": None})


if __name__ == "__main__":
    unittest.main()
