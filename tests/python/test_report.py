# SPDX-License-Identifier: BSD-2-Clause
"""Figures, verdicts and report on synthetic records (made here, never measured)."""
import contextlib
import hashlib
import io
import json
import re
import shutil
import tempfile
import unittest
import warnings
from html.parser import HTMLParser
from pathlib import Path
from unittest import mock

import numpy as np

import agree
import browser
import compare
import headline
import records as rec
import reproduce
import runner
import synthetic
import tables
from experiment import make_plan, read
from figures import draw, load_module
from ledger import ledger, unmeasured
from stats import Estimate, ratio_interval
from verdicts import (INCONSISTENT, KINDS, NOT_APPLICABLE, NOT_REPRODUCED, REPRODUCED, TREND, Verdict, inputs_told, judge_ratio,
                      number, published, reference, with_half)

FIGURES = synthetic.ROOT / "paper-figs"
BOUTIQUE = FIGURES / "fig08-09-boutique"


def make_run(folder: Path, records: list[dict], figures: Path = FIGURES, fast: bool = False) -> Path:
    """A run's folder from records; returns its report. fast: gnuplot's one figure is enough."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "records.jsonl"
    path.unlink(missing_ok=True)
    for record in records:
        rec.append(path, record)
    plan = make_plan([read(f.parent) for f in sorted(figures.glob("*/experiment.conf"))], "quick", 1, "synthetic")
    (folder / "plan.json").write_text(json.dumps(plan.as_json()))
    with contextlib.redirect_stdout(io.StringIO()):
        status = reproduce.main(["--draw", str(folder), "--figures", str(figures), *(["--gnuplot"] if fast else [])])
    assert status == 0
    return folder / "report.html"


class Temporary(unittest.TestCase):
    def setUp(self) -> None:
        base = tempfile.TemporaryDirectory()
        self.addCleanup(base.cleanup)
        self.base = Path(base.name)


class Figures(Temporary):
    def test_all_figures_draw_without_a_warning_in_three_formats(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            drawn = draw(read(BOUTIQUE), synthetic.experiment_records(3, samples=300), self.base)
        self.assertEqual(drawn.problems, [])
        self.assertGreaterEqual(len(drawn.figures), 6)
        for svg, caption in drawn.figures:
            self.assertIn("n = ", caption)
            for suffix in (".svg", ".pdf", ".png"):
                self.assertGreater(svg.with_suffix(suffix).stat().st_size, 1000)
            pdf = svg.with_suffix(".pdf").read_bytes()
            self.assertIn(b"/FontFile2", pdf, "fonts must be embedded")
            self.assertNotIn(b"/Type3", pdf)

    def test_the_same_records_give_the_same_bytes(self) -> None:
        sums = []
        for name in ("a", "b"):
            draw(read(BOUTIQUE), synthetic.experiment_records(2, points=("c32", "users"), samples=100), self.base / name)
            sums.append({p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (self.base / name).iterdir()})
        self.assertEqual(*sums)

    def test_any_subset_of_systems_and_points_can_be_drawn(self) -> None:
        every = synthetic.experiment_records(1, samples=100)
        for systems, points in (({"null"}, {"c32"}), ({"knative", "skmsg"}, {"users"}), ({"skmsg"}, {"c1"})):
            mine = [r for r in every if rec.cell_of(r)[1] in systems and rec.cell_of(r)[2] in points]
            drawn = draw(read(BOUTIQUE), mine, self.base)
            self.assertEqual(drawn.problems, [])
            self.assertTrue(drawn.figures)
            self.assertTrue(drawn.verdicts)

    def test_records_without_series_histograms_or_cpu_can_be_drawn(self) -> None:
        bare = synthetic.experiment_records(1, samples=100)
        for record in bare:
            record.update(series=None, histogram=None, cpu_series=None, ccr_us=None, node_cpu_percent=None,
                          cpu_us={}, cpu_percent={})
            rec.check(record)
        drawn = draw(read(BOUTIQUE), bare, self.base)
        self.assertEqual(drawn.problems, [])
        self.assertEqual([p.stem for p, _ in drawn.figures], ["fig08-capacity"])

    def test_an_experiment_that_was_left_out_is_no_problem_and_one_without_a_valid_run_is(self) -> None:
        self.assertEqual(draw(read(BOUTIQUE), [], self.base).problems, [])
        rows = synthetic.experiment_records(1, points=("c32",), samples=50)
        for row in rows:
            row.update(valid=False, invalid_reasons=["made invalid by a test"])
        self.assertIn("no valid runs", draw(read(BOUTIQUE), rows, self.base).problems[0])

    def test_a_channel_of_which_one_side_did_not_run_is_not_judged(self) -> None:
        module = load_module(FIGURES / "wallet-channel" / "verdicts.py")
        rows = [synthetic.record(point=p, users=1, experiment="wallet-channel", samples=50) for p in ("l1-16384", "l8-16384")]
        self.assertEqual({v.kind for v in module.judge(rows, reference())}, {NOT_APPLICABLE})

    def test_labels_are_spread_without_touching_or_crossing(self) -> None:
        style = load_module(FIGURES / "style.py")
        at = style.spread([0, 1, 2, 50], 10)
        self.assertEqual(at, sorted(at))
        self.assertGreaterEqual(min(b - a for a, b in zip(at, at[1:])), 10 - 1e-9)
        self.assertEqual(style.spread([0, 100], 10), [0, 100])


    @unittest.skipUnless(shutil.which("gnuplot"), "no gnuplot here")
    def test_gnuplot_draws_where_matplotlib_is_missing(self) -> None:
        with mock.patch("figures.have_matplotlib", lambda: False):
            drawn = draw(read(BOUTIQUE), synthetic.experiment_records(3, samples=100), self.base)
        self.assertEqual(drawn.problems, [])
        (svg, caption), = drawn.figures
        self.assertIn("Drawn by gnuplot", caption)
        for suffix in (".svg", ".pdf", ".png"):
            self.assertGreater(svg.with_suffix(suffix).stat().st_size, 1000)
        self.assertIn("SK_MSG", svg.read_text())
        self.assertEqual((self.base / "points.dat").read_text().count('"'), 24, "three panels, a block for each of four systems")

    @unittest.skipUnless(shutil.which("gnuplot"), "no gnuplot here")
    def test_every_line_plot_has_a_gnuplot_variant_that_draws(self) -> None:
        scripts = sorted(FIGURES.glob("*/plot.gp"))
        self.assertGreaterEqual(len(scripts), 9)
        for script in scripts:
            with self.subTest(script.parent.name):
                experiment = read(script.parent)
                out = self.base / "it's here" / experiment.name
                rows = synthetic.records_of(experiment)
                drawn = draw(experiment, rows, out, gnuplot=True)
                self.assertEqual(drawn.problems, [])
                (svg, caption), = drawn.figures
                self.assertIn("Drawn by gnuplot", caption)
                curves = (out / "points.dat").read_text().count('\n"')
                self.assertGreaterEqual(curves, 2)
                self.assertGreaterEqual(svg.read_text().count("<title>"), curves)
                for suffix in (".pdf", ".png"):
                    self.assertGreater(svg.with_suffix(suffix).stat().st_size, 1000)


class Verdicts(Temporary):
    def estimate(self, value: float, low: float, high: float) -> Estimate:
        return Estimate(value, low, high, 5, 0.99, "test")

    def test_ratios_are_judged_as_defined(self) -> None:
        for estimate, expected, kind in (
                (self.estimate(3.1, 2.8, 3.4), 3.0, REPRODUCED),        # inside the interval
                (self.estimate(3.6, 3.5, 3.7), 3.0, REPRODUCED),        # within 25 %
                (self.estimate(4.2, 3.6, 4.9), 3.0, REPRODUCED),        # more than 25 % off is not shown
                (self.estimate(4.2, 3.9, 4.6), 3.0, TREND),             # it is
                (self.estimate(9.0, 1.1, 70), 3.0, TREND),              # an interval that holds anything
                (self.estimate(30, 28, 32), 3.0, TREND), (self.estimate(1.3, 1.1, 1.5), 3.0, TREND),
                (self.estimate(1.1, 0.9, 1.3), 3.0, NOT_REPRODUCED),    # no difference shown
                (self.estimate(3.0, 0.5, 9), 3.0, NOT_APPLICABLE),      # too noisy to tell
                (self.estimate(0.5, 0.4, 0.6), 3.0, NOT_REPRODUCED),    # the other way
                (self.estimate(0.4, 0.3, 0.5), 0.41, REPRODUCED), (self.estimate(1.1, 1.0, 1.2), 1.0, REPRODUCED),
                (self.estimate(1.4, 1.2, 1.6), 1.0, REPRODUCED),
                (self.estimate(2, 1.9, 2.1), 1.0, NOT_REPRODUCED)):
            self.assertEqual(judge_ratio(estimate, expected), kind, (estimate, expected))

    def test_the_boutiques_numbers_are_judged(self) -> None:
        verdicts = {(v.artifact, v.claim): v for v in load_module(BOUTIQUE / "verdicts.py").judge(
            synthetic.experiment_records(5, samples=200), reference())}
        for artifact, claim in (("fig8", "throughput of Knative, 4,000 users"),
                                ("fig8", "throughput of S-SPRIGHT, 12,000 users"),
                                ("slide-boutique", "throughput of SPRIGHT, 25,000 users")):
            verdict = verdicts[artifact, claim]
            self.assertEqual(verdict.kind, INCONSISTENT)
            self.assertTrue(verdict.run_ids)
        ratio = verdicts["fig8", "S-SPRIGHT's stable throughput over Knative's"]
        self.assertEqual((ratio.kind, len(ratio.run_ids)), (TREND, 10))
        self.assertEqual(verdicts["slide-boutique", "throughput of SPRIGHT over gRPC's"].kind, NOT_APPLICABLE)

    def test_without_records_every_number_still_has_a_verdict(self) -> None:
        verdicts = load_module(BOUTIQUE / "verdicts.py").judge([], reference())
        self.assertEqual({v.kind for v in verdicts}, {NOT_APPLICABLE, INCONSISTENT})
        self.assertEqual(len(verdicts), 15)

    def test_an_equal_system_is_never_a_reproduction_of_a_difference(self) -> None:
        same = synthetic.experiment_records(5, points=("c32", "users"), samples=100)
        for record in same:
            record["rps"] = 100.0 + record["rep"]
        verdicts = load_module(BOUTIQUE / "verdicts.py").judge(same, reference())
        kinds = {v.claim: v.kind for v in verdicts if "throughput" in v.claim and "over" in v.claim}
        self.assertEqual(kinds["throughput of SPRIGHT over Knative's"], NOT_REPRODUCED)

    def test_noise_of_five_percent_flips_few_verdicts_wherever_the_true_ratio_lies(self) -> None:
        rng = np.random.default_rng(5)
        expected = 3.0
        for true, most in ((3.0, .01), (3.6, .02), (20.0, .01), (0.5, .01), (3.9, .5)):
            kinds = [judge_ratio(ratio_interval(true * (1 + .05 * rng.standard_normal(4)),
                                                1 + .05 * rng.standard_normal(4)), expected) for _ in range(300)]
            usual = max(set(kinds), key=kinds.count)
            self.assertLessEqual(1 - kinds.count(usual) / len(kinds), most, true)

    def test_the_inputs_are_those_of_the_papers_and_another_one_is_told(self) -> None:
        module = load_module(FIGURES / "table3-6-inputs" / "verdicts.py")
        parking = {"spec": "parking", "functions": [{"name": n, "service_ns": int(ms * 1e6)} for n, ms in (
            ("plate-detection", 435), ("plate-search", 20), ("plate-index", 1), ("charging", 50), ("persist-metadata", 11))],
            "chains": [{"name": "ch1-unknown", "path": "/", "sequence": [
                "plate-detection", "plate-search", "plate-index", "persist-metadata", "charging"]},
                {"name": "ch2-known", "path": "/", "sequence": ["plate-detection", "charging", "plate-search"]}]}
        row = {"label": "table3-6-inputs/perhop/listed/0", "run_id": "out-00000000", "skipped": None, "valid": True,
               "kind": "output", "output": [{"workloads": [{"name": "parking", "applications": [parking]}]}]}
        kinds = {(v.artifact, v.claim): v.kind for v in module.judge([row], reference())}
        self.assertEqual(kinds["table5", "CPU service time of charging, fn 4"], REPRODUCED)
        self.assertEqual(kinds["table5", "CPU service time of persist-metadata, fn 5"], NOT_REPRODUCED)
        self.assertEqual(kinds["table6", "function sequence of parking, ch1"], REPRODUCED)
        self.assertEqual(kinds["table6", "function sequence of parking, ch2"], NOT_REPRODUCED)
        self.assertEqual(kinds["sec4.1", "CPU service time of sensor, motion"], NOT_REPRODUCED)

    def test_offered_load_of_the_published_set_up(self) -> None:
        module = load_module(BOUTIQUE / "verdicts.py")
        self.assertAlmostEqual(module.OFFERED_PER_USER, 0.22, places=3)

    def test_the_reference_is_complete_and_has_sources(self) -> None:
        rows = reference()
        self.assertEqual(len(rows), 210)
        self.assertTrue(all(r.source and r.value and r.artifact for r in rows))
        self.assertEqual(published(rows, "fig9", "skmsg", "CPU", "12K").number, 0.94)
        with self.assertRaises(LookupError):
            published(rows, "fig9", "skmsg", "CPU")

    def test_a_count_is_compared_as_a_number_and_not_where_the_audit_doubts_itself(self) -> None:
        cell = {"mean": 15.2, "ci99": [15.1, 15.3], "why": "because"}
        counts = {q: {"segments": {"1": cell}, "total": cell, "slide_total": cell, "external": cell, "within": cell}
                  for q in ("copies", "context_switches", "interrupts", "protocol_tasks", "serializations",
                            "deserializations")}
        audit = {"counts": counts, "dataplane": "kernel:knative", "mode": "isolated", "checks": [
            {"name": "protocol: no variance", "verdict": "fail", "text": "-2.7 and 2.0"}]}
        row = {"label": "table1-2-audit/knative/isolated/0", "run_id": "out-00000000", "output": [audit], "rep": 0,
               "skipped": None, "valid": False, "kind": "output"}
        module = load_module(FIGURES / "table1-2-audit" / "verdicts.py")
        found = {v.claim: v for v in module.judge([row], reference()) if v.artifact == "table1"}
        self.assertEqual(found["copies, knative, total"].kind, REPRODUCED)
        self.assertEqual(found["interrupts, knative, total"].kind, NOT_REPRODUCED)
        self.assertEqual(found["interrupts, knative, total"].sentence[:7], "because")
        self.assertEqual(found["protocol_tasks, knative, total".replace("_", " ")].kind, NOT_APPLICABLE)
        self.assertEqual(module.tables([row])[0][1].rows[0][4], "–")
        self.assertTrue(all(v.kind == NOT_APPLICABLE for v in module.judge([], reference())))
        # Of a poller, what the code does counts, and what the scheduler does not.
        row["output"] = [{**audit, "mode": "as-scheduled", "checks": []}]
        self.assertEqual(module.tables([row])[0][1].rows[0][1:5], ("15.2", "–", "–", "15.2"))

    def test_hops_are_held_against_the_floor_of_their_run(self) -> None:
        def hop(name: str, floor: str | None, ns: float) -> dict:
            over = {"median": 1.02 if floor else None, "low": 0.98 if floor else None, "high": 1.1 if floor else None}
            return {"name": name, "placement": "same-core", "ns": {"median": ns, "low": ns - 1, "high": ns + 1},
                    "cpu_ns": {"median": ns, "low": None, "high": None}, "floor": floor, "over_floor": over,
                    "skipped": None}
        row = {"label": "hop-floors/machine/floor/0", "valid": True, "kind": "output", "output": [
            {"kind": "floor", "hops": [hop("futex-bell", None, 2430.0), hop("futex", "futex-bell", 2390.0)]}]}
        (title, table), = load_module(FIGURES / "hop-floors" / "verdicts.py").tables([row])
        self.assertEqual(title, "A hop over its floor")
        self.assertEqual(list(table.rows), [("futex", "same-core", "2390 [2389, 2391]", "futex-bell",
                                             "2430 [2429, 2431]", "1.02 [0.98, 1.10]")])
        self.assertEqual(load_module(FIGURES / "hop-floors" / "floors.py").bare([row], "same-core", "ns"),
                         {"ring + futex": 2.43})

    def test_numbers_have_three_digits_and_no_exponent(self) -> None:
        for value, text in ((1234567.8, "1,234,568"), (99.96, "100"), (9.996, "10.0"), (1.0, "1.00"), (0.9999, "1.00"),
                            (0.01234, "0.0123"), (0, "0"), (1e-14, "0"), (0.00001234, "0.0000123"), (-2.0, "-2.00")):
            self.assertEqual(number(value), text)
        self.assertEqual(with_half(356.2, 25.31), "356 ± 25")


class Ledger(unittest.TestCase):
    def test_every_published_number_has_exactly_one_verdict_and_a_reason(self) -> None:
        for records in ([], synthetic.experiment_records(3, samples=100)):
            judged = {BOUTIQUE.name: load_module(BOUTIQUE / "verdicts.py").judge(records, reference())}
            entries = ledger(reference(), judged, {"fig8": [BOUTIQUE.name], "fig5": ["fig05-event-vs-polling"]})
            self.assertEqual([e.row for e in entries], list(reference()))
            self.assertTrue(all(e.sentence and e.kind in KINDS for e in entries))
            said = {e.row.artifact: e.sentence for e in entries}
            self.assertIn("fig05-event-vs-polling, is not part of this run", said["fig5"])
            self.assertIn("survey", said["survey"])

    def test_a_number_takes_the_claim_that_is_about_it_before_one_that_rests_on_it(self) -> None:
        a, b, c = reference()[:3]
        about = Verdict(a.artifact, "about b", "1", "1", TREND, "s", rows=(b,))
        rests = Verdict(a.artifact, "a over b", "1", "1", REPRODUCED, "s", rows=(a, b))
        silent = Verdict(a.artifact, "nothing", "1", "–", NOT_APPLICABLE, "s", rows=(a,))
        found = {e.row: e for e in ledger(reference(), {"x": [silent, rests, about]}, {a.artifact: ["x"]})}
        self.assertEqual((found[a].claim, found[b].claim), ("a over b", "about b"))
        self.assertIn("No claim of x", found[c].sentence)

    def test_an_experiment_that_names_its_rows_forgets_none(self) -> None:
        judged, homes = {}, {}
        for folder in sorted(f.parent for f in FIGURES.glob("*/verdicts.py")):
            verdicts = load_module(folder / "verdicts.py").judge([], reference())
            if any(v.rows for v in verdicts):
                judged[folder.name] = verdicts
                for artifact in {v.artifact for v in verdicts}:
                    homes.setdefault(artifact, []).append(folder.name)
        forgotten = [e.row.key for e in ledger(reference(), judged, homes) if e.sentence.startswith("No claim of")]
        self.assertEqual(forgotten, [])

    def test_a_claim_without_rows_is_about_its_artifacts_only_number(self) -> None:
        claim = Verdict("slide-startup", "unikernel over container", "4×", "5×", REPRODUCED, "s")
        entry, = [e for e in ledger(reference(), {"x": [claim]}, {}) if e.row.artifact == "slide-startup"]
        self.assertEqual((entry.kind, entry.claim, entry.experiment), (REPRODUCED, claim.claim, "x"))

    def test_what_a_workload_takes_over_is_told_apart_from_what_was_reproduced(self) -> None:
        a, b, c = reference()[:3]
        result, taken = (Verdict(r.artifact, "c", "1", "1", REPRODUCED, "s", rows=(r,), is_input=i)
                         for r, i in ((a, False), (b, True)))
        other = Verdict(c.artifact, "c", "1", "1", INCONSISTENT, "s", rows=(c,), is_input=True)
        entries = ledger(reference(), {"x": [result, taken, other]}, {})
        self.assertEqual([e.as_json()["input"] for e in entries[:3]], [False, True, True])
        self.assertTrue(inputs_told(entries).startswith("1 of the 2 reproduced are inputs"))
        self.assertEqual(inputs_told(entries[:1]), "")

    def test_reasons_are_given_for_published_artifacts_only(self) -> None:
        self.assertLessEqual(set(unmeasured()), {r.artifact for r in reference()})


class Page(HTMLParser):
    """What the tests want to know of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.loads: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        have = dict(attrs)
        if "id" in have:
            self.ids.append(have["id"])
        for key in ("src", "href", "xlink:href"):
            value = have.get(key)
            if value is None or value.startswith(("#", "data:")):
                continue
            (self.links if tag == "a" else self.loads).append(value)


