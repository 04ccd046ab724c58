# SPDX-License-Identifier: BSD-2-Clause
"""Showing how far a run is: one line that redraws itself on a terminal, plain lines elsewhere."""
from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

from runner import Progress

PLAIN_EVERY_S = 10.0


def duration(seconds: float) -> str:
    """Seconds for a reader: 42 s, 3 min 05 s, 2 h 10 min."""
    s = int(round(seconds))
    if s < 60:
        return f"{s} s"
    if s < 3600:
        return f"{s // 60} min {s % 60:02d} s"
    return f"{s // 3600} h {s % 3600 // 60:02d} min"


class Bar:
    """Draws a Progress; call it with every change."""

    def __init__(self, out: TextIO = sys.stderr) -> None:
        self.out = out
        self.terminal = out.isatty()
        self.last = -PLAIN_EVERY_S

    def __call__(self, p: Progress) -> None:
        if self.terminal:
            width = shutil.get_terminal_size().columns
            line = self.line(p, min(30, max(8, width - 70)))[: width - 1]
            self.out.write(f"\r\x1b[K{line}" + ("" if p.now else "\n"))
        elif not p.now or time.monotonic() - self.last >= PLAIN_EVERY_S:
            self.last = time.monotonic()
            self.out.write(self.line(p, 0) + "\n")
        self.out.flush()

    def end(self) -> None:
        """Leave the line, e.g. before a message."""
        if self.terminal:
            self.out.write("\n")

    @staticmethod
    def line(p: Progress, bar: int) -> str:
        """The text; `bar` columns wide bar, 0: none."""
        share = p.done / p.total if p.total else 1.0
        parts = []
        if bar:
            parts.append("[" + "#" * int(share * bar) + "." * (bar - int(share * bar)) + "]")
        parts.append(f"{p.done}/{p.total} runs")
        if p.failed:
            parts.append(f"{p.failed} invalid")
        if p.skipped:
            parts.append(f"{p.skipped} skipped")
        parts.append(f"{duration(p.left_s)} left, {p.now}" if p.now else "done")
        return "  ".join(parts)
