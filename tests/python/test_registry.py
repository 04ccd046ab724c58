# SPDX-License-Identifier: BSD-2-Clause
"""A dataplane or workload is found by its folder alone."""
import os
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.join(os.path.dirname(__file__), "..", "..")


class Registry(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.root)
        for kind, names in (("dataplanes", ("null", "skeleton", "uds")), ("workloads", ("echo", "loadgen"))):
            for name in names:
                self.folder(kind, name)

    def folder(self, kind, name):
        os.makedirs(f"{self.root}/{kind}/{name}")
        open(f"{self.root}/{kind}/{name}/{name}.c", "w").close()

    def lists(self):
        return subprocess.run([f"{ROOT}/scripts/registry.sh", self.root], capture_output=True, text=True)

    def test_a_copied_folder_is_listed_after_the_known_ones(self):
        self.folder("dataplanes", "mine")
        self.folder("workloads", "aside")
        text = self.lists().stdout
        self.assertRegex(text, r"(?s)\{\s+&dataplane_null,\s+&dataplane_uds,\s+&dataplane_mine,\s+NULL,\s+\}")
        self.assertRegex(text, r"(?s)\{\s+&workload_echo,\s+&workload_aside,\s+NULL,\s+\}")

    def test_what_is_only_to_be_copied_and_who_asks_are_not_listed(self):
        self.assertNotRegex(self.lists().stdout, "skeleton|loadgen")

    def test_a_folder_without_its_file_is_none(self):
        os.makedirs(f"{self.root}/dataplanes/empty")
        self.assertNotIn("empty", self.lists().stdout)

    def test_a_name_that_c_cannot_have_is_refused(self):
        self.folder("dataplanes", "my-plane")
        done = self.lists()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("dataplanes/my-plane: a name is", done.stderr)


if __name__ == "__main__":
    unittest.main()