class Reports(Temporary):
    def test_the_report_stands_alone_and_its_links_lead_somewhere(self) -> None:
        path = make_run(self.base / "run", synthetic.experiment_records(2, points=("c1", "c32"), samples=200))
        parser = Page()
        parser.feed(path.read_text())
        self.assertEqual(len(parser.ids), len(set(parser.ids)))
        self.assertEqual(parser.loads, [], "a page that needs nothing else")
        for link in parser.links:
            self.assertTrue((path.parent / link).exists(), link)
        text = path.read_text()
        for word in ("Verdicts", "As published", "Host", "synthetic CPU", "SK_MSG", "Little"):
            self.assertIn(word, text)
        self.assertNotIn("http://", re.sub(r"http://www\.w3\.org/[^\"]*", "", text))

    def test_findings_crossings_and_own_tables_are_in_it(self) -> None:
        figures = self.base / "figs"
        shutil.copytree(FIGURES, figures, ignore=shutil.ignore_patterns("__pycache__"))
        with open(figures / BOUTIQUE.name / "verdicts.py", "a", encoding="utf-8") as file:
            file.write("\n\ndef tables(records):\n    from tables import Table\n"
                       "    return [('My own table', Table(('a', 'b'), [('x<y', str(len(records)))]))]\n")
        rows = synthetic.experiment_records(3, samples=100)
        for row in rows:        # null falls behind SK_MSG at 32 connections
            if row["dataplane"] == "null" and row["label"].split("/")[2] == "c32":
                row["rps"] = 10000.0 + row["rep"]
        path = make_run(self.base / "run", rows, figures, fast=True)
        for name in ("report.html", "report.md"):
            text = (path.parent / name).read_text()
            for word in ("What was found in the papers", "My own table", "RPS: SK_MSG exceeds function call from",
                         "no back-pressure"):
                self.assertIn(word, text)
        self.assertIn("x&lt;y", path.read_text())
        self.assertIn("My own table", (path.parent / "tables.tex").read_text())

    def test_markdown_of_findings_becomes_html_and_nothing_else(self) -> None:
        import markup
        text = markup.to_html("# T\n\n## A `<b>`\n\n**Bold.** x < y *slanted* [text](u.md) 2*3*4\n\n- one\n  more\n- `two`\n\nend")
        self.assertEqual(text, "<h3>A <code>&lt;b&gt;</code></h3>\n<p><b>Bold.</b> x &lt; y <i>slanted</i> text 2<i>3</i>4"
                         "</p>\n<ul>\n<li>one\nmore</li>\n<li><code>two</code></li>\n</ul>\n<p>end</p>")

    def test_two_runs_of_the_same_records_agree_and_a_changed_verdict_is_named(self) -> None:
        rows = synthetic.experiment_records(3, samples=100)
        a, b = (make_run(self.base / name, rows, fast=True).parent for name in "ab")
        with contextlib.redirect_stdout(io.StringIO()) as out:
            self.assertEqual(agree.main([str(a), str(b)]), 0)
            verdicts = json.loads((b / "verdicts.json").read_text())
            verdicts[0]["verdict"] = REPRODUCED
            (b / "verdicts.json").write_text(json.dumps(verdicts))
            self.assertEqual(agree.main([str(a), str(b), "--least", "100"]), 1)
        self.assertIn("209 of 210 verdicts agree", out.getvalue())
        self.assertIn(verdicts[0]["metric"], out.getvalue())
        with contextlib.redirect_stderr(io.StringIO()):
            self.assertEqual(agree.main([str(a), str(self.base)]), 2)

    def test_the_same_records_give_the_same_report(self) -> None:
        rows = synthetic.experiment_records(1, points=("c1", "c32"), samples=100)
        texts = []
        for name in ("a", "b"):
            path = make_run(self.base / name, rows)
            texts.append([(path.parent / f).read_text() for f in ("report.html", "report.md", "tables.tex")])
        self.assertEqual(*texts)

    def test_text_from_records_cannot_become_markup(self) -> None:
        rows = synthetic.experiment_records(1, points=("c32",), samples=100)
        for row in rows:
            row.update(valid=False, invalid_reasons=["<script>alert(1)</script>"])
            row["host"]["kernel"] = "<img src=x>|y"
        text = make_run(self.base / "run", rows, fast=True).read_text()
        self.assertNotIn("<script>alert", text)
        self.assertNotIn("<img", text)

    def test_a_broken_figure_stops_no_other_and_a_deleted_one_is_not_missed(self) -> None:
        figures = self.base / "figs"
        shutil.copytree(FIGURES, figures, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(BOUTIQUE, figures / "broken")
        (figures / "broken" / "plot.py").write_text("def draw(records, out_dir):\n    raise RuntimeError('boom')\n")
        rows = synthetic.experiment_records(1, points=("c32",), samples=100)
        rows += synthetic.experiment_records(1, points=("c32",), samples=100, experiment="broken", seed=8)
        text = make_run(self.base / "run", rows, figures).read_text()
        self.assertIn("RuntimeError: boom", text)
        self.assertIn("fig08-capacity.pdf", text)
        shutil.rmtree(figures / "broken")
        self.assertNotIn("boom", make_run(self.base / "run", rows, figures).read_text())

    def test_every_figure_folder_stands_alone(self) -> None:
        """So that deleting any other breaks nothing."""
        common = [p for p in FIGURES.iterdir() if p.is_file()]
        for folder in sorted(f.parent for f in FIGURES.glob("*/experiment.conf")):
            figures = self.base / "one" / folder.name
            shutil.copytree(folder, figures / folder.name, ignore=shutil.ignore_patterns("__pycache__"))
            for path in common:
                shutil.copy(path, figures)
            experiment = read(figures / folder.name)
            rows = []
            for cell in experiment.cells("smoke"):
                row = runner.skip(cell, 1, "not run by this test")
                if not cell.command:
                    row.update({k: v for k, v in synthetic.record(point=cell.point, rep=cell.rep, samples=50).items()
                                if k not in ("label", "dataplane", "workload", "load", "concurrency")}, run_id="synthetic-" + row["run_id"])
                rows.append(row)
            drawn = draw(experiment, rows, self.base / "out" / folder.name)
            self.assertEqual(drawn.problems, [], folder.name)

    def test_a_copied_folder_appears_in_plan_and_report(self) -> None:
        figures = self.base / "figs"
        shutil.copytree(FIGURES, figures, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(BOUTIQUE, figures / "my-figure")
        conf = figures / "my-figure" / "experiment.conf"
        conf.write_text(conf.read_text().replace("title = Online Boutique", "title = My own boutique"))
        rows = [r for r in synthetic.experiment_records(1, points=("c32",), samples=100, experiment="my-figure")]
        text = make_run(self.base / "run", rows, figures, fast=True).read_text()
        self.assertIn("My own boutique", text)
        plan = json.loads((self.base / "run" / "plan.json").read_text())
        self.assertIn("my-figure", {c["experiment"] for c in plan["cells"]})

    def test_skipped_invalid_and_damaged_records_are_told(self) -> None:
        rows = synthetic.experiment_records(2, points=("c32",), samples=100)
        rows[0].update(valid=False, invalid_reasons=["3 % of the requests failed"])
        folder = self.base / "run"
        make_run(folder, rows, fast=True)
        with open(folder / "records.jsonl", "a", encoding="utf-8") as file:
            file.write('junk\n{"schema_ver')
        with contextlib.redirect_stdout(io.StringIO()):
            reproduce.main(["--draw", str(folder)])
        text = (folder / "report.md").read_text()
        for word in ("3 % of the requests failed", "not JSON", "cut off", "1 invalid"):
            self.assertIn(word, text)

    def test_tables_escape_what_their_format_gives_meaning(self) -> None:
        table = tables.Table(("a|b", "n"), [("x|y & 5 % _z", "1")])
        self.assertIn("x\\|y", table.markdown())
        self.assertIn("x|y \\& 5 \\% \\_z & 1 \\\\", table.latex())
        self.assertIn("x|y &amp; 5 % _z", table.html())

    def test_every_verdict_has_an_explanation_and_a_colour(self) -> None:
        import report
        import report_page
        self.assertEqual(set(report.MEANING), set(KINDS))
        for kind in KINDS:
            self.assertEqual(report_page.CSS.count(f"--{kind}:#"), 2, "light and dark")


class Comparing(Temporary):
    def test_two_backends_are_compared_at_shared_points_only(self) -> None:
        path = self.base / "records.jsonl"
        for row in synthetic.experiment_records(5, points=("c1", "c32"), samples=100):
            rec.append(path, row)
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            self.assertEqual(compare.main([str(path), "--a", "skmsg", "--b", "kernel:knative"]), 0)
        self.assertEqual(out.getvalue().count("| RPS |"), 2)
        self.assertIn("skmsg is better", out.getvalue())
        with contextlib.redirect_stderr(io.StringIO()) as err:
            self.assertEqual(compare.main([str(path), "--a", "skmsg", "--b", "dpdk"]), 2)
        self.assertIn("dpdk", err.getvalue())


class Headline(Temporary):
    def run_folder(self) -> Path:
        rows = synthetic.experiment_records(3, points=("c32",), samples=100)
        counts = {q: {"total": {"mean": 9.04}, "within": {"mean": 0.0}} for q, _ in headline.COUNTS}
        for system in ("knative", "skmsg"):
            rows.append({**runner.output_base(read(FIGURES / "table1-2-audit").cells("smoke")[0], 1), "valid": True,
                         "label": f"table1-2-audit/{system}/isolated/0", "output": [{"counts": counts}], "elapsed_s": 1.0})
        folder = make_run(self.base / "run", rows, fast=True).parent
        picture = folder / headline.PICTURE
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(b"png")
        return folder

    def test_the_readmes_head_is_written_from_a_run_and_twice_the_same(self) -> None:
        readme = self.base / "README.md"
        readme.write_text("before\n<!-- headline: old -->\nold\n<!-- /headline -->\nafter\n")
        folder = self.run_folder()
        texts = []
        for _ in range(2):
            with contextlib.redirect_stdout(io.StringIO()):
                self.assertEqual(headline.main([str(folder), "--readme", str(readme)]), 0)
            texts.append(readme.read_text())
        self.assertEqual(*texts)
        self.assertTrue(texts[0].startswith("before\n<!-- headline") and texts[0].endswith("<!-- /headline -->\nafter\n"))
        for word in ("| `skmsg`: shared memory", "| Knative-like, published | 15 | 15 | 25 | 12 |", "| 9.04 |", "Of the 210 numbers",
                     "synthetic CPU"):
            self.assertIn(word, texts[0])
        self.assertNotIn("old", texts[0])

    def test_a_run_without_the_numbers_leaves_the_readme_alone(self) -> None:
        readme = self.base / "README.md"
        readme.write_text("<!-- headline -->\n<!-- /headline -->\n")
        folder = make_run(self.base / "bare", synthetic.experiment_records(1, points=("c1",), samples=50), fast=True).parent
        with contextlib.redirect_stderr(io.StringIO()) as err:
            self.assertEqual(headline.main([str(folder), "--readme", str(readme)]), 2)
        self.assertIn("no valid runs", err.getvalue())
        self.assertEqual(readme.read_text(), "<!-- headline -->\n<!-- /headline -->\n")

    def test_the_readme_has_its_marks(self) -> None:
        self.assertEqual(len(headline.MARKS.findall((synthetic.ROOT / "README.md").read_text())), 1)


@unittest.skipUnless(browser.PROGRAM, "no Chromium here")
class Looking(Temporary):
    def test_no_complaint_and_no_sideways_scrolling_on_phone_or_desk(self) -> None:
        path = make_run(self.base / "run", synthetic.experiment_records(1, points=("c32", "users"), samples=100))
        with browser.Browser() as page:
            for width in (390, 768, 1280):
                for dark in (False, True):
                    page.open(path, width, dark)
                    self.assertEqual(page.complaints(), [])
                    self.assertLessEqual(page.value("document.documentElement.scrollWidth"), width)
            self.assertEqual(page.value("document.querySelectorAll('.group tbody tr').length"), len(reference()))
            visible = "[...document.querySelectorAll('.group tbody tr')].filter(r => r.checkVisibility())"
            page.value("document.querySelector('button[data-kind=paper-inconsistent]').click()")
            self.assertEqual(set(page.value(f"{visible}.map(r => r.dataset.verdict)")), {INCONSISTENT})
            page.value("document.querySelector('button[data-kind=\"\"]').click()")
            self.assertEqual(page.value(f"{visible}.length"), 0, "folded")
            page.value("const s = document.querySelector('.search'); s.value = 'Table 1'; s.dispatchEvent(new Event('input'))")
            self.assertEqual(page.value(f"{visible}.length"), 48)
            page.value("document.querySelector('.fold').click()")
            self.assertEqual(page.value(f"{visible}.length"), 0)
            page.screenshot(self.base / "page.png")
            self.assertGreater((self.base / "page.png").stat().st_size, 10000)


if __name__ == "__main__":
    unittest.main()
