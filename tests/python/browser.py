# SPDX-License-Identifier: BSD-2-Clause
"""A real browser for tests: Chromium, headless, driven over its DevTools pipe (standard library only)."""
from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
LIMIT_S = 60.0


class Browser:
    """One page of a headless browser; a context manager. console: what the page logged or threw."""

    def __init__(self) -> None:
        self.profile = tempfile.mkdtemp(prefix="perhop-browser-")
        read_in, self.write_to = os.pipe()
        self.read_from, write_out = os.pipe()
        # The protocol wants its commands on descriptor 3 and its answers on 4. Park both ends higher
        # first, so that moving one cannot overwrite the other.
        script = ("import fcntl, os, sys; a, b = (fcntl.fcntl(int(n), fcntl.F_DUPFD_CLOEXEC, 64) "
                  "for n in sys.argv[1:3]); os.dup2(a, 3); os.dup2(b, 4); os.execv(sys.argv[3], sys.argv[3:])")
        self.child = subprocess.Popen(
            [sys.executable, "-c", script, str(read_in), str(write_out), str(PROGRAM), "--headless=new",
             "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--disable-dev-shm-usage",
             f"--user-data-dir={self.profile}", "about:blank"],
            pass_fds=(read_in, write_out), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        os.close(read_in)
        os.close(write_out)
        self.buffer, self.serial, self.session = b"", 0, ""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self.child.terminate()
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        os.close(self.write_to)
        os.close(self.read_from)
        shutil.rmtree(self.profile, ignore_errors=True)

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + LIMIT_S
        while b"\0" not in self.buffer:
            if not select.select([self.read_from], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError("the browser does not answer")
            chunk = os.read(self.read_from, 1 << 20)
            if not chunk:
                raise ConnectionError("the browser has gone")
            self.buffer += chunk
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the DevTools protocol; its result."""
        self.serial += 1
        message: dict[str, Any] = {"id": self.serial, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write_to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self.serial:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def open(self, page: Path, width: int, dark: bool = False, height: int = 844) -> None:
        """Load a file at a window size and colour scheme."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.events.clear()
        self.call("Page.navigate", url=page.resolve().as_uri())
        while not any(e.get("method") == "Page.loadEventFired" for e in self.events):
            self.events.append(self._next())

    def value(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def complaints(self) -> list[str]:
        """Console errors, exceptions and failed loads since open()."""
        self.value("0")
        bad = []
        for event in self.events:
            method, params = event.get("method"), event.get("params", {})
            if method == "Runtime.exceptionThrown" or \
                    (method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning")) or \
                    (method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning")):
                bad.append(json.dumps(params)[:300])
        return bad

    def screenshot(self, path: Path, whole: bool = True) -> None:
        """PNG of the page."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))
