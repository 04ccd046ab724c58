# SPDX-License-Identifier: BSD-2-Clause
"""Records: the schema says no to what is wrong, and a damaged file costs only what is damaged."""
import copy
import errno
import json
import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import synthetic
import records as rec

FIXTURE = Path(__file__).resolve().parent / "fixtures" / "record.json"


class Schema(unittest.TestCase):
    def setUp(self) -> None:
        self.record = json.loads(FIXTURE.read_text())

    def bad(self, change: dict, word: str) -> None:
        with self.assertRaises(ValueError) as caught:
            rec.check({**self.record, **change})
        self.assertIn(word, str(caught.exception))

    def test_fixture_and_all_synthetic_records_validate(self) -> None:
        rec.check(self.record)
        for record in synthetic.experiment_records(1):
            rec.check(record)

    def test_schema_is_itself_valid_and_requires_every_key(self) -> None:
        rec.jsonschema.Draft202012Validator.check_schema(rec.schema())

        def walk(node: object) -> None:
            if isinstance(node, dict):
                if "properties" in node and node.get("additionalProperties") is False:
                    self.assertEqual(set(node["required"]), set(node["properties"]))
                for value in node.values():
                    walk(value)
            elif isinstance(node, list):
                for value in node:
                    walk(value)
        walk(rec.schema())

    def test_every_key_must_be_there(self) -> None:
        for key in self.record:
            less = {k: v for k, v in self.record.items() if k != key}
            with self.assertRaises(ValueError, msg=key):
                rec.check(less)

    def test_unknown_keys_and_versions_are_refused(self) -> None:
        self.bad({"extra": 1}, "extra")
        self.bad({"schema_version": 1}, "schema_version")

    def test_zero_successes_is_an_error(self) -> None:
        self.bad({"requests": 0}, "requests")
        self.bad({"rps": 0}, "rps")

    def test_invalid_needs_a_reason_and_valid_has_none(self) -> None:
        self.bad({"valid": False}, "invalid_reasons")
        self.bad({"invalid_reasons": ["x"]}, "invalid_reasons")
        rec.check({**self.record, "valid": False, "invalid_reasons": ["x"], "rps": None, "requests": 0})

    def test_a_failed_run_without_any_answer_can_be_told(self) -> None:
        nothing = dict.fromkeys(self.record["latency_us"])
        rec.check({**self.record, "valid": False, "invalid_reasons": ["no answer"], "requests": 0, "errors": 0,
                   "rps": None, "ccr_us": None, "inverse_rps_us": None, "latency_us": nothing,
                   "response_us": nothing, "little": None, "chains": {}, "cpu_us": {}})

    def test_a_run_that_took_place_has_measurements_and_a_host(self) -> None:
        for key in ("host", "latency_us", "requests", "cpu_us", "chains"):
            self.bad({key: None}, key)

    def test_a_skipped_record_has_none(self) -> None:
        base = {k: self.record[k] for k in (
            "run_id", "label", "time", "dataplane", "dataplane_options", "workload", "workload_options", "load",
            "concurrency", "rep", "seed", "service", "wait", "placement", "placed", "network", "instances",
            "concurrency_limit")}
        skipped = rec.skipped_record(base, "no root")
        self.assertEqual(next(iter(skipped)), "schema_version")
        self.assertFalse(skipped["valid"])
        self.assertIsNone(skipped["rps"])
        with self.assertRaises(ValueError):
            rec.check({**skipped, "rps": 5.0})

    def test_units_out_of_range_are_refused(self) -> None:
        self.bad({"rps": -1}, "rps")
        bad = copy.deepcopy(self.record)
        bad["series"]["points"][0] = [1, 2, 3]
        self.bad(bad, "series")


class Files(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = Path(self.folder.name) / "records.jsonl"
        self.rows = [synthetic.record(rep=i, samples=30) for i in range(3)]
        for row in self.rows:
            rec.append(self.path, row)

    def test_what_was_appended_is_read_back(self) -> None:
        loaded = rec.load(self.path)
        self.assertEqual(loaded.records, self.rows)
        self.assertEqual(loaded.problems, [])

    def test_a_line_cut_by_kill_is_reported_and_ignored(self) -> None:
        data = self.path.read_bytes()
        for cut in (1, 2, 1000):
            self.path.write_bytes(data[:-cut])
            loaded = rec.load(self.path)
            self.assertTrue(loaded.truncated)
            self.assertEqual(len(loaded.records), 2)
            self.assertIn("line 3", loaded.problems[0])

    def test_repair_makes_appending_safe_again(self) -> None:
        self.path.write_bytes(self.path.read_bytes()[:-10])
        self.assertGreater(rec.repair(self.path), 0)
        self.assertEqual(rec.repair(self.path), 0)
        rec.append(self.path, self.rows[2])
        self.assertEqual(rec.load(self.path).records, self.rows)

    def test_corrupted_lines_are_counted_and_the_rest_is_kept(self) -> None:
        lines = self.path.read_bytes().splitlines(keepends=True)
        junk = [b"not json\n", b"\xff\xfe\n", b"[1]\n", b'{"schema_version":1}\n', b"[" * 100000 + b"\n",
                lines[0].replace(b'"rps":', b'"rps":NaN,"x":')]
        self.path.write_bytes(b"".join([lines[0], *junk, *lines[1:]]))
        loaded = rec.load(self.path)
        self.assertEqual(loaded.corrupted, len(junk))
        self.assertEqual(len(loaded.records), 3)
        self.assertFalse(loaded.truncated)

    def test_a_repeated_run_id_counts_once(self) -> None:
        rec.append(self.path, self.rows[0])
        loaded = rec.load(self.path)
        self.assertEqual((len(loaded.records), loaded.duplicates), (3, 1))

    def test_a_full_disk_leaves_no_partial_line(self) -> None:
        real = os.write

        def full(fd: int, data: bytes) -> int:
            if len(data) > 50:
                return real(fd, data[:50])
            raise OSError(errno.ENOSPC, "No space left on device")
        with mock.patch("os.write", lambda fd, data: full(fd, data[:-50]) if len(data) > 100 else full(fd, b"")):
            with self.assertRaises(OSError):
                rec.append(self.path, self.rows[0])
        loaded = rec.load(self.path)
        self.assertEqual((len(loaded.records), loaded.truncated), (3, False))

    def test_selecting_leaves_invalid_runs_out_unless_asked(self) -> None:
        self.rows[1].update(valid=False, invalid_reasons=["x"])
        self.assertEqual(len(rec.select(self.rows, system="skmsg", point="c32")), 2)
        self.assertEqual(len(rec.select(self.rows, usable=False)), 3)
        self.assertEqual(rec.select([{**self.rows[0], "label": None}]), [])


if __name__ == "__main__":
    unittest.main()
