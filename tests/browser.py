"""Debian's chromium without a window, driven by its own protocol over a pipe: what it shows, asks for and complains of."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(PROGRAM is None, reason="no chromium: Debian's package is enough")

Scheme = Literal["light", "dark"]
_SECONDS = 60.0
# The pipe is where the protocol wants it: read from 3, written to 4.
_LAUNCH = """
import fcntl, os, sys
ours = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]
for number, at in zip(ours, (3, 4)):
    os.dup2(number, at)
os.execv(sys.argv[3], sys.argv[3:])
"""


@dataclass
class Tab:
    """One page. `requests` are the addresses that it asked for, `complaints` what its console said, `errors` the errors among them."""

    browser: Browser
    session: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        return self.browser.send(method, parameters, self.session)

    def look(self, width: int, scheme: Scheme, height: int = 900) -> None:
        """Look through a window of this width, in light or dark colours."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, address: str, headers: dict[str, str] | None = None) -> None:
        """Open an address and return once everything in it is there. The headers go with every request."""
        self.send("Network.setExtraHTTPHeaders", headers=headers or {})
        loaded = self.browser.loaded.get(self.session, 0)
        told = self.send("Page.navigate", url=address)
        assert "errorText" not in told, told
        self.browser.until(lambda: self.browser.loaded.get(self.session, 0) > loaded)

    def value(self, expression: str) -> Any:
        """Return the value of a JavaScript expression; promises are awaited."""
        told = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def until(self, expression: str) -> Any:
        """Return the value of an expression once it is true of the page, which may be another one meanwhile."""
        deadline = time.monotonic() + _SECONDS
        asked = f"(() => {{ try {{ return {expression} }} catch (error) {{ return null }} }})()"
        while True:
            try:
                found = self.value(asked)
            except AssertionError as error:
                # The page has gone to another one just now.
                if "context" not in str(error) and "navigated" not in str(error):
                    raise
                found = None
            if found:
                return found
            assert time.monotonic() < deadline, f"waited in vain for {expression}; {self.errors}"
            time.sleep(0.05)

    def forget(self) -> None:
        """Leave the page; what was asked for and complained of before is forgotten."""
        self.open("about:blank")
        self.requests.clear()
        self.complaints.clear()
        self.errors.clear()

    def fill(self, selector: str, text: str) -> None:
        """Type into a field as a person does, once it is there."""
        self.until(f"document.querySelector({json.dumps(selector)}) !== null")
        self.value(f"document.querySelector({json.dumps(selector)}).focus()")
        self.send("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """Click on something, once it is there. What it leads to begins after this has returned."""
        self.until(f"document.querySelector({json.dumps(selector)}) !== null")
        self.value(f"void setTimeout(() => document.querySelector({json.dumps(selector)}).click(), 0)")

    def strangers(self, address: str) -> list[str]:
        """Return the addresses asked for that are neither the server's nor the page's own."""
        own = urlsplit(address).netloc
        return [
            url
            for url in self.requests
            if urlsplit(url).scheme not in ("data", "blob", "about") and urlsplit(url).netloc != own
        ]

    def complain(self, text: str, address: str = "", *, is_error: bool) -> None:
        """Keep what the console said."""
        self.complaints.append(text)
        if is_error:
            self.errors.append(f"{text} {address}".strip())

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than its window."""
        told = self.send("Page.getLayoutMetrics")
        return int(told["cssContentSize"]["width"] - told["cssLayoutViewport"]["clientWidth"])

    def spoken(self) -> list[tuple[str, str]]:
        """Return what a screen reader is told: the role and the name of everything that has both."""
        nodes = self.send("Accessibility.getFullAXTree")["nodes"]
        told = ((node.get("role", {}).get("value"), node.get("name", {}).get("value")) for node in nodes)
        return [(role, name) for role, name in told if role and name]

    def picture(self) -> bytes:
        """Return the whole page as a PNG."""
        told = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(told["data"])


class Browser:
    """A browser with a profile of its own. It finds no name of any host: whatever is not on this machine is not there."""

    def __init__(self, folder: Path) -> None:
        assert PROGRAM is not None
        command_end, self._commands = os.pipe()
        self._answers, answer_end = os.pipe()
        with (folder / "said").open("wb") as said:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-c", _LAUNCH, str(command_end), str(answer_end)),
                    *(PROGRAM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
                    *("--no-first-run", "--hide-scrollbars", "--remote-debugging-pipe"),
                    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                    f"--user-data-dir={folder / 'profile'}",
                    "about:blank",
                ],
                pass_fds=(command_end, answer_end),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        os.close(command_end)
        os.close(answer_end)
        self._unread = b""
        self._number = 0
        self._told: dict[int, dict[str, Any]] = {}
        self._tabs: dict[str, Tab] = {}
        self.loaded: dict[str, int] = {}

    def tab(self) -> Tab:
        """Open an empty tab."""
        target = self.send("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.send("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        made = self._tabs[session] = Tab(self, session)
        for domain in ("Page", "Network", "Runtime", "Log"):
            made.send(f"{domain}.enable")
        return made

    def send(self, method: str, parameters: dict[str, Any], session: str | None = None) -> dict[str, Any]:
        """Send a command and return its result."""
        self._number += 1
        number = self._number
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        self.until(lambda: number in self._told)
        told = self._told.pop(number)
        assert "error" not in told, (method, told["error"])
        result: dict[str, Any] = told["result"]
        return result

    def until(self, is_so: Any) -> None:
        """Take in what the browser tells until something is so."""
        deadline = time.monotonic() + _SECONDS
        while not is_so():
            answering, _, _ = select.select([self._answers], [], [], max(deadline - time.monotonic(), 0))
            assert answering, "The browser does not answer."
            read = os.read(self._answers, 1 << 20)
            assert read, "The browser has ended."
            *messages, self._unread = (self._unread + read).split(b"\0")
            for message in messages:
                self._take(json.loads(message))

    def _take(self, message: dict[str, Any]) -> None:
        if "id" in message:
            self._told[message["id"]] = message
            return
        session, told = message.get("sessionId", ""), message["params"]
        tab = self._tabs.get(session)
        match message["method"]:
            case "Page.loadEventFired":
                self.loaded[session] = self.loaded.get(session, 0) + 1
            case "Network.requestWillBeSent" if tab is not None:
                tab.requests.append(told["request"]["url"])
            case "Log.entryAdded" if tab is not None:
                entry = told["entry"]
                tab.complain(entry["text"], entry.get("url", ""), is_error=entry["level"] == "error")
            case "Runtime.consoleAPICalled" if tab is not None:
                tab.complain(json.dumps(told["args"]), is_error=told["type"] in ("error", "assert"))
            case "Runtime.exceptionThrown" if tab is not None:
                tab.complain(json.dumps(told["exceptionDetails"]), is_error=True)

    def close(self) -> None:
        """End the browser and everything that it started."""
        try:
            self.send("Browser.close", {})
        except (AssertionError, OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        os.close(self._commands)
        os.close(self._answers)
        self._process.wait(_SECONDS)


@contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """Lend a browser."""
    browser = Browser(folder)
    try:
        yield browser
    finally:
        browser.close()
